//! The service says how the workloads of an environment stand, and why they are not ready.

use std::time::{Duration, Instant};

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::scenarios::script::File;
use crate::scenarios::service::service;
use crate::scenarios::world::World;
use crate::support::control_plane::User;
use crate::support::server::{self, Server};

const CONFIG: &str = "apiVersion: osier.dev/v1alpha1\nkind: Config\nenvironments:\n  staging: {namespace: shop-staging, layers: [base]}\n";
/// Shorter than that of other tests: nothing here takes seconds, but for pods that are asked after five.
const PATIENCE: Duration = Duration::from_secs(30);
const API: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\nspec:\n  replicas: 2\n  selector: {matchLabels: {app: api}}\n  template:\n    metadata: {labels: {app: api}}\n    spec: {containers: [{name: web, image: \"registry.example/web:1\"}]}\n";

/// An environment with a Deployment, and a ConfigMap that it does not refer to.
async fn world(server: Server) -> World {
    let mut world = World::new(server).await;
    // what a kubelet or a webhook says may quote what a workload was given
    world.canary.watch_for("canary-5b-pull canary-5b-image canary-5b-quota");
    write(&mut world, "osier.yaml", CONFIG);
    write(&mut world, "base/api.yaml", API);
    config(&mut world, "info");
    world.push("a workload").await;
    world
}

fn write(world: &mut World, path: &str, content: &str) {
    world.write(&File { path: path.to_owned(), encrypted_for: Vec::new(), content: content.to_owned() });
}

fn config(world: &mut World, level: &str) {
    let text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: app}}\ndata: {{LOG_LEVEL: {level}}}\n");
    write(world, "base/app.yaml", &text);
}

/// Pushes another level, which no workload of git uses, and says which commit that is.
async fn push(world: &mut World, level: &str) -> String {
    config(world, level);
    world.push("another level").await;
    String::from_utf8_lossy(&world.run("git rev-parse --short=7 HEAD").await.stdout).trim().to_owned()
}

/// The conditions Ready, Reconciling, Stalled, with reason and message.
async fn said(world: &World) -> String {
    let home = world.name("shop");
    let path = format!("/apis/osier.dev/v1alpha1/namespaces/{home}/environments/staging");
    let (_, environment) = world.ask(Method::GET, &path, None).await;
    let conditions = environment["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let statuses: Vec<&str> = conditions.iter().filter_map(|condition| condition["status"].as_str()).collect();
    let ready = conditions.first().cloned().unwrap_or_default();
    let text = |name: &str| ready[name].as_str().unwrap_or_default().to_owned();
    format!("{} {}: {}", statuses.join(" "), text("reason"), text("message"))
}

/// Looks until it is said.
async fn until(world: &World, wanted: &str) {
    let begun = Instant::now();
    loop {
        let said = said(world).await;
        if said.contains(wanted) {
            return;
        }
        if begun.elapsed() > PATIENCE {
            let log = std::fs::read_to_string(world.path("tmp").join("service.log")).unwrap_or_default();
            let told: Vec<&str> =
                log.lines().filter(|line| !line.contains("TRACE") && !line.contains("DEBUG")).collect();
            panic!("{}: {said}, not {wanted}:\n{}", world.server.name(), told.join("\n"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn patch(world: &World, path: &str, status: Value) {
    let client = world.server.client(&User::admin()).await;
    let headers = [("content-type", "application/merge-patch+json")];
    let path = format!("{path}/status");
    let answer = server::request(&client, Method::PATCH, &path, &headers, json!({"status": status}).to_string()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn deployment(world: &World) -> String {
    format!("/apis/apps/v1/namespaces/{}/deployments/api", world.name("shop-staging"))
}

/// What the Deployment's controller would say of the generation that it sees now.
async fn counts(world: &World, available: i64) -> Value {
    let (_, found) = world.ask(Method::GET, &deployment(world), None).await;
    json!({"observedGeneration": found["metadata"]["generation"], "replicas": 2, "updatedReplicas": 2, "readyReplicas": available, "availableReplicas": available,
        "unavailableReplicas": 2 - available})
}

async fn available(world: &World, available: i64) {
    patch(world, &deployment(world), counts(world, available).await).await;
}

/// What a kubelet says of a pod whose container waits.
fn waiting(reason: &str) -> Value {
    let container = json!({"name": "web", "image": "canary-5b-image", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": reason, "message": "canary-5b-pull"}}});
    json!({"phase": "Pending", "containerStatuses": [container]})
}

fn running() -> Value {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let container = json!({"name": "web", "image": "registry.example/web:1", "imageID": "", "ready": true, "restartCount": 0,
        "state": {"running": {"startedAt": now}}});
    json!({"phase": "Running", "containerStatuses": [container],
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now, "lastProbeTime": null}]})
}

/// Lines of the sandbox's request log with this verb and these resources.
fn requests(world: &World, verb: &str, resource: &str) -> usize {
    let Server::Sandbox(loopback) = &world.server else { panic!("the sandbox counts") };
    loopback.sandbox.requests().iter().filter(|line| line.verb == verb && line.resource == resource).count()
}

async fn create_pod(world: &World) -> String {
    let namespace = world.name("shop-staging");
    let owner =
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "api-5c9d", "uid": "u", "controller": true});
    let pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "api-5c9d-x", "labels": {"app": "api", "pod-template-hash": "5c9d"}, "ownerReferences": [owner]},
        "spec": {"containers": [{"name": "web", "image": "registry.example/web:1"}]}});
    let path = format!("/api/v1/namespaces/{namespace}/pods");
    let (status, said) = world.ask(Method::POST, &path, Some(&pod)).await;
    assert_eq!(status, 201, "{said}");
    format!("{path}/api-5c9d-x")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_applied_becomes_ready_or_says_why_not() {
    let mut world = world(Server::sandbox().await).await;
    let world = &mut world;
    service(world, "start").await;
    until(world, "False True False Applied: equals ").await;
    until(world, "; waiting for Deployment/api: not seen by its controller yet").await;
    let writes = requests(world, "patch", "environments/status");
    available(world, 1).await;
    until(world, "waiting for Deployment/api: 1 of 2 available").await;
    let pod = create_pod(world).await;
    patch(world, &pod, waiting("ImagePullBackOff")).await;
    until(world, "1 of 2 available: ImagePullBackOff in web").await;
    let waited = requests(world, "patch", "environments/status") - writes;
    assert!(waited <= 3, "{waited} writes of the status");

    // a newer commit does not wait
    let head = push(world, "debug").await;
    until(world, &format!("False True False Applied: equals {head}; waiting for Deployment/api")).await;

    available(world, 2).await;
    until(world, &format!("True False False Applied: equals {head}")).await;
    assert_eq!(requests(world, "watch", "deployments"), 1, "one watch is enough for metadata and status");
    world.scan().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_commit_ends_a_wait_that_is_stuck() {
    let mut world = world(Server::sandbox().await).await;
    let world = &mut world;
    service(world, "start").await;
    until(world, "False True False Applied: equals ").await;
    let mut status = counts(world, 1).await;
    status["conditions"] = json!([
        {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"},
        {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "denied: canary-5b-quota"},
    ]);
    patch(world, &deployment(world), status).await;
    let stuck = "1 of 2 available, no progress for 600 s: no pods can be made: FailedCreate";
    until(world, "False False True CheckFailed").await;
    until(world, &format!("; Deployment/api: {stuck}")).await;
    let waited = world.run("osier wait --environment staging").await;
    assert_eq!(waited.status.code(), Some(1), "{waited:?}");
    assert!(String::from_utf8_lossy(&waited.stdout).contains("✗ staging CheckFailed: equals "), "{waited:?}");
    a_commit_elsewhere_waits_for_what_is_there(world).await;

    let head = push(world, "debug").await;
    until(world, &format!("False False True CheckFailed: equals {head}; Deployment/api: {stuck}")).await;
    let waited = world.run("osier wait --environment staging --applied").await;
    assert_eq!(waited.status.code(), Some(0), "{waited:?}");
    available(world, 2).await;
    until(world, &format!("True False False Applied: equals {head}")).await;
    let waited = world.run("osier wait --environment staging HEAD~1").await;
    assert_eq!(waited.status.code(), Some(0), "the older one is in it: {waited:?}");
    world.scan().await;
}

/// The status may name it a minute later; the answer is the same before.
async fn a_commit_elsewhere_waits_for_what_is_there(world: &mut World) {
    write(world, "README.md", "nothing of staging\n");
    world.push("a note").await;
    for (command, code, says) in
        [("osier wait", 1, "✗ staging CheckFailed: equals "), ("osier wait --applied", 0, "✓ staging stays at ")]
    {
        let waited = world.run(command).await;
        assert_eq!(waited.status.code(), Some(code), "{waited:?}");
        assert!(String::from_utf8_lossy(&waited.stdout).contains(says), "{waited:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_else_uses_what_changes_is_told() {
    let mut world = world(Server::sandbox().await).await;
    let world = &mut world;
    let theirs = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "legacy"},
        "spec": {"selector": {"matchLabels": {"app": "legacy"}}, "template": {"metadata": {"labels": {"app": "legacy"}},
            "spec": {"containers": [{"name": "web", "image": "i:1", "envFrom": [{"configMapRef": {"name": "app"}}]}]}}}});
    let path = format!("/apis/apps/v1/namespaces/{}/deployments", world.name("shop-staging"));
    assert_eq!(world.ask(Method::POST, &path, Some(&theirs)).await.0, 201);
    service(world, "start").await;
    until(world, "False True False Applied: equals ").await;
    push(world, "debug").await;
    let wanted = "Deployment/legacy uses ConfigMap/app, which changed; it is not osier's to restart";
    let begun = Instant::now();
    let path = format!("/api/v1/namespaces/{}/events", world.name("shop"));
    loop {
        let (_, events) = world.ask(Method::GET, &path, None).await;
        if events["items"].as_array().into_iter().flatten().any(|event| event["message"] == wanted) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{events}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deployment_controller_and_its_pods_are_followed() {
    let mut world = world(Server::real()).await;
    let world = &mut world;
    service(world, "start").await;
    until(world, "False True False Applied: equals ").await;
    until(world, "waiting for Deployment/api: 0 of 2 available").await;
    let path = format!("/api/v1/namespaces/{}/pods", world.name("shop-staging"));
    let pods = async || {
        let (_, pods) = world.ask(Method::GET, &path, None).await;
        let names = pods["items"].as_array().cloned().unwrap_or_default();
        names.iter().filter_map(|pod| Some(format!("{path}/{}", pod["metadata"]["name"].as_str()?))).collect()
    };
    let pods: Vec<String> = pods().await;
    assert_eq!(pods.len(), 2);
    patch(world, &pods[0], waiting("ErrImagePull")).await;
    until(world, "0 of 2 available: ErrImagePull in web").await;
    for pod in &pods {
        patch(world, pod, running()).await;
    }
    until(world, "True False False Applied: equals ").await;
    world.scan().await;
}
