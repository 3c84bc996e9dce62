//! Objects that somebody else made, as predecessors: read live once, so that a person sees what adopting would change.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::desired::manifest::{ConfigValue, Manifest};
use crate::desired::value::Value;
use crate::model::cleartext::Cleartext;
use crate::model::object::ObjectId;
use crate::planning::changes::{LeafChange, Word};
use crate::planning::diff;

/// A live object in the shape of a manifest. Values of Secrets are cleartext and redacted like any other.
pub fn manifest(object: &ObjectId, live: Json) -> Manifest {
    let text = |value: &Json| value.as_str().unwrap_or_default().as_bytes().to_vec();
    let decoded = |value: &Json| data_encoding::BASE64.decode(&text(value)).unwrap_or_default();
    let mut values = std::collections::BTreeMap::new();
    let mut add = |field: &str, binary: bool, bytes: &dyn Fn(&Json) -> Vec<u8>| {
        for (key, value) in live.get(field).and_then(Json::as_object).into_iter().flatten() {
            let bytes = Cleartext::new(bytes(value));
            values.insert(key.clone(), ConfigValue { bytes, redacted: object.kind.is_secret(), binary });
        }
    };
    match (object.kind.is_secret(), object.kind.is_config()) {
        (true, _) => add("data", false, &decoded),
        (false, true) => {
            add("data", false, &text);
            add("binaryData", true, &decoded);
        }
        _ => {}
    }
    let api_version = live.get("apiVersion").and_then(Json::as_str).unwrap_or_default().to_owned();
    let body = Value::from_json(strip(live));
    Manifest { object: object.clone(), api_version, body, values, origins: std::collections::BTreeMap::new() }
}

/// What adopting changes: fields that git does not name stay as they are, so only keys of ConfigMaps and Secrets can go.
pub fn changes(live: Option<&Manifest>, manifest: &Manifest) -> Vec<LeafChange> {
    let named: BTreeSet<&String> = manifest.origins.keys().collect();
    let mut leaves = diff::changes(live, Some(manifest));
    leaves.retain(|leaf| leaf.word != Word::Removed || leaf.path.starts_with("data.") || named.contains(&leaf.path));
    leaves
}

/// Without what the server sets and what a manifest holds elsewhere.
fn strip(mut live: Json) -> Json {
    if let Some(fields) = live.as_object_mut() {
        for field in ["apiVersion", "kind", "status", "data", "binaryData", "stringData"] {
            fields.remove(field);
        }
    }
    if let Some(metadata) = live.get_mut("metadata").and_then(Json::as_object_mut) {
        metadata.retain(|field, _| field == "labels" || field == "annotations");
    }
    live
}
