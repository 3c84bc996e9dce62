//! The requests of one user, as the API server saw them.

use crate::support::control_plane::User;
use crate::support::server::Server;

/// All requests so far: verb, and kind in plural.
pub struct Seen {
    requests: Vec<(String, String)>,
    source: &'static str,
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

impl Seen {
    pub async fn of(server: &Server, user: &User) -> Self {
        match server {
            Server::Real(control_plane) => {
                let lines = control_plane.audit(user).await.into_iter();
                Self {
                    requests: lines.map(|line| (line.verb, line.resource)).collect(),
                    source: "audit log, own certificate",
                }
            }
            Server::Sandbox(loopback) => {
                let lines = loopback.sandbox.requests().into_iter();
                let requests = lines.map(|line| (line.verb.to_owned(), line.resource)).collect();
                Self { requests, source: "sandbox, all requests" }
            }
        }
    }

    /// What came after `earlier`.
    pub fn since(&self, earlier: &Seen) -> Requests {
        let new = &self.requests[earlier.requests.len()..];
        let own = |resource: &str| matches!(resource, "repositories" | "environments" | "records");
        let writes = |verb: &str| !matches!(verb, "get" | "list" | "watch" | "discovery");
        let pass = new.iter().filter(|(verb, _)| writes(verb)).count();
        let lists = new.iter().filter(|(verb, resource)| verb == "list" && !own(resource)).count();
        Requests { start: new.len() - pass - lists, lists, pass, source: self.source }
    }
}
