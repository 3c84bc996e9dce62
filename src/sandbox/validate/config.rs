//! ConfigMaps, Secrets, Services and CustomResourceDefinitions.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;
use serde_json::{Map, Value, json};

use crate::sandbox::kinds::Kind;
use crate::sandbox::refusal::Cause;
use crate::sandbox::validate::{require, text};

const SERVICE_TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const SCOPES: [&str; 2] = ["Cluster", "Namespaced"];
const MAX_BYTES: usize = 1024 * 1024;
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. \
    'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const FROZEN: &str = "field is immutable when `immutable` is set";

static IS_CONFIG_KEY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[-._a-zA-Z0-9]+$").expect("the pattern is valid"));

pub fn config_map(new: &Value, causes: &mut Vec<Cause>) {
    let mut bytes = 0;
    for name in ["data", "binaryData"] {
        for (key, value) in entries(new, name) {
            key_fault(name, key, causes);
            if name == "data" && new["binaryData"].get(key).is_some() {
                let why = "duplicate of key present in binaryData";
                causes.push(Cause::invalid(format!("{name}[{key}]"), &text(key), why));
            }
            bytes += if name == "data" { value.len() } else { decoded(value).len() };
        }
    }
    if bytes > MAX_BYTES {
        causes.push(Cause::too_long("[]", MAX_BYTES));
    }
}

pub fn secret(new: &Value, causes: &mut Vec<Cause>) {
    let mut bytes = 0;
    for (key, value) in entries(new, "data") {
        key_fault("data", key, causes);
        bytes += decoded(value).len();
    }
    if bytes > MAX_BYTES {
        causes.push(Cause::too_long("data", MAX_BYTES));
    }
    let required: &[&str] = match new["type"].as_str().unwrap_or_default() {
        "kubernetes.io/basic-auth" if !has_either(new, "username", "password") => &["username", "password"],
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        _ => &[],
    };
    for key in required.iter().filter(|key| new["data"].get(**key).is_none()) {
        causes.push(Cause::required(format!("data[{key}]"), ""));
    }
    for key in required.iter().filter(|key| key.starts_with(".docker")) {
        let Some(content) = new["data"].get(*key).and_then(Value::as_str) else { continue };
        if serde_json::from_slice::<Value>(&decoded(content)).is_err() {
            let cause =
                Cause::invalid(format!("data[{key}]"), &text("<secret contents redacted>"), "invalid character");
            causes.push(cause);
        }
    }
}

fn has_either(secret: &Value, one: &str, other: &str) -> bool {
    secret["data"].get(one).is_some() || secret["data"].get(other).is_some()
}

fn entries<'a>(object: &'a Value, name: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let map = object.get(name).and_then(Value::as_object);
    map.into_iter().flatten().map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default()))
}

fn decoded(value: &str) -> Vec<u8> {
    STANDARD.decode(value).unwrap_or_default()
}

fn key_fault(field: &str, key: &str, causes: &mut Vec<Cause>) {
    let field = format!("{field}[{key}]");
    if key.len() > 253 {
        causes.push(Cause::invalid(field, &text(key), "must be no more than 253 bytes"));
    } else if key == "." || key == ".." {
        causes.push(Cause::invalid(field, &text(key), &format!("must not be '{key}'")));
    } else if key.starts_with("..") {
        causes.push(Cause::invalid(field, &text(key), "must not start with '..'"));
    } else if !IS_CONFIG_KEY.is_match(key) {
        causes.push(Cause::invalid(field, &text(key), CONFIG_KEY));
    }
}

/// A Secret keeps its type; with `immutable`, both kinds keep their data.
pub fn change(kind: &Kind, old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    if kind.kind == "Secret" && old["type"] != new["type"] {
        causes.push(Cause::invalid("type", &new["type"], "field is immutable"));
    }
    if old["immutable"] != true {
        return;
    }
    if new["immutable"] != true {
        causes.push(Cause::forbidden("immutable", FROZEN));
    }
    let empty = Value::Object(Map::new());
    for name in ["data", "binaryData"] {
        if old.get(name).unwrap_or(&empty) != new.get(name).unwrap_or(&empty) {
            causes.push(Cause::forbidden(name, FROZEN));
        }
    }
}

pub fn service(spec: &Value, causes: &mut Vec<Cause>) {
    let ports = spec["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    let headless = spec["clusterIP"] == "None";
    if ports.is_empty() && !headless && spec["type"] != "ExternalName" {
        causes.push(Cause::required("spec.ports", ""));
    }
    let mut names = BTreeSet::new();
    let mut numbers = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        let name = port["name"].as_str().unwrap_or_default();
        if name.is_empty() && ports.len() > 1 {
            causes.push(Cause::required(format!("{path}.name"), ""));
        } else if !name.is_empty() && !names.insert(name) {
            causes.push(Cause::duplicate(format!("{path}.name"), &text(name)));
        }
        let number = port["port"].as_i64().unwrap_or_default();
        if !(1..=65535).contains(&number) {
            causes.push(Cause::invalid(
                format!("{path}.port"),
                &port["port"],
                "must be between 1 and 65535, inclusive",
            ));
        }
        if !numbers.insert((number, port["protocol"].to_string())) {
            let key = json!({"port": number, "protocol": port["protocol"]});
            causes.push(Cause::duplicate(path, &key));
        }
    }
    if !SERVICE_TYPES.iter().any(|name| spec["type"] == *name) {
        causes.push(Cause::unsupported("spec.type", &spec["type"], &SERVICE_TYPES));
    }
}

/// A cluster address stays while the type needs one.
pub fn service_change(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    let had = old["clusterIP"].as_str().unwrap_or_default();
    if new["type"] != "ExternalName" && !had.is_empty() && new["clusterIP"] != old["clusterIP"] {
        let why = "may not change once set";
        causes.push(Cause::invalid("spec.clusterIPs[0]", &json!([new["clusterIP"]]), why));
    }
}

pub fn definition(new: &Value, causes: &mut Vec<Cause>) {
    let spec = &new["spec"];
    let part = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let expected = format!("{}.{}", part(&spec["names"]["plural"]), part(&spec["group"]));
    if new["metadata"]["name"] != expected.as_str() {
        let why = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid("metadata.name", &new["metadata"]["name"], why));
    }
    for name in ["plural", "kind"] {
        require(&spec["names"], name, "spec.names", causes);
    }
    require(spec, "group", "spec", causes);
    require(spec, "versions", "spec", causes);
    if !SCOPES.iter().any(|scope| spec["scope"] == *scope) {
        causes.push(Cause::unsupported("spec.scope", &spec["scope"], &SCOPES));
    }
    for (index, version) in spec["versions"].as_array().into_iter().flatten().enumerate() {
        if version.pointer("/schema/openAPIV3Schema").is_none() {
            let field = format!("spec.versions[{index}].schema.openAPIV3Schema");
            causes.push(Cause::required(field, ""));
        }
    }
}
