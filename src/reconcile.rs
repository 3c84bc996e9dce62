//! L3: THE PIPELINE, the only module that knows the order of the steps.
//!
//! `prepare` reads and decides, `reconcile` goes on to write. A plan that is only shown stops between the two, so what is shown is what is done.
//!
//! ```text
//! subject ─▶ target ─▶ desire ─▶ look ─▶ open ─▶ plan ─▶ consent ─▶ claim ─▶ execute ─▶ settle
//!   CRs       git       git      cluster   keys    pure    pure      cluster   cluster    cluster
//! ```

pub mod adoption;
pub mod answer;
pub mod checks;
pub mod compare;
pub mod consent;
pub mod dangling;
pub mod desire;
pub mod error;
pub mod history;
pub mod hold;
pub mod ignored;
pub mod open;
pub mod parallel;
pub mod place;
pub mod prepare;
pub mod readiness;
pub mod removal;
pub mod retention;
pub mod settle;
pub mod source;
pub mod subject;
pub mod target;
pub mod world;

use std::collections::BTreeMap;

use crate::cluster::write::{Outcome, WriteContext};
use crate::desired::config::Mode;
use crate::git::fetch::Known;
use crate::model::environment::{Environment, EnvironmentStatus, Hold, Life, PlanStatus};
use crate::model::reason::Reason;
use crate::model::record::{Record, RecordResult};
use crate::model::tree::GitId;
use crate::planning::checks::{Gate, starts_after};
use crate::planning::health::Health;
use crate::planning::plan::{Plan, Step, Verb};
use crate::planning::{jobs, repairs};
use crate::reconcile::checks::{Begun, Checked};
use crate::reconcile::error::Error;
use crate::reconcile::history::Chain;
use crate::reconcile::prepare::Prepared;
use crate::reconcile::settle::Verdict;
use crate::reconcile::world::World;

/// What a pass is asked for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Name of the environment.
    pub environment: String,
    /// A commit of the protected branch instead of its tip.
    pub revision: Option<String>,
    /// What made osier look: push, timer, drift, person.
    pub trigger: &'static str,
    /// Complete a Record that somebody else began a moment ago.
    pub take_over: bool,
    /// Go on as if `spec.hold` said this: to show a rollback.
    pub hold: Option<Hold>,
    /// What a look at the remote said a moment ago; without it the pass looks itself.
    pub tip: Option<Known>,
    /// Whether a status that names another commit and says nothing else new may wait a minute.
    pub patient: bool,
    /// Refuse an environment whose key class this process does not hold: it is another lane's.
    pub own_classes: bool,
    /// What the status is to keep of the life of a branch environment.
    pub life: Option<Life>,
    /// What its branch changed in vain.
    pub ignored: Vec<String>,
}

impl Ask {
    /// A person wants the tip applied.
    pub fn by_person(environment: &str) -> Self {
        Self {
            environment: environment.to_owned(),
            revision: None,
            trigger: "person",
            take_over: false,
            hold: None,
            tip: None,
            patient: false,
            own_classes: false,
            life: None,
            ignored: Vec::new(),
        }
    }
}

/// How a pass ended.
#[derive(Debug)]
pub struct Settled {
    /// How it ended.
    pub verdict: Verdict,
    /// What the conditions say: of the workloads, too, if they are followed.
    pub said: Verdict,
    /// What was planned.
    pub plan: Plan,
    /// What came of each step; `None` if nothing was to be written.
    pub outcome: Option<Outcome>,
    /// Number of the Record that this is of, if it is no repair.
    pub record: Option<u64>,
}

/// Makes one environment equal to its target, once.
///
/// # Guarantees
/// Every write of a new revision, rollback or release comes after its Record. A revision with a problem gets no write.
/// The conditions of the Environment say how it ended, errors included, as far as the API server can be reached.
///
/// # Errors
/// Why the pass did not come to its end.
pub async fn reconcile(world: &mut World, ask: &Ask) -> Result<Settled, Error> {
    let result = pass(world, ask).await;
    if let Err(error) = &result {
        tell(world, ask, error).await;
    }
    result
}

