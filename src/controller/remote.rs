//! The remote of one Repository, or one that it follows: looked at in intervals, when somebody says so, and when a local one changes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::{StreamExt, stream};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::cluster::watch::{Event, Events};
use crate::controller::metrics::Metrics;
use crate::git;
use crate::git::credentials::Credentials;
use crate::git::fetch::{Accepted, Branches, Fetch, Followed, Known, Unknown};
use crate::git::heads::Heads;
use crate::git::mirror::Mirror;
use crate::git::remotes::Remotes;
use crate::model::environment::Lane;
use crate::model::reason::Reason;
use crate::model::repository::{Follow, Repository};
use crate::model::tree::GitId;
use crate::reconcile::error::sentence;
use crate::reconcile::source::Source;
use crate::reconcile::target;
use crate::supervise::Stop;
use crate::supervise::pace::jittered;

/// How often a remote is looked at that nobody says anything of.
const INTERVAL: Duration = Duration::from_secs(10);
/// A shorter interval would be a burden to the remote and faster than nobody notices.
const SHORTEST: Duration = Duration::from_secs(1);
/// Longest interval: a lost webhook costs this much at most.
const LONGEST: Duration = Duration::from_hours(1);
/// Looks are this far apart: what comes in between is answered by one.
const WINDOW: Duration = Duration::from_millis(50);
/// How often the branches are asked for while the protected one moves.
const TIMES: usize = 3;

/// The protected branch's tip with all that was seen beside it, and when it was first seen so.
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
    /// When the remote was looked at last and known; nobody is told of it alone.
    pub looked: Option<Instant>,
    /// Why it cannot be gone on from there now, if so.
    pub trouble: Option<Trouble>,
    /// The followed repositories by name.
    pub followed: BTreeMap<String, Aside>,
}

/// What a followed repository said last. While it cannot be read, that stays.
#[derive(Clone, Debug, Default)]
pub struct Aside {
    /// Its branches.
    pub known: Followed,
    /// When it was looked at last and known; nobody is told of it alone.
    pub looked: Option<Instant>,
    /// Why it cannot be read now, if so.
    pub trouble: Option<Trouble>,
}

impl Sight {
    /// When the remote that was looked at longest ago was, and the one that was looked at last; `None` while one of them never was.
    pub fn looks(&self) -> Option<(Instant, Instant)> {
        let all = || self.followed.values().map(|aside| aside.looked).chain([self.looked]);
        let oldest = all().min()??;
        Some((oldest, all().flatten().max()?))
    }

    /// True if each repository that is followed was asked by now, whatever came of it.
    pub fn asked_all(&self, follows: &[Follow]) -> bool {
        let asked = |follow: &Follow| {
            let aside = self.followed.get(&follow.name);
            aside.is_some_and(|aside| aside.looked.is_some() || aside.trouble.is_some())
        };
        follows.iter().all(asked)
    }

    /// Takes over what was seen of the followed repositories; true if that is news.
    pub fn set_beside(&mut self, seen: Instant) -> bool {
        let followed = self.seen_beside();
        let Some(tip) = &mut self.tip else { return false };
        let known = tip.known.clone().beside(followed);
        let is_news = known != tip.known;
        if is_news {
            *tip = Tip { known, seen };
        }
        is_news
    }

    fn seen_beside(&self) -> BTreeMap<String, Followed> {
        self.followed.iter().map(|(name, aside)| (name.clone(), aside.known.clone())).collect()
    }
}

/// What keeps a remote from being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The class.
    pub reason: Reason,
    /// A sentence.
    pub message: String,
}

