//! What a pass works with, and what is remembered between passes of one process.

use std::collections::HashMap;

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
    pub cluster: Cluster,
    /// The grant.
    pub repository: Repository,
    /// The mirror of its URL.
    pub mirror: Mirror,
    /// The identities at hand.
    pub keyring: Keyring,
    /// Keys fingerprints and seals.
    pub fingerprint_key: FingerprintKey,
    /// Tells the time; a constant in tests.
    pub now: fn() -> Timestamp,
    /// What files contribute, by blob id.
    pub outlines: Outlines,
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
}

impl World {
    /// Name of the Repository.
    pub fn name(&self) -> &str {
        self.repository.metadata.name.as_deref().unwrap_or_default()
    }

    /// Namespace of the Environments and Records.
    pub fn home(&self) -> &str {
        &self.repository.spec.home
    }
}