/// Puts right what drifted from what was applied last, and nothing else: while the target is blocked, the last good state is kept.
///
/// What somebody deleted is made again, but for Jobs, and if all that was applied is known to the letter still. Nothing is deleted.
/// Returns what came of each step, or `None` if there was nothing to do. Writes no Record, and of the status that no Job ran in a namespace that
/// has to be made.
///
/// # Errors
/// As `reconcile`.
pub async fn mend(world: &mut World, ask: &Ask) -> Result<Option<Outcome>, Error> {
    let Some((start, choice)) = prepare::again(world, ask).await? else { return Ok(None) };
    let mut prepared = prepare::towards(world, start, choice).await?;
    let applied = world.memory[&ask.environment].chain.applied.as_ref();
    let number = applied.map_or(0, |applied| applied.spec.number);
    let again = applied.is_some_and(|applied| applied.spec.inputs == prepared.inputs);
    prepared.plan.steps = repairs::alone(std::mem::take(&mut prepared.plan.steps), again);
    if prepared.mode == Mode::Observe || prepared.plan.steps.is_empty() {
        return Ok(None);
    }
    place::make(world, &prepared).await?;
    place::enter(world, &prepared).await?;
    prepare::open_the_rest(world, &mut prepared).await?;
    Ok(Some(execute(world, &mut prepared, number, Gate::OPEN).await))
}

async fn pass(world: &mut World, ask: &Ask) -> Result<Settled, Error> {
    let start = prepare::begin(world, ask).await?;
    subject::ensure(world, &start.subject).await?;
    subject::take_over(world, &start.subject, ask.take_over).await?;
    let prepared = prepare::prepare(world, ask, start).await?;
    carry_out(world, ask, prepared).await
}

async fn carry_out(world: &mut World, ask: &Ask, mut prepared: Prepared) -> Result<Settled, Error> {
    if prepared.mode == Mode::Observe {
        let message =
            format!("observing {}: {}", prepared.target.commit.short(), crate::report::plan::summary(&prepared.plan));
        let verdict = Verdict { ready: true, reason: Reason::Observing, message, stalled: false };
        let said = settle(world, ask, &prepared, &verdict, false).await?;
        return Ok(Settled { verdict, said, plan: prepared.plan, outcome: None, record: None });
    }
    let memory = &world.memory[&ask.environment];
    let (allow, head) = (memory.environment.spec.allow.as_slice(), checks::newest(memory));
    let given = consent::Given { allow, head, inputs: &prepared.inputs };
    let allowed_by = consent::check(&prepared.plan, &given, &ask.environment)?;
    let same = (!prepared.begins_hold).then_some(prepared.inputs.as_str());
    checks::end_of_another(world, &ask.environment, same).await?;
    place::make(world, &prepared).await?;
    prepare::open_the_rest(world, &mut prepared).await?;
    let Checked { before, gate } = checks::look(world, &prepared).await?;
    let entered = place::enter(world, &prepared);
    let (begun, entered) = tokio::join!(begin(world, ask, &prepared, allowed_by, &before), entered);
    begun.and(entered)?;
    let memory = &world.memory[&ask.environment];
    let (is_begun, number) = (memory.begun.is_some(), checks::newest(memory).map_or(0, |record| record.spec.number));
    let is_idle = prepared.plan.steps.is_empty() && !is_begun;
    let outcome = if is_idle { None } else { Some(execute(world, &mut prepared, number, gate).await) };
    let verdict = verdict(ask, &prepared, outcome.as_ref(), &before);
    go_on_or_complete(world, ask, outcome.as_ref(), &verdict).await?;
    let reached = verdict.ready;
    let said = settle(world, ask, &prepared, &verdict, reached).await?;
    remember(world, &mut prepared, reached);
    if is_begun && !verdict.waits() {
        retention::retire(world, &ask.environment, prepared.environments).await;
    }
    Ok(Settled { verdict, said, plan: prepared.plan, outcome, record: is_begun.then_some(number) })
}

