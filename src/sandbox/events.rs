//! Events are one thing with two faces: `v1` and `events.k8s.io/v1`. They are stored as the first.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::sandbox::kinds::Kind;

pub const GROUP: &str = "events.k8s.io";

/// The names of a field in `v1` and in `events.k8s.io/v1`.
const FIELDS: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

/// The object in the form in which it is stored.
pub fn stored(kind: &Kind, object: Value) -> Value {
    if kind.group == GROUP { renamed(object, "v1", |(core, new)| (new, core)) } else { object }
}

/// A stored object in the form of the kind that is asked for.
pub fn read(kind: &Kind, object: &Arc<Value>) -> Arc<Value> {
    if kind.group != GROUP {
        return Arc::clone(object);
    }
    Arc::new(renamed(Value::clone(object), "events.k8s.io/v1", |(core, new)| (core, new)))
}

fn renamed(
    mut object: Value,
    api_version: &str,
    direction: fn((&'static str, &'static str)) -> (&'static str, &'static str),
) -> Value {
    object["apiVersion"] = json!(api_version);
    if let Some(map) = object.as_object_mut() {
        for (from, to) in FIELDS.map(direction) {
            if let Some(value) = map.remove(from) {
                map.insert(to.to_owned(), value);
            }
        }
    }
    object
}
