//! Identities of classes and of people.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fmt::Write;

use expect_test::expect;
use osier::desired::sops::SopsFile;
use osier::keys::{Error, Keyring, generate};

use crate::sops::world::World;

fn said(errors: &[Error], world: &World) -> String {
    let mut text = String::new();
    for error in errors {
        writeln!(text, "{error}\n  {}: {}", error.reason(), error.hint().unwrap_or_default()).unwrap();
        if let Some(cause) = error.source() {
            writeln!(text, "  {cause}").unwrap();
        }
    }
    assert!(!text.contains("AGE-SECRET-KEY-1Q"), "{text}");
    let text = text.replace(world.path("").to_str().unwrap(), "/");
    text.replace(&world.staging, "STAGING").replace(&world.production, "PRODUCTION").trim_end().to_owned()
}

fn file(world: &World, name: &str, arguments: &[&str]) -> SopsFile {
    SopsFile::parse(name, world.encrypt(name, "a: b\n", arguments).as_bytes()).unwrap()
}

#[test]
fn a_class_opens_only_what_is_for_it() {
    let world = World::new();
    let staging = file(&world, "a.yaml", &[]);
    let keyring = world.keyring();
    assert_eq!(keyring.classes().into_iter().collect::<Vec<_>>(), ["production", "staging"]);
    assert_eq!(keyring.unwraps(), 0);
    assert!(keyring.unwrap(Some("staging"), &staging).is_ok());
    assert!(keyring.unwrap(None, &staging).is_ok());
    assert_eq!(keyring.unwraps(), 2);
    let error = keyring.unwrap(Some("production"), &staging).unwrap_err();
    expect![[r#"
        no identity at hand opens it: it is encrypted for `STAGING`, and we are `PRODUCTION`
          CannotDecrypt: add our recipient to `.sops.yaml`; who can open the file runs `sops updatekeys a.yaml`"#]]
    .assert_eq(&said(&[error], &world));
    let error = keyring.unwrap(Some("branch"), &staging).unwrap_err();
    expect![[r#"
        no identity of key class `branch` is at hand: it is encrypted for `STAGING`
          CannotDecrypt: put it into `branch.txt` of the directory of `--keys`, or your own where sops finds it, such as $SOPS_AGE_KEY_FILE"#]]
    .assert_eq(&said(&[error], &world));
    let prints = [None, Some("staging"), Some("production")].map(|class| keyring.fingerprint(class));
    assert!(prints[0] != prints[1] && prints[1] != prints[2], "{prints:?}");
    assert_eq!(world.keyring().fingerprint(Some("staging")), prints[1]);
}

#[test]
fn stanzas_that_cannot_be_used_are_named() {
    let world = World::new();
    let text = world.encrypt("a.yaml", "a: b\n", &[]);
    let start = text.find("YWdl").unwrap();
    let damaged = format!("{}AAAA{}", &text[..start + 80], &text[start + 84..]);
    let errors: Vec<Error> = [
        damaged,
        text.replace("YWdl", "AAAA"),
        text.replace(&world.staging, "age1pq1xyz").replace("X25519", "X"),
        text.replace(&text[text.find("        - enc").unwrap()..text.find("    lastmodified").unwrap()], "")
            .replace("    age:\n", "    age: []\n    pgp: [{fp: x}]\n"),
    ]
    .iter()
    .map(|text| {
        let file = SopsFile::parse("a.yaml", text.as_bytes()).unwrap();
        world.keyring().unwrap(Some("production"), &file).unwrap_err()
    })
    .collect();
    expect![[r#"
        the data key for `STAGING` is damaged
          CannotDecrypt: who can open the file runs `sops updatekeys a.yaml` or `sops rotate -i a.yaml`
        the data key for `STAGING` is damaged
          CannotDecrypt: who can open the file runs `sops updatekeys a.yaml` or `sops rotate -i a.yaml`
        no identity at hand opens it: it is encrypted for `age1pq1xyz`, and we are `PRODUCTION`
          CannotDecrypt: post-quantum recipients (`age1pq1…`) are not supported yet: add an X25519 one, `sops updatekeys a.yaml`
        no identity at hand opens it: it is encrypted for `pgp`, and we are `PRODUCTION`
          CannotDecrypt: add our recipient to `.sops.yaml`; who can open the file runs `sops updatekeys a.yaml`"#]].assert_eq(&said(&errors, &world));
}

#[test]
fn data_keys_behind_a_passphrase_are_refused_before_any_work() {
    let world = World::new();
    let header =
        format!("age-encryption.org/v1\n-> scrypt {} 20\n{}\n--- {}\n", "A".repeat(22), "A".repeat(43), "A".repeat(43));
    let content = data_encoding::BASE64.encode(&[header.as_bytes(), &[0; 64]].concat());
    let lines: String =
        content.as_bytes().chunks(64).map(|line| format!("{}\n", str::from_utf8(line).unwrap())).collect();
    let armored = format!("-----BEGIN AGE ENCRYPTED FILE-----\n{lines}-----END AGE ENCRYPTED FILE-----\n");
    let block = serde_json::json!({"age": [{"recipient": "x", "enc": armored}], "mac": "x", "lastmodified": "x"});
    let file = SopsFile::parse("a.yaml", format!("sops: {block}").as_bytes()).unwrap();
    let error = world.keyring().unwrap(Some("staging"), &file).unwrap_err();
    assert!(matches!(error, Error::Scrypt { .. }), "{error}");
}

#[test]
fn a_stanza_under_a_wrong_name_is_still_found() {
    let world = World::new();
    let text = world.encrypt("a.yaml", "a: b\n", &[]).replace(&world.staging, &world.production);
    let file = SopsFile::parse("a.yaml", text.as_bytes()).unwrap();
    assert!(world.keyring().unwrap(Some("staging"), &file).is_ok());
}

#[test]
fn files_that_hold_no_identity_are_named_and_the_others_count() {
    let world = World::new();
    let staging = std::fs::read_to_string(world.path("keys/staging.txt")).unwrap();
    world.write("keys/a-empty.txt", "# nothing\n");
    world.write("keys/b-misspelt.txt", &staging.replace("AGE-SECRET-KEY-1", "AGE-SECRET-KEY-1Q"));
    world.write("keys/c-pq.txt", "AGE-SECRET-KEY-PQ-1XYZ\n");
    world.write("keys/d-plugin.txt", "AGE-PLUGIN-YUBIKEY-1XYZ\n");
    world.write("keys/e-ssh.txt", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n");
    std::fs::write(world.path("keys/f-binary.txt"), b"\xff\xfe").unwrap();
    world.write("keys/README", "no class");
    world.write("keys/.hidden.txt", "no class");
    std::fs::create_dir(world.path("keys/..data")).unwrap();
    world.write(
        "keys/two.txt",
        &format!("{staging}\n{}", std::fs::read_to_string(world.path("ssh/id_ed25519")).unwrap()),
    );
    let (keyring, errors) = Keyring::from_directory(&world.path("keys"));
    expect![[r#"
        no identity in `/keys/a-empty.txt`
          CannotDecrypt: put one `AGE-SECRET-KEY-1…` a line there, or an OpenSSH private key of type ed25519
        line 3 of `/keys/b-misspelt.txt` is no identity
          CannotDecrypt: put one `AGE-SECRET-KEY-1…` a line there, or an OpenSSH private key of type ed25519
        `/keys/c-pq.txt` holds an identity that is not supported: post-quantum (`age1pq1…`)
          CannotDecrypt: use an X25519 identity (`age-keygen`) or an ed25519 SSH key
        `/keys/d-plugin.txt` holds an identity that is not supported: a plugin
          CannotDecrypt: use an X25519 identity (`age-keygen`) or an ed25519 SSH key
        line 1 of `/keys/e-ssh.txt` is no identity
          CannotDecrypt: put one `AGE-SECRET-KEY-1…` a line there, or an OpenSSH private key of type ed25519
        cannot read identities from `/keys/f-binary.txt`
          CannotDecrypt: 
          stream did not contain valid UTF-8"#]]
    .assert_eq(&said(&errors, &world));
    assert_eq!(keyring.classes().into_iter().collect::<Vec<_>>(), ["production", "staging", "two"]);
    assert_eq!(keyring.recipients(Some("two")).len(), 2);
    assert!(!format!("{keyring:?}").contains("SECRET"));
    let (keyring, errors) = Keyring::from_directory(&world.path("nowhere"));
    expect![[r#"
        cannot read identities from `/nowhere`
          CannotDecrypt: 
          No such file or directory (os error 2)"#]]
    .assert_eq(&said(&errors, &world));
    assert!(keyring.classes().is_empty());
}

#[test]
fn a_person_has_the_identities_that_sops_finds() {
    let world = World::new();
    let read = |path: &str| std::fs::read_to_string(world.path(path)).unwrap();
    let path = |path: &str| world.path(path).to_str().unwrap().to_owned();
    std::fs::create_dir_all(world.path("config/sops/age")).unwrap();
    world.write("config/sops/age/keys.txt", &read("keys/staging.txt"));
    std::fs::create_dir_all(world.path("home/.ssh")).unwrap();
    world.write("home/.ssh/id_ed25519", &read("ssh/id_ed25519"));
    let ssh = world.ssh.rsplit_once(" a comment").unwrap().0.to_owned();
    for (name, value, recipient) in [
        ("SOPS_AGE_KEY", format!("{} ", read("keys/staging.txt").lines().last().unwrap()), &world.staging),
        ("SOPS_AGE_KEY_FILE", path("keys/production.txt"), &world.production),
        ("SOPS_AGE_KEY_CMD", format!("cat {}", path("keys/production.txt")), &world.production),
        ("SOPS_AGE_SSH_PRIVATE_KEY_FILE", path("ssh/id_ed25519"), &ssh),
        ("SOPS_AGE_SSH_PRIVATE_KEY_CMD", format!("cat {}", path("ssh/id_ed25519")), &ssh),
        ("XDG_CONFIG_HOME", path("config"), &world.staging),
        ("HOME", path("home"), &ssh),
    ] {
        let environment = BTreeMap::from([(name, value)]);
        let (keyring, errors) = Keyring::from_person(|name| environment.get(name).cloned());
        assert!(errors.is_empty(), "{name}: {errors:?}");
        assert_eq!(keyring.recipients(None).into_iter().collect::<Vec<_>>(), [recipient], "{name}");
        assert_eq!(keyring.recipients(Some("any")).len(), 1, "{name}");
    }
    let wrong = BTreeMap::from([("SOPS_AGE_KEY_FILE", path("none.txt")), ("SOPS_AGE_KEY_CMD", "false".to_owned())]);
    let (_, errors) = Keyring::from_person(|name| wrong.get(name).cloned());
    expect![[r#"
        cannot read identities from `/none.txt`
          CannotDecrypt: 
          No such file or directory (os error 2)
        the command of `SOPS_AGE_KEY_CMD` did not print identities
          CannotDecrypt:"#]]
    .assert_eq(&said(&errors, &world));
}

#[test]
fn ssh_keys_with_a_passphrase_and_rsa_are_refused() {
    let world = World::new();
    for (name, arguments) in [("a", &["-t", "ed25519", "-N", "pass phrase"]), ("b", &["-t", "rsa", "-N", ""])] {
        let file = world.path(&format!("keys/{name}.txt"));
        let status = std::process::Command::new("ssh-keygen").arg("-q").args(arguments).arg("-f").arg(file).status();
        assert!(status.unwrap().success());
    }
    let (_, errors) = Keyring::from_directory(&world.path("keys"));
    expect![[r#"
        the SSH key in `/keys/a.txt` has a passphrase
          CannotDecrypt: use an age identity: `age-keygen`, then `sops updatekeys FILE`
        `/keys/b.txt` holds an identity that is not supported: an SSH key of another type than ed25519
          CannotDecrypt: use an X25519 identity (`age-keygen`) or an ed25519 SSH key"#]]
    .assert_eq(&said(&errors, &world));
}

#[test]
fn generated_identities_open_what_real_sops_encrypts_for_them() {
    let world = World::new();
    let (identity, recipient) = generate();
    std::fs::write(world.path("keys/new.txt"), identity.expose()).unwrap();
    let file = file(&world, "a.yaml", &["--age", &recipient]);
    assert!(world.keyring().unwrap(Some("new"), &file).is_ok());
}
