//! One environment: from triggers to passes, one at a time.

mod departure;
pub mod heads;
mod notes;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::cluster::events::Announcement;
use crate::cluster::watched::{News, Watched};
use crate::cluster::write::StepOutcome;
use crate::controller::announce::{Announcements, Announcer, announce};
use crate::controller::environment::departure::Departure;
use crate::controller::environment::heads::Heads;
use crate::controller::environment::notes::Noted;
use crate::controller::flapping::{Flapping, WINDOW};
use crate::controller::metrics::{Metrics, Subject};
use crate::controller::readiness::Readiness;
use crate::controller::remote::{Sight, Tip};
use crate::controller::slots::Slots;
use crate::controller::statuses::Statuses;
use crate::keys::watch::Loaded;
use crate::model::environment::{Environment, Life};
use crate::model::object::ObjectId;
use crate::model::reason::Reason;
use crate::model::repository::Repository;
use crate::planning::changes::LeafChange;
use crate::planning::plan::Step;
use crate::reconcile::error::Error;
use crate::reconcile::settle::Verdict;
use crate::reconcile::world::{MOVED_ON_SECONDS, World};
use crate::reconcile::{self, Ask, Settled, readiness, subject};
use crate::supervise::pace::{Pace, Storm, until};
use crate::supervise::{Stop, contained};

/// A revision whose passes panicked this often is not tried again.
const PANICS: u32 = 2;

/// A pass of so few files is over in a few requests.
const FEW_FILES: usize = 8;

/// Longest rest after a whole environment was made, while many are: so much later the service ends.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// Name of the queue of environments that wait for a slot.
const QUEUE: &str = "environments";

/// What the environments of a lane share.
pub struct Shared {
    /// `protected` or `branches`.
    pub lane: &'static str,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Passes that may run at once.
    pub slots: Slots,
}

/// What an environment's task hears of.
pub struct Inputs {
    /// What the remote said last.
    pub sight: watch::Receiver<Sight>,
    /// Its custom resource, as it was seen last; `None` if there is none.
    pub environment: watch::Receiver<Option<Environment>>,
    /// Why no environment is removed now, if so.
    pub removals: watch::Receiver<Option<String>>,
    /// The grant.
    pub repository: watch::Receiver<Arc<Repository>>,
    /// The identities.
    pub keys: watch::Receiver<Loaded>,
    /// What commits are to show on the forge.
    pub statuses: Statuses,
}

/// The task of one environment.
pub struct Task {
    shared: Arc<Shared>,
    world: World,
    name: String,
    inputs: Inputs,
    pace: Pace,
    storm: Storm,
    /// When the pass begins for what was pushed since the last one.
    push_due: Option<Instant>,
    flapping: Flapping,
    readiness: Readiness,
    announcer: Announcer,
    announcements: Option<Announcements>,
    panics: u32,
    departure: Departure,
    /// When the end of a branch environment comes near, or comes.
    end_due: Option<Instant>,
    /// What the status is to keep of a life that is over, while the environment is on its way out.
    life: Option<Life>,
    /// The tips that were looked at last.
    attended: Option<Heads>,
    noted: Noted,
}

/// What made osier look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trigger {
    Push,
    Person,
    Drift,
    Workload,
    Timer,
}

impl Trigger {
    /// As Records say it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Person => "person",
            Self::Drift => "drift",
            Self::Workload => "workload",
            Self::Timer => "timer",
        }
    }
}

impl Task {
    /// A task that has done nothing yet. `world` has the environment's watches.
    pub fn new(shared: Arc<Shared>, world: World, name: &str, inputs: Inputs) -> Self {
        let (pace, flapping, readiness) = (Pace::default(), Flapping::default(), Readiness::default());
        let (announcer, announcements) = Announcer::new();
        Self {
            shared,
            world,
            name: name.to_owned(),
            inputs,
            pace,
            storm: Storm::default(),
            push_due: None,
            flapping,
            readiness,
            announcer,
            announcements: Some(announcements),
            panics: 0,
            departure: Departure::default(),
            end_due: None,
            life: None,
            attended: None,
            noted: Noted::default(),
        }
    }

    /// Keeps the environment equal to its target until it is told to stop, or nobody is left who tells it anything.
    pub async fn run(mut self, stop: Stop) {
        let (Some(watched), Some(announcements)) = (self.world.watched.clone(), self.announcements.take()) else {
            return;
        };
        let (cluster, now) = (self.world.cluster.clone(), self.world.now);
        tokio::select! {
            () = watched.run() => {}
            () = announce(announcements, &cluster, now) => {}
            () = self.passes(&stop) => {}
        }
    }

