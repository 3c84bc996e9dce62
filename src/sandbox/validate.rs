//! What makes an object invalid (422), as far as the closed table says.

mod config;
mod custom;
mod names;
mod workload;

use serde_json::{Value, json};

use crate::sandbox::kinds::Kind;
use crate::sandbox::refusal::Cause;

/// The causes for which kube-apiserver refuses this object.
pub fn object(kind: &Kind, new: &Value) -> Vec<Cause> {
    let mut causes = names::metadata(kind, &new["metadata"]);
    if kind.is_custom() {
        custom::check(kind.schema(), new, "", &mut causes);
        return causes;
    }
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "ConfigMap") => config::config_map(new, &mut causes),
        ("", "Secret") => config::secret(new, &mut causes),
        ("", "Service") => config::service(&new["spec"], &mut causes),
        ("apps", _) => workload::workload(kind, &new["spec"], &mut causes),
        ("", "Pod") => workload::pod_spec(&new["spec"], &Value::Null, "spec", &mut causes),
        ("batch", "Job") => workload::job(&new["spec"], "spec", &mut causes),
        ("batch", "CronJob") => workload::cron_job(&new["spec"], &mut causes),
        ("autoscaling", _) => workload::autoscaler(&new["spec"], &mut causes),
        ("apiextensions.k8s.io", _) => config::definition(new, &mut causes),
        _ => {}
    }
    causes
}

/// The causes for which kube-apiserver refuses an update, in its order.
pub fn update(kind: &Kind, old: &Value, new: &Value) -> Vec<Cause> {
    if new["metadata"]["uid"] != old["metadata"]["uid"] {
        let cause = Cause::invalid("metadata.uid", &new["metadata"]["uid"], "field is immutable");
        return vec![cause.clone(), cause];
    }
    let (mut object, mut change) = (object(kind, new), change(kind, old, new));
    if kind.group.is_empty() {
        change.append(&mut object);
        return change;
    }
    object.append(&mut change);
    object
}

/// The causes for which kube-apiserver refuses to change `old` to `new`.
fn change(kind: &Kind, old: &Value, new: &Value) -> Vec<Cause> {
    let mut causes = new_finalizers(old, new);
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "ConfigMap" | "Secret") => config::change(kind, old, new, &mut causes),
        ("", "Service") => config::service_change(&old["spec"], &new["spec"], &mut causes),
        ("", "PersistentVolumeClaim") => workload::claim_change(&old["spec"], &new["spec"], &mut causes),
        ("apps", _) => workload::workload_change(kind, &old["spec"], &new["spec"], &mut causes),
        ("batch", "Job") => workload::job_change(&old["spec"], &new["spec"], &mut causes),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") if old["roleRef"] != new["roleRef"] => {
            causes.push(Cause::invalid("roleRef", &new["roleRef"], "cannot change roleRef"));
        }
        _ => {}
    }
    causes
}

/// What is being deleted gets no finalizers any more.
fn new_finalizers(old: &Value, new: &Value) -> Vec<Cause> {
    if old["metadata"].get("deletionTimestamp").is_none() {
        return Vec::new();
    }
    let finalizers = |object: &Value| object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    let had = finalizers(old);
    let added: Vec<String> = finalizers(new).iter().filter(|name| !had.contains(name)).map(Value::to_string).collect();
    if added.is_empty() {
        return Vec::new();
    }
    let why = "no new finalizers can be added if the object is being deleted, found new finalizers";
    vec![Cause::forbidden("metadata.finalizers", &format!("{why} []string{{{}}}", added.join(", ")))]
}

/// Asks for a list or text that must not be absent or empty.
fn require(object: &Value, name: &str, path: &str, causes: &mut Vec<Cause>) {
    let is_missing = match &object[name] {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    if is_missing {
        causes.push(Cause::required(format!("{path}.{name}"), ""));
    }
}

/// A JSON text value, for messages.
fn text(value: &str) -> Value {
    json!(value)
}
