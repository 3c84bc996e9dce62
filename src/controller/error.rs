//! Why the service could not begin, or ended by itself.

use crate::cluster;
use crate::controller::process;
use crate::model::reason::Reason;
use crate::supervise;

/// Why the service ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What the work stands on does not run.
    #[error("the service cannot begin")]
    Process(#[from] process::Error),
    /// The API server cannot be worked with.
    #[error("cannot work with the API server")]
    Cluster(#[from] cluster::error::Error),
    /// The operating system does not tell of signals.
    #[error("cannot listen for signals")]
    Signals {
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A task of the service ended.
    #[error("the service ended by itself")]
    Task(#[from] supervise::Error),
}

impl Error {
    /// The class.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Process(error) => error.reason(),
            Self::Cluster(error) => error.reason(),
            Self::Signals { .. } | Self::Task(_) => Reason::ServerUnavailable,
        }
    }

    /// What to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Process(error) => error.hint(),
            Self::Cluster(error) => error.hint(),
            Self::Signals { .. } | Self::Task(_) => None,
        }
    }
}
