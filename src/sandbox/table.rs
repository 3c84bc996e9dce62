//! The table form: the columns that `kubectl get` prints.

mod cells;
mod custom;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::sandbox::form;
use crate::sandbox::kinds::{Definition, Kind};

/// The columns of the built-in kinds, as kube-apiserver 1.35 has them; the others have Name and Age.
///
/// Columns are separated by `|`; `*` marks those that only `-o wide` shows, `#` a number, `?` a boolean, `@` a date.
const COLUMNS: [(&str, &str); 27] = [
    ("ConfigMap", "Name|Data|Age"),
    ("Secret", "Name|Type|Data|Age"),
    ("Namespace", "Name|Status|Age"),
    ("Service", "Name|Type|Cluster-IP|External-IP|Port(s)|Age|*Selector"),
    (
        "PersistentVolumeClaim",
        "Name|Status|Volume|Capacity|Access Modes|StorageClass|VolumeAttributesClass|Age|*VolumeMode",
    ),
    ("ResourceQuota", "Name|Request|Limit|Age"),
    ("LimitRange", "Name|@Created At"),
    ("Event", "Last Seen|Type|Reason|Object|*Subobject|*Source|Message|*First Seen|*Count|*Name"),
    ("Pod", "Name|Ready|Status|Restarts|Age|*IP|*Node|*Nominated Node|*Readiness Gates"),
    ("Deployment", "Name|Ready|Up-to-date|Available|Age|*Containers|*Images|*Selector"),
    ("StatefulSet", "Name|Ready|Age|*Containers|*Images"),
    (
        "DaemonSet",
        "Name|#Desired|#Current|#Ready|#Up-to-date|#Available|Node Selector|Age|*Containers|*Images|*Selector",
    ),
    ("ReplicaSet", "Name|#Desired|#Current|#Ready|Age|*Containers|*Images|*Selector"),
    ("Job", "Name|Status|Completions|Duration|Age|*Containers|*Images|*Selector"),
    ("CronJob", "Name|Schedule|Timezone|?Suspend|#Active|Last Schedule|Age|*Containers|*Images|*Selector"),
    ("HorizontalPodAutoscaler", "Name|Reference|Targets|MinPods|MaxPods|Replicas|Age"),
    ("PodDisruptionBudget", "Name|Min Available|Max Unavailable|#Allowed Disruptions|Age"),
    ("Ingress", "Name|Class|Hosts|Address|Ports|Age"),
    ("NetworkPolicy", "Name|Pod-Selector|Age"),
    ("Role", "Name|@Created At"),
    ("ClusterRole", "Name|@Created At"),
    ("RoleBinding", "Name|Role|Age|*Users|*Groups|*ServiceAccounts"),
    ("ClusterRoleBinding", "Name|Role|Age|*Users|*Groups|*ServiceAccounts"),
    ("CustomResourceDefinition", "Name|@Created At"),
    ("ValidatingAdmissionPolicy", "Name|#Validations|ParamKind|Age"),
    ("ValidatingAdmissionPolicyBinding", "Name|PolicyName|ParamRef|Age"),
    ("Lease", "Name|Holder|Age"),
];
const PLAIN: &str = "Name|Age";

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
    let known = COLUMNS.iter().find(|(name, _)| *name == kind.kind).map(|(_, columns)| *columns);
    known.unwrap_or(PLAIN).split('|').map(column).collect()
}

fn column(text: &str) -> Value {
    let name = text.trim_start_matches(['*', '#', '?', '@']);
    let kind = match text.chars().next() {
        Some('#') => "integer",
        Some('?') => "boolean",
        Some('@') => "date",
        _ => "string",
    };
    json!({
        "name": name, "type": kind, "format": if name == "Name" { "name" } else { "" }, "description": "",
        "priority": u8::from(text.starts_with('*')),
    })
}
