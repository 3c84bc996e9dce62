//! Where the files of a place are read: working tree, branch, commit, or the commit of a record.

use crate::cli::context;
use crate::cli::failure::Failure;
use crate::cli::place::At;
use crate::git::worktree::Worktree;
use crate::model::tree::GitId;
use crate::reconcile::source::Source;
use crate::reconcile::subject;
use crate::reconcile::world::World;
use crate::settings::Settings;

/// A commit that stands for a working tree without any.
const NO_COMMIT: GitId = GitId([0; 20]);

/// The files of `at`, and the commit that they are of; of the working tree the one below it.
///
/// # Errors
/// There is no clone, no such commit or record, or `at` is the cluster.
pub async fn source(
    settings: &Settings,
    world: &mut World,
    environment: &str,
    at: &At,
) -> Result<(Source, GitId), Failure> {
    match at {
        At::Record(number) => {
            let commit = record(world, environment, *number).await?;
            let worktree = context::clone(settings)?;
            Ok((Source::Clone(worktree, commit), commit))
        }
        at => offline(settings, at),
    }
}

/// As `source`, for what needs no cluster.
///
/// # Errors
/// As `source`; records need the cluster.
pub fn offline(settings: &Settings, at: &At) -> Result<(Source, GitId), Failure> {
    let worktree = context::clone(settings)?;
    match at {
        At::Tree => {
            let head = head(&worktree);
            Ok((Source::Saved(worktree), head))
        }
        At::Revision(revision) => {
            let commit = worktree.objects(|objects| objects.resolve(revision))?;
            Ok((Source::Clone(worktree, commit), commit))
        }
        At::Live => Err(Failure::usage(
            "what the cluster has can only be the first of two places",
            "write `osier diff ENV` to compare the cluster with your files",
        )),
        At::Record(_) => Err(Failure::usage("records are in the cluster", "name a commit instead")),
    }
}

async fn record(world: &mut World, environment: &str, number: u64) -> Result<GitId, Failure> {
    subject::read(world, environment).await?;
    let records = world.cluster.records(world.home(), environment).await?;
    let record = records.iter().find(|record| record.spec.number == number);
    record.and_then(|record| GitId::parse(&record.spec.commit)).ok_or_else(|| {
        Failure::usage(
            format!("there is no record #{number} of `{environment}`"),
            format!("see `osier history {environment}`"),
        )
    })
}

fn head(worktree: &Worktree) -> GitId {
    worktree.head().unwrap_or(NO_COMMIT)
}
