//! Strategic merge patches, with the merge keys of the built-in definitions.

use serde_json::{Map, Value};

use crate::sandbox::schema::Schema;

/// Merges `patch` into `object`.
///
/// # Errors
///
/// What kube-apiserver says of an entry without its merge key or of an unknown directive.
pub fn merge(schema: Option<Schema>, object: &Value, patch: &Value) -> Result<Value, String> {
    let Value::Object(fields) = patch else { return Ok(patch.clone()) };
    let mut merged = object.as_object().cloned().unwrap_or_default();
    match fields.get("$patch").and_then(Value::as_str) {
        Some("replace") => return Ok(Value::Object(plain(fields))),
        Some("delete") => return Ok(Value::Object(Map::new())),
        Some("merge") | None => {}
        Some(other) => return Err(format!("unknown patch type: {other}")),
    }
    if let Some(Value::Array(kept)) = fields.get("$retainKeys") {
        merged.retain(|name, _| kept.iter().any(|other| other == name));
    }
    for (name, value) in plain(fields) {
        let child = schema.and_then(|s| s.child(&name));
        match value {
            Value::Null => drop(merged.remove(&name)),
            Value::Object(_) if replaces(child) => drop(merged.insert(name, value)),
            Value::Object(_) => {
                let below = merge(child, merged.get(&name).unwrap_or(&Value::Null), &value)?;
                merged.insert(name, below);
            }
            Value::Array(list) => {
                let before = merged.get(&name).and_then(Value::as_array).cloned().unwrap_or_default();
                merged.insert(name, Value::Array(merge_list(child, before, list)?));
            }
            scalar => drop(merged.insert(name, scalar)),
        }
    }
    directives(schema, fields, &mut merged);
    Ok(Value::Object(merged))
}

fn plain(fields: &Map<String, Value>) -> Map<String, Value> {
    fields
        .iter()
        .filter(|(name, _)| !name.starts_with('$'))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn has_strategy(schema: Option<Schema>, strategy: &str) -> bool {
    let strategies = schema.and_then(|s| s.text("x-kubernetes-patch-strategy")).unwrap_or_default();
    strategies.split(',').any(|name| name == strategy)
}

fn replaces(schema: Option<Schema>) -> bool {
    has_strategy(schema, "replace")
}

fn merge_list(schema: Option<Schema>, before: Vec<Value>, patch: Vec<Value>) -> Result<Vec<Value>, String> {
    if !has_strategy(schema, "merge") {
        return Ok(patch);
    }
    let Some(key) = schema.and_then(|s| s.text("x-kubernetes-patch-merge-key")) else {
        let mut merged = before;
        for value in patch {
            if !merged.contains(&value) {
                merged.push(value);
            }
        }
        return Ok(merged);
    };
    let replaced = patch.iter().any(|item| item["$patch"] == "replace");
    let mut merged = if replaced { Vec::new() } else { before };
    for item in patch.iter().filter(|item| item["$patch"] != "replace") {
        let Some(value) = item.get(key) else {
            return Err(format!("map: {item} does not contain declared merge key: {key}"));
        };
        let position = merged.iter().position(|other| other.get(key) == Some(value));
        let items = schema.and_then(Schema::items);
        match (item["$patch"] == "delete", position) {
            (true, _) => merged.retain(|other| other.get(key) != Some(value)),
            (false, Some(position)) => merged[position] = merge(items, &merged[position], item)?,
            (false, None) => merged.push(merge(items, &Value::Null, item)?),
        }
    }
    Ok(merged)
}

/// `$deleteFromPrimitiveList/<field>` and `$setElementOrder/<field>`.
fn directives(schema: Option<Schema>, fields: &Map<String, Value>, merged: &mut Map<String, Value>) {
    for (directive, value) in fields {
        let Some(listed) = value.as_array() else { continue };
        let Some((directive, name)) = directive.split_once('/') else { continue };
        let Some(list) = merged.get_mut(name).and_then(Value::as_array_mut) else { continue };
        match directive {
            "$deleteFromPrimitiveList" => list.retain(|item| !listed.contains(item)),
            "$setElementOrder" => {
                let field = schema.and_then(|s| s.child(name));
                set_order(field.and_then(|s| s.text("x-kubernetes-patch-merge-key")), list, listed);
            }
            _ => {}
        }
    }
}

/// Puts the entries that the order names into that order, in the places that they have.
fn set_order(key: Option<&str>, list: &mut [Value], order: &[Value]) {
    let identity = |item: &Value| key.map_or_else(|| item.clone(), |key| item[key].clone());
    let wanted: Vec<Value> = order.iter().map(identity).collect();
    let mut ordered: Vec<Value> = list.iter().filter(|item| wanted.contains(&identity(item))).cloned().collect();
    ordered.sort_by_key(|item| wanted.iter().position(|other| *other == identity(item)));
    let mut ordered = ordered.into_iter();
    for item in list.iter_mut().filter(|item| wanted.contains(&identity(item))) {
        if let Some(next) = ordered.next() {
            *item = next;
        }
    }
}
