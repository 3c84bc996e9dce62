//! Why the receiver could not begin, or ended by itself.

use crate::model::reason::Reason;
use crate::{cluster, server, supervise};

/// Why the receiver ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address cannot be used.
    #[error("the receiver cannot begin")]
    Listen(#[from] server::Error),
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
    /// A task of the receiver ended.
    #[error("the receiver ended by itself")]
    Task(#[from] supervise::Error),
}

impl Error {
    /// The class.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Listen(error) => error.reason(),
            Self::Cluster(error) => error.reason(),
            Self::Signals { .. } | Self::Task(_) => Reason::ServerUnavailable,
        }
    }

    /// What to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Listen(error) => Some(error.hint()),
            Self::Cluster(error) => error.hint(),
            Self::Signals { .. } | Self::Task(_) => None,
        }
    }
}
