//! What the cluster has of the kinds that matter, from metadata lists alone.

use std::collections::BTreeSet;

use crate::desired::set::DesiredSet;
use crate::model::object::Kind;
use crate::planning::live::LiveSet;
use crate::reconcile::error::Error;
use crate::reconcile::world::World;

/// Lists the environment's namespace.
///
/// The kinds are those of the desired set and of what was applied before; where that is not known for certain, all that the
/// Repository may use, so that nothing of ours is forgotten.
///
/// # Errors
/// The namespace is missing, terminating or somebody else's; the API server failed.
pub async fn look(
    world: &World,
    namespace: &str,
    environment_id: &str,
    desired: &DesiredSet,
    before: Option<&BTreeSet<Kind>>,
    allowed: &BTreeSet<Kind>,
) -> Result<LiveSet, Error> {
    world.cluster.check_namespace(namespace, world.name()).await?;
    let mut kinds: BTreeSet<Kind> = desired.objects.keys().map(|object| object.kind.clone()).collect();
    kinds.extend(before.unwrap_or(allowed).iter().cloned());
    Ok(world.cluster.live(namespace, &kinds, environment_id).await?)
}
