//! The admission policies, which only a real API server evaluates: who writes what, in whose name.

use http::Method;
use osier::cluster::Cluster;
use osier::cluster::admission::admission;
use osier::model::asked::{Answer, Question};
use osier::model::environment::{EnvironmentStatus, Lane};
use osier::model::reason::Reason;
use serde_json::{Value, json};

use crate::cluster::own::{install, record};
use crate::cluster::world::World;
use crate::support::control_plane::User;
use crate::support::server::{self, PATIENCE, Server};

/// Grants `person` everything that RBAC can split, and the made-up verbs that are named.
async fn grant(world: &World, person: &str, verbs: &[&str]) {
    let namespace = &world.namespace;
    let rules = json!([
        {"apiGroups": ["osier.dev"], "resources": ["*"], "verbs": ["get", "list", "create", "update", "patch", "delete"]},
        {"apiGroups": ["osier.dev"], "resources": ["environments"], "verbs": verbs},
    ]);
    let root = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}");
    let meta = json!({"name": person});
    world
        .send(Method::POST, &format!("{root}/roles"), "application/json", json!({"metadata": meta, "rules": rules}))
        .await;
    let binding = json!({"metadata": meta, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": person},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": person}]});
    world.send(Method::POST, &format!("{root}/rolebindings"), "application/json", binding).await;
}

/// A world with definitions and policies in force.
async fn world() -> World {
    let world = World::new(Server::real()).await;
    install(&world).await;
    for mut object in admission() {
        if object["kind"] == "ValidatingAdmissionPolicyBinding" {
            let here = json!({"matchLabels": {"kubernetes.io/metadata.name": world.namespace}}); // other tests run beside this one
            object["spec"]["matchResources"] = json!({"namespaceSelector": here});
        }
        let plural = format!("{}s", object["kind"].as_str().unwrap().to_lowercase()).replace("policys", "policies");
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let path = format!("/apis/admissionregistration.k8s.io/v1/{plural}/{name}?fieldManager=test&force=true");
        world.send(Method::PATCH, &path, "application/apply-patch+yaml", object).await;
    }
    world
}

async fn as_person(world: &World, name: &str) -> Cluster {
    Cluster::new(world.server.client(&User::person(name)).await)
}

#[tokio::test]
async fn people_speak_in_their_own_name_and_only_osier_writes_the_rest() {
    let world = world().await;
    let home = world.namespace.clone();
    for (person, verbs) in [
        ("policies-ann", &["hold", "approve"][..]),
        ("policies-bob", &["suspend"]),
        ("policies-osier", &["record-protected"]),
        ("policies-branches", &["record-branches"]),
        ("policies-dev", &["extend"]),
    ] {
        grant(&world, person, verbs).await;
    }
    let [ann, osier] = [as_person(&world, "policies-ann").await, as_person(&world, "policies-osier").await];
    in_force(&world, &ann, &osier).await;

    let environment = osier.create_environment(&home, "shop", "staging", Lane::Protected).await.unwrap();
    let refused = osier.create_environment(&home, "shop", "feature", Lane::Branches).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::Forbidden, "the verb of another lane");
    let claimed = osier.claim_record(&home, "shop", record(1)).await.unwrap();
    assert_eq!(ann.claim_record(&home, "shop", record(2)).await.unwrap_err().reason(), Reason::Forbidden);
    assert_eq!(
        ann.complete_record(&claimed, &osier::model::record::RecordStatus::default()).await.unwrap_err().reason(),
        Reason::Forbidden
    );
    let status = EnvironmentStatus { commit: "c".to_owned(), ..EnvironmentStatus::default() };
    assert_eq!(ann.write_environment_status(&environment, &status).await.unwrap_err().reason(), Reason::Forbidden);
    osier.write_environment_status(&environment, &status).await.unwrap();

    let hold = |by: &str| json!({"spec": {"hold": {"to": "#1", "by": by, "reason": "r"}}});
    let suspend = |by: &str| json!({"spec": {"suspend": {"by": by, "reason": "r"}}});
    let expires = |by: &str| json!({"spec": {"expires": {"at": "2026-12-01T08:00:00Z", "by": by, "reason": "r"}}});
    let allow = |by: &[&str]| {
        let entries: Vec<Value> = by.iter().map(|by| json!({"digest": "d", "by": by, "reason": "r"})).collect();
        json!({"spec": {"allow": entries}})
    };
    // the garbage collector deletes what is owned by somebody who is not there
    let nobody = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "nobody", "uid": "8a0ad1ea-3a1a-4d3a-9e0c-000000000000"});
    let mut seen = Vec::new();
    for (person, patch) in [
        ("policies-ann", hold("policies-bob")),
        ("policies-ann", hold("policies-ann")),
        ("policies-bob", hold("policies-bob")),
        ("policies-bob", json!({"spec": {"hold": null}})),
        ("policies-ann", suspend("policies-ann")),
        ("policies-bob", suspend("policies-bob")),
        ("policies-ann", allow(&["policies-bob"])),
        ("policies-ann", allow(&["policies-ann"])),
        ("policies-bob", allow(&[])),
        ("policies-bob", json!({"metadata": {"labels": {"osier.dev/lane": "branches"}}})),
        ("policies-bob", json!({"metadata": {"labels": {"osier.dev/repository": "another"}}})),
        ("policies-bob", json!({"metadata": {"annotations": {"osier.dev/ref": "refs/heads/another"}}})),
        ("policies-bob", json!({"metadata": {"ownerReferences": [nobody]}})),
        ("policies-ann", json!({"spec": {"hold": null}})),
        ("policies-bob", json!({"metadata": {"labels": {"team": "x"}}})),
        ("policies-ann", expires("policies-ann")),
        ("policies-dev", expires("policies-ann")),
        ("policies-dev", expires("policies-dev")),
    ] {
        seen.push(patched(&world, person, "staging", &patch).await);
    }
    assert_eq!(
        seen,
        [
            false, true, false, false, false, true, false, true, false, false, false, false, false, true, true, false,
            false, true
        ]
    );
    plans_are_asked_for_in_ones_own_name(&world, &ann, &osier).await;
    each_lane_deletes_its_own(&world, &osier).await;
}

