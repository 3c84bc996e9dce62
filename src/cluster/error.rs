//! What can go wrong with the API server.

use std::sync::Arc;

use kube::config::{InferConfigError, KubeconfigError};

use crate::cluster::call::{Cause, Failure, Refusal, Sign};
use crate::model::reason::{Reason, Retry};

/// The line that installs osier's definitions.
pub const INSTALL: &str = "osier generate crds | kubectl apply --server-side -f -";

/// What was attempted and did not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kubeconfig cannot be used.
    #[error("cannot use the kubeconfig")]
    Kubeconfig {
        /// What kube says.
        #[from]
        source: KubeconfigError,
    },
    /// There is no kubeconfig and no service account.
    #[error("no cluster is configured")]
    NoConfig {
        /// What kube says.
        #[from]
        source: InferConfigError,
    },
    /// The kubeconfig's certificates cannot be used.
    #[error("cannot make a client from the kubeconfig")]
    Client {
        /// What kube says.
        #[source]
        source: kube::Error,
    },
    /// A kind of the namespace cannot be watched.
    #[error("cannot see what there is")]
    Watch {
        /// Why.
        #[source]
        source: Arc<Error>,
    },
    /// A request failed.
    #[error("cannot {what}")]
    Call {
        /// What was attempted, such as ``read Environment `home/staging` ``.
        what: String,
        /// Why.
        #[source]
        source: Box<Failure>,
    },
    /// The server's answer has not the form that it must have.
    #[error("{what} has an unexpected form: {why}")]
    Malformed {
        /// Which object.
        what: String,
        /// The first field that does not fit. Only osier's own kinds are read whole, and these hold no secrets.
        why: String,
    },
    /// osier's kinds are not installed.
    #[error("the cluster does not know osier's kinds: {missing} missing")]
    NotInstalled {
        /// Which.
        missing: String,
    },
    /// The cluster does not serve a kind.
    #[error("the cluster does not serve `{kind}` in `{api_version}`")]
    UnknownKind {
        /// CamelCase kind.
        kind: String,
        /// As the manifest says it.
        api_version: String,
    },
    /// The namespace does not exist.
    #[error("namespace `{namespace}` does not exist")]
    NamespaceMissing {
        /// Which.
        namespace: String,
        /// The Repository that would use it.
        repository: String,
    },
    /// The namespace is being deleted.
    #[error("namespace `{namespace}` is being deleted")]
    NamespaceTerminating {
        /// Which.
        namespace: String,
    },
    /// The namespace does not say that it is for this Repository.
    #[error("namespace `{namespace}` is not labelled for Repository `{repository}`")]
    NamespaceUnlabelled {
        /// Which.
        namespace: String,
        /// The Repository that would use it.
        repository: String,
    },
    /// The namespace is another Repository's.
    #[error("namespace `{namespace}` belongs to Repository `{other}`")]
    NameTaken {
        /// Which.
        namespace: String,
        /// Whose it is.
        other: String,
    },
    /// The namespace that a branch would get is somebody's already.
    #[error("namespace `{namespace}` exists, and osier did not make it for this branch")]
    NamespaceForeign {
        /// Which.
        namespace: String,
    },
    /// Somebody else wrote in the meantime.
    #[error("{what} changed in the meantime")]
    Changed {
        /// Which object.
        what: String,
    },
    /// Somebody else has created the Record of this number.
    #[error("Record `{name}` is somebody else's")]
    AlreadyClaimed {
        /// Name of the Record.
        name: String,
    },
    /// There is no object of this name.
    #[error("there is no {what}")]
    Missing {
        /// Kind and name.
        what: String,
    },
    /// The fingerprint key has not 32 bytes.
    #[error("Secret `{namespace}/osier-fingerprint` holds no key of 32 bytes")]
    FingerprintKey {
        /// The home namespace.
        namespace: String,
    },
    /// The Secret that a Repository names does not exist.
    #[error("there is no Secret `{namespace}/{name}`, which the Repository's `credentials` name")]
    CredentialsMissing {
        /// The home namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The operating system gives no random bytes.
    #[error("cannot make a key: no random bytes")]
    Random {
        /// What the system says.
        #[source]
        source: getrandom::Error,
    },
}

