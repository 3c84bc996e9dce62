//! Files changed without sops never open.

use expect_test::{Expect, expect};
use osier::desired::sops::{DataKey, SopsFile};
use osier::desired::value::Value;
use osier::model::cleartext::Cleartext;
use osier::model::problem::Problem;

use crate::sops::world::{CANARY, World};

const SECRET: &str = "kind: Secret\nmetadata:\n    name: a\ndata:\n    a: cAnArY1\n    b: cAnArY2\n    list: [x, y]\n";

fn world() -> (World, String) {
    let world = World::new();
    let text = world.encrypt("s.yaml", SECRET, &["--encrypted-regex", "^data$"]);
    (world, text)
}

/// The text of the line that begins with `start` (spaces aside), without its newline.
fn line<'a>(text: &'a str, start: &str) -> &'a str {
    text.lines().find(|line| line.trim_start().starts_with(start)).unwrap_or_else(|| panic!("no {start}"))
}

fn value<'a>(text: &'a str, key: &str) -> &'a str {
    line(text, key).split_once(": ").unwrap().1
}

fn said(problems: &[Problem]) -> String {
    let lines = problems.iter().map(|problem| format!("{problem}\n  {}: {}", problem.reason, problem.hint));
    let text = lines.collect::<Vec<_>>().join("\n");
    assert!(!text.contains(CANARY) && !text.contains("ENC[AES"), "{text}");
    text
}

fn check(world: &World, text: &str, expected: Expect) {
    match world.open("s.yaml", text) {
        Ok(_) => panic!("it opens:\n{text}"),
        Err(problems) => expected.assert_eq(&said(&problems)),
    }
}

