//! What a pass works with, and what is remembered between passes of one process.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use crate::cluster::Cluster;
use crate::cluster::watched::Watched;
use crate::desired::generate::Generator;
use crate::git::mirror::Mirror;
use crate::git::tree::LayerTree;
use crate::keys::Keyring;
use crate::model::environment::{Environment, Head};
use crate::model::object::ObjectId;
use crate::model::repository::Repository;
use crate::model::tree::{GitId, TreeChange};
use crate::model::wire::FingerprintKey;
use crate::planning::checks::Check;
use crate::reconcile::checks::Begun;
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
    /// The watches of the one environment that this is for; without them each pass lists what there is.
    pub watched: Option<Arc<Watched>>,
}

/// What was seen of one environment.
pub struct Memory {
    /// As last read or written.
    pub environment: Environment,
    /// Its Records.
    pub chain: Chain,
    /// The Record that is open.
    pub begun: Option<Begun>,
    /// The desired set that was applied last.
    pub composed: Option<Composed>,
    /// The checks of the target that the last pass had.
    pub checks: Vec<Check>,
    /// What the last pass listed to judge them, if nobody watches.
    pub listed: Option<Arc<Watched>>,
    /// True while the watches are up and the namespace was found to be as it has to be.
    pub namespace_checked: bool,
    /// When its status was written last by this process.
    pub settled_at: Option<Timestamp>,
    /// Number of a Record that somebody left and this process completed as `Interrupted`, until it is told.
    pub interrupted: Option<u64>,
}

/// A status that only names another commit is written this often at most, in seconds.
pub const MOVED_ON_SECONDS: i64 = 60;

impl Memory {
    /// What is known of an environment at first sight.
    pub fn new(environment: Environment, chain: Chain) -> Self {
        Self {
            environment,
            chain,
            begun: None,
            composed: None,
            checks: Vec::new(),
            listed: None,
            namespace_checked: false,
            settled_at: None,
            interrupted: None,
        }
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
        cluster: impl Into<Arc<Cluster>>,
        repository: impl Into<Arc<Repository>>,
        mirror: Mirror,
        keyring: impl Into<Arc<Keyring>>,
        fingerprint_key: FingerprintKey,
        now: fn() -> Timestamp,
    ) -> Self {
        Self {
            cluster: cluster.into(),
            repository: repository.into(),
            mirror,
            keyring: keyring.into(),
            fingerprint_key: Arc::new(fingerprint_key),
            now,
            outlines: Arc::default(),
            memory: HashMap::new(),
            watched: None,
        }
    }

    /// The same surroundings for one environment of its own, of which nothing is remembered yet.
    #[must_use]
    pub fn for_environment(&self, watched: Watched) -> Self {
        Self { watched: Some(Arc::new(watched)), ..self.anew() }
    }

    /// The same surroundings, of which nothing is remembered yet and nothing is watched.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self {
            cluster: self.cluster.clone(),
            repository: self.repository.clone(),
            mirror: self.mirror.clone(),
            keyring: self.keyring.clone(),
            fingerprint_key: self.fingerprint_key.clone(),
            now: self.now,
            outlines: self.outlines.clone(),
            memory: HashMap::new(),
            watched: None,
        }
    }

    /// Takes an Environment as a watch shows it. What is older than what is remembered says nothing.
    ///
    /// After a Record of somebody else everything is read again; true if that is so.
    pub fn saw(&mut self, name: &str, environment: Environment) -> bool {
        let Some(memory) = self.memory.get_mut(name) else { return false };
        let number = |head: Option<&Head>| head.map_or(0, |head| head.number);
        let version = |environment: &Environment| {
            environment.metadata.resource_version.as_deref().and_then(|version| version.parse::<u64>().ok())
        };
        if version(&environment) <= version(&memory.environment) {
            return false;
        }
        let head = environment.status.as_ref().and_then(|status| status.head.as_ref());
        let others = number(head) > number(memory.chain.head().as_ref());
        if others {
            self.memory.remove(name);
        } else {
            memory.environment = environment;
        }
        others
    }

    /// How many files of an environment's layers are others at this commit than in what was applied last, if both are known.
    pub async fn files_changed(&self, name: &str, commit: GitId) -> Option<usize> {
        let composed = self.memory.get(name)?.composed.as_ref()?;
        let (applied, layers) = (composed.commit, composed.composition.scope().layers.clone());
        let changes = self.mirror.read(move |objects| objects.changes(applied, commit, &layers)).await.ok()?;
        let count = |layer: &LayerTree<TreeChange>| match layer {
            LayerTree::Missing => 0,
            LayerTree::Found { entries, .. } => entries.len(),
        };
        Some(changes.iter().map(|(_, layer)| count(layer)).sum())
    }

    /// True if one of the live objects is or was meant to be the environment's.
    pub fn concerns(&self, name: &str, objects: &BTreeSet<ObjectId>) -> bool {
        let composed = self.memory.get(name).and_then(|memory| memory.composed.as_ref());
        let desired = composed.map(|composed| &composed.composition.current().objects);
        let marked = |object: &ObjectId| self.watched.as_ref().is_some_and(|watched| watched.is_marked(object));
        // nothing is remembered after a failed pass: then each change may help
        desired.is_none_or(|desired| objects.iter().any(|object| desired.contains_key(object) || marked(object)))
    }

    /// Makes up the values of an environment that are in no file.
    pub fn generator<'a>(&'a self, environment_id: &'a str) -> Generator<'a> {
        Generator { key: &self.fingerprint_key, environment_id }
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
