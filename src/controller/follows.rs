//! The repositories that one Repository follows: each is looked at by a follower of its own, so that one that hangs delays nobody.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::controller::metrics::Metrics;
use crate::controller::remote::{Of, Remote, Sight};
use crate::model::repository::Repository;
use crate::supervise::Stop;

/// What the followers share.
pub struct Follows {
    /// Name of the lane.
    pub lane: &'static str,
    /// The API server, for the credentials.
    pub cluster: Arc<Cluster>,
    /// The grant, as it was seen last.
    pub repository: watch::Receiver<Arc<Repository>>,
    /// Where what is seen goes.
    pub sight: watch::Sender<Sight>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl Follows {
    /// Follows what the Repository names until it is told to stop.
    pub async fn run(mut self, stop: Stop) {
        let mut running = FuturesUnordered::new();
        let mut names = BTreeSet::new();
        loop {
            let wanted = self.wanted();
            let metrics = &self.metrics;
            let repository = self.repository.borrow().metadata.name.clone().unwrap_or_default();
            for name in wanted.iter().filter(|name| names.insert((*name).clone())) {
                let follow = self.remote(name).follow(stop.clone());
                let name = name.clone();
                running.push(async move {
                    follow.await;
                    name
                });
            }
            tokio::select! {
                () = stop.requested() => return,
                changed = self.repository.changed() => if changed.is_err() { return },
                Some(name) = running.next() => {
                    metrics.forget_repository(&format!("{repository}/{name}"));
                    names.remove(&name);
                }
            }
        }
    }

    /// The names that the Repository follows now. Nobody sees one of them gone while another has not come yet.
    fn wanted(&mut self) -> BTreeSet<String> {
        let repository = self.repository.borrow_and_update();
        let wanted: BTreeSet<String> = repository.spec.follows.iter().map(|follow| follow.name.clone()).collect();
        self.sight.send_if_modified(|sight| {
            sight.followed.retain(|name, _| wanted.contains(name));
            for name in &wanted {
                sight.followed.entry(name.clone()).or_default();
            }
            sight.set_beside(Instant::now())
        });
        wanted
    }

    fn remote(&self, name: &str) -> Remote {
        Remote {
            lane: self.lane,
            cluster: self.cluster.clone(),
            of: Of::Followed(name.to_owned(), None),
            repository: self.repository.clone(),
            sight: self.sight.clone(),
            metrics: self.metrics.clone(),
        }
    }
}
