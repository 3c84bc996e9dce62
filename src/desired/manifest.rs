//! One object as it shall be written, with its values: lives until its step is done.

use std::collections::BTreeMap;

use crate::desired::value::{ENTRY, Value};
use crate::model::cleartext::Cleartext;
use crate::model::object::ObjectId;

/// An object as the revision makes it: merged, variables filled in, validated; without osier's stamps.
#[derive(Debug)]
pub struct Manifest {
    /// What it is.
    pub object: ObjectId,
    /// `apiVersion`.
    pub api_version: String,
    /// The whole object but for `apiVersion`, `kind`, `metadata.name`, `metadata.namespace`, and for ConfigMaps and Secrets `data`, `binaryData`, `stringData`.
    pub body: Value,
    /// Decoded values of a ConfigMap or Secret by key; empty for other kinds.
    pub values: BTreeMap<String, ConfigValue>,
    /// Where each leaf comes from, by the same dotted paths as in outlines.
    pub origins: BTreeMap<String, Origin>,
}

impl Manifest {
    /// About how many bytes of memory it takes without its origins.
    pub fn size(&self) -> usize {
        let values = self.values.iter().map(|(name, value)| ENTRY + name.len() + value.bytes.size());
        values.sum::<usize>() + self.body.size()
    }
}

/// One decoded value of a ConfigMap or Secret.
#[derive(Debug)]
pub struct ConfigValue {
    /// The bytes that a pod sees.
    pub bytes: Cleartext,
    /// True if it must not be shown: it is of a Secret or was encrypted in git.
    pub redacted: bool,
    /// True for `binaryData` of a ConfigMap.
    pub binary: bool,
}

/// Where a leaf was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Path of the file.
    pub path: String,
    /// Line, from 1.
    pub line: u32,
    /// Digest of the ciphertext, for encrypted leaves.
    pub ciphertext: Option<[u8; 16]>,
    /// What it overrides, nearest first: path and line.
    pub overrides: Vec<(String, u32)>,
}
