//! What one read of the repository contributes, without values.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::packed::Packed;
use crate::model::object::Kind;
use crate::model::problem::Problem;
use crate::model::short::Short;

/// What a file contributes: its entries in order, or its problems.
///
/// It depends on the bytes alone (never on the path), so it is remembered by blob id.
/// The problems carry an empty path; whoever reports them puts it in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outline {
    /// One for each document that names an object.
    pub entries: Vec<Entry>,
    /// Mistakes; an environment that uses the file is not applied while there are any. `{file}` in a hint stands for the path.
    pub problems: Vec<Problem>,
    /// Size of the file, for the caps of an environment.
    pub bytes: u64,
}

/// One document's contribution to one object.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Index of the document in its file, from 0.
    pub index: usize,
    /// Line where the document starts, from 1.
    pub line: u32,
    /// `apiVersion` as written.
    pub api_version: Short<22>,
    /// Group and kind.
    pub kind: Kind,
    /// `metadata.name`.
    pub name: Short<22>,
    /// `metadata.namespace`, if the document names one, and its line.
    pub namespace: Option<(String, u32)>,
    /// Content id (`wire::cleartext_content_id`, `wire::encrypted_content_id`).
    pub content_id: String,
    /// True if the file is encrypted.
    pub encrypted: bool,
    /// Leaves by dotted path, such as `data.LOG_LEVEL`; list items of keyed lists as `containers[name=app]`.
    pub leaves: Packed,
    /// Names of the variables that it uses, such as `osier.branch`.
    pub variables: BTreeSet<String>,
    /// For a ConfigMap or Secret: what it takes away from the layers below, such as `data.OLD`, or `data` for everything there.
    pub removes: BTreeSet<String>,
    /// Objects that it refers to.
    pub references: BTreeSet<Reference>,
    /// What it says about references, as JSON without any other value: where layers meet, the merged object counts.
    pub referring: Option<String>,
    /// Its `osier.dev/…` annotations; an empty one takes that of a lower layer away.
    pub annotations: BTreeMap<String, String>,
    /// True for `$patch: replace` at the top: the lower entries do not count.
    pub replaces: bool,
    /// True for `$patch: delete` at the top: the object is not desired.
    pub deletes: bool,
}

impl Entry {
    /// Lays the keys of a ConfigMap or Secret over those of the layers below; a key that is binary is `true`.
    pub fn lay_keys(&self, keys: &mut BTreeMap<String, bool>) {
        for path in &self.removes {
            match path.split_once('.') {
                Some((_, key)) => drop(keys.remove(key)),
                None => keys.retain(|_, binary| *binary != (path == "binaryData")),
            }
        }
        for (path, _) in self.leaves.iter() {
            let text = path.strip_prefix("data.").map(|key| (key, false));
            if let Some((key, binary)) = text.or_else(|| Some((path.strip_prefix("binaryData.")?, true))) {
                keys.insert(key.to_owned(), binary);
            }
        }
    }
}

/// Leaves by dotted path.
pub type Leaves = BTreeMap<Short<22>, Leaf>;

/// A leaf, without its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Line, from 1.
    pub line: u32,
    /// For an encrypted leaf a digest of its ciphertext: equal digests mean equal ciphertext.
    pub ciphertext: Option<[u8; 16]>,
}

/// A reference from a workload to another object of its namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Kind of the target: ConfigMap, Secret, ServiceAccount, PersistentVolumeClaim, or a scale target.
    pub kind: Kind,
    /// Name of the target.
    pub name: String,
    /// The key that is needed, if one is named.
    pub key: Option<String>,
    /// True if Kubernetes starts the pod without it.
    pub optional: bool,
    /// True if a change of the target needs a restart (environment, subPath or volume of the pod template).
    pub restarts: bool,
}
