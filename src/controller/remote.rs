//! The remote of one Repository: looked at in intervals, when somebody says so, and when a local one changes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::controller::metrics::Metrics;
use crate::controller::pace::jittered;
use crate::controller::supervise::Stop;
use crate::git::fetch::{Accepted, Fetch, Known, Unknown};
use crate::git::mirror::Mirror;
use crate::model::repository::Repository;
use crate::model::tree::GitId;

/// How often a remote is looked at that nobody says anything of.
const INTERVAL: Duration = Duration::from_secs(10);
/// A shorter interval would be a burden to the remote and faster than nobody notices.
const SHORTEST: Duration = Duration::from_secs(1);
/// Longest interval: a lost webhook costs this much at most.
const LONGEST: Duration = Duration::from_hours(1);
/// Looks are this far apart: what comes in between is answered by one.
const WINDOW: Duration = Duration::from_millis(50);

/// The protected branch's tip, and when it was first seen.
#[derive(Clone, Debug)]
pub struct Tip {
    /// What a look at the remote said.
    pub known: Known,
    /// When.
    pub seen: Instant,
}

/// What the remote said last.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// The newest accepted tip.
    pub tip: Option<Tip>,
    /// Why the remote cannot be gone on from now, if it cannot.
    pub unknown: Option<Unknown>,
}

/// The follower of one remote.
pub struct Remote {
    /// Name of the lane.
    pub lane: &'static str,
    /// The mirror.
    pub mirror: Mirror,
    /// The grant, as it was seen last.
    pub repository: watch::Receiver<Arc<Repository>>,
    /// Where what is seen goes.
    pub sight: watch::Sender<Sight>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl Remote {
    /// Follows the remote until it is told to stop. Followers without the Lease do so too: their mirrors stay warm.
    pub async fn follow(mut self, local_refs: Vec<PathBuf>, stop: Stop) {
        let (_watcher, mut changes) = local(&local_refs);
        loop {
            self.look().await;
            let next = jittered(interval(&self.repository.borrow_and_update()));
            tokio::time::sleep(WINDOW).await;
            tokio::select! {
                () = stop.requested() => return,
                () = tokio::time::sleep(next) => {}
                Some(()) = changes.recv() => {}
                changed = self.repository.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn look(&mut self) {
        let repository = self.repository.borrow_and_update().clone();
        let name = repository.metadata.name.as_deref().unwrap_or_default();
        let accepted = self.accepted(&repository);
        let seen = Instant::now();
        let fetched = match self.mirror.fetch(&repository.spec.protected_branch, accepted).await {
            Ok(fetched) => fetched,
            Err(error) => {
                self.metrics.fetched(name, Some(error.reason()), since_epoch());
                tracing::error!(repository = name, reason = error.reason().as_str(), "{error}");
                return;
            }
        };
        match fetched {
            Fetch::Known(known) => {
                self.metrics.fetched(name, None, since_epoch());
                self.sight.send_if_modified(|sight| {
                    let was_unknown = sight.unknown.take().is_some();
                    let moved = sight.tip.as_ref().is_none_or(|tip| tip.known != known);
                    if moved {
                        tracing::info!(repository = name, revision = known.tip().short(), "the branch moved");
                        sight.tip = Some(Tip { known, seen });
                    }
                    moved || was_unknown
                });
            }
            Fetch::Unknown(unknown) => {
                self.metrics.fetched(name, Some(unknown.reason()), since_epoch());
                self.sight.send_if_modified(|sight| {
                    let is_new = sight.unknown.as_ref() != Some(&unknown);
                    if is_new {
                        let hint = unknown.hint();
                        tracing::warn!(repository = name, reason = unknown.reason().as_str(), hint, "{unknown}");
                    }
                    sight.unknown = Some(unknown);
                    is_new
                });
            }
        }
    }

    /// The tip that was accepted last: by this process, else as the Repository's status says.
    fn accepted(&self, repository: &Repository) -> Accepted {
        let seen = self.sight.borrow().tip.as_ref().map(|tip| tip.known.tip());
        let lanes = repository.status.iter().flat_map(|status| &status.lanes);
        let noted = lanes.filter(|lane| lane.lane == self.lane).find_map(|lane| lane.tip.as_deref());
        let allowed = repository.spec.allow.iter().rev().find_map(|allow| allow.tip.as_deref());
        Accepted { last: seen.or_else(|| noted.and_then(GitId::parse)), allowed: allowed.and_then(GitId::parse) }
    }
}

/// `spec.interval`, such as `10s` or `2m`; what is no such thing counts as not said.
fn interval(repository: &Repository) -> Duration {
    let said = repository.spec.interval.as_deref().and_then(|text| text.parse::<jiff::SignedDuration>().ok());
    let said = said.and_then(|duration| Duration::try_from(duration).ok());
    said.unwrap_or(INTERVAL).clamp(SHORTEST, LONGEST)
}

/// Tells when something changes in these places. Where they cannot be watched, the interval finds what changed.
fn local(places: &[PathBuf]) -> (Option<RecommendedWatcher>, mpsc::Receiver<()>) {
    let (told, changes) = mpsc::channel(1);
    let lock = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "lock");
    let tell = move |event: notify::Result<Event>| {
        if event.is_ok_and(|event| !event.kind.is_access() && !event.paths.iter().all(lock)) {
            // a full channel has told already
            told.try_send(()).ok();
        }
    };
    let watcher = notify::recommended_watcher(tell).and_then(|mut watcher| {
        for place in places {
            let deep = place.ends_with("refs") || place.ends_with("reftable");
            watcher.watch(place, if deep { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive })?;
        }
        Ok(watcher)
    });
    match watcher {
        Ok(watcher) => (Some(watcher), changes),
        Err(error) => {
            tracing::warn!("a local repository cannot be watched, so it is looked at in intervals: {error}");
            (None, changes)
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a metric of when, which decides nothing")]
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
