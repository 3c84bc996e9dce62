//! Layers merged: maps as merge patch, lists that Kubernetes keys by their keys, everything else as a whole.

use std::collections::BTreeMap;

use crate::desired::leaves::{self, DIRECTIVE, Place};
use crate::desired::lists;
use crate::desired::manifest::Origin;
use crate::desired::outline::Leaves;
use crate::desired::value::Value;
use crate::model::object::Kind;

/// An object that grows layer by layer, and where each leaf was set.
pub struct Merge {
    kind: Kind,
    /// What was merged so far.
    pub value: Value,
    /// Where each leaf comes from.
    pub origins: BTreeMap<String, Origin>,
}

/// The file that is merged at the moment.
#[derive(Clone, Copy)]
pub struct File<'a> {
    /// Its path.
    pub path: &'a str,
    /// Line of the document.
    pub line: u32,
    /// Leaves of the document, by path.
    pub leaves: &'a Leaves,
}

impl File<'_> {
    /// The origin of the leaf at `path`, on top of what it overrides.
    pub fn origin(&self, path: &str, overridden: Option<Origin>) -> Origin {
        let leaf = self.leaves.get(path);
        let overrides = overridden.map_or_else(Vec::new, |origin| {
            std::iter::once((origin.path, origin.line)).chain(origin.overrides).collect()
        });
        Origin {
            path: self.path.to_owned(),
            line: leaf.map_or(self.line, |leaf| leaf.line),
            ciphertext: leaf.and_then(|leaf| leaf.ciphertext),
            overrides,
        }
    }
}

impl Merge {
    /// Nothing yet, of an object of `kind`.
    pub fn new(kind: &Kind) -> Self {
        Self { kind: kind.clone(), value: Value::Map(BTreeMap::new()), origins: BTreeMap::new() }
    }

    /// Puts a document on top: `null` and `$patch: delete` remove, `$patch: replace` replaces.
    pub fn add(&mut self, document: Value, file: File<'_>) {
        let mut value = std::mem::replace(&mut self.value, Value::Null);
        self.merge(&Place::default(), &mut value, document, file);
        self.value = value;
    }

    fn merge(&mut self, place: &Place, base: &mut Value, patch: Value, file: File<'_>) {
        match (base, patch) {
            (Value::Map(base), Value::Map(patch)) if directive(&patch) != Some("replace") => {
                if base.is_empty() {
                    self.origins.remove(&place.path);
                }
                for (key, value) in patch {
                    self.entry(&place.child(&key), base, key, value, file);
                }
            }
            (Value::List(base), Value::List(items)) => match lists::keys(&self.kind, &place.field) {
                Some(keys) if !items.iter().any(replaces_list) => self.items(place, keys, base, items, file),
                _ => {
                    let mut old = Value::List(std::mem::take(base));
                    self.set(place, &mut old, Value::List(items), file);
                    if let Value::List(items) = old {
                        *base = items;
                    }
                }
            },
            (base, patch) => self.set(place, base, patch, file),
        }
    }

    fn entry(&mut self, place: &Place, base: &mut BTreeMap<String, Value>, key: String, value: Value, file: File<'_>) {
        if key == DIRECTIVE {
            return;
        }
        if removes(&value) {
            if let Some(old) = base.remove(&key) {
                self.forget(place, &old);
            }
            return;
        }
        if let Some(old) = base.get_mut(&key) {
            self.merge(place, old, value, file);
        } else {
            let mut new = Value::Null;
            self.set(place, &mut new, value, file);
            base.insert(key, new);
        }
    }

    fn items(&mut self, place: &Place, keys: &[&str], base: &mut Vec<Value>, items: Vec<Value>, file: File<'_>) {
        if base.is_empty() {
            self.origins.remove(&place.path);
        }
        for item in items {
            let key = lists::item_key(keys, &item);
            let index = base.iter().position(|old| key.is_some() && lists::item_key(keys, old) == key);
            let place = place.item(&key.unwrap_or_else(|| base.len().to_string()));
            match (index, removes(&item)) {
                (Some(index), true) => {
                    let old = base.remove(index);
                    self.forget(&place, &old);
                }
                (Some(index), false) => {
                    let Some(old) = base.get_mut(index) else { continue };
                    self.merge(&place, old, item, file);
                }
                (None, true) => {}
                (None, false) => {
                    let mut new = Value::Null;
                    self.set(&place, &mut new, item, file);
                    base.push(new);
                }
            }
        }
    }

    /// Replaces what is at `place`.
    fn set(&mut self, place: &Place, base: &mut Value, value: Value, file: File<'_>) {
        let mut old = self.forget(place, base);
        let first = old.pop_first().map(|(path, origin)| {
            old.insert(path, origin.clone());
            origin
        });
        *base = clean(&self.kind, &place.field, value);
        let origins = &mut self.origins;
        leaves::each(&self.kind, place, base, None, &mut |leaf| {
            let overridden = old.remove(&leaf.path).or_else(|| first.clone().filter(|_| leaf.path == place.path));
            let origin = file.origin(&leaf.path, overridden);
            origins.insert(leaf.path, origin);
        });
    }

    fn forget(&mut self, place: &Place, old: &Value) -> BTreeMap<String, Origin> {
        let mut forgotten = BTreeMap::new();
        let origins = &mut self.origins;
        leaves::each(&self.kind, place, old, None, &mut |leaf| {
            if let Some(origin) = origins.remove(&leaf.path) {
                forgotten.insert(leaf.path, origin);
            }
        });
        forgotten
    }
}

/// What the directive of a mapping says.
pub fn directive(map: &BTreeMap<String, Value>) -> Option<&str> {
    map.get(DIRECTIVE).and_then(Value::text)
}

fn removes(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Map(map) => directive(map) == Some("delete"),
        _ => false,
    }
}

/// `- $patch: replace` among the items of a list: the others are the whole list.
fn replaces_list(item: &Value) -> bool {
    matches!(item, Value::Map(map) if map.len() == 1 && directive(map) == Some("replace"))
}

/// A value without base: nothing to remove, no directives.
fn clean(kind: &Kind, field: &str, value: Value) -> Value {
    match value {
        Value::Map(map) => {
            let kept = map.into_iter().filter(|(key, value)| key != DIRECTIVE && !removes(value));
            let below = Place { path: String::new(), field: field.to_owned() };
            Value::Map(
                kept.map(|(key, value)| {
                    let value = clean(kind, &below.child(&key).field, value);
                    (key, value)
                })
                .collect(),
            )
        }
        Value::List(items) if lists::keys(kind, field).is_some() => {
            let kept = items.into_iter().filter(|item| !removes(item) && !replaces_list(item));
            Value::List(kept.map(|item| clean(kind, field, item)).collect())
        }
        other => other,
    }
}
