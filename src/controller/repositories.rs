//! All Repositories: each is followed from when it is seen until it is gone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use kube::core::error_boundary::InvalidObject;
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};

use crate::cluster::Cluster;
use crate::cluster::everywhere::Everywhere;
use crate::cluster::leases::Leadership;
use crate::cluster::watch::Event;
use crate::cluster::watch::told::Told;
use crate::controller::environment::Shared;
use crate::controller::repository::Follower;
use crate::controller::seat::Seat;
use crate::keys::watch::Loaded;
use crate::model::digest::b32;
use crate::model::environment::Lane;
use crate::model::repository::Repository;
use crate::server::health::Health;
use crate::supervise::Stop;

/// How often the loop says that it is alive.
const BEAT: Duration = Duration::from_secs(10);
/// Its name in the probes.
pub fn part(lane: &str) -> &'static str {
    if lane == Lane::Branches.as_str() { "repositories, branches" } else { "repositories" }
}

/// What follows the Repositories of a lane.
pub struct Repositories {
    /// What the environments of the lane share.
    pub shared: Arc<Shared>,
    /// The API server, fenced by the lane's Lease.
    pub cluster: Arc<Cluster>,
    /// What the environments watch together, if they do.
    pub everywhere: Option<Arc<Everywhere>>,
    /// The lane's Lease.
    pub leadership: Leadership,
    /// Who we are.
    pub seat: Seat,
    /// The identities.
    pub keys: watch::Receiver<Loaded>,
    /// True if the process serves no other lane than that of branches.
    pub branches_only: bool,
    /// Directory of the mirrors.
    pub data: PathBuf,
    /// The one Repository to serve; all without it.
    pub only: Option<String>,
    /// Name of this cluster, if it was given.
    pub cluster_name: Option<String>,
    /// Tells the time.
    pub clock: fn() -> Timestamp,
    /// The probes.
    pub health: Arc<Health>,
}

#[derive(Default)]
struct Followed {
    tasks: JoinSet<()>,
    names: HashMap<Id, String>,
    senders: BTreeMap<String, watch::Sender<Arc<Repository>>>,
    known: BTreeMap<String, Arc<Repository>>,
}

impl Repositories {
    /// Follows them until told to stop.
    pub async fn run(self, stop: Stop) -> Result<(), std::convert::Infallible> {
        let mut events = self.cluster.watch_repositories();
        let mut followed = Followed::default();
        let mut beat = tokio::time::interval(BEAT);
        let part = part(self.shared.lane);
        loop {
            tokio::select! {
                () = stop.requested() => break,
                Some(event) = events.next() => self.heard(event, &mut followed),
                Some(ended) = followed.tasks.join_next_with_id() => followed.ended(ended),
                _ = beat.tick() => self.health.beat(part),
            }
            self.start(&mut followed, &stop);
        }
        followed.senders.clear();
        while followed.tasks.join_next().await.is_some() {}
        Ok(())
    }

    fn heard(&self, event: Event<Result<Repository, InvalidObject>>, followed: &mut Followed) {
        let part = part(self.shared.lane);
        let Told { found, gone } = match event.told("Repository", followed.known.keys()) {
            Ok(told) => told,
            Err(error) => {
                let (reason, hint) = (error.reason().as_str(), error.hint());
                tracing::warn!(reason, hint, "Repositories cannot be watched: {error}");
                return self.health.ready_but(part, "the API server cannot be watched");
            }
        };
        self.health.ready(part);
        for (name, repository) in found {
            if self.only.as_ref().is_none_or(|only| *only == name) {
                followed.known.insert(name, Arc::new(self.here(repository)));
            }
        }
        for name in gone {
            followed.known.remove(&name);
            followed.senders.remove(&name);
            self.shared.metrics.forget_repository(&name);
        }
    }

    /// The cluster that this process serves goes before the one that the Repository names.
    fn here(&self, mut repository: Repository) -> Repository {
        if self.cluster_name.is_some() {
            repository.spec.cluster.clone_from(&self.cluster_name);
        }
        repository
    }

    /// Tells the followers what is new, and starts those that are not there yet.
    fn start(&self, followed: &mut Followed, stop: &Stop) {
        let busy: BTreeSet<String> = followed.names.values().cloned().collect();
        for (name, repository) in followed.known.clone() {
            if let Some(sender) = followed.senders.get(&name) {
                tell(sender, &repository);
            } else if followed.has_its_home(&repository) {
                if !busy.contains(&name) {
                    self.spawn(followed, &name, repository, stop);
                }
            } else {
                tracing::debug!(repository = name, "its home namespace serves another Repository");
            }
        }
    }

    fn spawn(&self, followed: &mut Followed, name: &str, repository: Arc<Repository>, stop: &Stop) {
        // two Repositories of one URL, and two lanes of one, accept tips and keep commits each for itself
        let mirrors = if self.shared.lane == Lane::Branches.as_str() { "branches" } else { "mirrors" };
        let directory = self.data.join(mirrors).join(b32(26, [name, repository.spec.url.as_str()]));
        let sender = watch::Sender::new(repository);
        let follower = Follower {
            shared: self.shared.clone(),
            cluster: self.cluster.clone(),
            everywhere: self.everywhere.clone(),
            leadership: self.leadership.clone(),
            seat: self.seat.clone(),
            keys: self.keys.clone(),
            branches_only: self.branches_only,
            directory,
            repository: sender.subscribe(),
            clock: self.clock,
        };
        let task = followed.tasks.spawn(follower.run(stop.clone()));
        followed.names.insert(task.id(), name.to_owned());
        followed.senders.insert(name.to_owned(), sender);
    }
}

impl Followed {
    fn ended(&mut self, ended: Result<(Id, ()), tokio::task::JoinError>) {
        let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
        let Some(name) = self.names.remove(&id) else { return };
        self.senders.remove(&name);
        tracing::error!(repository = name, "the Repository's task ended: it begins again if it is still there");
    }

    /// A home namespace keeps the books of one Repository: the oldest.
    fn has_its_home(&self, repository: &Repository) -> bool {
        !self.known.values().any(|other| other.takes_home_from(repository))
    }
}

/// What is only our own status is known, but nothing new; whose Lease counts is.
fn tell(sender: &watch::Sender<Arc<Repository>>, repository: &Arc<Repository>) {
    fn asks(repository: &Repository) -> (Option<&String>, Vec<Option<&String>>) {
        let status = repository.status.as_ref();
        let leases = status.iter().flat_map(|status| &status.lanes).map(|lane| lane.lease.as_ref()).collect();
        (status.and_then(|status| status.look_at.as_ref()), leases)
    }
    sender.send_if_modified(|known| {
        let is_new = known.spec != repository.spec || asks(known) != asks(repository);
        *known = repository.clone();
        is_new
    });
}
