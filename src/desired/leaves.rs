//! The leaves of an object and what they are called, for outlines, provenance and diffs alike.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::desired::lists;
use crate::desired::value::Value;
use crate::desired::yaml::{Content, Node, kubernetes_key};
use crate::model::object::Kind;

/// Directive of a patch: `delete`, `replace` or `merge`.
pub const DIRECTIVE: &str = "$patch";

/// A place in an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Dotted, items of keyed lists as `containers[name=app]`.
    pub path: String,
    /// The same without items: where the schema describes it.
    pub field: String,
}

/// A leaf of an object: a scalar, an atomic list, or an empty mapping or list.
pub struct Found<'a> {
    /// Its dotted path.
    pub path: String,
    /// What it is.
    pub value: &'a Value,
    /// Where it is written; the nearest node above if a merge key brought it.
    pub node: Option<&'a Node>,
}

impl Place {
    /// The entry `key` of the mapping here.
    #[must_use]
    pub fn child(&self, key: &str) -> Self {
        let join = |start: &str| if start.is_empty() { key.to_owned() } else { format!("{start}.{key}") };
        Self { path: join(&self.path), field: join(&self.field) }
    }

    /// Goes to the entry `key` of the mapping here; what is returned leads back.
    fn enter(&mut self, key: &str) -> [usize; 2] {
        let here = [self.path.len(), self.field.len()];
        for text in [&mut self.path, &mut self.field] {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(key);
        }
        here
    }

    fn leave(&mut self, here: [usize; 2]) {
        self.path.truncate(here[0]);
        self.field.truncate(here[1]);
    }

    /// The item of the keyed list here that `key` identifies.
    #[must_use]
    pub fn item(&self, key: &str) -> Self {
        Self { path: format!("{}[{key}]", self.path), field: self.field.clone() }
    }
}

/// Visits the leaves of `value`, which stands at `place` of an object of `kind`; nulls and directives are none.
pub fn each<'a>(
    kind: &Kind,
    place: &Place,
    value: &'a Value,
    node: Option<&'a Node>,
    visit: &mut impl FnMut(Found<'a>),
) {
    walk(kind, &mut place.clone(), value, node, visit);
}

/// `place` is written on and taken back: every leaf has its path, but not every mapping above it.
fn walk<'a>(
    kind: &Kind,
    place: &mut Place,
    value: &'a Value,
    node: Option<&'a Node>,
    visit: &mut impl FnMut(Found<'a>),
) {
    match value {
        Value::Null => {}
        Value::Map(map) if !map.is_empty() => {
            let nodes = entries(node);
            for (key, value) in map.iter().filter(|(key, _)| *key != DIRECTIVE) {
                let below = nodes.get(key.as_str()).copied().or(node);
                let here = place.enter(key);
                walk(kind, place, value, below, visit);
                place.leave(here);
            }
        }
        Value::List(items) if !items.is_empty() => match lists::keys(kind, &place.field) {
            Some(keys) => {
                for (index, item) in items.iter().enumerate() {
                    let key = lists::item_key(keys, item).unwrap_or_else(|| index.to_string());
                    walk(kind, &mut place.item(&key), item, nth(node, index).or(node), visit);
                }
            }
            None => visit(Found { path: place.path.clone(), value, node }),
        },
        _ => visit(Found { path: place.path.clone(), value, node }),
    }
}

/// The entries of a mapping by key, as Kubernetes reads keys.
pub fn entries(node: Option<&Node>) -> HashMap<Cow<'_, str>, &Node> {
    let entries = node.map(Node::entries).unwrap_or_default();
    entries.iter().filter_map(|(key, value)| Some((kubernetes_key(key).ok()?, value))).collect()
}

/// The item of a sequence.
pub fn nth(node: Option<&Node>, index: usize) -> Option<&Node> {
    match &node?.content {
        Content::List(items) => items.get(index),
        Content::Scalar { .. } | Content::Map(_) => None,
    }
}
