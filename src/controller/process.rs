//! What the work of the service stands on, running: Leases, keys, probes, metrics.

use std::convert::Infallible;
use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::cluster;
use crate::cluster::Cluster;
use crate::cluster::leases::{Leadership, leadership};
use crate::controller::lease::{Keeper, holder};
use crate::controller::metrics::Metrics;
use crate::keys::watch::{Loaded, follow};
use crate::model::reason::{Reason, Retry};
use crate::server;
use crate::server::health::Health;
use crate::server::pages::Pages;
use crate::settings::controller::{ControllerSettings, Lane};
use crate::supervise::{Order, Stop, Tasks};

/// Held while a process uses the directory of mirrors.
const DATA_LOCK: &str = ".osier-lock";
/// The part of the probes that the keys are.
const KEYS: &str = "keys";
/// Longest time for one request about a Lease: two fit into what is left when a renewal is late.
const LEASE_TIMEOUT: Duration = Duration::from_secs(4);
/// What the names of service accounts begin with.
const SERVICE_ACCOUNTS: &str = "system:serviceaccount:";
/// An admission policy that was made a moment ago, as when the chart is installed, is not in force yet.
const IN_FORCE: Duration = Duration::from_secs(5);
/// Between two looks whether it is.
const AGAIN: Duration = Duration::from_millis(500);

/// A process that serves nothing yet: its work is spawned into `tasks`.
pub struct Process {
    /// All tasks, to which the work is added; they end with `Tasks::run`.
    pub tasks: Tasks,
    /// Each lane that it may lead.
    pub lanes: Vec<LaneAccess>,
    /// The key classes, as they are now.
    pub keys: watch::Receiver<Loaded>,
    /// What the probes say. The work adds its parts and beats.
    pub health: Arc<Health>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Address of the probes, with the port that was free if none was asked for.
    pub address: SocketAddr,
}

/// The way to the API server for one lane.
#[derive(Clone)]
pub struct LaneAccess {
    /// `protected` or `branches`.
    pub lane: &'static str,
    /// Writes only while the lane's Lease is held.
    pub cluster: Arc<Cluster>,
    /// Whether it is.
    pub leadership: Leadership,
}

/// Why the process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address of the probes cannot be used.
    #[error(transparent)]
    Listen(#[from] server::Error),
    /// Another process has its mirrors in the directory.
    #[error("another `osier controller` uses `{directory}`")]
    DataTaken {
        /// Of `--data`.
        directory: PathBuf,
    },
    /// The directory of mirrors cannot be locked.
    #[error("cannot lock `{directory}`")]
    Data {
        /// Of `--data`.
        directory: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The API server's address or credentials cannot be used.
    #[error("cannot use the cluster")]
    Cluster {
        /// Why.
        #[from]
        source: cluster::error::Error,
    },
    /// The lane of branches has rights that reach beyond branches.
    #[error(
        "`{account}` may delete namespace `{namespace}`, which is no branch's: nothing that branches can do may reach so far"
    )]
    TooPowerful {
        /// The service account.
        account: String,
        /// osier's own.
        namespace: String,
    },
    /// The operating system gives no random bytes.
    #[error("cannot make a name for this process: no random bytes")]
    Random {
        /// What the system says.
        #[from]
        source: getrandom::Error,
    },
}

impl Error {
    /// The one of the closed list.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Cluster { source } => source.reason(),
            Self::Listen(error) => error.reason(),
            Self::TooPowerful { .. } => Reason::PolicyDenied,
            Self::DataTaken { .. } | Self::Data { .. } | Self::Random { .. } => Reason::ServerUnavailable,
        }
    }

    /// Whether it may start later.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Cluster { source } => source.retry(),
            Self::Listen(error) => error.retry(),
            Self::TooPowerful { .. } | Self::DataTaken { .. } | Self::Data { .. } | Self::Random { .. } => Retry::Later,
        }
    }

    /// What to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Cluster { source } => source.hint(),
            Self::Listen(error) => Some(error.hint()),
            Self::TooPowerful { .. } => Some(
                "limit the account to the prefixes of branches, as `lanes.branches.prefixes` of the chart does with an admission policy, and \
                 start it again"
                    .to_owned(),
            ),
            Self::DataTaken { .. } => {
                Some("pass --data DIR with a directory of its own: each replica keeps mirrors of its own".to_owned())
            }
            Self::Data { .. } => Some("pass --data DIR with a directory on a file system that has locks".to_owned()),
            Self::Random { .. } => None,
        }
    }
}

