use std::fmt::Write;

use expect_test::{Expect, expect};

use super::*;

fn json(text: &str) -> String {
    match parse(text) {
        Ok(documents) => documents
            .iter()
            .map(|document| match kubernetes(&document.node) {
                Ok(value) => value.to_json().to_string(),
                Err(errors) => said(&errors),
            })
            .collect::<Vec<_>>()
            .join(" | "),
        Err(errors) => said(&errors),
    }
}

fn said(errors: &[YamlError]) -> String {
    let mut text = String::new();
    for error in errors {
        writeln!(text, "{}:{} {} ({})", error.line, error.column, error.message, error.hint).unwrap();
    }
    text.trim_end().to_owned()
}

/// What sigs.k8s.io/yaml 1.6 (kubectl) answers, tried with the real package.
#[test]
fn scalars_are_read_as_kubectl_does() {
    for (text, expected) in [
        ("a: yes\nb: y\nc: on\nd: No\ne: n\nf: OFF", r#"{"a":true,"b":true,"c":true,"d":false,"e":false,"f":false}"#),
        ("a: 'yes'\nb: nO", r#"{"a":"yes","b":"nO"}"#),
        ("a: 0644\nb: 010\nc: 1_000\nd: 08\ne: 0o17\nf: 0b11\ng: 0x1F\nh: -0644\ni: +12", {
            r#"{"a":420,"b":8,"c":1000,"d":8,"e":15,"f":3,"g":31,"h":-420,"i":12}"#
        }),
        ("a: 1__0_\nb: 0_7\nc: _1\nd: 0x_1F\ne: 1e400\nf: 0x\ng: 0b", {
            r#"{"a":10,"b":7,"c":"_1","d":31,"e":"1e400","f":"0x","g":"0b"}"#
        }),
        ("a: 1.0\nb: 1e3\nc: .5\nd: -.5\ne: 1.e5\nf: 1e-7\ng: 0.1", {
            r#"{"a":1,"b":1000,"c":0.5,"d":-0.5,"e":100000,"f":1e-7,"g":0.1}"#
        }),
        ("a: 2024-01-01\nb: 2024-1-1 1:2:3\nc: 12:30:45", r#"{"a":"2024-01-01","b":"2024-1-1 1:2:3","c":"12:30:45"}"#),
        ("a: 9223372036854775807\nb: -9223372036854775808", r#"{"a":9223372036854775807,"b":-9223372036854775808}"#),
        ("a:\nb: ~\nc: Null\nd: ''", r#"{"a":null,"b":null,"c":null,"d":""}"#),
        (
            "a: !!str 5\nb: !!int \"5\"\nc: !!float 5\nd: !!binary aGFsbG8=\ne: !Foo bar\nf: !!null \"\"\ng: !!bool yes",
            { r#"{"a":"5","b":5,"c":5,"d":"hallo","e":"bar","f":null,"g":true}"# },
        ),
        ("on: x\noff: y\n0644: z\n0x10: w", r#"{"16":"w","420":"z","false":true,"true":"x"}"#),
        ("2024-01-01: x", r#"{"2024-01-01":"x"}"#),
        ("a: =\nb: <<\n\"<<\": {c: 1}", r#"{"<<":{"c":1},"a":"=","b":"<<"}"#),
        ("a: [b, {c: d}]\ne: !Foo {x: 1}", r#"{"a":["b",{"c":"d"}],"e":{"x":1}}"#),
        ("\u{feff}a: 1", r#"{"a":1}"#),
        ("a: |\n  b\n  c\nd: >-\n  e\n  f", r#"{"a":"b\nc\n","d":"e f"}"#),
        ("{\"a\": \"b\\u00e9\\/\",\t\"c\": [1, true, null]}", r#"{"a":"bé/","c":[1,true,null]}"#),
    ] {
        assert_eq!(json(text), expected, "{text}");
    }
}

#[test]
fn merges_follow_the_order_of_the_text() {
    for (text, expected) in [
        ("a: 1\n<<: {a: 2, b: 3}", r#"{"a":2,"b":3}"#),
        ("<<: {a: 2, b: 3}\na: 1", r#"{"a":1,"b":3}"#),
        ("<<: [{a: 1}, {a: 2, b: 3}]", r#"{"a":1,"b":3}"#),
        ("x: &x {a: 1}\nz: {<<: *x, b: *x}", r#"{"x":{"a":1},"z":{"a":1,"b":{"a":1}}}"#),
        ("!!merge <<: {a: 1}\nb: 1", r#"{"a":1,"b":1}"#),
    ] {
        assert_eq!(json(text), expected, "{text}");
    }
}

#[test]
fn documents_know_their_place() {
    let text = "# head\na: 1\n---\n# only a comment\n---\n---\nb: é\nc: 2 # tail\n...\n---\n[d]\n";
    let documents = parse(text).unwrap();
    let seen: Vec<_> = documents.iter().map(|document| (document.line, &text[document.span.clone()])).collect();
    assert_eq!(seen, [(2, "a: 1"), (7, "b: é\nc: 2 # tail"), (11, "[d]")]);
    let (key, value) = &documents[1].node.entries()[1];
    assert_eq!((key.line, key.column, value.line, value.column), (8, 1, 8, 4));
    assert_eq!(&text[value.span.clone()], "2");
}

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&json(text));
}

#[test]
fn mistakes_are_named_with_place_and_fix() {
    check("a: 1\n\tb: 2", expect!["1:4 a tab where YAML wants spaces (indent with spaces)"]);
    check("a:\n\tb: 2", expect!["2:2 a tab where YAML wants spaces (indent with spaces)"]);
    check("a:1\nb: 2", expect!["2:2 not YAML (put a space after the colon: `key: value`)"]);
    check("a: 1\nb:2\nc: 3", expect!["2:1 not YAML (put a space after the colon: `key: value`)"]);
    check("a: \"b\nc: d\n", expect!["2:1 a quoted value has no end (close the quote; it may begin on a line before)"]);
    check(
        "a: 'it's'\nc: d\n",
        expect!["1:8 text after the closing quote (write a quote inside single quotes twice: `''`)"],
    );
    check("a: b: c", expect!["1:5 a colon where no value can begin (quote a value that has `: ` in it)"]);
    check("a: @b", expect!["1:4 a value cannot begin with this character (quote the value)"]);
    check(
        "a: *.example.com",
        expect!["1:4 an alias to an anchor that is not above (quote a value that begins with `*`)"],
    );
    check("a: {b: 1", expect!["1:4 brackets do not match (check the `{`, `}`, `[` and `]`)"]);
    check("a: [b c: d", expect!["1:4 brackets do not match (check the `{`, `}`, `[` and `]`)"]);
    check(
        "a: {{ b }}",
        expect!["1:5 a key is a mapping or a sequence (a value that begins with `{` or `[` needs quotes)"],
    );
    check("a:\n  b: 1\n c: 2", expect!["3:2 not YAML (check the indentation, and the line before)"]);
    check("a: 1\nb: 2\na: 3", expect!["3:1 key `a` is here twice, first on line 1 (remove one of the two)"]);
    check("1: a\n\"1\": b", expect!["2:1 key `1` is here twice, first on line 1 (remove one of the two)"]);
    check("1: a\n0x1: b", expect!["2:1 key `1` is here twice for Kubernetes (remove one of the two, or quote both)"]);
    check(
        "~: a\n1.5: b",
        expect![[r#"
        1:1 a key is no text (quote the key)
        2:1 a key is no text (quote the key)"#]],
    );
    check("a: .nan", expect!["1:4 JSON has no such number (quote it if text is meant)"]);
    check("a: !!int x", expect!["1:10 the value is no `!!int` ()"]);
    check("<<: 1", expect!["1:5 `<<` merges mappings only ()"]);
    check("a\u{200b}: 1", expect![[r"1:1 key `a\u{200b}` has invisible characters (type the key anew)"]]);
    check("a: &a [*a]", expect!["1:8 an alias refers to the node that it is part of ()"]);
}

#[test]
fn a_broken_document_does_not_hide_the_next() {
    check(
        "a: @b\n---\nc: 1\nc: 2\n---\nd: @e\n",
        expect![[r#"
        1:4 a value cannot begin with this character (quote the value)
        4:1 key `c` is here twice, first on line 3 (remove one of the two)
        6:4 a value cannot begin with this character (quote the value)"#]],
    );
}

#[test]
fn hostile_sizes_are_refused() {
    let bomb = (1..9).fold("a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, level| {
        let below = vec![format!("*a{}", level - 1); 9].join(",");
        text + &format!("a{level}: &a{level} [{below}]\n")
    });
    assert!(json(&bomb).contains("more than 100000 values"), "{}", json(&bomb));
    let anchors = (0..60).fold("x,".repeat(9_000), |inner, level| format!("&a{level} [{inner}]"));
    assert!(json(&anchors).contains("more than 100000 values"), "{}", json(&anchors));
    assert!(json(&"@\n---\n".repeat(10_000)).lines().count() <= 100);
    assert!(json(&"[".repeat(20_000)).contains("nested"));
    assert!(json(&format!("{}{}", "[".repeat(65), "]".repeat(65))).contains("nested"));
    assert!(!json(&format!("{}{}", "[".repeat(64), "]".repeat(64))).contains("nested"));
    assert!(json(&"- - ".repeat(5_000)).contains("nested"));
    assert!(json(&format!("[{}]", "1,".repeat(100_001))).contains("more than 100000 values"));
}

#[test]
fn sops_types_as_yaml_v3() {
    use SopsScalar::{Bool, Float, Int, Null, Text, Time, TooLarge};
    let time = |text: &str| Time(text.to_owned());
    for (text, expected) in [
        ("yes", Text),
        ("on", Text),
        ("True", Bool(true)),
        ("~", Null),
        ("", Null),
        ("0644", Int(420)),
        ("0o17", Int(15)),
        ("1_000", Int(1000)),
        ("1.0", Float(1.0)),
        ("9223372036854775808", TooLarge),
        ("99999999999999999999", Float(1e20)),
        ("2024-01-01", time("2024-01-01T00:00:00Z")),
        ("2024-1-2T3:4:5.600Z", time("2024-01-02T03:04:05.6Z")),
        ("2024-01-02t03:04:05+02:00", time("2024-01-02T03:04:05+02:00")),
        ("2024-01-02 03:04:05", time("2024-01-02T03:04:05Z")),
        ("2024-01-02T03:04:05", Text),
        ("2024-02-30", Text),
        ("2024-01-02 25:00:00", Text),
        ("2024", Int(2024)),
    ] {
        assert_eq!(sops_scalar(text, true), expected, "{text}");
    }
    assert_eq!(sops_scalar("5", false), Text);
}

#[derive(serde::Deserialize, serde::Serialize, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
struct Own {
    name: String,
    layers: Vec<String>,
}

#[test]
fn own_files_are_read_into_types() {
    let own: Own = from_str("name: a\nlayers: [b, c]\n").unwrap();
    assert_eq!(from_str::<Own>(&to_string(&own).unwrap()).unwrap(), own);
    let error = |text: &str| from_str::<Own>(text).unwrap_err().to_string();
    expect!["line 2, column 1: unknown field `layer`, expected one of name, layers"]
        .assert_eq(&error("name: a\nlayer: [b]\n"));
    expect!["line 1, column 1: missing field `layers`"].assert_eq(&error("name: a\n"));
    expect!["line 2, column 1: key `name` is here twice, first on line 1"]
        .assert_eq(&error("name: a\nname: b\nlayers: []\n"));
    expect!["line 2, column 9: expected sequence start"].assert_eq(&error("name: a\nlayers: 5\n"));
}

#[test]
fn bytes_that_are_not_utf_8_are_placed() {
    assert_eq!(utf8(b"a: 1\nb: \xff").unwrap_err().line, 2);
    assert_eq!(utf8("é".as_bytes()), Ok("é"));
}

proptest::proptest! {
    #[test]
    fn parsing_never_panics(text in "[-a-c0:#&*!|>'\"%@`\\[\\]{},.~<? \\n\\t\u{feff}é]{0,60}") {
        if let Ok(documents) = parse(&text) {
            for document in documents {
                proptest::prop_assert!(text.get(document.span.clone()).is_some());
                drop(kubernetes(&document.node));
            }
        }
    }

    #[test]
    fn typing_never_panics(text in "[-+0-9a-fxoObBeE_.:TZ ]{0,24}") {
        drop(sops_scalar(&text, true));
        drop(json(&text));
    }
}
