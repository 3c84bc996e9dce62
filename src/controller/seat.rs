//! Whose Lease counts for a Repository: two services with Leases in different namespaces would both lead.
//!
//! The Repository's status names one for each lane. Who leads by another waits until that one is given up or has run out.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::cluster::Cluster;
use crate::cluster::error::Error;
use crate::cluster::leases::BootTime;
use crate::controller::lease::{Move, Seen};
use crate::model::repository::{LaneStatus, Repository, UnknownFollow};
use crate::supervise::Stop;

/// Between two looks at a Lease of another service.
const LOOK: Duration = Duration::from_secs(3);

/// Who serves a lane, and how it can be seen that he still does.
#[derive(Clone, Debug)]
pub struct Seat {
    /// `protected` or `branches`.
    pub lane: &'static str,
    /// Namespace and name of the Lease, with a slash.
    pub lease: String,
    /// The account that holds it.
    pub account: String,
}

impl Seat {
    /// True if the Repository names our Lease for the lane.
    pub fn is_ours(&self, repository: &Repository) -> bool {
        self.named(repository) == Some(&self.lease)
    }

    /// Waits until the Repository names our Lease for the lane, which it does not while another that it names is held.
    ///
    /// The write is fenced: of two that come at the same time one sees the other's. False if it is told to stop before, or nobody tells
    /// of the Repository any more.
    pub async fn take(&self, cluster: &Cluster, mut repository: watch::Receiver<Arc<Repository>>, stop: &Stop) -> bool {
        let (mut seen, mut told) = (Seen::default(), false);
        loop {
            let now = repository.borrow_and_update().clone();
            if self.is_ours(&now) {
                return true;
            }
            match self.try_take(cluster, &now, &mut seen).await {
                Ok(true) => {}
                Ok(false) if told => {}
                Ok(false) => {
                    told = true;
                    tracing::error!(
                        repository = now.metadata.name,
                        ours = self.lease,
                        theirs = self.named(&now),
                        holder = seen.holder(),
                        "another service leads this Repository by a Lease in another place, so this one waits: give both the same \
                         `--namespace`, or stop one of them"
                    );
                }
                // somebody else wrote: the watch tells what
                Err(Error::Changed { .. }) => {}
                Err(error) => tracing::warn!(
                    repository = now.metadata.name,
                    reason = error.reason().as_str(),
                    hint = error.hint(),
                    "cannot see to it that nobody else leads this Repository: {error}"
                ),
            }
            tokio::select! {
                () = stop.requested() => return false,
                changed = repository.changed() => if changed.is_err() { return false },
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// One look, and one write if nobody holds what the Repository names; false if somebody does.
    async fn try_take(&self, cluster: &Cluster, repository: &Repository, seen: &mut Seen) -> Result<bool, Error> {
        if let Some((namespace, name)) = self.named(repository).and_then(|lease| lease.split_once('/')) {
            let found = cluster.lease(namespace, name).await?;
            if seen.judge(found, "", BootTime::now()) == Move::Wait {
                return Ok(false);
            }
        }
        let mut status = repository.status.clone().unwrap_or_default();
        status.lanes = self.lanes(repository, None, Vec::new());
        cluster.write_repository_status(repository, &status).await?;
        tracing::info!(repository = repository.metadata.name, lease = self.lease, "serves this Repository from now on");
        Ok(true)
    }

    /// The lanes as the status names them, ours with our Lease and this tip, or the one that it had.
    pub fn lanes(&self, repository: &Repository, tip: Option<String>, unknown: Vec<UnknownFollow>) -> Vec<LaneStatus> {
        let before = repository.status.iter().flat_map(|status| &status.lanes);
        let (ours, others): (Vec<_>, Vec<_>) = before.cloned().partition(|lane| lane.lane == self.lane);
        let ours = LaneStatus {
            lane: self.lane.to_owned(),
            tip: tip.or_else(|| ours.into_iter().find_map(|lane| lane.tip)),
            lease: Some(self.lease.clone()),
            account: Some(self.account.clone()),
            unknown,
        };
        let mut lanes: Vec<LaneStatus> = others.into_iter().chain([ours]).collect();
        lanes.sort_by(|one, other| one.lane.cmp(&other.lane));
        lanes
    }

    /// The Lease that the Repository names for the lane.
    fn named<'a>(&self, repository: &'a Repository) -> Option<&'a String> {
        let lanes = repository.status.iter().flat_map(|status| &status.lanes);
        lanes.filter(|lane| lane.lane == self.lane).find_map(|lane| lane.lease.as_ref())
    }
}
