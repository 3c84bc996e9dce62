//! What differs between an object's predecessor and the object, leaf by leaf, redacted where it is made.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::desired::manifest::Origin;
use crate::model::object::ObjectId;

/// The opened differences of one plan: the objects of `opening::to_open`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Object by object.
    pub objects: BTreeMap<ObjectId, Change>,
}

/// What opening one object and its predecessor showed. No value that was encrypted.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Inputs of the manifest that `leaves` start from; `None` without one. Only if they are the live stamp can "nothing changed" be believed.
    pub predecessor: Option<String>,
    /// The new fingerprint (ConfigMaps and Secrets); `None` for these only if the new manifest could not be opened.
    pub fingerprint: Option<String>,
    /// One line a leaf, unchanged ones included; those of a new object may be left out.
    pub leaves: Arc<[LeafChange]>,
    /// What cannot be changed in place, such as `data` of an immutable ConfigMap, `type` of a Secret, `spec.selector`.
    pub immutable: Vec<String>,
}

/// One leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafChange {
    /// Dotted path, such as `data.LOG_LEVEL`.
    pub path: String,
    /// What happened to it.
    pub word: Word,
    /// The old value, shortened (of several lines the first that differs); `None` if absent or redacted.
    pub old: Option<String>,
    /// The new value, shortened in the same way; `None` if absent or redacted.
    pub new: Option<String>,
    /// For cleartext of several lines that changed: the lines that differ, each after `-`, `+` or a space; else empty.
    pub lines: Vec<String>,
    /// True if values are withheld.
    pub redacted: bool,
    /// Where it is set now; for a removed leaf where it was.
    pub origin: Option<Origin>,
}

impl LeafChange {
    /// True unless the value is known to be the same.
    pub fn differs(&self) -> bool {
        !matches!(self.word, Word::Reencrypted | Word::Unchanged)
    }
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