/// The follower of one remote.
pub struct Remote {
    /// Name of the lane.
    pub lane: &'static str,
    /// The API server, for the credentials.
    pub cluster: Arc<Cluster>,
    /// Which remote.
    pub of: Of,
    /// The grant, as it was seen last.
    pub repository: watch::Receiver<Arc<Repository>>,
    /// Where what is seen goes.
    pub sight: watch::Sender<Sight>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// Which remote is followed, and who asks it.
pub enum Of {
    /// The Repository's own, which is mirrored.
    Own(Mirror),
    /// A followed one by its name, of which the refs are read; nobody asks while it is not known where it is.
    Followed(String, Option<Heads>),
}

/// What says where the remote is.
type Whereabouts = (String, Vec<String>, Option<String>);

impl Remote {
    /// Follows the remote until it is told to stop. Processes without the Lease do so too: their mirrors stay warm.
    pub async fn follow(mut self, stop: Stop) {
        tokio::select! {
            () = stop.requested() => {}
            () = self.look_here_and_there() => {}
        }
    }

    /// Returns once nobody tells of the Repository any more, or the Repository follows it no more.
    async fn look_here_and_there(&mut self) {
        while self.repository.has_changed().is_ok() {
            let Some(whereabouts) = self.whereabouts() else { return };
            let home = self.repository.borrow().spec.home.clone();
            let mut credentials = match &whereabouts.2 {
                Some(name) => self.cluster.watch_secret(&home, name),
                None => stream::pending().boxed(),
            };
            let local_refs = match self.remotes(&home, &whereabouts).await {
                Ok(remotes) => {
                    let protected = self.repository.borrow().spec.protected_branch.clone();
                    let local_refs = remotes.local_refs((self.lane == Lane::Protected.as_str()).then_some(&protected));
                    match self.turn_to(remotes).await {
                        Ok(()) => Some(local_refs),
                        Err(error) => {
                            self.cannot(trouble(error.reason(), &error, error.hint()));
                            None
                        }
                    }
                }
                Err(trouble) => {
                    self.cannot(trouble);
                    None
                }
            };
            tokio::select! {
                () = self.look_there(&whereabouts, local_refs.as_deref()) => {}
                () = another(&mut credentials) => {}
            }
        }
    }

    async fn turn_to(&mut self, remotes: Remotes) -> Result<(), git::error::Error> {
        match &mut self.of {
            Of::Own(mirror) => mirror.change_remotes(remotes).await?,
            Of::Followed(_, heads) => *heads = Some(Heads::open(remotes)?),
        }
        Ok(())
    }

    fn whereabouts(&mut self) -> Option<Whereabouts> {
        let repository = self.repository.borrow_and_update();
        let spec = &repository.spec;
        match &self.of {
            Of::Own(_) => Some((spec.url.clone(), spec.fallback_urls.clone(), spec.credentials.clone())),
            Of::Followed(name, _) => {
                let follow = spec.follows.iter().find(|follow| follow.name == *name)?;
                Some((follow.url.clone(), Vec::new(), follow.credentials.clone()))
            }
        }
    }

    /// The places of the repository with today's credentials.
    async fn remotes(&self, home: &str, whereabouts: &Whereabouts) -> Result<Remotes, Trouble> {
        let (url, fallback_urls, secret) = whereabouts;
        let credentials = match secret {
            None => Credentials::default(),
            Some(name) => {
                let data = self.cluster.credentials(home, name).await;
                let data = data.map_err(|error| trouble(error.reason(), &error, error.hint()))?;
                Credentials::from_secret(data).map_err(|error| trouble(error.reason(), &error, error.hint()))?
            }
        };
        Remotes::new(url, fallback_urls, credentials).map_err(|error| trouble(error.reason(), &error, error.hint()))
    }

