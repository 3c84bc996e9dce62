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

/// A tip that the remote has and that continues what was accepted, and what was seen of followed repositories beside it.
///
/// # Guarantees
/// Only a fetch makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    tip: GitId,
    branches: Option<Arc<Branches>>,
    unfetched: Arc<BTreeMap<String, Unknown>>,
    followed: Arc<BTreeMap<String, Followed>>,
}

/// Every branch of a remote whose name is UTF-8, and where it is.
pub type Branches = BTreeMap<String, GitId>;

/// What was seen last of a followed repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// The branch that counts where it lacks another.
    pub fallback: String,
    /// Its branches; `None` while it was never seen.
    pub branches: Option<Arc<Branches>>,
}

impl Followed {
    /// Where a branch is that can have an environment.
    pub fn branch(&self, name: &str) -> Option<GitId> {
        self.branches.as_ref()?.get(name).copied().filter(|_| name != self.fallback)
    }

    /// The commit that counts for the environment of a branch; `None` while nothing is known.
    pub fn commit(&self, name: &str) -> Option<GitId> {
        let branches = self.branches.as_ref()?;
        branches.get(name).or_else(|| branches.get(&self.fallback)).copied()
    }
}

impl Known {
    pub(in crate::git) fn new(tip: GitId) -> Self {
        Self { tip, branches: None, unfetched: Arc::default(), followed: Arc::default() }
    }

    /// The same with what was seen of followed repositories, by name.
    #[must_use]
    pub fn beside(self, followed: BTreeMap<String, Followed>) -> Self {
        Self { followed: Arc::new(followed), ..self }
    }

    /// The followed repositories by name.
    pub fn followed(&self) -> &BTreeMap<String, Followed> {
        &self.followed
    }

    /// All branches that can have an environment, wherever they are; the repository's own commit counts first.
    pub fn branches_anywhere(&self) -> Option<Branches> {
        let mut all: Branches = self.elsewhere().map(|(name, tip)| (name.clone(), tip)).collect();
        all.extend(self.branches()?.iter().map(|(name, tip)| (name.clone(), *tip)));
        Some(all)
    }

    fn elsewhere(&self) -> impl Iterator<Item = (&String, GitId)> {
        self.followed.values().flat_map(|followed| {
            let branches = followed.branches.iter().flat_map(|branches| branches.iter());
            branches.filter(|(name, _)| **name != followed.fallback).map(|(name, tip)| (name, *tip))
        })
    }

    /// Whether a branch is anywhere; `None` if it was not seen and there is a repository of which nothing is known.
    pub fn has(&self, name: &str) -> Option<bool> {
        let mut followed = self.followed.values();
        let own = self.branches()?;
        if own.contains_key(name) || followed.clone().any(|followed| followed.branch(name).is_some()) {
            return Some(true);
        }
        followed.all(|followed| followed.branches.is_some()).then_some(false)
    }

    /// What a branch is at, wherever it is: another text after each push to it. `None` if it is nowhere, or a repository was not seen yet.
    pub fn mark(&self, name: &str) -> Option<String> {
        if !self.has(name)? || self.followed.values().any(|followed| followed.branches.is_none()) {
            return None;
        }
        let own = self.branches()?.get(name).copied();
        let commits = own.into_iter().chain(self.followed.values().filter_map(|followed| followed.branch(name)));
        Some(commits.map(|commit| commit.to_string()).collect::<Vec<_>>().join(" "))
    }

    pub(in crate::git) fn with_branches(self, branches: Branches, unfetched: BTreeMap<String, Unknown>) -> Self {
        Self { branches: Some(Arc::new(branches)), unfetched: Arc::new(unfetched), ..self }
    }

    /// Why a branch that is wanted and there could not be fetched, if so: the mirror lacks its tip.
    pub fn unfetched(&self, name: &str) -> Option<&Unknown> {
        self.unfetched.get(name)
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
    /// A branch is there, and what it is at could not be fetched. The others are not concerned.
    #[error("could not fetch the branch `{branch:.200}`")]
    NotFetched {
        /// The branch.
        branch: String,
        /// What was wrong.
        source: Failure,
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
            Self::Unreachable { .. } | Self::NotFetched { .. } | Self::Moving { .. } => Reason::RepositoryUnreachable,
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
            Self::Unreachable { source, .. } | Self::NotFetched { source, .. } => source.hint().into(),
            Self::Moving { .. } => "nothing: it is looked at again".into(),
            Self::Empty | Self::BranchMissing { .. } => "push the branch, or correct `url` or `protectedBranch`".into(),
            Self::NotDescendant { tip, .. } => {
                format!("restore the branch, or let an administrator add `tip: {tip}` to the Repository's `spec.allow`")
            }
        })
    }
}
