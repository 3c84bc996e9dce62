//! When a hold ends by itself: once the branch no longer has the rejected value in any of the rejected keys.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::manifest::Manifest;
use crate::desired::set::DesiredSet;
use crate::model::object::ObjectId;
use crate::model::tree::GitId;
use crate::planning::changes::Word;
use crate::planning::diff;

/// One commit's objects, of which only those are opened that the comparison needs.
pub struct Side<'a> {
    /// What it says for the environment.
    pub desired: &'a DesiredSet,
    /// The opened objects.
    pub manifests: &'a BTreeMap<ObjectId, Manifest>,
}

/// Objects that differ between the held and the rejected commit, and that the tip has not changed to something else altogether.
///
/// These have to be opened on all three sides. Values are compared in memory and never kept.
pub fn candidates(held: &DesiredSet, rejected: &DesiredSet) -> BTreeSet<ObjectId> {
    let ids = held.objects.keys().chain(rejected.objects.keys());
    let inputs = |set: &DesiredSet, object: &ObjectId| set.objects.get(object).map(|desired| desired.inputs.clone());
    ids.filter(|object| inputs(held, object) != inputs(rejected, object)).cloned().collect()
}

/// The first rejected leaf whose value the tip still has, as people read it, such as `ConfigMap/app LOG_LEVEL`.
///
/// A leaf that the rejected commit removed counts as still removed while the tip does not have it either.
pub fn still_contains(held: &Side<'_>, rejected: &Side<'_>, tip: &Side<'_>) -> Option<String> {
    candidates(held.desired, rejected.desired).into_iter().find_map(|object| {
        let [held, rejected, tip] = [held, rejected, tip].map(|side| side.manifests.get(&object));
        let leaves = diff::changes(held, rejected);
        let since: BTreeMap<String, Word> =
            diff::changes(rejected, tip).into_iter().map(|leaf| (leaf.path, leaf.word)).collect();
        leaves
            .into_iter()
            .filter(|leaf| differs(leaf.word))
            .find(|leaf| !since.get(&leaf.path).is_some_and(|word| differs(*word)))
            .map(|leaf| format!("{} {}", object.short(), leaf.path.strip_prefix("data.").unwrap_or(&leaf.path)))
    })
}

fn differs(word: Word) -> bool {
    matches!(word, Word::Added | Word::Changed | Word::Removed)
}

/// `HeldBack`'s sentence.
pub fn message(leaf: &str, rejected: GitId) -> String {
    format!("still contains {leaf} of {}", rejected.short())
}