/// A new revision, rollback or release gets a Record; drift put right re-asserts the current one.
fn needs_record(chain: &Chain, prepared: &Prepared) -> bool {
    let applied = chain.head.as_ref().filter(|head| history::result(head) == Some(RecordResult::Applied));
    let same = applied.is_some_and(|head| head.spec.inputs == prepared.inputs);
    let continues = |step: &Step| matches!(step.verb, Verb::Create | Verb::Update) || starts_after(step);
    let asserts = |step: &Step| step.repair || same && continues(step);
    // what failed or was interrupted is not the last word on an environment that equals its target now
    let unfinished = chain.head.is_some() && applied.is_none();
    prepared.begins_hold || prepared.lacks_namespace || unfinished || !prepared.plan.steps.iter().all(asserts)
}

/// Sees to it that there is an open Record if one is needed. What failed before this revision began any write gets none.
async fn begin(
    world: &mut World,
    ask: &Ask,
    prepared: &Prepared,
    allowed_by: Vec<String>,
    before: &Health,
) -> Result<(), Error> {
    let memory = &world.memory[&ask.environment];
    let is_over = matches!(before, Health::Failed(_));
    if is_over || memory.begun.is_some() || !needs_record(&memory.chain, prepared) {
        return Ok(());
    }
    let record = claim(world, ask, prepared, allowed_by).await?;
    if let Some(memory) = world.memory.get_mut(&ask.environment) {
        memory.begun = Some(Begun { record, counts: BTreeMap::new() });
    }
    Ok(())
}

/// Creates Record n, Pending, before the first write. Its name is the claim.
async fn claim(world: &mut World, ask: &Ask, prepared: &Prepared, allowed_by: Vec<String>) -> Result<Record, Error> {
    let chain = &world.memory[&ask.environment].chain;
    let entry = history::Entry {
        environment: &ask.environment,
        environment_id: &prepared.subject.environment_id,
        target: &prepared.target,
        info: &prepared.info,
        inputs: &prepared.inputs,
        plan: &prepared.plan,
        trigger: ask.trigger,
        issues: prepared.issues.clone(),
        allowed_by,
    };
    let spec = history::spec(&entry, chain, &world.fingerprint_key, (world.now)());
    let (record, pinned) = tokio::join!(
        world.cluster.claim_record(world.home(), world.name(), spec),
        world.mirror.pin(prepared.target.commit)
    );
    let record = record?;
    pinned?;
    if let Some(memory) = world.memory.get_mut(&ask.environment) {
        memory.chain.next = record.spec.number + 1;
    }
    Ok(record)
}

async fn execute(world: &mut World, prepared: &mut Prepared, record: u64, gate: Gate) -> Outcome {
    let context = WriteContext {
        environment_id: prepared.subject.environment_id.clone(),
        namespace: prepared.namespace.clone(),
        record,
    };
    let mut kept = std::mem::take(&mut prepared.manifests);
    let mut execution = world.cluster.execution(&prepared.plan, &context, gate);
    while !execution.rest().is_empty() {
        let steps = execution.rest();
        let steps = &steps[..prepare::batch(steps, &kept)];
        let mut manifests = prepare::hand_out(world, prepared, &mut kept, steps).await;
        execution.run(steps.len(), &mut manifests).await;
    }
    let outcome = execution.outcome();
    if let Some(known) = world.memory.get(&prepared.subject.name).and_then(|memory| checks::known(world, memory)) {
        known.wrote(&prepared.plan, &outcome);
    }
    if let Some(memory) = world.memory.get_mut(&prepared.subject.name) {
        // the namespace may be why
        memory.namespace_checked &= outcome.is_complete();
    }
    place::restore_rights(world, prepared, &outcome).await;
    outcome
}

