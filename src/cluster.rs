//! The API server, as osier uses it: the only module that names the client.
//!
//! `connect` and `call` are the transport (one timeout, one retry rule, one counter); `live` reads metadata, never values; `watch` goes on from there;
//! `write` executes a plan; `records`, `environments`, `plans`, `repositories` are osier's own objects; `namespaces` are those of branches; `crds` and `admission` define them.

pub mod admission;
pub mod call;
pub mod connect;
pub mod crds;
pub mod discovery;
pub mod environments;
pub mod error;
pub mod events;
pub mod everywhere;
pub mod fields;
pub mod fingerprint_key;
pub mod ignore;
pub mod leases;
pub mod leaves;
pub mod live;
pub mod metadata;
pub mod namespaces;
pub mod own;
pub mod person;
pub mod plans;
pub mod records;
pub mod repositories;
pub mod secret;
pub mod watch;
pub mod watched;
pub mod wire_object;
pub mod workloads;
pub mod write;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::Client;
use tokio::sync::OnceCell;

use crate::cluster::connect::Watching;
use crate::cluster::discovery::Discovery;
use crate::cluster::leases::Leadership;
use crate::cluster::write::guesses::Guesses;

/// One API server, what it serves, and how often it was asked.
pub struct Cluster {
    client: Client,
    watching: Watching,
    kinds: Mutex<Arc<Discovery>>,
    timeout: Duration,
    fence: Option<Leadership>,
    requests: Mutex<BTreeMap<&'static str, u64>>,
    throttled: AtomicU64,
    /// Plans that are being executed.
    executions: AtomicUsize,
    account: OnceCell<String>,
    guesses: Guesses,
}

impl Cluster {
    /// Requests sent so far by verb: `get`, `list`, `watch`, `post`, `patch`, `delete`. Repeated ones count each time.
    pub fn requests(&self) -> BTreeMap<&'static str, u64> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count_request(&self, verb: &'static str) {
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry(verb).or_default() += 1;
    }

    fn count_throttled(&self) {
        self.throttled.fetch_add(1, Ordering::Relaxed);
    }

    /// How often the server said 429 so far.
    fn throttled(&self) -> u64 {
        self.throttled.load(Ordering::Relaxed)
    }
}
