//! The chart installed, and the service with the rights that it gives and the README names, and no others, on a server that checks them.

mod lanes;
mod people;

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::chart::installed::{OWN, run};
use crate::chart::{documents, installed, rendered};
use crate::scenarios::script::File;
use crate::scenarios::service::{service, settle, until};
use crate::scenarios::world::World;
use crate::support::audit::AuditLine;
use crate::support::server::{PATIENCE, Server};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
const CONFIG: &str = "apiVersion: osier.dev/v1alpha1\nkind: Config\nenvironments:\n  staging: {namespace: shop-staging, layers: [base], keys: staging}\n";
const API: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\nspec:\n  selector: {matchLabels: {app: api}}\n  template:\n    metadata: {labels: {app: api}}\n    spec: {containers: [{name: web, image: \"registry.example/web:1\", envFrom: [{configMapRef: {name: app}}]}]}\n";
const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {PASSWORD: canary-9d-password}\n";
/// The README's headings, and what the chart calls that role.
const PLACES: [(&str, &str, &str); 4] = [
    ("in the whole cluster", "ClusterRole", "osier-protected"),
    ("in its own namespace", "Role", "osier-protected"),
    ("in the home namespace", "Role", "osier-home-protected"),
    ("in each namespace of an environment", "ClusterRole", "osier-environment"),
];

/// Group, resource with its subresource, verb.
type Right = (String, String, String);

/// The rights of the README's service under a heading.
fn documented(place: &str) -> BTreeSet<Right> {
    let readme = fs::read_to_string(README).unwrap();
    let rules = readme.split(&format!("\n# service, {place}\n")).nth(1).expect("the README has the heading");
    let is_rule = |line: &&str| line.starts_with("- ") || line.starts_with("  ");
    let rules = rules.lines().take_while(is_rule).collect::<Vec<&str>>().join("\n");
    rights(&documents(&rules)[0])
}

/// Whatever names a rule is limited to: the README's are not.
fn rights(rules: &Value) -> BTreeSet<Right> {
    let words = |rule: &Value, field: &str| -> Vec<String> {
        rule[field].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let mut rights = BTreeSet::new();
    for rule in rules.as_array().unwrap() {
        for group in words(rule, "apiGroups") {
            for resource in words(rule, "resources") {
                rights.extend(words(rule, "verbs").into_iter().map(|verb| (group.clone(), resource.clone(), verb)));
            }
        }
    }
    rights
}

#[test]
fn the_chart_gives_the_rights_in_the_readme_and_no_others() {
    let objects = rendered("small");
    for (place, kind, name) in PLACES {
        let named = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
        let role = objects.iter().find(named).expect("the chart has the role");
        assert_eq!(rights(&role["rules"]), documented(place), "{place}");
    }
}

/// Roles that are bound in the whole cluster have no right on Secrets there.
#[test]
fn nobody_has_a_right_on_secrets_in_all_namespaces() {
    for objects in ["small", "full", "branches"].map(rendered) {
        let bindings: Vec<&Value> = objects.iter().filter(|object| object["kind"] == "ClusterRoleBinding").collect();
        assert!(!bindings.is_empty());
        for binding in bindings {
            let named = |object: &&Value| {
                object["kind"] == "ClusterRole" && object["metadata"]["name"] == binding["roleRef"]["name"]
            };
            let role = objects.iter().find(named).expect("the chart has the role");
            let secrets: Vec<Right> = rights(&role["rules"]).into_iter().filter(|right| right.1 == "secrets").collect();
            assert!(secrets.is_empty(), "{secrets:?}");
        }
    }
}

/// A world with the chart in it and files to push.
async fn world() -> World {
    let mut world = installed::world(&people::subjects()).await;
    for (path, classes, content) in
        [("osier.yaml", &[][..], CONFIG), ("base/api.yaml", &[], API), ("base/db.sops.yaml", &["staging"], SECRET)]
    {
        let encrypted_for = classes.iter().map(|class: &&str| (*class).to_owned()).collect();
        world.write(&File { path: path.to_owned(), encrypted_for, content: content.to_owned() });
    }
    world
}

fn config(world: &mut World, name: &str, level: &str) {
    let content =
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{LOG_LEVEL: {level}}}\n");
    world.write(&File { path: format!("base/{name}.yaml"), encrypted_for: Vec::new(), content });
}

/// Waits until a command says this; names are those of scripts.
async fn sees(world: &mut World, command: &str, wanted: &str) {
    let said = until(world, command, wanted).await;
    assert!(said.is_empty(), "{command}: {said}, not {wanted}");
}

async fn asked(world: &World) -> Vec<AuditLine> {
    let Server::Real(control_plane) = &world.server else { panic!("the sandbox checks no rights") };
    control_plane.audit(&world.account).await
}

/// Waits until the service has looked at pods, to say what keeps them.
async fn told_of_pods(world: &World) {
    let begun = Instant::now();
    while !asked(world).await.iter().any(|line| line.resource == "pods" && line.code == 200) {
        assert!(begun.elapsed() < PATIENCE, "nobody asks for pods");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

const LEVEL: &str = "kubectl get configmap app -n shop-staging -o jsonpath={.data.LOG_LEVEL}";
const REASON: &str = "kubectl get environment staging -n shop -o jsonpath={.status.conditions[0].reason}";

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_in_the_readme_are_enough_for_the_service() {
    let mut world = world().await;
    let world = &mut world;
    pods_are_admitted(world).await;
    config(world, "app", "info");
    config(world, "old", "info");
    world.push("the first state").await;
    service(world, "start --namespace osier-system").await;
    assert_eq!(settle(world, "staging").await, "");
    sees(world, LEVEL, "info").await;
    a_push_and_what_others_do(world).await;
    back_and_forth(world).await;
    people::do_what_their_roles_say(world).await;
    told_of_pods(world).await;
    assert_eq!(service(world, "stop").await, "");
    nothing_was_asked_that_is_not_documented(world).await;
    lanes::a_lane_of_branches_keeps_to_its_namespaces(world).await;
    what_was_applied_outlives_the_chart(world).await;
    world.scan().await;
}

/// The namespace enforces the restricted profile.
async fn pods_are_admitted(world: &mut World) {
    sees(world, "kubectl get pods -n osier-system -o name | xargs", "pod/osier-protected-0 pod/osier-protected-1")
        .await;
}

async fn a_push_and_what_others_do(world: &mut World) {
    config(world, "app", "debug");
    fs::remove_file(world.path("clone/base/old.yaml")).unwrap();
    world.push("a push").await;
    sees(world, LEVEL, "debug").await;
    sees(world, "kubectl get configmap old -n shop-staging --ignore-not-found", "").await;
    run(world, "kubectl patch configmap app -n shop-staging --type merge -p '{\"data\":{\"LOG_LEVEL\":\"mine\"}}'")
        .await;
    sees(world, LEVEL, "debug").await;
    run(world, "kubectl delete deployment api -n shop-staging").await;
    sees(world, "kubectl get deployment api -n shop-staging --ignore-not-found -o name", "deployment.apps/api").await;
}

async fn back_and_forth(world: &mut World) {
    run(world, "osier rollback staging --to '#1' --reason 'it is loud' --yes").await;
    sees(world, LEVEL, "info").await;
    sees(world, REASON, "HeldBack").await;
    run(world, "osier release staging").await;
    sees(world, LEVEL, "debug").await;
    let events = "kubectl get events -n shop -o jsonpath={.items[*].reason} | tr ' ' '\\n' | sort -u | xargs";
    sees(world, events, "Applied HeldBack").await;
}

/// Everybody may ask what a server serves, which names no resource, and who he is; the rest is in the table, namespace by namespace.
async fn nothing_was_asked_that_is_not_documented(world: &World) {
    let [cluster, own, home, target] = PLACES.map(|(place, _, _)| documented(place));
    let [home_name, target_name] = ["shop", "shop-staging"].map(|name| world.name(name));
    for line in asked(world).await {
        assert_ne!(line.code, 403, "{line:?}");
        let AuditLine { group, resource, subresource, verb, namespace, .. } = &line;
        let resource = if subresource.is_empty() { resource.clone() } else { format!("{resource}/{subresource}") };
        let right = (group.clone(), resource, verb.clone());
        let there = match namespace.as_str() {
            OWN => &own,
            name if name == home_name => &home,
            name if name == target_name => &target,
            _ => &cluster,
        };
        let is_everybodys = right.1.is_empty() || right.1 == "selfsubjectreviews";
        let is_documented = there.contains(&right) || cluster.contains(&right);
        assert!(is_everybodys || is_documented, "the README has no such right: {line:?}");
    }
}

/// Definitions stay, and with them the books; nothing in the namespaces of environments was the chart's.
async fn what_was_applied_outlives_the_chart(world: &mut World) {
    let count = "kubectl get configmaps,secrets,deployments,environments,records -A -o name | grep -v helm | sort";
    let before = run(world, count).await;
    assert!(["configmap/app", "environment.osier.dev/staging"].iter().all(|name| before.contains(name)), "{before}");
    run(world, "helm uninstall osier -n osier-system").await;
    assert_eq!(run(world, count).await, before);
    installed::write_values(world, &json!({}));
    installed::upgrade(world, "new").await;
}
