//! `git http-backend` behind a small TLS server that can be told to misbehave.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use http::{HeaderName, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::support::certificates::Authority;

type Body = BoxBody<Bytes, std::io::Error>;

/// How the server answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Manner {
    /// As git does.
    Good,
    /// Takes the connection, then says nothing.
    Mute,
    /// Takes the request, then says nothing.
    MuteAfterRequest,
    /// Sends this many bytes of each answer of this path's end, then nothing.
    MuteAfter(&'static str, usize),
    /// Sends this many bytes of each answer of this path's end, then breaks off.
    BreakAfter(&'static str, usize),
    /// A byte of the answer, a pause, a byte.
    Drip,
    /// Always this status.
    Status(u16),
    /// 301 to another place.
    Moved,
    /// A page, with status 200.
    Page,
    /// A list of refs that is none.
    Nonsense,
}

/// What was asked, and when.
pub struct Asked {
    pub method: String,
    /// With its query.
    pub path: String,
    pub authorization: Option<String>,
    pub at: Instant,
}

struct Inner {
    root: PathBuf,
    /// The value of `Authorization` that is asked for.
    wanted: Mutex<Option<String>>,
    manner: Mutex<Manner>,
    asked: Mutex<Vec<Asked>>,
    connections: Mutex<usize>,
}

/// One server on a free port of loopback; it ends with its test.
pub struct Web {
    inner: Arc<Inner>,
    pub address: SocketAddr,
    /// The certificate of its authority.
    pub authority: String,
    scheme: &'static str,
}

impl Web {
    /// Over TLS, with a certificate for `localhost` and `127.0.0.1`.
    pub async fn start(root: &Path) -> Web {
        Web::start_at(root, "127.0.0.1").await
    }

    /// The same at another address of loopback, for which the certificate is not.
    pub async fn start_at(root: &Path, host: &str) -> Web {
        let authority = Authority::new();
        let pair = authority.server();
        let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Web::serve(root, host, Some(TlsAcceptor::from(Arc::new(config))), authority.certificate).await
    }

    pub async fn without_tls(root: &Path) -> Web {
        Web::serve(root, "127.0.0.1", None, String::new()).await
    }

    async fn serve(root: &Path, host: &str, tls: Option<TlsAcceptor>, authority: String) -> Web {
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            root: root.to_owned(),
            wanted: Mutex::default(),
            manner: Mutex::new(Manner::Good),
            asked: Mutex::default(),
            connections: Mutex::default(),
        });
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = Arc::clone(&inner);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                *shared.connections.lock().unwrap() += 1;
                tokio::spawn(connection(stream, tls.clone(), Arc::clone(&shared)));
            }
        });
        Web { inner, address, authority, scheme }
    }

    pub fn url(&self) -> String {
        format!("{}://localhost:{}/shop.git", self.scheme, self.address.port())
    }

    pub fn behave(&self, manner: Manner) {
        *self.inner.manner.lock().unwrap() = manner;
    }

    /// From now on only who sends this is let in.
    pub fn want(&self, authorization: &str) {
        *self.inner.wanted.lock().unwrap() = Some(authorization.to_owned());
    }

    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.inner.asked.lock().unwrap())
    }

    pub fn connections(&self) -> usize {
        *self.inner.connections.lock().unwrap()
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, inner: Arc<Inner>) {
    if *inner.manner.lock().unwrap() == Manner::Mute {
        return std::future::pending().await;
    }
    match tls {
        None => requests(stream, inner).await,
        Some(tls) => {
            // a client that does not trust us breaks off
            if let Ok(stream) = tls.accept(stream).await {
                requests(stream, inner).await;
            }
        }
    }
}

async fn requests<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, inner: Arc<Inner>) {
    let service = service_fn(move |request| answer(request, Arc::clone(&inner)));
    // a connection that breaks off is what some tests are about
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
}

