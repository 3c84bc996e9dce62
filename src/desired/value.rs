//! The typed tree of a document, after both readings (sops' and Kubernetes') are done.

use std::collections::BTreeMap;

use crate::model::cleartext::Cleartext;

/// A typed tree whose encrypted leaves cannot be printed or compared.
///
/// Everything that was encrypted in git is `Secret`, whatever the kind of the object.
#[derive(Debug)]
pub enum Value {
    /// `null`
    Null,
    /// true or false
    Bool(bool),
    /// an integer
    Int(i64),
    /// a number that is no integer
    Float(f64),
    /// cleartext in git
    Text(String),
    /// a leaf that is encrypted in git
    Secret(Secret),
    /// a mapping, keys sorted
    Map(BTreeMap<String, Value>),
    /// a sequence
    List(Vec<Value>),
}

/// A decrypted leaf.
#[derive(Debug)]
pub struct Secret {
    /// What the bytes say when they are written to JSON.
    pub kind: SecretKind,
    /// For `Text` the string itself (UTF-8), for the others their decimal or `true`/`false` form.
    pub bytes: Cleartext,
}

/// The type of a decrypted leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// a string
    Text,
    /// an integer
    Int,
    /// a float
    Float,
    /// a boolean
    Bool,
}
