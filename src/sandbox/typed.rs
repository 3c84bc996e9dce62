//! Objects as trees of owned fields: their field sets, comparison, merging and removal.
//!
//! The rules are those of structured-merge-diff, which kube-apiserver uses.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::sandbox::fieldset::FieldSet;
use crate::sandbox::schema::{ListKind, Schema, Shape, shape_of};

/// What differs between two objects.
#[derive(Debug, Default)]
pub struct Comparison {
    pub added: FieldSet,
    pub modified: FieldSet,
    pub removed: FieldSet,
}

/// The paths that `value` sets.
pub fn field_set(schema: Option<Schema>, value: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    match (shape_of(schema, value), value) {
        (Shape::Map { atomic: false }, Value::Object(map)) => {
            for (name, below) in map {
                set.children.insert(format!("f:{name}"), field_of_map(schema, name, below));
            }
        }
        (Shape::List(kind @ (ListKind::Set | ListKind::Keyed(_))), Value::Array(list)) => {
            let items = schema.and_then(Schema::items);
            for item in list {
                let mut child = field_set(items, item);
                child.member = true;
                set.children.insert(element_of(kind, items, item), child);
            }
        }
        (Shape::Map { atomic: false } | Shape::List(ListKind::Set | ListKind::Keyed(_)), _) => {}
        _ => set.member = true,
    }
    set
}

fn field_of_map(schema: Option<Schema>, name: &str, value: &Value) -> FieldSet {
    let mut child = field_set(schema.and_then(|s| s.child(name)), value);
    let is_empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
    if is_empty || schema.and_then(|s| s.declared(name)).is_none() {
        child.member = true;
    }
    child
}

/// The path element of a list's item: its keys (with their defaults), or its value.
pub fn element_of(kind: ListKind, items: Option<Schema>, item: &Value) -> String {
    let ListKind::Keyed(keys) = kind else { return format!("v:{item}") };
    let mut named = Map::new();
    for key in keys.as_array().into_iter().flatten().filter_map(Value::as_str) {
        let default = || items.and_then(|s| s.declared(key)).and_then(|s| s.attribute("default"));
        if let Some(value) = item.get(key).or_else(default) {
            named.insert(key.to_owned(), value.clone());
        }
    }
    format!("k:{}", Value::Object(named))
}

/// Says what was added, changed and removed on the way from `before` to `after`.
pub fn compare(schema: Option<Schema>, before: &Value, after: &Value) -> Comparison {
    let mut comparison = Comparison::default();
    compare_at(schema, Some(before), Some(after), &mut Vec::new(), &mut comparison);
    comparison
}

fn compare_at(
    schema: Option<Schema>,
    before: Option<&Value>,
    after: Option<&Value>,
    path: &mut Vec<String>,
    found: &mut Comparison,
) {
    let Some(sample) = after.or(before) else { return };
    let both_empty = is_hollow(before) && is_hollow(after);
    match shape_of(schema, sample) {
        Shape::Map { atomic: false } if !both_empty => compare_maps(schema, before, after, path, found),
        Shape::List(kind @ (ListKind::Set | ListKind::Keyed(_))) if !both_empty => {
            compare_lists((schema, kind), before, after, path, found);
        }
        _ if before.is_some() && after.is_some() && before != after => found.modified.insert(path),
        _ => {}
    }
    match (before, after) {
        (None, Some(_)) => found.added.insert(path),
        (Some(_), None) => found.removed.insert(path),
        _ => {}
    }
}

fn is_hollow(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        Some(_) => false,
    }
}

fn compare_maps(
    schema: Option<Schema>,
    before: Option<&Value>,
    after: Option<&Value>,
    path: &mut Vec<String>,
    found: &mut Comparison,
) {
    let empty = Map::new();
    let before = before.and_then(Value::as_object).unwrap_or(&empty);
    let after = after.and_then(Value::as_object).unwrap_or(&empty);
    let added = after.keys().filter(|name| !before.contains_key(*name));
    for name in before.keys().chain(added) {
        path.push(format!("f:{name}"));
        compare_at(schema.and_then(|s| s.child(name)), before.get(name), after.get(name), path, found);
        path.pop();
    }
}

