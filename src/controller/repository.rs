//! One Repository: its mirror is kept warm always, its environments are kept equal while the Lease is ours.

mod roll;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::cluster::everywhere::Everywhere;
use crate::cluster::leases::Leadership;
use crate::cluster::watch::Event;
use crate::cluster::watch::told::Told;
use crate::cluster::watched::Watched;
use crate::controller::authors::Authors;
use crate::controller::changed::Changed;
use crate::controller::environment::{Inputs, Shared, Task};
use crate::controller::follows::Follows;
use crate::controller::metrics::Subject;
use crate::controller::plans::Plans;
use crate::controller::remote::{Of, Remote, Sight, Tip};
use crate::controller::seat::Seat;
use crate::controller::statuses::Statuses;
use crate::controller::statuses::teller::Teller;
use crate::controller::{branches, plans, status};
use crate::git::mirror::Mirror;
use crate::git::remotes::Remotes;
use crate::keys::Keyring;
use crate::keys::watch::Loaded;
use crate::model::environment::{Environment, Lane};
use crate::model::repository::Repository;
use crate::model::wire;
use crate::reconcile::source::Source;
use crate::reconcile::world::World;
use crate::reconcile::{subject, target};
use crate::supervise::Stop;
use crate::supervise::pace::{Pace, until};

/// The status is written this often at most.
const STATUS: Duration = Duration::from_secs(10);
/// The first status after a change leaves the environments the precedence.
const AFTER_ENVIRONMENTS: Duration = Duration::from_secs(1);

/// What follows one Repository.
#[derive(Clone)]
pub struct Follower {
    /// What the environments of the lane share.
    pub shared: Arc<Shared>,
    /// The API server, fenced by the lane's Lease.
    pub cluster: Arc<Cluster>,
    /// What the environments watch together, if they do.
    pub everywhere: Option<Arc<Everywhere>>,
    /// The lane's Lease.
    pub leadership: Leadership,
    /// Namespace and name of that Lease, and the account that holds it.
    pub seat: Seat,
    /// The identities.
    pub keys: watch::Receiver<Loaded>,
    /// True if the process serves no other lane than that of branches.
    pub branches_only: bool,
    /// Directory of the mirror.
    pub directory: PathBuf,
    /// The grant.
    pub repository: watch::Receiver<Arc<Repository>>,
    /// Tells the time.
    pub clock: fn() -> Timestamp,
}

impl Follower {
    /// Follows it until told to stop, or until it is gone.
    pub async fn run(self, stop: Stop) {
        let Some(mirror) = self.mirror(&stop).await else { return };
        let sight = watch::Sender::default();
        let seen = sight.subscribe();
        let (lane, cluster) = (self.shared.lane, self.cluster.clone());
        let (repository, metrics) = (self.repository.clone(), self.shared.metrics.clone());
        let follows = Follows {
            lane,
            cluster: cluster.clone(),
            repository: repository.clone(),
            sight: sight.clone(),
            metrics: metrics.clone(),
        };
        let follow = async {
            if lane == Lane::Branches.as_str() {
                follows.run(stop.clone()).await;
            }
        };
        let remote = Remote { lane, cluster, of: Of::Own(mirror.clone()), repository, sight, metrics };
        tokio::join!(remote.follow(stop.clone()), follow, self.lead_whenever(mirror, seen, stop.clone()));
    }

