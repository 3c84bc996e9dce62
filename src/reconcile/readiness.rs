//! How the workloads of an applied revision stand, and the Jobs that one waits for. The service follows them by watch; a pass never waits for
//! them.

use crate::desired::set::DesiredSet;
use crate::model::reason::Reason;
use crate::planning::checks::together;
use crate::planning::health::Health;
use crate::planning::plan::Phase;
use crate::reconcile::checks::{self, others, standings};
use crate::reconcile::error::Error;
use crate::reconcile::settle::{self, Verdict};
use crate::reconcile::world::World;
use crate::reconcile::write_status;

/// What the conditions say of an environment whose pass ended so: its verdict, and how the workloads stand if they are followed. `desired` is
/// what was applied.
pub fn said(world: &World, environment: &str, desired: Option<&DesiredSet>, verdict: &Verdict) -> Verdict {
    let Some(memory) = world.memory.get(environment) else { return verdict.clone() };
    let Some(known) = checks::known(world, memory) else { return verdict.clone() };
    let check = |phase| together(standings(world, memory), phase);
    let health = match desired {
        _ if verdict.reason == Reason::CheckPending => check(Phase::Before),
        Some(desired) if verdict.is_applied() => match (known.health(others(desired)), check(Phase::After)) {
            (Health::Ready, after) | (Health::Progressing(_), after @ Health::Failed(_)) => after,
            (others, _) => others,
        },
        _ => return verdict.clone(),
    };
    verdict.with_health(&health)
}

/// What the conditions say now of an environment whose last pass ended so; what was applied then is what it stands by.
pub fn now(world: &World, environment: &str, verdict: &Verdict) -> Verdict {
    let composed = world.memory.get(environment).and_then(|memory| memory.composed.as_ref());
    said(world, environment, composed.map(|composed| composed.composition.current()), verdict)
}

/// True if workloads stand so that a pass has something to do: a check ended, or Jobs after-ready may begin.
pub fn is_pass_due(world: &World, environment: &str) -> bool {
    let Some(memory) = world.memory.get(environment) else { return false };
    let standings = standings(world, memory);
    let waiting = standings.iter().any(|(check, standing)| check.phase == Phase::After && standing.is_missing);
    let may_begin =
        || memory.composed.as_ref().is_some_and(|it| checks::are_up(world, memory, it.composition.current()));
    !checks::news(&standings).is_empty() || waiting && may_begin()
}

/// Says so, in one write, or none if the conditions say it already.
///
/// # Errors
/// The API server failed, or somebody else wrote the status.
pub async fn say(world: &mut World, environment: &str, verdict: &Verdict) -> Result<(), Error> {
    let Some(memory) = world.memory.get(environment) else { return Ok(()) };
    let mut status = memory.environment.status.clone().unwrap_or_default();
    let generation = status.observed_generation;
    status.conditions = settle::conditions(&status.conditions, verdict, generation, (world.now)());
    if let Some(composed) = &memory.composed {
        // a status that only names another commit may still be waiting to be written
        let commit = composed.commit.to_string();
        (status.commit, status.attempted) = (commit.clone(), commit);
    }
    write_status(world, environment, status).await
}
