//! The live objects of one environment, kept up to date by watches: nobody has to ask for them again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use crate::cluster::Cluster;
use crate::cluster::error::Error;
use crate::cluster::everywhere::Everywhere;
use crate::cluster::watch::kinds::{Premises, Seen};
use crate::cluster::watch::{Event, Events};
use crate::cluster::workloads::Workloads;
use crate::cluster::write::{Outcome, StepOutcome};
use crate::model::environment::JobRun;
use crate::model::object::{Kind, ObjectId};
use crate::model::reason::Reason;
use crate::planning::checks::{Check, Standing};
use crate::planning::health::{self, Health};
use crate::planning::live::{Live, LiveSet};
use crate::planning::live_index::LiveIndex;
use crate::planning::plan::Plan;

/// Between two attempts to learn what the server serves.
const DISCOVERY_PAUSE: Duration = Duration::from_secs(5);
/// Between two looks whether the server serves a kind now: somebody has to install it.
const UNSERVED_PAUSE: Duration = Duration::from_mins(1);

/// What the watches of one environment's namespace have shown.
///
/// `run` drives the watches; whoever reconciles asks `look`.
pub struct Watched {
    cluster: Arc<Cluster>,
    namespace: String,
    environment_id: String,
    index: Mutex<LiveIndex>,
    /// The kinds that shall be watched. It is locked before the index.
    wanted: watch::Sender<Wanted>,
    /// Kinds that cannot be watched now, and why. Each change of it, of the index or of the namespace is news.
    broken: watch::Sender<BTreeMap<Kind, Arc<Error>>>,
    workloads: Workloads,
    /// Set while nobody has been told that the namespace itself is not what it was.
    namespace_moved: AtomicBool,
    /// What several environments watch together, if they do.
    everywhere: Option<Arc<Everywhere>>,
    /// True while everything in the namespace counts, be it osier's or not.
    closely: watch::Sender<bool>,
    /// Whether osier makes the namespace itself.
    makes_namespace: bool,
}

/// Kinds, and the how-manieth watch each of them has: one that is given up and wanted again is listed again.
#[derive(Default)]
struct Wanted {
    kinds: BTreeMap<Kind, u64>,
    last: u64,
}

impl Wanted {
    /// True if there is a new one among them.
    fn add(&mut self, kinds: &BTreeSet<Kind>) -> bool {
        let before = self.last;
        for kind in kinds.iter().filter(|kind| !self.kinds.contains_key(kind)).cloned().collect::<Vec<_>>() {
            self.last += 1;
            self.kinds.insert(kind, self.last);
        }
        self.last > before
    }
}

/// A watch that runs.
struct Running {
    task: AbortHandle,
    number: u64,
    shared: bool,
}

/// What somebody else did.
#[derive(Debug)]
pub enum News {
    /// These objects are not what they were.
    Objects(BTreeSet<ObjectId>),
    /// The namespace is not what it was: gone, going, made again, or labelled otherwise.
    Namespace,
}

impl Watched {
    /// Watches nothing until somebody looks.
    ///
    /// With `everywhere`, what is no Secret is watched together with other environments while nothing is wrong.
    pub fn new(
        cluster: Arc<Cluster>,
        namespace: &str,
        environment_id: &str,
        everywhere: Option<Arc<Everywhere>>,
    ) -> Self {
        Self {
            cluster,
            namespace: namespace.to_owned(),
            environment_id: environment_id.to_owned(),
            index: Mutex::new(LiveIndex::default()),
            wanted: watch::Sender::default(),
            broken: watch::Sender::default(),
            workloads: Workloads::default(),
            namespace_moved: AtomicBool::new(false),
            everywhere,
            closely: watch::Sender::new(false),
            makes_namespace: false,
        }
    }

    /// The same for a namespace that osier makes: that it is not there yet, or there by now, is nothing that somebody else did.
    #[must_use]
    pub fn of_branch(self) -> Self {
        Self { makes_namespace: true, ..self }
    }

    /// The same with what there is of these kinds now, for somebody who does not `run` it.
    ///
    /// # Errors
    /// Why a kind cannot be listed.
    pub async fn listed(self, kinds: &BTreeSet<Kind>) -> Result<Self, Error> {
        self.wanted.send_if_modified(|wanted| wanted.add(kinds));
        for kind in kinds {
            let seen = self.cluster.list_seen(kind, &self.namespace, &self.environment_id).await?;
            if let Event::Listed(objects) = self.workloads.note(kind, Event::Listed(seen)) {
                self.index().list(kind, objects);
            }
        }
        Ok(self)
    }

