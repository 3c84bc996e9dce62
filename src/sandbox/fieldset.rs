//! Sets of field paths, as `managedFields` writes them (`FieldsV1`).
//!
//! A path element is kept in the form that FieldsV1 writes: `f:name`, `k:{"name":"x"}`, `v:"x"`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A set of paths: whether the path to here is a member, and the members below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    pub member: bool,
    pub children: BTreeMap<String, FieldSet>,
}

impl FieldSet {
    pub fn from_json(fields: &Value) -> FieldSet {
        let mut set = FieldSet::default();
        for (element, below) in fields.as_object().into_iter().flatten() {
            if element == "." {
                set.member = true;
                continue;
            }
            let mut child = FieldSet::from_json(below);
            child.member |= child.children.is_empty();
            set.children.insert(element.clone(), child);
        }
        set
    }

    pub fn to_json(&self) -> Value {
        let mut fields = Map::new();
        if self.member && !self.children.is_empty() {
            fields.insert(".".into(), Value::Object(Map::new()));
        }
        for (element, child) in &self.children {
            fields.insert(element.clone(), child.to_json());
        }
        Value::Object(fields)
    }

    pub fn is_empty(&self) -> bool {
        !self.member && self.children.values().all(FieldSet::is_empty)
    }

    pub fn has(&self, path: &[&str]) -> bool {
        match path.split_first() {
            Some((element, rest)) => self.children.get(*element).is_some_and(|child| child.has(rest)),
            None => self.member,
        }
    }

    pub fn insert(&mut self, path: &[String]) {
        let mut set = self;
        for element in path {
            set = set.children.entry(element.clone()).or_default();
        }
        set.member = true;
    }

    pub fn remove(&mut self, path: &[&str]) {
        let Some((element, rest)) = path.split_first() else {
            self.member = false;
            return;
        };
        if let Some(child) = self.children.get_mut(*element) {
            child.remove(rest);
            if child.is_empty() {
                self.children.remove(*element);
            }
        }
    }

    pub fn union(&self, other: &FieldSet) -> FieldSet {
        let mut set = self.clone();
        set.member |= other.member;
        for (element, theirs) in &other.children {
            let merged = set.children.get(element).map_or_else(|| theirs.clone(), |ours| ours.union(theirs));
            set.children.insert(element.clone(), merged);
        }
        set
    }

    pub fn difference(&self, other: &FieldSet) -> FieldSet {
        let children = self.children.iter().map(|(element, ours)| match other.children.get(element) {
            Some(theirs) => (element.clone(), ours.difference(theirs)),
            None => (element.clone(), ours.clone()),
        });
        FieldSet { member: self.member && !other.member, children: children.filter(|(_, c)| !c.is_empty()).collect() }
    }

    pub fn intersection(&self, other: &FieldSet) -> FieldSet {
        let children = self.children.iter().filter_map(|(element, ours)| {
            let common = ours.intersection(other.children.get(element)?);
            (!common.is_empty()).then(|| (element.clone(), common))
        });
        FieldSet { member: self.member && other.member, children: children.collect() }
    }

    /// The members in order, written as kube-apiserver writes them in conflicts: `.data.k`, `.spec.ports[port=80,…]`.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect("", &mut paths);
        paths
    }

    fn collect(&self, prefix: &str, paths: &mut Vec<String>) {
        for (element, child) in &self.children {
            if child.member {
                paths.push(format!("{prefix}{}", written(element)));
            }
        }
        for (element, child) in &self.children {
            child.collect(&format!("{prefix}{}", written(element)), paths);
        }
    }
}

fn written(element: &str) -> String {
    if let Some(name) = element.strip_prefix("f:") {
        return format!(".{name}");
    }
    if let Some(value) = element.strip_prefix("v:") {
        return format!("[={value}]");
    }
    let keys: Map<String, Value> =
        serde_json::from_str(element.strip_prefix("k:").unwrap_or_default()).unwrap_or_default();
    let pairs: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!("[{}]", pairs.join(","))
}
