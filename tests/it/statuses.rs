//! What commits and pull requests show on the forge of how environments stand.

mod comments;

use std::fs;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use osier::sandbox::faults::{Action, Fault, Match};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::rights::{LEVEL, config, sees, shop};
use crate::scenarios::script::File;
use crate::scenarios::service::{service, settle};
use crate::scenarios::world::World;
use crate::support::forge::{Forge, Told};
use crate::support::server::{PATIENCE, Server};

const TOKEN: &str = "canary-4f-token-of-the-forge";
const NEW_TOKEN: &str = "canary-4h-another-token";

/// So long a pass takes of which a forge is to hear while it lasts.
const LONG_PASS: Duration = Duration::from_secs(10);

const BRANCHES: &str = "apiVersion: osier.dev/v1alpha1
kind: Config
environments:
  staging: {namespace: shop-staging, layers: [base]}
branches:
- match: [\"feature/**\"]
  layers: [\"main:base\"]
  namespace: {prefix: shop-b, template: policies/branch}
";
/// The template of the branch environments of such tests.
pub const LIMITS: &str = "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: osier}\nspec: {hard: {pods: \"20\"}}\n";

/// A shop at work whose commits show how it stands.
async fn world(forge: &Forge, sort: &str) -> World {
    let mut world = World::new(Server::sandbox().await).await;
    shop(&mut world);
    tells(&mut world, json!({"statuses": statuses(forge, sort)})).await;
    config(&mut world, "app", "info");
    world.push("the first state").await;
    service(&mut world, "start").await;
    assert_eq!(settle(&mut world, "staging").await, "");
    world
}

fn statuses(forge: &Forge, sort: &str) -> Value {
    json!({"forge": sort, "credentials": "forge", "api": format!("http://{}/api", forge.address)})
}

/// Adds the forge's token, and this to the spec of the Repository.
async fn tells(world: &mut World, more: Value) {
    world.canary.watch_for(TOKEN);
    let home = world.name("shop");
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "forge"}, "data": {"bearerToken": STANDARD.encode(TOKEN)}});
    let (status, said) = world.ask(Method::POST, &format!("/api/v1/namespaces/{home}/secrets"), Some(&secret)).await;
    assert_eq!(status, 201, "{said}");
    let path = format!("/apis/osier.dev/v1alpha1/repositories/{home}");
    let (_, mut repository) = world.ask(Method::GET, &path, None).await;
    for (field, value) in more.as_object().unwrap() {
        repository["spec"][field] = value.clone();
    }
    let (status, said) = world.ask(Method::PUT, &path, Some(&repository)).await;
    assert_eq!(status, 200, "{said}");
}

async fn head(world: &mut World) -> String {
    head_of(world, ".").await
}