    /// The namespace that is watched.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Drives the watches until it is dropped.
    pub async fn run(self: Arc<Self>) {
        let mut tasks = JoinSet::new();
        let watched = self.clone();
        tasks.spawn(async move { watched.workloads.follow_pods(&watched.cluster, &watched.namespace).await });
        let watched = self.clone();
        tasks.spawn(async move { watched.follow_namespace().await });
        let mut open: BTreeMap<Kind, Running> = BTreeMap::new();
        let (mut wanted, mut closely) = (self.wanted.subscribe(), self.closely.subscribe());
        loop {
            let now = wanted.borrow_and_update().kinds.clone();
            let closely_now = *closely.borrow_and_update();
            let shares = |kind: &Kind| !closely_now && self.everywhere.is_some() && !kind.is_secret();
            let is_over =
                |kind: &Kind, watch: &mut Running| now.get(kind) != Some(&watch.number) || watch.shared != shares(kind);
            for (_, watch) in open.extract_if(.., is_over) {
                watch.task.abort();
            }
            for (kind, number) in now {
                let (watched, of, shared) = (self.clone(), kind.clone(), shares(&kind));
                let follow = || tasks.spawn(async move { watched.follow(of, number, shared).await });
                open.entry(kind).or_insert_with(|| Running { task: follow(), number, shared });
            }
            tokio::select! {
                changed = wanted.changed() => if changed.is_err() { return },
                changed = closely.changed() => if changed.is_err() { return },
            }
        }
    }

    /// What there is of these kinds, once each was listed. They are watched from then on.
    ///
    /// While a kind that was listed cannot be watched, what it showed last stands in: writes are fenced by version.
    ///
    /// # Errors
    /// Why a kind cannot be listed.
    pub async fn look(&self, kinds: &BTreeSet<Kind>) -> Result<Arc<LiveSet>, Error> {
        self.wanted.send_if_modified(|wanted| wanted.add(kinds));
        let mut news = self.broken.subscribe();
        loop {
            // before the look at what was listed: what comes in between has to be news
            let broken = news.borrow_and_update().clone();
            let missing: Vec<Kind> = kinds.difference(self.index().kinds()).cloned().collect();
            if missing.is_empty() {
                return Ok(self.index().set());
            }
            if let Some(why) = missing.iter().find_map(|kind| broken.get(kind).cloned()) {
                return Err(Error::Watch { source: why });
            }
            news.changed().await.expect("the sender is a field of self");
        }
    }

    /// Watches these kinds and no others.
    pub fn narrow(&self, kinds: &BTreeSet<Kind>) {
        self.give_up(|kind| !kinds.contains(kind));
        self.wanted.send_if_modified(|wanted| wanted.add(kinds));
    }

    /// What it showed of these kinds is forgotten at once, so that the next look waits for a list.
    fn give_up(&self, is_unwanted: impl Fn(&Kind) -> bool) {
        self.wanted.send_if_modified(|wanted| {
            let before = wanted.kinds.len();
            wanted.kinds.retain(|kind, _| !is_unwanted(kind));
            let kinds = wanted.kinds.keys().cloned().collect();
            self.index().keep(&kinds);
            self.workloads.keep(&kinds);
            wanted.kinds.len() < before
        });
    }

    /// Says whether something is wrong: then what others have in the namespace may be why, and each change of it may help.
    pub fn watch_closely(&self, is_wrong: bool) {
        self.closely.send_if_modified(|before| std::mem::replace(before, is_wrong) != is_wrong);
    }

    /// Takes over what our own writes left, so that their echo is nothing new.
    ///
    /// A write that found another object than the watch had shown says that the watch is late, perhaps for minutes: its kind is
    /// listed again for the next look.
    pub fn wrote(&self, plan: &Plan, outcome: &Outcome) {
        self.take_over(plan, outcome);
        let is_late = |result: &StepOutcome| {
            matches!(result, StepOutcome::ForeignObject | StepOutcome::Failed { reason: Reason::Conflict, .. })
        };
        let late: BTreeSet<&Kind> =
            outcome.steps.iter().filter(|step| is_late(&step.result)).map(|step| &step.object.kind).collect();
        self.give_up(|kind| late.contains(kind));
    }

    fn take_over(&self, plan: &Plan, outcome: &Outcome) {
        let mut index = self.index();
        for (step, result) in plan.steps.iter().zip(&outcome.steps) {
            match (&result.result, &step.precondition) {
                (StepOutcome::Done { live: Some(live) }, _) => index.wrote(&step.object, Live::clone(live)),
                (StepOutcome::Done { live: None }, Some(before)) => index.deleted(&step.object, &before.uid),
                _ => {}
            }
        }
    }

