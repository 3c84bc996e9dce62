//! SSH: who may be believed, and who we are.

use std::fs;
use std::process::Command;

use osier::git::fetch::Look;

use super::sshd::{Sshd, keygen};
use super::world::{World, known, said, unknown};

#[tokio::test]
async fn a_branch_is_fetched_with_a_key_and_its_continuation_too() {
    let (world, sshd) = (World::new(), Sshd::start());
    let first = world.push("main", b"1");
    let secret = [("identity", sshd.read("client")), ("known_hosts", sshd.known_hosts("ed25519"))];
    let secret = secret.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mirror = world.mirror(&sshd.url(&world.path("shop.git")), &secret).await;
    assert_eq!(known(&mirror, None).await, first);
    let branches = ["main".to_owned()];
    assert_eq!(mirror.look(&branches).await, Ok(Look::Unchanged));
    let second = world.push("main", &vec![7; 1 << 20]);
    assert_eq!(mirror.look(&branches).await, Ok(Look::Changed));
    assert_eq!(known(&mirror, Some(first)).await, second);
    assert_eq!(known(&mirror, Some(second)).await, second);
    assert_eq!(mirror.traffic().connections, 5, "one a look, one a fetch");
}

#[tokio::test]
async fn each_type_of_host_key_and_each_form_of_a_line_is_enough() {
    let (world, sshd) = (World::new(), Sshd::start());
    let tip = world.push("main", b"1");
    let hashed = sshd.path("hashed");
    fs::write(&hashed, sshd.known_hosts("ecdsa")).unwrap();
    assert!(Command::new("ssh-keygen").arg("-Hqf").arg(&hashed).status().unwrap().success());
    let other = format!("# others\nother.example.com {}", sshd.read("client.pub"));
    for known_hosts in [
        sshd.known_hosts("ed25519"),
        sshd.known_hosts("ecdsa"),
        sshd.known_hosts("rsa"),
        other + &sshd.known_hosts("rsa"),
        sshd.read("hashed"),
    ] {
        let secret = [("identity", &*sshd.read("client")), ("known_hosts", &known_hosts)];
        let mirror = world.mirror(&sshd.url(&world.path("shop.git")), &secret).await;
        assert_eq!(known(&mirror, None).await, tip, "{known_hosts}");
    }
}

#[tokio::test]
async fn each_type_of_private_key_is_taken_and_its_passphrase_too() {
    let (world, sshd) = (World::new(), Sshd::start());
    let tip = world.push("main", b"1");
    for (kind, form) in [("ed25519", "RFC4716"), ("ecdsa", "RFC4716"), ("rsa", "RFC4716"), ("rsa", "PEM")] {
        for passphrase in ["", "p4ss-c4nary"] {
            let name = format!("{kind}-{form}-{}", passphrase.len());
            keygen(&sshd.path(&name), kind, passphrase);
            let mut convert = Command::new("ssh-keygen");
            convert
                .args(["-q", "-p", "-a", "4", "-P", passphrase, "-N", passphrase, "-m", form, "-f"])
                .arg(sshd.path(&name));
            assert!(convert.stdout(std::process::Stdio::null()).status().unwrap().success());
            fs::write(sshd.path("authorized"), sshd.read(&format!("{name}.pub"))).unwrap();
            let (key, known_hosts) = (sshd.read(&name), sshd.known_hosts("ed25519"));
            let mut secret = vec![("identity", &*key), ("known_hosts", &known_hosts)];
            if !passphrase.is_empty() {
                secret.push(("password", passphrase));
            }
            let mirror = world.mirror(&sshd.url(&world.path("shop.git")), &secret).await;
            assert_eq!(known(&mirror, None).await, tip, "{name}");
        }
    }
}