    async fn lead_whenever(&self, mirror: Mirror, sight: watch::Receiver<Sight>, stop: Stop) {
        let (mut repository, mut keys) = (self.repository.clone(), self.keys.clone());
        while repository.has_changed().is_ok() && !stop.is_requested() {
            tokio::select! {
                () = stop.requested() => return,
                gone = gone(&mut repository) => return gone,
                () = self.leadership.held() => {}
            }
            let loaded = keys.borrow_and_update().clone();
            if let Some(class) = self.holds_too_much(&loaded.keyring) {
                tracing::error!(
                    repository = repository.borrow().metadata.name,
                    class,
                    "this process serves branches only and holds a key class of protected environments: nothing is served until its file is \
                     taken out of the directory of `--keys`"
                );
                tokio::select! {
                    () = stop.requested() => return,
                    changed = keys.changed() => if changed.is_err() { return },
                    changed = repository.changed() => if changed.is_err() { return },
                }
                continue;
            }
            let (allowed, keys) = watch::channel(loaded);
            let seated = async {
                if self.seat.take(&self.cluster, self.repository.clone(), &stop).await {
                    let (statuses, waiting) = Statuses::new();
                    let metrics = self.shared.metrics.clone();
                    let teller = Teller::new(self.cluster.clone(), self.repository.clone(), metrics);
                    tokio::select! {
                        () = Lead::new(self, &mirror, &sight, keys, statuses).run(&stop) => {}
                        () = teller.tell(waiting) => {}
                    }
                }
            };
            tokio::select! {
                () = seated => {}
                () = self.hands_on(&allowed) => {
                    tracing::warn!(lane = self.shared.lane, "it holds more keys than it may: what was under way stops");
                }
                () = self.leadership.lost() => {
                    tracing::warn!(lane = self.shared.lane, "the Lease is lost: what was under way stops");
                }
            }
        }
    }

    /// Hands on the identities as they change, until there is one among them that this process may not hold: that one nobody gets to see.
    async fn hands_on(&self, allowed: &watch::Sender<Loaded>) {
        let (mut repository, mut keys) = (self.repository.clone(), self.keys.clone());
        loop {
            let loaded = keys.borrow_and_update().clone();
            if self.holds_too_much(&loaded.keyring).is_some() {
                return;
            }
            allowed.send_if_modified(|before| {
                let is_new = !Arc::ptr_eq(&before.keyring, &loaded.keyring);
                *before = loaded;
                is_new
            });
            let changed = tokio::select! {
                changed = keys.changed() => changed,
                changed = repository.changed() => changed,
            };
            if changed.is_err() {
                // the process ends, or nobody tells of the Repository any more: what is under way sees that itself
                return std::future::pending().await;
            }
        }
    }

    /// A key class of protected environments that a process for branches alone holds: what a branch can make it do, it must not be able to do
    /// with production's keys.
    fn holds_too_much(&self, keyring: &Keyring) -> Option<String> {
        let repository = self.repository.borrow();
        let held = keyring.classes();
        let protected = repository.spec.keys.iter().filter(|grant| !grant.environments.is_empty());
        let mut too_much = protected.filter(|grant| held.contains(&grant.class.as_str()));
        too_much.next().filter(|_| self.branches_only).map(|grant| grant.class.clone())
    }

    async fn mirror(&self, stop: &Stop) -> Option<Mirror> {
        let mut pace = Pace::default();
        loop {
            let made = std::fs::create_dir_all(&self.directory);
            match Mirror::open(&self.directory, Remotes::nowhere()).await {
                Ok(mirror) => return Some(mirror),
                Err(error) => tracing::error!(reason = error.reason().as_str(), ?made, "{error}"),
            }
            pace.failed();
            tokio::select! {
                () = stop.requested() => return None,
                () = tokio::time::sleep_until(pace.again()) => {}
            }
        }
    }
}

/// The mirror lets go of what it kept for Records that are gone. Before any environment is at work: none makes a Record meanwhile.
///
/// Best effort: what is kept too long does no harm.
async fn forget_pins(world: &World) {
    let reason = match world.cluster.recorded_commits(world.home()).await {
        Ok(commits) => world.mirror.keep_only(commits).await.err().map(|error| error.reason()),
        Err(error) => Some(error.reason()),
    };
    if let Some(reason) = reason {
        tracing::warn!(
            reason = reason.as_str(),
            "the mirror keeps what it kept: the records cannot be asked, or it cannot be written"
        );
    }
}

/// Returns once nobody tells of the Repository any more.
async fn gone(repository: &mut watch::Receiver<Arc<Repository>>) {
    while repository.changed().await.is_ok() {}
}

