//! Outages: what is repeated, what a repeated write whose first answer was lost comes to, and what each error is called.

use http::Method;
use osier::cluster::write::StepOutcome;
use osier::model::reason::{Reason, Retry};
use osier::planning::plan::{Step, Verb};
use osier::sandbox::faults::{Action, Fault, Match};
use serde_json::{Value, json};

use crate::cluster::world::{World, deployment};
use crate::support::server::Server;

async fn sandbox() -> World {
    World::new(Server::sandbox().await).await
}

fn fault(world: &World, on: Match, action: Action) {
    let Server::Sandbox(loopback) = &world.server else { panic!("faults are the sandbox's") };
    loopback.sandbox.set_faults(vec![Fault { on, action }]);
}

fn no_fault(world: &World) {
    let Server::Sandbox(loopback) = &world.server else { panic!("faults are the sandbox's") };
    loopback.sandbox.set_faults(Vec::new());
}

#[tokio::test]
async fn every_write_survives_a_lost_answer() {
    let mut runs = Vec::new(); // side by side, because each waits a moment before it tries again
    for kind in ["ConfigMap", "Deployment"] {
        for verb in [Verb::Create, Verb::Update, Verb::Adopt, Verb::Recreate, Verb::Delete] {
            for action in [
                Action::CommitThenBreak,
                Action::CommitThen(504),
                Action::Break,
                Action::Refuse(503),
                Action::Refuse(429),
            ] {
                for request in 1..=4 {
                    runs.push(lost(kind, verb, request, action.clone()));
                }
            }
        }
    }
    futures::future::join_all(runs).await;
}

/// Runs one step, of which one request meets a fault, and checks that all is as without it.
async fn lost(kind: &str, verb: Verb, request: usize, action: Action) {
    let world = &sandbox().await;
    let about = format!("{kind} {verb:?} {request} {action:?}");
    let object = world.object(kind, "a");
    let manifest = |text: &str| match kind {
        "ConfigMap" => world.manifest(kind, "a", json!({}), &[("k", text)]),
        _ => world.manifest(kind, "a", deployment(1, &[("A", text)]), &[]),
    };
    match verb {
        Verb::Create => {}
        Verb::Adopt => {
            let mut body = if kind == "ConfigMap" { json!({"data": {"k": "0"}}) } else { deployment(1, &[("A", "0")]) };
            body["metadata"] = json!({"name": "a"});
            world.post("helm", &object, body).await;
        }
        _ => drop(world.write(Verb::Create, manifest("0"), "v1.a").await),
    }
    let step = world.step(verb, &object, if verb == Verb::Delete { "" } else { "v1.b" }).await;
    fault(world, Match::Nth(request), action);
    let (outcome, _) = world.run(step, Some(manifest("1"))).await;
    no_fault(world);
    assert!(matches!(outcome, StepOutcome::Done { .. }), "{about}: {outcome:?}");
    if verb == Verb::Delete {
        assert_eq!(world.live(&object).await, None, "{about}");
        return;
    }
    let live = world.live(&object).await.expect("it is there");
    assert!(live.ownership.is_ours(), "{about}");
    assert_eq!((live.stamps.inputs.as_deref(), &*live.remarks().drift), (Some("v1.b"), &[][..]), "{about}");
}

