//! CustomResourceDefinitions: the kinds that they add.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::sandbox::delete;
use crate::sandbox::kinds::{Definition, Kind};
use crate::sandbox::store::{Key, State};

/// Serves a new definition's kind and says so in its status.
pub fn establish(state: &mut State, key: &Key, definition: &Value, time: &str) {
    let mut established = definition.clone();
    let condition = |kind: &str, reason: &str, message: &str| json!({"type": kind, "status": "True", "lastTransitionTime": time, "reason": reason, "message": message});
    established["status"] = json!({
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        "acceptedNames": definition["spec"]["names"],
        "storedVersions": stored_versions(definition),
    });
    established["metadata"]["finalizers"] = json!(["customresourcecleanup.apiextensions.k8s.io"]);
    let stored = state.put(key.clone(), established);
    serve(state, key, &stored);
}

/// Replaces the kinds that a definition adds.
pub fn serve(state: &mut State, key: &Key, definition: &Value) {
    let group = text(&definition["spec"]["group"]);
    let plural = text(&definition["spec"]["names"]["plural"]);
    forget(state, &group, &plural);
    let served = versions(definition).filter(|version| version["served"] != false);
    let kinds: Vec<Arc<Kind>> = served.map(|version| Arc::new(kind_of(&definition["spec"], version))).collect();
    state.kinds.extend(kinds);
    debug_assert_eq!(key.name, format!("{plural}.{group}"));
}

/// Removes a definition's objects and then its kinds.
pub fn retire(state: &mut State, key: &Key, definition: &Value, time: &str) {
    let group = text(&definition["spec"]["group"]);
    let plural = text(&definition["spec"]["names"]["plural"]);
    let options = delete::Options::plain();
    let Some(kind) = state.kinds.iter().find(|kind| kind.group == group && kind.plural == plural).cloned() else {
        return;
    };
    let objects: Vec<(Key, Arc<Value>)> =
        state.list(&kind, None).map(|(key, object)| (key.clone(), Arc::clone(object))).collect();
    for (key, object) in objects {
        delete::remove(state, &kind, &key, &object, &options, time);
    }
    forget(state, &group, &plural);
    state.remove(key);
}

/// The names of the versions in which objects are stored: one.
pub fn stored_versions(definition: &Value) -> Vec<Value> {
    let stored = versions(definition).filter(|version| version["storage"] == true);
    stored.map(|version| version["name"].clone()).collect()
}

fn forget(state: &mut State, group: &str, plural: &str) {
    state.kinds.retain(|kind| !(kind.is_custom() && kind.group == group && kind.plural == plural));
}

fn versions(definition: &Value) -> impl Iterator<Item = &Value> {
    definition["spec"]["versions"].as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn kind_of(spec: &Value, version: &Value) -> Kind {
    let names = &spec["names"];
    let list = |value: &Value| value.as_array().into_iter().flatten().map(text).collect();
    let subresources = &version["subresources"];
    Kind {
        group: text(&spec["group"]),
        version: text(&version["name"]),
        kind: text(&names["kind"]),
        plural: text(&names["plural"]),
        singular: text(&names["singular"]),
        short_names: list(&names["shortNames"]),
        categories: list(&names["categories"]),
        namespaced: spec["scope"] == "Namespaced",
        status: subresources.get("status").is_some(),
        scale: false,
        generation: true,
        definition: Definition::Custom {
            schema: Arc::new(prepared(&version["schema"]["openAPIV3Schema"])),
            columns: Arc::new(version["additionalPrinterColumns"].clone()),
        },
    }
}

/// The schema with marks: where it starts, and that unknown fields are dropped everywhere.
fn prepared(schema: &Value) -> Value {
    let mut root = marked(schema);
    root["x-sandbox-root"] = json!(true);
    root["type"] = json!("object");
    if !root["properties"].is_object() {
        root["properties"] = json!({});
    }
    for name in ["apiVersion", "kind"] {
        root["properties"][name] = json!({"type": "string"});
    }
    root
}

fn marked(node: &Value) -> Value {
    let Value::Object(map) = node else { return node.clone() };
    let mut result = Map::new();
    for (name, value) in map {
        let value = match (name.as_str(), value) {
            ("properties", Value::Object(fields)) => {
                Value::Object(fields.iter().map(|(field, schema)| (field.clone(), marked(schema))).collect())
            }
            ("items" | "additionalProperties", value) => marked(value),
            (_, value) => value.clone(),
        };
        result.insert(name.clone(), value);
    }
    result.insert("x-sandbox-custom".to_owned(), json!(true));
    Value::Object(result)
}
