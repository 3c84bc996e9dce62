//! `osier check`: every problem of every environment, offline.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::cli::failure::{Failure, Finding};
use crate::cli::place::At;
use crate::cli::{context, output, view};
use crate::desired::config::EnvironmentConfig;
use crate::desired::set::Parameters;
use crate::keys::Keyring;
use crate::model::problem::Problem;
use crate::model::tree::GitId;
use crate::reconcile::desire::{self, Outlines};
use crate::reconcile::error::Error;
use crate::reconcile::source::Source;
use crate::reconcile::{dangling, open, target};
use crate::report::problems;
use crate::report::style::count;
use crate::settings::{Output, Settings};

/// Check every file of every environment, offline. All problems at once.
///
/// On a branch that gets an environment of its own (by osier.yaml of origin/main, or of main), that is checked, too.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: osier check")]
pub struct Args {
    /// Only these environments.
    pub environments: Vec<String>,
    /// A branch or commit instead of the working tree.
    #[arg(long, value_name = "REV")]
    pub revision: Option<String>,
}

/// Offline nobody says which branch is the protected one: variables show this name.
pub const BRANCH: &str = "main";

/// Where the protected branch may be, in a clone.
const PROTECTED: [&str; 2] = ["origin/main", BRANCH];

/// An environment to check.
struct Checked {
    name: String,
    parameters: Parameters,
    entry: EnvironmentConfig,
}

/// What checking found.
#[derive(Default)]
struct Found {
    problems: Vec<Problem>,
    locked: BTreeSet<String>,
    objects: BTreeMap<String, usize>,
}

/// Prints the problems; files that no key at hand opens are named, and checked as far as their ciphertext goes.
///
/// # Errors
/// The files cannot be read; always exit code 2.
pub async fn run(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    let found = check(settings, args).await.map_err(Failure::in_diff_family)?;
    if settings.common.output == Output::Text {
        text(&found);
    } else {
        let data = json!({"kind": "Check", "problems": problems::json(&found.problems), "notOpened": found.locked, "objects": found.objects});
        output::data(settings.common.output, &data);
    }
    Ok(if found.problems.is_empty() { Finding::Nothing } else { Finding::Differences })
}

async fn check(settings: &Settings, args: &Args) -> Result<Found, Failure> {
    let at = args.revision.clone().map_or(At::Tree, At::Revision);
    let (source, commit) = view::offline(settings, &at)?;
    let (keyring, outlines, mut found) = (context::keyring(settings), Outlines::default(), Found::default());
    let config = match target::config(&source).await {
        Ok(config) => config,
        Err(Error::Blocked { problems, .. }) if !problems.is_empty() => return Ok(Found { problems, ..found }),
        Err(error) => return Err(error.into()),
    };
    let of_branch = of_branch(settings, args, &source, commit).await?;
    for name in args.environments.iter().filter(|name| of_branch.as_ref().is_none_or(|branch| branch.name != **name)) {
        target::entry(&config, name)?;
    }
    let of_tree = config.environments.iter().map(|(name, entry)| Checked {
        name: name.clone(),
        parameters: target::parameters(name, name, BRANCH, &entry.namespace, commit),
        entry: entry.clone(),
    });
    let is_meant = |name: &String| args.environments.is_empty() || args.environments.contains(name);
    for checked in of_tree.chain(of_branch).filter(|checked| is_meant(&checked.name)) {
        one(&outlines, &keyring, &source, commit, &checked, &mut found).await?;
    }
    Ok(found)
}

/// The environment of the branch that is looked at, if the protected branch gives it one. Its name stands for that of the environment, whose
/// hash needs the name of the Repository.
async fn of_branch(
    settings: &Settings,
    args: &Args,
    source: &Source,
    commit: GitId,
) -> Result<Option<Checked>, Failure> {
    let clone = context::clone(settings)?;
    let is_branch = |name: &String| {
        name != BRANCH && clone.objects(|objects| Ok(objects.branch(name).is_some())).is_ok_and(|is| is)
    };
    let Some(name) = args.revision.clone().or_else(|| clone.branch()).filter(is_branch) else {
        return Ok(None);
    };
    let main = PROTECTED.iter().find_map(|name| clone.objects(|objects| objects.resolve(name)).ok());
    let Some(main) = main else { return Ok(None) };
    // its own problems show where it is checked out
    let Ok(config) = target::config(&source.at(main)).await else { return Ok(None) };
    let Some((entry, slug)) = config.branch(&name) else { return Ok(None) };
    let repository = settings.common.repository.as_deref().unwrap_or_default();
    let namespace = target::branch_environment(entry, &slug, repository, &name);
    let slug = config.label(&name, &slug, repository);
    let entry = entry.environment(namespace, main, &slug);
    let parameters = target::parameters(&entry.namespace, &slug, &name, &entry.namespace, commit);
    Ok(Some(Checked { name, parameters, entry }))
}

async fn one(
    outlines: &Outlines,
    keyring: &Keyring,
    source: &Source,
    commit: GitId,
    Checked { name, parameters, entry }: &Checked,
    found: &mut Found,
) -> Result<(), Failure> {
    let scope = desire::scope(None, name, entry, &entry.layers, parameters);
    let composed = match desire::whole(outlines, source, commit, scope).await {
        Ok(composed) => composed,
        Err(Error::Blocked { problems, .. }) => {
            found.problems.extend(problems);
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let desired = composed.composition.current();
    let opened =
        open::open(source, keyring, entry.keys.as_deref(), desired, &desired.objects.keys().cloned().collect(), None)
            .await?;
    found.problems.extend(opened.problems);
    found.problems.extend(dangling::problems_of_git(outlines, desired));
    found.locked.extend(opened.locked.into_iter().map(|problem| problem.path));
    found.objects.insert(name.clone(), desired.objects.len());
    Ok(())
}

fn text(found: &Found) {
    anstream::print!("{}", problems::text(&found.problems));
    for (name, objects) in &found.objects {
        anstream::println!("  {name}: {}", count(*objects, "object"));
    }
    if !found.locked.is_empty() {
        let files: Vec<&str> = found.locked.iter().map(String::as_str).collect();
        anstream::eprintln!("not opened, for want of a key (names and recipients were checked): {}", files.join(", "));
    }
    let unique: BTreeSet<&Problem> = found.problems.iter().collect();
    match unique.len() {
        0 => anstream::println!("✓ no problems"),
        number => anstream::println!("✗ {}", count(number, "problem")),
    }
}
