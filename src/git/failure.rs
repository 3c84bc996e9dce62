//! Why a remote could not be read. Each has one sentence and says what to do; none holds a credential.

use crate::git::error::Cause;

/// What went wrong between us and a remote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The name leads to no address.
    #[error("could not find the address of `{host}`")]
    Lookup {
        /// The host.
        host: String,
        /// What was wrong.
        source: Cause,
    },
    /// Nobody took the connection.
    #[error("could not connect to `{address}`")]
    Connect {
        /// Host and port.
        address: String,
        /// What was wrong.
        source: Cause,
    },
    /// No byte came for too long.
    #[error("the server said nothing for {seconds} s")]
    Silent {
        /// How long.
        seconds: u64,
    },
    /// Bytes came, too slowly to wait for all of them.
    #[error("the server was not done after {seconds} s")]
    Slow {
        /// How long.
        seconds: u64,
    },
    /// The connection ended before the answer did.
    #[error("the connection broke off in the middle of an answer")]
    BrokenOff {
        /// What was wrong.
        source: Cause,
    },
    /// The proxy did not connect us.
    #[error("the proxy did not connect to `{address}`: {said:.200}")]
    Proxy {
        /// Host and port behind the proxy.
        address: String,
        /// Its status line.
        said: String,
    },
    /// The certificate leads to no authority that is trusted.
    #[error("the certificate of `{host}` was signed by an authority that is not trusted")]
    UnknownAuthority {
        /// The host.
        host: String,
    },
    /// The certificate is somebody else's.
    #[error("the certificate that was offered is not for `{host}`")]
    CertificateName {
        /// The host.
        host: String,
    },
    /// The certificate's time is over or to come.
    #[error("the certificate of `{host}` is not valid now")]
    CertificateTime {
        /// The host.
        host: String,
    },
    /// TLS failed in another way.
    #[error("could not agree on TLS with `{host}`")]
    Tls {
        /// The host.
        host: String,
        /// What was wrong.
        source: Cause,
    },
    /// 401, with or without credentials of ours.
    #[error("the server refused the credentials")]
    Unauthorized {
        /// True if the server took the same ones before.
        before: bool,
    },
    /// 401, and we have no credentials.
    #[error("the server asks for credentials")]
    NoCredentials,
    /// 403.
    #[error("the credentials may not read this repository (403)")]
    Forbidden,
    /// 404 or 410: forges answer so too where the credentials may not see the repository.
    #[error("the server knows no repository of this name")]
    NoRepository,
    /// A redirect: credentials are not sent anywhere but to the URL's own host.
    #[error("the repository moved to `{to:.200}`")]
    Moved {
        /// Where, without what may be a credential.
        to: String,
    },
    /// Any other status.
    #[error("the server answered with status {code}")]
    Status {
        /// The status.
        code: u16,
    },
    /// Status 200, but the answer of something else than git: a login page, a portal.
    #[error("the server answered with `{content_type:.80}`, which is not git")]
    NotGit {
        /// What it called its answer.
        content_type: String,
    },
    /// The advertisement does not end.
    #[error("the server names more refs than {limit} bytes hold")]
    TooManyRefs {
        /// The limit.
        limit: u64,
    },
    /// `known_hosts` does not have the host.
    #[error("`known_hosts` does not know `{host}`, which offered the key {offered}")]
    UnknownHost {
        /// As `known_hosts` writes it.
        host: String,
        /// Fingerprint of the key, `SHA256:…`.
        offered: String,
    },
    /// `known_hosts` has other keys for the host.
    #[error("`{host}` offered the key {offered}, which is none of those in `known_hosts`")]
    HostKeyChanged {
        /// As `known_hosts` writes it.
        host: String,
        /// Fingerprint of the key, `SHA256:…`.
        offered: String,
    },
    /// The key has the mark `@revoked`.
    #[error("`{host}` offered the key {offered}, which `known_hosts` revokes")]
    HostKeyRevoked {
        /// As `known_hosts` writes it.
        host: String,
        /// Fingerprint of the key, `SHA256:…`.
        offered: String,
    },
    /// `known_hosts` has only an authority for the host.
    #[error("`known_hosts` has only a `@cert-authority` for `{host}`, which offered the key {offered}")]
    HostAuthority {
        /// As `known_hosts` writes it.
        host: String,
        /// Fingerprint of the key, `SHA256:…`.
        offered: String,
    },
    /// SSH without a private key.
    #[error("there is no private key for `{account}`")]
    NoIdentity {
        /// User and host.
        account: String,
    },
    /// The private key cannot be read, or not with this passphrase.
    #[error("the private key `identity` cannot be opened")]
    IdentityUnusable {
        /// What was wrong.
        source: Cause,
    },
    /// The server does not take the private key.
    #[error("`{account}` refused the private key")]
    IdentityRefused {
        /// User and host.
        account: String,
        /// True if the server took the same one before.
        before: bool,
    },
    /// SSH failed in another way.
    #[error("could not agree on SSH with `{host}`")]
    Ssh {
        /// The host.
        host: String,
        /// What was wrong.
        source: Cause,
    },
    /// The server's git said no.
    #[error("the server said: {said:.200}")]
    Refused {
        /// What it said, printable.
        said: String,
    },
    /// Nobody said yet where the repository is, or with which credentials.
    #[error("its credentials are not known yet")]
    Nowhere,
    /// The server's API has had too many requests.
    #[error("the server takes no more requests for {seconds} s")]
    Limited {
        /// How long it wants to be left alone.
        seconds: u64,
    },
    /// An API answered with something else than what its documentation says.
    #[error("the server's API answered with a document that makes no sense")]
    Unintelligible,
    /// A forge does not say whose token it is given.
    #[error("the forge does not say whose token it is: it has to allow `GET /user`")]
    Anonymous,
    /// A pull request has more comments than are read.
    #[error("the pull request has more comments than are read, and none of them is osier's")]
    TooManyComments,
    /// The mirror on our own disk could not be written.
    #[error("could not write to the mirror")]
    Mirror {
        /// What was wrong.
        source: Cause,
    },
    /// libgit2 could not make sense of the remote.
    #[error("git cannot use what is there")]
    Git {
        /// What was wrong.
        source: Cause,
    },
}