/// The environments, while the Lease is ours.
struct Lead<'a> {
    follower: &'a Follower,
    mirror: &'a Mirror,
    sight: watch::Receiver<Sight>,
    /// The identities that this process may hold.
    keys: watch::Receiver<Loaded>,
    statuses: Statuses,
    repository: watch::Receiver<Arc<Repository>>,
    tasks: JoinSet<()>,
    names: HashMap<Id, String>,
    running: BTreeMap<String, Running>,
    /// The task that answers Plans.
    plans: Option<Id>,
    environments: BTreeMap<String, Environment>,
    /// Whether those that there are have been heard of.
    is_listed: bool,
    /// Why no environment is removed now, if so.
    removals: watch::Sender<Option<String>>,
    changed: Changed,
    authors: Authors,
    /// Environments that could not be made when it was tried last.
    unmade: BTreeSet<String>,
    /// When the next of those that have to wait are told so.
    queue_at: Instant,
    /// When to look for namespaces whose Environment somebody deleted.
    recover_at: Instant,
    /// When to look again at what could not be made, or is to be forgotten.
    again: Option<Instant>,
    /// Whether another environment may be wanted than those that have a task.
    unsettled: bool,
    status_at: Option<Instant>,
    status_written: Option<Instant>,
}

/// How the task of an environment is told what is new.
struct Running {
    namespace: String,
    environment: watch::Sender<Option<Environment>>,
}

impl<'a> Lead<'a> {
    fn new(
        follower: &'a Follower,
        mirror: &'a Mirror,
        sight: &watch::Receiver<Sight>,
        keys: watch::Receiver<Loaded>,
        statuses: Statuses,
    ) -> Self {
        Self {
            follower,
            mirror,
            sight: sight.clone(),
            keys,
            statuses,
            repository: follower.repository.clone(),
            tasks: JoinSet::new(),
            names: HashMap::new(),
            running: BTreeMap::new(),
            plans: None,
            environments: BTreeMap::new(),
            is_listed: false,
            removals: watch::Sender::default(),
            changed: Changed::default(),
            authors: Authors::default(),
            unmade: BTreeSet::new(),
            queue_at: Instant::now(),
            recover_at: Instant::now(),
            again: None,
            unsettled: true,
            status_at: None,
            status_written: None,
        }
    }