#[test]
fn changes_that_only_the_mac_sees() {
    let (world, text) = world();
    let a = line(&text, "a:");
    check(
        &world,
        &text.replace(&format!("{a}\n"), ""),
        expect![[r#"
        s.yaml:22: the MAC does not fit: the file was changed without sops
          CannotDecrypt: look at `git log -p -- s.yaml`; if all is as you want it, `sops --rotate --ignore-mac -i s.yaml`"#]],
    );
    check(
        &world,
        &text.replace("name: a", "name: b"),
        expect![[r#"
        s.yaml:23: the MAC does not fit: the file was changed without sops
          CannotDecrypt: look at `git log -p -- s.yaml`; if all is as you want it, `sops --rotate --ignore-mac -i s.yaml`"#]],
    );
    check(
        &world,
        &text.replace("kind: Secret", "kind: Secret\nimmutable: true"),
        expect![[r#"
        s.yaml:24: the MAC does not fit: the file was changed without sops
          CannotDecrypt: look at `git log -p -- s.yaml`; if all is as you want it, `sops --rotate --ignore-mac -i s.yaml`"#]],
    );
    check(
        &world,
        &text.replace(value(&text, "a:"), "''"),
        expect![[r#"
        s.yaml:23: the MAC does not fit: the file was changed without sops
          CannotDecrypt: look at `git log -p -- s.yaml`; if all is as you want it, `sops --rotate --ignore-mac -i s.yaml`"#]],
    );
    check(
        &world,
        &text.replace(value(&text, "a:"), ""),
        expect![[r#"
        s.yaml:23: the MAC does not fit: the file was changed without sops
          CannotDecrypt: look at `git log -p -- s.yaml`; if all is as you want it, `sops --rotate --ignore-mac -i s.yaml`"#]],
    );
    world.sops(&["set", "s.yaml", "[\"data\"][\"a\"]", "\"cAnArY3\""]);
    let newer = std::fs::read_to_string(world.path("s.yaml")).unwrap();
    check(
        &world,
        &newer.replace(value(&newer, "a:"), value(&text, "a:")),
        expect![[r#"
        s.yaml:23: the MAC does not fit: the file was changed without sops
          CannotDecrypt: look at `git log -p -- s.yaml`; if all is as you want it, `sops --rotate --ignore-mac -i s.yaml`"#]],
    );
}

#[test]
fn values_are_bound_to_their_place_and_file() {
    let (world, text) = world();
    let (a, b) = (value(&text, "a:"), value(&text, "b:"));
    let swapped = text.replace(a, "@").replace(b, a).replace('@', b);
    check(
        &world,
        &swapped,
        expect![[r#"
        s.yaml:5:8: `data.a` does not open: it was edited, or comes from another key or file
          CannotDecrypt: take the file back with `git checkout COMMIT -- s.yaml`, then change it with `sops edit s.yaml`
        s.yaml:6:8: `data.b` does not open: it was edited, or comes from another key or file
          CannotDecrypt: take the file back with `git checkout COMMIT -- s.yaml`, then change it with `sops edit s.yaml`"#]],
    );
    let cut = text.replace(a, &a[..a.len() - 9]);
    check(
        &world,
        &cut,
        expect![[r#"
        s.yaml:5:8: `data.a` is not a whole `ENC[…]` value
          CannotDecrypt: take the file back with `git checkout COMMIT -- s.yaml`, then change it with `sops edit s.yaml`"#]],
    );
    let other = world.encrypt("other.yaml", SECRET, &["--encrypted-regex", "^data$"]);
    check(
        &world,
        &text.replace(a, value(&other, "a:")),
        expect![[r#"
        s.yaml:5:8: `data.a` does not open: it was edited, or comes from another key or file
          CannotDecrypt: take the file back with `git checkout COMMIT -- s.yaml`, then change it with `sops edit s.yaml`"#]],
    );
    check(
        &world,
        &text.replace(a, &a.replace("type:str", "type:int")),
        expect![[r#"
        s.yaml:5:8: `data.a` holds what cannot be applied: not UTF-8, or a number out of range
          CannotDecrypt: take the file back with `git checkout COMMIT -- s.yaml`, then change it with `sops edit s.yaml`"#]],
    );
    let block =
        |text: &str| text[text.find("        - enc").unwrap()..text.find("    lastmodified").unwrap()].to_owned();
    check(
        &world,
        &text.replace(&block(&text), &block(&other)),
        expect![[r#"
        s.yaml:11: no value opens with the data key in `sops.age`
          CannotDecrypt: take the file back with `git checkout COMMIT -- s.yaml`, then change it with `sops edit s.yaml`"#]],
    );
}

#[test]
fn elements_of_a_list_share_a_place_but_not_the_mac() {
    let (world, text) = world();
    let items: Vec<_> = text.lines().filter(|line| line.trim_start().starts_with("- ENC")).collect();
    let swapped = text.replace(items[0], "@").replace(items[1], items[0]).replace('@', items[1]);
    check(
        &world,
        &swapped,
        expect![[r#"
        s.yaml:23: the MAC does not fit: the file was changed without sops
          CannotDecrypt: look at `git log -p -- s.yaml`; if all is as you want it, `sops --rotate --ignore-mac -i s.yaml`"#]],
    );
    check(
        &world,
        &text.replace(items[0], &items[0].replace("type:str", "type:comment")),
        expect![[r#"
        s.yaml:23: the MAC does not fit: the file was changed without sops
          CannotDecrypt: look at `git log -p -- s.yaml`; if all is as you want it, `sops --rotate --ignore-mac -i s.yaml`"#]],
    );
}

#[test]
fn the_block_cannot_be_edited() {
    let (world, text) = world();
    check(
        &world,
        &text[..text.find("sops:").unwrap()],
        expect![[r#"
        s.yaml:5: the values are encrypted but the `sops` block is missing
          ProblemsFound: take the file back with `git checkout COMMIT -- s.yaml`, then change it with `sops edit s.yaml`"#]],
    );
    check(
        &world,
        &text.replace(line(&text, "mac:"), ""),
        expect![[r#"
        s.yaml:11:5: `sops.mac` is missing
          ProblemsFound: take the file back with `git checkout COMMIT -- s.yaml`, then change it with `sops edit s.yaml`"#]],
    );
    check(
        &world,
        &text.replace(value(&text, "mac:"), "''"),
        expect![[r#"
        s.yaml:11:5: `sops.mac` is missing
          ProblemsFound: take the file back with `git checkout COMMIT -- s.yaml`, then change it with `sops edit s.yaml`"#]],
    );
    check(
        &world,
        &text.replace("lastmodified: \"2", "lastmodified: \"3"),
        expect![[r#"
        s.yaml:23: `sops.mac` does not open: it or `sops.lastmodified` was edited
          CannotDecrypt: take the file back with `git checkout COMMIT -- s.yaml`, then change it with `sops edit s.yaml`"#]],
    );
    check(
        &world,
        &text.replace(value(&text, "mac:"), value(&text, "a:")),
        expect![[r#"
        s.yaml:23: `sops.mac` does not open: it or `sops.lastmodified` was edited
          CannotDecrypt: take the file back with `git checkout COMMIT -- s.yaml`, then change it with `sops edit s.yaml`"#]],
    );
}

#[test]
fn the_rule_and_the_flags_cannot_be_edited() {
    let (world, text) = world();
    check(
        &world,
        &text.replace("^data$", "^dota$"),
        expect![[r#"
        s.yaml:5:8: `data.a` is encrypted, but the file's own rule leaves it in clear
          ProblemsFound: take the file back with `git checkout COMMIT -- s.yaml`, then change it with `sops edit s.yaml`
        s.yaml:6:8: `data.b` is encrypted, but the file's own rule leaves it in clear
          ProblemsFound: take the file back with `git checkout COMMIT -- s.yaml`, then change it with `sops edit s.yaml`
        s.yaml:8:11: `data.list.0` is encrypted, but the file's own rule leaves it in clear
          ProblemsFound: take the file back with `git checkout COMMIT -- s.yaml`, then change it with `sops edit s.yaml`
        s.yaml:9:11: `data.list.1` is encrypted, but the file's own rule leaves it in clear
          ProblemsFound: take the file back with `git checkout COMMIT -- s.yaml`, then change it with `sops edit s.yaml`"#]],
    );
    check(
        &world,
        &text.replace("^data$", "^(data"),
        expect![[r#"
        s.yaml:21:22: the rule's regular expression cannot be read
          ProblemsFound: take the file back with `git checkout COMMIT -- s.yaml`, then change it with `sops edit s.yaml`"#]],
    );
    check(
        &world,
        &text.replace("version:", "encrypted_suffix: x\n    version:"),
        expect![[r#"
        s.yaml:21:22: `sops.encrypted_regex` is a second rule for what is encrypted
          ProblemsFound: take the file back with `git checkout COMMIT -- s.yaml`, then change it with `sops edit s.yaml`"#]],
    );
    check(
        &world,
        &text.replace("version:", "mac_only_encrypted: true\n    version:"),
        expect![[r#"
        s.yaml:23: the MAC does not fit: the file was changed without sops
          CannotDecrypt: look at `git log -p -- s.yaml`; if all is as you want it, `sops --rotate --ignore-mac -i s.yaml`"#]],
    );
    check(
        &world,
        &text.replace("version:", "mac_only_encrypted: maybe\n    version:"),
        expect![[r#"
        s.yaml:24:25: `sops.mac_only_encrypted` is neither true nor false
          ProblemsFound: take the file back with `git checkout COMMIT -- s.yaml`, then change it with `sops edit s.yaml`"#]],
    );
    check(
        &world,
        &text.replace("version:", "key_groups: [{age: []}]\n    version:"),
        expect![[r#"
        s.yaml:24:18: key groups (Shamir) are not supported yet
          CannotDecrypt: use one group of age recipients: `sops updatekeys s.yaml` after changing `.sops.yaml`"#]],
    );
}

#[test]
fn what_sops_would_not_write_is_refused() {
    let (world, text) = world();
    let a = value(&text, "a:");
    check(
        &world,
        &text.replace(a, "in clear"),
        expect![[r#"
        s.yaml:5:8: `data.a` is not encrypted, but the file's own rule wants it to be
          ProblemsFound: take the file back with `git checkout COMMIT -- s.yaml`, then change it with `sops edit s.yaml`"#]],
    );
    check(
        &world,
        &text.replace(a, "5"),
        expect![[r#"
        s.yaml:5:8: `data.a` is not encrypted, but the file's own rule wants it to be
          ProblemsFound: take the file back with `git checkout COMMIT -- s.yaml`, then change it with `sops edit s.yaml`"#]],
    );
    check(
        &world,
        &text.replace("name: a", &format!("name: {a}")),
        expect![[r#"
        s.yaml:3:11: `metadata.name` is encrypted, but the file's own rule leaves it in clear
          ProblemsFound: take the file back with `git checkout COMMIT -- s.yaml`, then change it with `sops edit s.yaml`"#]],
    );
    check(
        &world,
        &text.replace("name: a", "name: &n a\n    x: *n"),
        expect![[r#"
        s.yaml:4:8: an alias or tag in an encrypted file
          ProblemsFound: take the file back with `git checkout COMMIT -- s.yaml`, then change it with `sops edit s.yaml`"#]],
    );
    check(
        &world,
        &text.replace("name: a", "name: !!str a\n    <<: {b: c}\n    5: x"),
        expect![[r#"
        s.yaml:3:17: an alias or tag in an encrypted file
          ProblemsFound: take the file back with `git checkout COMMIT -- s.yaml`, then change it with `sops edit s.yaml`
        s.yaml:4:5: an alias, tag or merge key in an encrypted file
          ProblemsFound: take the file back with `git checkout COMMIT -- s.yaml`, then change it with `sops edit s.yaml`
        s.yaml:5:5: key `5` is no string
          ProblemsFound: take the file back with `git checkout COMMIT -- s.yaml`, then change it with `sops edit s.yaml`"#]],
    );
    check(
        &world,
        &text.replace("name: a", "name: 9223372036854775808"),
        expect![[r#"
        s.yaml:3:11: `metadata.name` is over 64 bits signed
          ProblemsFound: take the file back with `git checkout COMMIT -- s.yaml`, then change it with `sops edit s.yaml`"#]],
    );
}

#[test]
fn what_no_reader_could_hold_is_refused() {
    let (world, text) = world();
    let deep =
        (0..60).fold(format!("[{}]", "x,".repeat(20_000)), |inner, _| format!("{{{}: {inner}}}", "k".repeat(1000)));
    check(
        &world,
        &format!("deep: {deep}\n{text}"),
        expect![[r#"
        s.yaml:1:62318: too many values under too long names
          ProblemsFound: take the file back with `git checkout COMMIT -- s.yaml`, then change it with `sops edit s.yaml`"#]],
    );
    check(
        &world,
        &format!("{text}sops: {{}}\n"),
        expect![[r#"
        s.yaml:25:1: key `sops` is here twice, first on line 10
          ProblemsFound: remove one of the two"#]],
    );
    check(
        &world,
        &format!("{text}---\n- a\n"),
        expect![[r#"
        s.yaml:26:1: sops wants a mapping here
          ProblemsFound: take the file back with `git checkout COMMIT -- s.yaml`, then change it with `sops edit s.yaml`"#]],
    );
}

#[test]
fn mac_only_encrypted_protects_no_cleartext_and_says_so() {
    let world = World::new();
    let text = world.encrypt("s.yaml", SECRET, &["--encrypted-regex", "^data$", "--mac-only-encrypted"]);
    let file = SopsFile::parse("s.yaml", text.replace("name: a", "name: b").as_bytes()).unwrap();
    assert!(file.mac_only_encrypted());
    assert!(file.open(&world.data_key(&file)).is_ok());
    check(
        &world,
        &text.replace(&format!("{}\n", line(&text, "a:")), ""),
        expect![[r#"
        s.yaml:22: the MAC does not fit: the file was changed without sops
          CannotDecrypt: look at `git log -p -- s.yaml`; if all is as you want it, `sops --rotate --ignore-mac -i s.yaml`"#]],
    );
    check(
        &world,
        &text.replace("mac_only_encrypted: true", "mac_only_encrypted: false"),
        expect![[r#"
        s.yaml:23: the MAC does not fit: the file was changed without sops
          CannotDecrypt: look at `git log -p -- s.yaml`; if all is as you want it, `sops --rotate --ignore-mac -i s.yaml`"#]],
    );
}

#[test]
fn the_command_that_the_hint_names_mends_the_mac() {
    let (world, text) = world();
    world.write("s.yaml", &text.replace("name: a", "name: b"));
    world.sops(&["--rotate", "--ignore-mac", "-i", "s.yaml"]);
    let mended = std::fs::read_to_string(world.path("s.yaml")).unwrap();
    assert_eq!(world.open("s.yaml", &mended).unwrap()[0].get(&["metadata", "name"]).and_then(Value::text), Some("b"));
}

#[test]
fn json_is_checked_too() {
    let world = World::new();
    let text = world.encrypt(
        "s.json",
        "{\"kind\": \"Secret\", \"data\": {\"a\": \"cAnArY\"}}",
        &["--encrypted-regex", "^data$"],
    );
    let problems = |text: &str| said(&world.open("s.json", text).unwrap_err());
    expect![[r#"
        s.json:15: the MAC does not fit: the file was changed without sops
          CannotDecrypt: look at `git log -p -- s.json`; if all is as you want it, `sops --rotate --ignore-mac -i s.json`"#]].assert_eq(&problems(&text.replace("\"Secret\"", "\"ConfigMap\"")));
    expect![[r#"
        s.json:2:10: not JSON
          ProblemsFound: take the file back with `git checkout COMMIT -- s.json`, then change it with `sops edit s.json`"#]].assert_eq(&problems(&text.replace("\"Secret\"", "Secret")));
    expect![[r#"
        s.json:3:2: key `data` is here twice, first on line 2
          ProblemsFound: remove one of the two"#]]
    .assert_eq(&problems(&text.replace("\"kind\"", "\"data\"")));
}

/// One world for all runs: programs are slow to start.
#[test]
fn random_damage_never_panics_nor_gives_other_secrets() {
    use proptest::test_runner::{Config, TestRunner};
    let (world, text) = world();
    let file = SopsFile::parse("s.yaml", text.as_bytes()).unwrap();
    let key = world.data_key(&file);
    let strategy = (0..text.len(), 0..40_usize, "[-:\\[\\]{}a-z0-9 \\n&*!'\"#=é]{0,6}");
    let mut runner = TestRunner::new(Config { cases: 2_000, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&strategy, |(start, length, patch)| {
        let end = (start + length).min(text.len());
        let damaged = format!("{}{patch}{}", &text[..start], &text[end..]);
        let Ok(file) = SopsFile::parse("s.yaml", damaged.as_bytes()) else { return Ok(()) };
        if let Ok(values) = file.open(&key) {
            let json = serde_json::Value::Array(values.iter().map(Value::to_json).collect()).to_string();
            for secret in ["cAnArY1", "cAnArY2"] {
                proptest::prop_assert!(json.contains(secret), "{damaged}");
            }
        }
        Ok(())
    });
    outcome.unwrap();
    let wrong = DataKey::new(Cleartext::new(vec![1; 32])).unwrap();
    expect![[r#"
        s.yaml:11: no value opens with the data key in `sops.age`
          CannotDecrypt: take the file back with `git checkout COMMIT -- s.yaml`, then change it with `sops edit s.yaml`"#]].assert_eq(&said(&file.open(&wrong).unwrap_err()));
}
