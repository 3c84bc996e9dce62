//! What can go wrong with a repository.

use std::path::PathBuf;

use crate::model::reason::{Reason, Retry};
use crate::model::tree::GitId;

/// What libgit2 or the system said, reduced to a code and a line. Neither is ever given a credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:.200} ({code})")]
pub struct Cause {
    /// Name of libgit2's error code, such as `NotFound`.
    pub code: String,
    /// One line, cut where it is printed.
    pub text: String,
}

impl From<&git2::Error> for Cause {
    fn from(error: &git2::Error) -> Self {
        let text = error.message().lines().next().unwrap_or_default();
        Self { code: format!("{:?}", error.code()), text: text.to_owned() }
    }
}

impl From<git2::Error> for Cause {
    fn from(error: git2::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&std::io::Error> for Cause {
    fn from(error: &std::io::Error) -> Self {
        Self { code: format!("{:?}", error.kind()), text: error.to_string() }
    }
}

/// Why a repository did not give what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// libgit2 refused a process-wide option.
    #[error("could not set up libgit2")]
    Setup {
        /// What it said.
        source: Cause,
    },
    /// A mirror could not be opened, made, locked or replaced.
    #[error("could not open the mirror at `{}`", path.display())]
    Open {
        /// Its directory.
        path: PathBuf,
        /// What was wrong.
        source: Cause,
    },
    /// A directory is in no clone with a working tree.
    #[error("could not find a clone with a working tree at `{}`", path.display())]
    NoWorktree {
        /// The directory.
        path: PathBuf,
        /// What was wrong.
        source: Cause,
    },
    /// No branch can have this name.
    #[error("`{branch:.200}` is no name of a branch")]
    BranchName {
        /// The name.
        branch: String,
    },
    /// A URL of a Repository is of a kind that is not used.
    #[error("`{url:.200}` is no URL that can be used: {why}")]
    Url {
        /// The URL, without what may be a credential.
        url: String,
        /// What is wrong with it.
        why: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// A Secret with credentials cannot be used.
    #[error("the Secret of `credentials` cannot be used: {entry} {what:.200}")]
    Credentials {
        /// The entry in question.
        entry: String,
        /// What is wrong with it, without its value.
        what: String,
    },
    /// Nothing has this name.
    #[error("no commit or branch `{text}`")]
    NotFound {
        /// What was asked for.
        text: String,
    },
    /// More than one commit has this name.
    #[error("`{text}` names more than one commit")]
    Ambiguous {
        /// What was asked for.
        text: String,
    },
    /// An object of the repository is missing or damaged.
    #[error("could not read the {what} `{id}`")]
    Object {
        /// `commit`, `tree` or `file`.
        what: &'static str,
        /// Its id.
        id: GitId,
        /// What was wrong.
        source: Cause,
    },
    /// A ref of the mirror could not be written.
    #[error("could not write `{name}` in the mirror")]
    Reference {
        /// Full name.
        name: String,
        /// What was wrong.
        source: Cause,
    },
    /// A file or directory of the working tree could not be read.
    #[error("could not read `{}`", path.display())]
    File {
        /// Where.
        path: PathBuf,
        /// What was wrong.
        source: Cause,
    },
    /// A commit could not be written.
    #[error("could not commit in `{}`", path.display())]
    Commit {
        /// The working tree.
        path: PathBuf,
        /// What was wrong.
        source: Cause,
    },
    /// There is no such sort of forge.
    #[error("`{name:.200}` is no forge that commits can show anything at; it is one of: {names}")]
    Forge {
        /// As the Repository has it.
        name: String,
        /// Those that there are.
        names: String,
    },
    /// The system gives no thread.
    #[error("could not begin a thread")]
    Thread {
        /// What it said.
        source: Cause,
    },
    /// The thread of the mirror is gone.
    #[error("the mirror is closed")]
    Closed,
}

impl Error {
    /// All of them mean that the repository could not be read as asked.
    pub fn reason(&self) -> Reason {
        Reason::RepositoryUnreachable
    }

    /// Names stay wrong; the rest may mend itself with the next fetch.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Setup { .. }
            | Self::NoWorktree { .. }
            | Self::BranchName { .. }
            | Self::Url { .. }
            | Self::Credentials { .. }
            | Self::Ambiguous { .. }
            | Self::Commit { .. }
            | Self::Forge { .. }
            | Self::Closed => Retry::Never,
            Self::Open { .. }
            | Self::Thread { .. }
            | Self::NotFound { .. }
            | Self::Object { .. }
            | Self::Reference { .. }
            | Self::File { .. } => Retry::Later,
        }
    }

    /// What to do, where somebody can do something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound { .. } => Some("give a branch, or at least four digits of a commit that was fetched".into()),
            Self::Ambiguous { .. } => Some("give more digits of the commit".into()),
            Self::Object { .. } => Some("the next fetch replaces a damaged mirror; `git fsck` checks a clone".into()),
            Self::Open { .. } | Self::Commit { .. } => {
                Some("look at the rights and the free space of the directory".into())
            }
            Self::NoWorktree { .. } => Some("change to a directory of a clone, or make one with `git clone`".into()),
            Self::BranchName { .. } => Some("set `protectedBranch` to a branch such as `main`".into()),
            Self::Url { hint, .. } => Some((*hint).into()),
            Self::Credentials { .. } => Some(
                "its entries are `username`, `password`, `bearerToken`, `ca.crt`, `proxy`, and for SSH `identity`, `known_hosts`, \
                 `password` (the passphrase)"
                    .into(),
            ),
            Self::Forge { .. } => Some("correct `statuses.forge` of the Repository".into()),
            Self::Setup { .. } | Self::Reference { .. } | Self::File { .. } | Self::Thread { .. } | Self::Closed => None,
        }
    }
}
