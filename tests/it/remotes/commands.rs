//! The command line with remotes that are elsewhere: credentials from the Secret, and none of them anywhere else.

use std::fs;
use std::process::Output;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use osier::sandbox::faults::{Action, Fault, Match};
use serde_json::json;

use crate::remotes::sshd::{Sshd, keygen};
use crate::remotes::world::noise;
use crate::scenarios::script::File;
use crate::scenarios::world::World;
use crate::support::server::Server;
use crate::support::web::{Manner, Web};

/// A clone with one environment, pushed, and offered as `shop.git` beside it.
async fn world() -> World {
    let mut world = World::new(Server::sandbox().await).await;
    let file = |path: &str, content: &str| File {
        path: path.to_owned(),
        content: content.to_owned(),
        encrypted_for: Vec::new(),
    };
    let namespace = world.name("shop-staging");
    let config = format!(
        "apiVersion: osier.dev/v1alpha1\nkind: Config\nenvironments:\n  staging: {{namespace: {namespace}, layers: [base], keys: staging}}\n"
    );
    world.write(&file("osier.yaml", &config));
    world.write(&file("base/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {K: v}\n"));
    world.push("the first state").await;
    std::os::unix::fs::symlink(world.path("clone/.git"), world.path("shop.git")).unwrap();
    world
}

/// Runs a line; the exit code and what it said, searched for secrets.
async fn run(world: &mut World, line: &str) -> (i32, String) {
    let Output { status, stdout, stderr } = world.run(line).await;
    let text = [stdout, stderr].concat();
    world.canary.scan(line, &text);
    assert!(!text.windows(11).any(|word| word == b"PRIVATE KEY"), "{line}");
    (status.code().unwrap(), String::from_utf8(text).unwrap())
}

/// Makes the Secret `remote` of these entries, in the place of what it was.
async fn secret(world: &mut World, entries: &[(&str, &str)]) {
    let path = format!("/api/v1/namespaces/{}/secrets", world.name("shop"));
    world.ask(Method::DELETE, &format!("{path}/remote"), None).await;
    let data = entries.iter().map(|(entry, value)| ((*entry).to_owned(), json!(STANDARD.encode(value))));
    let data: serde_json::Map<_, _> = data.collect();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "remote"}, "data": data});
    let (status, said) = world.ask(Method::POST, &path, Some(&secret)).await;
    assert_eq!(status, 201, "{said}");
    for (_, value) in entries {
        world.canary.watch_for(value);
    }
}

async fn patch(world: &mut World, spec: &str) {
    let repository = world.name("shop");
    let line = format!("kubectl patch repository {repository} --type merge -p '{{\"spec\":{spec}}}' -o name");
    let (code, said) = run(world, &line).await;
    assert_eq!(code, 0, "{said}");
}

/// `osier apply staging` says all of `expected` and exits with `code`.
async fn apply(world: &mut World, code: i32, expected: &[&str]) {
    let line = format!("osier apply staging --repository {}", world.name("shop"));
    let (exit, said) = run(world, &line).await;
    let said: String = said.lines().filter(|line| !line.starts_with("20")).map(|line| format!("{line}\n")).collect();
    assert!(
        exit == code && expected.iter().all(|part| said.contains(part)),
        "{exit}, not {code} {expected:?}:\n{said}"
    );
}

const APPLIED: &str = "✓ staging equals";
const UNREACHABLE: &str = "error: cannot go on from what the git remote says\ncause: could not read the remote";

