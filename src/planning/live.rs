//! What the cluster has, read from metadata alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::model::object::{Kind, ObjectId};
use crate::model::short::Short;

/// The objects of one environment's namespace that matter: those of desired or earlier kinds. No values.
///
/// Made to be kept: an object that is as osier left it takes some 300 bytes, its name included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveSet {
    namespace: Name,
    /// Whoever looks at a set while it changes makes a copy of one kind, not of all.
    kinds: BTreeMap<Kind, Arc<BTreeMap<Name, Live>>>,
}

/// Name of an object.
pub type Name = Short<22>;

impl LiveSet {
    /// One object; `None` if it is not there.
    pub fn get(&self, object: &ObjectId) -> Option<&Live> {
        self.of(object)?.get(object.name.as_str())
    }

    /// One object, to be changed.
    pub fn get_mut(&mut self, object: &ObjectId) -> Option<&mut Live> {
        self.of(object)?;
        Arc::make_mut(self.kinds.get_mut(&object.kind)?).get_mut(object.name.as_str())
    }

    /// Puts an object into the place of the one that was there. The first one says which namespace the set is of: others are left out.
    pub fn insert(&mut self, object: &ObjectId, live: Live) {
        if self.admits(object) {
            let objects = self.kinds.entry(object.kind.clone()).or_default();
            Arc::make_mut(objects).insert(object.name.as_str().into(), live);
        }
    }

    /// Puts all objects of a kind into the place of those that were there; of two of a name the later one counts.
    pub fn replace(&mut self, kind: &Kind, objects: Vec<(ObjectId, Live)>) {
        let mut named: Vec<(Name, Live)> = Vec::with_capacity(objects.len());
        for (object, mut live) in objects {
            if !self.admits(&object) {
                continue;
            }
            // neighbours are often labelled alike
            if let Some((_, last)) = named.last().filter(|(_, last)| last.before.own_keys == live.before.own_keys) {
                live.before.own_keys = last.before.own_keys.clone();
            }
            named.push((object.name.as_str().into(), live));
        }
        // made of a whole list the nodes of the map are full, which one by one they are not
        self.kinds.insert(kind.clone(), Arc::new(named.into_iter().collect()));
    }

    /// Takes an object out.
    pub fn remove(&mut self, object: &ObjectId) -> Option<Live> {
        self.of(object)?;
        Arc::make_mut(self.kinds.get_mut(&object.kind)?).remove(object.name.as_str())
    }

    /// Lets go of all other kinds.
    pub fn keep(&mut self, kinds: &BTreeSet<Kind>) {
        self.kinds.retain(|kind, _| kinds.contains(kind));
    }

    /// Every object, in the order of object ids.
    pub fn iter(&self) -> impl Iterator<Item = Found<'_>> {
        fn of<'a>((kind, objects): (&'a Kind, &'a Arc<BTreeMap<Name, Live>>)) -> impl Iterator<Item = Found<'a>> {
            objects.iter().map(move |(name, live)| Found { kind, name, live })
        }
        self.kinds.iter().flat_map(of)
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.kinds.values().map(|objects| objects.len()).sum()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The id of an object that was found here.
    pub fn object_id(&self, found: &Found<'_>) -> ObjectId {
        ObjectId::new(found.kind.clone(), &self.namespace, found.name)
    }

    fn admits(&mut self, object: &ObjectId) -> bool {
        if self.namespace.is_empty() {
            self.namespace.clone_from(&object.namespace);
        }
        self.namespace == object.namespace
    }

    fn of(&self, object: &ObjectId) -> Option<&BTreeMap<Name, Live>> {
        self.kinds.get(&object.kind).map(|objects| &**objects).filter(|_| object.namespace == self.namespace)
    }
}

/// An object of a set.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// Its kind.
    pub kind: &'a Kind,
    /// Its name.
    pub name: &'a str,
    /// The object.
    pub live: &'a Live,
}

/// One object in the cluster, as seen from one environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// Its uid.
    pub uid: Short<38>,
    /// Its resourceVersion.
    pub resource_version: Short<22>,
    /// Its generation, for kinds that have one.
    pub generation: Option<i64>,
    /// When it was created, in seconds since 1970.
    pub created: i64,
    /// True while it is being deleted.
    pub terminating: bool,
    /// How far it is ours.
    pub ownership: Ownership,
    /// What osier noted on it.
    pub stamps: Stamps,
    /// True if a manager other than osier wrote `spec.replicas` through the `scale` subresource or otherwise.
    pub scaled_by_others: bool,
    /// True if our fields stand in an `Update` entry (created by POST) rather than an `Apply` entry.
    pub created_by_post: bool,
    /// True if its `osier.dev/prune` annotation says `keep`.
    pub prune_keep: bool,
    /// True if `kubectl.kubernetes.io/last-applied-configuration` is on it.
    pub last_applied: bool,
    /// What a write needs to know beforehand, so that it needs no read of its own.
    pub before: Before,
    /// What `with` and `remarks` set and read.
    pub remarks: Option<Box<Remarks>>,
}

