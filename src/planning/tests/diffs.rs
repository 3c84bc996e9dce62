//! Manifests → leaves, immutable fields, fingerprints; what must never be printed.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::desired::manifest::{ConfigValue, Manifest, Origin};
use crate::desired::outline::Leaf;
use crate::desired::value::{Secret, SecretKind, Value};
use crate::model::cleartext::Cleartext;
use crate::model::digest;
use crate::model::wire::FingerprintKey;
use crate::planning::changes::LeafChange;
use crate::planning::diff::{changes, shape};
use crate::planning::fingerprint::fingerprint;
use crate::planning::immutable::immutable;
use crate::planning::tests::object;

/// A manifest from JSON. Strings `ENC:text` and `ENC#1` are encrypted leaves; `round` stands for the encryption.
fn manifest(short: &str, round: &str, body: &Json) -> Manifest {
    let object = object(short);
    let mut body = body.clone();
    let fields = body.as_object_mut().unwrap();
    let (mut values, mut origins) = (BTreeMap::new(), BTreeMap::new());
    for (map, binary) in [("data", false), ("binaryData", true)] {
        let Some(Json::Object(data)) = object.kind.is_config().then(|| fields.remove(map)).flatten() else { continue };
        for (key, value) in data {
            let text = value.as_str().unwrap();
            let encrypted = text.strip_prefix("ENC:");
            origins.insert(format!("{map}.{key}"), origin(encrypted.map(|text| digest::short([round, text]))));
            let bytes = Cleartext::new(encrypted.unwrap_or(text).as_bytes().to_vec());
            let redacted = encrypted.is_some() || object.kind.is_secret();
            values.insert(key, ConfigValue { bytes, redacted, binary });
        }
    }
    Manifest { object, api_version: "v1".to_owned(), body: value(&body), values, origins }
}

fn origin(ciphertext: Option<[u8; 16]>) -> Origin {
    Origin { path: "base/a.yaml".to_owned(), line: 3, ciphertext, overrides: Vec::new() }
}

fn value(json: &Json) -> Value {
    let secret = |kind, text: &str| Value::Secret(Secret { kind, bytes: Cleartext::new(text.as_bytes().to_vec()) });
    match json {
        Json::Null => Value::Null,
        Json::Bool(it) => Value::Bool(*it),
        Json::Number(number) => number.as_i64().map_or_else(|| Value::number(number.as_f64().unwrap()), Value::Int),
        Json::String(text) => match (text.strip_prefix("ENC:"), text.strip_prefix("ENC#")) {
            (Some(text), _) => secret(SecretKind::Text, text),
            (_, Some(number)) => secret(if number.contains('.') { SecretKind::Float } else { SecretKind::Int }, number),
            _ => Value::Text(text.clone()),
        },
        Json::Array(items) => Value::List(items.iter().map(value).collect()),
        Json::Object(map) => Value::Map(map.iter().map(|(key, item)| (key.clone(), value(item))).collect()),
    }
}

fn print(leaves: &[LeafChange]) -> String {
    let shown = |value: &Option<String>| value.as_ref().map_or_else(|| "·".to_owned(), |value| format!("[{value}]"));
    let line = |leaf: &LeafChange| {
        let redacted = if leaf.redacted { " redacted" } else { "" };
        let lines: String = leaf.lines.iter().map(|line| format!("  {line}\n")).collect();
        format!("{:?} {} {} → {}{redacted}\n{lines}", leaf.word, leaf.path, shown(&leaf.old), shown(&leaf.new))
    };
    leaves.iter().map(line).collect()
}

fn check(short: &str, old: &Json, new: &Json, expect: Expect) {
    let (old, new) = (manifest(short, "one", old), manifest(short, "two", new));
    expect.assert_eq(&print(&changes(Some(&old), Some(&new))));
}

