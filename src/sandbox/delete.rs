//! Deleting: preconditions, finalizers, dependents, and the contents of namespaces and definitions.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use crate::sandbox::kinds::Kind;
use crate::sandbox::lifecycle::namespace_key;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::request::{Call, Query};
use crate::sandbox::store::{Key, State};
use crate::sandbox::write::{Operation, Written};

/// Namespaces that the server needs.
const PROTECTED: [&str; 3] = ["default", "kube-system", "kube-public"];
/// What the controllers of a real cluster release at once.
const RELEASED: [&str; 2] = ["kubernetes.io/pvc-protection", "foregroundDeletion"];

/// What a delete asks for beside the name.
pub struct Options {
    uid: Option<String>,
    resource_version: Option<String>,
    orphan: bool,
    foreground: bool,
    dry_run: bool,
}

impl Options {
    /// No conditions; dependents go too.
    pub fn plain() -> Options {
        Options { uid: None, resource_version: None, orphan: false, foreground: false, dry_run: false }
    }

    /// Reads body and query.
    ///
    /// # Errors
    ///
    /// 400 for a body that is not DeleteOptions.
    pub fn read(call: &Call) -> Result<Options, Refusal> {
        let body: Value = if call.body.is_empty() {
            json!({})
        } else {
            let why = "the object provided is unrecognized (must be of type DeleteOptions)";
            serde_json::from_slice(&call.body).map_err(|_| Refusal::bad_request(why))?
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let query = |name: &str| Query::get(&call.query, name).map(str::to_owned);
        let policy = text(&body["propagationPolicy"]).or_else(|| query("propagationPolicy"));
        Ok(Options {
            uid: text(&body["preconditions"]["uid"]),
            resource_version: text(&body["preconditions"]["resourceVersion"]),
            orphan: policy.as_deref() == Some("Orphan") || body["orphanDependents"] == true,
            foreground: policy.as_deref() == Some("Foreground"),
            dry_run: call.is_dry_run() || body["dryRun"].as_array().is_some_and(|list| !list.is_empty()),
        })
    }
}

/// DELETE of one object.
pub fn delete(operation: &mut Operation) -> Result<Written, Refusal> {
    let options = Options::read(operation.call)?;
    let object = operation.existing()?;
    checked_preconditions(operation, &options, &object)?;
    if operation.kind.is("", "Namespace") && PROTECTED.contains(&operation.name()) {
        return Err(Refusal::forbidden(&operation.named(), "this namespace may not be deleted"));
    }
    let (key, time) = (operation.key(), operation.time());
    let kind = Arc::clone(&operation.kind);
    let remains = options.foreground || is_held(&kind, &object);
    let object = if options.dry_run { object } else { remove(operation.state, &kind, &key, &object, &options, &time) };
    let shown = if remains || returns_object(&kind) { object } else { Arc::new(success(&kind, &key, &object)) };
    Ok(Written { code: StatusCode::OK, object: shown, warnings: Vec::new() })
}

/// Deletes one object, or marks it when something holds it, and returns its last state.
pub fn remove(
    state: &mut State,
    kind: &Kind,
    key: &Key,
    object: &Arc<Value>,
    options: &Options,
    time: &str,
) -> Arc<Value> {
    if !is_held(kind, object) && !options.foreground {
        let uid = object["metadata"]["uid"].clone();
        state.remove(key);
        dependents(state, &uid, options.orphan, time);
        finish_namespace(state, &key.namespace);
        return Arc::clone(object);
    }
    if object["metadata"].get("deletionTimestamp").is_some() {
        return Arc::clone(object);
    }
    let mut terminating = terminating(kind, object, time);
    if options.foreground && !kind.is("", "Namespace") {
        let held = terminating["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
        terminating["metadata"]["finalizers"] = held.into_iter().chain([json!("foregroundDeletion")]).collect();
    }
    let marked = state.put(key.clone(), terminating);
    if kind.is("", "Namespace") {
        empty_namespace(state, &key.name, time);
        finish_namespace(state, &key.name);
    }
    if kind.is("apiextensions.k8s.io", "CustomResourceDefinition") {
        crate::sandbox::crd::retire(state, key, object, time);
    }
    finish_if_released(state, kind, key, time);
    marked
}

/// Removes an object that waits for its end and that no finalizer holds any more.
pub fn finish_if_released(state: &mut State, kind: &Kind, key: &Key, time: &str) {
    let Some(object) = state.get(key) else { return };
    let waits = object["metadata"].get("deletionTimestamp").is_some();
    if waits && finalizers(&object).all(|name| RELEASED.contains(&name)) && !kind.is("", "Namespace") {
        state.remove(key);
        dependents(state, &object["metadata"]["uid"], false, time);
        finish_namespace(state, &key.namespace);
    }
}

fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    object["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn is_held(kind: &Kind, object: &Value) -> bool {
    kind.is("", "Namespace") || finalizers(object).next().is_some()
}

fn terminating(kind: &Kind, object: &Value, time: &str) -> Value {
    let mut object = object.clone();
    object["metadata"]["deletionTimestamp"] = json!(time);
    if kind.is("", "Namespace") {
        object["status"]["phase"] = json!("Terminating");
        return object;
    }
    object["metadata"]["deletionGracePeriodSeconds"] = json!(0);
    let counts = !kind.is("apiextensions.k8s.io", "CustomResourceDefinition");
    if let Some(generation) = object["metadata"]["generation"].as_i64().filter(|_| counts) {
        object["metadata"]["generation"] = json!(generation + 1);
    }
    object
}

fn empty_namespace(state: &mut State, namespace: &str, time: &str) {
    let options = Options::plain();
    for kind in state.kinds.clone().iter().filter(|kind| kind.namespaced) {
        let contents: Vec<(Key, Arc<Value>)> =
            state.list(kind, Some(namespace)).map(|(key, object)| (key.clone(), Arc::clone(object))).collect();
        for (key, object) in contents {
            remove(state, kind, &key, &object, &options, time);
        }
    }
}

/// Removes a terminating namespace that is empty.
fn finish_namespace(state: &mut State, namespace: &str) {
    let key = namespace_key(namespace);
    let terminates = state.get(&key).is_some_and(|object| object["metadata"].get("deletionTimestamp").is_some());
    if terminates && !state.all().any(|(other, _)| other.namespace == namespace) {
        state.remove(&key);
    }
}

/// Deletes (or lets go) what the removed object owned.
fn dependents(state: &mut State, uid: &Value, orphan: bool, time: &str) {
    let owned = |object: &Value| {
        let owners = object["metadata"]["ownerReferences"].as_array();
        owners.is_some_and(|owners| owners.iter().any(|owner| owner["uid"] == *uid))
    };
    let found: Vec<(Key, Arc<Value>)> = state
        .all()
        .filter(|(_, object)| owned(object))
        .map(|(key, object)| (key.clone(), Arc::clone(object)))
        .collect();
    for (key, object) in found {
        let mut rest = Value::clone(&object);
        if let Some(owners) = rest["metadata"]["ownerReferences"].as_array_mut() {
            owners.retain(|owner| owner["uid"] != *uid);
        }
        let has_others = rest["metadata"]["ownerReferences"].as_array().is_some_and(|owners| !owners.is_empty());
        let kind = state.kinds.iter().find(|kind| kind.group == key.group && kind.plural == key.plural).cloned();
        match kind {
            Some(kind) if !orphan && !has_others => {
                remove(state, &kind, &key, &object, &Options::plain(), time);
            }
            _ => drop(state.put(key, rest)),
        }
    }
}

fn checked_preconditions(operation: &Operation, options: &Options, object: &Value) -> Result<(), Refusal> {
    let metadata = |name: &str| object["metadata"][name].as_str().unwrap_or_default();
    let conflict = |why: &str| Err(Refusal::conflict(&operation.kind.kind_named(operation.name()), why));
    if let Some(uid) = options.uid.as_deref().filter(|uid| *uid != metadata("uid")) {
        return conflict(&format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been \
             deleted and then recreated",
            metadata("uid")
        ));
    }
    if let Some(version) = options.resource_version.as_deref().filter(|v| *v != metadata("resourceVersion")) {
        return conflict(&format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). \
             The object might have been modified",
            metadata("resourceVersion")
        ));
    }
    Ok(())
}

fn returns_object(kind: &Kind) -> bool {
    const KINDS: [&str; 5] = ["Pod", "PersistentVolumeClaim", "ResourceQuota", "ServiceAccount", "Service"];
    kind.group.is_empty() && KINDS.contains(&kind.kind.as_str())
}

fn success(kind: &Kind, key: &Key, object: &Value) -> Value {
    let mut details = json!({"name": key.name, "kind": kind.plural, "uid": object["metadata"]["uid"]});
    if !kind.group.is_empty() {
        details["group"] = json!(kind.group);
    }
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}