/// Takes the directory of mirrors for this process, until the file is dropped or the process ends in whatever way.
///
/// # Errors
/// `DataTaken`, `Data`.
pub fn take_data(directory: &Path) -> Result<File, Error> {
    let failed = |source| Error::Data { directory: directory.to_owned(), source };
    let file = File::create(directory.join(DATA_LOCK)).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::DataTaken { directory: directory.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Starts it. `clock` is for the times in the Leases, which people read.
///
/// # Errors
/// What cannot be used; nothing runs then.
pub async fn start(settings: &ControllerSettings, clock: fn() -> Timestamp) -> Result<Process, Error> {
    if settings.lane == Lane::Branches {
        check_confinement(settings).await?;
    }
    let (listener, address) = server::listen("--listen", settings.listen).await?;
    let (health, metrics) = (Arc::new(Health::new([KEYS])), Arc::new(Metrics::default()));
    let mut tasks = Tasks::default();
    let mut lanes = Vec::new();
    for (lane, lease) in settings.lane.leases() {
        let keeper = keeper(settings, lease, clock, &health).await?;
        lanes.push(lead(&mut tasks, settings, lane, keeper, &metrics).await?);
    }
    let keys = keys(&mut tasks, settings, &health, &metrics);
    let pages = Pages { health: Arc::clone(&health), metrics: page(&metrics, &lanes, &keys) };
    let stop = tasks.stop(Order::Last);
    tasks.spawn("probes", Order::Last, stop.ends(pages.serve(listener)));
    Ok(Process { tasks, lanes, keys, health, metrics, address })
}

/// Whatever mistakes the lane of branches makes, its account must not be able to delete a namespace that is no branch's. osier's own stands
/// for all of these.
///
/// Persons are not looked at: who tries the lane with a kubeconfig of his own may do what he may.
async fn check_confinement(settings: &ControllerSettings) -> Result<(), Error> {
    let cluster = connect(settings).await?.with_timeout(settings.request_timeout);
    let account = cluster.who_am_i().await?;
    if !account.starts_with(SERVICE_ACCOUNTS) {
        tracing::warn!(account, "this is no service account: what the lane of branches may do is not looked at");
        return Ok(());
    }
    let end = Instant::now() + IN_FORCE;
    while cluster.may_delete_place(&settings.namespace).await? {
        if Instant::now() >= end {
            return Err(Error::TooPowerful { account, namespace: settings.namespace.clone() });
        }
        tokio::time::sleep(AGAIN).await;
    }
    Ok(())
}

async fn keeper(
    settings: &ControllerSettings,
    lease: &'static str,
    clock: fn() -> Timestamp,
    health: &Arc<Health>,
) -> Result<Keeper, Error> {
    Ok(Keeper {
        cluster: Arc::new(connect(settings).await?.with_timeout(LEASE_TIMEOUT)),
        namespace: settings.namespace.clone(),
        name: lease,
        holder: holder(&settings.machine)?,
        clock,
        health: Arc::clone(health),
    })
}

/// Keeps the Lease of one lane.
async fn lead(
    tasks: &mut Tasks,
    settings: &ControllerSettings,
    lane: &'static str,
    keeper: Keeper,
    metrics: &Arc<Metrics>,
) -> Result<LaneAccess, Error> {
    let (tenure, leadership) = leadership();
    let stop = || tasks.stop(Order::Last);
    let count = stop().ends(count_leadership(lane, leadership.clone(), Arc::clone(metrics)));
    let name = keeper.name;
    let keep = keeper.keep(tenure, stop());
    tasks.spawn(name, Order::Last, keep);
    tasks.spawn(format!("count of {name}"), Order::Last, count);
    let cluster = connect(settings).await?.with_timeout(settings.request_timeout).fenced(leadership.clone());
    Ok(LaneAccess { lane, cluster: Arc::new(cluster), leadership })
}

async fn connect(settings: &ControllerSettings) -> Result<Cluster, Error> {
    Ok(Cluster::connect(settings.kubeconfig.as_deref(), settings.context.as_deref()).await?)
}

async fn count_leadership(lane: &'static str, leadership: Leadership, metrics: Arc<Metrics>) -> Result<(), Infallible> {
    loop {
        metrics.leading(lane, false);
        leadership.held().await;
        metrics.leading(lane, true);
        leadership.lost().await;
    }
}

fn keys(
    tasks: &mut Tasks,
    settings: &ControllerSettings,
    health: &Arc<Health>,
    metrics: &Arc<Metrics>,
) -> watch::Receiver<Loaded> {
    let (sender, keys) = watch::channel(Loaded::read(&settings.keys));
    tasks.spawn("keys", Order::First, tasks.stop(Order::First).ends(follow(settings.keys.clone(), sender)));
    let counted = count_keys(keys.clone(), Arc::clone(health), Arc::clone(metrics), tasks.stop(Order::First));
    tasks.spawn("keys seen", Order::First, counted);
    keys
}

async fn count_keys(
    mut keys: watch::Receiver<Loaded>,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    stop: Stop,
) -> Result<(), Infallible> {
    loop {
        {
            let Loaded { keyring, unusable } = &*keys.borrow_and_update();
            metrics.keys(keyring.classes().len(), unusable.len());
            match unusable.as_slice() {
                [] => health.ready(KEYS),
                unusable => health.ready_but(KEYS, unusable.join("; ")),
            }
        }
        tokio::select! {
            () = stop.requested() => return Ok(()),
            // without a sender nothing changes any more; that task's end is its own
            changed = keys.changed() => if changed.is_err() { stop.requested().await },
        }
    }
}

fn page(
    metrics: &Arc<Metrics>,
    lanes: &[LaneAccess],
    keys: &watch::Receiver<Loaded>,
) -> Box<dyn Fn() -> String + Send + Sync> {
    let (metrics, lanes, keys) = (Arc::clone(metrics), lanes.to_vec(), keys.clone());
    Box::new(move || {
        metrics.decrypts(keys.borrow().keyring.unwraps());
        for access in &lanes {
            metrics.requests(access.lane, &access.cluster.requests());
        }
        metrics.text()
    })
}