    /// Looks until the Repository names another place. Without `local_refs` there is nothing to look at.
    async fn look_there(&mut self, whereabouts: &Whereabouts, local_refs: Option<&[PathBuf]>) {
        let (_watcher, mut changes) = local(local_refs.unwrap_or_default());
        loop {
            if local_refs.is_some() {
                self.look().await;
            }
            if self.whereabouts().as_ref() != Some(whereabouts) {
                return;
            }
            let repository = self.repository.borrow().clone();
            tokio::time::sleep(WINDOW).await;
            tokio::select! {
                () = tokio::time::sleep(jittered(interval(&repository))) => {
                    if local_refs.is_none() {
                        return; // perhaps the credentials can be read by now
                    }
                }
                Some(()) = changes.recv() => {}
                changed = self.repository.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn look(&mut self) {
        let repository = self.repository.borrow().clone();
        let seen = Instant::now();
        match &self.of {
            Of::Own(mirror) => self.look_at_own(mirror, &repository, seen).await,
            Of::Followed(name, Some(heads)) => self.look_aside(name, heads, &repository, seen).await,
            Of::Followed(_, None) => {}
        }
    }

    async fn look_at_own(&self, mirror: &Mirror, repository: &Repository, seen: Instant) {
        let name = repository.metadata.name.as_deref().unwrap_or_default();
        let accepted = self.accepted(repository);
        match self.fetch(mirror, repository, accepted).await {
            Ok(Fetch::Known(known)) => {
                self.metrics.fetched(name, None, since_epoch());
                self.sight.send_if_modified(|sight| {
                    let was_in_trouble = sight.trouble.take().is_some();
                    sight.looked = Some(seen);
                    let known = known.beside(sight.seen_beside());
                    let moved = sight.tip.as_ref().is_none_or(|tip| tip.known != known);
                    if moved {
                        tracing::info!(repository = name, revision = known.tip().short(), "the branch moved");
                        sight.tip = Some(Tip { known, seen });
                    }
                    moved || was_in_trouble
                });
            }
            Ok(Fetch::Unknown(unknown)) => {
                self.go_on_from_the_mirror(mirror, repository, seen).await;
                self.cannot(trouble(unknown.reason(), &unknown, unknown.hint()));
            }
            Err(error) => self.cannot(trouble(error.reason(), &error, error.hint())),
        }
    }

    async fn look_aside(&self, name: &str, heads: &Heads, repository: &Repository, seen: Instant) {
        let Some(follow) = repository.spec.follows.iter().find(|follow| follow.name == name) else { return };
        match heads.look(&follow.fallback).await {
            Ok(Ok(branches)) => {
                self.metrics.fetched(&self.named(), None, since_epoch());
                self.saw_aside(name, follow, branches, seen);
            }
            Ok(Err(unknown)) => self.cannot(trouble(unknown.reason(), &unknown, hint_aside(&unknown))),
            Err(error) => self.cannot(trouble(error.reason(), &error, error.hint())),
        }
    }

    fn saw_aside(&self, name: &str, follow: &Follow, branches: Branches, seen: Instant) {
        self.sight.send_if_modified(|sight| {
            // it is followed no more
            let Some(aside) = sight.followed.get_mut(name) else { return false };
            let known = Followed { fallback: follow.fallback.clone(), branches: Some(Arc::new(branches)) };
            let is_first = aside.looked.is_none();
            let was_in_trouble = aside.trouble.is_some();
            *aside = Aside { known, looked: Some(seen), trouble: None };
            sight.set_beside(seen) || is_first || was_in_trouble
        });
    }

    /// The protected branch, and for the lane of branches all of them, with the history of those that `osier.yaml` gives an environment.
    async fn fetch(
        &self,
        mirror: &Mirror,
        repository: &Repository,
        accepted: Accepted,
    ) -> Result<Fetch, git::error::Error> {
        let protected = &repository.spec.protected_branch;
        for _ in 0..TIMES {
            let known = match mirror.fetch(protected, accepted).await? {
                Fetch::Known(known) if self.lane == Lane::Branches.as_str() => known,
                other => return Ok(other),
            };
            // what cannot be read gives nobody an environment, and takes none away
            let config = target::config(&Source::Mirror(mirror.clone(), known.tip())).await.unwrap_or_default();
            let wanted = move |branch: &str| config.branch(branch).is_some();
            match mirror.branches(protected, known, wanted).await? {
                Ok(Some(known)) => return Ok(Fetch::Known(known)),
                Ok(None) => {}
                Err(unknown) => return Ok(Fetch::Unknown(unknown)),
            }
        }
        Ok(Fetch::Unknown(Unknown::Moving { branch: protected.clone() }))
    }

    /// A process that starts while the remote cannot be read knows what the one before it knew.
    async fn go_on_from_the_mirror(&self, mirror: &Mirror, repository: &Repository, seen: Instant) {
        if self.sight.borrow().tip.is_some() {
            return;
        }
        if let Ok(Some(known)) = mirror.last_known(&repository.spec.protected_branch).await {
            self.sight.send_modify(|sight| sight.tip = Some(Tip { known, seen }));
        }
    }

    fn cannot(&self, trouble: Trouble) {
        let name = self.named();
        self.metrics.fetched(&name, Some(trouble.reason), since_epoch());
        self.sight.send_if_modified(|sight| {
            let place = match &self.of {
                Of::Own(_) => &mut sight.trouble,
                Of::Followed(name, _) => match sight.followed.get_mut(name) {
                    Some(aside) => &mut aside.trouble,
                    None => return false,
                },
            };
            let is_new = place.as_ref() != Some(&trouble);
            if is_new {
                tracing::warn!(repository = name, reason = trouble.reason.as_str(), "{}", trouble.message);
            }
            *place = Some(trouble);
            is_new
        });
    }

    /// As logs and metrics name the remote: `shop`, or `shop/cart` if it follows it.
    fn named(&self) -> String {
        let repository = self.repository.borrow().metadata.name.clone().unwrap_or_default();
        match &self.of {
            Of::Own(_) => repository,
            Of::Followed(name, _) => format!("{repository}/{name}"),
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

/// Without the branch that is always there it is another repository, or nobody has pushed yet.
fn hint_aside(unknown: &Unknown) -> Option<String> {
    match unknown {
        Unknown::Empty | Unknown::BranchMissing { .. } => {
            Some("push the branch, or correct `url` or `fallback` in `follows`".to_owned())
        }
        other => other.hint(),
    }
}

fn trouble(reason: Reason, error: &dyn std::error::Error, hint: Option<String>) -> Trouble {
    let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
    Trouble { reason, message: format!("{}{hint}", sentence(error)) }
}

/// Returns once the Secret is another than it was at first.
async fn another(credentials: &mut Events<()>) {
    let mut first = true;
    while let Some(told) = credentials.next().await {
        match told {
            Event::Listed(_) if std::mem::take(&mut first) => {}
            Event::Listed(_) | Event::Changed(()) | Event::Gone(()) => return,
            Event::Broken(error) => {
                tracing::warn!(reason = error.reason().as_str(), "the credentials cannot be watched: {error}");
            }
            Event::Restored => {}
        }
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
    let tell = move |event: notify::Result<notify::Event>| {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn follows(names: &[&str]) -> Vec<Follow> {
        let follow = |name: &&str| serde_json::json!({"name": name, "url": "/srv/git/cart.git"});
        names.iter().map(|name| serde_json::from_value(follow(name)).expect("the others have defaults")).collect()
    }

    #[test]
    fn the_looks_of_all_remotes_count() {
        let start = Instant::now();
        let [first, second] = [1, 2].map(|seconds| start + Duration::from_secs(seconds));
        let mut sight = Sight { looked: Some(second), ..Sight::default() };
        assert_eq!(sight.looks(), Some((second, second)));
        sight.followed.insert("cart".to_owned(), Aside { looked: Some(first), ..Aside::default() });
        assert_eq!(sight.looks(), Some((first, second)));
        sight.followed.insert("web".to_owned(), Aside::default());
        assert_eq!(sight.looks(), None);
    }

    #[test]
    fn what_was_not_asked_is_waited_for_and_what_failed_is_not() {
        let mut sight = Sight::default();
        assert!(sight.asked_all(&[]) && !sight.asked_all(&follows(&["cart"])));
        let trouble = Some(Trouble { reason: Reason::RepositoryUnreachable, message: String::new() });
        sight.followed.insert("cart".to_owned(), Aside { trouble, ..Aside::default() });
        sight.followed.insert("web".to_owned(), Aside::default());
        assert!(sight.asked_all(&follows(&["cart"])) && !sight.asked_all(&follows(&["cart", "web"])));
    }
}
