//! How the workloads of an applied revision stand. The service follows them by watch; a pass never waits for them.

use crate::desired::set::DesiredSet;
use crate::reconcile::error::Error;
use crate::reconcile::settle::{self, Verdict};
use crate::reconcile::world::World;
use crate::reconcile::write_status;

/// What the conditions say after a pass: its verdict, and how the workloads stand if they are followed.
pub fn said(world: &World, desired: &DesiredSet, verdict: &Verdict) -> Verdict {
    match &world.watched {
        Some(watched) if verdict.is_applied() => verdict.with_health(&watched.health(desired.objects.keys())),
        _ => verdict.clone(),
    }
}

/// What the conditions say now of an environment whose last pass ended so; what was applied then is what it stands by.
pub fn now(world: &World, environment: &str, verdict: &Verdict) -> Verdict {
    let composed = world.memory.get(environment).and_then(|memory| memory.composed.as_ref());
    composed.map_or_else(|| verdict.clone(), |composed| said(world, composed.composition.current(), verdict))
}

/// Says so, in one write, or none if the conditions say it already.
///
/// # Errors
/// The API server failed, or somebody else wrote the status.
pub async fn say(world: &mut World, environment: &str, verdict: &Verdict) -> Result<(), Error> {
    let Some(memory) = world.memory.get(environment) else { return Ok(()) };
    let Some(composed) = &memory.composed else { return Ok(()) };
    let mut status = memory.environment.status.clone().unwrap_or_default();
    let generation = status.observed_generation;
    status.conditions = settle::conditions(&status.conditions, verdict, generation, (world.now)());
    // a status that only names another commit may still be waiting to be written
    let commit = composed.commit.to_string();
    (status.commit, status.attempted) = (commit.clone(), commit);
    write_status(world, environment, status).await
}
