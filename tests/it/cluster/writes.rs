//! Create, update, recreate and delete, as they are meant to go, and what each costs.

use http::Method;
use osier::cluster::write::StepOutcome;
use osier::model::reason::Reason;
use osier::planning::plan::{ConfigStamp, Verb};
use serde_json::{Value, json};

use crate::cluster::world::{World, deployment, removed};

#[tokio::test]
async fn a_config_map_takes_one_request_a_step() {
    for world in World::both().await {
        let object = world.object("ConfigMap", "app");
        let labels = json!({"metadata": {"labels": {"team": "a", "old": "x"}}});
        let manifest = world.manifest("ConfigMap", "app", labels, &[("A", "1"), ("B", "2")]);
        assert_eq!(world.write(Verb::Create, manifest, "v1.a").await, 1);
        let live = world.settled(&object).await;
        assert_eq!(live.stamps.inputs.as_deref(), Some("v1.a"));
        assert_eq!(live.stamps.record, Some(1));

        let labels = json!({"metadata": {"labels": {"team": "b"}, "annotations": {"note": "n"}}});
        let manifest = world.manifest("ConfigMap", "app", labels, &[("A", "2")]);
        assert_eq!(world.write(Verb::Update, manifest, "v1.b").await, 1);
        world.settled(&object).await;
        let whole = world.get(&object).await;
        assert_eq!(whole["data"], json!({"A": "2"}));
        assert_eq!(whole["metadata"]["labels"]["team"], "b");
        assert_eq!(whole["metadata"]["labels"]["old"], Value::Null);

        let step = osier::planning::plan::Step { stamps_only: true, ..world.step(Verb::Update, &object, "v1.c").await };
        let (outcome, requests) = world.run(step, None).await;
        assert!(matches!(outcome, StepOutcome::Done { .. }), "{outcome:?}");
        assert_eq!(requests, 1);
        assert_eq!(world.settled(&object).await.stamps.inputs.as_deref(), Some("v1.c"));

        let step = world.step(Verb::Delete, &object, "").await;
        for _ in 0..2 {
            let (outcome, requests) = world.run(step.clone(), None).await;
            assert_eq!((outcome, requests), (StepOutcome::Done { live: None }, 1));
        }
        assert_eq!(world.live(&object).await, None);
    }
}

