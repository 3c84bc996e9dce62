//! The live objects as watches show them: what somebody else did is told from our own doing.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::object::{Kind, ObjectId};
use crate::planning::live::{Drift, Live, LiveSet};

/// A `LiveSet` that is kept up to date event by event.
#[derive(Clone, Debug, Default)]
pub struct LiveIndex {
    set: Arc<LiveSet>,
    listed: BTreeSet<Kind>,
    changed: BTreeSet<ObjectId>,
}

impl LiveIndex {
    /// What there is now. Nobody waits for whoever still looks at it.
    pub fn set(&self) -> Arc<LiveSet> {
        self.set.clone()
    }

    /// The kinds that were listed.
    pub fn kinds(&self) -> &BTreeSet<Kind> {
        &self.listed
    }

    /// Forgets the objects of all other kinds.
    pub fn keep(&mut self, kinds: &BTreeSet<Kind>) {
        if self.listed.is_subset(kinds) {
            return;
        }
        self.listed.retain(|kind| kinds.contains(kind));
        Arc::make_mut(&mut self.set).keep(kinds);
    }

    /// Takes a whole list of one kind. At the first one objects are judged by their stamps alone, as after every start.
    pub fn list(&mut self, kind: &Kind, objects: Vec<(ObjectId, Live)>) {
        if self.listed.insert(kind.clone()) {
            Arc::make_mut(&mut self.set).replace(kind, objects);
            return;
        }
        let there: BTreeSet<&ObjectId> = objects.iter().map(|(object, _)| object).collect();
        let known = self.set.iter().filter(|found| found.kind == kind).map(|found| self.set.object_id(&found));
        let gone: Vec<ObjectId> = known.filter(|object| !there.contains(object)).collect();
        for object in gone {
            self.remove(&object);
        }
        for (object, live) in objects {
            self.see(object, live);
        }
    }

    /// Takes an object that was added or modified. A version that is known, or older than that, says nothing.
    pub fn see(&mut self, object: ObjectId, mut live: Live) {
        let known = self.set.get(&object);
        if known.is_some_and(|known| !is_newer(&live, known)) {
            return;
        }
        if known.is_some_and(|known| is_churn(object.kind.is_config(), known, &live)) {
            // a doubt that is not settled yet stays
            let drift = known.map(|known| known.remarks().drift.clone()).unwrap_or_default();
            live = live.remark(|remarks| remarks.drift = drift);
        } else {
            if live.ownership.may_repair() {
                live = live.remark(|remarks| remarks.drift.push(Drift::Unexplained));
            }
            self.changed.insert(object.clone());
        }
        Arc::make_mut(&mut self.set).insert(&object, live);
    }

    /// Takes the end of an object, told by its uid: another one may have taken its name since.
    pub fn end(&mut self, object: &ObjectId, uid: &str) {
        if self.set.get(object).is_some_and(|known| known.uid == *uid) {
            self.remove(object);
        }
    }

    /// Takes what a write of our own left.
    ///
    /// The watch may have shown it before: then there is no doubt about it any more. What somebody else wrote after it stays in doubt.
    pub fn wrote(&mut self, object: &ObjectId, mut live: Live) {
        if let Some(known) = self.set.get(object).filter(|known| is_newer(known, &live)) {
            if !is_churn(object.kind.is_config(), &live, known) {
                return;
            }
            // a controller has written status since: of what we wrote that says nothing
            live = known.clone().remark(|remarks| remarks.drift.clone_from(&live.remarks().drift));
        }
        Arc::make_mut(&mut self.set).insert(object, live);
        self.changed.remove(object);
    }

    /// Takes a delete of our own.
    pub fn deleted(&mut self, object: &ObjectId, uid: &str) {
        if self.set.get(object).is_none_or(|known| known.uid == *uid) {
            Arc::make_mut(&mut self.set).remove(object);
            self.changed.remove(object);
        }
    }

    /// The objects that somebody else changed since the last call.
    pub fn take_changed(&mut self) -> BTreeSet<ObjectId> {
        std::mem::take(&mut self.changed)
    }

    fn remove(&mut self, object: &ObjectId) {
        Arc::make_mut(&mut self.set).remove(object);
        self.changed.insert(object.clone());
    }
}

/// True if nothing but a status changed between two versions of an object: everybody owns the same fields. Of a ConfigMap or Secret each version
/// may have other values.
fn is_churn(config: bool, known: &Live, live: &Live) -> bool {
    !config
        && known.uid == live.uid
        && known.generation == live.generation
        && known.terminating == live.terminating
        && known.same_owners(live)
}

/// API servers number versions upwards (KEP-5504); versions that are no numbers are taken as they come.
fn is_newer(live: &Live, known: &Live) -> bool {
    match (live.resource_version.parse::<u64>(), known.resource_version.parse::<u64>()) {
        (Ok(live), Ok(known)) => live > known,
        _ => live.resource_version != known.resource_version,
    }
}