impl Error {
    pub(super) fn call(what: impl Into<String>) -> impl FnOnce(Failure) -> Self {
        let what = what.into();
        move |failure| Error::Call { what, source: Box::new(failure) }
    }

    /// The one of the closed list.
    pub fn reason(&self) -> Reason {
        match self {
            Error::Call { source, .. } => source.reason(),
            Error::Watch { source } => source.reason(),
            Error::Kubeconfig { .. } | Error::NoConfig { .. } | Error::Client { .. } | Error::Random { .. } => {
                Reason::ServerUnavailable
            }
            Error::NotInstalled { .. } | Error::UnknownKind { .. } | Error::Malformed { .. } => Reason::ProblemsFound,
            Error::NamespaceMissing { .. } => Reason::NamespaceMissing,
            Error::NamespaceTerminating { .. } => Reason::NamespaceTerminating,
            Error::NamespaceUnlabelled { .. } | Error::FingerprintKey { .. } => Reason::Forbidden,
            Error::NameTaken { .. } | Error::NamespaceForeign { .. } => Reason::NameTaken,
            Error::Missing { .. } => Reason::PolicyDenied,
            Error::CredentialsMissing { .. } => Reason::RepositoryUnreachable,
            Error::Changed { .. } | Error::AlreadyClaimed { .. } => Reason::Conflict,
        }
    }

    /// Whether the same request can succeed later.
    pub fn retry(&self) -> Retry {
        match self {
            Error::Call { source, .. } => source.retry(),
            Error::Watch { source } => source.retry(),
            Error::NamespaceTerminating { .. } | Error::NamespaceMissing { .. } | Error::NamespaceForeign { .. } => {
                Retry::Later
            }
            Error::Changed { .. } | Error::AlreadyClaimed { .. } | Error::CredentialsMissing { .. } => Retry::Later,
            _ => Retry::Never,
        }
    }

    /// What to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Kubeconfig { .. } | Error::NoConfig { .. } | Error::Client { .. } => {
                Some("kubectl config get-contexts; or name one with --kubeconfig and --context".to_owned())
            }
            Error::Watch { source } => source.hint(),
            Error::NotInstalled { .. } => Some(INSTALL.to_owned()),
            Error::UnknownKind { kind, .. } => Some(format!("kubectl api-resources | grep {kind}")),
            Error::NamespaceMissing { namespace, repository } => Some(format!(
                "kubectl create namespace {namespace} && kubectl label namespace {namespace} osier.dev/repository={repository}"
            )),
            Error::NamespaceTerminating { namespace } => Some(format!(
                "wait until it is gone and make it again; `kubectl describe namespace {namespace}` says what keeps it"
            )),
            Error::Changed { .. } | Error::AlreadyClaimed { .. } => {
                Some("somebody else is at work on this environment: try again in a minute".to_owned())
            }
            Error::NamespaceUnlabelled { namespace, repository } => {
                Some(format!("kubectl label namespace {namespace} osier.dev/repository={repository}"))
            }
            Error::FingerprintKey { namespace } => Some(format!(
                "kubectl -n {namespace} delete secret osier-fingerprint (a new one is made; each workload restarts once)"
            )),
            Error::CredentialsMissing { namespace, name } => {
                Some(format!("kubectl -n {namespace} create secret generic {name} --from-file=password=TOKEN_FILE"))
            }
            Error::Missing { .. } => Some("kubectl get repositories,environments -A".to_owned()),
            Error::NameTaken { namespace, .. } => Some(format!(
                "use another namespace; `kubectl get namespace {namespace} --show-labels` says whose it is"
            )),
            Error::NamespaceForeign { namespace } => Some(format!(
                "`kubectl describe namespace {namespace}` says whose it is: let it be deleted, or name the branch otherwise"
            )),
            Error::Call { source, .. } => source.hint(),
            Error::Malformed { .. } | Error::Random { .. } => None,
        }
    }
}