fn compare_lists(
    (schema, kind): (Option<Schema>, ListKind),
    before: Option<&Value>,
    after: Option<&Value>,
    path: &mut Vec<String>,
    found: &mut Comparison,
) {
    let items = schema.and_then(Schema::items);
    let before = indexed(kind, items, before);
    let after = indexed(kind, items, after);
    let added = after.keys().filter(|element| !before.contains_key(*element));
    for element in before.keys().chain(added) {
        path.push(element.clone());
        compare_at(items, before.get(element).copied(), after.get(element).copied(), path, found);
        path.pop();
    }
}

fn indexed<'a>(kind: ListKind, items: Option<Schema>, list: Option<&'a Value>) -> BTreeMap<String, &'a Value> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.map(|item| (element_of(kind, items, item), item)).collect()
}

/// Merges an applied configuration into the live object: the configuration wins, lists are merged by their keys.
pub fn merge(schema: Option<Schema>, live: Option<&Value>, config: Option<&Value>) -> Value {
    let (live, config) = match (live, config) {
        (Some(live), Some(config)) => (live, config),
        (live, config) => return config.or(live).cloned().unwrap_or(Value::Null),
    };
    match (shape_of(schema, config), live, config) {
        (Shape::Map { atomic: false }, Value::Object(ours), Value::Object(theirs)) => {
            let mut merged = ours.clone();
            for (name, value) in theirs {
                let below = merge(schema.and_then(|s| s.child(name)), ours.get(name), Some(value));
                merged.insert(name.clone(), below);
            }
            Value::Object(merged)
        }
        (Shape::List(kind @ (ListKind::Set | ListKind::Keyed(_))), Value::Array(ours), Value::Array(theirs)) => {
            Value::Array(merge_lists(kind, schema.and_then(Schema::items), ours, theirs))
        }
        _ => config.clone(),
    }
}

fn merge_lists(kind: ListKind, items: Option<Schema>, live: &[Value], config: &[Value]) -> Vec<Value> {
    let element = |item: &Value| element_of(kind, items, item);
    let theirs: Vec<String> = config.iter().map(element).collect();
    let mut merged = Vec::new();
    let mut next = 0;
    let emit = |index: usize, merged: &mut Vec<Value>| {
        let ours = live.iter().find(|item| element(item) == theirs[index]);
        merged.push(merge(items, ours, Some(&config[index])));
    };
    for item in live {
        match theirs.iter().position(|other| *other == element(item)) {
            None => merged.push(item.clone()),
            Some(position) => {
                while next <= position {
                    emit(next, &mut merged);
                    next += 1;
                }
            }
        }
    }
    for index in next..config.len() {
        emit(index, &mut merged);
    }
    merged
}

/// The value without the fields in `removed`; nothing when nothing is left.
pub fn remove(schema: Option<Schema>, value: &Value, removed: &FieldSet) -> Option<Value> {
    match (shape_of(schema, value), value) {
        (Shape::Map { atomic: false }, Value::Object(map)) => {
            let mut kept = Map::new();
            for (name, below) in map {
                match removed.children.get(&format!("f:{name}")) {
                    Some(gone) if gone.member => {}
                    Some(partly) => {
                        // a field that was not removed itself stays, if only as null
                        let rest = remove(schema.and_then(|s| s.child(name)), below, partly);
                        kept.insert(name.clone(), rest.unwrap_or_default());
                    }
                    None => drop(kept.insert(name.clone(), below.clone())),
                }
            }
            (!kept.is_empty() || map.is_empty()).then_some(Value::Object(kept))
        }
        (Shape::List(kind @ (ListKind::Set | ListKind::Keyed(_))), Value::Array(list)) => {
            let items = schema.and_then(Schema::items);
            let kept: Vec<Value> = list
                .iter()
                .filter_map(|item| match removed.children.get(&element_of(kind, items, item)) {
                    Some(gone) if gone.member => None,
                    Some(partly) => remove(items, item, partly),
                    None => Some(item.clone()),
                })
                .collect();
            (!kept.is_empty() || list.is_empty()).then_some(Value::Array(kept))
        }
        _ => Some(value.clone()),
    }
}