    async fn passes(&mut self, stop: &Stop) {
        self.inputs.sight.mark_changed();
        while let Some(trigger) = self.next(stop).await {
            self.attend(trigger).await;
        }
    }

    /// Waits for a trigger. What comes while a pass runs is taken together by the next one. Meanwhile it is said how the workloads stand.
    async fn next(&mut self, stop: &Stop) -> Option<Trigger> {
        let watched = self.world.watched.clone()?;
        let mut workloads = watched.workloads().news();
        loop {
            let may_repair = self.flapping.may_repair(Instant::now());
            tokio::select! {
                biased;
                () = stop.requested() => return None,
                changed = self.inputs.sight.changed() => {
                    changed.ok()?;
                    self.hears_of_push().await;
                }
                () = until(self.push_due) => return Some(Trigger::Push),
                changed = self.inputs.environment.changed() => {
                    changed.ok()?;
                    if self.somebody_spoke() {
                        return Some(Trigger::Person);
                    }
                }
                changed = self.inputs.repository.changed() => {
                    changed.ok()?;
                    // that somebody wants the remote looked at is not for us
                    if self.inputs.repository.borrow_and_update().spec != self.world.repository.spec {
                        return Some(Trigger::Person);
                    }
                }
                changed = self.inputs.keys.changed() => return changed.ok().map(|()| Trigger::Person),
                () = tokio::time::sleep_until(self.pace.again()) => return Some(Trigger::Timer),
                () = until(self.end_due) => return Some(Trigger::Timer),
                news = watched.changed(), if may_repair => {
                    if self.is_drift(&news) {
                        return Some(Trigger::Drift);
                    }
                }
                changed = workloads.changed() => {
                    changed.ok()?;
                    self.readiness.heard(Instant::now());
                }
                () = until(self.readiness.due()) => {
                    if readiness::is_pass_due(&self.world, &self.name) {
                        return Some(Trigger::Workload);
                    }
                    self.look_at_workloads(&watched).await;
                }
            }
        }
    }

    fn is_drift(&mut self, news: &News) -> bool {
        match news {
            News::Objects(objects) => self.world.concerns(&self.name, objects),
            News::Namespace => {
                if let Some(memory) = self.world.memory.get_mut(&self.name) {
                    memory.namespace_checked = false;
                }
                true
            }
        }
    }

    /// Takes the custom resource as it is now; true if it says something that osier has not attended to.
    fn somebody_spoke(&mut self) -> bool {
        let now = self.inputs.environment.borrow_and_update().clone();
        match now {
            Some(environment) => {
                let others = self.world.saw(&self.name, environment);
                // what is remembered may be newer than what was just heard
                let known = self.world.memory.get(&self.name).map(|memory| &memory.environment);
                others || known.is_none_or(|known| !is_attended(known))
            }
            // somebody deleted it: it is made again
            None => self.world.memory.remove(&self.name).is_some(),
        }
    }

    /// One pass, once there is a slot for it.
    async fn attend(&mut self, trigger: Trigger) {
        (self.push_due, self.end_due, self.life) = (None, None, None);
        let shared = self.shared.clone();
        let waiting = shared.metrics.waiting(QUEUE);
        let first = if self.makes_it() { shared.slots.first().await.ok() } else { None };
        let Ok(slot) = shared.slots.take(self.has_little_to_do(trigger)).await else { return };
        drop(waiting);
        let Some(tip) = self.inputs.sight.borrow_and_update().tip.clone() else { return };
        let before = self.attended.replace(self.heads(&tip));
        self.world.repository = self.inputs.repository.borrow_and_update().clone();
        self.world.keyring = self.inputs.keys.borrow_and_update().keyring.clone();
        self.readiness.begins();
        self.noted.begins();
        // somebody may have spoken as well
        let moved = before != self.attended;
        for place in self.told_of() {
            if moved && self.is_new(&place, before.as_ref()) {
                self.inputs.statuses.begins(&self.name, place);
            }
        }
        let begun = Instant::now();
        let reason = match contained(self.pass(trigger, &tip)).await {
            Ok(reason) => reason,
            Err(_) => self.quarantine().await,
        };
        if let Some(watched) = &self.world.watched {
            watched.watch_closely(!is_well(reason));
        }
        let Shared { lane, metrics, .. } = &*self.shared;
        metrics.reconciled(lane, reason, begun.elapsed());
        let outlines = &self.world.outlines;
        metrics.outlines(self.world.name(), outlines.files_remembered(), outlines.files_read());
        if trigger == Trigger::Push {
            self.storm.passed(Instant::now());
            if reason == Reason::Applied {
                metrics.applied(lane, tip.seen.elapsed());
            }
        }
        drop(slot);
        if first.is_some() && shared.slots.makes_many() {
            // as long again nothing is made in its place
            tokio::time::sleep(begun.elapsed().min(LONGEST_REST)).await;
        }
    }

