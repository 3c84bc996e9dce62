//! The API server goes away while the service runs, and comes back: as it was, or as it was before.
//!
//! On a control plane of its own, as nothing else could run beside this.

use std::fs;

use http::Method;
use serde_json::json;

use crate::scenarios::script::File;
use crate::scenarios::service::{ends, service, settle, until};
use crate::scenarios::world::World;
use crate::support::control_plane::ControlPlane;
use crate::support::server::Server;

const CONFIG: &str = "apiVersion: osier.dev/v1alpha1\nkind: Config\nenvironments:\n  staging: {namespace: shop-staging, layers: [base], keys: staging}\n";
const LEVEL: &str = "kubectl get configmap app -n shop-staging -o jsonpath={.data.LOG_LEVEL}";
const RECORDS: &str = "kubectl get records -n shop -o name | wc -l";

/// Commits this level to two ConfigMaps, of which hands will change the second.
async fn push(world: &mut World, level: &str) {
    let object = |name: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{LOG_LEVEL: {level}}}\n")
    };
    let files =
        [("osier.yaml", CONFIG.to_owned()), ("base/app.yaml", object("app")), ("base/other.yaml", object("other"))];
    for (path, content) in files {
        world.write(&File { path: path.to_owned(), encrypted_for: Vec::new(), content });
    }
    world.push(level).await;
}

async fn sees(world: &mut World, command: &str, wanted: &str) {
    let said = until(world, command, wanted).await;
    assert!(said.is_empty(), "{command}: {said}, not {wanted}");
}

/// Somebody writes into the second ConfigMap; the service puts it right.
async fn drift(world: &mut World) {
    let path = format!("/api/v1/namespaces/{}/configmaps/other?fieldManager=somebody", world.name("shop-staging"));
    let (status, before) = world.ask(Method::GET, &path, None).await;
    assert_eq!(status, 200, "{before}");
    let mut edited = before.clone();
    edited["data"] = json!({"LOG_LEVEL": "mine"});
    let (status, said) = world.ask(Method::PUT, &path, Some(&edited)).await;
    assert_eq!(status, 200, "{said}");
    let level = before["data"]["LOG_LEVEL"].as_str().unwrap().to_owned();
    sees(world, "kubectl get configmap other -n shop-staging -o jsonpath={.data.LOG_LEVEL}", &level).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_outlives_the_api_server_and_begins_anew_after_a_restore() {
    let plane = ControlPlane::another();
    let mut world = World::new(Server::Real(plane)).await;
    let world = &mut world;
    push(world, "info").await;
    service(world, "start").await;
    assert_eq!(settle(world, "staging").await, "");

    // killed; what was pushed meanwhile lands, once
    plane.stop();
    plane.keep();
    push(world, "debug").await;
    plane.start();
    sees(world, LEVEL, "debug").await;
    assert_eq!(settle(world, "staging").await, "");
    sees(world, RECORDS, "2").await;
    drift(world).await;

    // taken back to before that push: nothing that it heard, or will hear, can be trusted
    plane.stop();
    plane.restore();
    plane.start();
    let ended = ends(world, "service").await;
    assert!(ended.contains("ended with exit status: 1"), "{ended}");
    let log = fs::read_to_string(world.path("tmp/service.log")).unwrap();
    assert!(log.contains("the API server was restored from a backup"), "{log}");
    sees(world, LEVEL, "info").await;
    service(world, "start").await;
    sees(world, LEVEL, "debug").await;
    assert_eq!(settle(world, "staging").await, "");
    sees(world, RECORDS, "2").await;
    drift(world).await;
    assert_eq!(service(world, "stop").await, "");
    world.scan().await;
}
