//! Certificates of the test control plane: one authority, one server, one client per user.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};

/// A certificate and its key, both PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

/// The authority that every certificate of one control plane comes from.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub certificate: String,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name = name("osier test authority", &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), certificate }
    }

    /// The API server's certificate.
    pub fn server(&self) -> Pair {
        let names = ["localhost", "kubernetes.default.svc", "127.0.0.1", "10.0.0.1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = name("kube-apiserver", &[]);
        self.sign(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A client's certificate: the API server takes CN as the user's name and O as the groups.
    pub fn client(&self, user: &str, groups: &[&str]) -> Pair {
        let mut params = CertificateParams::default();
        params.distinguished_name = name(user, groups);
        self.sign(params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, mut params: CertificateParams, usage: ExtendedKeyUsagePurpose) -> Pair {
        params.extended_key_usages.push(usage);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

/// A key pair for service account tokens: (public, private).
pub fn account_keys() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    (key.public_key_pem(), key.serialize_pem())
}

fn name(common: &str, organizations: &[&str]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    assert!(organizations.len() <= 1, "the certificate builder keeps one value of a kind");
    for organization in organizations {
        name.push(DnType::OrganizationName, *organization);
    }
    name
}
