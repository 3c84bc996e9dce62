//! A namespace with osier and other writers in it.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use osier::cluster::Cluster;
use osier::cluster::write::{Outcome, StepOutcome, WriteContext};
use osier::desired::manifest::{ConfigValue, Manifest};
use osier::desired::value::Value as Document;
use osier::model::cleartext::Cleartext;
use osier::model::object::{Kind, ObjectId};
use osier::planning::changes::{LeafChange, Word};
use osier::planning::checks::Gate;
use osier::planning::live::Live;
use osier::planning::plan::{Phase, Plan, Step, Verb};
use serde_json::{Value, json};

use crate::support::control_plane::User;
use crate::support::server::{self, Answer, Server};

/// The environment id of all tests.
pub const ID: &str = "abcdefghijklmnopqrstuvwxyz";

/// A namespace with osier and other writers in it.
pub struct World {
    pub server: Server,
    pub namespace: String,
    pub cluster: Cluster,
    client: kube::Client,
}

impl World {
    /// One on each server.
    pub async fn both() -> [World; 2] {
        [World::new(Server::sandbox().await).await, World::new(Server::real()).await]
    }

    pub async fn new(server: Server) -> World {
        let client = server.client(&User::admin()).await;
        let namespace = server.namespace().await;
        let cluster = Cluster::new(server.client(&User::admin()).await);
        cluster.kinds().await.unwrap();
        World { server, namespace, cluster, client }
    }

    pub fn object(&self, kind: &str, name: &str) -> ObjectId {
        ObjectId::new(Kind::new(if kind == "Deployment" { "apps" } else { "" }, kind), &self.namespace, name)
    }

    /// A manifest; `body` is what stands beside `data`.
    pub fn manifest(&self, kind: &str, name: &str, body: Value, data: &[(&str, &str)]) -> Manifest {
        let value = |text: &str| ConfigValue {
            bytes: Cleartext::new(text.as_bytes().to_vec()),
            redacted: kind == "Secret",
            binary: false,
        };
        Manifest {
            object: self.object(kind, name),
            api_version: if kind == "Deployment" { "apps/v1" } else { "v1" }.to_owned(),
            body: Document::from_json(body),
            values: data.iter().map(|(key, text)| ((*key).to_owned(), value(text))).collect(),
            origins: BTreeMap::new(),
        }
    }

    /// What the metadata says now.
    pub async fn live(&self, object: &ObjectId) -> Option<Live> {
        let kinds = BTreeSet::from([object.kind.clone()]);
        self.cluster.live(&self.namespace, &kinds, ID).await.unwrap().remove(object)
    }

    /// What a sound object of ours looks like: no drift, nobody else.
    pub async fn settled(&self, object: &ObjectId) -> Live {
        let live = self.live(object).await.expect("the object is there");
        assert_eq!(live.remarks().drift, [], "{} on {}", object.short(), self.server.name());
        assert!(live.ownership.is_ours());
        live
    }

    /// The step that the plan would have for the object as it is.
    pub async fn step(&self, verb: Verb, object: &ObjectId, inputs: &str) -> Step {
        Step {
            phase: match (verb, object.kind.is_config()) {
                (Verb::Delete, _) => Phase::Deletes,
                (_, true) => Phase::Config,
                (_, false) => Phase::Workloads,
            },
            verb,
            object: object.clone(),
            inputs: inputs.to_owned(),
            fingerprint: object.kind.is_config().then(|| format!("f-{inputs}")),
            precondition: if verb == Verb::Create { None } else { self.live(object).await },
            needs: BTreeSet::new(),
            repair: false,
            stamps_only: false,
            leave_replicas: false,
            config: None,
            leaves: [].into(),
            why: String::new(),
        }
    }

    /// Executes steps as one plan of record 1.
    pub async fn execute(&self, steps: Vec<Step>, manifests: Vec<Manifest>) -> Outcome {
        let plan = Plan {
            steps,
            kept: Vec::new(),
            restarts: Vec::new(),
            unchanged: 0,
            digest: String::new(),
            consent: Vec::new(),
        };
        let mut manifests = manifests.into_iter().map(|manifest| (manifest.object.clone(), manifest)).collect();
        let context = WriteContext { environment_id: ID.to_owned(), namespace: self.namespace.clone(), record: 1 };
        let mut execution = self.cluster.execution(&plan, &context, Gate::OPEN);
        execution.run(plan.steps.len(), &mut manifests).await;
        execution.outcome()
    }

    /// Executes one step and says what became of it and how many requests it took.
    pub async fn run(&self, step: Step, manifest: Option<Manifest>) -> (StepOutcome, u64) {
        let before: u64 = self.cluster.requests().values().sum();
        let outcome = self.execute(vec![step], manifest.into_iter().collect()).await;
        let after: u64 = self.cluster.requests().values().sum();
        (outcome.steps.into_iter().next().expect("one step").result, after - before)
    }

    /// Creates, or brings up to date, an object that the test starts from.
    pub async fn write(&self, verb: Verb, manifest: Manifest, inputs: &str) -> u64 {
        let step = self.step(verb, &manifest.object.clone(), inputs).await;
        let (outcome, requests) = self.run(step, Some(manifest)).await;
        assert!(matches!(outcome, StepOutcome::Done { .. }), "{outcome:?} on {}", self.server.name());
        requests
    }

    /// Path of an object.
    pub fn path(&self, object: &ObjectId) -> String {
        let plural = format!("{}s", object.kind.kind.to_lowercase());
        let root =
            if object.kind.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", object.kind.group) };
        format!("{root}/v1/namespaces/{}/{plural}/{}", self.namespace, object.name)
    }

    /// What somebody else sends. It must succeed.
    pub async fn send(&self, method: Method, path: &str, content_type: &str, body: Value) -> Value {
        let answer = self.ask(method, path, content_type, body).await;
        assert!(answer.status < 300, "{answer:?} on {}", self.server.name());
        answer.body
    }

    pub async fn ask(&self, method: Method, path: &str, content_type: &str, body: Value) -> Answer {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        server::request(&self.client, method, path, &[("content-type", content_type)], text).await
    }

    /// The whole object.
    pub async fn get(&self, object: &ObjectId) -> Value {
        self.send(Method::GET, &self.path(object), "application/json", Value::Null).await
    }

    /// Somebody's merge patch.
    pub async fn edit(&self, manager: &str, object: &ObjectId, patch: Value) -> Value {
        let path = format!("{}?fieldManager={manager}", self.path(object));
        self.send(Method::PATCH, &path, "application/merge-patch+json", patch).await
    }

    /// Somebody's POST.
    pub async fn post(&self, manager: &str, object: &ObjectId, body: Value) -> Value {
        let path = self.path(object);
        let collection = path.rsplit_once('/').expect("a path has a collection").0;
        self.send(Method::POST, &format!("{collection}?fieldManager={manager}"), "application/json", body).await
    }
}

/// A Deployment's body with one container.
pub fn deployment(replicas: u64, env: &[(&str, &str)]) -> Value {
    let env: Vec<Value> = env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    json!({"spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "d"}}, "template": {
        "metadata": {"labels": {"app": "d"}},
        "spec": {"containers": [{"name": "app", "image": "registry.example/app:1", "ports": [{"containerPort": 80}], "env": env}]}}}})
}

/// A leaf that left git.
pub fn removed(path: &str) -> LeafChange {
    LeafChange {
        path: path.to_owned(),
        word: Word::Removed,
        old: None,
        new: None,
        lines: Vec::new(),
        redacted: false,
        origin: None,
    }
}
