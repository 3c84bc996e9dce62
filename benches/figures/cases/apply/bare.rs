//! A client that does nothing but write: the ceiling of the same API server in the same run.

use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use http::Method;
use serde_json::{Value, json};

use crate::cases::apply::place::{Place, bare_name, name};
use crate::support::control_plane::User;
use crate::support::server::{Answer, request};

/// As many at once as osier writes.
const AT_ONCE: usize = 32;
const JSON: (&str, &str) = ("content-type", "application/json");
/// As osier asks: no values come back.
const METADATA: (&str, &str) = ("accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
const PATCH: (&str, &str) = ("content-type", "application/json-patch+json");

/// The bare client.
pub struct Bare {
    client: kube::Client,
    /// Reads, under a name of its own.
    admin: kube::Client,
}

impl Bare {
    pub async fn new(place: &Place) -> Self {
        let client = place.server.client(&User::powerful("figures-bare")).await;
        Self { client, admin: place.server.client(&User::admin()).await }
    }

    /// Path and body of every object that osier made in an environment, to be made again beside it.
    pub async fn bodies(&self, environment: usize) -> Vec<(String, String)> {
        let mut bodies = Vec::new();
        for (kind, plural) in [("ConfigMap", "configmaps"), ("Secret", "secrets")] {
            let path = format!("/api/v1/namespaces/{}/{plural}?labelSelector=osier.dev/environment", name(environment));
            let list = request(&self.admin, Method::GET, &path, &[], String::new()).await;
            assert_eq!(list.status, 200, "{path}");
            let path = format!("/api/v1/namespaces/{}/{plural}?fieldManager=bare", bare_name(environment));
            for object in list.body["items"].as_array().into_iter().flatten() {
                bodies.push((path.clone(), body(kind, object, &bare_name(environment))));
            }
        }
        assert!(!bodies.is_empty(), "osier made objects");
        bodies
    }

    /// Creates them, and takes the time.
    pub async fn create(&self, environment: usize, bodies: Vec<(String, String)>) -> Duration {
        // the first requests open their connections, as osier's reads did
        let warm = format!("/api/v1/namespaces/{}", bare_name(environment));
        request(&self.client, Method::GET, &warm, &[], String::new()).await;
        let begin = Instant::now();
        let posts = bodies.into_iter().map(|(path, body)| async move {
            let answer = request(&self.client, Method::POST, &path, &[JSON, METADATA], body).await;
            assert_eq!(answer.status, 201, "{path}: {:?}", reason(&answer));
        });
        stream::iter(posts).buffer_unordered(AT_ONCE).for_each(async |()| {}).await;
        begin.elapsed()
    }

    /// Changes one key of one object, and takes the time.
    pub async fn write(&self) -> Duration {
        let path = format!("/api/v1/namespaces/{}/configmaps/object-000000?fieldManager=bare", bare_name(0));
        let value = format!("{:?}", Instant::now());
        let patch = json!([{"op": "add", "path": "/data/VERSION", "value": value}]).to_string();
        let begin = Instant::now();
        let answer = request(&self.client, Method::PATCH, &path, &[PATCH, METADATA], patch).await;
        let time = begin.elapsed();
        assert_eq!(answer.status, 200, "{path}: {:?}", reason(&answer));
        time
    }
}

/// An object as somebody would create it in `namespace`.
fn body(kind: &str, object: &Value, namespace: &str) -> String {
    let mut object = object.clone();
    object["apiVersion"] = json!("v1");
    object["kind"] = json!(kind);
    object["metadata"]["namespace"] = json!(namespace);
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|field, _| matches!(field.as_str(), "name" | "namespace" | "labels" | "annotations"));
    }
    object.to_string()
}

/// Never the whole answer: it may hold values.
fn reason(answer: &Answer) -> Option<&str> {
    answer.body["reason"].as_str()
}