async fn each_lane_deletes_its_own(world: &World, protected: &Cluster) {
    let home = &world.namespace;
    let branches = as_person(world, "policies-branches").await;
    let of_branch = branches.create_environment(home, "shop", "feature", Lane::Branches).await.unwrap();
    assert_eq!(protected.delete_environment(&of_branch).await.unwrap_err().reason(), Reason::Forbidden);
    branches.delete_environment(&of_branch).await.unwrap();
    let staging = branches.environment(home, "staging").await.unwrap().unwrap();
    assert_eq!(branches.delete_environment(&staging).await.unwrap_err().reason(), Reason::Forbidden);
    // who is no account of osier deletes what RBAC lets him
    as_person(world, "policies-bob").await.delete_environment(&staging).await.unwrap();
}

async fn plans_are_asked_for_in_ones_own_name(world: &World, ann: &Cluster, osier: &Cluster) {
    let home = &world.namespace;
    let question = |by: &str| Question { environment: "staging".to_owned(), to: String::new(), by: by.to_owned() };
    let refused = async {
        while ann.ask_plan(home, "shop", &question("policies-bob")).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("the policy is in force in time");
    let error = ann.ask_plan(home, "shop", &question("policies-bob")).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Forbidden);
    let asked = ann.ask_plan(home, "shop", &question("policies-ann")).await.unwrap();
    let answer = Answer { expires_at: Some("2026-11-21T07:00:00Z".to_owned()), ..Answer::default() };
    assert_eq!(ann.answer_plan(&asked, &answer).await.unwrap_err().reason(), Reason::Forbidden);
    osier.answer_plan(&asked, &answer).await.unwrap();
}

/// Policies take a moment until they are in force, each its own.
async fn in_force(world: &World, ann: &Cluster, osier: &Cluster) {
    let home = &world.namespace;
    let refused = async {
        let mut number = 1_000;
        let environment = |number: u64| format!("probe-{number}");
        while is_done(ann.create_environment(home, "shop", &environment(number), Lane::Protected).await) {
            number += 1;
        }
        osier.create_environment(home, "shop", &environment(0), Lane::Protected).await.unwrap();
        let forged = json!({"spec": {"hold": {"to": "#1", "by": "policies-bob", "reason": "r"}}});
        while patched(world, "policies-ann", &environment(0), &forged).await {}
        while is_done(ann.claim_record(home, "shop", record(number)).await) {
            number += 1;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("the policies are in force in time");
}

/// False if it was refused.
fn is_done<T>(answer: Result<T, osier::cluster::error::Error>) -> bool {
    !matches!(answer, Err(error) if error.reason() == Reason::Forbidden)
}

/// Changes an environment as somebody; false if that was refused.
async fn patched(world: &World, person: &str, environment: &str, patch: &Value) -> bool {
    let client = world.server.client(&User::person(person)).await;
    let path = format!("/apis/osier.dev/v1alpha1/namespaces/{}/environments/{environment}", world.namespace);
    let headers = [("content-type", "application/merge-patch+json")];
    let answer = server::request(&client, Method::PATCH, &path, &headers, patch.to_string()).await;
    assert!([200, 403, 422].contains(&answer.status), "{answer:?}");
    answer.status == 200
}
