//! The order of kinds.

use std::collections::BTreeMap;

use crate::desired::kinds;
use crate::model::object::{Kind, ObjectId};
use crate::model::wire;
use crate::planning::plan::Phase;

/// When an object of this kind and with these annotations is written.
pub fn phase(object: &ObjectId, annotations: &BTreeMap<String, String>) -> Phase {
    match (object.kind.group.as_str(), object.kind.kind.as_str()) {
        _ if kinds::is_fence(&object.kind) => Phase::Fences,
        ("", "ServiceAccount" | "PersistentVolumeClaim") => Phase::Ground,
        ("", "ConfigMap" | "Secret") => Phase::Config,
        ("", "Service") => Phase::Services,
        ("batch", "Job") => job_phase(annotations),
        ("", "Pod" | "ReplicationController") | ("apps" | "batch", _) => Phase::Workloads,
        _ => Phase::Edge,
    }
}

fn job_phase(annotations: &BTreeMap<String, String>) -> Phase {
    match annotations.get(wire::RUN).map(String::as_str) {
        Some("before") => Phase::Before,
        Some("after-ready") => Phase::After,
        _ => Phase::Workloads,
    }
}

/// True for `batch` Jobs.
pub fn is_job(kind: &Kind) -> bool {
    kind.group == "batch" && kind.kind == "Job"
}

/// True for the workloads whose pods a change of the pod template replaces.
pub fn has_pod_template(kind: &Kind) -> bool {
    kind.group == "apps" && matches!(kind.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet")
}

/// True for core `PersistentVolumeClaim` and `StatefulSet`, whose deletion loses data or identity.
pub fn holds_data(kind: &Kind) -> bool {
    matches!((kind.group.as_str(), kind.kind.as_str()), ("", "PersistentVolumeClaim") | ("apps", "StatefulSet"))
}
