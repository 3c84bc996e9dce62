//! The one place where a manifest and osier's stamps become the JSON that is sent.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use serde_json::{Map, Value, json};

use crate::desired::manifest::{ConfigValue, Manifest};
use crate::desired::value::{Secret, SecretKind, Value as Document};
use crate::model::object::Kind;
use crate::model::wire;
use crate::planning::plan::ConfigStamp;

/// What osier notes on an object.
#[derive(Clone, Debug)]
pub struct Marks<'a> {
    /// The environment that owns it.
    pub environment_id: &'a str,
    /// What it is made from.
    pub inputs: &'a str,
    /// Keyed digest of its values (ConfigMaps and Secrets).
    pub fingerprint: Option<&'a str>,
    /// Number of the Record.
    pub record: u64,
    /// Digest of the configuration that a workload refers to.
    pub config: Option<&'a ConfigStamp>,
}

/// The whole object with label, annotations and stamps, but for `osier.dev/fields`, which `set_fields` adds.
///
/// # Guarantees
/// Nothing but `Cleartext` is copied here; the JSON value lives until the request is sent.
pub fn wire_object(manifest: &Manifest, marks: &Marks<'_>) -> Value {
    let kind = &manifest.object.kind;
    let mut object = json(&manifest.body);
    object["apiVersion"] = json!(manifest.api_version);
    object["kind"] = json!(kind.kind);
    object["metadata"]["name"] = json!(manifest.object.name);
    object["metadata"]["namespace"] = json!(manifest.object.namespace);
    object["metadata"]["labels"][wire::ENVIRONMENT] = json!(marks.environment_id);
    for (name, value) in annotations(marks) {
        object["metadata"]["annotations"][name] = json!(value);
    }
    if kind.is_config() {
        for (map, values) in data(kind, &manifest.values) {
            object[map] = Value::Object(values);
        }
    }
    if let (Some(config), Some(pointer)) = (marks.config.filter(|config| config.in_template), template(kind))
        && let Some(template) = object.pointer_mut(pointer)
    {
        template["metadata"]["annotations"][wire::CONFIG] = json!(config.digest);
    }
    object
}

/// osier's annotations but `osier.dev/fields`.
pub fn annotations(marks: &Marks<'_>) -> Vec<(&'static str, String)> {
    let Marks { environment_id, inputs, fingerprint, record, config } = marks;
    let mut found = vec![
        (wire::ENVIRONMENT, (*environment_id).to_owned()),
        (wire::INPUTS, (*inputs).to_owned()),
        (wire::RECORD, record.to_string()),
    ];
    found.extend(fingerprint.map(|digest| (wire::FINGERPRINT, digest.to_owned())));
    found.extend(
        config.map(|config| {
            (if config.in_template { wire::CONFIG } else { wire::ADOPTED_CONFIG }, config.digest.clone())
        }),
    );
    found
}

/// Puts the `osier.dev/fields` stamp on.
pub fn set_fields(object: &mut Value, stamp: &str) {
    object["metadata"]["annotations"][wire::FIELDS] = json!(stamp);
}

/// True if a refusal of this object could quote what was encrypted.
pub fn carries_secret(manifest: &Manifest) -> bool {
    manifest.object.kind.is_secret()
        || manifest.values.values().any(|value| value.redacted)
        || has_secret(&manifest.body)
}

fn has_secret(document: &Document) -> bool {
    match document {
        Document::Secret(_) => true,
        Document::Map(map) => map.values().any(has_secret),
        Document::List(list) => list.iter().any(has_secret),
        Document::Null | Document::Bool(_) | Document::Int(_) | Document::Float(_) | Document::Text(_) => false,
    }
}

/// `data` and `binaryData`; both are there even if empty, so that an update replaces them.
fn data(kind: &Kind, values: &BTreeMap<String, ConfigValue>) -> Vec<(&'static str, Map<String, Value>)> {
    let secret = kind.is_secret();
    let base64 = |value: &ConfigValue| Value::from(BASE64.encode(value.bytes.expose()));
    let text = |value: &ConfigValue| Value::from(String::from_utf8_lossy(value.bytes.expose()));
    let of = |binary: bool| values.iter().filter(move |(_, value)| !secret && value.binary == binary);
    if secret {
        return vec![("data", values.iter().map(|(name, value)| (name.clone(), base64(value))).collect())];
    }
    vec![
        ("data", of(false).map(|(name, value)| (name.clone(), text(value))).collect()),
        ("binaryData", of(true).map(|(name, value)| (name.clone(), base64(value))).collect()),
    ]
}