async fn answer(request: Request<Incoming>, inner: Arc<Inner>) -> Result<Response<Body>, std::io::Error> {
    let (head, body) = request.into_parts();
    let text = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let path = head.uri.path().to_owned();
    let (method, asked_path) = (head.method.to_string(), head.uri.to_string());
    let asked = Asked { method, path: asked_path, authorization: text("authorization"), at: Instant::now() };
    inner.asked.lock().unwrap().push(asked);
    let (manner, wanted) = (*inner.manner.lock().unwrap(), inner.wanted.lock().unwrap().clone());
    match manner {
        Manner::Status(status) => return Ok(plain(status, "text/plain", b"no\n")),
        Manner::Page => return Ok(plain(200, "text/html", b"<html>sign in</html>")),
        Manner::Nonsense => {
            return Ok(plain(200, "application/x-git-upload-pack-advertisement", b"<html>sign in</html>"));
        }
        Manner::MuteAfterRequest => return std::future::pending().await,
        Manner::Moved => {
            let mut moved = plain(301, "text/plain", b"");
            moved
                .headers_mut()
                .insert("location", "https://u:p@else.example.com/new.git/info/refs?x=1".parse().unwrap());
            return Ok(moved);
        }
        _ if wanted.is_some() && wanted != text("authorization") => {
            return Ok(plain(401, "text/plain", b"who are you?\n"));
        }
        _ => {}
    }
    let body = body.collect().await.unwrap().to_bytes();
    let job = move || backend(&inner.root, &head, &body);
    let (status, headers, bytes) = tokio::task::spawn_blocking(job).await.unwrap();
    let mut response = Response::new(body_of(manner, &path, bytes));
    *response.status_mut() = status;
    response.headers_mut().extend(headers);
    Ok(response)
}

fn body_of(manner: Manner, path: &str, bytes: Vec<u8>) -> Body {
    let frame = |bytes: Vec<u8>| Ok(Frame::data(Bytes::from(bytes)));
    match manner {
        Manner::BreakAfter(end, length) if path.ends_with(end) => {
            let broken = stream::iter([Err(std::io::Error::other("told to"))]);
            BodyExt::boxed(StreamBody::new(stream::iter([frame(bytes[..length].to_vec())]).chain(broken)))
        }
        Manner::MuteAfter(end, length) if path.ends_with(end) => {
            BodyExt::boxed(StreamBody::new(stream::iter([frame(bytes[..length].to_vec())]).chain(stream::pending())))
        }
        Manner::Drip => {
            let bytes = stream::iter(bytes).then(move |byte| async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                frame(vec![byte])
            });
            BodyExt::boxed(StreamBody::new(bytes))
        }
        _ => Full::from(bytes).map_err(|never| match never {}).boxed(),
    }
}

fn plain(status: u16, content_type: &str, text: &'static [u8]) -> Response<Body> {
    let response = Response::builder().status(status).header("content-type", content_type);
    response.body(Full::from(text).map_err(|never| match never {}).boxed()).unwrap()
}

/// One request of CGI (RFC 3875), as git's own server program takes it.
fn backend(
    root: &Path,
    head: &http::request::Parts,
    body: &[u8],
) -> (StatusCode, Vec<(HeaderName, http::HeaderValue)>, Vec<u8>) {
    let content_type = head.headers.get("content-type").map_or("", |value| value.to_str().unwrap());
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", head.method.as_str())
        .env("PATH_INFO", head.uri.path())
        .env("QUERY_STRING", head.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", content_type)
        .env("CONTENT_LENGTH", body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // the program may answer before it has read all of it
    child.stdin.take().unwrap().write_all(body).ok();
    let output = child.wait_with_output().unwrap().stdout;
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let mut status = StatusCode::OK;
    let mut headers = Vec::new();
    for line in std::str::from_utf8(&output[..end]).unwrap().split("\r\n") {
        let (name, value) = line.split_once(": ").unwrap();
        match name {
            "Status" => status = value.split(' ').next().unwrap().parse().unwrap(),
            _ => headers.push((name.parse().unwrap(), value.parse().unwrap())),
        }
    }
    (status, headers, output[end + 4..].to_vec())
}
