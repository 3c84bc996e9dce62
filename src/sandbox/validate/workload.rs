//! Workloads, Jobs, autoscalers and volume claims.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::sandbox::kinds::Kind;
use crate::sandbox::refusal::Cause;
use crate::sandbox::validate::{require, text};

const IMMUTABLE: &str = "field is immutable";

pub fn workload(kind: &Kind, spec: &Value, causes: &mut Vec<Cause>) {
    let selector = &spec["selector"];
    if selector.is_null() {
        causes.push(Cause::required("spec.selector", ""));
    } else if selector.as_object().is_some_and(serde_json::Map::is_empty) {
        let why = format!("empty selector is invalid for {}", kind.kind.to_lowercase());
        causes.push(Cause::invalid("spec.selector", selector, &why));
    }
    let labels = &spec["template"]["metadata"]["labels"];
    let selected = selector["matchLabels"].as_object().into_iter().flatten();
    if selector.is_null() || selected.into_iter().any(|(key, value)| labels.get(key) != Some(value)) {
        let why = "`selector` does not match template `labels`";
        causes.push(Cause::invalid("spec.template.metadata.labels", labels, why));
    }
    if spec["replicas"].as_i64().is_some_and(|replicas| replicas < 0) {
        let why = "must be greater than or equal to 0";
        causes.push(Cause::invalid("spec.replicas", &spec["replicas"], why));
    }
    pod_spec(&spec["template"]["spec"], &spec["volumeClaimTemplates"], "spec.template.spec", causes);
    let policy = &spec["template"]["spec"]["restartPolicy"];
    if *policy != "Always" {
        causes.push(Cause::unsupported("spec.template.spec.restartPolicy", policy, &["Always"]));
    }
}

/// `claims` are the claim templates of a StatefulSet, which are volumes as well.
pub fn pod_spec(spec: &Value, claims: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut volumes = volume_names(spec, path, causes);
    volumes.extend(claims.as_array().into_iter().flatten().filter_map(|claim| claim["metadata"]["name"].as_str()));
    require(spec, "containers", path, causes);
    let mut names = BTreeSet::new();
    for list in ["initContainers", "containers"] {
        for (index, container) in spec[list].as_array().into_iter().flatten().enumerate() {
            let path = format!("{path}.{list}[{index}]");
            require(container, "name", &path, causes);
            if !container["name"].is_null() && !names.insert(container["name"].to_string()) {
                causes.push(Cause::duplicate(format!("{path}.name"), &container["name"]));
            }
            require(container, "image", &path, causes);
            container_parts(container, &path, &volumes, causes);
        }
    }
}

fn volume_names<'a>(spec: &'a Value, path: &str, causes: &mut Vec<Cause>) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    for (index, volume) in spec["volumes"].as_array().into_iter().flatten().enumerate() {
        require(volume, "name", &format!("{path}.volumes[{index}]"), causes);
        let name = volume["name"].as_str().unwrap_or_default();
        if !name.is_empty() && !names.insert(name) {
            causes.push(Cause::duplicate(format!("{path}.volumes[{index}].name"), &text(name)));
        }
    }
    names
}

fn container_parts(container: &Value, path: &str, volumes: &BTreeSet<&str>, causes: &mut Vec<Cause>) {
    for (index, port) in container["ports"].as_array().into_iter().flatten().enumerate() {
        if !port["containerPort"].as_i64().is_some_and(|number| (1..=65535).contains(&number)) {
            let field = format!("{path}.ports[{index}].containerPort");
            causes.push(Cause::invalid(field, &port["containerPort"], "must be between 1 and 65535, inclusive"));
        }
    }
    for (index, variable) in container["env"].as_array().into_iter().flatten().enumerate() {
        require(variable, "name", &format!("{path}.env[{index}]"), causes);
    }
    let mut mounted = BTreeSet::new();
    for (index, mount) in container["volumeMounts"].as_array().into_iter().flatten().enumerate() {
        let name = mount["name"].as_str().unwrap_or_default();
        if !volumes.contains(name) {
            let message = format!("Not found: {name:?}");
            let field = format!("{path}.volumeMounts[{index}].name");
            causes.push(Cause { reason: "FieldValueNotFound", message, field });
        }
        require(mount, "mountPath", &format!("{path}.volumeMounts[{index}]"), causes);
        if !mounted.insert(mount["mountPath"].to_string()) {
            let field = format!("{path}.volumeMounts[{index}].mountPath");
            causes.push(Cause::invalid(field, &mount["mountPath"], "must be unique"));
        }
    }
}

pub fn job(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    pod_spec(&spec["template"]["spec"], &Value::Null, &format!("{path}.template.spec"), causes);
    let policy = &spec["template"]["spec"]["restartPolicy"];
    if *policy == "Always" {
        let field = format!("{path}.template.spec.restartPolicy");
        let message = "Required value: valid values: \"OnFailure\", \"Never\"".to_owned();
        causes.push(Cause { reason: "FieldValueRequired", message, field });
    }
}

pub fn cron_job(spec: &Value, causes: &mut Vec<Cause>) {
    require(spec, "schedule", "spec", causes);
    job(&spec["jobTemplate"]["spec"], "spec.jobTemplate.spec", causes);
}

pub fn autoscaler(spec: &Value, causes: &mut Vec<Cause>) {
    if spec["maxReplicas"].as_i64().is_none_or(|most| most < 1) {
        causes.push(Cause::invalid("spec.maxReplicas", &spec["maxReplicas"], "must be greater than 0"));
    }
    if spec["maxReplicas"].as_i64() < spec["minReplicas"].as_i64() {
        let why = "must be greater than or equal to `minReplicas`";
        causes.push(Cause::invalid("spec.maxReplicas", &spec["maxReplicas"], why));
    }
    require(&spec["scaleTargetRef"], "kind", "spec.scaleTargetRef", causes);
    require(&spec["scaleTargetRef"], "name", "spec.scaleTargetRef", causes);
}

pub fn workload_change(kind: &Kind, old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    if kind.kind == "StatefulSet" {
        stateful_change(old, new, causes);
    } else if old["selector"] != new["selector"] {
        causes.push(Cause::invalid("spec.selector", &new["selector"], IMMUTABLE));
    }
}

fn stateful_change(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    const MUTABLE: [&str; 7] = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    let rest = |spec: &Value| {
        let mut spec = spec.clone();
        for name in MUTABLE {
            if let Some(map) = spec.as_object_mut() {
                map.remove(name);
            }
        }
        spec
    };
    if rest(old) != rest(new) {
        let why = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
            'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' \
            are forbidden";
        causes.push(Cause::forbidden("spec", why));
    }
}

pub fn job_change(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    for name in ["completions", "selector", "template", "completionMode"] {
        if old[name] != new[name] {
            let shown = if name == "template" { json!("{...}") } else { new[name].clone() };
            causes.push(Cause::invalid(format!("spec.{name}"), &shown, IMMUTABLE));
        }
    }
}

pub fn claim_change(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    let rest = |spec: &Value| {
        let mut spec = spec.clone();
        for name in ["resources", "volumeAttributesClassName", "volumeName"] {
            if let Some(map) = spec.as_object_mut() {
                map.remove(name);
            }
        }
        spec
    };
    if rest(old) != rest(new) {
        let why = "spec is immutable after creation except resources.requests and volumeAttributesClassName for \
            bound claims";
        causes.push(Cause::forbidden("spec", why));
    }
}
