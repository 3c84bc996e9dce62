//! kubectl's way from client-side to server-side apply, in which kube-apiserver helps.

use serde_json::{Value, json};

use crate::sandbox::refusal::Refusal;
use crate::sandbox::schema::Schema;
use crate::sandbox::typed;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// True when every conflict is on a field that kubectl itself applied last, from the client.
pub fn owns_conflicts(manager: &str, schema: Schema, live: &Value, refusal: &Refusal) -> bool {
    let Some(last) = last_applied(manager, live) else { return false };
    let Ok(last) = serde_json::from_str::<Value>(last) else { return false };
    let Some(causes) = refusal.details.as_ref().and_then(|details| details["causes"].as_array()) else { return false };
    let own = typed::field_set(Some(schema), &last).paths();
    causes
        .iter()
        .all(|cause| cause["reason"] == "FieldManagerConflict" && own.iter().any(|path| cause["field"] == *path))
}

/// Keeps the annotation of client-side apply up to date, so that one can go back.
pub fn record(manager: &str, live: &Value, config: &Value, object: &mut Value) {
    if last_applied(manager, live).is_some() {
        object["metadata"]["annotations"][LAST_APPLIED] = json!(format!("{config}\n"));
    }
}

fn last_applied<'a>(manager: &str, live: &'a Value) -> Option<&'a str> {
    live["metadata"]["annotations"][LAST_APPLIED].as_str().filter(|_| manager == "kubectl")
}