    /// True if somebody waits for it, or hardly any file of its layers is another than in what was applied.
    async fn has_little_to_do(&self, trigger: Trigger) -> bool {
        let tip = self.inputs.sight.borrow().tip.as_ref().map(|tip| tip.known.tip());
        match (trigger, tip) {
            (Trigger::Drift | Trigger::Person, _) => true,
            (_, Some(tip)) => {
                let changed = self.world.files_changed(&self.name, tip).await;
                changed.is_some_and(|changed| changed <= FEW_FILES)
            }
            _ => false,
        }
    }

    async fn pass(&mut self, trigger: Trigger, tip: &Tip) -> Reason {
        if let Some(reason) = self.suspended().await {
            return reason;
        }
        if self.has_lost_its_branch(tip) {
            return self.departs(tip).await;
        }
        self.stays();
        let (life, ignored) = match self.lives(tip).await {
            ControlFlow::Continue(own) => own,
            ControlFlow::Break(reason) => return reason,
        };
        let ask = Ask {
            life,
            ignored,
            trigger: trigger.as_str(),
            take_over: true,
            tip: Some(tip.known.clone()),
            patient: true,
            own_classes: true,
            ..Ask::by_person(&self.name)
        };
        match reconcile::reconcile(&mut self.world, &ask).await {
            Ok(settled) => self.settled(settled, &ask).await,
            Err(error) => {
                self.blocked(&error, &ask).await;
                error.reason()
            }
        }
    }

    async fn settled(&mut self, settled: Settled, ask: &Ask) -> Reason {
        self.panics = 0;
        for step in settled.outcome.iter().flat_map(|outcome| &outcome.steps) {
            if let StepOutcome::Done { .. } = step.result {
                self.shared.metrics.step(self.shared.lane, &step.object.kind.kind, step.verb.as_str());
            }
        }
        let (ready, reason) = (settled.verdict.ready, settled.verdict.reason);
        self.report(&settled.said, 0);
        if ask.trigger != Trigger::Workload.as_str() {
            // that goes on with a plan that was noted
            self.note_plan(&settled);
        }
        self.announce(&settled.said, settled.record);
        self.announce_consumers(&settled);
        let (repairs, left) = repairs(&settled);
        self.shared.metrics.drift(self.subject(), left);
        tracing::info!(
            environment = self.name,
            reason = reason.as_str(),
            record = settled.record,
            steps = settled.plan.steps.len(),
            "{}",
            settled.verdict.message
        );
        // how a Job before the rest ends is told by its watch, and what has failed can be mended by a push alone
        let is_check = matches!(reason, Reason::CheckPending | Reason::CheckFailed);
        if !ready && !is_check {
            self.pace.failed();
            return reason;
        }
        self.pace.went_well(self.later().filter(|_| ready));
        if self.repaired(repairs).await {
            return Reason::Flapping;
        }
        if is_check {
            self.mend(ask).await;
        }
        self.readiness.ended(&settled.verdict, &settled.said, Instant::now());
        reason
    }

    /// Notes what was put right and why; true if that was once too often, and osier holds still for a while.
    async fn repaired(&mut self, repairs: Vec<(ObjectId, String)>) -> bool {
        self.shared.metrics.repaired(self.subject(), repairs.len() as u64);
        let mut too_often = None;
        for (object, why) in repairs {
            if self.flapping.repaired(&object, Instant::now()) {
                too_often = Some(format!("{} changes again and again: {why}", object.short()));
            }
        }
        let Some(message) = too_often else { return false };
        let verdict = Verdict { ready: false, reason: Reason::Flapping, message, stalled: false };
        self.say(&verdict).await;
        self.pace.went_well(Some(WINDOW));
        true
    }