#[tokio::test(flavor = "multi_thread")]
async fn apply_reads_the_credentials_from_the_secret_and_shows_them_nowhere() {
    let mut world = world().await;
    let web = Web::start(&world.path("")).await;
    web.want("Bearer canary-77-token");
    patch(&mut world, &format!(r#"{{"url": "{}", "credentials": "remote"}}"#, web.url())).await;
    apply(&mut world, 1, &["there is no Secret", "hint:  kubectl -n"]).await;
    secret(&mut world, &[("token", "canary-78-misspelt")]).await;
    apply(&mut world, 1, &["has none of the entries that are read", "`bearerToken`"]).await;
    secret(&mut world, &[("bearerToken", "canary-77-token")]).await;
    apply(&mut world, 1, &[UNREACHABLE, "authority that is not trusted", "`ca.crt`"]).await;
    secret(&mut world, &[("bearerToken", "canary-79-wrong"), ("ca.crt", &web.authority)]).await;
    apply(&mut world, 1, &[UNREACHABLE, "the server refused the credentials"]).await;
    secret(&mut world, &[("bearerToken", "canary-77-token"), ("ca.crt", &web.authority)]).await;
    apply(&mut world, 0, &[APPLIED]).await;
    web.behave(Manner::Status(403));
    apply(&mut world, 1, &[UNREACHABLE, "(403)", "the right to read"]).await;
    let on = Match::Call { verb: "get", resource: "secrets".to_owned(), name: Some("remote".to_owned()) };
    let Server::Sandbox(sandbox) = &world.server else { panic!("only the sandbox has faults") };
    sandbox.sandbox.set_faults(vec![Fault { on, action: Action::Refuse(403) }]);
    web.behave(Manner::Good);
    apply(&mut world, 1, &["warning: cannot read Secret", "ssh-agent", UNREACHABLE]).await;
    world.scan().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_goes_over_ssh_and_to_the_fallback() {
    let mut world = world().await;
    let sshd = Sshd::start();
    let passphrase = "canary-76-passphrase";
    keygen(&sshd.path("locked"), "ed25519", passphrase);
    fs::copy(sshd.path("locked.pub"), sshd.path("authorized")).unwrap();
    let (identity, known_hosts) = (sshd.read("locked"), sshd.known_hosts("ed25519"));
    let entries = [("identity", &*identity), ("known_hosts", &known_hosts), ("password", passphrase)];
    secret(&mut world, &entries).await;
    let url = sshd.url(&world.path("shop.git"));
    patch(&mut world, &format!(r#"{{"url": "{url}", "credentials": "remote"}}"#)).await;
    apply(&mut world, 0, &[APPLIED]).await;
    let gone = "https://127.0.0.1:1/shop.git";
    patch(&mut world, &format!(r#"{{"url": "{gone}", "fallbackUrls": ["{url}"]}}"#)).await;
    apply(&mut world, 0, &[APPLIED]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_refuses_urls_that_it_would_not_trust() {
    let mut world = world().await;
    for (url, why, hint) in [
        ("git://h/shop.git", "git:// is neither encrypted nor authenticated", "use https://"),
        ("http://h/shop.git", "http:// is not encrypted", "use https://"),
        ("ext::sh -c id", "it is empty or has a space", "use https://"),
        ("ext::id", "it would run a helper program", "use https://"),
    ] {
        patch(&mut world, &format!(r#"{{"url": "{url}"}}"#)).await;
        apply(&mut world, 1, &["is no URL that can be used: ", why, hint]).await;
    }
}

/// What stands in for a full disk: files of the mirror that may not grow.
#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_cannot_grow_is_said_and_keeps_what_it_had() {
    let mut world = world().await;
    let web = Web::without_tls(&world.path("")).await;
    patch(&mut world, &format!(r#"{{"url": "{}"}}"#, web.url())).await;
    apply(&mut world, 0, &[APPLIED]).await;
    fs::write(world.path("clone/noise"), noise(1)).unwrap();
    world.push("too much").await;
    let repository = world.name("shop");
    let line = format!("trap '' XFSZ; ulimit -f 200; OSIER_LOG=error osier apply staging --repository {repository}");
    let (code, said) = run(&mut world, &line).await;
    let parts = [UNREACHABLE, "cause: could not write to the mirror", "the free space of the mirror's directory"];
    assert!(code == 1 && parts.iter().all(|part| said.contains(part)), "{code} {said}");
    apply(&mut world, 0, &[APPLIED]).await;
}
