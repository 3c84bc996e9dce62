//! Reading: one object, and lists in pages.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Value, json};

use crate::sandbox::events;
use crate::sandbox::kinds::Kind;
use crate::sandbox::quota;
use crate::sandbox::refusal::{Cause, Refusal};
use crate::sandbox::request::Call;
use crate::sandbox::selector::Selector;
use crate::sandbox::store::{Key, State};

/// A list as answered.
pub struct List {
    pub items: Vec<Arc<Value>>,
    pub metadata: Value,
}

/// An object as it is shown.
pub fn shown(state: &State, kind: &Kind, object: &Arc<Value>) -> Arc<Value> {
    if kind.is("", "ResourceQuota") { Arc::new(quota::with_usage(state, object)) } else { Arc::clone(object) }
}

/// The objects that a request selects.
///
/// # Errors
///
/// 400 for what cannot be read, 410 for a page of a list that is forgotten, 504 for a resourceVersion yet to come.
pub fn list(state: &State, kind: &Kind, namespace: Option<&str>, call: &Call) -> Result<List, Refusal> {
    let selector = Selector::read(kind, call)?;
    let limit = call.query.number("limit")?.filter(|limit| *limit > 0);
    let (revision, start) = position(state, call)?;
    let objects = objects_at(state, kind, namespace, revision);
    let rest = objects.into_iter().filter(|(key, _)| start.as_ref().is_none_or(|start| key > start));
    let mut selected: Vec<(Key, Arc<Value>)> = rest
        .map(|(key, object)| (key, events::read(kind, &object)))
        .filter(|(_, object)| selector.matches(object))
        .collect();
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok())
        && selected.len() > limit
    {
        metadata["remainingItemCount"] = json!(selected.len() - limit);
        selected.truncate(limit);
        if let Some((last, _)) = selected.last() {
            metadata["continue"] = json!(token(revision, last));
        }
    }
    let items = selected.iter().map(|(_, object)| shown(state, kind, object)).collect();
    Ok(List { items, metadata })
}

/// The list as it is written in plain JSON.
pub fn to_json(kind: &Kind, list: &List) -> Value {
    let bare = |object: &Arc<Value>| {
        let mut object = Value::clone(object);
        if let Some(map) = object.as_object_mut().filter(|_| !kind.is_custom()) {
            map.remove("kind");
            map.remove("apiVersion");
        }
        object
    };
    json!({
        "kind": format!("{}List", kind.kind),
        "apiVersion": kind.api_version(),
        "metadata": list.metadata,
        "items": list.items.iter().map(bare).collect::<Vec<_>>(),
    })
}

fn position(state: &State, call: &Call) -> Result<(u64, Option<Key>), Refusal> {
    if let Some(token) = call.query.get("continue") {
        let (revision, key) = read_token(token).ok_or_else(|| {
            Refusal::bad_request("invalid continue token: continue key is not valid: it was not made by this server")
        })?;
        if revision < state.compacted() {
            return Err(Refusal::expired(
                "The provided continue parameter is too old to display a consistent list result. You can start a new \
                 list without the continue parameter."
                    .to_owned(),
            ));
        }
        return Ok((revision, Some(key)));
    }
    let asked = call.query.number("resourceVersion")?.unwrap_or_default();
    if asked > state.revision() {
        return Err(too_large(asked, state.revision()));
    }
    if asked > 0 && call.query.get("resourceVersionMatch") == Some("Exact") {
        if asked < state.compacted() {
            return Err(Refusal::expired(format!("The resourceVersion for the provided list is too old: {asked}")));
        }
        return Ok((asked, None));
    }
    Ok((state.revision(), None))
}

fn too_large(asked: u64, current: u64) -> Refusal {
    let cause = Cause {
        reason: "ResourceVersionTooLarge",
        message: "Too large resource version".to_owned(),
        field: String::new(),
    };
    let message = format!("Too large resource version: {asked}, current: {current}");
    Refusal {
        details: Some(json!({"retryAfterSeconds": 1})),
        ..Refusal::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message)
    }
    .with_causes(&[cause])
}

/// The objects as they were at a revision that is not forgotten.
fn objects_at(state: &State, kind: &Kind, namespace: Option<&str>, revision: u64) -> Vec<(Key, Arc<Value>)> {
    let now = state.list(kind, namespace).map(|(key, object)| (key.clone(), Arc::clone(object)));
    if revision == state.revision() {
        return now.collect();
    }
    let mut objects: BTreeMap<Key, Arc<Value>> = now.collect();
    let changes: Vec<_> = state.changes_after(revision).collect();
    let root = Key::new(kind, "", "");
    let here = |key: &Key| {
        key.group == root.group
            && key.plural == root.plural
            && namespace.is_none_or(|namespace| key.namespace == namespace)
    };
    for change in changes.into_iter().rev().filter(|change| here(&change.key)) {
        match &change.before {
            Some(before) => drop(objects.insert(change.key.clone(), Arc::clone(before))),
            None => drop(objects.remove(&change.key)),
        }
    }
    objects.into_iter().collect()
}

fn token(revision: u64, last: &Key) -> String {
    let token = json!([revision, last.group, last.plural, last.namespace, last.name]);
    URL_SAFE_NO_PAD.encode(token.to_string())
}

fn read_token(token: &str) -> Option<(u64, Key)> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (revision, group, plural, namespace, name) = serde_json::from_slice(&bytes).ok()?;
    Some((revision, Key { group, plural, namespace, name }))
}