    /// Waits until somebody else has changed objects or the namespace.
    pub async fn changed(&self) -> News {
        let mut news = self.broken.subscribe();
        loop {
            if self.namespace_moved.swap(false, Ordering::Relaxed) {
                return News::Namespace;
            }
            let changed = self.index().take_changed();
            if !changed.is_empty() {
                return News::Objects(changed);
            }
            news.changed().await.expect("the sender is a field of self");
        }
    }

    /// True if a live object carries a mark of this environment.
    pub fn is_marked(&self, object: &ObjectId) -> bool {
        let set = self.index().set();
        set.get(object).is_some_and(|live| live.ownership.marks() > 0)
    }

    /// How desired objects stand together, our last writes included. Of kinds that nobody watches there is nothing to say.
    pub fn health<'a>(&self, desired: impl Iterator<Item = &'a ObjectId>) -> Health {
        // one lock at a time: guards of one statement live to its end
        let live = self.index().set();
        let kinds = self.index().kinds().clone();
        let judged = desired.filter(|object| health::is_judged(&object.kind) && kinds.contains(&object.kind));
        self.workloads.health(judged, &live)
    }

    /// How checks stand, our last writes included, if these `jobs` are noted.
    pub fn checks<'a>(&self, checks: &'a [Check], jobs: &[JobRun]) -> Vec<(&'a Check, Standing)> {
        let live = self.index().set();
        checks.iter().map(|check| (check, self.workloads.check(check, jobs, &live))).collect()
    }

    /// The statuses of workloads, and what is wrong with their pods.
    pub fn workloads(&self) -> &Workloads {
        &self.workloads
    }

    /// Why kinds cannot be watched now.
    pub fn broken(&self) -> BTreeMap<Kind, Arc<Error>> {
        self.broken.borrow().clone()
    }

    /// At first sight the namespace is what the pass has just read, unless it is gone by then.
    async fn follow_namespace(&self) {
        let mut events = self.cluster.watch_namespace(&self.namespace);
        let mut known: Option<Option<Premises>> = None;
        while let Some(event) = events.next().await {
            let now = match event {
                Event::Listed(mut found) => found.pop(),
                Event::Changed(found) => Some(found),
                Event::Gone(_) => None,
                Event::Broken(error) => {
                    tracing::warn!(
                        namespace = self.namespace,
                        reason = error.reason().as_str(),
                        "the namespace cannot be watched, so it is looked at after failures only: {error}"
                    );
                    continue;
                }
                Event::Restored => continue,
            };
            let is_news = match &known {
                Some(None) | None if self.makes_namespace => now.as_ref().is_some_and(|now| now.terminating),
                Some(known) => *known != now,
                None => now.as_ref().is_none_or(|now| now.terminating),
            };
            known = Some(now);
            if is_news {
                self.namespace_moved.store(true, Ordering::Relaxed);
                self.broken.send_modify(|_| {});
            }
        }
    }

    async fn follow(&self, kind: Kind, number: u64, shared: bool) {
        let mut events = loop {
            match self.open(&kind, shared).await {
                Ok(events) => break events,
                // a kind that the server does not serve has no objects
                Err(Error::UnknownKind { .. }) => {
                    self.take(&kind, number, Event::Listed(Vec::new()));
                    tokio::time::sleep(UNSERVED_PAUSE).await;
                }
                Err(error) => {
                    self.take(&kind, number, Event::Broken(error));
                    tokio::time::sleep(DISCOVERY_PAUSE).await;
                }
            }
        };
        while let Some(event) = events.next().await {
            self.take(&kind, number, event);
        }
    }

    async fn open(&self, kind: &Kind, shared: bool) -> Result<Events<Seen>, Error> {
        match self.everywhere.as_ref().filter(|_| shared) {
            Some(everywhere) => everywhere.hear(kind, &self.namespace, &self.environment_id).await,
            None => self.cluster.watch_seen(kind, &self.namespace, &self.environment_id).await,
        }
    }

    fn take(&self, kind: &Kind, number: u64, event: Event<Seen>) {
        let wanted = self.wanted.borrow();
        if wanted.kinds.get(kind) != Some(&number) {
            return; // its watch is about to end
        }
        let event = self.workloads.note(kind, event);
        let mut broken = None;
        match event {
            Event::Listed(objects) => self.index().list(kind, objects),
            Event::Changed((object, live)) => self.index().see(object, live),
            Event::Gone((object, live)) => self.index().end(&object, &live.uid),
            Event::Broken(error) => broken = Some(Arc::new(error)),
            Event::Restored => {}
        }
        drop(wanted);
        self.broken.send_modify(|kinds| match broken {
            Some(error) => drop(kinds.insert(kind.clone(), error)),
            None => drop(kinds.remove(kind)),
        });
    }

    fn index(&self) -> MutexGuard<'_, LiveIndex> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