/// JSON pointer of the pod template of a workload kind.
fn template(kind: &Kind) -> Option<&'static str> {
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") | ("batch", "Job") => {
            Some("/spec/template")
        }
        ("batch", "CronJob") => Some("/spec/jobTemplate/spec/template"),
        _ => None,
    }
}

fn json(document: &Document) -> Value {
    match document {
        Document::Null => Value::Null,
        Document::Bool(value) => json!(value),
        Document::Int(value) => json!(value),
        Document::Float(value) => json!(value),
        Document::Text(value) => json!(value),
        Document::Secret(secret) => json_of_secret(secret),
        Document::Map(map) => map.iter().map(|(name, value)| (name.clone(), json(value))).collect(),
        Document::List(list) => list.iter().map(json).collect(),
    }
}

/// A decrypted number that is none any more stays a string: the API server says where it does not fit.
fn json_of_secret(secret: &Secret) -> Value {
    let text = String::from_utf8_lossy(secret.bytes.expose());
    let typed = match secret.kind {
        SecretKind::Text => None,
        SecretKind::Int => text.parse::<i64>().ok().map(Value::from),
        SecretKind::Float => text.parse::<f64>().ok().map(Value::from),
        SecretKind::Bool => text.parse::<bool>().ok().map(Value::from),
    };
    typed.unwrap_or_else(|| Value::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cleartext::Cleartext;
    use crate::model::object::ObjectId;

    fn manifest(kind: Kind, body: Document, values: &[(&str, &[u8], bool)]) -> Manifest {
        let value =
            |bytes: &[u8], binary| ConfigValue { bytes: Cleartext::new(bytes.to_vec()), redacted: true, binary };
        Manifest {
            object: ObjectId::new(kind, "n", "a"),
            api_version: "v1".to_owned(),
            body,
            values: values.iter().map(|(name, bytes, binary)| ((*name).to_owned(), value(bytes, *binary))).collect(),
            origins: BTreeMap::new(),
        }
    }

    fn map<const N: usize>(entries: [(&str, Document); N]) -> Document {
        Document::Map(entries.map(|(name, value)| (name.to_owned(), value)).into())
    }

    const MARKS: Marks<'static> =
        Marks { environment_id: "e", inputs: "v1.i", fingerprint: Some("f"), record: 3, config: None };

    #[test]
    fn secrets_are_base64_and_config_maps_text() {
        let secret = wire_object(&manifest(Kind::new("", "Secret"), map([]), &[("k", b"v", false)]), &MARKS);
        assert_eq!(secret["data"], json!({"k": "dg=="}));
        assert_eq!(secret["binaryData"], Value::Null);
        let values: &[(&str, &[u8], bool)] = &[("k", b"v", false), ("b", b"\xff", true)];
        let config_map = wire_object(&manifest(Kind::new("", "ConfigMap"), map([]), values), &MARKS);
        assert_eq!(config_map["data"], json!({"k": "v"}));
        assert_eq!(config_map["binaryData"], json!({"b": "/w=="}));
        let marks = json!({"osier.dev/environment": "e", "osier.dev/inputs": "v1.i", "osier.dev/fingerprint": "f", "osier.dev/record": "3"});
        assert_eq!(config_map["metadata"]["annotations"], marks);
        assert_eq!(config_map["metadata"]["labels"], json!({"osier.dev/environment": "e"}));
    }

    #[test]
    fn the_config_digest_goes_into_the_template_or_beside_it() {
        let of = |in_template| {
            let config = ConfigStamp { digest: "c".to_owned(), in_template };
            let marks = Marks { config: Some(&config), ..MARKS };
            let body = map([("spec", map([("template", map([]))]))]);
            wire_object(&manifest(Kind::new("apps", "Deployment"), body, &[]), &marks)
        };
        let inside = of(true);
        assert_eq!(inside["spec"]["template"]["metadata"]["annotations"], json!({"osier.dev/config": "c"}));
        assert_eq!(inside["metadata"]["annotations"]["osier.dev/config"], "c");
        let beside = of(false);
        assert_eq!(beside["spec"]["template"], json!({}));
        assert_eq!(beside["metadata"]["annotations"]["osier.dev/adopted-config"], "c");
    }

    #[test]
    fn decrypted_leaves_keep_their_type() {
        let secret =
            |kind, text: &str| json_of_secret(&Secret { kind, bytes: Cleartext::new(text.as_bytes().to_vec()) });
        assert_eq!(secret(SecretKind::Int, "5"), json!(5));
        assert_eq!(secret(SecretKind::Bool, "true"), json!(true));
        assert_eq!(secret(SecretKind::Text, "5"), json!("5"));
    }
}
