//! The harness itself: what it counts is what was asked.

use http::Method;
use kube::api::{Api, ListParams, PostParams};
use serde_json::json;

use crate::support::control_plane::{ControlPlane, User};
use crate::support::server::{self, Server};

#[tokio::test]
async fn the_audit_log_has_every_request_of_a_user_and_no_others() {
    let server = Server::real();
    let namespace = server.namespace().await;
    let user = User::powerful("harness-audit");
    let client = server.client(&user).await;
    let config_maps: Api<k8s_openapi::api::core::v1::ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let object = serde_json::from_value(json!({"metadata": {"name": "a"}})).unwrap();
    config_maps.create(&PostParams::default(), &object).await.unwrap();
    config_maps.list(&ListParams::default()).await.unwrap();
    let missing = format!("/api/v1/namespaces/{namespace}/secrets/missing");
    server::request(&client, Method::GET, &missing, &[], String::new()).await;

    let audit = ControlPlane::shared().audit(&user).await;
    let seen: Vec<(&str, &str, &str, u64)> =
        audit.iter().map(|line| (line.verb.as_str(), line.resource.as_str(), line.name.as_str(), line.code)).collect();
    let expected =
        [("create", "configmaps", "a", 201), ("list", "configmaps", "", 200), ("get", "secrets", "missing", 404)];
    assert_eq!(seen, expected);
    assert!(audit.iter().all(|line| line.namespace == namespace && line.user == user.name));
}

#[tokio::test]
async fn kubectl_talks_to_the_real_server_with_the_kubeconfig_of_a_user() {
    let server = Server::real();
    let namespace = server.namespace().await;
    let output = std::process::Command::new(crate::support::programs::program("kubectl"))
        .arg("--kubeconfig")
        .arg(server.kubeconfig(&User::admin()))
        .args(["get", "namespace", &namespace, "-o", "name"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("namespace/{namespace}\n"), "{output:?}");
}
