//! What the server itself sets before an object is stored, and what a request may not touch.

use serde_json::{Map, Value, json};

use crate::sandbox::crd;
use crate::sandbox::kinds::Kind;
use crate::sandbox::store::State;

/// Counts the templates that a DaemonSet has had.
pub const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// Kinds that take a PUT without resourceVersion.
pub fn takes_unconditional_updates(kind: &Kind) -> bool {
    !kind.is_custom() && !matches!(kind.kind.as_str(), "Lease" | "CustomResourceDefinition" | "PodDisruptionBudget")
}

/// Finishes an object that is about to be created.
pub fn create(state: &mut State, kind: &Kind, object: &mut Value) {
    if kind.status && !kind.is(kind.group.as_str(), "Namespace") {
        reset_status(kind, object);
    }
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Namespace") => {
            object["spec"] = json!({"finalizers": ["kubernetes"]});
            object["status"] = json!({"phase": "Active"});
        }
        ("apiextensions.k8s.io", _) => {
            let stored: Vec<Value> = crd::stored_versions(object);
            object["status"] =
                json!({"conditions": null, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": stored});
        }
        ("", "PersistentVolumeClaim") => {
            object["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection"]);
            object["status"]["phase"] = json!("Pending");
        }
        ("", "Pod") => admit_pod(object),
        ("", "Service") => allocate(state, &mut object["spec"]),
        ("batch", "Job") => select_by_uid(object),
        _ => {}
    }
}

/// What admission adds to a pod.
fn admit_pod(object: &mut Value) {
    object["status"]["phase"] = json!("Pending");
    let spec = &mut object["spec"];
    if spec.get("serviceAccountName").is_none() {
        spec["serviceAccountName"] = json!("default");
        spec["serviceAccount"] = json!("default");
    }
    spec["priority"] = json!(0);
    spec["preemptionPolicy"] = json!("PreemptLowerPriority");
}

fn reset_status(kind: &Kind, object: &mut Value) {
    let Some(map) = object.as_object_mut() else { return };
    let had = map.remove("status");
    if had.is_some_and(|status| status.is_object()) && !kind.is_custom() {
        let empty = kind.schema().declared("status").map(zero_status);
        map.insert("status".into(), empty.unwrap_or_else(|| json!({})));
    }
}

/// The status that Go's zero value writes.
fn zero_status(schema: crate::sandbox::schema::Schema) -> Value {
    let mut status = Map::new();
    for (name, field) in schema.fields().filter(|(name, _)| schema.requires(name)) {
        if let Some(default) = field.attribute("default") {
            status.insert(name.to_owned(), default.clone());
        }
    }
    for (name, field) in schema.fields() {
        if field.attribute("default").is_some_and(Value::is_object) {
            status.insert(name.to_owned(), zero_status(field));
        }
    }
    Value::Object(status)
}

fn allocate(state: &mut State, spec: &mut Value) {
    if spec["type"] == "ExternalName" {
        return;
    }
    if spec["clusterIP"].as_str().unwrap_or_default().is_empty() {
        spec["clusterIP"] = json!(state.new_cluster_ip());
    }
    spec["clusterIPs"] = json!([spec["clusterIP"]]);
    if spec["type"] == "NodePort" || spec["type"] == "LoadBalancer" {
        for port in spec["ports"].as_array_mut().into_iter().flatten().filter(|port| port.get("nodePort").is_none()) {
            port["nodePort"] = json!(state.new_node_port());
        }
    }
    spec["ipFamilies"] = json!(["IPv4"]);
    if spec.get("ipFamilyPolicy").is_none() {
        spec["ipFamilyPolicy"] = json!("SingleStack");
    }
}

/// A Job without a selector of its own selects the pods that carry its uid.
fn select_by_uid(object: &mut Value) {
    if object["spec"]["manualSelector"] == true {
        return;
    }
    let uid = object["metadata"]["uid"].clone();
    let name = object["metadata"]["name"].clone();
    if object["spec"].get("selector").is_none() {
        object["spec"]["selector"] = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
    }
    let labels = &mut object["spec"]["template"]["metadata"]["labels"];
    for (label, value) in [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("job-name", &name),
    ] {
        labels[label] = value.clone();
    }
    if object["metadata"].get("labels").is_none() {
        object["metadata"]["labels"] = object["spec"]["template"]["metadata"]["labels"].clone();
    }
}

/// Takes from the old object what this request may not set.
pub fn update(kind: &Kind, subresource: &str, old: &Value, new: &mut Value) {
    if subresource == "status" {
        let status = new.get("status").cloned();
        let managed = new["metadata"]["managedFields"].clone();
        let uid = new["metadata"]["uid"].clone();
        *new = old.clone();
        new["metadata"]["managedFields"] = managed;
        if !uid.is_null() {
            new["metadata"]["uid"] = uid;
        }
        set_or_remove(new, "status", status);
        return;
    }
    if kind.status {
        set_or_remove(new, "status", old.get("status").cloned());
    }
    let server_set =
        ["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "resourceVersion"];
    for name in server_set {
        set_or_remove(&mut new["metadata"], name, old["metadata"].get(name).cloned());
    }
    if new["metadata"]["uid"].as_str().unwrap_or_default().is_empty() {
        new["metadata"]["uid"] = old["metadata"]["uid"].clone();
    }
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Namespace") => new["spec"] = old["spec"].clone(),
        ("apps", "DaemonSet") => count_templates(old, new),
        ("", "Service") => keep_address(&old["spec"], &mut new["spec"]),
        _ => {}
    }
}

fn set_or_remove(object: &mut Value, name: &str, value: Option<Value>) {
    let Some(map) = object.as_object_mut() else { return };
    match value {
        Some(value) => drop(map.insert(name.to_owned(), value)),
        None => drop(map.remove(name)),
    }
}

/// Keeps the annotation that counts the changes of a DaemonSet's template.
fn count_templates(old: &Value, new: &mut Value) {
    let count = old["metadata"]["annotations"][TEMPLATE_GENERATION].as_str().and_then(|text| text.parse::<u64>().ok());
    let changed = old["spec"]["template"] != new["spec"]["template"];
    let count = count.unwrap_or(1) + u64::from(changed);
    new["metadata"]["annotations"][TEMPLATE_GENERATION] = json!(count.to_string());
}

fn keep_address(old: &Value, new: &mut Value) {
    if new["type"] == "ClusterIP" && old["type"] != "ClusterIP" {
        set_or_remove(new, "externalTrafficPolicy", None);
        set_or_remove(new, "allocateLoadBalancerNodePorts", None);
    }
    if new["type"] == "ExternalName" {
        return;
    }
    for name in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if new.get(name).is_none() && old.get(name).is_some() {
            new[name] = old[name].clone();
        }
    }
}

/// Counts a change of what is asked for; labels, annotations and status do not count.
pub fn count_generation(kind: &Kind, old: &Value, new: &mut Value) {
    let asked = |object: &Value| {
        let mut asked = object.as_object().cloned().unwrap_or_default();
        asked.remove("metadata");
        if kind.status {
            asked.remove("status");
        }
        asked
    };
    let annotated = kind.is("apps", "Deployment") && old["metadata"]["annotations"] != new["metadata"]["annotations"];
    if (kind.generation || kind.is_custom()) && (annotated || asked(old) != asked(new)) {
        let generation = old["metadata"]["generation"].as_i64().unwrap_or_default();
        new["metadata"]["generation"] = json!(generation + 1);
    }
}
