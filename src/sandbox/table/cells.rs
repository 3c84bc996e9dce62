//! The cells of the built-in kinds.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::sandbox::kinds::Kind;

/// The cells of one object, in the order of the columns.
pub fn row(kind: &Kind, object: &Value, now: Timestamp) -> Vec<Value> {
    let name = object["metadata"]["name"].clone();
    let age = json!(age(&object["metadata"]["creationTimestamp"], now));
    let (spec, status) = (&object["spec"], &object["status"]);
    let cells: Vec<Value> = match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "ConfigMap") => vec![json!(size(&object["data"]) + size(&object["binaryData"])), age],
        ("", "Secret") => vec![object["type"].clone(), json!(size(&object["data"])), age],
        ("", "Namespace") => vec![status["phase"].clone(), age],
        ("", "Service") => service(spec, age),
        ("", "PersistentVolumeClaim") => claim(object, age),
        ("", "ResourceQuota") => vec![json!(usage(status, false)), json!(usage(status, true)), age],
        (_, "Event") => return event(object, name, now),
        ("", "Pod") => pod(spec, status, age),
        ("apps", _) => workload(kind, spec, status, age),
        ("batch", "Job") => job(spec, status, age),
        ("batch", "CronJob") => cron_job(spec, status, age, now),
        ("autoscaling", _) => autoscaler(spec, status, age),
        ("policy", _) => vec![
            json!(or_na(&spec["minAvailable"])),
            json!(or_na(&spec["maxUnavailable"])),
            number(&status["disruptionsAllowed"]),
            age,
        ],
        ("networking.k8s.io", "Ingress") => ingress(spec, age),
        ("networking.k8s.io", _) => vec![json!(selector(&spec["podSelector"]["matchLabels"])), age],
        (_, "RoleBinding" | "ClusterRoleBinding") => binding(object, age),
        (_, "ValidatingAdmissionPolicy") => vec![json!(size(&spec["validations"])), json!("<unset>"), age],
        (_, "ValidatingAdmissionPolicyBinding") => vec![spec["policyName"].clone(), json!("<unset>"), age],
        ("coordination.k8s.io", _) => vec![spec["holderIdentity"].clone(), age],
        ("", "LimitRange") | (_, "Role" | "ClusterRole" | "CustomResourceDefinition") => {
            vec![object["metadata"]["creationTimestamp"].clone()]
        }
        _ => vec![age],
    };
    std::iter::once(name).chain(cells).collect()
}

/// The time since, as kubectl writes durations.
pub fn age(since: &Value, now: Timestamp) -> String {
    let Some(since) = since.as_str().and_then(|text| text.parse::<Timestamp>().ok()) else {
        return "<unknown>".to_owned();
    };
    duration(now.duration_since(since).as_secs())
}