async fn head_of(world: &mut World, repository: &str) -> String {
    let output = world.run(&format!("git -C {repository} rev-parse HEAD")).await;
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Waits until the forge took it that this commit stands so; all that it was told of it.
async fn shows(forge: &Forge, commit: &str, state: &str) -> Vec<Told> {
    let begun = Instant::now();
    loop {
        let of_commit = |told: &Told| told.path.contains(commit);
        let told: Vec<Told> = forge.told().into_iter().filter(of_commit).collect();
        if told.last().is_some_and(|told| told.document["state"] == state && told.status < 300) {
            return told;
        }
        assert!(begun.elapsed() < PATIENCE, "{commit} does not show {state}: {told:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn end(mut world: World, forge: &Forge) {
    assert_eq!(service(&mut world, "stop").await, "");
    for told in forge.heard() {
        assert_eq!(told.authorization, format!("Bearer {TOKEN}"));
        world.canary.scan("the forge", format!("{}{}", told.path, told.document).as_bytes());
    }
    world.scan().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_pending_and_then_green_or_red_with_the_reason() {
    for (sort, path, states) in [
        ("github", "/statuses/", ["pending", "success", "failure"]),
        ("gitlab", "/statuses/", ["pending", "success", "failed"]),
        ("gitea", "/statuses/", ["pending", "success", "failure"]),
        ("bitbucket", "/commit/", ["INPROGRESS", "SUCCESSFUL", "FAILED"]),
        ("bitbucket-server", "/commits/", ["INPROGRESS", "SUCCESSFUL", "FAILED"]),
    ] {
        let [pending, success, failure] = states;
        let forge = Forge::start().await;
        let mut world = world(&forge, sort).await;
        let first = head(&mut world).await;
        // the Deployment has no pods in the sandbox
        let told = shows(&forge, &first, pending).await;
        assert!(told[0].path.starts_with("/api/") && told[0].path.contains(path), "{told:?}");
        assert!(told[0].document.to_string().contains("osier/staging"), "{told:?}");
        fs::remove_file(world.path("clone/base/api.yaml")).unwrap();
        world.push("nothing to wait for").await;
        let second = head(&mut world).await;
        shows(&forge, &second, success).await;

        fs::write(world.path("clone/base/broken.yaml"), "kind: ConfigMap\ndata: {KEY: canary-4e-in-a-broken-file}\n")
            .unwrap();
        world.canary.watch_for("canary-4e-in-a-broken-file");
        world.push("a mistake").await;
        let broken = head(&mut world).await;
        let told = shows(&forge, &broken, failure).await;
        let description = "ProblemsFound: Files of the revision have mistakes; nothing was applied";
        assert_eq!(told.last().unwrap().document["description"], description);
        end(world, &forge).await;
    }
}

/// A Job with `osier.dev/run` that the service waits for.
async fn check_begins(world: &mut World, run: &str, ends: &str) {
    let job = format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: {run}, annotations: {{osier.dev/run: {run}}}}}\nspec: {{template: {{spec: {{restartPolicy: Never, containers: [{{name: one, image: \"i:{ends}\"}}]}}}}}}\n"
    );
    world.write(&File { path: format!("base/{run}.yaml"), encrypted_for: Vec::new(), content: job });
    world.push("a check").await;
    let image = format!(
        "kubectl get job {run} -n shop-staging -o jsonpath={{.spec.template.spec.containers[0].image}} --ignore-not-found"
    );
    sees(world, &image, &format!("i:{ends}")).await;
}

/// What its controller says of it.
async fn check_ends(world: &mut World, run: &str, ends: &str) {
    let status =
        json!({"status": {"conditions": [{"type": ends, "status": "True", "reason": "canary-4g-of-the-job"}]}});
    let patch = format!("kubectl patch job {run} -n shop-staging --subresource status --type merge -p '{status}'");
    let line = world.names.real(&patch);
    assert!(world.run(&line).await.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_fails_is_red_on_the_commit_and_one_that_runs_is_pending() {
    let forge = Forge::start().await;
    let mut world = world(&forge, "gitea").await;
    world.canary.watch_for("canary-4g-of-the-job");
    fs::remove_file(world.path("clone/base/api.yaml")).unwrap();
    for (run, reason) in [("before", "CheckPending: "), ("after-ready", "Applied: ")] {
        check_begins(&mut world, run, "Failed").await;
        check_ends(&mut world, run, "Failed").await;
        let failed = head(&mut world).await;
        let told = shows(&forge, &failed, "failure").await;
        let said: Vec<&str> = told.iter().filter_map(|told| told.document["description"].as_str()).collect();
        assert!(said.iter().any(|said| said.starts_with(reason)), "{said:?}");
        let last = told.last().unwrap();
        assert!(last.document["description"].as_str().unwrap().starts_with("CheckFailed: "), "{last:?}");
        assert!(told.iter().all(|told| told.document["state"] != "success"), "{told:?}");

        check_begins(&mut world, run, "Complete").await;
        check_ends(&mut world, run, "Complete").await;
        let complete = head(&mut world).await;
        shows(&forge, &complete, "success").await;
    }
    end(world, &forge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_that_fails_delays_nothing_and_is_told_again_a_few_times() {
    let forge = Forge::start().await;
    let mut world = world(&forge, "gitea").await;
    fs::remove_file(world.path("clone/base/api.yaml")).unwrap();
    world.push("nothing to wait for").await;
    let commit = head(&mut world).await;
    shows(&forge, &commit, "success").await;

    forge.answer(&[503, 503]);
    config(&mut world, "app", "debug");
    world.push("while it is away").await;
    sees(&mut world, LEVEL, "debug").await;
    let commit = head(&mut world).await;
    let told = shows(&forge, &commit, "success").await;
    assert!(told.len() >= 3, "{told:?}");

    forge.answer(&[422; 2]);
    config(&mut world, "app", "warn");
    world.push("what it does not take").await;
    sees(&mut world, LEVEL, "warn").await;
    let refused = head(&mut world).await;
    config(&mut world, "app", "info");
    world.push("and another").await;
    let commit = head(&mut world).await;
    shows(&forge, &commit, "success").await;
    let of_refused = forge.told().into_iter().filter(|told| told.path.contains(&refused)).count();
    assert!(of_refused <= 2, "what is refused for good is not said again");
    end(world, &forge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_does_not_stay_pending_because_the_token_was_exchanged() {
    let forge = Forge::start().await;
    let mut world = world(&forge, "gitea").await;
    world.canary.watch_for("canary-4g-of-the-job");
    fs::remove_file(world.path("clone/base/api.yaml")).unwrap();
    check_begins(&mut world, "before", "Complete").await;
    let commit = head(&mut world).await;
    let waits =
        |told: &Told| told.document["description"].as_str().is_some_and(|said| said.starts_with("CheckPending"));
    let begun = Instant::now();
    while !forge.told().iter().any(|told| told.path.contains(&commit) && waits(told)) {
        assert!(begun.elapsed() < PATIENCE, "{:?}", forge.told());
        sleep(Duration::from_millis(20)).await;
    }

    world.canary.watch_for(NEW_TOKEN);
    let secret = format!("/api/v1/namespaces/{}/secrets/forge", world.name("shop"));
    let (_, mut found) = world.ask(Method::GET, &secret, None).await;
    found["data"]["bearerToken"] = json!(STANDARD.encode(NEW_TOKEN));
    let (status, said) = world.ask(Method::PUT, &secret, Some(&found)).await;
    assert_eq!(status, 200, "{said}");
    forge.takes(NEW_TOKEN);
    check_ends(&mut world, "before", "Complete").await;
    let told = shows(&forge, &commit, "success").await;
    let refused = told.iter().filter(|told| told.status == 401).count();
    assert_eq!(refused, 1, "once with the token of before: {told:?}");
    assert_eq!(service(&mut world, "stop").await, "");
    world.scan().await;
}

/// The shop's branch environments, of which there may be so many; nobody serves them yet.
async fn branches(forge: &Forge, max: u32) -> World {
    let mut world = World::new(Server::sandbox().await).await;
    for (path, content) in [
        ("osier.yaml", format!("{BRANCHES}  max: {max}\n  grace: 1s\n")),
        ("policies/branch/limits.yaml", LIMITS.to_owned()),
    ] {
        world.write(&File { path: path.to_owned(), encrypted_for: Vec::new(), content });
    }
    config(&mut world, "app", "info");
    world.push("the first state").await;
    tells(&mut world, json!({"interval": "1s", "statuses": statuses(forge, "gitea")})).await;
    world
}

/// A branch that is never seen without its own commit.
async fn branch(world: &mut World, name: &str) -> String {
    world.run("git switch -q --detach main").await;
    world.push(name).await;
    world.run(&format!("git switch -q -c {name}")).await;
    head(world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_waits_for_room_says_so_once_and_then_goes_on_as_others() {
    let forge = Forge::start().await;
    let mut world = branches(&forge, 1).await;
    service(&mut world, "start --lane branches").await;
    // what ends before the forge was told that it begins shows its end alone
    let Server::Sandbox(server) = &world.server else { unreachable!("this world has a sandbox") };
    let on = Match::Call { verb: "create", resource: "namespaces".to_owned(), name: None };
    server.sandbox.set_faults(vec![Fault { on, action: Action::Once(Box::new(Action::Delay(LONG_PASS))) }]);
    let first = branch(&mut world, "feature/first").await;
    let told = shows(&forge, &first, "success").await;
    assert_eq!(descriptions(&told)[0], "osier is looking at it", "{told:?}");

    let second = branch(&mut world, "feature/second").await;
    shows(&forge, &second, "pending").await;
    world.run("git switch -q main && git branch -D feature/first").await;
    let told = shows(&forge, &second, "success").await;
    let waits = "CapReached: this entry of `branches` may have 1 at a time: one has to go first";
    let descriptions = descriptions(&told);
    assert_eq!(descriptions[0], waits);
    assert_eq!(descriptions.iter().filter(|said| **said == waits).count(), 1, "{told:?}");
    assert!(told.iter().all(|told| told.document["state"] != "failure"), "{told:?}");
    end(world, &forge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_wait_leave_the_forge_to_those_that_have_something_new() {
    let forge = Forge::start().await;
    let mut world = branches(&forge, 1).await;
    let first = branch(&mut world, "feature/first").await;
    service(&mut world, "start --lane branches").await;
    shows(&forge, &first, "success").await;
    let begun = Instant::now();
    world.run("for n in $(seq 10 49); do git branch feature/a-$n main; done").await;
    sees(&mut world, "osier get | grep -c CapReached", "40").await;
    world.run("git switch -q feature/first").await;
    world.push("further").await;
    let further = head(&mut world).await;
    shows(&forge, &further, "success").await;
    let waits = |told: &Told| told.document["description"].as_str().is_some_and(|said| said.starts_with("CapReached"));
    let told = forge.told().iter().filter(|told| waits(told)).count();
    let most = 1 + begun.elapsed().as_secs() / 15;
    assert!((1..=most).contains(&(told as u64)), "{told} of at most {most}");
    end(world, &forge).await;
}

fn descriptions(told: &[Told]) -> Vec<&str> {
    told.iter().filter_map(|told| told.document["description"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commit_of_a_followed_repository_shows_it_on_its_own_forge() {
    let (forge, code) = (Forge::start().await, Forge::start().await);
    let mut world = World::new(Server::sandbox().await).await;
    for (path, content) in [("osier.yaml", BRANCHES), ("policies/branch/limits.yaml", LIMITS)] {
        let file = File { path: path.to_owned(), encrypted_for: Vec::new(), content: content.to_owned() };
        world.write(&file);
    }
    config(&mut world, "app", "info");
    world.push("the first state").await;
    let cart = world.path("cart");
    world.run("git init -q -b main ../cart && git -C ../cart commit -q --allow-empty -m 'the cart'").await;
    let mut commented = statuses(&code, "github");
    commented["comments"] = json!(true);
    code.open(7, "feature/faster", false);
    let follows = json!([{"name": "cart", "url": cart, "statuses": commented}]);
    tells(&mut world, json!({"statuses": statuses(&forge, "gitea"), "follows": follows})).await;
    service(&mut world, "start --lane branches").await;
    let main = head_of(&mut world, "../cart").await;
    world.run("git -C ../cart switch -q --detach && git -C ../cart commit -q --allow-empty -m faster").await;
    world.run("git -C ../cart switch -q -c feature/faster").await;
    let first = head_of(&mut world, "../cart").await;
    let told = shows(&code, &first, "success").await;
    assert!(told.iter().all(|told| told.document["context"].as_str().unwrap().contains("-faster-")), "{told:?}");
    world.run("git -C ../cart commit -q --allow-empty -m 'still faster'").await;
    let second = head_of(&mut world, "../cart").await;
    shows(&code, &second, "success").await;
    comments::says(&code, &[&second[..7]]).await;
    // the configuration has no such branch, and the commit that others fall back to is not this environment's
    assert!(forge.told().is_empty() && !code.told().iter().any(|told| told.path.contains(&main)));
    end(world, &code).await;
}
