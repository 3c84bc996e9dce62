//! Objects that other tools made become ours, and nothing restarts.

use http::Method;
use osier::planning::plan::{ConfigStamp, Step, Verb};
use serde_json::{Value, json};

use crate::cluster::world::{World, deployment};

/// The tools, by how they write.
const TOOLS: [&str; 4] = ["kubectl-create", "kubectl-client-side-apply", "helm", "kustomize-controller"];

async fn made_by(world: &World, tool: &str, kind: &str, mut body: Value) -> osier::model::object::ObjectId {
    let object = world.object(kind, "adopted");
    body["apiVersion"] = json!(if kind == "Deployment" { "apps/v1" } else { "v1" });
    body["kind"] = json!(kind);
    body["metadata"]["name"] = json!("adopted");
    match tool {
        "kubectl-client-side-apply" => {
            let text = body.to_string();
            body["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = json!(text);
        }
        "helm" => {
            body["metadata"]["annotations"]["meta.helm.sh/release-name"] = json!("r");
            body["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("Helm");
        }
        _ => {}
    }
    if tool == "kustomize-controller" {
        let path = format!("{}?fieldManager={tool}&force=true", world.path(&object));
        world.send(Method::PATCH, &path, "application/apply-patch+yaml", body).await;
    } else {
        world.post(tool, &object, body).await;
    }
    object
}

#[tokio::test]
async fn config_maps_of_every_tool() {
    for tool in TOOLS {
        for world in World::both().await {
            let object = made_by(&world, tool, "ConfigMap", json!({"data": {"k": "v", "extra": "x"}})).await;
            let manifest =
                world.manifest("ConfigMap", "adopted", json!({"metadata": {"labels": {"a": "b"}}}), &[("k", "v")]);
            assert_eq!(world.write(Verb::Adopt, manifest, "v1.a").await, 2, "{tool} on {}", world.server.name());
            let live = world.settled(&object).await;
            assert_eq!(live.remarks().managers, [""; 0], "{tool}");
            assert!(!live.last_applied);
            assert_eq!(world.get(&object).await["data"], json!({"k": "v"}));
            let manifest = world.manifest("ConfigMap", "adopted", json!({}), &[("k", "w")]);
            assert_eq!(world.write(Verb::Update, manifest, "v1.b").await, 1);
            world.settled(&object).await;
        }
    }
}

#[tokio::test]
async fn deployments_of_every_tool_without_a_restart() {
    for tool in TOOLS {
        for world in World::both().await {
            let object = made_by(&world, tool, "Deployment", deployment(2, &[("A", "1")])).await;
            let before = world.get(&object).await;
            let adopt = Step {
                config: Some(ConfigStamp { digest: "one".to_owned(), in_template: false }),
                ..world.step(Verb::Adopt, &object, "v1.a").await
            };
            let manifest = world.manifest("Deployment", "adopted", deployment(2, &[("A", "1")]), &[]);
            let (outcome, _) = world.run(adopt, Some(manifest)).await;
            assert!(matches!(outcome, osier::cluster::write::StepOutcome::Done { .. }), "{tool}: {outcome:?}");
            let live = world.settled(&object).await;
            assert_eq!(live.remarks().managers, [""; 0], "{tool} on {}", world.server.name());
            assert!(!live.last_applied);
            assert_eq!(live.remarks().adopted_config.as_deref(), Some("one"));
            let after = world.get(&object).await;
            assert_eq!(after["spec"], before["spec"], "{tool} on {}", world.server.name());

            let restart = Step {
                config: Some(ConfigStamp { digest: "two".to_owned(), in_template: true }),
                ..world.step(Verb::Update, &object, "v1.a").await
            };
            let manifest = world.manifest("Deployment", "adopted", deployment(2, &[("A", "1")]), &[]);
            let (outcome, _) = world.run(restart, Some(manifest)).await;
            assert!(matches!(outcome, osier::cluster::write::StepOutcome::Done { .. }), "{tool}: {outcome:?}");
            assert_eq!(world.settled(&object).await.remarks().config.as_deref(), Some("two"));
        }
    }
}
