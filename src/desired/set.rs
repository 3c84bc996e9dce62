//! What a revision says for one environment, object by object, without values.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::lists;
use crate::desired::outline::Reference;
use crate::model::object::{Kind, ObjectId};
use crate::model::tree::GitId;

/// Parameters of an environment by name (`osier.branch`, `osier.slug`, `osier.namespace`, `osier.commit`, `osier.environment`).
pub type Parameters = BTreeMap<String, String>;

/// Every object that the environment shall have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DesiredSet {
    /// Object by object.
    pub objects: BTreeMap<ObjectId, Desired>,
}

impl DesiredSet {
    /// The workloads: objects with pods. It costs what there are of them, not what there is of everything.
    pub fn workloads(&self) -> impl Iterator<Item = (&ObjectId, &Desired)> {
        lists::WITH_PODS.iter().flat_map(|(group, kind)| {
            let kind = Kind::new(group, kind);
            let first = ObjectId::new(kind.clone(), "", "");
            self.objects.range(first..).take_while(move |(object, _)| object.kind == kind)
        })
    }

    /// The kinds of its objects.
    pub fn kinds(&self) -> BTreeSet<Kind> {
        // objects are sorted by kind: one is cloned where the next begins, not one an object
        let mut objects: Vec<&Kind> = self.objects.keys().map(|object| &object.kind).collect();
        objects.dedup();
        objects.into_iter().cloned().collect()
    }
}

/// What makes one object. Equal inputs mean an equal object.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// `apiVersion` of the topmost entry.
    pub api_version: String,
    /// The entries that make it, lowest layer first; what a replacement hides is left out.
    pub sources: Vec<Source>,
    /// The `osier.dev/inputs` stamp.
    pub inputs: String,
    /// The parameters that it uses.
    pub parameters: Parameters,
    /// Everything that it refers to.
    pub references: BTreeSet<Reference>,
    /// Its merged `osier.dev/…` annotations.
    pub annotations: BTreeMap<String, String>,
}

/// One entry in one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The layer, as `osier.yaml` names it.
    pub layer: String,
    /// Path of the file.
    pub path: String,
    /// Its content.
    pub blob_id: GitId,
    /// Index of the document.
    pub index: usize,
    /// Line where the document starts.
    pub line: u32,
    /// True if the file is encrypted.
    pub encrypted: bool,
}