impl Failure {
    /// True if another place of the same repository may do better.
    pub fn is_the_remote(&self) -> bool {
        !matches!(self, Self::Mirror { .. })
    }

    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Lookup { .. } => "correct the host in the Repository's `url`, or look at the DNS of this machine",
            Self::Connect { .. } | Self::Silent { .. } | Self::Slow { .. } | Self::BrokenOff { .. } => {
                "see whether the server is up and can be reached from here; `fallbackUrls` are tried in order"
            }
            Self::Proxy { .. } => "correct `proxy` in the Secret of the Repository's `credentials`",
            Self::UnknownAuthority { .. } => {
                "add the authority's certificate as `ca.crt` to the Secret of the Repository's `credentials`"
            }
            Self::CertificateName { .. } => "use the name that the certificate has in the Repository's `url`",
            Self::CertificateTime { .. } => "renew the server's certificate, or set this machine's clock",
            Self::Tls { .. } => "see whether the port of the Repository's `url` speaks TLS 1.2 or newer",
            Self::Unauthorized { before: true } => {
                "the token expired or was withdrawn: put a new one into the Secret of the Repository's `credentials`"
            }
            Self::Unauthorized { before: false } => {
                "correct `username` and `password` (or `bearerToken`) in the Secret of the Repository's `credentials`"
            }
            Self::NoCredentials => {
                "name a Secret of the home namespace in the Repository's `credentials`, with `username` and `password` (a token) \
                 or `bearerToken`; your own git credentials are not used"
            }
            Self::Forbidden => "give the token the right to read this repository",
            Self::NoRepository => "correct the Repository's `url`, or give the credentials the right to see it",
            Self::Moved { .. } => "put the new place into the Repository's `url`: redirects are not followed",
            Self::Limited { .. } => "it is asked again later",
            Self::Unintelligible => "see whether `api` leads to the API of the forge that is named",
            Self::Anonymous => "give the token the right to read its own account, such as `read:user`",
            Self::TooManyComments => "the conditions of the Environment say it, too",
            Self::Status { .. } => "look at the server's log; it is asked again later",
            Self::NotGit { .. } => "the `url` leads to a page or a login, not to a repository: open it in a browser",
            Self::TooManyRefs { .. } => "delete old branches and tags",
            Self::UnknownHost { .. } => {
                "compare the fingerprint with what the host's operator publishes, then add the line that `ssh-keyscan` \
                 prints as `known_hosts` to the Secret of the Repository's `credentials`"
            }
            Self::HostKeyChanged { .. } => {
                "ask the host's operator whether its key changed: if not, somebody else answers; if so, correct `known_hosts` in \
                 the Secret of the Repository's `credentials`"
            }
            Self::HostKeyRevoked { .. } => "do not trust this host until its operator has given it another key",
            Self::HostAuthority { .. } => {
                "add the host's own key to `known_hosts`: certificates of hosts are not looked at"
            }
            Self::NoIdentity { .. } => {
                "add the private key as `identity` and the host as `known_hosts` to the Secret of the Repository's `credentials`; \
                 an ssh-agent and the keys in ~/.ssh are not used"
            }
            Self::IdentityUnusable { .. } => {
                "`identity` is a private key in OpenSSH or PEM form, `password` its passphrase: see `ssh-keygen -y -f FILE`"
            }
            Self::IdentityRefused { before: true, .. } => {
                "the key was withdrawn: give the server its public half again, or put another one into the Secret"
            }
            Self::IdentityRefused { before: false, .. } => {
                "give the server the public half of `identity`, as a key that may read this repository"
            }
            Self::Ssh { .. } => "see whether the port of the Repository's `url` speaks SSH: ssh -v HOST",
            Self::Refused { .. } => {
                "correct the path in the Repository's `url`, or the rights of its key on the server"
            }
            Self::Nowhere => "see whether the Secret of the Repository's `credentials` is there and can be read",
            Self::Mirror { .. } => "look at the rights and the free space of the mirror's directory",
            Self::Git { .. } => "try `git ls-remote` with the Repository's URL",
        }
    }
}
