//! Which lists of the built-in kinds Kubernetes merges by key: the `x-kubernetes-list-map-keys` of its OpenAPI documents (1.35).

use crate::desired::value::Value;
use crate::model::object::Kind;

/// How an encrypted leaf begins in the file.
pub const ENCRYPTED: &str = "ENC[AES256_GCM,";

/// Lists of the pod specification, and what identifies their items.
const POD: [(&str, &[&str]); 7] = [
    ("volumes", &["name"]),
    ("imagePullSecrets", &["name"]),
    ("hostAliases", &["ip"]),
    ("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("resourceClaims", &["name"]),
    ("resources.claims", &["name"]),
    ("schedulingGates", &["name"]),
];

/// The lists of containers; their items are identified by name.
const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// Lists of a container.
const CONTAINER: [(&str, &[&str]); 5] = [
    ("env", &["name"]),
    ("ports", &["containerPort", "protocol"]),
    ("volumeMounts", &["mountPath"]),
    ("volumeDevices", &["devicePath"]),
    ("resources.claims", &["name"]),
];

/// The kinds with pods, in the order of object ids: group and kind.
pub const WITH_PODS: [(&str, &str); 7] = [
    ("", "Pod"),
    ("apps", "DaemonSet"),
    ("apps", "Deployment"),
    ("apps", "ReplicaSet"),
    ("apps", "StatefulSet"),
    ("batch", "CronJob"),
    ("batch", "Job"),
];

/// What stands before the `metadata` and `spec` of the pods of a kind: empty for a Pod; `None` for kinds without pods.
pub fn pod_template(kind: &Kind) -> Option<&'static str> {
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Pod") => Some(""),
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") | ("batch", "Job") => {
            Some("spec.template.")
        }
        ("batch", "CronJob") => Some("spec.jobTemplate.spec.template."),
        _ => None,
    }
}

/// The fields that identify an item of the list at `field` (names joined by dots, items left out); `None`: the list is atomic.
pub fn keys(kind: &Kind, field: &str) -> Option<&'static [&'static str]> {
    match (kind.group.as_str(), kind.kind.as_str(), field) {
        ("", "Service", "spec.ports") => return Some(&["port", "protocol"]),
        ("", "ServiceAccount", "secrets") => return Some(&["name"]),
        _ => {}
    }
    let field = field.strip_prefix(pod_template(kind)?)?.strip_prefix("spec.")?;
    let (first, rest) = field.split_once('.').unwrap_or((field, ""));
    let (table, field): (&[(&str, &'static [&'static str])], &str) = match (CONTAINERS.contains(&first), rest) {
        (true, "") => return Some(&["name"]),
        (true, field) => (&CONTAINER, field),
        (false, _) => (&POD, field),
    };
    table.iter().find(|(name, _)| *name == field).map(|(_, keys)| *keys)
}

/// What identifies `item`, such as `name=app` or `containerPort=80,protocol=TCP`; `None` if a field is missing or encrypted.
pub fn item_key(keys: &[&str], item: &Value) -> Option<String> {
    let Value::Map(map) = item else { return None };
    let parts = keys.iter().map(|key| match (map.get(*key), *key) {
        (Some(Value::Text(text)), _) if !text.starts_with(ENCRYPTED) => Some(format!("{key}={text}")),
        (Some(Value::Int(number)), _) => Some(format!("{key}={number}")),
        (None | Some(Value::Null), "protocol") => Some("protocol=TCP".to_owned()),
        _ => None,
    });
    Some(parts.collect::<Option<Vec<String>>>()?.join(","))
}

/// The value at a dotted field such as `spec.template.spec`; an empty field is the value itself.
pub fn at<'a>(value: &'a Value, field: &str) -> Option<&'a Value> {
    let path: Vec<&str> = field.split('.').filter(|part| !part.is_empty()).collect();
    value.get(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyed_and_atomic_lists() {
        let deployment = Kind::new("apps", "Deployment");
        assert_eq!(keys(&deployment, "spec.template.spec.containers.env"), Some(["name"].as_slice()));
        assert_eq!(keys(&deployment, "spec.template.spec.tolerations"), None);
        assert_eq!(keys(&deployment, "spec.containers"), None);
        assert_eq!(keys(&Kind::new("", "Pod"), "spec.containers"), Some(["name"].as_slice()));
        assert_eq!(keys(&Kind::new("", "Service"), "spec.ports"), Some(["port", "protocol"].as_slice()));
        assert_eq!(keys(&Kind::new("networking.k8s.io", "Ingress"), "spec.rules"), None);
    }

    #[test]
    fn the_protocol_is_tcp_unless_said() {
        let port = |fields: &[(&str, Value)]| {
            Value::Map(fields.iter().map(|(name, value)| ((*name).to_owned(), copy(value))).collect())
        };
        let keys = ["port", "protocol"];
        assert_eq!(item_key(&keys, &port(&[("port", Value::Int(53))])).as_deref(), Some("port=53,protocol=TCP"));
        let udp = port(&[("port", Value::Int(53)), ("protocol", Value::Text("UDP".to_owned()))]);
        assert_eq!(item_key(&keys, &udp).as_deref(), Some("port=53,protocol=UDP"));
        assert_eq!(item_key(&keys, &port(&[])), None);
    }

    fn copy(value: &Value) -> Value {
        match value {
            Value::Int(number) => Value::Int(*number),
            Value::Text(text) => Value::Text(text.clone()),
            _ => Value::Null,
        }
    }
}
