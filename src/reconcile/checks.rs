//! Jobs before and after-ready: what of a plan waits for them, and the Record that stays open meanwhile. A pass never waits itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cluster::watched::Watched;
use crate::desired::set::DesiredSet;
use crate::model::environment::JobRun;
use crate::model::object::ObjectId;
use crate::model::reason::Reason;
use crate::model::record::{Record, RecordResult};
use crate::planning::checks::{self, Check, Gate, Standing};
use crate::planning::health::{self, Health};
use crate::planning::plan::Phase;
use crate::reconcile::error::Error;
use crate::reconcile::history;
use crate::reconcile::prepare::Prepared;
use crate::reconcile::settle::Verdict;
use crate::reconcile::world::{Memory, World};

/// A Record that this process began and has not completed yet. It stays so over passes while Jobs before the rest are running.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The Record.
    pub record: Record,
    /// Steps per verb that took effect so far.
    pub counts: BTreeMap<String, u64>,
}

/// What of a plan waits.
pub struct Checked {
    /// How the Jobs before the rest stand together.
    pub before: Health,
    /// What follows from that.
    pub gate: Gate,
}

/// Looks at the checks of what is prepared. Who has no watches lists what they need.
///
/// # Errors
/// The API server failed.
pub async fn look(world: &mut World, prepared: &Prepared) -> Result<Checked, Error> {
    let name = &prepared.subject.name;
    if let Some(memory) = world.memory.get_mut(name) {
        (memory.checks, memory.listed) = (checks::of(prepared.desired()), None);
    }
    let listed = list(world, prepared).await?;
    if let Some(memory) = world.memory.get_mut(name) {
        memory.listed = listed.map(Arc::new);
    }
    let memory = &world.memory[name];
    let before = checks::together(standings(world, memory), Phase::Before);
    let is_begun = newest(memory).is_some_and(|record| record.spec.inputs == prepared.inputs);
    let alone = prepared.plan.steps.iter().all(checks::starts_after);
    let is_ready = alone && are_up(world, memory, prepared.desired());
    Ok(Checked { gate: Gate::new(&before, is_begun, is_ready), before })
}

async fn list(world: &World, prepared: &Prepared) -> Result<Option<Watched>, Error> {
    let memory = &world.memory[&prepared.subject.name];
    let is_done = standings(world, memory).iter().all(|(_, standing)| standing.health == Health::Ready);
    if world.watched.is_some() || is_done {
        return Ok(None);
    }
    let (cluster, id) = (world.cluster.clone(), &prepared.subject.environment_id);
    let kinds = prepared.desired().kinds().into_iter().filter(health::is_judged).collect();
    Ok(Some(Watched::new(cluster, &prepared.namespace, id, None).listed(&kinds).await?))
}

/// What is known of the live objects whose status counts, if anything is.
pub fn known<'a>(world: &'a World, memory: &'a Memory) -> Option<&'a Watched> {
    world.watched.as_deref().or(memory.listed.as_deref())
}

/// The Record that is open, or else the newest complete one.
pub fn newest(memory: &Memory) -> Option<&Record> {
    memory.begun.as_ref().map(|begun| &begun.record).or(memory.chain.head.as_ref())
}

/// Completes the Record that is open, unless it is of these inputs: what it wrote stays, and the next one goes on from there.
///
/// # Errors
/// The API server failed.
pub async fn end_of_another(world: &mut World, name: &str, inputs: Option<&str>) -> Result<(), Error> {
    let now = (world.now)();
    let Some(memory) = world.memory.get_mut(name) else { return Ok(()) };
    let Some(Begun { record, counts }) = memory.begun.as_ref() else { return Ok(()) };
    if inputs == Some(&record.spec.inputs) {
        return Ok(());
    }
    let reason = Reason::Interrupted.as_str();
    let status = history::status(record, RecordResult::Interrupted, reason, counts.clone(), now);
    let completed = world.cluster.complete_record(record, &status).await?;
    memory.chain.add(completed);
    memory.begun = None;
    Ok(())
}

/// How the checks stand that the last pass was about.
pub fn standings<'a>(world: &World, memory: &'a Memory) -> Vec<(&'a Check, Standing)> {
    let jobs = memory.environment.status.as_ref().map_or(&[][..], |status| &status.jobs);
    match known(world, memory) {
        Some(known) => known.checks(&memory.checks, jobs),
        None => memory.checks.iter().map(|check| (check, check.standing(jobs, None, None))).collect(),
    }
}

/// True if the conditions, which say this, wait for a check, or for what one waits for.
pub fn is_waiting(world: &World, name: &str, said: &Verdict) -> bool {
    let Some(memory) = world.memory.get(name).filter(|_| said.waits()) else { return false };
    standings(world, memory).iter().any(|(_, standing)| matches!(standing.health, Health::Progressing(_)))
}

/// The checks that ended and are not noted yet.
pub fn news(standings: &[(&Check, Standing)]) -> Vec<JobRun> {
    standings.iter().filter_map(|(check, standing)| Some(check.ran(standing.news?))).collect()
}

/// True if everything that is no check is up, as far as that is known.
pub fn are_up(world: &World, memory: &Memory, desired: &DesiredSet) -> bool {
    known(world, memory).is_some_and(|known| known.health(others(desired)) == Health::Ready)
}

/// The objects of a desired set that are no checks.
pub fn others(desired: &DesiredSet) -> impl Iterator<Item = &ObjectId> {
    desired.objects.iter().filter(|(object, desired)| !checks::is_check(object, desired)).map(|(object, _)| object)
}
