//! What looking at remotes cost so far.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What one mirror's looks and fetches cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Looks at the refs alone.
    pub looks: u64,
    /// Fetches; those that waited together count once.
    pub fetches: u64,
    /// Connections to git servers.
    pub connections: u64,
    /// Bytes of their answers, without what TLS, SSH and HTTP add. Local repositories send none.
    pub received_bytes: u64,
    /// Time in looks and fetches.
    pub busy: Duration,
}

/// Counts while others read.
#[derive(Default)]
pub(in crate::git) struct Counters {
    looks: AtomicU64,
    fetches: AtomicU64,
    connections: AtomicU64,
    received_bytes: AtomicU64,
    busy_nanos: AtomicU64,
}

impl Counters {
    pub(in crate::git) fn looked(&self, since: Instant) {
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.was_busy(since);
    }

    pub(in crate::git) fn fetched(&self, since: Instant) {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        self.was_busy(since);
    }

    pub(in crate::git) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::git) fn received(&self, bytes: usize) {
        self.received_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(in crate::git) fn read(&self) -> Traffic {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Traffic {
            looks: of(&self.looks),
            fetches: of(&self.fetches),
            connections: of(&self.connections),
            received_bytes: of(&self.received_bytes),
            busy: Duration::from_nanos(of(&self.busy_nanos)),
        }
    }

    fn was_busy(&self, since: Instant) {
        let nanos = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.busy_nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}
