//! What somebody else does to our objects shows in the metadata, and one update puts it right for good.

use http::Method;
use osier::model::object::ObjectId;
use osier::planning::live::Drift;
use osier::planning::plan::Verb;
use serde_json::{Value, json};

use crate::cluster::world::{World, deployment};

/// True if the drift is what the edit should show as.
type Shows = fn(&[Drift]) -> bool;

async fn a_config_map(world: &World) -> ObjectId {
    world.write(Verb::Create, manifest(world), "v1.a").await;
    world.object("ConfigMap", "app")
}

fn manifest(world: &World) -> osier::desired::manifest::Manifest {
    let body = json!({"metadata": {"labels": {"team": "a"}}});
    world.manifest("ConfigMap", "app", body, &[("A", "1"), ("B", "2")])
}

async fn repaired(world: &World, object: &ObjectId, requests: u64) {
    let taken = world.write(Verb::Update, manifest(world), "v1.a").await;
    assert!(taken <= requests, "{taken} requests on {}", world.server.name());
    world.settled(object).await;
    let whole = world.get(object).await;
    assert_eq!(whole["data"], json!({"A": "1", "B": "2"}));
    assert_eq!(whole["metadata"]["labels"], json!({"team": "a", "osier.dev/environment": crate::cluster::world::ID}));
}

#[tokio::test]
async fn each_edit_of_a_config_map_shows_and_is_repaired() {
    let edits: [(&str, Value, Shows, u64); 6] = [
        ("a value", json!({"data": {"A": "hand"}}), |drift| drift.contains(&Drift::Fields), 1),
        ("a key more", json!({"data": {"C": "hand"}}), |drift| drift.contains(&Drift::Fields), 1),
        ("a key less", json!({"data": {"A": null}}), |drift| drift == [Drift::Fields], 1),
        (
            "our label",
            json!({"metadata": {"labels": {"osier.dev/environment": "x"}}}),
            |drift| drift.contains(&Drift::Label),
            1,
        ),
        (
            "our annotation",
            json!({"metadata": {"annotations": {"osier.dev/environment": null}}}),
            |drift| drift.contains(&Drift::Annotation),
            1,
        ),
        ("a label of git", json!({"metadata": {"labels": {"team": null}}}), |drift| drift == [Drift::Fields], 1),
    ];
    for (what, edit, shows, requests) in edits {
        for world in World::both().await {
            let object = a_config_map(&world).await;
            world.edit("kubectl-edit", &object, edit.clone()).await;
            let live = world.live(&object).await.unwrap();
            assert!(shows(&live.remarks().drift), "{what} on {}: {:?}", world.server.name(), live.remarks().drift);
            repaired(&world, &object, requests).await;
        }
    }
}

#[tokio::test]
async fn reset_managed_fields_are_restored_by_the_repair() {
    for world in World::both().await {
        let object = a_config_map(&world).await;
        world.edit("x", &object, json!({"metadata": {"managedFields": [{}]}})).await;
        assert_eq!(world.live(&object).await.unwrap().remarks().drift, [Drift::Entry, Drift::Fields]);
        repaired(&world, &object, 2).await;
    }
}

#[tokio::test]
async fn string_data_shows_and_is_repaired() {
    for world in World::both().await {
        let object = world.object("Secret", "db");
        let manifest = || world.manifest("Secret", "db", json!({"type": "Opaque"}), &[("k", "v")]);
        world.write(Verb::Create, manifest(), "v1.a").await;
        let body =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "stringData": {"k": "theirs"}});
        let path = format!("{}?fieldManager=other&force=true", world.path(&object));
        world.send(Method::PATCH, &path, "application/apply-patch+yaml", body).await;
        assert_eq!(world.get(&object).await["data"], json!({"k": "dGhlaXJz"}));
        let drift = world.live(&object).await.unwrap().remarks().drift.clone();
        assert!(drift.contains(&Drift::StringData("other".to_owned())), "{drift:?} on {}", world.server.name());
        world.write(Verb::Update, manifest(), "v1.a").await;
        world.settled(&object).await;
        assert_eq!(world.get(&object).await["data"], json!({"k": "dg=="}));
    }
}

#[tokio::test]
async fn edits_of_a_workload_show_and_are_repaired() {
    for world in World::both().await {
        let object = world.object("Deployment", "d");
        let manifest = || world.manifest("Deployment", "d", deployment(1, &[("A", "1")]), &[]);
        world.write(Verb::Create, manifest(), "v1.a").await;
        let path = "/spec/template/spec/containers/0";
        for operation in [
            json!({"op": "replace", "path": format!("{path}/image"), "value": "hand"}),
            json!({"op": "remove", "path": format!("{path}/env")}),
        ] {
            let target = format!("{}?fieldManager=kubectl-edit", world.path(&object));
            world.send(Method::PATCH, &target, "application/json-patch+json", json!([operation])).await;
            let drift = world.live(&object).await.unwrap().remarks().drift.clone();
            assert!(drift.contains(&Drift::Fields), "{drift:?} on {}", world.server.name());
            world.write(Verb::Update, manifest(), "v1.a").await;
            world.settled(&object).await;
            let container = world.get(&object).await["spec"]["template"]["spec"]["containers"][0].clone();
            assert_eq!(container["image"], "registry.example/app:1");
            assert_eq!(container["env"], json!([{"name": "A", "value": "1"}]));
        }
    }
}