impl Failure {
    /// The one of the closed list.
    pub fn reason(&self) -> Reason {
        match &self.cause {
            Cause::Refused(refusal) => refusal.class(),
            Cause::LeaseLost => Reason::Conflict,
            Cause::Broken(_) | Cause::TimedOut(_) | Cause::Unreadable => Reason::ServerUnavailable,
        }
    }

    /// Whether the same request can succeed later.
    pub fn retry(&self) -> Retry {
        match self.reason() {
            Reason::ProblemsFound | Reason::Forbidden => Retry::Never,
            _ => Retry::Later,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match (&self.cause, self.reason()) {
            (Cause::Broken(_), _) => "kubectl cluster-info",
            (Cause::TimedOut(_), _) => "kubectl get --raw '/readyz?verbose'; --request-timeout gives it more time",
            (_, Reason::Forbidden) if self.code() == Some(401) => {
                "the credentials are not accepted: see `kubectl auth whoami`, and log in again"
            }
            (_, Reason::Forbidden) => "kubectl auth whoami; kubectl auth can-i --list",
            (_, Reason::QuotaExceeded) => "kubectl describe quota --all-namespaces",
            (_, Reason::Conflict) => "somebody else wrote at the same time: try again",
            (_, Reason::ServerUnavailable) if self.code() == Some(429) => {
                "it has too much to do: try again in a minute"
            }
            (_, Reason::ServerUnavailable) => "kubectl get --raw '/readyz?verbose', then try again",
            _ => return None,
        };
        Some(hint.to_owned())
    }

    pub(super) fn code(&self) -> Option<u16> {
        self.cause.code()
    }

    /// True if the object is another one than the request was meant for, or has another version.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self.cause, Cause::Refused(_)) && self.reason() == Reason::Conflict
    }
}

impl Refusal {
    fn class(&self) -> Reason {
        let terminating = self.causes.iter().any(|cause| cause == "NamespaceTerminating");
        match (self.code, self.sign) {
            (403, _) if terminating => Reason::NamespaceTerminating,
            (403, Sign::Quota) => Reason::QuotaExceeded,
            (_, Sign::OtherObject) | (404 | 409, _) => Reason::Conflict,
            (401 | 403, _) | (_, Sign::Admission) => Reason::Forbidden,
            // 410: the pages of a list expired before the last one was read
            (410 | 429 | 500.., sign) if sign != Sign::NotApplicable => Reason::ServerUnavailable,
            _ => Reason::ProblemsFound,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(code: u16, sign: Sign) -> Reason {
        Refusal { code, sign, ..Refusal::default() }.class()
    }

    #[test]
    fn every_answer_has_one_reason() {
        for (code, sign, reason) in [
            (400, Sign::None, Reason::ProblemsFound),
            (401, Sign::None, Reason::Forbidden),
            (403, Sign::None, Reason::Forbidden),
            (403, Sign::Quota, Reason::QuotaExceeded),
            (404, Sign::None, Reason::Conflict),
            (409, Sign::None, Reason::Conflict),
            (409, Sign::OtherObject, Reason::Conflict),
            (410, Sign::None, Reason::ServerUnavailable),
            (422, Sign::None, Reason::ProblemsFound),
            (422, Sign::OtherObject, Reason::Conflict),
            (422, Sign::Admission, Reason::Forbidden),
            (429, Sign::None, Reason::ServerUnavailable),
            (500, Sign::None, Reason::ServerUnavailable),
            (500, Sign::NotApplicable, Reason::ProblemsFound),
            (504, Sign::None, Reason::ServerUnavailable),
        ] {
            assert_eq!(class(code, sign), reason, "{code} {sign:?}");
        }
    }
}
