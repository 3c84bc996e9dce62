//! What the cluster has, read from metadata alone.

use std::collections::BTreeMap;

use crate::model::object::ObjectId;

/// The objects of one environment's namespace that matter: those of desired or earlier kinds. No values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveSet {
    /// Object by object, osier's own and others.
    pub objects: BTreeMap<ObjectId, Live>,
}

/// One object in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// Its generation, for kinds that have one.
    pub generation: Option<i64>,
    /// When it was created (RFC 3339, whole seconds, UTC).
    pub created: String,
    /// True while it is being deleted.
    pub terminating: bool,
    /// How far it is ours.
    pub ownership: Ownership,
    /// What osier noted on it.
    pub stamps: Stamps,
    /// Signs that somebody else changed it, judged from metadata alone.
    pub drift: Vec<Drift>,
    /// Field managers other than osier, without those of subresources `status`.
    pub managers: Vec<String>,
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
}

impl Live {
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
    /// What of `labels/…` and `annotations/…` (and `data/…`, if its keys are shared or ignored) our entry owns, without osier's marks.
    pub own_keys: Vec<String>,
    /// True if our entry owns `spec.replicas`.
    pub own_replicas: bool,
    /// Digest of our leaf paths.
    pub own_fields: String,
    /// Digest of the other owners' entries.
    pub other_fields: String,
    /// What that digest will be once osier has written the object.
    pub other_fields_after: String,
}

/// The three marks of ownership.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ownership {
    /// Environment id in the label, if any.
    pub label: Option<String>,
    /// Environment id in the annotation, if any.
    pub annotation: Option<String>,
    /// True if managedFields has an entry of our field manager.
    pub entry: bool,
}

impl Ownership {
    /// True if it carries all three marks of `environment_id`.
    pub fn is_ours(&self, environment_id: &str) -> bool {
        self.marks(environment_id) == 3
    }

    /// True if two of the three marks are there, so that the third may be put right.
    pub fn may_repair(&self, environment_id: &str) -> bool {
        self.marks(environment_id) >= 2
    }

    /// True if label and entry are there and the annotation names nobody else.
    pub fn may_delete(&self, environment_id: &str) -> bool {
        self.label.as_deref() == Some(environment_id) && self.entry && self.other(environment_id).is_none()
    }

    /// The id of another environment that its label or annotation names.
    pub fn other(&self, environment_id: &str) -> Option<&str> {
        [&self.label, &self.annotation].into_iter().flatten().map(String::as_str).find(|id| *id != environment_id)
    }

    /// How many of the three marks are there.
    pub fn marks(&self, environment_id: &str) -> usize {
        let ours = |mark: &Option<String>| mark.as_deref() == Some(environment_id);
        usize::from(ours(&self.label)) + usize::from(ours(&self.annotation)) + usize::from(self.entry)
    }
}

/// osier's annotations, as far as they are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamps {
    /// `osier.dev/inputs`
    pub inputs: Option<String>,
    /// `osier.dev/fields`
    pub fields: Option<String>,
    /// `osier.dev/fingerprint`
    pub fingerprint: Option<String>,
    /// `osier.dev/record`
    pub record: Option<u64>,
    /// `osier.dev/config`: what the pod template carries too.
    pub config: Option<String>,
    /// `osier.dev/adopted-config`
    pub adopted_config: Option<String>,
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
