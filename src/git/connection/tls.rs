//! TLS to git servers.

use std::io;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::git::error::Cause;
use crate::git::failure::Failure;

/// Whom to trust; it remembers sessions, so that the next connection to the same server takes a round trip less.
pub(in crate::git) struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Trusts the authorities of the machine and `extra`. Without any, every server is refused.
    pub(in crate::git) fn new(extra: Vec<CertificateDer<'static>>) -> Self {
        let mut authorities = RootCertStore::empty();
        authorities.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        authorities.add_parsable_certificates(extra);
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has the cipher suites of TLS 1.2 and 1.3")
            .with_root_certificates(authorities)
            .with_no_client_auth();
        Self(Arc::new(config))
    }

    /// # Errors
    /// `UnknownAuthority`, `CertificateName`, `CertificateTime`, `Tls`.
    pub(in crate::git) async fn connect(&self, host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, Failure> {
        let name =
            ServerName::try_from(host.to_owned()).map_err(|_| Failure::CertificateName { host: host.to_owned() })?;
        TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await.map_err(|e| failure(host.to_owned(), &e))
    }
}

fn failure(host: String, error: &io::Error) -> Failure {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    let Some(rustls::Error::InvalidCertificate(certificate)) = inner else {
        return Failure::Tls { host, source: Cause::from(error) };
    };
    match certificate {
        // the second: an authority of the same name, with another key
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Failure::UnknownAuthority { host },
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Failure::CertificateName { host }
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => Failure::CertificateTime { host },
        _ => Failure::Tls { host, source: Cause::from(error) },
    }
}
