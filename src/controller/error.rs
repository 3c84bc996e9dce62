//! Why the service could not begin, or ended by itself.

use std::net::SocketAddr;

use crate::cluster;
use crate::controller::supervise;
use crate::model::reason::Reason;

/// Why the service ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else listens there, or nobody may.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The operating system does not tell of signals.
    #[error("cannot listen for signals")]
    Signals {
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The operating system gives no random bytes.
    #[error("cannot choose a name that nobody else has")]
    Random {
        /// Why.
        #[source]
        source: getrandom::Error,
    },
    /// The API server cannot be worked with.
    #[error("cannot work with the API server")]
    Cluster(#[from] cluster::error::Error),
    /// A task of the service ended.
    #[error("the service ended by itself")]
    Task(#[from] supervise::Error),
}

impl Error {
    /// The class.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Cluster(error) => error.reason(),
            Self::Listen { .. } | Self::Signals { .. } | Self::Random { .. } | Self::Task(_) => Reason::Interrupted,
        }
    }

    /// What to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Listen { .. } => Some("choose another address: --listen ADDRESS".to_owned()),
            Self::Cluster(error) => error.hint(),
            Self::Signals { .. } | Self::Random { .. } | Self::Task(_) => None,
        }
    }
}
