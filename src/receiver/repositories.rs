//! All Repositories: each has a bell and a follower, from when it is seen until it is gone.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use kube::core::error_boundary::InvalidObject;
use tokio::sync::watch;

use crate::cluster::Cluster;
use crate::cluster::watch::Event;
use crate::cluster::watch::told::Told;
use crate::model::repository::Repository;
use crate::receiver::answer::Calls;
use crate::receiver::follower::Follower;
use crate::server::health::Health;
use crate::supervise::Stop;

/// How often the loop says that it is alive.
const BEAT: Duration = Duration::from_secs(10);
/// Its name in the probes.
pub const PART: &str = "repositories";

/// What follows the Repositories.
pub struct Repositories {
    /// The API server.
    pub cluster: Arc<Cluster>,
    /// What calls are answered with.
    pub calls: Arc<Calls>,
    /// The one Repository to hear of; all without it.
    pub only: Option<String>,
    /// Tells the time.
    pub clock: fn() -> Timestamp,
    /// The probes.
    pub health: Arc<Health>,
}

#[derive(Default)]
struct Followed {
    followers: FuturesUnordered<BoxFuture<'static, ()>>,
    /// A follower ends when its sender is dropped.
    senders: BTreeMap<String, watch::Sender<Arc<Repository>>>,
}

impl Repositories {
    /// Follows them until told to stop.
    pub async fn run(self, stop: Stop) -> Result<(), Infallible> {
        let mut events = self.cluster.watch_repositories();
        let mut followed = Followed::default();
        let mut beat = tokio::time::interval(BEAT);
        loop {
            tokio::select! {
                () = stop.requested() => return Ok(()),
                Some(event) = events.next() => self.heard(event, &mut followed),
                Some(()) = followed.followers.next() => {}
                _ = beat.tick() => self.health.beat(PART),
            }
        }
    }

    fn heard(&self, event: Event<Result<Repository, InvalidObject>>, followed: &mut Followed) {
        let Told { found, gone } = match event.told("Repository", followed.senders.keys()) {
            Ok(told) => told,
            Err(error) => {
                let (reason, hint) = (error.reason().as_str(), error.hint());
                tracing::warn!(reason, hint, "Repositories cannot be watched: {error}");
                return self.health.ready_but(PART, "the API server cannot be watched");
            }
        };
        self.health.ready(PART);
        for (name, repository) in found {
            if self.only.as_ref().is_none_or(|only| *only == name) {
                self.tell(followed, name, Arc::new(repository));
            }
        }
        for name in gone {
            followed.senders.remove(&name);
            self.calls.bells.remove(&name);
            self.calls.metrics.forget_repository(&name);
        }
    }

    fn tell(&self, followed: &mut Followed, name: String, repository: Arc<Repository>) {
        if let Some(sender) = followed.senders.get(&name) {
            sender.send_replace(repository);
            return;
        }
        let sender = watch::Sender::new(repository);
        let follower = Follower {
            cluster: self.cluster.clone(),
            name: name.clone(),
            repository: sender.subscribe(),
            bell: self.calls.bells.hang(&name),
            metrics: self.calls.metrics.clone(),
            health: self.health.clone(),
            clock: self.clock,
        };
        followed.followers.push(Box::pin(follower.run()));
        followed.senders.insert(name, sender);
    }
}
