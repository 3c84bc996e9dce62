//! A connection to one API server.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::sync::OnceCell;

use crate::cluster::discovery::Kinds;
use crate::cluster::error::Error;

/// Longest time for one request. Shorter than a lease, so that a leader that lost it has no write under way.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time for opening a connection: a server that is there answers at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// One API server, what it serves, and how often it was asked.
pub struct Cluster {
    pub(super) client: Client,
    pub(super) kinds: OnceCell<Kinds>,
    pub(super) timeout: Duration,
    requests: Mutex<BTreeMap<&'static str, u64>>,
    throttled: AtomicU64,
}

impl Cluster {
    /// Connects as `kubeconfig` says, or as kubectl would find it, or from within a pod. Sends nothing yet.
    ///
    /// # Errors
    /// `Kubeconfig` if there is no usable configuration, `Client` if the certificates in it cannot be used.
    pub async fn connect(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Self, Error> {
        let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
        let mut config = match kubeconfig {
            Some(path) => Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &options).await?,
            None if context.is_some() => Config::from_kubeconfig(&options).await?,
            None => Config::infer().await?,
        };
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.default_retry = false; // its fifteen tries take minutes; `call` has the rule
        let client = ClientBuilder::try_from(config).map_err(|source| Error::Client { source })?.build();
        Ok(Self::new(client))
    }

    /// Uses a client that exists already, such as one over the sandbox.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            kinds: OnceCell::new(),
            timeout: TIMEOUT,
            requests: Mutex::new(BTreeMap::new()),
            throttled: AtomicU64::new(0),
        }
    }

    /// The same with another limit for one request.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Requests sent so far by verb: `get`, `list`, `post`, `patch`, `delete`. Repeated ones count each time.
    pub fn requests(&self) -> BTreeMap<&'static str, u64> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn count_request(&self, verb: &'static str) {
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry(verb).or_default() += 1;
    }

    pub(super) fn count_throttled(&self) {
        self.throttled.fetch_add(1, Ordering::Relaxed);
    }

    /// How often the server said 429 so far.
    pub(super) fn throttled(&self) -> u64 {
        self.throttled.load(Ordering::Relaxed)
    }
}