/// What there is to say of few objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remarks {
    /// Id of another environment that its label or annotation names.
    pub other_environment: Option<String>,
    /// `osier.dev/config`: what the pod template carries too.
    pub config: Option<String>,
    /// `osier.dev/adopted-config`
    pub adopted_config: Option<String>,
    /// Signs that somebody else changed it, judged from metadata alone.
    pub drift: Vec<Drift>,
    /// Field managers other than osier, without those of subresources `status`.
    pub managers: Vec<String>,
}

impl Live {
    /// The object with these remarks.
    #[must_use]
    pub fn with(self, remarks: Remarks) -> Self {
        Self { remarks: (remarks != Remarks::default()).then(|| Box::new(remarks)), ..self }
    }

    /// The object with other remarks than before.
    #[must_use]
    pub fn remark(self, change: impl FnOnce(&mut Remarks)) -> Self {
        let mut remarks = self.remarks().clone();
        change(&mut remarks);
        self.with(remarks)
    }

    /// What else there is to say of it.
    pub fn remarks(&self) -> &Remarks {
        const NONE: &Remarks = &Remarks {
            other_environment: None,
            config: None,
            adopted_config: None,
            drift: Vec::new(),
            managers: Vec::new(),
        };
        self.remarks.as_deref().unwrap_or(NONE)
    }

    /// The id of another environment that its label or annotation names.
    pub fn other_environment(&self) -> Option<&str> {
        self.remarks().other_environment.as_deref()
    }

    /// True if everybody owns the same fields in both: controllers that write status change neither.
    pub fn same_owners(&self, other: &Live) -> bool {
        self.before.own_fields == other.before.own_fields && self.before.other_fields == other.before.other_fields
    }
}

/// What a write needs to know of the object as it is; the plan does not look at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// True if there is a map of labels.
    pub labels: bool,
    /// True if there is a map of annotations.
    pub annotations: bool,
    /// True if our entry owns `spec.replicas`.
    pub own_replicas: bool,
    /// What of `labels/…` and `annotations/…` (and `data/…`, if its keys are shared or ignored) our entry owns, without osier's marks.
    /// Objects that own the same can share it.
    pub own_keys: Arc<[Box<str>]>,
    /// Digest of our leaf paths.
    pub own_fields: FieldsDigest,
    /// Digest of the other owners' entries.
    pub other_fields: FieldsDigest,
    /// What that digest will be once osier has written the object.
    pub other_fields_after: FieldsDigest,
}

/// Half of an `osier.dev/fields` stamp.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct FieldsDigest([u8; Self::LENGTH]);

impl FieldsDigest {
    /// Its length.
    pub const LENGTH: usize = 13;

    /// The digest with this text, as `digest::b32` makes it.
    pub fn new(text: &str) -> Self {
        let mut bytes = [0; Self::LENGTH];
        bytes.iter_mut().zip(text.bytes()).for_each(|(place, byte)| *place = byte);
        Self(bytes)
    }
}

impl Deref for FieldsDigest {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for FieldsDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// The three marks of ownership.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ownership {
    /// The environment id in the label.
    pub label: Mark,
    /// The environment id in the annotation.
    pub annotation: Mark,
    /// True if managedFields has an entry of our field manager.
    pub entry: bool,
}

/// What an environment id on an object says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mark {
    /// There is none.
    #[default]
    Absent,
    /// It is this environment's.
    Ours,
    /// It names another.
    Other,
}

impl Ownership {
    /// True if it carries all three marks.
    pub fn is_ours(&self) -> bool {
        self.marks() == 3
    }

    /// True if two of the three marks are there, so that the third may be put right.
    pub fn may_repair(&self) -> bool {
        self.marks() >= 2
    }

    /// True if label and entry are there and the annotation names nobody else.
    pub fn may_delete(&self) -> bool {
        self.label == Mark::Ours && self.entry && !self.is_other()
    }

    /// True if label or annotation names another environment.
    pub fn is_other(&self) -> bool {
        [self.label, self.annotation].contains(&Mark::Other)
    }

    /// How many of the three marks are there.
    pub fn marks(&self) -> usize {
        usize::from(self.label == Mark::Ours) + usize::from(self.annotation == Mark::Ours) + usize::from(self.entry)
    }
}

/// osier's annotations, as far as they are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamps {
    /// `osier.dev/inputs`
    pub inputs: Option<Short<30>>,
    /// `osier.dev/fingerprint`
    pub fingerprint: Option<Short<30>>,
    /// `osier.dev/record`
    pub record: Option<u64>,
    /// True if `osier.dev/fields` says what is owned.
    pub fields_fit: bool,
}

/// A sign of drift.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drift {
    /// The label is gone or names another environment.
    Label,
    /// The annotation is gone or names another environment.
    Annotation,
    /// Our entry of managedFields is gone.
    Entry,
    /// The field sets differ from the stamp.
    Fields,
    /// Somebody wrote after us.
    Newer(String),
    /// A manager owns `stringData`, whose writes do not show.
    StringData(String),
    /// It was written, not by us, and metadata does not show what.
    Unexplained,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_and_its_name_take_less_than_300_bytes() {
        assert!(size_of::<(Name, Live)>() <= 288, "{}", size_of::<(Name, Live)>());
    }
}
