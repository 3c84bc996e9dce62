//! What osier reads is what `sops -d FILE | kubectl` reads.

use std::fmt::Write;

use osier::desired::sops::{LeafState, SopsFile, is_encrypted};
use osier::desired::value::{SecretKind, Value};
use osier::desired::yaml::{self, SopsScalar};

use crate::sops::world::{CANARY, World};

const EVERY_TYPE: &str = r#"# head cAnArY
apiVersion: v1
kind: Secret
metadata:
    name: a # inline
    annotations: {on: "cAnArY", "yes": x, plain: yes, dated: 2024-01-02}
data:
    # cAnArY
    text: abc cAnArY
    empty: ""
    int: 5
    negative: -17
    octal: 0644
    new_octal: 0o17
    float: 1.5
    whole: 2.0
    large: 1e21
    small: 1e-7
    bool: true
    word: yes
    quoted: "5"
    day: 2024-01-02
    time: 2024-01-02T03:04:05.600+02:00
    none: null
    nothing:
    multi: |
        a
        b
    folded: >-
        a
        b
    base64: /+8AAQID+w==
    list:
        # cAnArY in a list
        - a # inline
        - 2
        - {x: y}
        -
        - ""
        - [1.5, [true]]
    some_unencrypted: 1.50
    other_unencrypted: {a: 0644, b: 2024-01-02 03:04:05, c: no, d: 1_000, e: .5, f: "0644"}
    to_encrypted: é cAnArY
    map: {}
    sequence: []
    "colon:in key": x
    "1": number
    unicode: "é\u0001\u2028😀"
    long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb cccccccccccccccccccccccccc
"#;

const JSON: &str = r#"{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {
    "text": "cAnArY \"q\" \u00e9 \/ \ud83d\ude00", "empty": "", "int": 5, "float": 1.5, "whole": 2.0, "large": 9223372036854775808,
    "exponent": 1e3, "bool": true, "none": null, "word": "yes", "list": [1, "a", {"x": "y"}, [], {}], "a_unencrypted": 2.0,
    "b_unencrypted": "2024-01-02", "c_unencrypted": 12345678901234567890
}}"#;

/// Opens the file and compares; gives the parsed file for more questions.
fn check(world: &World, name: &str, text: &str, arguments: &[&str]) -> SopsFile {
    let encrypted = world.encrypt(name, text, arguments);
    same_as_oracle(world, name, &encrypted)
}

fn same_as_oracle(world: &World, name: &str, encrypted: &str) -> SopsFile {
    assert!(is_encrypted(&yaml::parse(encrypted).unwrap()), "{name}");
    let file = SopsFile::parse(name, encrypted.as_bytes()).unwrap_or_else(|problems| panic!("{name}: {problems:?}"));
    let values = file.open(&world.data_key(&file)).unwrap_or_else(|problems| panic!("{name}: {problems:?}"));
    let json: Vec<_> = values.iter().map(Value::to_json).collect();
    let oracle = world.oracle(name);
    assert_eq!(json.len(), oracle.len(), "{name}");
    for (ours, theirs) in json.iter().zip(&oracle) {
        assert_eq!(numbers_as_floats(ours), numbers_as_floats(theirs), "{name}");
    }
    for (shape, value) in file.shape().iter().zip(&values) {
        for leaf in &shape.leaves {
            let value = at(value, &leaf.path);
            let is_secret = matches!(value, Value::Secret(_));
            assert_eq!(is_secret, leaf.state == LeafState::Encrypted, "{name}: {leaf:?}");
            assert!(!is_secret || !format!("{value:?}").contains(CANARY), "{name}: {leaf:?}");
        }
    }
    file
}

/// Go prints large floats in full, which JSON readers take for integers, and serde_json reads the last digit loosely.
fn numbers_as_floats(value: &serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Number(number) if number.as_i64().is_none() => {
            format!("{:.13e}", number.as_f64().unwrap()).into()
        }
        serde_json::Value::Array(items) => items.iter().map(numbers_as_floats).collect(),
        serde_json::Value::Object(map) => {
            map.iter().map(|(key, value)| (key.clone(), numbers_as_floats(value))).collect()
        }
        other => other.clone(),
    }
}

fn at<'a>(value: &'a Value, path: &[String]) -> &'a Value {
    path.iter().fold(value, |value, step| match value {
        Value::Map(map) => &map[step],
        Value::List(items) => &items[step.parse::<usize>().unwrap()],
        _ => panic!("no {step} in a leaf"),
    })
}

