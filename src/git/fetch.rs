//! What a look at the remote says: `Known`, or `Unknown` with the reason. Only `Known` leads to a plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::git::failure::Failure;
use crate::model::reason::{Reason, Retry};
use crate::model::tree::GitId;

/// The answer of a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// The protected branch as it is.
    Known(Known),
    /// Nothing is known: everything stays as it is.
    Unknown(Unknown),
}

impl From<Fetch> for Result<GitId, Unknown> {
    fn from(fetch: Fetch) -> Self {
        match fetch {
            Fetch::Known(known) => Ok(known.tip),
            Fetch::Unknown(unknown) => Err(unknown),
        }
    }
}

/// A tip that the remote has and that continues what was accepted.
///
/// # Guarantees
/// Only a fetch makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    tip: GitId,
    branches: Option<Arc<Branches>>,
}

/// Every branch of a remote whose name is UTF-8, and where it is.
pub type Branches = BTreeMap<String, GitId>;

impl Known {
    pub(in crate::git) fn new(tip: GitId) -> Self {
        Self { tip, branches: None }
    }

    pub(in crate::git) fn with_branches(self, branches: Branches) -> Self {
        Self { branches: Some(Arc::new(branches)), ..self }
    }

    /// All branches, if they were asked for: one that is missing here is not there.
    pub fn branches(&self) -> Option<&Branches> {
        self.branches.as_deref()
    }

    /// The tip of the protected branch.
    pub fn tip(&self) -> GitId {
        self.tip
    }
}

/// Which tips were accepted before. Without any, the first one seen is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The last accepted tip (`Repository.status`); a new one has to descend from it.
    pub last: Option<GitId>,
    /// The tip that an administrator allowed (`Repository.spec.allow`), whatever it descends from.
    pub allowed: Option<GitId>,
}

/// The answer of a look at the refs alone: no reason to plan, but one to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Each branch is where the mirror has it, which was accepted.
    Unchanged,
    /// A branch moved, is gone or was never fetched: a fetch tells.
    Changed,
    /// Nothing is known.
    Unknown(Unknown),
}

/// Why a remote's state is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// No answer, or no usable one.
    #[error("could not read the remote `{url:.200}`")]
    Unreachable {
        /// Its URL, the first one if no place of the repository could be read.
        url: String,
        /// What was wrong.
        source: Failure,
    },
    /// It answered, and has no ref at all.
    #[error("the remote is empty")]
    Empty,
    /// It has refs, but not the protected branch.
    #[error("the remote has no branch `{branch:.200}`")]
    BranchMissing {
        /// The protected branch.
        branch: String,
    },
    /// The branch moved each time that the others were asked for.
    #[error("`{branch:.200}` moves faster than it can be looked at")]
    Moving {
        /// The protected branch.
        branch: String,
    },
    /// The branch was rewritten, or another repository stands behind the URL.
    #[error("`{branch}` is at `{tip}`, which does not descend from the accepted `{accepted}`")]
    NotDescendant {
        /// The protected branch.
        branch: String,
        /// Its tip now.
        tip: GitId,
        /// The tip that was accepted last.
        accepted: GitId,
    },
}

impl Unknown {
    /// `RepositoryUnreachable`, or `RepositorySuspicious` if the remote answered.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Unreachable { .. } | Self::Moving { .. } => Reason::RepositoryUnreachable,
            Self::Empty | Self::BranchMissing { .. } | Self::NotDescendant { .. } => Reason::RepositorySuspicious,
        }
    }

    /// The remote may be another one at the next look.
    pub fn retry(&self) -> Retry {
        Retry::Later
    }

    /// What to do.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreachable { source, .. } => source.hint().into(),
            Self::Moving { .. } => "nothing: it is looked at again".into(),
            Self::Empty | Self::BranchMissing { .. } => "push the branch, or correct `url` or `protectedBranch`".into(),
            Self::NotDescendant { tip, .. } => {
                format!("restore the branch, or let an administrator add `tip: {tip}` to the Repository's `spec.allow`")
            }
        })
    }
}
