//! What opening shows: objects beside their predecessors, some at a time, so that what is in memory at once has a bound.

use std::collections::BTreeMap;

use crate::desired::manifest::Manifest;
use crate::desired::set::{Desired, DesiredSet};
use crate::keys::Keyring;
use crate::model::object::ObjectId;
use crate::model::problem::Problem;
use crate::model::wire::FingerprintKey;
use crate::planning::changes::{Change, Changes, LeafChange};
use crate::planning::{diff, fingerprint, immutable};
use crate::reconcile::desire::Outlines;
use crate::reconcile::error::Error;
use crate::reconcile::open::{AT_ONCE, Manifests, Opening};
use crate::reconcile::prepare::{Keys, View};
use crate::reconcile::world::World;
use crate::reconcile::{adoption, parallel};

/// Leaves of new objects that a pass notes for those who look at its plan: more than anybody reads, and no decision needs them.
const NEW_LEAVES: usize = 10_000;

/// What opening showed.
#[derive(Default)]
pub struct Compared {
    /// Object by object.
    pub changes: Changes,
    /// Opened objects for the steps.
    pub manifests: Manifests,
    /// Mistakes, all of them.
    pub problems: Vec<Problem>,
    /// Files that no key at hand opens.
    pub locked: Vec<Problem>,
}

/// Compares objects with their predecessors: those of git, or for objects that are not ours yet the live ones.
///
/// Of a plan that is to be executed, and not to be seen, the leaves of very many new objects are left out.
///
/// # Errors
/// Only what is no mistake in a file: git or the API server cannot be read.
pub async fn compare(world: &World, view: &View<'_>, wanted: &[&ObjectId]) -> Result<Compared, Error> {
    let none = Keyring::empty();
    let (keyring, withheld) = match view.keys {
        Keys::Needed | Keys::IfAtHand => (&*world.keyring, false),
        Keys::Withheld => (&none, true),
    };
    let predecessors = view.predecessors(wanted);
    let then = view.before.map(|before| view.source.at(before.commit));
    let generator = Some(world.generator(&view.subject.environment_id));
    let mut opening = Opening::new(view.source, keyring, view.class, view.desired, wanted).with(generator);
    let mut before =
        then.as_ref().map(|then| Opening::new(then, keyring, view.class, &predecessors, wanted).with(generator));
    let mut compared = Compared::default();
    let mut new_leaves = 0;
    for objects in wanted.chunks(AT_ONCE) {
        let mut new = opening.open(objects).await?;
        if !opening.problems.is_empty() {
            continue; // there will be no plan: what is left to do is to find the other problems
        }
        // a predecessor that no key opens any more is shown as if it were not there
        let mut old = match &mut before {
            Some(before) => before.open(objects).await?,
            None => BTreeMap::new(),
        };
        // whoever may not see a live object does not see it through osier either
        for object in objects.iter().filter(|object| !withheld && view.foreign(object)) {
            if let Some(live) = world.cluster.get(object).await? {
                old.insert((*object).clone(), adoption::manifest(object, live));
            }
        }
        let sides = objects.iter().map(|object| Sides {
            object,
            old: old.remove(*object),
            new: new.remove(*object),
            with_leaves: view.keys != Keys::Needed || new_leaves < NEW_LEAVES || view.live.get(object).is_some(),
        });
        let (key, outlines) = (&*world.fingerprint_key, &*world.outlines);
        let changes = parallel::map(sides.collect(), |sides| change(view, &predecessors, key, outlines, sides));
        for (object, change, manifest) in changes {
            new_leaves += change.leaves.len();
            compared.changes.objects.insert(object.clone(), change);
            compared.manifests.keep(object, manifest);
        }
    }
    (compared.problems, compared.locked) = (opening.problems, opening.locked);
    Ok(compared)
}

/// One object, opened as it was and as it shall be.
struct Sides<'a> {
    object: &'a ObjectId,
    old: Option<Manifest>,
    new: Option<Manifest>,
    with_leaves: bool,
}

fn change<'a>(
    view: &View<'_>,
    predecessors: &DesiredSet,
    key: &FingerprintKey,
    outlines: &Outlines,
    sides: Sides<'a>,
) -> (&'a ObjectId, Change, Option<Manifest>) {
    let Sides { object, old, new, with_leaves } = sides;
    let predecessor = predecessors.objects.get(object);
    let leaves = match &new {
        Some(_) if !with_leaves => Vec::new(),
        Some(new) if view.foreign(object) => adoption::changes(old.as_ref(), new),
        // it was encrypted once: what it says now is not set beside what it said then
        Some(_) if view.keys == Keys::Withheld && old.is_none() && predecessor.is_some() => {
            shape(outlines, predecessor, view.desired.objects.get(object))
        }
        Some(new) => diff::applied(old.as_ref(), new),
        None => shape(outlines, predecessor, view.desired.objects.get(object)),
    };
    let predecessor = predecessor.filter(|_| old.is_some()).map(|desired| desired.inputs.to_string());
    let new_fingerprint = new.as_ref().filter(|_| view.tells(object, predecessor.as_deref()));
    let change = Change {
        fingerprint: new_fingerprint.and_then(|new| fingerprint::fingerprint(key, &view.subject.environment_id, new)),
        predecessor,
        leaves: leaves.into(),
        immutable: old.as_ref().zip(new.as_ref()).map(|(old, new)| immutable::immutable(old, new)).unwrap_or_default(),
    };
    (object, change, new)
}

/// What can be said of an object without a key.
fn shape(outlines: &Outlines, old: Option<&Desired>, new: Option<&Desired>) -> Vec<LeafChange> {
    let leaves = |desired: Option<&Desired>| desired.map(|desired| outlines.shape(desired)).unwrap_or_default();
    diff::shape(&leaves(old), &leaves(new))
}