#[test]
fn every_type_with_every_rule() {
    let world = World::new();
    for (name, arguments) in [
        ("default.yaml", &[][..]),
        ("regex.yaml", &["--encrypted-regex", "^(data|stringData)$"]),
        ("negative-regex.yml", &["--unencrypted-regex", "^(apiVersion|kind|metadata)$"]),
        ("unencrypted-suffix.yaml", &["--unencrypted-suffix", "ext"]),
        ("encrypted-suffix.yaml", &["--encrypted-suffix", "_encrypted"]),
        ("mac.yaml", &["--mac-only-encrypted", "--encrypted-regex", "^data$"]),
        ("mac-suffix.yaml", &["--mac-only-encrypted"]),
    ] {
        let file = check(&world, name, EVERY_TYPE, arguments);
        assert_eq!(file.mac_only_encrypted(), name.starts_with("mac"), "{name}");
        assert_eq!(file.recipients().collect::<Vec<_>>(), [&world.staging], "{name}");
    }
}

/// Simple comments only: with those inside lists the real sops cannot open its own file.
#[test]
fn rules_by_comment() {
    let world = World::new();
    let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata:\n  # this one\n  a: b\n  c: d\n";
    let states = |name: &str, rule: &str| {
        let file = check(&world, name, text, &[rule, "this one"]);
        file.shape()[0].leaves.iter().map(|leaf| leaf.state == LeafState::Encrypted).collect::<Vec<_>>()
    };
    assert_eq!(states("a.yaml", "--encrypted-comment-regex"), [false, false, false, true, false]);
    assert_eq!(states("b.yaml", "--unencrypted-comment-regex"), [true, true, true, false, true]);
}

/// Plain scalars that may be numbers, dates or words, in one document.
fn scalars() -> Vec<String> {
    use proptest::strategy::{Strategy, ValueTree};
    let strategy = proptest::prop_oneof![
        "[-+]?[0-9._eE]{1,8}",
        "[-+]?0[xXoObB]?[0-9a-f_]{1,6}",
        "[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(\\.[0-9]{1,10})?(Z|[-+][0-9]{2}:[0-9]{2})?)?",
        "[-+.~0-9a-fA-FnyNYoO_:TZ]{1,9}",
        "(y|n|yes|no|on|off|true|false|null|Null|NULL|Yes|NO|oN|TRUE|~|[-+]?\\.[0-9]{1,3})",
    ];
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut texts: Vec<_> = (0..4_000).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect();
    texts.retain(|text| {
        let Ok(documents) = yaml::parse(&format!("k: {text}\n")) else { return false };
        documents.first().and_then(|document| document.node.get("k")).and_then(yaml::Node::text) == Some(text)
    });
    assert!(texts.len() > 2_000, "{}", texts.len());
    texts
}

fn document_of(texts: &[String]) -> String {
    let mut document = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n".to_owned();
    for (index, text) in texts.iter().enumerate() {
        writeln!(document, "  k{index}: {text}").unwrap();
    }
    document
}

#[test]
fn random_scalars_are_read_as_kubectl_does() {
    let world = World::new();
    let document = document_of(&scalars());
    let ours = yaml::kubernetes(&yaml::parse(&document).unwrap()[0].node).unwrap().to_json();
    let theirs = world.kubectl(&document);
    for (index, text) in scalars().iter().enumerate() {
        let of = |json: &serde_json::Value| numbers_as_floats(&json["data"][format!("k{index}")]);
        assert_eq!(of(&ours), of(&theirs[0]), "{text}");
    }
}

#[test]
fn random_scalars_are_typed_as_sops_does() {
    let world = World::new();
    let mut texts = scalars();
    texts.retain(|text| yaml::sops_scalar(text, true) != SopsScalar::TooLarge);
    let values = world.open("a.yaml", &world.encrypt("a.yaml", &document_of(&texts), &[])).unwrap();
    for (index, text) in texts.iter().enumerate() {
        let (kind, expected) = match yaml::sops_scalar(text, true) {
            SopsScalar::Null => continue,
            SopsScalar::Bool(value) => (SecretKind::Bool, value.to_string()),
            SopsScalar::Int(value) => (SecretKind::Int, value.to_string()),
            SopsScalar::Float(value) => match Value::number(value) {
                Value::Int(value) => (SecretKind::Int, value.to_string()),
                _ => (SecretKind::Float, value.to_string()),
            },
            SopsScalar::Time(time) => (SecretKind::Text, time),
            SopsScalar::Text | SopsScalar::TooLarge => (SecretKind::Text, text.clone()),
        };
        let Some(Value::Secret(secret)) = values[0].get(&["data", &format!("k{index}")]) else { panic!("{text}") };
        let actual = std::str::from_utf8(secret.bytes.expose()).unwrap();
        assert_eq!((secret.kind, actual), (kind, expected.as_str()), "{text}");
    }
}

