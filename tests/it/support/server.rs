//! One face for the real control plane and the sandbox, so that a test body runs against both.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::Method;
use http_body_util::BodyExt;
use kube::client::Body;
use osier::sandbox::Sandbox;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::control_plane::{self, ControlPlane, User};

/// Bound on whatever a server does by itself: no answer and no event takes longer.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A Kubernetes API server under test.
pub enum Server {
    Real(&'static ControlPlane),
    Sandbox(Loopback),
}

/// A sandbox of the test's own, served on loopback for programs that take a kubeconfig; it ends with the value.
pub struct Loopback {
    pub sandbox: Sandbox,
    kubeconfig: tempfile::NamedTempFile,
    _serving: JoinSet<std::io::Result<()>>,
}

/// What a request was answered with.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Values of `Warning` headers.
    pub warnings: Vec<String>,
    /// The body as JSON; text that is no JSON is a string.
    pub body: Value,
}

/// An open watch.
pub struct Events {
    body: Body,
    unread: Vec<u8>,
}

impl Server {
    /// The real control plane of this process.
    pub fn real() -> Server {
        Server::Real(ControlPlane::shared())
    }

    /// An empty sandbox; it belongs to the runtime that made it.
    pub async fn sandbox() -> Server {
        let sandbox = Sandbox::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let kubeconfig = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(kubeconfig.path(), Sandbox::kubeconfig(listener.local_addr().unwrap())).unwrap();
        let mut serving = JoinSet::new();
        let served = sandbox.clone();
        serving.spawn(async move { served.serve(listener).await });
        Server::Sandbox(Loopback { sandbox, kubeconfig, _serving: serving })
    }

    /// `real` or `sandbox`.
    pub fn name(&self) -> &'static str {
        match self {
            Server::Real(_) => "real",
            Server::Sandbox(_) => "sandbox",
        }
    }

    pub fn is_real(&self) -> bool {
        matches!(self, Server::Real(_))
    }

    /// A client without retries; it belongs to the runtime that made it. The sandbox knows no users.
    pub async fn client(&self, user: &User) -> kube::Client {
        match self {
            Server::Real(control_plane) => control_plane::client(&control_plane.kubeconfig(user)).await,
            Server::Sandbox(loopback) => kube::Client::new(loopback.sandbox.service(), "default"),
        }
    }

    /// A kubeconfig for programs that take one.
    pub fn kubeconfig(&self, user: &User) -> PathBuf {
        match self {
            Server::Real(control_plane) => control_plane.kubeconfig(user),
            Server::Sandbox(loopback) => loopback.kubeconfig.path().to_owned(),
        }
    }

    /// Creates a namespace that no other test of this process uses.
    pub async fn namespace(&self) -> String {
        static COUNT: AtomicUsize = AtomicUsize::new(1);
        let name = format!("test-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let client = self.client(&User::admin()).await;
        let answer = request(&client, Method::POST, "/api/v1/namespaces", &[], body.to_string()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        name
    }
}

/// Sends one request as it stands: nothing is retried, no status is an error.
pub async fn request(
    client: &kube::Client,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: String,
) -> Answer {
    let response = send(client, method, path, headers, body).await;
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("the answer arrives whole").to_bytes();
    answer(&parts, &bytes)
}

/// Opens a watch. A refusal is an answer.
pub async fn watch(client: &kube::Client, path: &str, headers: &[(&str, &str)]) -> (Answer, Option<Events>) {
    let response = send(client, Method::GET, path, headers, String::new()).await;
    let (parts, body) = response.into_parts();
    if parts.status.is_success() {
        return (answer(&parts, b""), Some(Events { body, unread: Vec::new() }));
    }
    let bytes = body.collect().await.expect("the answer arrives whole").to_bytes();
    (answer(&parts, &bytes), None)
}

impl Events {
    /// The next event; `None` if the server ended the watch.
    ///
    /// Panics if nothing comes.
    pub async fn next(&mut self) -> Option<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("an event is a line of JSON"));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let frame = tokio::time::timeout(left, self.body.frame()).await.expect("an event comes in time")?;
            if let Ok(data) = frame.expect("the watch does not break off").into_data() {
                self.unread.extend_from_slice(&data);
            }
        }
    }
}

async fn send(
    client: &kube::Client,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: String,
) -> http::Response<Body> {
    let mut request = http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.into_bytes())).expect("a test's request is well formed");
    tokio::time::timeout(PATIENCE, client.send(request))
        .await
        .expect("an answer comes in time")
        .expect("the server answers")
}

fn answer(parts: &http::response::Parts, bytes: &[u8]) -> Answer {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let body =
        serde_json::from_slice(bytes).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into_owned()));
    Answer {
        status: parts.status.as_u16(),
        warnings: parts.headers.get_all("warning").iter().map(text).collect(),
        body,
    }
}
