//! An in-memory Kubernetes API server: for the demo, the tutorial, plans without a cluster, and the tests.
//!
//! It stands below `kube::Client` as a tower service, or serves HTTP/1.1 and HTTP/2 on loopback. Its scope is a closed table of
//! kinds and verbs; what is not in the table answers 501 by name. CEL rules and admission policies are not evaluated,
//! access is not checked, and no controller runs but those that fill and empty namespaces. Workloads are stored and not started;
//! a sandbox that is asked to says of them what the controllers of an idle cluster would.

mod crd;
mod decode;
mod defaults;
mod delete;
mod discovery;
mod events;
pub mod faults;
mod fieldset;
mod form;
mod kinds;
mod lifecycle;
mod managed;
mod migrate;
mod openapi;
mod patch;
mod prepare;
mod quantity;
mod quota;
mod read;
mod refusal;
mod request;
mod review;
mod route;
mod scale;
mod schema;
mod selector;
mod serve;
mod shared;
mod store;
mod table;
mod typed;
mod validate;
mod watch;
mod workloads;
mod write;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use crate::sandbox::faults::{Action, Fault, Plan};
use crate::sandbox::request::Call;
use crate::sandbox::shared::{BoxError, Shared};
use crate::sandbox::store::State;

/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A cluster in memory. Clones share it.
#[derive(Clone)]
pub struct Sandbox {
    shared: Arc<Shared>,
}

/// One request as it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestLine {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection` or `discovery`.
    pub verb: &'static str,
    /// Empty for the core group and for discovery.
    pub group: String,
    /// The plural, with `/status` or `/scale` where asked for; the path for discovery.
    pub resource: String,
    /// Empty where the request names none.
    pub namespace: String,
    /// Empty where the request names none.
    pub name: String,
    /// The `User-Agent` as it came.
    pub user_agent: String,
    /// The status code; 0 where the connection broke.
    pub status: u16,
    /// True where only metadata was asked for.
    pub as_metadata: bool,
}

impl RequestLine {
    /// True for requests that create, change or delete.
    pub fn is_mutating(&self) -> bool {
        matches!(self.verb, "create" | "update" | "patch" | "delete" | "deletecollection")
    }
}

/// The connection broke, as a fault plan said.
#[derive(Debug, thiserror::Error)]
#[error("the connection broke, as planned")]
pub struct Broken;

impl Default for Sandbox {
    fn default() -> Self {
        Sandbox::new()
    }
}

impl Sandbox {
    /// An empty cluster with the namespaces `default` and `kube-system`, at the system's time.
    #[expect(clippy::disallowed_methods, reason = "a server has a clock of its own; `with_clock` takes another")]
    pub fn new() -> Sandbox {
        Sandbox::with_clock(Timestamp::now)
    }

    /// An empty cluster at the time that `clock` says.
    pub fn with_clock(clock: fn() -> Timestamp) -> Sandbox {
        let mut state = State::new();
        let time = clock().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        for namespace in ["default", "kube-system"] {
            lifecycle::create_namespace(&mut state, namespace, &time);
        }
        Sandbox { shared: Arc::new(Shared::new(state, clock)) }
    }

    /// From now on each generation of a workload is said to run as soon as it is written.
    #[must_use]
    pub fn with_workloads(self) -> Sandbox {
        self.shared.state().runs_workloads = true;
        self
    }

    /// Answers one request. Where a fault breaks the connection, the body of the answer fails at once.
    pub async fn handle<B>(&self, request: http::Request<B>) -> http::Response<Body>
    where
        B: hyper::body::Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        match self.answer(request).await {
            Ok(response) => response,
            Err(error) => http::Response::new(serve::broken_body(error)),
        }
    }

    /// The sandbox as a tower service, as `kube::Client::new` takes it. A broken connection is an error.
    pub fn service<B>(
        &self,
    ) -> impl tower::Service<http::Request<B>, Response = http::Response<Body>, Error = BoxError, Future: Send>
    + Clone
    + Send
    + 'static
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let sandbox = self.clone();
        tower::service_fn(move |request: http::Request<B>| {
            let sandbox = sandbox.clone();
            async move { sandbox.answer(request).await }
        })
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<RequestLine> {
        self.shared.requests().clone()
    }

    /// Empties the list of requests.
    pub fn forget_requests(&self) {
        self.shared.requests().clear();
    }

    /// Sets a fault plan; an empty one ends all faults.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        *self.shared.plan() = Plan::new(faults);
    }

    /// Everything that is stored, by group, kind, namespace and name.
    pub fn dump(&self) -> Vec<Value> {
        self.shared.state().all().map(|(_, object)| Value::clone(object)).collect()
    }

    /// A kubeconfig for a sandbox that is served at this address.
    pub fn kubeconfig(address: SocketAddr) -> String {
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: sandbox\n  cluster:\n    server: http://{address}\n\
             users:\n- name: sandbox\n  user: {{}}\ncontexts:\n- name: sandbox\n  context:\n    cluster: sandbox\n    \
             user: sandbox\ncurrent-context: sandbox\n"
        )
    }

    async fn answer<B>(&self, request: http::Request<B>) -> Result<http::Response<Body>, BoxError>
    where
        B: hyper::body::Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(Into::into)?.to_bytes();
        let call = Call::new(&parts, body);
        let mut line = route::line(&call);
        let action = self.shared.plan().meet(&line);
        let executed = match &action {
            Some(Action::Break | Action::StopFromHere) => None,
            Some(Action::Refuse(code)) => Some(serve::refused(&faults::refusal(*code, &line))),
            Some(Action::Freeze | Action::Forget | Action::Babble) if line.verb == "watch" => {
                action.as_ref().map(serve::faulty_watch)
            }
            Some(Action::Stale(changes)) if !line.is_mutating() => {
                Some(route::execute_stale(&self.shared, &call, *changes))
            }
            Some(Action::Delay(time)) => {
                tokio::time::sleep(*time).await;
                Some(route::execute(&self.shared, &call))
            }
            _ => Some(route::execute(&self.shared, &call)),
        };
        let answer = match (action, executed) {
            (Some(Action::CommitThenBreak), _) => None,
            (Some(Action::CommitThen(code)), _) => Some(serve::refused(&faults::refusal(code, &line))),
            (Some(Action::CutShort), Some(whole)) => Some(serve::cut_short(whole).await),
            (_, executed) => executed,
        };
        self.shared.wake();
        line.status = answer.as_ref().map_or(0, |response| response.status().as_u16());
        self.shared.requests().push(line);
        answer.ok_or_else(|| Broken.into())
    }
}