    async fn run(mut self, stop: &Stop) {
        let Some(world) = self.world(stop).await else { return };
        forget_pins(&world).await;
        // those of the other lane are none of ours, however many there are
        let lane = if self.serves_branches() { Lane::Branches } else { Lane::Protected };
        let mut events = self.follower.cluster.watch_environments_of(world.home(), lane);
        self.sight.mark_changed();
        loop {
            self.answer_plans(&world, stop);
            tokio::select! {
                () = stop.requested() => break,
                Some(event) = events.next() => self.heard(event),
                changed = self.sight.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    self.unsettled = true;
                }
                changed = self.repository.changed() => {
                    if changed.is_err() || !self.is_seated() {
                        break;
                    }
                    self.unsettled = true;
                }
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended),
                () = until(self.again) => (self.again, self.unsettled) = (None, true),
                () = until(self.status_at) => {
                    self.write_status().await;
                    world.outlines.forget_unused();
                }
            }
            if std::mem::take(&mut self.unsettled) {
                self.start(&world, stop).await;
            }
            self.plan_status();
        }
        // each finishes what it is at
        self.running.clear();
        while self.tasks.join_next().await.is_some() {}
    }

    /// False once the Repository names another service's Lease.
    fn is_seated(&mut self) -> bool {
        let is_ours = self.follower.seat.is_ours(&self.repository.borrow_and_update());
        if !is_ours {
            tracing::error!(
                lease = self.follower.seat.lease,
                "the Repository names another Lease: what is under way ends"
            );
        }
        is_ours
    }

    /// The surroundings of all passes; `None` once told to stop.
    async fn world(&mut self, stop: &Stop) -> Option<World> {
        let Follower { cluster, clock, .. } = self.follower;
        let mut pace = Pace::default();
        loop {
            let repository = self.repository.borrow_and_update().clone();
            match cluster.fingerprint_key(&repository.spec.home).await {
                Ok(key) => {
                    let keyring = self.keys.borrow().keyring.clone();
                    return Some(World::new(cluster.clone(), repository, self.mirror.clone(), keyring, key, *clock));
                }
                Err(error) => tracing::error!(
                    repository = repository.metadata.name,
                    reason = error.reason().as_str(),
                    hint = error.hint(),
                    "{error}"
                ),
            }
            pace.failed();
            tokio::select! {
                () = stop.requested() => return None,
                changed = self.repository.changed() => changed.ok()?,
                () = tokio::time::sleep_until(pace.again()) => {}
            }
        }
    }

    fn heard(&mut self, event: Event<Result<Environment, kube::core::error_boundary::InvalidObject>>) {
        let is_list = matches!(event, Event::Listed(_));
        let Told { found, gone } = match event.told("Environment", self.environments.keys()) {
            Ok(told) => told,
            Err(error) => {
                tracing::warn!(reason = error.reason().as_str(), "Environments cannot be watched: {error}");
                return;
            }
        };
        for (name, environment) in found {
            self.tell(&name, Some(environment));
        }
        for name in gone {
            self.tell(&name, None);
        }
        self.unsettled |= is_list && !std::mem::replace(&mut self.is_listed, is_list);
    }

    fn tell(&mut self, name: &str, environment: Option<Environment>) {
        let version = |it: &Environment| it.metadata.resource_version.as_deref().and_then(|it| it.parse::<u64>().ok());
        let known = self.environments.get(name).and_then(version);
        if environment.as_ref().is_some_and(|it| version(it) < known) {
            // what we have written ourselves since then is newer
            return;
        }
        if let Some(running) = self.running.get(name) {
            running.environment.send_replace(environment.clone());
        }
        match environment {
            Some(environment) => {
                // somebody may ask for one whose time was over
                let standing = |it: &Environment| (branches::is_idle(it), it.spec.expires.clone());
                let now = standing(&environment);
                let before = self.environments.insert(name.to_owned(), environment);
                self.unsettled |= before.is_none_or(|before| standing(&before) != now);
            }
            None => self.unsettled |= self.environments.remove(name).is_some() && self.serves_branches(),
        }
    }

    /// Starts the tasks of environments that have none: those of `osier.yaml`, and those that left it.
    async fn start(&mut self, world: &World, stop: &Stop) {
        let Some(tip) = self.sight.borrow_and_update().tip.clone() else { return };
        let wanted =
            if self.serves_branches() { self.of_branches(world, &tip).await } else { self.of_config(&tip).await };
        let Some(mut wanted) = wanted else { return };
        self.running.retain(|name, running| wanted.get(name).is_some_and(|namespace| *namespace == running.namespace));
        let busy: BTreeSet<&String> = self.names.values().collect();
        wanted.retain(|name, _| !busy.contains(name));
        for (name, namespace) in wanted {
            self.spawn(world, &name, namespace, stop);
        }
    }

    fn lane(&self) -> Lane {
        if self.follower.shared.lane == Lane::Branches.as_str() { Lane::Branches } else { Lane::Protected }
    }

    fn serves_branches(&self) -> bool {
        self.lane() == Lane::Branches
    }

    /// The environments of `osier.yaml` with their namespaces, and those that left it.
    async fn of_config(&self, tip: &Tip) -> Option<BTreeMap<String, String>> {
        let files = Source::Mirror(self.mirror.clone(), tip.known.tip());
        let status = |environment: &Environment| environment.status.as_ref().map(|status| status.namespace.clone());
        let known = self.environments.iter().filter(|(_, environment)| environment.lane() == Some(Lane::Protected));
        let mut wanted: BTreeMap<String, String> =
            known.map(|(name, environment)| (name.clone(), status(environment).unwrap_or_default())).collect();
        // an osier.yaml with problems is for each environment to tell of
        if let Ok(config) = target::config(&files).await {
            wanted.extend(config.environments.into_iter().map(|(name, entry)| (name, entry.namespace)));
        }
        Some(wanted)
    }

    fn spawn(&mut self, world: &World, name: &str, namespace: String, stop: &Stop) {
        let (home, repository) = (world.home(), world.name());
        let of_config = || wire::environment_id(home, repository, &format!("env:{name}"));
        let of_resource = |environment| subject::environment_id(home, repository, environment);
        let environment = self.environments.get(name);
        let environment_id = environment.map_or_else(of_config, of_resource);
        let is_of_branch = environment.is_some_and(|it| it.reference().is_some());
        let watched =
            Watched::new(world.cluster.clone(), &namespace, &environment_id, self.follower.everywhere.clone());
        let watched = if is_of_branch { watched.of_branch() } else { watched };
        let environment = watch::Sender::new(environment.cloned());
        let inputs = Inputs {
            sight: self.sight.clone(),
            environment: environment.subscribe(),
            removals: self.removals.subscribe(),
            repository: self.repository.clone(),
            keys: self.keys.clone(),
            statuses: self.statuses.clone(),
        };
        let task = Task::new(self.follower.shared.clone(), world.for_environment(watched), name, inputs);
        let task = self.tasks.spawn(task.run(stop.clone()));
        self.names.insert(task.id(), name.to_owned());
        self.running.insert(name.to_owned(), Running { namespace, environment });
    }

    /// Starts the task that answers Plans, unless it runs.
    fn answer_plans(&mut self, world: &World, stop: &Stop) {
        if self.plans.is_none() {
            let (sight, repository) = (self.sight.clone(), self.repository.clone());
            let inputs = plans::Inputs { lane: self.lane(), sight, repository, keys: self.keys.clone() };
            let task = self.tasks.spawn(Plans::new(world.anew(), inputs).run(stop.clone()));
            self.plans = Some(task.id());
        }
    }

    fn ended(&mut self, ended: Result<(Id, ()), tokio::task::JoinError>) {
        let (id, panicked) = match &ended {
            Ok((id, ())) => (*id, false),
            Err(error) => (error.id(), error.is_panic()),
        };
        if self.plans == Some(id) {
            tracing::error!("the task that answers Plans ended: it begins again");
            self.plans = None;
        }
        let Some(name) = self.names.remove(&id) else { return };
        if panicked {
            tracing::error!(environment = name, "a mistake in osier ended the environment's task: it begins again");
        }
        self.running.remove(&name);
        self.unsettled = true;
        let repository = self.repository.borrow().metadata.name.clone().unwrap_or_default();
        let subject = Subject { lane: self.follower.shared.lane, repository: &repository, environment: &name };
        self.follower.shared.metrics.forget_environment(subject);
    }

    /// Plans the next write of the Repository's status, if it says something else by now.
    fn plan_status(&mut self) {
        let repository = self.repository.borrow().clone();
        let now = (self.follower.clock)();
        let sight = self.sight.borrow().clone();
        if self.status_at.is_some() || status::of(&repository, &sight, &self.follower.seat, now).is_none() {
            return;
        }
        let earliest = self.status_written.map_or_else(Instant::now, |written| written + STATUS);
        self.status_at = Some(earliest.max(Instant::now() + AFTER_ENVIRONMENTS));
    }

    async fn write_status(&mut self) {
        (self.status_at, self.status_written) = (None, Some(Instant::now()));
        let repository = self.repository.borrow().clone();
        let now = (self.follower.clock)();
        let sight = self.sight.borrow().clone();
        let Some(status) = status::of(&repository, &sight, &self.follower.seat, now) else { return };
        if let Err(error) = self.follower.cluster.write_repository_status(&repository, &status).await {
            tracing::warn!(reason = error.reason().as_str(), "the Repository's status could not be written: {error}");
        }
    }
}
