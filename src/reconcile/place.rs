//! The namespace of an environment: the platform engineer makes that of a protected one, osier that of a branch.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::cluster::namespaces::{Owner, Place};
use crate::cluster::watched::Watched;
use crate::cluster::write::{Outcome, StepOutcome, StepResult};
use crate::cluster::{self, Cluster};
use crate::desired::namespace::{self, Marks};
use crate::git::content::Content;
use crate::model::environment::EnvironmentStatus;
use crate::model::object::Kind;
use crate::model::reason::Reason;
use crate::model::tree::split_layer;
use crate::model::wire;
use crate::planning::live::LiveSet;
use crate::reconcile::error::Error;
use crate::reconcile::prepare::Prepared;
use crate::reconcile::source::Source;
use crate::reconcile::subject::Subject;
use crate::reconcile::world::World;
use crate::reconcile::write_status;

/// An API server knows of a binding when it has heard of it, which is a moment after it was made.
const LAG: Duration = Duration::from_secs(5);
/// Between two looks whether it has.
const AGAIN: Duration = Duration::from_millis(50);
/// `namespace.yaml` is a few labels; more is a mistake.
const BYTES: u64 = 64 << 10;

/// Makes sure that the namespace is as it has to be; false if it is a branch's and still to be made.
///
/// # Errors
/// It is somebody else's, or on its way out; one of a protected environment is missing.
pub async fn is_there(world: &World, subject: &Subject, namespace: &str) -> Result<bool, Error> {
    if subject.branch.is_none() {
        world.cluster.check_namespace(namespace, world.name()).await?;
        return Ok(true);
    }
    match find(world, subject, namespace).await? {
        Some(Place { terminating: true, .. }) => {
            Err(cluster::error::Error::NamespaceTerminating { namespace: namespace.to_owned() }.into())
        }
        place => Ok(place.is_some()),
    }
}

/// The namespace of a branch environment, live.
///
/// # Errors
/// It is not ours.
pub async fn find(world: &World, subject: &Subject, namespace: &str) -> Result<Option<Place>, Error> {
    let reference = reference(subject);
    Ok(world.cluster.place(namespace, &owner(world, subject, &reference)).await?)
}

/// Makes the namespace that a branch environment lacks, with the labels of the template.
///
/// # Errors
/// The template has problems, or somebody else was faster.
pub async fn make(world: &mut World, prepared: &Prepared) -> Result<(), Error> {
    if !prepared.lacks_namespace {
        return Ok(());
    }
    let subject = &prepared.subject;
    forget_runs(world, &subject.name).await?;
    let marks = marks(world, prepared).await?;
    let reference = reference(subject);
    world.cluster.create_place(&prepared.namespace, &owner(world, subject, &reference), &marks).await?;
    tracing::info!(environment = subject.name, namespace = prepared.namespace, "made the namespace");
    Ok(())
}

/// Takes the rights of an environment in the namespace that was made for it, and looks there for the first time. Borrows nothing, so that
/// nobody else has to wait meanwhile.
///
/// # Errors
/// As `take_rights`.
pub fn enter(world: &World, prepared: &Prepared) -> impl Future<Output = Result<(), Error>> + use<> {
    let (cluster, watched, is_made) = (world.cluster.clone(), world.watched.clone(), prepared.lacks_namespace);
    let (namespace, kinds) = (prepared.namespace.clone(), prepared.kinds());
    async move {
        match watched {
            _ if !is_made => Ok(()),
            Some(watched) => take_rights(&cluster, &watched, &kinds).await.map(drop),
            None => Ok(cluster.bind_place(&namespace).await?),
        }
    }
}

/// Forgets which Jobs ran in the namespace that was there before: none has in the one that is still to be made.
async fn forget_runs(world: &mut World, name: &str) -> Result<(), Error> {
    let status = world.memory.get(name).and_then(|memory| memory.environment.status.clone()).unwrap_or_default();
    if status.jobs.is_empty() {
        return Ok(());
    }
    write_status(world, name, EnvironmentStatus { jobs: Vec::new(), ..status }).await
}

/// Takes the rights of an environment in the namespace of a branch, and looks at what is there once the API server knows of them.
///
/// # Errors
/// It does not grant them, or nothing can be listed with them.
pub async fn take_rights(cluster: &Cluster, watched: &Watched, kinds: &BTreeSet<Kind>) -> Result<Arc<LiveSet>, Error> {
    cluster.bind_place(watched.namespace()).await?;
    let end = Instant::now() + LAG;
    loop {
        match watched.look(kinds).await {
            Err(error) if error.reason() == Reason::Forbidden && Instant::now() < end => sleep(AGAIN).await,
            live => return Ok(live?),
        }
    }
}

/// Where somebody took away what the service may do in the namespace of a branch, it takes it again: the next pass can write.
pub async fn restore_rights(world: &World, prepared: &Prepared, outcome: &Outcome) {
    let is_forbidden = |step: &StepResult| matches!(step.result, StepOutcome::Failed { reason: Reason::Forbidden, .. });
    if prepared.subject.branch.is_none() || !outcome.steps.iter().any(is_forbidden) {
        return;
    }
    if let Err(error) = world.cluster.bind_place(&prepared.namespace).await {
        tracing::warn!(environment = prepared.subject.name, reason = error.reason().as_str(), "{error}");
    }
}

async fn marks(world: &World, prepared: &Prepared) -> Result<Marks, Error> {
    let Some(template) = &prepared.template else { return Ok(Marks::default()) };
    let path = namespace::path(template);
    let commit = split_layer(template).0.unwrap_or(prepared.target.commit);
    let bytes = match Source::Mirror(world.mirror.clone(), commit).file(&path, BYTES).await? {
        Content::File { bytes, .. } => bytes,
        Content::Missing => return Ok(Marks::default()),
        Content::NotAFile | Content::TooLarge { .. } => {
            let message = format!("{path} is no plain file of at most 64 KiB");
            return Err(Error::blocked(Reason::ProblemsFound, message, "mend it on the protected branch"));
        }
    };
    let text = String::from_utf8_lossy(&bytes);
    namespace::marks(&path, &text, &prepared.target.parameters).map_err(Error::problems)
}

fn owner<'a>(world: &'a World, subject: &'a Subject, reference: &'a str) -> Owner<'a> {
    Owner { environment_id: &subject.environment_id, repository: world.name(), reference }
}

fn reference(subject: &Subject) -> String {
    format!("{}{}", wire::HEADS, subject.branch.as_deref().unwrap_or_default())
}
