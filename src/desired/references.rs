//! What a workload refers to: by name, in its own namespace.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::leaves::{self, DIRECTIVE, Place};
use crate::desired::lists;
use crate::desired::merge::{File, Merge};
use crate::desired::outline::{Leaves, Reference};
use crate::desired::value::Value;
use crate::desired::yaml;
use crate::model::object::Kind;

/// Names of all fields on the way to a reference, and of those that identify items of lists or remove them.
const FIELDS: [&str; 35] = [
    DIRECTIVE,
    "apiVersion",
    "claimName",
    "configMap",
    "configMapKeyRef",
    "configMapRef",
    "containers",
    "env",
    "envFrom",
    "ephemeralContainers",
    "imagePullSecrets",
    "initContainers",
    "items",
    "jobTemplate",
    "key",
    "kind",
    "mountPath",
    "name",
    "optional",
    "persistentVolumeClaim",
    "projected",
    "scaleTargetRef",
    "secret",
    "secretKeyRef",
    "secretName",
    "secretRef",
    "serviceAccountName",
    "sources",
    "spec",
    "subPath",
    "template",
    "tls",
    "valueFrom",
    "volumeMounts",
    "volumes",
];

/// How the paths of leaves end that name a ConfigMap or Secret.
const NAMES: [&str; 6] = [
    "configMapKeyRef.name",
    "secretKeyRef.name",
    "configMapRef.name",
    "secretRef.name",
    "configMap.name",
    "secret.secretName",
];

/// Everything that an object of `kind` refers to. Encrypted names count as none.
pub fn of(kind: &Kind, object: &Value) -> BTreeSet<Reference> {
    let mut found = BTreeSet::new();
    if let Some(pod) = lists::pod_template(kind).and_then(|prefix| lists::at(object, &format!("{prefix}spec"))) {
        pod_references(pod, &mut found);
    }
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("autoscaling", "HorizontalPodAutoscaler") => found.extend(scale_target(object)),
        ("networking.k8s.io", "Ingress") => {
            let tls = items(lists::at(object, "spec.tls"));
            found.extend(tls.filter_map(|tls| plain(Kind::new("", "Secret"), text(tls, "secretName")?)));
        }
        ("", "ServiceAccount") => {
            let pulls = items(lists::at(object, "imagePullSecrets"));
            found.extend(pulls.filter_map(|pull| plain(Kind::new("", "Secret"), text(pull, "name")?)));
        }
        _ => {}
    }
    found
}

/// The fields that `of` looks at, in the form of the object; `None` if there are none.
pub fn fields(kind: &Kind, object: &Value) -> Option<String> {
    let refers = lists::pod_template(kind).is_some()
        || [("autoscaling", "HorizontalPodAutoscaler"), ("networking.k8s.io", "Ingress"), ("", "ServiceAccount")]
            .contains(&(kind.group.as_str(), kind.kind.as_str()));
    let fields = if refers { reduced(object)? } else { return None };
    Some(fields.to_json().to_string())
}

/// The same of what `fields` gave, layer upon layer.
pub fn of_layers<'a>(kind: &Kind, layers: impl IntoIterator<Item = &'a str>) -> BTreeSet<Reference> {
    let mut merge = Merge::new(kind);
    let leaves = Leaves::new();
    let file = File { path: "", line: 0, leaves: &leaves };
    for layer in layers {
        let documents = yaml::parse(layer).unwrap_or_default();
        for value in documents.iter().filter_map(|document| yaml::kubernetes(&document.node).ok()) {
            merge.add(value, file);
        }
    }
    of(kind, &merge.value)
}

/// The leaf where a document refers to a ConfigMap or Secret, by its dotted path; for a key the leaf that names the key, if there is one.
pub fn place(kind: &Kind, fields: &str, reference: &Reference) -> Option<String> {
    let documents = yaml::parse(fields).ok()?;
    let value = yaml::kubernetes(&documents.first()?.node).ok()?;
    let mut leaves: BTreeMap<String, Option<String>> = BTreeMap::new();
    leaves::each(kind, &Place::default(), &value, None, &mut |leaf| {
        let text = leaf.value.text().map(str::to_owned);
        // an atomic list counts as a whole
        if text.is_some() || mentions(leaf.value, &reference.name) {
            leaves.insert(leaf.path, text);
        }
    });
    let name = |path: &str| leaves.get(path).is_some_and(|text| text.as_ref() == Some(&reference.name));
    let is_key = |(path, text): &(&String, &Option<String>)| {
        let parent = path.strip_suffix("KeyRef.key");
        parent.is_some_and(|parent| name(&format!("{parent}KeyRef.name"))) && **text == reference.key
    };
    let is_name = |(path, text): &(&String, &Option<String>)| match text {
        Some(_) => NAMES.iter().any(|end| path.ends_with(end)) && name(path),
        None => true,
    };
    let found = leaves.iter().find(is_key).filter(|_| reference.key.is_some());
    found.or_else(|| leaves.iter().find(is_name)).map(|(path, _)| path.clone())
}

fn mentions(value: &Value, name: &str) -> bool {
    match value {
        Value::Text(text) => text == name,
        Value::List(items) => items.iter().any(|item| mentions(item, name)),
        Value::Map(map) => map.values().any(|value| mentions(value, name)),
        _ => false,
    }
}

