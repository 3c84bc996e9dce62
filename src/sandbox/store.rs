//! What the cluster holds: objects, their history for watches, and the counters.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::sandbox::events;
use crate::sandbox::kinds::{self, Kind};
use crate::sandbox::request::Place;

/// As many events are kept as a slow watcher may be behind; older ones answer 410.
const HISTORY: usize = 50_000;

/// Where an object stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub group: String,
    pub plural: String,
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub fn new(kind: &Kind, namespace: &str, name: &str) -> Key {
        let group = if kind.group == events::GROUP { String::new() } else { kind.group.clone() };
        Key { group, plural: kind.plural.clone(), namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

/// One change, for watches.
#[derive(Clone, Debug)]
pub struct Change {
    pub revision: u64,
    pub key: Key,
    pub before: Option<Arc<Value>>,
    pub after: Option<Arc<Value>>,
}

/// The whole cluster.
pub struct State {
    pub kinds: Vec<Arc<Kind>>,
    /// True if workloads are said to run; else nobody says anything of them.
    pub runs_workloads: bool,
    objects: BTreeMap<Key, Arc<Value>>,
    history: VecDeque<Change>,
    revision: u64,
    /// Changes up to here are forgotten.
    compacted: u64,
    issued: u64,
}

impl State {
    pub fn new() -> State {
        State {
            kinds: kinds::built_in(),
            runs_workloads: false,
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            revision: 1,
            compacted: 0,
            issued: 0,
        }
    }

    pub fn kind_at(&self, place: &Place) -> Option<Arc<Kind>> {
        let fits = |kind: &&Arc<Kind>| {
            kind.group == place.group && kind.version == place.version && kind.plural == place.resource
        };
        self.kinds.iter().find(fits).cloned()
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub fn compacted(&self) -> u64 {
        self.compacted
    }

    pub fn get(&self, key: &Key) -> Option<Arc<Value>> {
        self.objects.get(key).cloned()
    }

    /// The objects of a kind in one namespace or in all, in order.
    pub fn list<'a>(
        &'a self,
        kind: &Kind,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> + use<'a> {
        let start = Key::new(kind, namespace.unwrap_or_default(), "");
        let (group, plural) = (start.group.clone(), start.plural.clone());
        self.objects.range(start..).take_while(move |(key, _)| {
            key.group == group && key.plural == plural && namespace.is_none_or(|namespace| key.namespace == namespace)
        })
    }

    /// Everything, in order.
    pub fn all(&self) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        self.objects.iter()
    }

    /// The cluster as it was so many changes before, as far as that is remembered.
    pub fn before(&self, changes: u64) -> State {
        let revision = self.revision.saturating_sub(changes).max(self.compacted);
        let kept = self.history.partition_point(|change| change.revision <= revision);
        let mut objects = self.objects.clone();
        for change in self.history.range(kept..).rev() {
            match &change.before {
                Some(before) => drop(objects.insert(change.key.clone(), Arc::clone(before))),
                None => drop(objects.remove(&change.key)),
            }
        }
        let history = self.history.range(..kept).cloned().collect();
        let (kinds, runs_workloads) = (self.kinds.clone(), self.runs_workloads);
        State { kinds, runs_workloads, objects, history, revision, compacted: self.compacted, issued: self.issued }
    }

    /// Stores an object under a new resourceVersion and returns it.
    pub fn put(&mut self, key: Key, mut object: Value) -> Arc<Value> {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        let after = Arc::new(object);
        let before = self.objects.insert(key.clone(), Arc::clone(&after));
        self.remember(Change { revision: self.revision, key, before, after: Some(Arc::clone(&after)) });
        after
    }

    /// Removes an object.
    pub fn remove(&mut self, key: &Key) {
        let Some(before) = self.objects.remove(key) else { return };
        self.revision += 1;
        let change = Change { revision: self.revision, key: key.clone(), before: Some(before), after: None };
        self.remember(change);
    }

    /// The changes after a resourceVersion.
    pub fn changes_after(&self, revision: u64) -> impl Iterator<Item = &Change> {
        let start = self.history.partition_point(|change| change.revision <= revision);
        self.history.range(start..)
    }

    fn remember(&mut self, change: Change) {
        self.history.push_back(change);
        if self.history.len() > HISTORY
            && let Some(oldest) = self.history.pop_front()
        {
            self.compacted = oldest.revision;
        }
    }

    /// A uid that no other object of this cluster has.
    pub fn new_uid(&mut self) -> String {
        self.issued += 1;
        let digest = Sha256::digest(format!("sandbox uid {}", self.issued));
        let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }

    /// The random end of a generated name.
    pub fn new_suffix(&mut self) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        self.issued += 1;
        let digest = Sha256::digest(format!("sandbox name {}", self.issued));
        digest.iter().take(5).map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect()
    }

    /// The next port of the range that the real server has.
    pub fn new_node_port(&mut self) -> u64 {
        self.issued += 1;
        30_000 + self.issued % 2768
    }

    /// The next address for a Service, from 10.0.0.0/16 as the real server's flag has it.
    pub fn new_cluster_ip(&mut self) -> String {
        self.issued += 1;
        format!("10.0.{}.{}", (self.issued / 250) % 256, self.issued % 250 + 2)
    }
}
