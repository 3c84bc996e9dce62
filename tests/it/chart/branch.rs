//! Branches from their push to their end, both lanes and the receiver at work with nothing but tokens of their accounts in the chart.

use std::fs;

use http::Method;
use osier::model::wire;
use serde_json::{Value, json};

use crate::chart::installed::{ask_as, write_kubeconfig};
use crate::chart::lanes::{ACCOUNT, NAMESPACES, TEMPLATE};
use crate::chart::{asked, people};
use crate::receiver::world::{Call, SECRET, SECRET_NAME, name_secret, secret, started};
use crate::rights::{LEVEL, config, run, sees};
use crate::scenarios::script::File;
use crate::scenarios::service::service;
use crate::scenarios::world::World;
use crate::support::audit::AuditLine;
use crate::support::control_plane::User;
use crate::support::process::Process;
use crate::support::web::Web;

const CONFIG: &str = "apiVersion: osier.dev/v1alpha1\nkind: Config\nenvironments:\n  staging: {namespace: shop-staging, layers: [base], keys: staging}\n\
    branches:\n- match: [\"feature/*\"]\n  layers: [\"main:common\", branches]\n  keys: branch\n  lives: 72h\n  grace: 1s\n  \
    url: \"https://{slug}.preview.example.com\"\n  allow: {gateways: [gateways/public]}\n  namespace: {prefix: shop-b, template: policies/branch}\n";
