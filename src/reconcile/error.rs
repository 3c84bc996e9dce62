//! What ends a pass early.

use crate::cluster;
use crate::git;
use crate::keys;
use crate::model::environment::PlanStatus;
use crate::model::problem::Problem;
use crate::model::reason::{Reason, Retry};

/// Why a pass did not come to its end. Nothing was written for the revision when it is `Blocked`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The git side failed.
    #[error("cannot read the git repository")]
    Git(#[from] git::error::Error),
    /// The remote cannot be taken at its word.
    #[error("cannot go on from what the git remote says")]
    Fetch(#[from] git::fetch::Unknown),
    /// The API server failed.
    #[error(transparent)]
    Cluster(#[from] cluster::error::Error),
    /// Keys could not be read.
    #[error("cannot use the keys")]
    Keys(#[from] keys::Error),
    /// Something has to be done by somebody first.
    #[error("{message}")]
    Blocked {
        /// The class.
        reason: Reason,
        /// What is the matter, lower case.
        message: String,
        /// What to do.
        hint: String,
        /// Mistakes in files, if that is it.
        problems: Vec<Problem>,
        /// The plan that waits, if that is it: what `spec.allow` has to name.
        plan: Option<PlanStatus>,
    },
}

impl Error {
    /// Somebody has to do something first.
    pub fn blocked(reason: Reason, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Blocked { reason, message: message.into(), hint: hint.into(), problems: Vec::new(), plan: None }
    }

    /// Mistakes in files of the revision; the class is the gravest of theirs.
    pub fn problems(problems: Vec<Problem>) -> Self {
        let decrypt = problems.iter().all(|problem| problem.reason == Reason::CannotDecrypt);
        let policy = problems.iter().any(|problem| problem.reason == Reason::PolicyDenied);
        let reason = match (decrypt && !problems.is_empty(), policy) {
            (true, _) => Reason::CannotDecrypt,
            (_, true) => Reason::PolicyDenied,
            _ => Reason::ProblemsFound,
        };
        let message = match problems.first() {
            Some(first) if problems.len() == 1 => format!("1 problem: {first}"),
            Some(first) => format!("{} problems, the first: {first}", problems.len()),
            None => "problems found".to_owned(),
        };
        Self::Blocked {
            reason,
            message,
            hint: "mend the files and commit, then try again".to_owned(),
            problems,
            plan: None,
        }
    }

    /// A plan that waits for somebody's consent.
    pub fn waits(reason: Reason, plan: PlanStatus, message: String, hint: String) -> Self {
        Self::Blocked { reason, message, hint, problems: Vec::new(), plan: Some(plan) }
    }

    /// What was attempted and why it did not work, in one sentence, as a condition has room for.
    pub fn sentence(&self) -> String {
        sentence(self)
    }

    /// The plan that waits for consent.
    pub fn plan(&self) -> Option<&PlanStatus> {
        match self {
            Self::Blocked { plan, .. } => plan.as_ref(),
            _ => None,
        }
    }

    /// The class.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Git(error) => error.reason(),
            Self::Fetch(unknown) => unknown.reason(),
            Self::Cluster(error) => error.reason(),
            Self::Keys(error) => error.reason(),
            Self::Blocked { reason, .. } => *reason,
        }
    }

    /// Whether time alone can help.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Git(error) => error.retry(),
            Self::Fetch(unknown) => unknown.retry(),
            Self::Cluster(error) => error.retry(),
            Self::Keys(_) | Self::Blocked { .. } => Retry::Never,
        }
    }

    /// What to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Git(error) => error.hint(),
            Self::Fetch(unknown) => unknown.hint(),
            Self::Cluster(error) => error.hint(),
            Self::Keys(error) => error.hint(),
            Self::Blocked { hint, .. } => Some(hint.clone()),
        }
    }
}

/// An error and its causes in one line.
pub fn sentence(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |sentence, cause| format!("{sentence}: {cause}"))
}
