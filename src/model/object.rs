//! What a thing in the cluster is called.

use std::fmt;

use crate::model::short::Short;

/// A kind without its version: versions are forms of one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    /// API group, empty for the core group.
    pub group: Short<22>,
    /// CamelCase kind, such as `ConfigMap`.
    pub kind: Short<22>,
}

impl Kind {
    /// A kind of `group` (empty for core).
    pub fn new(group: &str, kind: &str) -> Self {
        Self { group: group.into(), kind: kind.into() }
    }

    /// True for the two first-class kinds, whose values osier compares by fingerprint.
    pub fn is_config(&self) -> bool {
        self.group.is_empty() && matches!(&*self.kind, "ConfigMap" | "Secret")
    }

    /// True for core `Secret`.
    pub fn is_secret(&self) -> bool {
        self.group.is_empty() && self.kind == "Secret"
    }
}

/// Group, kind, namespace and name: the identity of an object, printed `group/Kind/namespace/name` (core group empty).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// Group and kind.
    pub kind: Kind,
    /// Namespace; never empty for user objects.
    pub namespace: Short<22>,
    /// Name.
    pub name: Short<22>,
}

impl ObjectId {
    /// The object `name` of `kind` in `namespace`.
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into() }
    }

    /// `Kind/name`, as people read it.
    pub fn short(&self) -> String {
        format!("{}/{}", self.kind.kind, self.name)
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.kind.group, self.kind.kind, self.namespace, self.name)
    }
}