#[tokio::test]
async fn an_outage_that_lasts_is_said_and_ends() {
    for (code, reason, retry) in [
        (500, Reason::ServerUnavailable, Retry::Later),
        (503, Reason::ServerUnavailable, Retry::Later),
        (429, Reason::ServerUnavailable, Retry::Later),
        (403, Reason::Forbidden, Retry::Never),
        (401, Reason::Forbidden, Retry::Never),
    ] {
        let world = sandbox().await;
        let object = world.object("ConfigMap", "a");
        let step = world.step(Verb::Create, &object, "v1.a").await;
        let call = Match::Call { verb: "create", resource: "configmaps".to_owned(), name: None };
        fault(&world, call, Action::Refuse(code));
        let (outcome, requests) = world.run(step, Some(world.manifest("ConfigMap", "a", json!({}), &[]))).await;
        let StepOutcome::Failed { reason: said, retry: later, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!((said, later), (reason, retry), "{code}");
        assert_eq!(requests, if reason == Reason::Forbidden { 1 } else { 5 }, "{code}");
    }
}

#[tokio::test]
async fn a_list_that_fails_is_no_list() {
    let world = sandbox().await;
    world.write(Verb::Create, world.manifest("ConfigMap", "a", json!({}), &[]), "v1.a").await;
    let kinds = [osier::model::object::Kind::new("", "ConfigMap")].into();
    let call = Match::Call { verb: "list", resource: "configmaps".to_owned(), name: None };
    fault(&world, call, Action::Refuse(500));
    let error = world.cluster.live(&world.namespace, &kinds, crate::cluster::world::ID).await.unwrap_err();
    assert_eq!((error.reason(), error.retry()), (Reason::ServerUnavailable, Retry::Later));
}

#[tokio::test]
async fn a_list_goes_through_all_pages() {
    for world in World::both().await {
        let of = |number| world.manifest("ConfigMap", &format!("a-{number}"), json!({}), &[("k", "v")]);
        let manifests: Vec<_> = (0..600).map(of).collect();
        let first = world.step(Verb::Create, &manifests[0].object, "v1.a").await;
        let create = |object| Step { object, ..first.clone() };
        let steps = manifests.iter().map(|manifest| create(manifest.object.clone())).collect();
        let before = world.cluster.requests().get("post").copied().unwrap_or_default();
        let outcome = world.execute(steps, manifests).await;
        assert!(outcome.is_complete());
        assert_eq!(world.cluster.requests()["post"] - before, 600);
        let kinds = [osier::model::object::Kind::new("", "ConfigMap")].into();
        let lists = world.cluster.requests().get("list").copied().unwrap_or_default();
        let live = world.cluster.live(&world.namespace, &kinds, crate::cluster::world::ID).await.unwrap();
        assert!(live.len() >= 600);
        assert_eq!(world.cluster.requests()["list"] - lists, 2);
    }
}

#[tokio::test]
async fn namespaces_are_checked() {
    for world in World::both().await {
        let check = async |repository| {
            world.cluster.check_namespace(&world.namespace, repository).await.map_err(|error| error.reason())
        };
        assert_eq!(check("shop").await, Err(Reason::Forbidden));
        let label = json!({"metadata": {"labels": {"osier.dev/repository": "shop"}}});
        let path = format!("/api/v1/namespaces/{}", world.namespace);
        world.send(Method::PATCH, &path, "application/merge-patch+json", label).await;
        assert_eq!(check("shop").await, Ok(()));
        assert_eq!(check("other").await, Err(Reason::NameTaken));
        let missing = world.cluster.check_namespace("no-such", "shop").await.unwrap_err();
        assert_eq!(missing.reason(), Reason::NamespaceMissing);
        let finalized = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "f", "finalizers": ["osier.dev/test"]}});
        world.post("x", &world.object("ConfigMap", "f"), finalized).await;
        world.send(Method::DELETE, &path, "application/json", Value::Null).await;
        assert_eq!(check("shop").await, Err(Reason::NamespaceTerminating));
        let object = world.object("ConfigMap", "a");
        let step = world.step(Verb::Create, &object, "v1.a").await;
        let (outcome, _) = world.run(step, Some(world.manifest("ConfigMap", "a", json!({}), &[]))).await;
        assert!(matches!(outcome, StepOutcome::Failed { reason: Reason::NamespaceTerminating, .. }), "{outcome:?}");
        world.edit("x", &world.object("ConfigMap", "f"), json!({"metadata": {"finalizers": null}})).await;
    }
}

#[tokio::test]
async fn a_quota_is_called_a_quota() {
    let world = World::new(Server::real()).await;
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"count/secrets": "0"}}});
    world.post("x", &world.object("ResourceQuota", "none"), quota).await;
    // admission hears of it on its own way, and later than the object shows a status
    let dry_run = format!("{}?dryRun=All&fieldManager=x", world.path(&world.object("Secret", "b")));
    let body = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b"}});
    while world.ask(Method::PATCH, &dry_run, "application/apply-patch+yaml", body.clone()).await.status != 403 {
        tokio::task::yield_now().await;
    }
    let object = world.object("Secret", "a");
    let step = world.step(Verb::Create, &object, "v1.a").await;
    let (outcome, _) = world.run(step, Some(world.manifest("Secret", "a", json!({}), &[("k", "hunter2")]))).await;
    let StepOutcome::Failed { reason, message, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!((reason, message.as_str()), (Reason::QuotaExceeded, "the API server answers 403 Forbidden"));
}
