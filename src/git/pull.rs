//! Asks the places of a repository in their order: the first that can be reached is believed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use git2::{AutotagOption, ErrorClass, ErrorCode, FetchOptions, FetchPrune, RemoteCallbacks, Repository};

use crate::git::advertisement;
use crate::git::connection::{Connection, Visit};
use crate::git::error::Cause;
use crate::git::failure::Failure;
use crate::git::fetch::{Branches, Unknown};
use crate::git::local;
use crate::git::objects::git_id;
use crate::git::remotes::Remotes;
use crate::git::remotes::place::Place;
use crate::git::store::free;
use crate::git::traffic::Counters;
use crate::git::transport;
use crate::model::tree::GitId;

/// Below it, a fetch puts the branches by number, until they are known to continue what was accepted.
const FETCHED: &str = "refs/osier/fetched";
/// Before a branch's name.
const HEADS: &str = "refs/heads/";

/// What a remote that answered says about each branch: its tip, checked to be a commit that is here.
pub(in crate::git) type Tips = BTreeMap<String, Result<GitId, Unknown>>;

/// Where the branches are. What the remote does not have is left out; nothing is written.
pub(in crate::git) fn tips(
    remotes: &Arc<Remotes>,
    counters: &Arc<Counters>,
    branches: &[String],
) -> Result<BTreeMap<String, GitId>, Unknown> {
    try_each(remotes, counters, remotes.limits.look, |visit| {
        if let Place::Local(path) = &visit.address().place {
            return local::tips(path, branches);
        }
        let Some(mut connection) = Connection::open(visit)? else { return Ok(BTreeMap::new()) };
        connection.ask_refs()?;
        let wanted: Vec<Vec<u8>> = branches.iter().map(|branch| format!("{HEADS}{branch}").into_bytes()).collect();
        let mut tips = advertisement::tips(&mut connection, |name| wanted.iter().any(|wanted| wanted == name))?;
        let tip = |branch: &String| Some((branch.clone(), tips.remove(format!("{HEADS}{branch}").as_bytes())?));
        Ok(branches.iter().filter_map(tip).collect())
    })
}

/// Where all branches are whose names are UTF-8; nothing is written.
pub(in crate::git) fn branches(remotes: &Arc<Remotes>, counters: &Arc<Counters>) -> Result<Branches, Unknown> {
    try_each(remotes, counters, remotes.limits.look, |visit| {
        if let Place::Local(path) = &visit.address().place {
            return local::branches(path);
        }
        let Some(mut connection) = Connection::open(visit)? else { return Ok(Branches::new()) };
        connection.ask_refs()?;
        let tips = advertisement::tips(&mut connection, |name| name.starts_with(HEADS.as_bytes()))?;
        let text = |(name, tip): (Vec<u8>, GitId)| Some((String::from_utf8(name).ok()?, tip));
        let named = tips.into_iter().filter_map(text);
        Ok(named.filter_map(|(name, tip)| Some((name.strip_prefix(HEADS)?.to_owned(), tip))).collect())
    })
}

/// Fetches the branches below `FETCHED`, in at most `whole`. No URL enters the configuration; nothing is pruned.
pub(in crate::git) fn pull(
    repository: &Repository,
    remotes: &Arc<Remotes>,
    counters: &Arc<Counters>,
    whole: Duration,
    branches: &[String],
) -> Result<Tips, Unknown> {
    try_each(remotes, counters, whole, |visit| {
        let mirror = |e: &git2::Error| Failure::Mirror { source: Cause::from(e) };
        forget(repository, branches.len()).map_err(|e| mirror(&e))?;
        let is_empty = fetch(visit, repository, branches)?;
        let missing =
            |branch: &String| if is_empty { Unknown::Empty } else { Unknown::BranchMissing { branch: branch.clone() } };
        let tip = |(number, branch): (usize, &String)| match repository.find_reference(&fetched(number)) {
            Ok(found) => {
                let commit = found.peel_to_commit().map_err(|e| git(&e))?;
                Ok((branch.clone(), Ok(git_id(commit.id()))))
            }
            Err(e) if e.code() == ErrorCode::NotFound => Ok((branch.clone(), Err(missing(branch)))),
            Err(e) => Err(mirror(&e)),
        };
        branches.iter().enumerate().map(tip).collect()
    })
}

/// Visits one place after the other, each for at most `whole`, until one can be read. None is asked twice.
fn try_each<T>(
    remotes: &Arc<Remotes>,
    counters: &Arc<Counters>,
    whole: Duration,
    ask: impl Fn(&Visit) -> Result<T, Failure>,
) -> Result<T, Unknown> {
    let mut first = None;
    for index in 0..remotes.places.len() {
        let visit = Visit::new(remotes, index, whole, counters);
        let source = match ask(&visit) {
            Ok(answer) => return Ok(answer),
            Err(source) => source,
        };
        let url = visit.address().url.clone();
        tracing::debug!("could not read `{url}`: {source}");
        let is_the_remote = source.is_the_remote();
        let unknown = first.get_or_insert(Unknown::Unreachable { url, source });
        if !is_the_remote {
            return Err(unknown.clone());
        }
    }
    Err(first.unwrap_or_else(|| Unknown::Unreachable { url: remotes.url().to_owned(), source: Failure::Nowhere }))
}

/// True if the remote has no ref at all.
fn fetch(visit: &Visit, repository: &Repository, branches: &[String]) -> Result<bool, Failure> {
    if let Place::Local(path) = &visit.address().place {
        return local::fetch(visit, path, repository, branches, fetched);
    }
    let mut callbacks = RemoteCallbacks::new();
    callbacks.transfer_progress(|_| !visit.is_over());
    let mut options = FetchOptions::new();
    options
        .remote_callbacks(callbacks)
        .prune(FetchPrune::Off)
        .download_tags(AutotagOption::None)
        .update_fetchhead(false);
    let refspec = |(number, branch): (usize, &String)| format!("+refs/heads/{branch}:{}", fetched(number));
    let refspecs: Vec<String> = branches.iter().enumerate().map(refspec).collect();
    transport::fetch(visit, repository, &refspecs, &mut options).map_err(|(failure, e)| match failure {
        Some(failure) => failure,
        None if visit.is_over() => visit.too_slow(),
        // the remote was opened: it is our own disk that the system speaks of
        None if matches!(e.class(), ErrorClass::Os | ErrorClass::Filesystem) => {
            Failure::Mirror { source: Cause::from(&e) }
        }
        None => git(&e),
    })
}

fn git(error: &git2::Error) -> Failure {
    Failure::Git { source: Cause::from(error) }
}

fn fetched(number: usize) -> String {
    format!("{FETCHED}/{number}")
}

/// Removes what the last fetch left, so that a branch that is missing now cannot be taken for it.
///
/// An earlier osier fetched into a ref of the very name below which they are now; it would be in their way.
fn forget(repository: &Repository, numbers: usize) -> Result<(), git2::Error> {
    for name in [FETCHED.to_owned()].into_iter().chain((0..numbers).map(fetched)) {
        free(repository, &name);
        match repository.find_reference(&name) {
            Ok(mut found) => found.delete()?,
            Err(e) if e.code() == ErrorCode::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