const APP: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\ndata: {LOG_LEVEL: info, BRANCH: \"${osier.branch}\"}\n";
const PASSWORDS: &str =
    "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {PASSWORD: canary-7c-password}\n";
const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\nspec:\n  selector: {matchLabels: {app: api}}\n  template:\n    metadata: {labels: {app: api}}\n    spec: {containers: [{name: web, image: \"registry.example/web:1\", envFrom: [{configMapRef: {name: app}}]}]}\n";
const ROUTE: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: web}\nspec:\n  parentRefs: [{name: public, namespace: gateways}]\n  \
    hostnames: [\"${osier.slug}.preview.example.com\"]\n  rules: [{backendRefs: [{name: web, port: 80}]}]\n";
const PASSWORD: &str = "Y2FuYXJ5LTdjLXBhc3N3b3Jk";

/// Nobody disturbs it.
const CALM: &str = "shop-b-calm-hash2";
/// Somebody takes the lane's rights away in it.
const X: &str = "shop-b-x-hash3";
/// The lane ended between making it and taking its rights in it.
const Y: &str = "shop-b-y-hash4";

/// The whole story, with the chart's rights for both lanes.
pub async fn branches_come_and_go(world: &mut World) {
    let token = run(world, "kubectl create token osier-branches -n osier-system").await;
    write_kubeconfig(world, "branches", token.trim());
    prepare(world).await;
    too_much_power_is_refused(world).await;
    start(world, "service", "protected").await;
    start(world, "branches", "branches").await;
    let mut receiver = receiver(world).await;
    let call = Call::named(world, "github-push");
    for (branch, namespace) in [("calm", CALM), ("x", X)] {
        push(world, branch).await;
        assert_eq!(call.answer(&receiver), 202);
        is_complete(world, namespace).await;
    }
    change(world, &json!({"interval": "1s"})).await;
    what_others_do_is_put_right(world).await;
    it_takes_its_rights_again(world).await;
    a_crash_is_healed(world).await;
    people::say_when_a_branch_ends(world).await;
    is_complete(world, Y).await;
    the_other_lane_goes_on(world).await;
    for (branch, namespace) in [("calm", CALM), ("x", X), ("y", Y)] {
        run(world, &format!("git branch -q -D feature/{branch}")).await;
        sees(world, &format!("kubectl get namespace {namespace} --ignore-not-found -o name"), "").await;
        sees(world, &reason(namespace), "Gone").await;
    }
    for name in ["service", "branches"] {
        assert_eq!(service(world, &format!("stop {name}")).await, "");
    }
    receiver.signal("-TERM");
    assert!(receiver.ended().success(), "{}", receiver.log());
    refusals(world).await;
}

async fn prepare(world: &mut World) {
    // not by its path: what is on this disk is watched
    std::os::unix::fs::symlink(world.path("clone/.git"), world.path(&world.name("shop.git"))).unwrap();
    let url = Web::without_tls(&world.path("")).await.url();
    change(world, &json!({"subjects": ["group:shop-developers"], "interval": "1h", "url": url})).await;
    write(world, "osier.yaml", &[], CONFIG);
    write(world, "common/app.yaml", &[], APP);
    for entry in fs::read_dir(TEMPLATE).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        write(world, &format!("policies/branch/{name}"), &[], &fs::read_to_string(entry.path()).unwrap());
    }
    world.push("branches are environments").await;
}

/// The Repository says this from now on; names are those of scripts.
async fn change(world: &mut World, spec: &Value) {
    let patch = json!({"spec": spec});
    run(world, &format!("kubectl patch repository shop --type merge -p '{patch}'")).await;
}

/// With the token of its account, and the Secret that the Repository names.
async fn receiver(world: &mut World) -> Process {
    let token = run(world, "kubectl create token osier-receiver -n osier-system").await;
    write_kubeconfig(world, "receiver", token.trim());
    secret(world, &[("secret", SECRET)]).await;
    name_secret(world, Some(SECRET_NAME)).await;
    started(world)
}

/// With an account that may do anything the lane does not begin, and takes no Lease.
async fn too_much_power_is_refused(world: &mut World) {
    let admin = "kubectl create serviceaccount strong -n osier-system && \
        kubectl create clusterrolebinding strong --clusterrole cluster-admin --serviceaccount osier-system:strong";
    run(world, admin).await;
    let token = run(world, "kubectl create token strong -n osier-system").await;
    write_kubeconfig(world, "strong", token.trim());
    let output = world
        .run(
            "mkdir ../data/strong && osier controller --lane branches --namespace osier-system --kubeconfig ../kubeconfig-strong \
             --keys ../keys-branches --data ../data/strong --listen 127.0.0.1:0",
        )
        .await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(said.contains("may delete namespace `osier-system`") && said.contains("lanes.branches.prefixes"), "{said}");
    assert_eq!(run(world, "kubectl get namespace osier-system -o jsonpath={.status.phase}").await, "Active");
    let leases = "kubectl get leases -n osier-system -o name --ignore-not-found";
    assert!(!run(world, leases).await.contains("branches"), "it took the Lease");
}

fn write(world: &mut World, path: &str, classes: &[&str], content: &str) {
    let encrypted_for = classes.iter().map(|class| (*class).to_owned()).collect();
    world.write(&File { path: path.to_owned(), encrypted_for, content: content.to_owned() });
}

async fn start(world: &mut World, name: &str, lane: &str) {
    assert_eq!(service(world, &format!("start {name} --lane {lane} --namespace osier-system")).await, "");
}

/// A branch with a Secret and a workload of its own; main is checked out again.
async fn push(world: &mut World, branch: &str) {
    run(world, &format!("git switch -q -c feature/{branch}")).await;
    write(world, "branches/db.sops.yaml", &["branch"], PASSWORDS);
    write(world, "branches/api.yaml", &[], DEPLOYMENT);
    write(world, "branches/route.yaml", &[], ROUTE);
    world.push(branch).await;
    run(world, "git switch -q main").await;
}

fn level(namespace: &str) -> String {
    LEVEL.replace("shop-staging", namespace)
}

fn reason(environment: &str) -> String {
    format!("kubectl get environment {environment} -n shop -o jsonpath={{.status.conditions[0].reason}}")
}

/// The namespace as the template says, and in it what the layers say.
async fn is_complete(world: &mut World, namespace: &str) {
    sees(world, &reason(namespace), "Applied").await;
    sees(world, &level(namespace), "info").await;
    sees(world, &password(namespace), PASSWORD).await;
    let kinds = "resourcequotas,limitranges,networkpolicies,rolebindings,deployments,httproutes";
    let there = "deployment.apps/api httproute.gateway.networking.k8s.io/web limitrange/environment networkpolicy.networking.k8s.io/default-deny \
        networkpolicy.networking.k8s.io/within-environment resourcequota/environment \
        rolebinding.rbac.authorization.k8s.io/authors rolebinding.rbac.authorization.k8s.io/osier-environment";
    sees(world, &format!("kubectl get {kinds} -n {namespace} -o name | sort | xargs"), there).await;
    let label = "-o jsonpath='{.metadata.labels.pod-security\\.kubernetes\\.io/enforce}'";
    sees(world, &format!("kubectl get namespace {namespace} {label}"), "baseline").await;
}

fn password(namespace: &str) -> String {
    format!("kubectl get secret db -n {namespace} -o jsonpath={{.data.PASSWORD}}")
}

async fn what_others_do_is_put_right(world: &mut World) {
    edit(world, X).await;
    let mine = "-p '{\"stringData\":{\"PASSWORD\":\"mine\"}}'";
    run(world, &format!("kubectl patch secret db -n {X} --type merge {mine}")).await;
    sees(world, &password(X), PASSWORD).await;
    for object in ["networkpolicy/default-deny", "rolebinding/authors", "deployment/api"] {
        run(world, &format!("kubectl delete {object} -n {X}")).await;
        sees(world, &format!("kubectl get {object} -n {X} --ignore-not-found -o name | wc -l"), "1").await;
    }
}

async fn edit(world: &mut World, namespace: &str) {
    run(
        world,
        &format!(
            "kubectl patch configmap app -n {namespace} --type merge -p '{{\"data\":{{\"LOG_LEVEL\":\"mine\"}}}}'"
        ),
    )
    .await;
    sees(world, &level(namespace), "info").await;
}

/// Somebody deletes its binding: while it runs, and while it does not.
async fn it_takes_its_rights_again(world: &mut World) {
    let delete = format!("kubectl delete rolebinding osier-environment -n {X}");
    run(world, &delete).await;
    edit(world, X).await;
    assert_eq!(service(world, "stop branches").await, "");
    run(world, &delete).await;
    start(world, "branches", "branches").await;
    edit(world, X).await;
}

/// As the account would have left it: the namespace is its own, and it has no rights there.
async fn a_crash_is_healed(world: &mut World) {
    assert_eq!(service(world, "kill branches").await, "");
    push(world, "y").await;
    let (home, name, reference) = (world.name("shop"), world.names.real(Y), "refs/heads/feature/y");
    let ours =
        json!({"osier.dev/environment": wire::environment_id(&home, &home, reference), "osier.dev/repository": home});
    let mut annotations = ours.clone();
    annotations["osier.dev/ref"] = json!(reference);
    let mut labels = ours;
    labels["pod-security.kubernetes.io/enforce"] = json!("baseline");
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": labels, "annotations": annotations}});
    let path = format!("{NAMESPACES}?fieldManager=osier");
    let made = ask_as(world, ACCOUNT, Method::POST, &path, &namespace).await;
    assert_eq!(made.status, 201, "{made:?}");
    start(world, "branches", "branches").await;
    is_complete(world, Y).await;
}

async fn the_other_lane_goes_on(world: &mut World) {
    config(world, "app", "warn");
    world.push("a push to main").await;
    sees(world, LEVEL, "warn").await;
}

/// What was refused: to delete its own namespace, which it only tries; what it asked for in a namespace where somebody had taken its rights, or where it had not taken them; elsewhere at
/// most a look in the moment until the server knows of its binding, or when the binding went before the rest of the namespace.
async fn refusals(world: &World) {
    asked::is_documented(world, &world.account, "protected", |_| false).await;
    asked::of_receiver_is_documented(world).await;
    let [calm, x, y] = [CALM, X, Y].map(|name| world.names.real(name));
    let is_look = |line: &AuditLine| ["list", "watch"].contains(&line.verb.as_str());
    let is_tried =
        |line: &AuditLine| (&*line.verb, &*line.resource, &*line.name) == ("delete", "namespaces", "osier-system");
    let is_expected = |line: &AuditLine| {
        is_tried(line) || [&x, &y].contains(&&line.namespace) || line.namespace == calm && is_look(line)
    };
    asked::is_documented(world, &User::person(ACCOUNT), "branches", is_expected).await;
}