/// A value without the fields that say nothing about references.
fn reduced(value: &Value) -> Option<Value> {
    match value {
        Value::Map(map) => {
            let known = map.iter().filter(|(key, _)| FIELDS.contains(&key.as_str()));
            Some(Value::Map(known.filter_map(|(key, value)| Some((key.clone(), reduced(value)?))).collect()))
        }
        Value::List(items) => Some(Value::List(items.iter().filter_map(reduced).collect())),
        Value::Text(text) => Some(Value::Text(text.clone())),
        Value::Bool(word) => Some(Value::Bool(*word)),
        Value::Null => Some(Value::Null),
        Value::Int(_) | Value::Float(_) | Value::Secret(_) => None,
    }
}

fn pod_references(pod: &Value, found: &mut BTreeSet<Reference>) {
    let mut sub_paths: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let fields = ["containers", "initContainers", "ephemeralContainers"];
    for container in fields.iter().flat_map(|field| items(pod.get(&[*field]))) {
        environment(container, found);
        for mount in items(container.get(&["volumeMounts"])) {
            if let (Some(volume), Some(path)) = (text(mount, "name"), text(mount, "subPath")) {
                sub_paths.entry(volume).or_default().insert(path);
            }
        }
    }
    for volume in items(pod.get(&["volumes"])) {
        let paths = text(volume, "name").and_then(|name| sub_paths.remove(name)).unwrap_or_default();
        volume_references(volume, &paths, found);
    }
    let pulls = items(pod.get(&["imagePullSecrets"]));
    found.extend(pulls.filter_map(|pull| plain(Kind::new("", "Secret"), text(pull, "name")?)));
    let account = text(pod, "serviceAccountName").filter(|name| *name != "default");
    found.extend(account.and_then(|name| plain(Kind::new("", "ServiceAccount"), name)));
}

fn environment(container: &Value, found: &mut BTreeSet<Reference>) {
    for (field, kind) in [("configMapRef", "ConfigMap"), ("secretRef", "Secret")] {
        let sources = items(container.get(&["envFrom"])).filter_map(|source| source.get(&[field]));
        found.extend(sources.filter_map(|source| needed(kind, text(source, "name")?, None, source)));
    }
    for (field, kind) in [("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")] {
        let sources = items(container.get(&["env"])).filter_map(|entry| entry.get(&["valueFrom", field]));
        found.extend(sources.filter_map(|source| needed(kind, text(source, "name")?, text(source, "key"), source)));
    }
}

fn volume_references(volume: &Value, sub_paths: &BTreeSet<&str>, found: &mut BTreeSet<Reference>) {
    let claim = volume.get(&["persistentVolumeClaim"]).and_then(|claim| text(claim, "claimName"));
    found.extend(claim.and_then(|name| plain(Kind::new("", "PersistentVolumeClaim"), name)));
    if let Some(source) = volume.get(&["configMap"]) {
        projection("ConfigMap", text(source, "name"), source, sub_paths, found);
    }
    if let Some(source) = volume.get(&["secret"]) {
        projection("Secret", text(source, "secretName"), source, sub_paths, found);
    }
    for source in items(volume.get(&["projected", "sources"])) {
        for (field, kind) in [("configMap", "ConfigMap"), ("secret", "Secret")] {
            if let Some(source) = source.get(&[field]) {
                projection(kind, text(source, "name"), source, &BTreeSet::new(), found);
            }
        }
    }
}

/// A ConfigMap or Secret as files: the keys that are named, or those that `subPath` picks, or the object as a whole.
fn projection(
    kind: &str,
    name: Option<&str>,
    source: &Value,
    sub_paths: &BTreeSet<&str>,
    found: &mut BTreeSet<Reference>,
) {
    let Some(name) = name else { return };
    let mut keys: Vec<&str> = items(source.get(&["items"])).filter_map(|item| text(item, "key")).collect();
    if keys.is_empty() {
        keys = sub_paths.iter().copied().filter(|path| !path.contains('/')).collect();
    }
    if keys.is_empty() {
        found.extend(needed(kind, name, None, source));
    }
    found.extend(keys.into_iter().filter_map(|key| needed(kind, name, Some(key), source)));
}

fn scale_target(object: &Value) -> Option<Reference> {
    let target = lists::at(object, "spec.scaleTargetRef")?;
    let group = text(target, "apiVersion").and_then(|version| version.split_once('/')).map_or("", |(group, _)| group);
    plain(Kind::new(group, text(target, "kind")?), text(target, "name")?)
}

fn needed(kind: &str, name: &str, key: Option<&str>, source: &Value) -> Option<Reference> {
    let optional = matches!(source.get(&["optional"]), Some(Value::Bool(true)));
    let reference = plain(Kind::new("", kind), name)?;
    Some(Reference { key: key.map(str::to_owned), optional, restarts: true, ..reference })
}

fn plain(kind: Kind, name: &str) -> Option<Reference> {
    (!name.is_empty()).then(|| Reference { kind, name: name.to_owned(), key: None, optional: false, restarts: false })
}

fn items(list: Option<&Value>) -> impl Iterator<Item = &Value> {
    match list {
        Some(Value::List(items)) => items.iter(),
        _ => [].iter(),
    }
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(&[field]).and_then(Value::text).filter(|text| !text.starts_with(lists::ENCRYPTED))
}
