//! What commits show on the forge of how environments stand: `osier/<environment>`, pending, then success or failure.
//!
//! It is said off the path: a pass never waits for a forge. What is shown is the reason and its meaning, both of the closed list, so that
//! nothing of the repository's content gets there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use crate::cluster::Cluster;
use crate::controller::metrics::Metrics;
use crate::git::credentials::Credentials;
use crate::git::failure::Failure;
use crate::git::forge::{Forge, Mark, Shown, Sort};
use crate::model::reason::Reason;
use crate::model::repository::{CommitStatuses, Repository};
use crate::model::tree::GitId;
use crate::model::wire::MANAGER;
use crate::reconcile::settle::Verdict;

/// What may wait for the forge; what comes beyond is dropped: the conditions say it, too.
const QUEUE: usize = 256;
/// How often one status is tried.
const ATTEMPTS: u32 = 5;
/// The first pause between two of them; it doubles.
const PAUSE: Duration = Duration::from_secs(1);

/// What commits are to show; clones share the queue.
#[derive(Clone)]
pub struct Statuses {
    queue: mpsc::Sender<(Follow, Shown)>,
}

/// A commit that shows how an environment stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The followed repository that it is of; without it the Repository's own.
    pub follow: Follow,
    /// Which one.
    pub commit: GitId,
}

/// Name of a followed repository, or the Repository's own.
type Follow = Option<String>;

/// What is still to be shown.
pub type Waiting = mpsc::Receiver<(Follow, Shown)>;

/// Has commits show it.
pub struct Teller {
    cluster: Arc<Cluster>,
    repository: watch::Receiver<Arc<Repository>>,
    metrics: Arc<Metrics>,
    /// The forges, as the Repository names them, while they take what they are told.
    forges: BTreeMap<Follow, (Site, Forge)>,
    /// What each context showed last.
    shown: BTreeMap<(Follow, String), Shown>,
}

/// URL of a repository, and the forge that it lies on.
type Site = (String, CommitStatuses);

impl Statuses {
    /// One that has nothing to show yet, and what it will have.
    pub fn new() -> (Self, Waiting) {
        let (queue, waiting) = mpsc::channel(QUEUE);
        (Self { queue }, waiting)
    }

    /// The environment begins to look at this commit.
    pub fn begins(&self, environment: &str, place: Place) {
        self.tell(environment, place, Mark::Pending, "osier is looking at it".to_owned());
    }

    /// The conditions of the environment say this of the commit.
    pub fn said(&self, environment: &str, place: Place, verdict: &Verdict) {
        let Some(mark) = mark(verdict) else { return };
        let waits = if verdict.waits() { ", and its workloads are not ready yet" } else { "" };
        let meaning = verdict.reason.meaning().trim_end_matches('.');
        self.tell(environment, place, mark, format!("{}: {meaning}{waits}", verdict.reason));
    }

    fn tell(&self, environment: &str, Place { follow, commit }: Place, mark: Mark, description: String) {
        let shown = Shown { commit, context: format!("{MANAGER}/{environment}"), mark, description };
        if self.queue.try_send((follow, shown)).is_err() {
            tracing::debug!(environment, "a commit status is dropped: too many are waiting");
        }
    }
}

/// `None` where the environment is not ours to speak of.
fn mark(verdict: &Verdict) -> Option<Mark> {
    Some(match verdict.reason {
        Reason::Elsewhere | Reason::Orphaned => return None,
        // how an environment ends says nothing of the commit
        Reason::Expiring | Reason::NamespaceTerminating | Reason::Gone => return None,
        Reason::HeldBack
        | Reason::Suspended
        | Reason::AdoptionHeld
        | Reason::MassDeletionHeld
        | Reason::ApprovalPending
        | Reason::Interrupted
        | Reason::Conflict
        | Reason::ServerUnavailable => Mark::Pending,
        _ if verdict.ready => Mark::Success,
        _ if verdict.waits() => Mark::Pending,
        _ => Mark::Failure,
    })
}

impl Teller {
    /// One that has told nothing yet.
    pub fn new(cluster: Arc<Cluster>, repository: watch::Receiver<Arc<Repository>>, metrics: Arc<Metrics>) -> Self {
        Self { cluster, repository, metrics, forges: BTreeMap::new(), shown: BTreeMap::new() }
    }

    /// Tells the forges what comes, until nobody has anything to tell. Of what waits together, the newest of each context counts, and the
    /// Repository's own forge comes first.
    pub async fn tell(mut self, mut waiting: Waiting) {
        let key = |(follow, shown): (Follow, Shown)| ((follow, shown.context.clone()), shown);
        while let Some(first) = waiting.recv().await {
            let mut newest = BTreeMap::from([key(first)]);
            while let Ok(next) = waiting.try_recv() {
                newest.extend([key(next)]);
            }
            for (context, shown) in newest {
                if self.shown.get(&context) != Some(&shown) && self.show(&context.0, &shown).await {
                    self.shown.insert(context, shown);
                }
            }
        }
    }

