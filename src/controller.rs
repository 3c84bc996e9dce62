//! L3: the service. What runs, for how long, and who is told.
//!
//! ```text
//! repositories ─▶ repository ─┬▶ remote: looked at                     always, so that every replica's mirror is warm
//!   (all of them)  (each one) ├▶ environment: triggers ─▶ reconcile    while the lane's Lease is ours
//!                             └▶ plans: what people ask for               likewise
//! ```

pub mod announce;
pub mod authors;
pub mod branches;
pub mod changed;
pub mod environment;
pub mod error;
pub mod flapping;
pub mod follows;
pub mod lease;
pub mod metrics;
pub mod plans;
pub mod process;
pub mod readiness;
pub mod remote;
pub mod repositories;
pub mod repository;
pub mod seat;
pub mod slots;
pub mod status;
pub mod statuses;

use std::sync::Arc;

use jiff::Timestamp;

use crate::cluster::everywhere::Everywhere;
use crate::controller::environment::Shared;
use crate::controller::error::Error;
use crate::controller::process::{LaneAccess, Process};
use crate::controller::repositories::Repositories;
use crate::controller::seat::Seat;
use crate::controller::slots::Slots;
use crate::settings::controller::{ControllerSettings, Lane, WatchScope};
use crate::supervise::{Order, Signals};

/// Runs the service until it is told to stop.
///
/// # Errors
/// It could not begin, or one of its tasks ended.
pub async fn run(settings: ControllerSettings, clock: fn() -> Timestamp) -> Result<(), Error> {
    let signals = Signals::listen().map_err(|source| Error::Signals { source })?;
    let _only_we = process::take_data(&settings.data)?;
    let mut process = process::start(&settings, clock).await?;
    for &(lane, lease) in settings.lane.leases() {
        if let Some(access) = process.lanes.iter().find(|access| access.lane == lane).cloned() {
            serve(&mut process, &settings, access, lease, clock).await?;
        }
    }
    tracing::info!(lane = settings.lane.as_str(), address = %process.address, "osier {} serves", env!("CARGO_PKG_VERSION"));
    Ok(process.tasks.run(signals).await?)
}

async fn serve(
    process: &mut Process,
    settings: &ControllerSettings,
    access: LaneAccess,
    lease: &str,
    clock: fn() -> Timestamp,
) -> Result<(), Error> {
    let LaneAccess { lane, cluster, leadership } = access;
    cluster.ensure_crds_present().await?;
    let account = cluster.who_am_i().await?;
    process.health.not_ready(repositories::part(lane), "not listed yet");
    let everywhere = (settings.watch == WatchScope::Cluster).then(|| Arc::new(Everywhere::new(cluster.clone())));
    if let Some(everywhere) = everywhere.clone() {
        process.tasks.spawn(
            format!("watches, {lane}"),
            Order::First,
            process.tasks.stop(Order::First).ends(everywhere.run()),
        );
    }
    let repositories = Repositories {
        shared: Arc::new(Shared { lane, metrics: process.metrics.clone(), slots: Slots::new(settings.concurrency) }),
        cluster,
        everywhere,
        leadership,
        seat: Seat { lane, lease: format!("{}/{lease}", settings.namespace), account },
        keys: process.keys.clone(),
        branches_only: settings.lane == Lane::Branches,
        data: settings.data.clone(),
        only: settings.repository.clone(),
        cluster_name: settings.cluster.clone(),
        clock,
        health: process.health.clone(),
    };
    let stop = process.tasks.stop(Order::First);
    process.tasks.spawn(repositories::part(lane), Order::First, repositories.run(stop));
    Ok(())
}
