//! What of a branch counts for nothing, and what of the protected branch counts instead: the files that decide what branches may do.

use crate::model::tree::{GitId, split_layer};
use crate::reconcile::target::CONFIG_PATH;
use crate::reconcile::world::World;

/// Files and directories that only the protected branch's count of; the template of the entry besides.
const PROTECTED: [&str; 4] = [".gitattributes", ".sops.yaml", CONFIG_PATH, "policies"];

/// What a branch changed of them since it left the protected branch, unless that has it, too.
///
/// Best effort: it is for people, and changes nothing.
pub async fn of(world: &World, tip: GitId, main: GitId, template: Option<String>) -> Vec<String> {
    let within = |template: &String| PROTECTED.iter().any(|path| template.starts_with(&format!("{path}/")));
    let paths: Vec<String> =
        PROTECTED.map(str::to_owned).into_iter().chain(template.filter(|template| !within(template))).collect();
    let changed = world.mirror.read(move |objects| objects.own_changes(tip, main, &paths)).await;
    changed.unwrap_or_else(|error| {
        tracing::debug!(reason = error.reason().as_str(), "what the branch changed in vain is not known: {error}");
        Vec::new()
    })
}

/// True unless everything that the environment of a branch is made of besides its own branch is the same in two commits of the protected one:
/// then there is nothing to do for it. Of one whose last pass failed nothing is known.
pub async fn has_moved(world: &World, name: &str, old: GitId, new: GitId) -> bool {
    let composed = world.memory.get(name).and_then(|memory| memory.composed.as_ref());
    let Some(composed) = composed else { return true };
    let layers = composed.composition.scope().layers.iter().map(|layer| split_layer(layer));
    let pinned = layers.filter(|(pin, _)| pin.is_some()).map(|(_, directory)| directory.to_owned());
    let paths: Vec<String> = PROTECTED.map(str::to_owned).into_iter().chain(pinned).collect();
    let differing = world.mirror.read(move |objects| objects.differing(old, new, &paths)).await;
    differing.map_or(true, |differing| !differing.is_empty())
}
