//! A connection to one API server.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::sync::OnceCell;

use crate::cluster::Cluster;
use crate::cluster::error::Error;
use crate::cluster::leases::Leadership;

/// Longest time for one request; for a write of the service what is left of its Lease, where that is less.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time for opening a connection: a server that is there answers at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl Cluster {
    /// Connects as `kubeconfig` says, or as kubectl would find it, or from within a pod. Sends nothing yet.
    ///
    /// # Errors
    /// `Kubeconfig` if there is no usable configuration, `Client` if the certificates in it cannot be used.
    pub async fn connect(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Self, Error> {
        let mut config = config(kubeconfig, context).await?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.default_retry = false; // its fifteen tries take minutes; `call` has the rule
        let client = ClientBuilder::try_from(config).map_err(|source| Error::Client { source })?.build();
        Ok(Self::new(client))
    }

    /// The namespace that the service account or the context names. `default` names none: nobody chose it.
    ///
    /// # Errors
    /// `Kubeconfig` if there is no usable configuration.
    pub async fn own_namespace(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Option<String>, Error> {
        let namespace = config(kubeconfig, context).await?.default_namespace;
        Ok(Some(namespace).filter(|namespace| namespace != "default"))
    }

    /// Uses a client that exists already, such as one over the sandbox.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            kinds: OnceCell::new(),
            timeout: TIMEOUT,
            fence: None,
            requests: Mutex::default(),
            throttled: AtomicU64::default(),
        }
    }

    /// The same with another limit for one request.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The same for a leader: what changes something is sent only while the Lease is held, and given up before it runs out.
    #[must_use]
    pub fn fenced(self, fence: Leadership) -> Self {
        Self { fence: Some(fence), ..self }
    }
}

async fn config(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Config, Error> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    Ok(match kubeconfig {
        Some(path) => Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &options).await?,
        None if context.is_some() => Config::from_kubeconfig(&options).await?,
        None => Config::infer().await?,
    })
}
