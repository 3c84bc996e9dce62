//! L3: the service. What runs, for how long, and who is told.
//!
//! ```text
//! repositories ─▶ repository ─┬▶ remote: looked at                  always, so that every replica's mirror is warm
//!   (all of them)  (each one) └▶ environment: triggers ─▶ reconcile    while the lane's Lease is ours
//! ```

pub mod environment;
pub mod error;
pub mod flapping;
pub mod lease;
pub mod metrics;
pub mod pace;
pub mod remote;
pub mod repositories;
pub mod repository;
pub mod status;
pub mod supervise;

use std::sync::Arc;

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::cluster::Cluster;
use crate::cluster::leases::{Leadership, leadership};
use crate::controller::environment::Shared;
use crate::controller::error::Error;
use crate::controller::lease::Keeper;
use crate::controller::metrics::Metrics;
use crate::controller::repositories::Repositories;
use crate::controller::status::Seat;
use crate::controller::supervise::{Order, Signals, Stop, Tasks};
use crate::keys;
use crate::keys::watch::Loaded;
use crate::model::wire;
use crate::server::health::Health;
use crate::server::{self, Pages};
use crate::settings::controller::ControllerSettings;

/// Name of the lane that is served.
const LANE: &str = "protected";

/// What the parts of the service share.
struct Parts {
    settings: ControllerSettings,
    clock: fn() -> Timestamp,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    tasks: Tasks,
}

/// Runs the service until it is told to stop.
///
/// # Errors
/// It could not begin, or one of its tasks ended.
pub async fn run(settings: ControllerSettings, clock: fn() -> Timestamp) -> Result<(), Error> {
    let address = settings.listen;
    let listener = TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
    let signals = Signals::listen().map_err(|source| Error::Signals { source })?;
    let cluster = connect(&settings).await?;
    cluster.ensure_crds_present().await?;
    let account = cluster.who_am_i().await?;
    let holder = lease::holder(&settings.machine).map_err(|source| Error::Random { source })?;
    let lane = settings.lane.as_str();
    let mut parts = Parts {
        settings,
        clock,
        health: Arc::new(Health::new([repositories::PART])),
        metrics: Arc::new(Metrics::default()),
        tasks: Tasks::default(),
    };
    let keys = parts.keys();
    parts.probes(listener);
    for &name in parts.settings.lane.leases() {
        let leadership = parts.lease(name, &holder).await?;
        if name == wire::LEASE_PROTECTED {
            parts.repositories(name, leadership, &account, &keys).await?;
        }
    }
    tracing::info!(holder, lane, %address, "osier {} serves", env!("CARGO_PKG_VERSION"));
    Ok(parts.tasks.run(signals).await?)
}

impl Parts {
    fn keys(&mut self) -> watch::Receiver<Loaded> {
        let (loaded, keys) = watch::channel(Loaded::read(&self.settings.keys));
        let follow = keys::watch::follow(self.settings.keys.clone(), loaded);
        let stop = self.tasks.stop(Order::First);
        self.tasks.spawn("keys", Order::First, until(stop, follow));
        keys
    }

    fn probes(&mut self, listener: TcpListener) {
        let metrics = self.metrics.clone();
        let pages = Pages { health: self.health.clone(), metrics: Box::new(move || metrics.text()) };
        let stop = self.tasks.stop(Order::Last);
        self.tasks.spawn("probes", Order::Last, until(stop, server::serve(listener, pages)));
    }

    async fn lease(&mut self, name: &'static str, holder: &str) -> Result<Leadership, Error> {
        let (tenure, leadership) = leadership();
        let cluster = Arc::new(connect(&self.settings).await?);
        let (namespace, holder) = (self.settings.namespace.clone(), holder.to_owned());
        let keeper = Keeper { cluster, namespace, name, holder, clock: self.clock };
        let stop = self.tasks.stop(Order::Last);
        self.tasks.spawn(name, Order::Last, keeper.keep(tenure, stop));
        Ok(leadership)
    }

    async fn repositories(
        &mut self,
        lease: &str,
        leadership: Leadership,
        account: &str,
        keys: &watch::Receiver<Loaded>,
    ) -> Result<(), Error> {
        let slots = Semaphore::new(self.settings.concurrency);
        let repositories = Repositories {
            shared: Arc::new(Shared { lane: LANE, metrics: self.metrics.clone(), slots }),
            cluster: Arc::new(connect(&self.settings).await?.fenced(leadership.clone())),
            leadership,
            seat: Seat {
                lane: LANE,
                lease: format!("{}/{lease}", self.settings.namespace),
                account: account.to_owned(),
            },
            keys: keys.clone(),
            data: self.settings.data.clone(),
            cluster_name: self.settings.cluster.clone(),
            clock: self.clock,
            health: self.health.clone(),
        };
        let stop = self.tasks.stop(Order::First);
        self.tasks.spawn("repositories", Order::First, repositories.run(stop));
        Ok(())
    }
}

async fn connect(settings: &ControllerSettings) -> Result<Cluster, Error> {
    let cluster = Cluster::connect(settings.kubeconfig.as_deref(), settings.context.as_deref()).await?;
    Ok(cluster.with_timeout(settings.request_timeout))
}

/// Runs a task that does not end by itself until it is told to stop.
async fn until<E>(stop: Stop, task: impl Future<Output = Result<(), E>>) -> Result<(), E> {
    tokio::select! {
        () = stop.requested() => Ok(()),
        ended = task => ended,
    }
}
