//! What the lane of branches may do to namespaces: RBAC and the admission policy of the chart together.

use std::fs;
use std::time::{Duration, Instant};

use http::Method;
use osier::model::record::{Record, RecordSpec};
use serde_json::{Value, json};

use crate::chart::installed::{ask_as, may, upgrade, write_values};
use crate::chart::people;
use crate::cluster::own::record as first_record;
use crate::receiver::world::SECRET_NAME;
use crate::rights::run;
use crate::scenarios::world::World;
use crate::support::server::PATIENCE;

/// The account of the lane.
pub const ACCOUNT: &str = "system:serviceaccount:osier-system:osier-branches";
/// What users copy into their repository.
pub const TEMPLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/branch-namespace");
/// Where namespaces are made.
pub const NAMESPACES: &str = "/api/v1/namespaces";

fn namespace(name: &str, labels: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

fn binding(role: &str, subject: &Value) -> Value {
    let group = "rbac.authorization.k8s.io";
    json!({"apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": {"name": "tried"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role}, "subjects": [subject]})
}

/// The first record of an environment.
fn record(environment: &str) -> Value {
    let spec = RecordSpec { environment: environment.to_owned(), ..first_record(1) };
    let mut record = serde_json::to_value(Record::new(&format!("{environment}-1"), spec)).unwrap();
    record.as_object_mut().unwrap().remove("status");
    record
}

fn records(home: &str) -> String {
    format!("/apis/osier.dev/v1alpha1/namespaces/{home}/records")
}

fn bindings(namespace: &str) -> String {
    format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings?dryRun=All")
}

/// Installs a lane of branches and tries what it must not be able to do.
pub async fn a_lane_of_branches_keeps_to_its_namespaces(world: &mut World) {
    let subjects = ["group:shop-developers".to_owned(), world.name("group:shop-developers")];
    let lane = json!({"keys": "k", "prefixes": ["trial", world.name("shop-b")], "subjects": subjects});
    let home = world.name("shop");
    let repository = json!({"home": home, "namespaces": [world.name("shop-staging")], "people": people::subjects(),
        "webhookSecret": SECRET_NAME});
    let values =
        json!({"repositories": {"shop": repository}, "lanes": {"branches": lane}, "receiver": {"enabled": true}});
    write_values(world, &values);
    upgrade(world, "new").await;
    in_force(world, &home).await;
    let ours = json!({"osier.dev/environment": "a"});
    let created = ask_as(world, ACCOUNT, Method::POST, NAMESPACES, &namespace("trial-one", &ours)).await;
    assert_eq!(created.status, 201, "{created:?}");
    run(world, "kubectl create namespace foreign && kubectl create namespace trial-foreign").await;
    tried(world, &ours).await;
    only_its_own_books(world, &home).await;
    the_template_is_accepted_and_the_author_sees_no_secret(world).await;
}

async fn tried(world: &World, ours: &Value) {
    let own = json!({"kind": "ServiceAccount", "name": "osier-branches", "namespace": "osier-system"});
    let eve = json!({"kind": "User", "name": "eve", "apiGroup": "rbac.authorization.k8s.io"});
    let group = |name: &str| json!({"kind": "Group", "name": name, "apiGroup": "rbac.authorization.k8s.io"});
    let delete = |name: &str| format!("{NAMESPACES}/{name}?dryRun=All");
    let staging = world.name("shop-staging");
    let existing = bindings(&staging);
    let cases = [
        (201, Method::POST, bindings("trial-one"), binding("osier-environment", &own)),
        (201, Method::POST, bindings("trial-one"), binding("osier-environment-user", &group("shop-developers"))),
        (200, Method::DELETE, delete("trial-one"), Value::Null),
        (403, Method::POST, NAMESPACES.to_owned(), namespace("other", ours)),
        (403, Method::POST, NAMESPACES.to_owned(), namespace("trialled", ours)),
        (403, Method::POST, NAMESPACES.to_owned(), namespace("trial-two", &json!({}))),
        (403, Method::DELETE, delete("foreign"), Value::Null),
        (403, Method::DELETE, delete("trial-foreign"), Value::Null),
        (403, Method::DELETE, delete("kube-system"), Value::Null),
        (403, Method::DELETE, delete(&staging), Value::Null),
        (403, Method::PATCH, delete("trial-one"), json!({})),
        (403, Method::POST, bindings("trial-one"), binding("cluster-admin", &own)),
        (403, Method::POST, bindings("trial-one"), binding("osier-environment", &eve)),
        (403, Method::POST, bindings("trial-one"), binding("osier-environment-user", &group("system:authenticated"))),
        (403, Method::POST, bindings("kube-system"), binding("osier-environment", &own)),
        (403, Method::POST, bindings(&staging), binding("osier-environment", &own)),
        (403, Method::DELETE, existing.replace('?', "/osier-environment?"), Value::Null),
        (403, Method::PATCH, existing.replace('?', "/osier-environment?"), json!({"subjects": [eve]})),
        (403, Method::GET, "/api/v1/secrets".to_owned(), Value::Null),
        (403, Method::GET, format!("{NAMESPACES}/{staging}/secrets"), Value::Null),
        (403, Method::GET, format!("{NAMESPACES}/osier-system/secrets/k"), Value::Null),
    ];
    for (status, method, path, body) in cases {
        let answer = ask_as(world, ACCOUNT, method.clone(), &path, &body).await;
        assert_eq!(answer.status, status, "{method} {path} {body}: {answer:?}");
    }
}

async fn only_its_own_books(world: &World, home: &str) {
    let records = records(home);
    let (status, made) = world.ask(Method::POST, &records, Some(&record("production"))).await;
    assert_eq!(status, 201, "{made}");
    let status = json!({"status": {"result": "Failed"}});
    for (environment, created, other) in [("trial-one", 201, 200), ("production", 403, 403)] {
        let own = format!("{records}/{environment}-1");
        let answer = ask_as(world, ACCOUNT, Method::POST, &records, &record(environment)).await;
        assert_eq!(answer.status, created, "{environment}: {answer:?}");
        for (method, path, body) in
            [(Method::PATCH, format!("{own}/status"), &status), (Method::DELETE, own.clone(), &Value::Null)]
        {
            let answer = ask_as(world, ACCOUNT, method.clone(), &path, body).await;
            assert_eq!(answer.status, other, "{method} {path}: {answer:?}");
        }
    }
}

/// Policies take a moment, each its own.
async fn in_force(world: &World, home: &str) {
    let begun = Instant::now();
    let forbidden = [
        (format!("{NAMESPACES}?dryRun=All"), namespace("other", &json!({}))),
        (format!("{}?dryRun=All", records(home)), record("production")),
    ];
    for (path, body) in forbidden {
        while ask_as(world, ACCOUNT, Method::POST, &path, &body).await.status != 403 {
            assert!(begun.elapsed() < PATIENCE, "the policy is not in force");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// `policies/branch-namespace`, as a server takes it.
async fn the_template_is_accepted_and_the_author_sees_no_secret(world: &mut World) {
    for entry in fs::read_dir(TEMPLATE).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap().replace("${osier.namespace}", "trial-one");
        fs::write(world.path("outside/template.yaml"), text).unwrap();
        let apply = "apply --server-side --force-conflicts -n trial-one -f ../outside/template.yaml";
        let output = world.run(&format!("kubectl {apply}")).await;
        assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
    }
    let group = "--as ann --as-group shop-developers -n trial-one";
    for (verb, wanted) in [
        ("get pods --subresource log", true),
        ("create pods --subresource exec", true),
        ("create pods --subresource portforward", true),
        ("get secrets", false),
        ("delete pods", false),
        ("create rolebindings", false),
    ] {
        let output = world.run(&format!("kubectl auth can-i {verb} {group}")).await;
        assert_eq!(output.status.success(), wanted, "{verb}: {}", String::from_utf8_lossy(&output.stdout));
    }
    assert!(!may(world, "ann", "get", "/pods", "trial-one").await, "without the group");
}