fn duration(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let pair = |big: i64, unit: &str, small: i64, rest: &str| {
        if small == 0 { format!("{big}{unit}") } else { format!("{big}{unit}{small}{rest}") }
    };
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1..0 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => pair(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => pair(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => pair(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        _ => pair(days / 365, "y", days % 365, "d"),
    }
}

fn size(value: &Value) -> usize {
    value.as_object().map_or_else(|| value.as_array().map_or(0, Vec::len), serde_json::Map::len)
}

fn number(value: &Value) -> Value {
    json!(value.as_i64().unwrap_or_default())
}

fn shown(value: &Value, absent: &str) -> String {
    match value {
        Value::Null => absent.to_owned(),
        Value::String(text) if text.is_empty() => absent.to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn or_na(value: &Value) -> String {
    shown(value, "N/A")
}

fn or_none(value: &Value) -> Value {
    json!(shown(value, "<none>"))
}

fn or_unset(value: &Value) -> Value {
    json!(shown(value, "<unset>"))
}

fn selector(labels: &Value) -> String {
    let labels = labels.as_object().into_iter().flatten();
    let pairs: Vec<String> = labels.map(|(key, value)| format!("{key}={}", shown(value, ""))).collect();
    if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") }
}

fn containers(template: &Value, name: &str) -> String {
    let list = template["spec"]["containers"].as_array().into_iter().flatten();
    list.map(|container| shown(&container[name], "")).collect::<Vec<_>>().join(",")
}

fn service(spec: &Value, age: Value) -> Vec<Value> {
    let ports = spec["ports"].as_array().into_iter().flatten();
    let ports: Vec<String> =
        ports.map(|port| format!("{}/{}", shown(&port["port"], ""), shown(&port["protocol"], "TCP"))).collect();
    let ports = if ports.is_empty() { "<none>".to_owned() } else { ports.join(",") };
    let external = match spec["type"].as_str() {
        Some("LoadBalancer") => json!("<pending>"),
        Some("ExternalName") => spec["externalName"].clone(),
        _ => json!("<none>"),
    };
    let selected = selector(&spec["selector"]);
    vec![spec["type"].clone(), or_none(&spec["clusterIP"]), external, json!(ports), age, json!(selected)]
}

fn claim(object: &Value, age: Value) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let modes = spec["accessModes"].as_array().into_iter().flatten();
    let short: Vec<&str> = modes
        .map(|mode| match mode.as_str() {
            Some("ReadWriteOnce") => "RWO",
            Some("ReadOnlyMany") => "ROX",
            Some("ReadWriteMany") => "RWX",
            _ => "RWOP",
        })
        .collect();
    let bound = spec.get("volumeName").is_some();
    let phase = if object["metadata"].get("deletionTimestamp").is_some() {
        json!("Terminating")
    } else {
        status["phase"].clone()
    };
    vec![
        phase,
        json!(shown(&spec["volumeName"], "")),
        json!(if bound { shown(&status["capacity"]["storage"], "") } else { String::new() }),
        json!(if bound { short.join(",") } else { String::new() }),
        json!(shown(&spec["storageClassName"], "")),
        or_unset(&spec["volumeAttributesClassName"]),
        age,
        or_unset(&spec["volumeMode"]),
    ]
}

fn usage(status: &Value, limits: bool) -> String {
    let hard = status["hard"].as_object().into_iter().flatten();
    let wanted = hard.filter(|(name, _)| name.starts_with("limits.") == limits);
    let list: Vec<String> = wanted
        .map(|(name, hard)| format!("{name}: {}/{}", shown(&status["used"][name], "0"), shown(hard, "")))
        .collect();
    list.join(", ")
}

fn event(object: &Value, name: Value, now: Timestamp) -> Vec<Value> {
    let about = if object["involvedObject"].is_object() { &object["involvedObject"] } else { &object["regarding"] };
    let first_of = |names: &[&str]| {
        names.iter().map(|name| &object[*name]).find(|value| !value.is_null()).cloned().unwrap_or(Value::Null)
    };
    let seen = |value: &Value| match value {
        Value::Null => "<unknown>".to_owned(),
        value => age(value, now),
    };
    let last = match &object["series"]["lastObservedTime"] {
        Value::Null => first_of(&["lastTimestamp", "deprecatedLastTimestamp", "eventTime", "firstTimestamp"]),
        last => last.clone(),
    };
    let count = [&object["series"]["count"], &object["count"], &object["deprecatedCount"]];
    let count = count.iter().find_map(|value| value.as_i64()).unwrap_or(1);
    let kind = shown(&about["kind"], "").to_lowercase();
    let about_name = shown(&about["name"], "");
    let source = shown(&object["reportingComponent"], &shown(&object["source"]["component"], ""));
    vec![
        json!(seen(&last)),
        object["type"].clone(),
        object["reason"].clone(),
        json!(if about_name.is_empty() { kind } else { format!("{kind}/{about_name}") }),
        json!(shown(&about["fieldPath"], "")),
        json!(source),
        json!(shown(&first_of(&["message", "note"]), "").trim()),
        json!(seen(&first_of(&["firstTimestamp", "deprecatedFirstTimestamp", "eventTime"]))),
        json!(count.to_string()),
        name,
    ]
}

fn pod(spec: &Value, status: &Value, age: Value) -> Vec<Value> {
    let statuses = status["containerStatuses"].as_array().into_iter().flatten();
    let ready = statuses.filter(|container| container["ready"] == true).count();
    vec![
        json!(format!("{ready}/{}", size(&spec["containers"]))),
        status["phase"].clone(),
        json!("0"),
        age,
        or_none(&status["podIP"]),
        or_none(&spec["nodeName"]),
        json!("<none>"),
        json!("<none>"),
    ]
}

fn workload(kind: &Kind, spec: &Value, status: &Value, age: Value) -> Vec<Value> {
    let names = [json!(containers(&spec["template"], "name")), json!(containers(&spec["template"], "image"))];
    let selected = json!(selector(&spec["selector"]["matchLabels"]));
    let ready = json!(format!("{}/{}", number(&status["readyReplicas"]), number(&spec["replicas"])));
    let mut cells = match kind.kind.as_str() {
        "Deployment" => vec![ready, number(&status["updatedReplicas"]), number(&status["availableReplicas"])],
        "StatefulSet" => vec![ready],
        "ReplicaSet" => {
            vec![number(&spec["replicas"]), number(&status["replicas"]), number(&status["readyReplicas"])]
        }
        _ => vec![
            number(&status["desiredNumberScheduled"]),
            number(&status["currentNumberScheduled"]),
            number(&status["numberReady"]),
            number(&status["updatedNumberScheduled"]),
            number(&status["numberAvailable"]),
            json!(selector(&spec["template"]["spec"]["nodeSelector"])),
        ],
    };
    cells.push(age);
    cells.extend(names);
    if kind.kind != "StatefulSet" {
        cells.push(selected);
    }
    cells
}

fn job(spec: &Value, status: &Value, age: Value) -> Vec<Value> {
    let has = |name: &str| {
        let conditions = status["conditions"].as_array().into_iter().flatten();
        conditions.into_iter().any(|condition| condition["type"] == name && condition["status"] == "True")
    };
    let state = match (has("Complete"), has("Failed"), spec["suspend"] == true) {
        (true, _, _) => "Complete",
        (_, true, _) => "Failed",
        (_, _, true) => "Suspended",
        _ => "Running",
    };
    let done = number(&status["succeeded"]);
    let wanted = spec["completions"].as_i64().unwrap_or(1);
    vec![
        json!(state),
        json!(format!("{done}/{wanted}")),
        json!(""),
        age,
        json!(containers(&spec["template"], "name")),
        json!(containers(&spec["template"], "image")),
        json!(selector(&spec["selector"]["matchLabels"])),
    ]
}

fn cron_job(spec: &Value, status: &Value, age: Value, now: Timestamp) -> Vec<Value> {
    let last = &status["lastScheduleTime"];
    let template = &spec["jobTemplate"]["spec"]["template"];
    vec![
        spec["schedule"].clone(),
        or_none(&spec["timeZone"]),
        json!(if spec["suspend"] == true { "True" } else { "False" }),
        json!(size(&status["active"])),
        json!(if last.is_null() { "<none>".to_owned() } else { self::age(last, now) }),
        age,
        json!(containers(template, "name")),
        json!(containers(template, "image")),
        json!("<none>"),
    ]
}

fn autoscaler(spec: &Value, status: &Value, age: Value) -> Vec<Value> {
    let target = &spec["scaleTargetRef"];
    let metrics = spec["metrics"].as_array().into_iter().flatten();
    let targets: Vec<String> = metrics
        .map(|metric| {
            let target = &metric["resource"]["target"];
            let name = shown(&metric["resource"]["name"], "");
            match target["averageUtilization"].as_i64() {
                Some(percent) => format!("{name}: <unknown>/{percent}%"),
                None => format!("{name}: <unknown>/{}", shown(&target["averageValue"], "<auto>")),
            }
        })
        .collect();
    vec![
        json!(format!("{}/{}", shown(&target["kind"], ""), shown(&target["name"], ""))),
        json!(targets.join(", ")),
        or_unset(&spec["minReplicas"]),
        json!(shown(&spec["maxReplicas"], "")),
        json!(number(&status["currentReplicas"]).to_string()),
        age,
    ]
}

fn ingress(spec: &Value, age: Value) -> Vec<Value> {
    let rules = spec["rules"].as_array().into_iter().flatten();
    let hosts: Vec<String> = rules.map(|rule| shown(&rule["host"], "*")).collect();
    let hosts = if hosts.is_empty() { "*".to_owned() } else { hosts.join(",") };
    let ports = if size(&spec["tls"]) > 0 { "80, 443" } else { "80" };
    vec![or_none(&spec["ingressClassName"]), json!(hosts), json!(""), json!(ports), age]
}

fn binding(object: &Value, age: Value) -> Vec<Value> {
    let role = &object["roleRef"];
    let named = |kind: &str| {
        let subjects = object["subjects"].as_array().into_iter().flatten();
        let names: Vec<String> = subjects
            .filter(|subject| subject["kind"] == kind)
            .map(|subject| match subject["namespace"].as_str() {
                Some(namespace) => format!("{namespace}/{}", shown(&subject["name"], "")),
                None => shown(&subject["name"], ""),
            })
            .collect();
        json!(names.join(", "))
    };
    let role = format!("{}/{}", shown(&role["kind"], ""), shown(&role["name"], ""));
    vec![json!(role), age, named("User"), named("Group"), named("ServiceAccount")]
}