#[tokio::test]
async fn a_secret_takes_one_request_a_step_and_its_refusals_quote_nothing() {
    for world in World::both().await {
        let object = world.object("Secret", "db");
        let body = || json!({"type": "Opaque"});
        assert_eq!(world.write(Verb::Create, world.manifest("Secret", "db", body(), &[("k", "v")]), "v1.a").await, 1);
        world.settled(&object).await;
        assert_eq!(world.write(Verb::Update, world.manifest("Secret", "db", body(), &[("k", "w")]), "v1.b").await, 1);
        world.settled(&object).await;
        assert_eq!(world.get(&object).await["data"], json!({"k": "dw=="}));

        let step = world.step(Verb::Update, &object, "v1.c").await;
        let manifest = world.manifest("Secret", "db", body(), &[("no key", "hunter2")]);
        let (outcome, _) = world.run(step, Some(manifest)).await;
        let StepOutcome::Failed { reason, message, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(reason, Reason::ProblemsFound);
        assert!(message.starts_with("the API server answers 422 Invalid: data["), "{message}");
        assert!(!message.contains("hunter2") && !message.contains("aHVudGVyMg"), "{message}");

        let step = world.step(Verb::Recreate, &object, "v1.d").await;
        let old = world.live(&object).await.unwrap().uid;
        let (outcome, requests) = world.run(step, Some(world.manifest("Secret", "db", body(), &[("k", "x")]))).await;
        assert!(matches!(outcome, StepOutcome::Done { .. }), "{outcome:?}");
        assert_eq!(requests, 2);
        assert_ne!(world.settled(&object).await.uid, old);
    }
}

#[tokio::test]
async fn what_looks_like_one_that_was_made_before_takes_one_request() {
    for world in World::both().await {
        for (name, least) in [("first", 2), ("second", 1), ("third", 1)] {
            let object = world.object("Deployment", name);
            let manifest = world.manifest("Deployment", name, deployment(1, &[("A", "1")]), &[]);
            let requests = world.write(Verb::Create, manifest, &format!("v1.{name}")).await;
            assert!(
                (least..=least + churn(&world)).contains(&requests),
                "{name} on {}: {requests}",
                world.server.name()
            );
            world.settled(&object).await;
        }
    }
}

#[tokio::test]
async fn a_restart_of_a_workload_takes_one_request() {
    for world in World::both().await {
        let object = world.object("Deployment", "d");
        let manifest = |env: &[(&str, &str)]| world.manifest("Deployment", "d", deployment(1, env), &[]);
        let step = |step: osier::planning::plan::Step, digest: &str| osier::planning::plan::Step {
            config: Some(ConfigStamp { digest: digest.to_owned(), in_template: true }),
            ..step
        };
        let create = step(world.step(Verb::Create, &object, "v1.a").await, "one");
        let (outcome, requests) = world.run(create, Some(manifest(&[("A", "1"), ("B", "2")]))).await;
        assert!(matches!(outcome, StepOutcome::Done { .. }), "{outcome:?}");
        assert!(
            (2..=2 + churn(&world)).contains(&requests),
            "the server's defaults are known only afterwards: {requests}"
        );
        assert!(world.settled(&object).await.created_by_post);

        let restart = step(world.step(Verb::Update, &object, "v1.a").await, "two");
        let (outcome, requests) = world.run(restart, Some(manifest(&[("A", "1"), ("B", "2")]))).await;
        assert!(matches!(outcome, StepOutcome::Done { .. }), "{outcome:?}");
        assert!(requests <= 1 + churn(&world), "{requests}");
        world.settled(&object).await;
        let whole = world.get(&object).await;
        assert_eq!(whole["spec"]["template"]["metadata"]["annotations"], json!({"osier.dev/config": "two"}));

        let mut change = step(world.step(Verb::Update, &object, "v1.b").await, "two");
        change.leaves = [removed("spec.template.spec.containers[name=app].env[name=B].value")].into();
        let (outcome, _) = world.run(change, Some(manifest(&[("A", "1")]))).await;
        assert!(matches!(outcome, StepOutcome::Done { .. }), "{outcome:?}");
        assert!(!world.settled(&object).await.created_by_post);
        let whole = world.get(&object).await;
        assert_eq!(whole["spec"]["template"]["spec"]["containers"][0]["env"], json!([{"name": "A", "value": "1"}]));
        assert_eq!(whole["spec"]["template"]["spec"]["restartPolicy"], "Always");
    }
}

/// On the real server a controller writes status meanwhile: each write of it costs a look and another try.
fn churn(world: &World) -> u64 {
    if world.server.is_real() { 4 } else { 0 }
}

#[tokio::test]
async fn replicas_stay_with_whoever_scaled() {
    for world in World::both().await {
        let object = world.object("Deployment", "d");
        let manifest = || world.manifest("Deployment", "d", deployment(2, &[]), &[]);
        world.write(Verb::Create, manifest(), "v1.a").await;
        let scale = json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": 5}});
        let path = format!("{}/scale?fieldManager=kubectl", world.path(&object));
        world.send(Method::PATCH, &path, "application/merge-patch+json", scale).await;
        let live = world.live(&object).await.unwrap();
        assert!(live.scaled_by_others && !live.before.own_replicas);
        for inputs in ["v1.b", "v1.c"] {
            let step = world.step(Verb::Update, &object, inputs).await;
            let step = osier::planning::plan::Step { leave_replicas: true, ..step };
            let (outcome, _) = world.run(step, Some(manifest())).await;
            assert!(matches!(outcome, StepOutcome::Done { .. }), "{outcome:?}");
            assert_eq!(world.get(&object).await["spec"]["replicas"], 5);
            world.settled(&object).await;
        }
    }
}

#[tokio::test]
async fn replicas_that_only_osier_set_stay_when_they_are_left_to_an_autoscaler() {
    for world in World::both().await {
        let object = world.object("Deployment", "d");
        let manifest = || world.manifest("Deployment", "d", deployment(3, &[]), &[]);
        world.write(Verb::Create, manifest(), "v1.a").await;
        assert!(world.live(&object).await.unwrap().before.own_replicas);
        let step = world.step(Verb::Update, &object, "v1.b").await;
        let step = osier::planning::plan::Step { leave_replicas: true, ..step };
        let (outcome, _) = world.run(step, Some(manifest())).await;
        assert!(matches!(outcome, StepOutcome::Done { .. }), "{outcome:?}");
        assert_eq!(world.get(&object).await["spec"]["replicas"], 3);
        assert!(!world.settled(&object).await.before.own_replicas);
    }
}

#[tokio::test]
async fn keys_that_others_share_stay_and_ignored_ones_are_left() {
    for world in World::both().await {
        let object = world.object("ConfigMap", "shared");
        let body = json!({"metadata": {"annotations": {"osier.dev/keys": "shared", "osier.dev/ignore": "data.SEED"}}});
        let manifest = |data: &[(&str, &str)]| world.manifest("ConfigMap", "shared", body.clone(), data);
        world.write(Verb::Create, manifest(&[("A", "1"), ("B", "2"), ("SEED", "0")]), "v1.a").await;
        world.edit("other", &object, json!({"data": {"THEIRS": "x", "SEED": "7"}})).await;
        world.write(Verb::Update, manifest(&[("A", "3"), ("SEED", "0")]), "v1.b").await;
        world.settled(&object).await;
        assert_eq!(world.get(&object).await["data"], json!({"A": "3", "SEED": "7", "THEIRS": "x"}));
    }
}

#[tokio::test]
async fn what_depends_on_a_failed_step_is_not_tried_and_the_rest_goes_on() {
    for world in World::both().await {
        let old = world.manifest("ConfigMap", "old", json!({}), &[("k", "v")]);
        world.write(Verb::Create, old, "v1.a").await;
        let [bad, good, needs, free] =
            [("ConfigMap", "bad"), ("ConfigMap", "good"), ("Deployment", "needs"), ("Deployment", "free")]
                .map(|(kind, name)| world.object(kind, name));
        let mut steps = Vec::new();
        for object in [&bad, &good, &needs, &free] {
            steps.push(world.step(Verb::Create, object, "v1.a").await);
        }
        steps[2].needs.insert(bad.clone());
        steps.push(world.step(Verb::Delete, &world.object("ConfigMap", "old"), "").await);
        let manifests = vec![
            world.manifest("ConfigMap", "bad", json!({}), &[("no key", "v")]),
            world.manifest("ConfigMap", "good", json!({}), &[("k", "v")]),
            world.manifest("Deployment", "needs", deployment(1, &[]), &[]),
            world.manifest("Deployment", "free", deployment(1, &[]), &[]),
        ];
        let outcome = world.execute(steps, manifests).await;
        let words: Vec<&str> = outcome.steps.iter().map(|step| word(&step.result)).collect();
        assert_eq!(words, ["failed", "done", "not tried", "done", "not tried"]);
        assert_eq!(
            outcome.first_failure().map(|(object, reason, _)| (object, reason)),
            Some((bad, Reason::ProblemsFound))
        );
        assert_eq!(outcome.counts(), [("create".to_owned(), 2)].into());
    }
}

#[tokio::test]
async fn an_object_that_is_not_ours_is_not_written() {
    for world in World::both().await {
        let object = world.object("ConfigMap", "app");
        let body =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app"}, "data": {"k": "theirs"}});
        let before = world.post("kubectl-create", &object, body).await;
        let step = world.step(Verb::Create, &object, "v1.a").await;
        let (outcome, _) = world.run(step, Some(world.manifest("ConfigMap", "app", json!({}), &[("k", "v")]))).await;
        assert_eq!(outcome, StepOutcome::ForeignObject);
        assert_eq!(world.get(&object).await, before);
    }
}

#[tokio::test]
async fn a_stale_step_is_a_conflict_and_changes_nothing() {
    for world in World::both().await {
        let object = world.object("ConfigMap", "app");
        let manifest = |text: &str| world.manifest("ConfigMap", "app", json!({}), &[("k", text)]);
        world.write(Verb::Create, manifest("1"), "v1.a").await;
        for verb in [Verb::Update, Verb::Delete, Verb::Recreate] {
            let step = world.step(verb, &object, "v1.b").await;
            let edited = world.edit("kubectl-edit", &object, json!({"data": {"k": verb.as_str()}})).await;
            let (outcome, _) = world.run(step, Some(manifest("2"))).await;
            assert!(matches!(outcome, StepOutcome::Failed { reason: Reason::Conflict, .. }), "{outcome:?}");
            assert_eq!(world.get(&object).await["metadata"]["resourceVersion"], edited["metadata"]["resourceVersion"]);
        }
        let step = world.step(Verb::Update, &object, "v1.b").await;
        world.send(Method::DELETE, &world.path(&object), "application/json", Value::Null).await;
        let (outcome, _) = world.run(step, Some(manifest("2"))).await;
        assert!(matches!(outcome, StepOutcome::Failed { reason: Reason::Conflict, .. }), "{outcome:?}");
        assert_eq!(world.live(&object).await, None);
    }
}

#[tokio::test]
async fn status_churn_is_no_conflict() {
    for world in World::both().await {
        let object = world.object("Deployment", "d");
        let manifest = |env: &[(&str, &str)]| world.manifest("Deployment", "d", deployment(1, env), &[]);
        world.write(Verb::Create, manifest(&[]), "v1.a").await;
        let step = world.step(Verb::Update, &object, "v1.b").await;
        let status =
            json!({"status": {"conditions": [{"type": "Test", "status": "True", "reason": "x", "message": "y"}]}});
        let path = format!("{}/status?fieldManager=test", world.path(&object));
        world.send(Method::PATCH, &path, "application/merge-patch+json", status).await;
        let (outcome, _) = world.run(step, Some(manifest(&[("A", "1")]))).await;
        assert!(matches!(outcome, StepOutcome::Done { .. }), "{outcome:?}");
        let delete = world.step(Verb::Delete, &object, "").await;
        let status =
            json!({"status": {"conditions": [{"type": "Test", "status": "False", "reason": "x", "message": "y"}]}});
        world.send(Method::PATCH, &path, "application/merge-patch+json", status).await;
        let (outcome, _) = world.run(delete, None).await;
        assert!(matches!(outcome, StepOutcome::Done { .. }), "{outcome:?}");
    }
}

#[tokio::test]
async fn misspelt_fields_are_refused() {
    for world in World::both().await {
        let object = world.object("Deployment", "d");
        let mut body = deployment(1, &[]);
        body["spec"]["replica"] = json!(1);
        let step = world.step(Verb::Create, &object, "v1.a").await;
        let (outcome, _) = world.run(step, Some(world.manifest("Deployment", "d", body, &[]))).await;
        let StepOutcome::Failed { reason, message, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(reason, Reason::ProblemsFound);
        assert!(message.contains("unknown field \"spec.replica\""), "{message}");
    }
}

fn word(outcome: &StepOutcome) -> &'static str {
    match outcome {
        StepOutcome::Done { .. } => "done",
        StepOutcome::ForeignObject => "foreign",
        StepOutcome::NotTried => "not tried",
        StepOutcome::Failed { .. } => "failed",
    }
}
