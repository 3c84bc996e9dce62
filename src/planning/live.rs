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
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// Its generation, for kinds that have one.
    pub generation: Option<i64>,
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
}
