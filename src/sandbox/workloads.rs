//! What the controllers of an idle cluster would say of workloads: each generation runs as soon as it is seen.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::sandbox::kinds::Kind;
use crate::sandbox::store::{Key, State};

/// Says of a workload that it runs, once a generation; a status that somebody else writes stays until the next one.
pub fn run(state: &mut State, kind: &Kind, key: &Key, stored: &Arc<Value>, time: &str) {
    if !state.runs_workloads || stored["metadata"].get("deletionTimestamp").is_some() {
        return;
    }
    let Some(status) = status(kind, stored, time) else { return };
    let mut object = Value::clone(stored);
    object["status"] = status;
    state.put(key.clone(), object);
}

fn status(kind: &Kind, object: &Value, time: &str) -> Option<Value> {
    let (spec, metadata) = (&object["spec"], &object["metadata"]);
    let generation = &metadata["generation"];
    if kind.is("batch", "Job") {
        let is_new = object["status"].get("conditions").is_none() && spec["suspend"] != true;
        return is_new.then(|| job(spec, time));
    }
    if object["status"]["observedGeneration"] == *generation {
        return None;
    }
    let replicas = spec["replicas"].as_i64().unwrap_or(1);
    let revision = format!("{}-{generation}", metadata["name"].as_str().unwrap_or_default());
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("apps", "Deployment") => Some(json!({
            "observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas,
            "readyReplicas": replicas, "availableReplicas": replicas,
            "conditions": [
                condition("Available", "MinimumReplicasAvailable", time),
                condition("Progressing", "NewReplicaSetAvailable", time),
            ],
        })),
        ("apps", "StatefulSet") => Some(json!({
            "observedGeneration": generation, "replicas": replicas, "currentReplicas": replicas,
            "updatedReplicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas,
            "currentRevision": revision, "updateRevision": revision, "collisionCount": 0,
        })),
        ("apps", "DaemonSet") => Some(json!({
            "observedGeneration": generation, "currentNumberScheduled": 1, "desiredNumberScheduled": 1,
            "updatedNumberScheduled": 1, "numberReady": 1, "numberAvailable": 1, "numberMisscheduled": 0,
        })),
        _ => None,
    }
}

fn job(spec: &Value, time: &str) -> Value {
    let completions = spec["completions"].as_i64().unwrap_or(1);
    let reason = "CompletionsReached";
    json!({
        "succeeded": completions, "ready": 0, "startTime": time, "completionTime": time,
        "conditions": [condition("SuccessCriteriaMet", reason, time), condition("Complete", reason, time)],
    })
}

fn condition(kind: &str, reason: &str, time: &str) -> Value {
    json!({
        "type": kind, "status": "True", "reason": reason, "message": "in a sandbox everything runs at once",
        "lastTransitionTime": time,
    })
}
