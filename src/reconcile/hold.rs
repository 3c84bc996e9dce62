//! When a hold ends by itself: once the branch no longer has the rejected value in any of the rejected keys.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::config::EnvironmentConfig;
use crate::desired::manifest::Manifest;
use crate::desired::set::DesiredSet;
use crate::model::object::ObjectId;
use crate::model::problem::Problem;
use crate::model::tree::GitId;
use crate::planning::changes::Word;
use crate::planning::diff;
use crate::reconcile::error::Error;
use crate::reconcile::source::Source;
use crate::reconcile::target::Target;
use crate::reconcile::world::World;
use crate::reconcile::{desire, open, subject};

/// One commit's objects, of which only those are opened that differ between the held and the rejected commit.
type Manifests = BTreeMap<ObjectId, Manifest>;

/// The first rejected leaf whose value the tip still has, as people read it, such as `ConfigMap/app LOG_LEVEL`.
///
/// `commits` are the held, the rejected and the tip's. All three are composed with the held target's layers and scope.
/// Values are compared in memory and never kept.
///
/// # Errors
/// A commit cannot be read, or a file of the rejected or held one cannot be opened.
pub async fn still_contains(
    world: &mut World,
    name: &str,
    config: &EnvironmentConfig,
    held: &Target,
    commits: [GitId; 3],
) -> Result<Option<String>, Error> {
    let mut sets = Vec::new();
    for commit in commits {
        let source = Source::Mirror(world.mirror.clone(), commit);
        let scope = desire::scope(Some(&world.repository), name, config, &held.layers, &held.parameters);
        sets.push(desire::whole(&world.outlines, &source, commit, scope).await?);
    }
    let wanted = differing(sets[0].composition.current(), sets[1].composition.current());
    let subject = subject::read(world, name).await?;
    let generator = Some(world.generator(&subject.environment_id));
    let mut sides = Vec::new();
    for composed in &sets {
        let source = Source::Mirror(world.mirror.clone(), composed.commit);
        let set = composed.composition.current();
        let opened = open::open(&source, &world.keyring, config.keys.as_deref(), set, &wanted, generator).await?;
        if !opened.is_whole() {
            return Err(Error::problems([opened.problems, opened.locked].concat()));
        }
        sides.push(opened.manifests);
    }
    Ok(wanted.iter().find_map(|object| rejected_leaf(object, &sides[0], &sides[1], &sides[2])))
}

fn differing(held: &DesiredSet, rejected: &DesiredSet) -> BTreeSet<ObjectId> {
    let ids = held.objects.keys().chain(rejected.objects.keys());
    let inputs = |set: &DesiredSet, object: &ObjectId| set.objects.get(object).map(|desired| desired.inputs.clone());
    ids.filter(|object| inputs(held, object) != inputs(rejected, object)).cloned().collect()
}

/// A leaf that the rejected commit removed counts as still removed while the tip does not have it either.
fn rejected_leaf(object: &ObjectId, held: &Manifests, rejected: &Manifests, tip: &Manifests) -> Option<String> {
    let [held, rejected, tip] = [held, rejected, tip].map(|side| side.get(object));
    let since: BTreeMap<String, Word> =
        diff::changes(rejected, tip).into_iter().map(|leaf| (leaf.path, leaf.word)).collect();
    let back = |path: &str| since.get(path).is_some_and(|word| differs(*word));
    let leaf = diff::changes(held, rejected).into_iter().find(|leaf| differs(leaf.word) && !back(&leaf.path))?;
    Some(format!("{} {}", object.short(), leaf.path.strip_prefix("data.").unwrap_or(&leaf.path)))
}

fn differs(word: Word) -> bool {
    matches!(word, Word::Added | Word::Changed | Word::Removed)
}

/// `HeldBack`'s sentence.
pub fn message(leaf: &str, rejected: GitId) -> String {
    format!("still contains {leaf} of {}", rejected.short())
}

/// The same for commits that cannot be compared: what is not known to be mended is still held.
pub fn unknown(problem: &Problem, rejected: GitId, tip: GitId) -> String {
    format!("cannot tell whether {} still contains what {} changed: {problem}", tip.short(), rejected.short())
}

/// The same for a tip that cannot be gone on to, mended or not.
pub fn waits(tip: GitId, why: &str) -> String {
    format!("{} cannot be applied: {why}", tip.short())
}