    /// Says how the workloads stand, if that is new. A newer commit never waits for them.
    async fn look_at_workloads(&mut self, watched: &Watched) {
        let now = Instant::now();
        let Some(followed) = self.readiness.followed() else { return };
        let verdict = readiness::now(&self.world, &self.name, followed);
        let is_news = self.readiness.is_news(&verdict, now);
        watched.workloads().ask_pods(self.readiness.wants_pods(now));
        if !is_news {
            return;
        }
        self.readiness.wrote(&verdict, now);
        self.report(&verdict, 0);
        self.announce(&verdict, None);
        tracing::info!(environment = self.name, ready = verdict.ready, "{}", verdict.message);
        if let Err(error) = readiness::say(&mut self.world, &self.name, &verdict).await {
            tracing::warn!(
                environment = self.name,
                reason = error.reason().as_str(),
                "the conditions could not be written"
            );
            self.pace.failed();
        }
    }

    /// The pass did not come to its end. What was applied last is kept as it is.
    async fn blocked(&mut self, error: &Error, ask: &Ask) {
        let problems = if let Error::Blocked { problems, .. } = error { problems.len() } else { 0 };
        let verdict =
            Verdict { ready: false, reason: error.reason(), message: error.sentence(), stalled: problems > 0 };
        self.report(&verdict, problems);
        self.noted.blocked(error);
        if verdict.reason != Reason::Conflict {
            self.announce(&verdict, None);
        }
        let cause = std::error::Error::source(error).map(ToString::to_string);
        tracing::warn!(environment = self.name, reason = verdict.reason.as_str(), cause, "{error}");
        if error.reason() == Reason::Conflict {
            // somebody else wrote what we remember
            self.world.memory.remove(&self.name);
        }
        if !matches!(error, Error::Blocked { .. }) {
            return self.pace.failed();
        }
        // nothing but a push, a person, a key or a change in the cluster can help
        self.pace.went_well(None);
        self.mend(ask).await;
    }

    /// Puts right what drifted from what was applied last.
    async fn mend(&mut self, ask: &Ask) {
        match reconcile::mend(&mut self.world, ask).await {
            Ok(Some(outcome)) if outcome.is_complete() => {
                let repairs: Vec<(ObjectId, String)> = outcome
                    .steps
                    .into_iter()
                    .map(|step| (step.object, "it drifts from what was applied last".to_owned()))
                    .collect();
                let repaired = repairs.len();
                self.shared.metrics.drift(self.subject(), 0);
                tracing::info!(
                    environment = self.name,
                    repaired,
                    "put right what drifted from the last applied revision"
                );
                self.repaired(repairs).await;
            }
            Ok(None) => self.shared.metrics.drift(self.subject(), 0),
            Ok(Some(outcome)) => {
                let done = outcome.steps.iter().filter(|step| matches!(step.result, StepOutcome::Done { .. })).count();
                self.shared.metrics.drift(self.subject(), outcome.steps.len() - done);
                self.pace.failed();
            }
            Err(second) => {
                tracing::warn!(environment = self.name, reason = second.reason().as_str(), "{second}");
                self.pace.failed();
            }
        }
    }

    /// True to its word, osier writes nothing while a person says so; the conditions say who and why.
    async fn suspended(&mut self) -> Option<Reason> {
        let now = (self.world.now)();
        if let Err(error) = subject::read(&mut self.world, &self.name).await {
            self.pace.failed();
            return Some(error.reason());
        }
        self.announcer.begins(&self.world.memory[&self.name].environment);
        let suspend = subject::suspended(&self.world.memory[&self.name].environment, now)?.clone();
        let until = suspend.until.as_deref().and_then(|until| until.parse::<jiff::Timestamp>().ok());
        let left = until
            .map(|until| Duration::from_secs(until.as_second().saturating_sub(now.as_second()).max(1).unsigned_abs()));
        let message = format!("suspended by {}: {}", suspend.by, suspend.reason);
        let verdict = Verdict { ready: false, reason: Reason::Suspended, message, stalled: false };
        self.report(&verdict, 0);
        self.say(&verdict).await;
        self.pace.went_well(left);
        Some(Reason::Suspended)
    }

    /// A pass panicked. Once may be chance; a revision that does it again is left alone until there is another.
    async fn quarantine(&mut self) -> Reason {
        self.world.memory.remove(&self.name);
        self.panics += 1;
        tracing::error!(environment = self.name, panics = self.panics, "a mistake in osier ended the pass");
        if self.panics < PANICS {
            self.pace.failed();
            return Reason::Interrupted;
        }
        let message = "a mistake in osier ended each pass: this revision is not tried again".to_owned();
        let verdict = Verdict { ready: false, reason: Reason::Quarantined, message, stalled: true };
        self.report(&verdict, 0);
        self.say(&verdict).await;
        self.pace.went_well(None);
        Reason::Quarantined
    }

