//! `osier diff`: differences only, key by key.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::cli::failure::{Failure, Finding};
use crate::cli::place::{At, Place};
use crate::cli::{check, context, output, plan, view};
use crate::desired::config::EnvironmentConfig;
use crate::desired::manifest::Manifest;
use crate::desired::set::DesiredSet;
use crate::model::object::ObjectId;
use crate::model::problem::Problem;
use crate::planning::changes::LeafChange;
use crate::planning::diff;
use crate::reconcile::desire::{self, Outlines};
use crate::reconcile::{open, target};
use crate::report::differences::{self, Difference};
use crate::report::plan::{self as shown, Detail};
use crate::report::problems;
use crate::settings::{Output, Settings};

/// Show what differs, key by key, secrets redacted.
///
/// With one place: from what the cluster has to that place. With two: from the first to the second, without a cluster.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: osier diff staging\n         osier diff staging@main staging@feature/x")]
pub struct Args {
    /// `ENV`, `ENV@live`, `ENV@tree`, `ENV@#n` or `ENV@REV`.
    #[arg(value_name = "A")]
    pub first: Place,
    /// The same, for the other side.
    #[arg(value_name = "B")]
    pub second: Option<Place>,
    /// Unchanged keys of the objects that differ, too.
    #[arg(long)]
    pub all: bool,
}

/// Prints the differences.
///
/// # Errors
/// A side cannot be read; always exit code 2.
pub async fn run(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    differ(settings, args).await.map_err(Failure::in_diff_family)
}

async fn differ(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    let (live, other) = sides(args)?;
    let detail = if args.all { Detail::All } else { Detail::Changes };
    if !live {
        return between(settings, &args.first, &other, detail).await;
    }
    let mut world = context::world(settings).await?;
    let plan = plan::planned(settings, &mut world, &other).await?;
    match settings.common.output {
        Output::Text => anstream::print!("{}", shown::text(&plan, detail)),
        format => {
            output::data(
                format,
                &json!({"kind": "Diff", "environment": other.environment, "plan": shown::json(&plan)}),
            );
        }
    }
    Ok(if plan.steps.is_empty() { Finding::Nothing } else { Finding::Differences })
}

/// True if the first side is the cluster; the second side.
fn sides(args: &Args) -> Result<(bool, Place), Failure> {
    let first = &args.first;
    let live = match (&first.at, &args.second) {
        (Some(At::Live) | None, _) => true,
        (Some(_), None) => return Ok((true, first.clone())),
        (Some(_), Some(_)) => false,
    };
    let tree = Place { environment: first.environment.clone(), at: Some(At::Tree) };
    let second = args.second.clone().unwrap_or(tree);
    if live && second.environment != first.environment {
        let hint = format!("write {}@tree to compare the files of the two", first.environment);
        return Err(Failure::usage(
            "the cluster's objects of one environment are compared with that environment only",
            hint,
        ));
    }
    Ok((live, second))
}

/// One side without a cluster.
struct Side {
    desired: DesiredSet,
    manifests: BTreeMap<ObjectId, Manifest>,
    locked: Vec<Problem>,
}

async fn between(settings: &Settings, first: &Place, second: &Place, detail: Detail) -> Result<Finding, Failure> {
    let outlines = Outlines::default();
    let (old, new) = (side(settings, &outlines, first).await?, side(settings, &outlines, second).await?);
    // sorted and each once, as both sides mostly have the same files
    anstream::eprint!("{}", problems::text(&[old.locked.as_slice(), &new.locked].concat()).replace('✗', "!"));
    let ids: BTreeSet<&ObjectId> = old.desired.objects.keys().chain(new.desired.objects.keys()).collect();
    let differences: Vec<Difference> = ids
        .into_iter()
        .map(|object| Difference { object: object.clone(), leaves: leaves(&outlines, &old, &new, object) })
        .filter(|difference| {
            difference.leaves.iter().any(|leaf| leaf.word != crate::planning::changes::Word::Unchanged)
        })
        .collect();
    match settings.common.output {
        Output::Text => anstream::print!("{}", differences::text(&differences, detail)),
        format => output::data(format, &json!({"kind": "Diff", "objects": differences::json(&differences)})),
    }
    Ok(if differences.is_empty() { Finding::Nothing } else { Finding::Differences })
}

/// Composed and opened as far as the keys at hand go, in one namespace, so that environments can be compared.
async fn side(settings: &Settings, outlines: &Outlines, place: &Place) -> Result<Side, Failure> {
    let (source, commit) = view::offline(settings, place.at.as_ref().unwrap_or(&At::Tree))?;
    let config = target::config(&source).await?;
    let entry = target::entry(&config, &place.environment)?;
    let parameters =
        target::parameters(&place.environment, &place.environment, check::BRANCH, &entry.namespace, commit);
    let entry = EnvironmentConfig { namespace: "compared".to_owned(), ..entry.clone() };
    let scope = desire::scope(None, &place.environment, &entry, &entry.layers, &parameters);
    let composed = desire::whole(outlines, &source, commit, scope).await?;
    let desired = composed.composition.current();
    let wanted = desired.objects.keys().cloned().collect();
    let opened =
        open::open(&source, &context::keyring(settings), entry.keys.as_deref(), desired, &wanted, None).await?;
    if !opened.problems.is_empty() {
        return Err(Failure::problems(format!("{} cannot be compared", place.environment), opened.problems));
    }
    Ok(Side { desired: desired.clone(), manifests: opened.manifests, locked: opened.locked })
}

/// By value where both sides are open, by ciphertext where one is not.
fn leaves(outlines: &Outlines, old: &Side, new: &Side, object: &ObjectId) -> Vec<LeafChange> {
    let shut = |side: &Side| side.desired.objects.contains_key(object) && !side.manifests.contains_key(object);
    if !shut(old) && !shut(new) {
        return diff::changes(old.manifests.get(object), new.manifests.get(object));
    }
    let shape =
        |side: &Side| side.desired.objects.get(object).map(|desired| outlines.shape(desired)).unwrap_or_default();
    diff::shape(&shape(old), &shape(new))
}
