//! The chart on a real control plane of its own: helm installs it as an administrator does.

use std::fs;
use std::process::Command;

use http::Method;
use serde_json::{Value, json};

use crate::chart::CHART;
use crate::rights::{create, run};
use crate::scenarios::world::World;
use crate::support::control_plane::{ControlPlane, User};
use crate::support::server::{self, Answer, Server};

/// Where osier itself is.
pub const OWN: &str = "osier-system";
/// The account of the protected lane.
pub const ACCOUNT: &str = "system:serviceaccount:osier-system:osier-protected";
/// A column that the release before did not have.
const NEW_COLUMN: &str = "    - jsonPath: .status.commit\n      name: Commit\n      type: string\n";
/// A kind that environments may have and not every server has.
const ROUTES: &str = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: httproutes.gateway.networking.k8s.io
  annotations: {api-approved.kubernetes.io: unapproved}
spec:
  group: gateway.networking.k8s.io
  names: {kind: HTTPRoute, plural: httproutes}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

/// A world with the chart in it, as an older release left it and today's has brought it up to date, and the service's account in use.
pub async fn world(people: &Value) -> World {
    let mut world = World::new(Server::Real(ControlPlane::another())).await;
    world.account = User::person(ACCOUNT);
    copies_of_the_chart(&world);
    let namespaces = ["shop-staging", "shop-production"].map(|name| world.name(name));
    let home = world.name("shop");
    let repository = json!({"home": home, "namespaces": namespaces, "people": people});
    let kinds = json!([{"group": "example.com", "plurals": ["widgets"]}]);
    write_values(&world, &json!({"repositories": {home: repository}, "kinds": kinds}));
    create(&mut world, ROUTES).await;
    run(&mut world, "kubectl wait --for condition=established crd/httproutes.gateway.networking.k8s.io").await;
    run(&mut world, "kubectl create namespace osier-system").await;
    run(&mut world, "kubectl label namespace osier-system pod-security.kubernetes.io/enforce=restricted").await;
    // the definitions are there already: somebody applied `osier generate crds`
    upgrade(&mut world, "old --take-ownership").await;
    assert_eq!(column(&mut world).await, "");
    upgrade(&mut world, "new").await;
    assert_eq!(column(&mut world).await, ".status.commit");
    let token = run(&mut world, "kubectl create token osier-protected -n osier-system").await;
    write_kubeconfig(&world, "service", token.trim());
    world
}

/// `helm upgrade --install` of one of the copies, with the values as they are.
pub async fn upgrade(world: &mut World, copy_and_flags: &str) {
    let command = "helm upgrade --install osier -n osier-system --values ../outside/values.json ../outside";
    run(world, &format!("{command}/{copy_and_flags}")).await;
}

/// The values of the next upgrade.
pub fn write_values(world: &World, values: &Value) {
    fs::write(world.path("outside/values.json"), values.to_string()).unwrap();
}

/// One request in somebody's name.
pub async fn ask_as(world: &World, account: &str, method: Method, path: &str, body: &Value) -> Answer {
    let client = world.server.client(&User::admin()).await;
    let content = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
    let headers = [("content-type", content), ("impersonate-user", account)];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    server::request(&client, method, path, &headers, body).await
}

/// Whether somebody has a right; the resource is `group/name`, with its subresource if there is one.
pub async fn may(world: &World, user: &str, verb: &str, resource: &str, namespace: &str) -> bool {
    let (group, resource) = resource.split_once('/').unwrap();
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let asked =
        json!({"namespace": namespace, "verb": verb, "group": group, "resource": resource, "subresource": subresource});
    let kind = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"});
    let review = json!({"apiVersion": kind["apiVersion"], "kind": kind["kind"],
        "spec": {"user": user, "resourceAttributes": asked}});
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let (status, answer) = world.ask(Method::POST, path, Some(&review)).await;
    assert_eq!(status, 201, "{answer}");
    answer["status"]["allowed"].as_bool().unwrap()
}

/// Today's chart, and one of an older version.
fn copies_of_the_chart(world: &World) {
    for copy in ["old", "new"] {
        let place = world.path("outside").join(copy);
        assert!(Command::new("cp").arg("-r").arg(CHART).arg(&place).status().unwrap().success());
    }
    let change = |file: &str, from: &str, to: &str| {
        let path = world.path("outside/old").join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has {from}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
    };
    change("files/crds.yaml", NEW_COLUMN, "");
    change("Chart.yaml", &format!("version: {}", env!("CARGO_PKG_VERSION")), "version: 0.0.1");
}

async fn column(world: &mut World) -> String {
    let columns = "{.spec.versions[0].additionalPrinterColumns[?(@.name==\"Commit\")].jsonPath}";
    run(world, &format!("kubectl get crd environments.osier.dev -o jsonpath='{columns}'")).await
}

/// The kubeconfig of a service of that name, with a token of its service account.
pub fn write_kubeconfig(world: &World, name: &str, token: &str) {
    let admin = fs::read_to_string(world.server.kubeconfig(&world.user)).unwrap();
    let mut kubeconfig: Value = serde_json::from_str(&admin).unwrap();
    kubeconfig["users"][0]["user"] = json!({"token": token});
    fs::write(world.path(&format!("kubeconfig-{name}")), kubeconfig.to_string()).unwrap();
}
