//! A client that does nothing but write: the ceiling of the same API server in the same run.

use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use http::Method;
use serde_json::{Value, json};

use crate::cases::place::Place;
use crate::support::control_plane::User;
use crate::support::server::{Answer, request};
use crate::workload::{Changed, Object};

/// As many at once as osier writes.
const AT_ONCE: usize = 32;
const JSON: (&str, &str) = ("content-type", "application/json");
/// As osier asks: no values come back.
const METADATA: (&str, &str) = ("accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
const PATCH: (&str, &str) = ("content-type", "application/json-patch+json");

/// The bare client.
#[derive(Clone)]
pub struct Bare {
    client: kube::Client,
    /// Reads, under a name of its own.
    admin: kube::Client,
}

/// Path and body of a request.
pub type Request = (String, String);

impl Bare {
    pub async fn new(place: &Place) -> Self {
        let client = place.server.client(&User::powerful("figures-bare")).await;
        Self { client, admin: place.server.client(&User::admin()).await }
    }

    /// Every object that osier made in an environment, to be made again beside it.
    pub async fn bodies(&self, place: &Place, environment: usize) -> Vec<Request> {
        self.bodies_of(&place.environment(environment), &place.bare_copy(environment)).await
    }

    /// The same of a namespace, for another.
    pub async fn bodies_of(&self, namespace: &str, copy: &str) -> Vec<Request> {
        let mut bodies = Vec::new();
        for (kind, plural) in [("ConfigMap", "configmaps"), ("Secret", "secrets")] {
            let path = format!("/api/v1/namespaces/{namespace}/{plural}?labelSelector=osier.dev/environment");
            let list = request(&self.admin, Method::GET, &path, &[], String::new()).await;
            assert_eq!(list.status, 200, "{path}");
            for object in list.body["items"].as_array().into_iter().flatten() {
                bodies.push(body(kind, plural, object, copy));
            }
        }
        assert!(!bodies.is_empty(), "osier made objects");
        bodies
    }

    /// Makes some of the objects of an environment again beside it.
    pub async fn copy(&self, place: &Place, environment: usize, objects: &[Object]) {
        let mut bodies = Vec::new();
        for (plural, name) in objects {
            let kind = if *plural == "secrets" { "Secret" } else { "ConfigMap" };
            let path = format!("/api/v1/namespaces/{}/{plural}/{name}", place.environment(environment));
            let object = request(&self.admin, Method::GET, &path, &[], String::new()).await;
            assert_eq!(object.status, 200, "{path}");
            bodies.push(body(kind, plural, &object.body, &place.bare_copy(environment)));
        }
        self.create(place, environment, bodies).await;
    }

    /// Creates them, and takes the time.
    pub async fn create(&self, place: &Place, environment: usize, bodies: Vec<Request>) -> Duration {
        // the first requests open their connections, as osier's reads did
        let warm = format!("/api/v1/namespaces/{}", place.bare_copy(environment));
        request(&self.client, Method::GET, &warm, &[], String::new()).await;
        self.send(Method::POST, 201, JSON, bodies).await
    }

    /// Makes a namespace, then everything in it, and takes the time.
    pub async fn make(&self, namespace: &str, bodies: Vec<Request>) -> Duration {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}).to_string();
        let made = self.send(Method::POST, 201, JSON, vec![("/api/v1/namespaces".to_owned(), body)]).await;
        made + self.send(Method::POST, 201, JSON, bodies).await
    }

    /// Changes one key of one object, and takes the time.
    pub async fn write(&self, place: &Place) -> Duration {
        self.change(vec![first(&place.bare_copy(0), &format!("{:?}", Instant::now()))]).await
    }

    /// Sends patches, and takes the time.
    pub async fn change(&self, patches: Vec<Request>) -> Duration {
        self.send(Method::PATCH, 200, PATCH, patches).await
    }

    async fn send(&self, method: Method, code: u16, form: (&str, &str), requests: Vec<Request>) -> Duration {
        let begin = Instant::now();
        let sent = requests.into_iter().map(|(path, body)| {
            let method = method.clone();
            async move {
                let answer = request(&self.client, method, &path, &[form, METADATA], body).await;
                assert_eq!(answer.status, code, "{path}: {:?}", reason(&answer));
            }
        });
        stream::iter(sent).buffer_unordered(AT_ONCE).for_each(async |()| {}).await;
        begin.elapsed()
    }
}

/// The patch that does to the bare client's copy what a commit does to an object.
pub fn like(changed: &Changed, namespace: &str) -> Request {
    patch(namespace, &changed.object, changed.key, &changed.value)
}

/// The patch that gives a key of the first object another value.
pub fn first(namespace: &str, value: &str) -> Request {
    patch(namespace, &("configmaps", "object-000000".to_owned()), "VERSION", value)
}

fn patch(namespace: &str, (plural, name): &Object, key: &str, value: &str) -> Request {
    let path = format!("/api/v1/namespaces/{namespace}/{plural}/{name}?fieldManager=bare");
    (path, json!([{"op": "add", "path": format!("/data/{key}"), "value": value}]).to_string())
}

/// An object as somebody would create it in `namespace`.
fn body(kind: &str, plural: &str, object: &Value, namespace: &str) -> Request {
    let mut object = object.clone();
    object["apiVersion"] = json!("v1");
    object["kind"] = json!(kind);
    object["metadata"]["namespace"] = json!(namespace);
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|field, _| matches!(field.as_str(), "name" | "namespace" | "labels" | "annotations"));
    }
    (format!("/api/v1/namespaces/{namespace}/{plural}?fieldManager=bare"), object.to_string())
}

/// Never the whole answer: it may hold values.
fn reason(answer: &Answer) -> Option<&str> {
    answer.body["reason"].as_str()
}
