//! The table form: the columns that `kubectl get` prints.

mod cells;
mod custom;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::sandbox::form;
use crate::sandbox::kinds::{Definition, Kind};

/// A column: name, type, format, priority (0: always shown).
pub type Column = (&'static str, &'static str, &'static str, u8);

const NAME: Column = ("Name", "string", "name", 0);
const AGE: Column = ("Age", "string", "", 0);

/// A Table of objects.
pub fn table(kind: &Kind, objects: &[&Value], metadata: &Value, now: Timestamp, with_columns: bool) -> Value {
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| json!({"cells": row(kind, object, now), "object": form::metadata_only(object)}))
        .collect();
    let columns = if with_columns { Value::Array(definitions(kind)) } else { Value::Null };
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": columns, "rows": rows,
    })
}

fn row(kind: &Kind, object: &Value, now: Timestamp) -> Vec<Value> {
    match &kind.definition {
        Definition::Custom { columns, .. } => custom::row(columns, object, now),
        _ => cells::row(kind, object, now),
    }
}

fn definitions(kind: &Kind) -> Vec<Value> {
    if let Definition::Custom { columns, .. } = &kind.definition {
        return custom::definitions(columns);
    }
    columns(kind)
        .iter()
        .map(|(name, kind, format, priority)| {
            json!({"name": name, "type": kind, "format": format, "description": "", "priority": priority})
        })
        .collect()
}

const fn text(name: &'static str) -> Column {
    (name, "string", "", 0)
}

const fn wide(name: &'static str) -> Column {
    (name, "string", "", 1)
}

const fn count(name: &'static str) -> Column {
    (name, "integer", "", 0)
}

const CREATED: Column = ("Created At", "date", "", 0);

/// The columns of the built-in kinds, as kube-apiserver 1.35 has them.
fn columns(kind: &Kind) -> Vec<Column> {
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "ConfigMap") => vec![NAME, text("Data"), AGE],
        ("", "Secret") => vec![NAME, text("Type"), text("Data"), AGE],
        ("", "Namespace") => vec![NAME, text("Status"), AGE],
        ("", "Service") => {
            vec![NAME, text("Type"), text("Cluster-IP"), text("External-IP"), text("Port(s)"), AGE, wide("Selector")]
        }
        ("", "PersistentVolumeClaim") => vec![
            NAME,
            text("Status"),
            text("Volume"),
            text("Capacity"),
            text("Access Modes"),
            text("StorageClass"),
            text("VolumeAttributesClass"),
            AGE,
            wide("VolumeMode"),
        ],
        ("", "ResourceQuota") => vec![NAME, text("Request"), text("Limit"), AGE],
        (_, "Event") => vec![
            text("Last Seen"),
            text("Type"),
            text("Reason"),
            text("Object"),
            wide("Subobject"),
            wide("Source"),
            text("Message"),
            wide("First Seen"),
            wide("Count"),
            ("Name", "string", "name", 1),
        ],
        ("", "Pod") => vec![
            NAME,
            text("Ready"),
            text("Status"),
            text("Restarts"),
            AGE,
            wide("IP"),
            wide("Node"),
            wide("Nominated Node"),
            wide("Readiness Gates"),
        ],
        ("apps", "Deployment") => vec![
            NAME,
            text("Ready"),
            text("Up-to-date"),
            text("Available"),
            AGE,
            wide("Containers"),
            wide("Images"),
            wide("Selector"),
        ],
        ("apps", "StatefulSet") => vec![NAME, text("Ready"), AGE, wide("Containers"), wide("Images")],
        ("apps", "DaemonSet") => vec![
            NAME,
            count("Desired"),
            count("Current"),
            count("Ready"),
            count("Up-to-date"),
            count("Available"),
            text("Node Selector"),
            AGE,
            wide("Containers"),
            wide("Images"),
            wide("Selector"),
        ],
        ("apps", "ReplicaSet") => vec![
            NAME,
            count("Desired"),
            count("Current"),
            count("Ready"),
            AGE,
            wide("Containers"),
            wide("Images"),
            wide("Selector"),
        ],
        ("batch", "Job") => vec![
            NAME,
            text("Status"),
            text("Completions"),
            text("Duration"),
            AGE,
            wide("Containers"),
            wide("Images"),
            wide("Selector"),
        ],
        ("batch", "CronJob") => vec![
            NAME,
            text("Schedule"),
            text("Timezone"),
            ("Suspend", "boolean", "", 0),
            count("Active"),
            text("Last Schedule"),
            AGE,
            wide("Containers"),
            wide("Images"),
            wide("Selector"),
        ],
        ("autoscaling", _) => {
            vec![NAME, text("Reference"), text("Targets"), text("MinPods"), text("MaxPods"), text("Replicas"), AGE]
        }
        ("policy", _) => vec![NAME, text("Min Available"), text("Max Unavailable"), count("Allowed Disruptions"), AGE],
        ("networking.k8s.io", "Ingress") => {
            vec![NAME, text("Class"), text("Hosts"), text("Address"), text("Ports"), AGE]
        }
        ("networking.k8s.io", _) => vec![NAME, text("Pod-Selector"), AGE],
        (_, "RoleBinding" | "ClusterRoleBinding") => {
            vec![NAME, text("Role"), AGE, wide("Users"), wide("Groups"), wide("ServiceAccounts")]
        }
        (_, "ValidatingAdmissionPolicy") => vec![NAME, count("Validations"), text("ParamKind"), AGE],
        (_, "ValidatingAdmissionPolicyBinding") => vec![NAME, text("PolicyName"), text("ParamRef"), AGE],
        ("coordination.k8s.io", _) => vec![NAME, text("Holder"), AGE],
        ("", "LimitRange") | (_, "Role" | "ClusterRole" | "CustomResourceDefinition") => vec![NAME, CREATED],
        _ => vec![NAME, AGE],
    }
}