#[test]
fn json_files() {
    let world = World::new();
    check(&world, "a.json", JSON, &[]);
    check(&world, "b.json", JSON, &["--encrypted-regex", "^data$"]);
    check(&world, "c.json", JSON, &["--mac-only-encrypted"]);
}

#[test]
fn streams_of_documents() {
    let world = World::new();
    let object = |name: &str, data: &str| {
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData:\n  a: {data}\n")
    };
    let stream = format!("{}---\n# two\n{}---\n{}", object("a", "1"), object("b", "x # y"), object("c", "''"));
    let file = check(&world, "stream.yaml", &stream, &["--encrypted-regex", "^stringData$"]);
    let lines: Vec<_> = file.shape().iter().map(|shape| shape.leaves.last().unwrap().line).collect();
    assert!(lines.is_sorted() && lines.len() == 3, "{lines:?}");
    let names = |index: usize| file.shape()[index].node.get("metadata").unwrap().get("name").unwrap().text().unwrap();
    assert_eq!([names(0), names(1), names(2)], ["a", "b", "c"]);
}

#[test]
fn documents_that_sops_leaves_empty_do_not_count() {
    let world = World::new();
    let text = "apiVersion: v1\nkind: Secret\n---\n---\nkind: b\n---\n";
    let values = world.open("a.yaml", &world.encrypt("a.yaml", text, &[])).unwrap();
    assert_eq!(values.len(), 2);
}

#[test]
fn several_recipients_and_ssh() {
    let world = World::new();
    let both = format!("{},{}", world.production, world.staging);
    let file = check(&world, "two.yaml", EVERY_TYPE, &["--age", &both]);
    assert_eq!(file.recipients().collect::<Vec<_>>(), [&world.production, &world.staging]);
    let ssh = format!("{},{}", world.staging, world.ssh);
    check(&world, "ssh.yaml", EVERY_TYPE, &["--age", &ssh]);
    std::fs::copy(world.path("ssh/id_ed25519"), world.path("keys/ssh.txt")).unwrap();
    let text = world.encrypt("ssh-only.yaml", EVERY_TYPE, &["--age", &world.ssh]);
    let file = SopsFile::parse("ssh-only.yaml", text.as_bytes()).unwrap();
    assert!(file.open(&world.keyring().unwrap(Some("ssh"), &file).unwrap()).is_ok());
}

#[test]
fn a_re_encrypted_file_reads_the_same() {
    let world = World::new();
    let before = world.encrypt("a.yaml", EVERY_TYPE, &["--encrypted-regex", "^data$"]);
    same_as_oracle(&world, "a.yaml", &before);
    world.sops(&["rotate", "-i", "a.yaml"]);
    let rotated = std::fs::read_to_string(world.path("a.yaml")).unwrap();
    assert_ne!(before, rotated);
    same_as_oracle(&world, "a.yaml", &rotated);
    let rule = format!("creation_rules: [{{age: \"{},{}\"}}]\n", world.staging, world.production);
    world.write(".sops.yaml", &rule);
    world.sops(&["updatekeys", "-y", "a.yaml"]);
    let updated = std::fs::read_to_string(world.path("a.yaml")).unwrap();
    let file = same_as_oracle(&world, "a.yaml", &updated);
    assert!(world.keyring().unwrap(Some("production"), &file).is_ok());
    world.sops(&["set", "a.yaml", "[\"data\"][\"text\"]", "\"new\""]);
    same_as_oracle(&world, "a.yaml", &std::fs::read_to_string(world.path("a.yaml")).unwrap());
}

#[test]
fn shapes_tell_what_is_in_clear() {
    let world = World::new();
    let text = "kind: Secret\ndata:\n  a: b\n  e: ''\n  n:\n  c_unencrypted: [x]\n";
    let file = SopsFile::parse("a.yaml", world.encrypt("a.yaml", text, &[]).as_bytes()).unwrap();
    let seen: Vec<_> = file.shape()[0].leaves.iter().map(|leaf| (leaf.path.join("."), leaf.line, leaf.state)).collect();
    let expected = [
        ("kind", 1, LeafState::Encrypted),
        ("data.a", 3, LeafState::Encrypted),
        ("data.e", 4, LeafState::Empty),
        ("data.n", 5, LeafState::Empty),
        ("data.c_unencrypted.0", 7, LeafState::Cleartext),
    ];
    assert_eq!(seen, expected.map(|(path, line, state)| (path.to_owned(), line, state)));
}
