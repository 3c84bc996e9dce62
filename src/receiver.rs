//! L3: the receiver. It hears the webhooks of forges and asks the service to look, which is all that it can do.
//!
//! ```text
//! call ─▶ allowance ─▶ HMAC over the bytes ─▶ bell ─▶ follower ─▶ status.lookAt, once a second at most
//! ```
//!
//! It has no keys, no git and no Lease: several may run. A call carries no content, so that losing, forging or repeating one changes nothing
//! but the time of the next look.

pub mod allowance;
pub mod answer;
pub mod bell;
pub mod error;
pub mod follower;
pub mod forge;
pub mod forwarded;
pub mod metrics;
pub mod repositories;
pub mod signature;

use std::sync::Arc;

use jiff::Timestamp;

use crate::cluster::Cluster;
use crate::receiver::allowance::Allowance;
use crate::receiver::answer::Calls;
use crate::receiver::bell::Bells;
use crate::receiver::error::Error;
use crate::receiver::metrics::Metrics;
use crate::receiver::repositories::{PART, Repositories};
use crate::server::health::Health;
use crate::server::pages::Pages;
use crate::server::{listen, serve};
use crate::settings::receiver::ReceiverSettings;
use crate::supervise::{Order, Signals, Tasks};

/// Calls at once, each in a few KiB: more wait in the kernel's queue.
const CONNECTIONS: usize = 256;

/// Runs the receiver until it is told to stop.
///
/// # Errors
/// It could not begin, or one of its tasks ended.
pub async fn run(settings: ReceiverSettings, clock: fn() -> Timestamp) -> Result<(), Error> {
    let signals = Signals::listen().map_err(|source| Error::Signals { source })?;
    let (probes, address) = listen("--listen", settings.listen).await?;
    let (webhooks, at) = listen("--webhooks", settings.webhooks).await?;
    let cluster = Cluster::connect(settings.kubeconfig.as_deref(), settings.context.as_deref()).await?;
    let cluster = Arc::new(cluster.with_timeout(settings.request_timeout));
    let (health, metrics) = (Arc::new(Health::new([PART])), Arc::new(Metrics::default()));
    let (allowance, bells) = (Allowance::default(), Bells::default());
    let calls = Arc::new(Calls { bells, allowance, proxies: settings.proxies, metrics: metrics.clone() });

    let mut tasks = Tasks::default();
    let page = page(metrics, cluster.clone());
    let pages = Pages { health: health.clone(), metrics: Box::new(page) };
    tasks.spawn("probes", Order::Last, tasks.stop(Order::Last).ends(pages.serve(probes)));
    let repositories = Repositories { cluster, calls: calls.clone(), only: settings.repository, clock, health };
    tasks.spawn("repositories", Order::First, repositories.run(tasks.stop(Order::First)));
    let answer = move |request, source| {
        let calls = calls.clone();
        async move { calls.answer(request, source).await }
    };
    tasks.spawn("webhooks", Order::First, tasks.stop(Order::First).ends(serve(webhooks, CONNECTIONS, answer)));
    tracing::info!(%address, webhooks = %at, "osier {} serves", env!("CARGO_PKG_VERSION"));
    Ok(tasks.run(signals).await?)
}

fn page(metrics: Arc<Metrics>, cluster: Arc<Cluster>) -> impl Fn() -> String {
    move || {
        metrics.requests(&cluster.requests());
        metrics.text()
    }
}
