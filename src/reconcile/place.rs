//! The namespace of an environment: the platform engineer makes that of a protected one, osier that of a branch.

use crate::cluster;
use crate::cluster::namespaces::{Owner, Place};
use crate::desired::namespace::{self, Marks};
use crate::git::content::Content;
use crate::model::reason::Reason;
use crate::model::tree::split_layer;
use crate::model::wire;
use crate::reconcile::error::Error;
use crate::reconcile::prepare::Prepared;
use crate::reconcile::source::Source;
use crate::reconcile::subject::Subject;
use crate::reconcile::world::World;

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

/// Makes the namespace of a branch environment, with the labels of the template.
///
/// # Errors
/// The template has problems, or somebody else was faster.
pub async fn make(world: &World, prepared: &Prepared) -> Result<(), Error> {
    let subject = &prepared.subject;
    let marks = marks(world, prepared).await?;
    let reference = reference(subject);
    world.cluster.create_place(&prepared.namespace, &owner(world, subject, &reference), &marks).await?;
    world.cluster.bind_place(&prepared.namespace).await?;
    tracing::info!(environment = subject.name, namespace = prepared.namespace, "made the namespace");
    if let Some(watched) = &world.watched {
        watched.look(&prepared.kinds()).await?;
    }
    Ok(())
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
