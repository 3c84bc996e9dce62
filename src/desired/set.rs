//! What a revision says for one environment, object by object, without values.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::desired::generate::Generated;
use crate::desired::isolation::Isolation;
use crate::desired::lists;
use crate::desired::outline::Reference;
use crate::model::object::{Kind, ObjectId};
use crate::model::short::Short;
use crate::model::tree::GitId;

/// Parameters of an environment by name (`osier.branch`, `osier.slug`, `osier.namespace`, `osier.commit`, `osier.environment`, and
/// `osier.commit.<name>` for each followed repository).
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
        lists::WITH_PODS.iter().flat_map(|(group, kind)| self.of(Kind::new(group, kind)))
    }

    /// The objects of one kind, at the same cost.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = (&ObjectId, &Desired)> {
        let first = ObjectId::new(kind.clone(), "", "");
        self.objects.range(first..).take_while(move |(object, _)| object.kind == kind)
    }

    /// The kinds of its objects. It costs what there are of them, not what there is of everything.
    pub fn kinds(&self) -> BTreeSet<Kind> {
        let mut kinds = BTreeSet::new();
        let mut next = self.objects.keys().next();
        while let Some(object) = next {
            // objects are sorted by kind, and nothing is sorted between a name and the same with a NUL behind it
            let after = Kind::new(&object.kind.group, &format!("{}\0", object.kind.kind));
            kinds.insert(object.kind.clone());
            next = self.objects.range(ObjectId::new(after, "", "")..).map(|(object, _)| object).next();
        }
        kinds
    }
}

/// What makes one object. Equal inputs mean an equal object.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// `apiVersion` of the topmost entry.
    pub api_version: Short<22>,
    /// The entries that make it, lowest layer first; what a replacement hides is left out.
    pub sources: Vec<Source>,
    /// The `osier.dev/inputs` stamp.
    pub inputs: Short<30>,
    /// The parameters that it uses; often those of its neighbours.
    pub parameters: Arc<Parameters>,
    /// Everything that it refers to.
    pub references: BTreeSet<Reference>,
    /// Its merged `osier.dev/…` annotations.
    pub annotations: BTreeMap<String, String>,
    /// What it has to keep to, in a branch environment.
    pub isolation: Option<Arc<Isolation>>,
    /// What of it osier makes up.
    pub generated: Option<Arc<Generated>>,
}

/// One entry in one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The layer, as `osier.yaml` names it.
    pub layer: Short<22>,
    /// Path of the file.
    pub path: Arc<str>,
    /// Its content.
    pub blob_id: GitId,
    /// Index of the document.
    pub index: usize,
    /// Line where the document starts.
    pub line: u32,
    /// True if the file is encrypted.
    pub encrypted: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_where_they_begin() {
        let desired = Desired {
            api_version: Short::default(),
            sources: Vec::new(),
            inputs: Short::default(),
            parameters: Arc::default(),
            references: BTreeSet::new(),
            annotations: BTreeMap::new(),
            isolation: None,
            generated: None,
        };
        let kinds = [("", "ConfigMap"), ("", "ConfigMapLike"), ("apps", "Deployment"), ("batch", "Job")];
        let ids = kinds
            .iter()
            .flat_map(|(group, kind)| ["a", "b"].map(|name| ObjectId::new(Kind::new(group, kind), "shop", name)));
        let set = DesiredSet { objects: ids.map(|object| (object, desired.clone())).collect() };
        assert_eq!(set.kinds(), kinds.iter().map(|(group, kind)| Kind::new(group, kind)).collect());
        let names = |kind| set.of(kind).map(|(object, _)| object.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(Kind::new("", "ConfigMap")), ["a", "b"]);
        assert!(names(Kind::new("apps", "StatefulSet")).is_empty() && DesiredSet::default().kinds().is_empty());
    }
}