/// Adds to a set the declared fields on the way to its members, so that they go when all below them goes.
pub fn with_named_fields(schema: Option<Schema>, set: &FieldSet) -> FieldSet {
    let children = set.children.iter().map(|(element, child)| {
        let name = element.strip_prefix("f:");
        let declared = name.and_then(|name| schema.and_then(|s| s.declared(name)));
        let below = match name {
            Some(name) => schema.and_then(|s| s.child(name)),
            None => schema.and_then(Schema::items),
        };
        let mut child = with_named_fields(below, child);
        child.member |= declared.is_some() && !child.children.is_empty();
        (element.clone(), child)
    });
    FieldSet { member: set.member, children: children.collect() }
}

/// What makes `value` no valid configuration under `schema`, in the words of kube-apiserver.
pub fn faults(schema: Option<Schema>, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    faults_at(schema, value, "", &mut found);
    found
}

fn faults_at(schema: Option<Schema>, value: &Value, path: &str, found: &mut Vec<String>) {
    let Some(known) = schema else { return };
    if value.is_null() {
        return;
    }
    match (known.shape(), value) {
        (Shape::Map { .. }, Value::Object(map)) => {
            for (name, below) in map {
                match known.child(name) {
                    Some(child) => faults_at(Some(child), below, &format!("{path}.{name}"), found),
                    None if known.is_open() => {}
                    None => found.push(format!("{path}.{name}: field not declared in schema")),
                }
            }
        }
        (Shape::Map { .. }, other) => found.push(format!("{path}: expected map, got {}", go_value(other))),
        (Shape::List(kind), Value::Array(list)) => list_faults(known, kind, list, path, found),
        (Shape::List(_), other) => found.push(format!("{path}: expected list, got {}", go_value(other))),
        (Shape::Scalar, other) => scalar_fault(known, other, path, found),
        (Shape::Any, _) => {}
    }
}

fn list_faults(schema: Schema, kind: ListKind, list: &[Value], path: &str, found: &mut Vec<String>) {
    let mut seen = Vec::new();
    for (index, item) in list.iter().enumerate() {
        let at = if matches!(kind, ListKind::Atomic) {
            format!("{path}[{index}]")
        } else {
            let element = element_of(kind, schema.items(), item);
            let mut set = FieldSet::default();
            set.insert(std::slice::from_ref(&element));
            let written = set.paths().concat();
            if seen.contains(&element) {
                found.push(format!("{path}: duplicate entries for key {written}"));
            }
            seen.push(element);
            format!("{path}{written}")
        };
        faults_at(schema.items(), item, &at, found);
    }
}

fn scalar_fault(schema: Schema, value: &Value, path: &str, found: &mut Vec<String>) {
    let fits = match schema.text("type") {
        Some("string") => value.is_string(),
        Some("integer" | "number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        _ => value.is_string() || value.is_number() || value.is_boolean(),
    };
    if !fits {
        let wanted = match schema.text("type") {
            Some("integer" | "number") => "numeric",
            Some(name) => name,
            None => "untyped",
        };
        found.push(format!("{path}: expected {wanted}, got {}", go_value(value)));
    }
}

fn go_value(value: &Value) -> String {
    let written = match value {
        Value::String(text) => text.clone(),
        Value::Object(_) => "map[]".to_owned(),
        Value::Array(_) => "[]".to_owned(),
        other => other.to_string(),
    };
    format!("&value.valueUnstructured{{Value:{written}}}")
}
