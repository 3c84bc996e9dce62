//! What a pass works with, and what is remembered between passes of one process.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::cluster::Cluster;
use crate::git::mirror::Mirror;
use crate::keys::Keyring;
use crate::model::environment::Environment;
use crate::model::repository::Repository;
use crate::model::wire::FingerprintKey;
use crate::reconcile::desire::{Composed, Outlines};
use crate::reconcile::history::Chain;

/// One Repository, seen from one process.
pub struct World {
    /// The API server.
    pub cluster: Arc<Cluster>,
    /// The grant.
    pub repository: Arc<Repository>,
    /// The mirror of its URL.
    pub mirror: Mirror,
    /// The identities at hand.
    pub keyring: Arc<Keyring>,
    /// Keys fingerprints and seals.
    pub fingerprint_key: Arc<FingerprintKey>,
    /// Tells the time; a constant in tests.
    pub now: fn() -> Timestamp,
    /// What files contribute, by blob id.
    pub outlines: Arc<Outlines>,
    /// What was seen of each environment, by name.
    pub memory: HashMap<String, Memory>,
}

/// What was seen of one environment.
pub struct Memory {
    /// As last read or written.
    pub environment: Environment,
    /// Its Records.
    pub chain: Chain,
    /// The desired set that was applied last.
    pub composed: Option<Composed>,
    /// When its status was written last by this process.
    pub settled_at: Option<Timestamp>,
}

/// A status that only names another commit is written this often at most, in seconds.
pub const MOVED_ON_SECONDS: i64 = 60;

impl Memory {
    /// What is known of an environment at first sight.
    pub fn new(environment: Environment, chain: Chain) -> Self {
        Self { environment, chain, composed: None, settled_at: None }
    }

    /// True if the last write of the status is long enough ago to say that it moved on to another commit.
    pub fn may_say_so(&self, now: Timestamp) -> bool {
        self.settled_at.is_none_or(|then| (now.as_second() - then.as_second()).abs() >= MOVED_ON_SECONDS)
    }

    /// The newest commit that is known to have been accepted: what a rollback rejected is newer than what it went back to.
    ///
    /// The status stands in for Records that do not prove anything, because their key was lost.
    pub fn newest_commit(&self) -> Option<&str> {
        let status = self.environment.status.as_ref();
        let hold = status.and_then(|status| status.hold.as_ref()).filter(|hold| !hold.ended);
        let rejected = hold.and_then(|hold| hold.rejected.last()).map(String::as_str);
        let head = self.chain.head.as_ref().map(|head| head.spec.commit.as_str());
        let applied = status.map(|status| status.commit.as_str()).filter(|commit| !commit.is_empty());
        rejected.or(head).or(applied)
    }
}

impl World {
    /// A process that has seen nothing yet.
    pub fn new(
        cluster: Cluster,
        repository: Repository,
        mirror: Mirror,
        keyring: Keyring,
        fingerprint_key: FingerprintKey,
        now: fn() -> Timestamp,
    ) -> Self {
        Self {
            cluster: Arc::new(cluster),
            repository: Arc::new(repository),
            mirror,
            keyring: Arc::new(keyring),
            fingerprint_key: Arc::new(fingerprint_key),
            now,
            outlines: Arc::default(),
            memory: HashMap::new(),
        }
    }

    /// Name of the Repository.
    pub fn name(&self) -> &str {
        self.repository.metadata.name.as_deref().unwrap_or_default()
    }

    /// Namespace of the Environments and Records.
    pub fn home(&self) -> &str {
        &self.repository.spec.home
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::environment::{EnvironmentSpec, EnvironmentStatus, HoldStatus};

    fn memory(commit: &str, hold: Option<HoldStatus>) -> Memory {
        let mut environment = Environment::new("staging", EnvironmentSpec::default());
        environment.status =
            Some(EnvironmentStatus { commit: commit.to_owned(), hold, ..EnvironmentStatus::default() });
        Memory::new(environment, Chain::default())
    }

    #[test]
    fn what_a_rollback_rejected_was_accepted_after_what_it_went_back_to() {
        let hold =
            |ended| HoldStatus { rejected: vec!["c2".to_owned(), "c3".to_owned()], ended, ..HoldStatus::default() };
        assert_eq!(memory("c1", Some(hold(false))).newest_commit(), Some("c3"));
        assert_eq!(memory("c4", Some(hold(true))).newest_commit(), Some("c4"));
        assert_eq!(memory("", None).newest_commit(), None);
    }
}
