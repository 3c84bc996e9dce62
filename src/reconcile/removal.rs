//! The end of a branch environment: its namespace is read live, deleted as it was read, and seen to be gone. Its Records stay.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::cluster::namespaces::Place;
use crate::desired::config::branches::Volumes;
use crate::git::fetch::Unknown;
use crate::model::environment::{EnvironmentStatus, Life};
use crate::model::object::{Kind, ObjectId};
use crate::model::tree::{GitId, split_layer};
use crate::reconcile::error::Error;
use crate::reconcile::history::seconds;
use crate::reconcile::settle::{self, Verdict};
use crate::reconcile::source::Source;
use crate::reconcile::world::World;
use crate::reconcile::{checks, place, subject, target, write_status};

/// How long a branch has to be gone: renaming and pushing anew take less.
const GRACE: Duration = Duration::from_mins(1);

/// What `osier.yaml` says of a branch's environment and its end; while it cannot be read, nothing that costs data.
pub struct Terms {
    /// The branch.
    pub branch: String,
    /// How long it has to be gone.
    pub grace: Duration,
    /// How long it lives after a push, if it has an end.
    pub lives: Option<Duration>,
    /// What becomes of volumes.
    pub volumes: Volumes,
    /// The directory of the protected branch that fences its namespace in.
    pub template: Option<String>,
    /// Tip of the protected branch, which says all this.
    main: GitId,
}

/// How far it came.
pub enum Removal {
    /// The namespace is gone, or never was.
    Gone,
    /// It is being deleted; a sentence that names what keeps it.
    Deleting(String),
    /// It may not be deleted; why.
    Kept(String),
}

/// The terms of one environment.
pub async fn terms(world: &World, name: &str, main: GitId) -> Terms {
    let environment = world.memory.get(name).map(|memory| &memory.environment);
    let branch = environment.and_then(|environment| environment.branch()).unwrap_or_default().to_owned();
    let config = target::config(&Source::Mirror(world.mirror.clone(), main)).await.unwrap_or_default();
    let entry = config.branch(&branch).map(|(entry, _)| entry);
    let grace = entry.and_then(|entry| entry.grace).unwrap_or(GRACE);
    let lives = entry.and_then(|entry| entry.lives);
    let template = entry.map(|entry| entry.namespace.template.clone());
    let volumes = entry.map_or(Volumes::Keep, |entry| entry.volumes);
    Terms { branch, grace, lives, volumes, template, main }
}

/// Deletes the namespace of an environment, unless something keeps it.
///
/// # Errors
/// The API server failed; `RepositorySuspicious` if it was made from another history than that which lacks its branch now; `NameTaken` if the
/// namespace that it was applied to is not ours any more. One that never was stays, and nothing is left of ours.
pub async fn remove(world: &mut World, name: &str, terms: &Terms) -> Result<Removal, Error> {
    let subject = subject::read(world, name).await?;
    is_its_history(world, name, terms.main).await?;
    let status = world.memory[name].environment.status.as_ref();
    let was_applied = status.is_some_and(|status| !status.commit.is_empty());
    let found = match place::find(world, &subject, name).await {
        Err(Error::Cluster(crate::cluster::error::Error::NamespaceForeign { .. })) if !was_applied => None,
        found => found?,
    };
    let Some(place) = found else { return Ok(Removal::Gone) };
    if place.terminating {
        return Ok(Removal::Deleting(deleting(name, &place)));
    }
    if terms.volumes == Volumes::Keep
        && let Some(claim) = volume(world, name, &subject.environment_id).await?
    {
        let message = format!("kept for {}: delete it, or write `volumes: delete` in osier.yaml", claim.short());
        return Ok(Removal::Kept(message));
    }
    world.cluster.delete_place(name, &place).await?;
    Ok(Removal::Deleting(deleting(name, &place)))
}

/// Says that an environment is gone. What ran in it may run again if its branch comes back. `life`: what is kept of it, if it was its time that
/// was over, and not its branch that went.
///
/// # Errors
/// The API server failed.
pub async fn end(world: &mut World, name: &str, verdict: &Verdict, life: Option<Life>) -> Result<(), Error> {
    checks::end_of_another(world, name, None).await?;
    let Some(memory) = world.memory.get_mut(name) else { return Ok(()) };
    (memory.composed, memory.namespace_checked) = (None, false);
    let environment = &memory.environment;
    let before = environment.status.clone().unwrap_or_default();
    let generation = environment.metadata.generation;
    let conditions = settle::conditions(&before.conditions, verdict, generation, (world.now)());
    let said = before.ended.clone().filter(|_| settle::is_gone(&before));
    let ended = said.or_else(|| Some(seconds((world.now)())));
    let (commit, plan, jobs, ignored) = (String::new(), None, Vec::new(), Vec::new());
    // whatever its branch is at when it comes back is seen for the first time
    let anew = || Life { tip: String::new(), over: false, ..before.life.clone().unwrap_or_default() };
    let life = Some(life.map_or_else(anew, |life| Life { over: true, ..life }));
    let observed_generation = generation;
    let status =
        EnvironmentStatus { commit, plan, jobs, life, ignored, ended, observed_generation, conditions, ..before };
    write_status(world, name, status).await
}

fn deleting(name: &str, place: &Place) -> String {
    let why = place.kept_by.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    format!("namespace `{name}` is being deleted{why}")
}

/// Makes sure that the protected branch goes on from where the environment was made from it last: another repository knows nothing of its branch.
async fn is_its_history(world: &World, name: &str, tip: GitId) -> Result<(), Error> {
    let record = world.memory[name].chain.head.as_ref();
    let pinned = record.and_then(|record| record.spec.layers.iter().find_map(|layer| split_layer(layer).0));
    let Some(accepted) = pinned else { return Ok(()) };
    if target::continues(world, tip, accepted).await? {
        return Ok(());
    }
    let branch = world.repository.spec.protected_branch.clone();
    Err(Unknown::NotDescendant { branch, tip, accepted }.into())
}

async fn volume(world: &World, namespace: &str, environment_id: &str) -> Result<Option<ObjectId>, Error> {
    let kind = Kind::new("", "PersistentVolumeClaim");
    let live = world.cluster.live(namespace, &BTreeSet::from([kind]), environment_id).await?;
    Ok(live.iter().next().map(|found| live.object_id(&found)))
}