#[test]
fn a_config_map_key_by_key() {
    let long = format!("https://example.com/{}?a=1", "x".repeat(80));
    check(
        "ConfigMap/app",
        &json!({"data": {"A": "info", "GONE": "1", "SAME": "s", "LONG": long, "END": "a", "ESC": "a", "CR": "a\r\nb"},
                "binaryData": {"B": "\u{1}\u{2}"}}),
        &json!({"data": {"A": "debug", "NEW": "1\n2\n3", "SAME": "s", "LONG": long.replace("a=1", "a=2"), "END": "a\n", "ESC": "\u{1b}[2J\u{202e}", "CR": "a\nb\n"},
                "binaryData": {"B": "\u{1}\u{3}"}, "metadata": {"labels": {"app": "web"}}}),
        expect![[r#"
            Changed binaryData.B [(binary)] → [(binary)]
            Changed data.A [info] → [debug]
            Changed data.CR [a\r] → [a]
              -a\r
              -b (no line end)
              +a
              +b
            Changed data.END [a] → [a\n]
            Changed data.ESC [a] → [\u{1b}[2J\u{202e}]
            Removed data.GONE [1] → ·
            Changed data.LONG […xxxxxxxxxxxxxxxxx?a=1] → […xxxxxxxxxxxxxxxxx?a=2]
            Added data.NEW · → [1…]
            Unchanged data.SAME [s] → [s]
            Added metadata.labels.app · → [web]
        "#]],
    );
}

#[test]
fn lines_of_a_file_in_a_config_map() {
    let file = |level: &str, extra: &str| format!("server:\n  port: 80\n  name: web\nlog: {level}\nend: true\n{extra}");
    check(
        "ConfigMap/app",
        &json!({"data": {"app.yaml": file("info", "")}}),
        &json!({"data": {"app.yaml": file("debug", "more: 1\n")}}),
        expect![[r#"
            Changed data.app.yaml [log: info] → [log: debug]
                 name: web
              -log: info
              +log: debug
               end: true
              +more: 1
        "#]],
    );
}

#[test]
fn a_secret_shows_words_only() {
    check(
        "Secret/db",
        &json!({"data": {"SAME": "ENC:same", "CHANGED": "ENC:old", "GONE": "ENC:gone", "CLEAR": ""}, "type": "Opaque"}),
        &json!({"data": {"SAME": "ENC:same", "CHANGED": "ENC:newer", "NEW": "ENC:new", "CLEAR": ""}, "type": "Opaque"}),
        expect![[r#"
            Changed data.CHANGED · → · redacted
            Unchanged data.CLEAR · → · redacted
            Removed data.GONE · → · redacted
            Added data.NEW · → · redacted
            Reencrypted data.SAME · → · redacted
            Unchanged type [Opaque] → [Opaque]
        "#]],
    );
}

#[test]
fn a_workload_leaf_by_leaf() {
    let pod = |image: &str, token: &str, args: Json| {
        json!({"spec": {"replicas": 2, "template": {"spec": {"containers": [
            {"name": "app", "image": image, "env": [{"name": "TOKEN", "value": token}], "args": args},
            {"name": "side", "image": "side:1"}]}}}})
    };
    let mut new = pod("web:2", "ENC:t2", json!(["-v", "--level=debug"]));
    new["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap().reverse();
    new["spec"]["replicas"] = json!("2");
    check(
        "Deployment/web",
        &pod("web:1", "ENC:t1", json!(["-v"])),
        &new,
        expect![[r#"
        Changed spec.replicas [2] → ["2"]
        Changed spec.template.spec.containers[name=app].args [["-v"]] → [["-v","--level=debug"]]
        Unchanged spec.template.spec.containers[name=app].env[name=TOKEN].name [TOKEN] → [TOKEN]
        Changed spec.template.spec.containers[name=app].env[name=TOKEN].value · → · redacted
        Changed spec.template.spec.containers[name=app].image [web:1] → [web:2]
        Unchanged spec.template.spec.containers[name=app].name [app] → [app]
        Unchanged spec.template.spec.containers[name=side].image [side:1] → [side:1]
        Unchanged spec.template.spec.containers[name=side].name [side] → [side]
    "#]],
    );
}

#[test]
fn encrypted_and_clear_forms_of_one_value_are_the_same() {
    check(
        "CronJob/night",
        &json!({"spec": {"a": "x", "b": 3, "c": 1.5, "d": "ENC#1", "e": ["ENC:x"]}}),
        &json!({"spec": {"a": "ENC:x", "b": "ENC#3", "c": "ENC#1.50", "d": "ENC:1", "e": ["x"]}}),
        expect![[r#"
            Unchanged spec.a · → · redacted
            Unchanged spec.b · → · redacted
            Unchanged spec.c · → · redacted
            Changed spec.d · → · redacted
            Unchanged spec.e · → · redacted
        "#]],
    );
}

#[test]
fn added_and_removed_objects() {
    let new = manifest("Secret/db", "one", &json!({"data": {"P": "ENC:p"}}));
    expect![[r#"
        Added data.P · → · redacted
        Removed data.P · → · redacted
    "#]]
    .assert_eq(&(print(&changes(None, Some(&new))) + &print(&changes(Some(&new), None))));
}

#[test]
fn what_shows_without_a_key() {
    let leaf =
        |ciphertext: &str| Leaf { line: 1, ciphertext: (!ciphertext.is_empty()).then(|| digest::short([ciphertext])) };
    let leaves = |leaves: &[(&str, &str)]| leaves.iter().map(|(path, text)| ((*path).into(), leaf(text))).collect();
    let old = leaves(&[("data.a", "c1"), ("data.b", "c1"), ("data.c", "c1"), ("kind", ""), ("data.e", "")]);
    let new = leaves(&[("data.a", "c1"), ("data.b", "c2"), ("data.d", "c1"), ("kind", ""), ("data.e", "c1")]);
    expect![[r#"
        Unchanged data.a · → · redacted
        Unknown data.b · → · redacted
        Removed data.c · → · redacted
        Added data.d · → · redacted
        Unknown data.e · → · redacted
    "#]]
    .assert_eq(&print(&shape(&old, &new)));
}

#[test]
fn immutable_fields() {
    let cases = [
        (
            "ConfigMap/a",
            json!({"immutable": true, "data": {"a": "1", "b": "1"}}),
            json!({"data": {"a": "2", "b": "1"}}),
        ),
        ("ConfigMap/a", json!({"data": {"a": "1"}}), json!({"immutable": true, "data": {"a": "2"}})),
        ("ConfigMap/a", json!({"immutable": true, "metadata": {"labels": {"x": "1"}}}), json!({"immutable": true})),
        ("Secret/a", json!({}), json!({"type": "Opaque"})),
        ("Secret/a", json!({}), json!({"type": "kubernetes.io/tls"})),
        (
            "Deployment/a",
            json!({"spec": {"selector": {"a": "1"}}}),
            json!({"spec": {"selector": {"a": "2"}, "replicas": 2}}),
        ),
        (
            "StatefulSet/a",
            json!({"spec": {"serviceName": "a", "replicas": 1, "podManagementPolicy": "OrderedReady"}}),
            json!({"spec": {"serviceName": "b", "replicas": 2, "revisionHistoryLimit": 3, "volumeClaimTemplates": []}}),
        ),
        ("StatefulSet/a", json!({"spec": {}}), json!({"spec": {"podManagementPolicy": "Parallel"}})),
        ("Job/a", json!({"spec": {"template": {"a": 1}}}), json!({"spec": {"template": {"a": 2}, "backoffLimit": 1}})),
        ("Service/a", json!({"spec": {}}), json!({"spec": {"clusterIP": "None", "ports": []}})),
        ("Service/a", json!({"spec": {"type": "ExternalName"}}), json!({"spec": {"clusterIP": "None"}})),
        ("PersistentVolumeClaim/a", claim("10Gi", "fast"), claim("20Gi", "fast")),
        ("PersistentVolumeClaim/a", claim("1.5Gi", "fast"), claim("1000M", "slow")),
        ("PersistentVolumeClaim/a", claim("1e9", "fast"), claim("1E", "fast")),
    ];
    let lines = cases.map(|(short, old, new)| {
        let fields = immutable(&manifest(short, "one", &old), &manifest(short, "two", &new));
        format!("{short}: {}\n", fields.join(", "))
    });
    expect![[r#"
        ConfigMap/a: data.a, immutable
        ConfigMap/a: 
        ConfigMap/a: 
        Secret/a: 
        Secret/a: type
        Deployment/a: spec.selector
        StatefulSet/a: spec.serviceName, spec.volumeClaimTemplates
        StatefulSet/a: spec.podManagementPolicy
        Job/a: spec.template
        Service/a: spec.clusterIP
        Service/a: 
        PersistentVolumeClaim/a: 
        PersistentVolumeClaim/a: spec.storageClassName, spec.resources.requests.storage
        PersistentVolumeClaim/a: 
    "#]]
    .assert_eq(&lines.concat());
}

fn claim(size: &str, class: &str) -> Json {
    json!({"spec": {"storageClassName": class, "resources": {"requests": {"storage": size}}}})
}

#[test]
fn fingerprints_are_of_type_and_values() {
    let key = FingerprintKey(Cleartext::new(vec![7; 32]));
    let of = |short: &str, body: Json| fingerprint(&key, "env", &manifest(short, "one", &body));
    let base = of("Secret/db", json!({"data": {"a": "ENC:1"}}));
    assert!(base.is_some());
    assert_eq!(
        base,
        of("Secret/db", json!({"data": {"a": "1"}, "type": "Opaque", "metadata": {"labels": {"x": "y"}}}))
    );
    assert_eq!(base, of("Secret/db", json!({"data": {"a": "1"}, "type": "ENC:Opaque"})));
    assert_ne!(base, of("Secret/db", json!({"data": {"a": "1"}, "type": "kubernetes.io/tls"})));
    assert_ne!(base, of("Secret/db", json!({"data": {"a": "2"}})));
    assert_ne!(base, of("ConfigMap/db", json!({"data": {"a": "1"}})));
    assert_eq!(of("Deployment/web", json!({})), None);
}

/// Everywhere that a secret can stand.
fn forms(text: &str) -> [Manifest; 3] {
    let encrypted = format!("ENC:{text}");
    let container = json!({"name": "app", "env": [{"name": "T", "value": encrypted}], "args": ["a", encrypted]});
    [
        manifest("Secret/db", "one", &json!({"data": {"p": text, "q": encrypted}, "immutable": true})),
        manifest("ConfigMap/app", "one", &json!({"data": {"p": encrypted}, "immutable": true})),
        manifest("Deployment/web", "one", &json!({"spec": {"template": {"spec": {"containers": [container]}}}})),
    ]
}

proptest! {
    #[test]
    fn no_part_of_a_secret_is_printed(old in "[Q-Z]{6,40}(\n[Q-Z]{1,9}){0,3}", new in "[Q-Z]{6,40}") {
        let mut printed = String::new();
        for (old, new) in forms(&old).into_iter().zip(forms(&new)) {
            printed.push_str(&format!("{old:?} {:?}", changes(Some(&old), Some(&new))));
            printed.push_str(&format!("{:?} {:?}", changes(None, Some(&new)), changes(Some(&old), None)));
            printed.push_str(&format!("{:?}", immutable(&old, &new)));
        }
        for window in old.as_bytes().windows(4).chain(new.as_bytes().windows(4)) {
            prop_assert!(!printed.contains(std::str::from_utf8(window).unwrap()), "{}", printed);
        }
    }

    #[test]
    fn the_words_follow_the_bytes(old in "[a-c]{0,2}", new in "[a-c]{0,2}") {
        let secret = |text: &str, round: &str| manifest("Secret/db", round, &json!({"data": {"p": format!("ENC:{text}")}}));
        let word = |leaves: &[LeafChange]| format!("{:?}", leaves[0].word);
        let differing = changes(Some(&secret(&old, "one")), Some(&secret(&new, "two")));
        prop_assert_eq!(word(&differing), if old == new { "Reencrypted" } else { "Changed" });
        let same = changes(Some(&secret(&old, "one")), Some(&secret(&old, "one")));
        prop_assert_eq!(word(&same), "Unchanged");
    }
}
