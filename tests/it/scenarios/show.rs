//! What is in a namespace, in a line an object: `$ show staging`.

use std::fmt::Write;

use http::Method;
use serde_json::Value;

use crate::scenarios::world::World;

/// Kinds that scripts make, in the order of the lines: path of the list below the namespace's.
const LISTS: [(&str, &str); 15] = [
    ("api/v1", "configmaps"),
    ("api/v1", "secrets"),
    ("api/v1", "serviceaccounts"),
    ("api/v1", "services"),
    ("api/v1", "persistentvolumeclaims"),
    ("apis/apps/v1", "deployments"),
    ("apis/apps/v1", "statefulsets"),
    ("apis/batch/v1", "jobs"),
    ("apis/autoscaling/v2", "horizontalpodautoscalers"),
    ("apis/policy/v1", "poddisruptionbudgets"),
    ("apis/networking.k8s.io/v1", "networkpolicies"),
    ("apis/networking.k8s.io/v1", "ingresses"),
    ("api/v1", "limitranges"),
    ("api/v1", "resourcequotas"),
    ("apis/rbac.authorization.k8s.io/v1", "rolebindings"),
];

/// The objects of an environment's namespace `shop-…`: data of ConfigMaps and Secrets (decoded), replicas, images and config digest of workloads: another digest is a restart.
pub async fn show(world: &World, environment: &str) -> String {
    let namespace = world.names.real(&format!("shop-{environment}"));
    let mut text = String::new();
    for (version, plural) in LISTS {
        let (status, list) = world.ask(Method::GET, &format!("/{version}/namespaces/{namespace}/{plural}"), None).await;
        if status != 200 {
            continue;
        }
        for object in list["items"].as_array().into_iter().flatten() {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            if matches!((plural, name), ("configmaps", "kube-root-ca.crt") | ("serviceaccounts", "default")) {
                continue;
            }
            let ours = object["metadata"]["labels"].get("osier.dev/environment").is_some();
            let foreign = if ours { "" } else { "  (not osier's)" };
            let line = format!("{plural}/{name}{}{foreign}", about(plural, object));
            writeln!(text, "{}", line.trim_end()).unwrap();
        }
    }
    if text.is_empty() { "(nothing)\n".to_owned() } else { text }
}

fn about(plural: &str, object: &Value) -> String {
    match plural {
        "configmaps" => data(object, false),
        "secrets" => data(object, true),
        "deployments" | "statefulsets" => {
            let images = object["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten();
            let images: Vec<&str> = images.filter_map(|container| container["image"].as_str()).collect();
            let config = object["spec"]["template"]["metadata"]["annotations"]["osier.dev/config"].as_str();
            let config = config.map(|config| format!(" config={config}")).unwrap_or_default();
            format!("  replicas={} image={}{config}", object["spec"]["replicas"], images.join(","))
        }
        _ => String::new(),
    }
}

fn data(object: &Value, encoded: bool) -> String {
    let mut text = String::new();
    for (key, value) in object["data"].as_object().into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        let value = if encoded {
            let bytes = data_encoding::BASE64.decode(value.as_bytes()).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        } else {
            value.to_owned()
        };
        write!(text, "  {key}={}", value.escape_debug()).unwrap();
    }
    text
}