/// Completes the open Record, unless the plan waits for Jobs before the rest: then the next pass goes on in it.
async fn go_on_or_complete(
    world: &mut World,
    ask: &Ask,
    outcome: Option<&Outcome>,
    verdict: &Verdict,
) -> Result<(), Error> {
    let now = (world.now)();
    let Some(memory) = world.memory.get_mut(&ask.environment) else { return Ok(()) };
    let Some(Begun { record, counts }) = memory.begun.as_mut() else { return Ok(()) };
    for (verb, count) in outcome.map(Outcome::counts).unwrap_or_default() {
        *counts.entry(verb).or_default() += count;
    }
    if verdict.waits() {
        return Ok(());
    }
    let result = if verdict.ready { RecordResult::Applied } else { RecordResult::Failed };
    let reason = if verdict.ready { Reason::Applied } else { verdict.reason };
    let status = history::status(record, result, reason.as_str(), counts.clone(), now);
    let completed = world.cluster.complete_record(record, &status).await?;
    memory.begun = None;
    memory.chain.add(completed);
    Ok(())
}

fn verdict(ask: &Ask, prepared: &Prepared, outcome: Option<&Outcome>, before: &Health) -> Verdict {
    let commit = prepared.target.commit.short();
    if let Some((object, reason, message)) = outcome.and_then(Outcome::first_failure) {
        let message = format!("{} of {commit}: {message}", object.short());
        let stalled = reason != Reason::ServerUnavailable && reason != Reason::Conflict;
        return Verdict { ready: false, reason, message, stalled };
    }
    match before {
        Health::Ready => applied(ask, prepared),
        Health::Progressing(_) => {
            let message = format!("applying {commit}");
            Verdict { ready: false, reason: Reason::CheckPending, message, stalled: false }
        }
        Health::Failed(why) => {
            let message = format!("{commit} is not applied; {}", why.sentence);
            Verdict { ready: false, reason: Reason::CheckFailed, message, stalled: true }
        }
    }
}

fn applied(ask: &Ask, prepared: &Prepared) -> Verdict {
    let near = ask.life.as_ref().filter(|life| life.warned.is_some()).and_then(|life| life.ends.as_ref());
    let end = near.map(|ends| format!("; it ends at {ends}")).unwrap_or_default();
    match &prepared.target.held_back {
        None => {
            let message = format!("equals {}{end}", prepared.target.commit.short());
            Verdict { ready: true, reason: Reason::Applied, message, stalled: false }
        }
        Some(why) => Verdict {
            ready: true,
            reason: Reason::HeldBack,
            message: format!("held at {}: {why}{end}", prepared.target.commit.short()),
            stalled: false,
        },
    }
}

/// The Environment's one status write of a pass, if anything changed. Returns what the conditions say.
async fn settle(
    world: &mut World,
    ask: &Ask,
    prepared: &Prepared,
    verdict: &Verdict,
    reached: bool,
) -> Result<Verdict, Error> {
    let now = (world.now)();
    let name = &prepared.subject.name;
    let said = readiness::said(world, name, Some(prepared.desired()), verdict);
    let Some(memory) = world.memory.get(name) else { return Ok(said) };
    let environment = &memory.environment;
    let before = environment.status.clone().unwrap_or_default();
    let generation = environment.metadata.generation;
    let mut jobs = before.jobs.clone();
    if reached {
        prepared.note_jobs(&mut jobs);
    }
    for run in checks::news(&checks::standings(world, memory)) {
        jobs::note(&mut jobs, run);
    }
    let status = EnvironmentStatus {
        id: prepared.subject.environment_id.clone(),
        namespace: prepared.namespace.clone(),
        address: prepared.address.clone(),
        reference: prepared.target.reference.clone(),
        commit: if reached { prepared.target.commit.to_string() } else { before.commit.clone() },
        attempted: prepared.target.commit.to_string(),
        head: memory.chain.head(),
        plan: settle::shown_plan(&before, &prepared.plan, verdict),
        hold: prepared.target.hold.clone(),
        jobs,
        life: ask.life.clone(),
        ignored: ask.ignored.clone(),
        ended: None,
        restorable: before.restorable.clone(),
        observed_generation: generation,
        conditions: settle::conditions(&before.conditions, &said, generation, now),
    };
    if ask.patient && reached && settle::only_moved_on(&before, &status) && !memory.may_say_so(now) {
        return Ok(said);
    }
    write_status(world, name, status).await?;
    Ok(said)
}

