//! What differs between an object's predecessor and the object, leaf by leaf, redacted where it is made.

use std::collections::BTreeMap;

use crate::desired::manifest::Origin;
use crate::model::object::ObjectId;

/// The opened differences of one plan: only objects whose inputs differ from their live stamp.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Object by object.
    pub objects: BTreeMap<ObjectId, Change>,
}

/// What opening one object and its predecessor showed. No value that was encrypted.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The new fingerprint (ConfigMaps and Secrets).
    pub fingerprint: Option<String>,
    /// One line a leaf, unchanged ones included.
    pub leaves: Vec<LeafChange>,
    /// What cannot be changed in place, such as `data` of an immutable ConfigMap, `type` of a Secret, `spec.selector`.
    pub immutable: Vec<String>,
}

/// One leaf.
#[derive(Clone, Debug, PartialEq)]
pub struct LeafChange {
    /// Dotted path, such as `data.LOG_LEVEL`.
    pub path: String,
    /// What happened to it.
    pub word: Word,
    /// The old value, shortened; `None` if absent or redacted.
    pub old: Option<String>,
    /// The new value, shortened; `None` if absent or redacted.
    pub new: Option<String>,
    /// True if values are withheld.
    pub redacted: bool,
    /// Where it is set now; for a removed leaf where it was.
    pub origin: Option<Origin>,
}

/// The words of a diff.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Word {
    /// Not there before.
    Added,
    /// Another value.
    Changed,
    /// No longer there.
    Removed,
    /// Other ciphertext, same value.
    Reencrypted,
    /// Other ciphertext; without a key nobody can say more.
    Unknown,
    /// Nothing.
    Unchanged,
}
