//! The subresource `scale` of workloads.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use crate::sandbox::patch::{self, PatchType};
use crate::sandbox::refusal::{Cause, Named, Refusal};
use crate::sandbox::schema::Schema;
use crate::sandbox::write::{self, Operation, Written};

const SCALE: &str = "io.k8s.api.autoscaling.v1.Scale";

/// The Scale of a workload.
pub fn of(object: &Value) -> Value {
    let metadata = &object["metadata"];
    let labels = object["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten();
    let selector: Vec<String> = labels.map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"], "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": {"replicas": object["spec"]["replicas"]},
        "status": {"replicas": object["status"]["replicas"].as_i64().unwrap_or_default(), "selector": selector.join(",")},
    })
}

/// PUT and PATCH of a Scale.
///
/// # Errors
///
/// As those of the workload itself; 501 for server-side apply.
pub fn write(operation: &mut Operation) -> Result<Written, Refusal> {
    let patch_type = match operation.call.method.as_str() {
        "PUT" => None,
        _ => Some(patch::type_of(&operation.kind, operation.call)?),
    };
    let old = operation.existing()?;
    let asked = match patch_type {
        None => write::read_body(operation)?,
        Some(PatchType::Apply) => return Err(Refusal::unserved("server-side apply on `scale`")),
        Some(patch_type) => patch::apply(patch_type, Schema::named(SCALE), operation.call, &of(&old))?,
    };
    let replicas = asked["spec"]["replicas"].clone();
    if replicas.as_i64().is_some_and(|count| count < 0) {
        let cause = Cause::invalid("spec.replicas", &replicas, "must be greater than or equal to 0");
        let scale = Named {
            group: "autoscaling".to_owned(),
            kind: "Scale".to_owned(),
            ..operation.kind.kind_named(operation.name())
        };
        return Err(Refusal::invalid(&scale, vec![cause]));
    }
    let mut new = Value::clone(&old);
    new["spec"]["replicas"] = if replicas.is_null() { json!(0) } else { replicas };
    new["metadata"]["resourceVersion"] = asked["metadata"]["resourceVersion"].clone();
    let stored = write::replace(operation, &old, new, None)?;
    Ok(Written { code: StatusCode::OK, object: Arc::new(of(&stored)), warnings: Vec::new() })
}