    /// Tries a few times, with pauses; true if the commit shows it.
    async fn show(&mut self, follow: &Follow, shown: &Shown) -> bool {
        let Some(site) = site(&self.repository.borrow(), follow.as_deref()) else { return false };
        let name = self.repository.borrow().metadata.name.clone().unwrap_or_default();
        for attempt in 0..ATTEMPTS {
            let Some(forge) = self.forge(follow, &site).await else { break };
            let Err(failure) = forge.show(shown.clone()).await else {
                self.metrics.commit_status(&name, true);
                return true;
            };
            // with other credentials it may go better
            self.forges.remove(follow);
            tracing::warn!(
                repository = name,
                follow,
                context = shown.context,
                attempt,
                "the forge does not show a commit status: {failure}"
            );
            if !may_pass(&failure) {
                break;
            }
            sleep(PAUSE * 2_u32.pow(attempt)).await;
        }
        self.metrics.commit_status(&name, false);
        false
    }

    /// The forge with today's credentials; `None` if it cannot be told anything.
    async fn forge(&mut self, follow: &Follow, site: &Site) -> Option<&Forge> {
        if self.forges.get(follow).is_none_or(|(known, _)| known != site) {
            let repository = self.repository.borrow().clone();
            self.forges.remove(follow);
            match self.open(site, &repository).await {
                Ok(forge) => drop(self.forges.insert(follow.clone(), (site.clone(), forge))),
                Err(why) => {
                    tracing::warn!(repository = repository.metadata.name, follow, "commits show no statuses: {why}");
                }
            }
        }
        self.forges.get(follow).map(|(_, forge)| forge)
    }

    async fn open(&self, site: &Site, repository: &Repository) -> Result<Forge, String> {
        let (url, CommitStatuses { forge, credentials, api }) = site;
        let sort = Sort::parse(forge).map_err(|error| error.to_string())?;
        let home = &repository.spec.home;
        let data = self.cluster.secret(home, credentials).await.map_err(|error| error.to_string())?;
        let data = data.ok_or_else(|| format!("there is no Secret `{home}/{credentials}`"))?;
        let credentials = Credentials::from_secret(data).map_err(|error| error.to_string())?;
        Forge::open(sort, url, api.as_deref(), credentials).map_err(|error| error.to_string())
    }
}

/// Where the commits of a repository are shown; `None` if nowhere.
fn site(repository: &Repository, follow: Option<&str>) -> Option<Site> {
    let spec = &repository.spec;
    let Some(name) = follow else { return Some((spec.url.clone(), spec.statuses.clone()?)) };
    let follow = spec.follows.iter().find(|follow| follow.name == name)?;
    Some((follow.url.clone(), follow.statuses.clone()?))
}

/// True if the forge may take it in a moment.
fn may_pass(failure: &Failure) -> bool {
    match failure {
        Failure::Lookup { .. }
        | Failure::Connect { .. }
        | Failure::Silent { .. }
        | Failure::Slow { .. }
        | Failure::BrokenOff { .. }
        | Failure::Proxy { .. } => true,
        Failure::Status { code } => *code == 429 || *code >= 500,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place { follow: None, commit: GitId([1; 20]) }
    }

    #[test]
    fn what_was_applied_is_green_what_waits_is_yellow_and_the_rest_is_red() {
        let verdict =
            |reason, ready| Verdict { ready, reason, message: "Secret/db at line 3".to_owned(), stalled: false };
        for (reason, ready, wanted) in [
            (Reason::Applied, true, Some(Mark::Success)),
            (Reason::Applied, false, Some(Mark::Pending)),
            (Reason::Observing, true, Some(Mark::Success)),
            (Reason::HeldBack, true, Some(Mark::Pending)),
            (Reason::Suspended, false, Some(Mark::Pending)),
            (Reason::ProblemsFound, false, Some(Mark::Failure)),
            (Reason::CheckFailed, false, Some(Mark::Failure)),
            (Reason::Elsewhere, false, None),
        ] {
            assert_eq!(mark(&verdict(reason, ready)), wanted, "{reason}");
        }
        for reason in Reason::ALL {
            let (statuses, mut waiting) = Statuses::new();
            statuses.said("staging", place(), &verdict(*reason, false));
            let Ok((_, shown)) = waiting.try_recv() else { continue };
            assert!(!shown.description.contains("Secret/db") && shown.description.len() < 200, "{shown:?}");
        }
    }

    #[test]
    fn a_queue_that_is_full_takes_nothing_and_stops_nobody() {
        let (statuses, waiting) = Statuses::new();
        for _ in 0..2 * QUEUE {
            statuses.begins("staging", place());
        }
        assert_eq!(waiting.len(), QUEUE);
    }
}
