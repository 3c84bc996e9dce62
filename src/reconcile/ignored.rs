//! What a branch changed in vain: the files that decide what branches may do count as they are on the protected branch.

use crate::model::tree::GitId;
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
