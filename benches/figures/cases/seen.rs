//! The requests of one user, as the API server saw them.

use std::collections::BTreeMap;

use crate::support::control_plane::User;
use crate::support::server::Server;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub verb: String,
    /// Kind in plural, with its subresource.
    pub resource: String,
    pub namespace: String,
    pub name: String,
    pub code: u64,
    /// A watch that goes on. The sandbox does not say when one ends.
    pub is_open: bool,
}

/// All requests so far.
pub struct Seen {
    pub requests: Vec<Request>,
    /// Who counted.
    pub source: &'static str,
}

/// The requests of one pass, by what they are for.
pub struct Requests {
    /// Discovery, Repository, Environment, Records, the fingerprint key: what a new process reads first, and the namespace.
    pub start: usize,
    /// Pages of metadata lists.
    pub lists: usize,
    /// Everything that writes.
    pub pass: usize,
    /// Who counted.
    pub source: &'static str,
}

impl Request {
    /// True if it creates, changes or deletes; who asks for his own name creates nothing.
    pub fn is_write(&self) -> bool {
        let is_question = matches!(self.verb.as_str(), "get" | "list" | "watch" | "discovery");
        !is_question && self.resource != "selfsubjectreviews"
    }
}

impl Seen {
    pub async fn of(server: &Server, user: &User) -> Self {
        match server {
            Server::Real(control_plane) => {
                let lines = control_plane.audit(user).await.into_iter();
                let requests = lines.map(|line| Request {
                    is_open: line.is_open(),
                    verb: line.verb,
                    resource: [line.resource, line.subresource].join("/").trim_end_matches('/').to_owned(),
                    namespace: line.namespace,
                    name: line.name,
                    code: line.code,
                });
                Self { requests: requests.collect(), source: "audit log, own certificate" }
            }
            Server::Sandbox(loopback) => {
                let lines = loopback.sandbox.requests().into_iter();
                let requests = lines.map(|line| Request {
                    is_open: line.verb == "watch",
                    verb: line.verb.to_owned(),
                    resource: line.resource,
                    namespace: line.namespace,
                    name: line.name,
                    code: line.status.into(),
                });
                Self { requests: requests.collect(), source: "sandbox, all requests" }
            }
        }
    }

    /// What came after `earlier`.
    pub fn after(&self, earlier: &Seen) -> &[Request] {
        &self.requests[earlier.requests.len()..]
    }

    /// What came after `earlier`, by what it is for.
    pub fn since(&self, earlier: &Seen) -> Requests {
        let new = self.after(earlier);
        let own = |resource: &str| matches!(resource, "repositories" | "environments" | "records");
        let pass = new.iter().filter(|request| request.is_write()).count();
        let lists = new.iter().filter(|request| request.verb == "list" && !own(&request.resource)).count();
        Requests { start: new.len() - pass - lists, lists, pass, source: self.source }
    }
}

/// How often what was asked.
pub fn by_verb(requests: &[Request]) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for request in requests {
        let what = if request.verb == "discovery" { "" } else { &request.resource };
        *counts.entry(format!("{} {what}", request.verb).trim_end().to_owned()).or_default() += 1;
    }
    let counts: Vec<String> = counts.into_iter().map(|(what, count)| format!("{what} {count}")).collect();
    if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
}