async fn write_status(world: &mut World, name: &str, status: EnvironmentStatus) -> Result<(), Error> {
    let Some(memory) = world.memory.get(name) else { return Ok(()) };
    if memory.environment.status.as_ref() == Some(&status) {
        return Ok(());
    }
    let written = world.cluster.write_environment_status(&memory.environment, &status).await?;
    let now = (world.now)();
    if let Some(memory) = world.memory.get_mut(name) {
        memory.environment = written;
        memory.settled_at = Some(now);
    }
    Ok(())
}

/// Says in the conditions why a pass ended early. Best effort: the error itself is what counts.
async fn tell(world: &mut World, ask: &Ask, error: &Error) {
    if error.reason() == Reason::Conflict {
        // somebody else is writing: what they say counts
        return;
    }
    let stalled = error.retry() == crate::model::reason::Retry::Never;
    let verdict = Verdict { ready: false, reason: error.reason(), message: error.sentence(), stalled };
    let tip = world.memory.get(&ask.environment).and_then(|memory| looked_at(ask, &memory.environment));
    let amend = |status: &mut EnvironmentStatus| {
        // who has not looked knows nothing of these
        if let Some(tip) = tip {
            (status.life, status.ignored) = (ask.life.clone(), ask.ignored.clone());
            status.attempted = tip.to_string();
        }
    };
    if let Err(second) = conclude(world, &ask.environment, &verdict, error.plan().cloned(), amend).await {
        tracing::warn!(
            environment = ask.environment,
            reason = second.reason().as_str(),
            "the conditions could not be written"
        );
    }
}

/// Says in the conditions how an environment stands of which no pass was made; `life` if there is something new to keep of that.
///
/// # Errors
/// The API server failed.
pub async fn say(world: &mut World, environment: &str, verdict: &Verdict, life: Option<&Life>) -> Result<(), Error> {
    let plan = world.memory.get(environment).and_then(|memory| memory.environment.status.as_ref()?.plan.clone());
    let amend = |status: &mut EnvironmentStatus| status.life = life.cloned().or(status.life.take());
    conclude(world, environment, verdict, plan, amend).await
}

async fn conclude(
    world: &mut World,
    name: &str,
    verdict: &Verdict,
    plan: Option<PlanStatus>,
    amend: impl FnOnce(&mut EnvironmentStatus),
) -> Result<(), Error> {
    let Some(memory) = world.memory.get(name) else { return Ok(()) };
    if memory.environment.metadata.uid.is_none() {
        // there is no Environment yet, and what is not in osier.yaml gets none
        return Ok(());
    }
    let mut status = memory.environment.status.clone().unwrap_or_default();
    let generation = memory.environment.metadata.generation;
    status.conditions = settle::conditions(&status.conditions, verdict, generation, (world.now)());
    status.observed_generation = generation;
    (status.plan, status.ended) = (plan, None);
    amend(&mut status);
    write_status(world, name, status).await
}

/// The commit that the remote has for an environment: of its own branch, if it is a branch's.
fn looked_at(ask: &Ask, environment: &Environment) -> Option<GitId> {
    let known = ask.tip.as_ref()?;
    match environment.branch() {
        Some(branch) => Some(known.branches()?.get(branch).copied().unwrap_or(known.tip())),
        None => Some(known.tip()),
    }
}

/// Keeps the composed revision for the next pass, if the environment equals it now.
fn remember(world: &mut World, prepared: &mut Prepared, reached: bool) {
    let kinds = prepared.kinds();
    if let Some(memory) = world.memory.get_mut(&prepared.subject.name) {
        memory.composed = if reached { prepared.composed.take() } else { None };
    }
    if let (true, Some(watched)) = (reached, &world.watched) {
        watched.narrow(&kinds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_can_run_on_any_thread() {
        fn on_any_thread<T: Send>(_: impl FnOnce(&'static mut World, &'static Ask) -> T) {}
        on_any_thread(reconcile);
    }
}