/// What is wrong, what is said and done about it. Nothing of it is asked of the server's git.
#[tokio::test]
async fn doubts_about_the_host_or_the_key_end_the_visit() {
    let (world, sshd) = (World::new(), Sshd::start());
    let tip = world.push("main", b"1");
    let url = sshd.url(&world.path("shop.git"));
    let (client, right) = (sshd.read("client"), sshd.known_hosts("ed25519"));
    let mirror = world.mirror(&url, &[("identity", &client), ("known_hosts", &right)]).await;
    known(&mirror, None).await;
    keygen(&sshd.path("stranger"), "ed25519", "");
    keygen(&sshd.path("locked"), "ed25519", "p4ss-c4nary");
    let (stranger, locked) = (sshd.read("stranger"), sshd.read("locked"));
    let wrong = right.replace(&sshd.read("host_ed25519.pub"), &sshd.read("stranger.pub"));
    let elsewhere = right.replace(&format!(":{}", sshd.port()), ":2");
    let (revoked, authority) = (format!("@revoked {right}"), format!("@cert-authority {right}"));
    let offered = sshd.fingerprint("ed25519");
    for (secret, expected, hint) in [
        (
            &[("identity", &*client), ("known_hosts", &*wrong)][..],
            format!("offered the key {offered}, which is none of"),
            "operator",
        ),
        (&[("identity", &client), ("known_hosts", &elsewhere)], format!("offered the key {offered}"), "ssh-keyscan"),
        (&[("identity", &client)], format!("offered the key {offered}"), "ssh-keyscan"),
        (
            &[("identity", &client), ("known_hosts", &revoked)],
            format!("{offered}, which `known_hosts` revokes"),
            "do not trust",
        ),
        (
            &[("identity", &client), ("known_hosts", &authority)],
            format!("@cert-authority` for `[127.0.0.1]:{}`, which offered the key {offered}", sshd.port()),
            "own key",
        ),
        (&[("identity", &stranger), ("known_hosts", &right)], "refused the private key".into(), "public half"),
        (&[("identity", &locked), ("known_hosts", &right)], "cannot be opened".into(), "passphrase"),
        (
            &[("identity", &locked), ("known_hosts", &right), ("password", "wr0ng-c4nary")],
            "cannot be opened".into(),
            "passphrase",
        ),
        (&[("identity", "no key"), ("known_hosts", &right)], "cannot be opened".into(), "ssh-keygen"),
        (&[("known_hosts", &right)], "there is no private key".into(), "ssh-agent"),
    ] {
        let mirror = world.mirror(&url, secret).await;
        let text = said(&unknown(&mirror, Some(tip)).await);
        let parts = ["RepositoryUnreachable: could not read the remote", &expected, hint];
        assert!(parts.iter().all(|part| text.contains(part)), "{expected}: {text}");
        assert!(!text.contains("c4nary") && !text.contains("PRIVATE"), "{text}");
        assert_eq!(world.kept(), format!("refs/heads/main {tip}"));
    }
}

#[tokio::test]
async fn a_host_that_changed_its_key_is_noticed() {
    let (world, sshd) = (World::new(), Sshd::start());
    let tip = world.push("main", b"1");
    let (client, right) = (sshd.read("client"), sshd.known_hosts("ed25519"));
    let mirror =
        world.mirror(&sshd.url(&world.path("shop.git")), &[("identity", &client), ("known_hosts", &right)]).await;
    known(&mirror, None).await;
    sshd.configure(&["rsa"]);
    let text = said(&unknown(&mirror, Some(tip)).await);
    assert!(text.contains(&sshd.fingerprint("rsa")) && text.contains("none of those in `known_hosts`"), "{text}");
    sshd.configure(&["rsa", "ed25519"]);
    assert_eq!(known(&mirror, Some(tip)).await, tip);
}

#[tokio::test]
async fn a_key_that_was_withdrawn_and_a_path_that_is_wrong_are_told_apart() {
    let (world, sshd) = (World::new(), Sshd::start());
    let tip = world.push("main", b"1");
    let (client, right) = (sshd.read("client"), sshd.known_hosts("ed25519"));
    let secret = [("identity", &*client), ("known_hosts", &*right)];
    let nowhere = world.mirror(&sshd.url(&world.path("it's no$(id)where.git")).replace(' ', "-"), &secret).await;
    let text = said(&unknown(&nowhere, None).await);
    assert!(text.contains("it's-no$(id)where.git") && text.contains("correct the path"), "{text}");
    let mirror = world.mirror(&sshd.url(&world.path("shop.git")), &secret).await;
    known(&mirror, None).await;
    fs::write(sshd.path("authorized"), "").unwrap();
    let text = said(&unknown(&mirror, Some(tip)).await);
    assert!(text.contains("the key was withdrawn"), "{text}");
}