    /// Tells people what became otherwise.
    fn announce(&mut self, verdict: &Verdict, record: Option<u64>) {
        self.tell_forges(verdict);
        let Some(memory) = self.world.memory.get_mut(&self.name) else { return };
        if let Some(number) = memory.interrupted.take() {
            let message = format!("record #{number} was begun and not completed: the next one goes on from there");
            let interrupted = Announcement { normal: false, reason: Reason::Interrupted, message };
            self.announcer.tell(&memory.environment, interrupted);
        }
        self.announcer.said(&memory.environment, verdict, record);
    }

    /// Names the workloads that use what was changed, and that osier does not restart because they are not its own.
    fn announce_consumers(&self, settled: &Settled) {
        let (Some(watched), Some(outcome)) = (&self.world.watched, &settled.outcome) else { return };
        let Some(memory) = self.world.memory.get(&self.name) else { return };
        let is_new =
            |step: &&Step| step.object.kind.is_config() && !step.repair && step.leaves.iter().any(LeafChange::differs);
        let steps = settled.plan.steps.iter().zip(&outcome.steps);
        let done = steps.filter(|(_, result)| matches!(result.result, StepOutcome::Done { .. })).map(|(step, _)| step);
        let changed: BTreeSet<ObjectId> = done.filter(is_new).map(|step| step.object.clone()).collect();
        for (workload, target) in watched.workloads().foreign_consumers(&changed) {
            let message =
                format!("{} uses {}, which changed; it is not osier's to restart", workload.short(), target.short());
            tracing::info!(environment = self.name, "{message}");
            self.announcer.tell(&memory.environment, Announcement { normal: true, reason: Reason::Applied, message });
        }
    }

    async fn say(&mut self, verdict: &Verdict) {
        self.announce(verdict, None);
        if let Err(error) = reconcile::say(&mut self.world, &self.name, verdict, self.life.as_ref()).await {
            tracing::warn!(
                environment = self.name,
                reason = error.reason().as_str(),
                "the conditions could not be written"
            );
            self.pace.failed();
        }
    }

    /// When a status that may wait is due.
    fn later(&self) -> Option<Duration> {
        let tip = self.attended.as_ref().map(|heads| heads.own.unwrap_or(heads.main).to_string());
        let environment = &self.world.memory.get(&self.name)?.environment;
        let said = environment.status.as_ref().map(|status| status.commit.clone());
        (said != tip && environment.spec.hold.is_none()).then(|| Duration::from_secs(MOVED_ON_SECONDS.unsigned_abs()))
    }

    fn report(&self, verdict: &Verdict, problems: usize) {
        let metrics = &self.shared.metrics;
        metrics.condition(self.subject(), verdict.ready, verdict.reason);
        metrics.problems(self.subject(), problems);
        metrics.held(self.subject(), verdict.reason == Reason::HeldBack);
    }

    fn subject(&self) -> Subject<'_> {
        Subject { lane: self.shared.lane, repository: self.world.name(), environment: &self.name }
    }
}

/// True if nothing in the namespace can be in the way.
fn is_well(reason: Reason) -> bool {
    let waits = matches!(reason, Reason::CheckPending | Reason::CheckFailed | Reason::Suspended);
    waits || matches!(reason, Reason::Applied | Reason::HeldBack)
}

/// What was put right and why, and how many objects that differ without a new revision were not: they are only observed, or could not be
/// written.
fn repairs(settled: &Settled) -> (Vec<(ObjectId, String)>, usize) {
    let results = settled.outcome.iter().flat_map(|outcome| &outcome.steps);
    let done = results.filter(|step| matches!(step.result, StepOutcome::Done { .. })).map(|step| &step.object);
    let done: BTreeSet<&ObjectId> = done.collect();
    let repairs = settled.plan.steps.iter().filter(|step| step.repair);
    let (done, left): (Vec<_>, Vec<_>) = repairs.partition(|step| done.contains(&step.object));
    (done.into_iter().map(|step| (step.object.clone(), step.why.clone())).collect(), left.len())
}

/// True if osier has answered what people wrote.
fn is_attended(environment: &Environment) -> bool {
    environment.status.as_ref().is_some_and(|status| status.observed_generation == environment.metadata.generation)
}
