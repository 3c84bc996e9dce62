//! Fields that the API server does not let anybody change in place (validation of Kubernetes 1.35).

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::manifest::Manifest;
use crate::desired::value::Value;
use crate::planning::diff::changes;
use crate::planning::diff::compare::same;

/// What else of `spec` may change in a StatefulSet; everything that is not here may not.
const STATEFUL_SET: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

/// The paths of the fields that differ and cannot be changed in place.
pub fn immutable(old: &Manifest, new: &Manifest) -> Vec<String> {
    let differing = |paths: &[&str]| -> Vec<String> {
        paths.iter().filter(|path| differs(old, new, path)).map(|path| (*path).to_owned()).collect()
    };
    match (new.object.kind.group.as_str(), new.object.kind.kind.as_str()) {
        ("", "ConfigMap") => frozen(old, new),
        ("", "Secret") => frozen(old, new).into_iter().chain(secret_type(old, new)).collect(),
        ("", "Service") => cluster_ip(old, new).into_iter().collect(),
        ("", "PersistentVolumeClaim") => claim(old, new),
        ("apps", "Deployment" | "DaemonSet" | "ReplicaSet") => differing(&["spec.selector"]),
        ("apps", "StatefulSet") => stateful_set(old, new),
        ("batch", "Job") => differing(&["spec.selector", "spec.template", "spec.completionMode"]),
        _ => Vec::new(),
    }
}

fn get<'a>(manifest: &'a Manifest, path: &str) -> Option<&'a Value> {
    let keys: Vec<&str> = path.split('.').collect();
    manifest.body.get(&keys).filter(|value| !matches!(value, Value::Null))
}

fn differs(old: &Manifest, new: &Manifest, path: &str) -> bool {
    match (get(old, path), get(new, path)) {
        (Some(old), Some(new)) => !same(old, new),
        (None, None) => false,
        (Some(_), None) | (None, Some(_)) => true,
    }
}

/// Data of a ConfigMap or Secret that said `immutable: true`, and that word itself.
fn frozen(old: &Manifest, new: &Manifest) -> Vec<String> {
    let says = |manifest| matches!(get(manifest, "immutable"), Some(Value::Bool(true)));
    if !says(old) {
        return Vec::new();
    }
    let data = |path: &str| path.starts_with("data.") || path.starts_with("binaryData.");
    let changed = changes(Some(old), Some(new)).into_iter().filter(|leaf| leaf.differs() && data(&leaf.path));
    let word = (!says(new)).then(|| "immutable".to_owned());
    changed.map(|leaf| leaf.path).chain(word).collect()
}

fn secret_type(old: &Manifest, new: &Manifest) -> Option<String> {
    let opaque = Value::Text("Opaque".to_owned());
    let of = |manifest| get(manifest, "type").unwrap_or(&opaque);
    (!same(of(old), of(new))).then(|| "type".to_owned())
}

/// A Service of type ExternalName has no address to keep.
fn cluster_ip(old: &Manifest, new: &Manifest) -> Option<String> {
    let external = |manifest| get(manifest, "spec.type").and_then(Value::text) == Some("ExternalName");
    let keeps = !external(old) && !external(new);
    (keeps && differs(old, new, "spec.clusterIP")).then(|| "spec.clusterIP".to_owned())
}

fn stateful_set(old: &Manifest, new: &Manifest) -> Vec<String> {
    let mut paths = spec_fields(old, new);
    paths.retain(|field| !STATEFUL_SET.contains(field));
    let default = |manifest: &Manifest| {
        get(manifest, "spec.podManagementPolicy").is_none_or(|policy| policy.text() == Some("OrderedReady"))
    };
    let paths = paths.into_iter().map(|field| format!("spec.{field}")).filter(|path| differs(old, new, path));
    paths.filter(|path| path != "spec.podManagementPolicy" || !default(old) || !default(new)).collect()
}

/// A claim may only ask for more.
fn claim(old: &Manifest, new: &Manifest) -> Vec<String> {
    let mut paths: Vec<String> = spec_fields(old, new)
        .into_iter()
        .filter(|field| !matches!(*field, "resources" | "volumeAttributesClassName"))
        .map(|field| format!("spec.{field}"))
        .filter(|path| differs(old, new, path))
        .collect();
    let request = "spec.resources.requests.storage";
    if differs(old, new, request) && !grows(get(old, request), get(new, request)) {
        paths.push(request.to_owned());
    }
    paths
}

fn spec_fields<'a>(old: &'a Manifest, new: &'a Manifest) -> BTreeSet<&'a str> {
    let fields = |manifest: &'a Manifest| match get(manifest, "spec") {
        Some(Value::Map(spec)) => Some(spec),
        _ => None,
    };
    [fields(old), fields(new)].into_iter().flatten().flat_map(BTreeMap::keys).map(String::as_str).collect()
}

fn grows(old: Option<&Value>, new: Option<&Value>) -> bool {
    matches!((old.and_then(quantity), new.and_then(quantity)), (Some(old), Some(new)) if new >= old)
}

/// A quantity as Kubernetes writes them, such as `10Gi`, `1.5G`, `1e9`.
fn quantity(value: &Value) -> Option<f64> {
    let text = match value {
        Value::Int(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        _ => return None,
    };
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let (number, unit) = if text.parse::<f64>().is_ok() { (text.as_str(), "") } else { text.split_at(digits.len()) };
    let factor = match unit {
        "" => 1.0,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => f64::powi(1024.0, 2),
        "Gi" => f64::powi(1024.0, 3),
        "Ti" => f64::powi(1024.0, 4),
        "Pi" => f64::powi(1024.0, 5),
        "Ei" => f64::powi(1024.0, 6),
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}
