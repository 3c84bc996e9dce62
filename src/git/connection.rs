//! Connections to git servers: one visit asks one place once, in bounded time, and knows exactly what went wrong.
//!
//! libgit2's own network code is not used: its limits, authorities and known hosts are of the whole process, and it says what
//! went wrong in sentences. `crate::git::transport` puts these connections below its protocol.

pub(in crate::git) mod dial;
pub(in crate::git) mod http;
pub(in crate::git) mod ssh;
pub(in crate::git) mod tls;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::git::connection::http::Http;
use crate::git::connection::ssh::Ssh;
use crate::git::failure::Failure;
use crate::git::remotes::place::Place;
use crate::git::remotes::{Address, Remotes};
use crate::git::traffic::Counters;

/// The refs of a repository are a hundred bytes each: a server that names a million of them is not ours.
pub(in crate::git) const REFS_LIMIT: u64 = 64 << 20;

/// One use of one place of a repository.
#[derive(Clone)]
pub(in crate::git) struct Visit {
    remotes: Arc<Remotes>,
    index: usize,
    whole: Duration,
    deadline: Instant,
    counters: Arc<Counters>,
}

/// An open connection.
pub(in crate::git) enum Connection {
    Http(Box<Http>),
    Ssh(Box<Ssh>),
}

impl Visit {
    /// Begins now, and ends after `whole` at the latest.
    pub(in crate::git) fn new(remotes: &Arc<Remotes>, index: usize, whole: Duration, counters: &Arc<Counters>) -> Self {
        let (remotes, counters) = (Arc::clone(remotes), Arc::clone(counters));
        Self { remotes, index, whole, deadline: Instant::now() + whole, counters }
    }

    pub(in crate::git) fn address(&self) -> &Address {
        &self.remotes.places[self.index]
    }

    /// How long to wait for the next thing that takes `usual` at most.
    fn patience(&self, usual: Duration) -> Result<Duration, Failure> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(self.too_slow()) } else { Ok(left.min(usual)) }
    }

    /// How long to wait for the next byte.
    fn silence(&self) -> Result<Duration, Failure> {
        self.patience(self.remotes.limits.silence)
    }

    /// What it was, after waiting in vain for something that takes `usual` at most.
    fn in_vain(&self, usual: Duration) -> Failure {
        let over = Instant::now() >= self.deadline;
        if over { self.too_slow() } else { Failure::Silent { seconds: usual.as_secs() } }
    }

    /// The whole time is over.
    pub(in crate::git) fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }

    pub(in crate::git) fn too_slow(&self) -> Failure {
        Failure::Slow { seconds: self.whole.as_secs() }
    }
}

impl Connection {
    /// Connects, or gets ready to; `None` for a place on this machine's disk.
    pub(in crate::git) fn open(visit: &Visit) -> Result<Option<Self>, Failure> {
        match &visit.address().place {
            Place::Local(_) => Ok(None),
            Place::Http(site) => Ok(Some(Self::Http(Box::new(Http::new(visit, site)?)))),
            Place::Ssh(account) => Ok(Some(Self::Ssh(Box::new(Ssh::open(visit, account)?)))),
        }
    }

    /// Asks for the refs; they are read next.
    pub(in crate::git) fn ask_refs(&mut self) -> Result<(), Failure> {
        match self {
            Self::Http(http) => http.ask_refs(),
            Self::Ssh(_) => Ok(()), // the other side begins
        }
    }

    /// The next bytes of the answer; none at its end.
    pub(in crate::git) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        match self {
            Self::Http(http) => http.read(buffer),
            Self::Ssh(ssh) => ssh.read(buffer),
        }
    }
}
