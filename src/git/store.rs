//! The directory of a mirror: opened, made, fetched into, made again beside and swapped.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use git2::{
    AutotagOption, ErrorCode, FetchOptions, FetchPrune, Reference, RemoteCallbacks, Repository, RepositoryInitOptions,
};

use crate::git::error::{Cause, Error};
use crate::git::fetch::{Accepted, Fetch, Known, Unknown};
use crate::git::objects::{Objects, git_id, oid};
use crate::model::tree::GitId;
use crate::model::wire;

/// Where a fetch puts the branch, until it is known to continue what was accepted.
const FETCHED: &str = "refs/osier/fetched";
/// A fetch that takes longer will not get better: the first one of a large repository takes seconds to minutes.
const FETCH_TIMEOUT: Duration = Duration::from_secs(600);

/// The mirror, as its thread sees it.
pub(in crate::git) struct Store {
    directory: PathBuf,
    url: String,
    repository: Repository,
    damaged: bool,
    replaced: bool,
}

/// What the remote said about one branch: its tip, checked to be a commit that is here.
pub(in crate::git) type Seen = Result<GitId, Unknown>;

impl Store {
    /// Opens the mirror, or makes an empty one; the remote is not asked.
    pub(in crate::git) fn open(directory: &Path, url: &str) -> Result<Self, Error> {
        crate::git::init()?;
        let repository = match Repository::open_bare(directory) {
            Ok(repository) => repository,
            Err(_) => create(directory)?,
        };
        let damaged = !is_sound(&repository);
        Ok(Self { directory: directory.to_owned(), url: url.to_owned(), repository, damaged, replaced: false })
    }

    /// Reads objects; what turns out to be damaged makes the next fetch replace the mirror.
    pub(in crate::git) fn read<T>(&mut self, job: impl FnOnce(&Objects<'_>) -> T) -> T {
        let objects = Objects::new(&self.repository);
        let answer = job(&objects);
        self.damaged |= objects.damaged();
        answer
    }

    /// Gets `branch` from the remote. No ref but `FETCHED` moves.
    ///
    /// A damaged mirror is made again first, once in the life of the process: the damage may be the remote's own.
    pub(in crate::git) fn look(&mut self, branch: &str) -> Seen {
        if !self.damaged || self.replaced {
            let seen = pull(&self.repository, &self.url, branch);
            self.damaged |= seen.is_err() && !is_sound(&self.repository);
            if seen.is_ok() || !self.damaged || self.replaced {
                return seen;
            }
        }
        self.replace(branch)
    }

    /// Judges what was seen, and moves the mirror's branch if it is known.
    pub(in crate::git) fn judge(&self, branch: &str, accepted: Accepted, seen: &Seen) -> Result<Fetch, Error> {
        let tip = match seen {
            Ok(tip) => *tip,
            Err(unknown) => return Ok(Fetch::Unknown(unknown.clone())),
        };
        if let Some(last) = accepted.last
            && accepted.allowed != Some(tip)
            && !self.descends(tip, last)?
        {
            return Ok(Fetch::Unknown(Unknown::NotDescendant { branch: branch.to_owned(), tip, accepted: last }));
        }
        point(&self.repository, &format!("refs/heads/{branch}"), tip)?;
        Ok(Fetch::Known(Known::new(tip)))
    }

    /// Keeps a commit for good.
    pub(in crate::git) fn pin(&self, commit: GitId) -> Result<(), Error> {
        if self.repository.find_commit(oid(commit)).is_err() {
            return Err(Error::NotFound { text: commit.to_string() });
        }
        point(&self.repository, &wire::mirror_pin(&commit.to_string()), commit)
    }

    /// A commit that is not here cannot be an ancestor: the whole history of the tip is.
    fn descends(&self, tip: GitId, ancestor: GitId) -> Result<bool, Error> {
        match Objects::new(&self.repository).is_ancestor(ancestor, tip) {
            Err(Error::NotFound { .. }) => Ok(false),
            answer => answer,
        }
    }

    /// Clones afresh beside the mirror, takes over the pins that can be had, and swaps the directories.
    fn replace(&mut self, branch: &str) -> Seen {
        let swap = |e: Error| Unknown::Unreachable { source: Cause { code: "Mirror".into(), text: e.to_string() } };
        let beside = with_suffix(&self.directory, ".fresh");
        remove(&beside).map_err(swap)?;
        let fresh = create(&beside).map_err(swap)?;
        let tip = pull(&fresh, &self.url, branch)?;
        copy_refs(&self.repository, &fresh).map_err(swap)?;
        drop(fresh);
        self.repository = exchange(&self.directory, &beside).map_err(swap)?;
        self.damaged = false;
        self.replaced = true;
        Ok(tip)
    }
}

/// Fetches one branch to `FETCHED`. The URL stays out of the configuration; nothing is pruned.
fn pull(repository: &Repository, url: &str, branch: &str) -> Seen {
    let unreachable = |e: git2::Error| Unknown::Unreachable { source: Cause::from(e).without_credentials(url) };
    let deadline = Instant::now() + FETCH_TIMEOUT;
    let mut callbacks = RemoteCallbacks::new();
    callbacks.transfer_progress(|_| Instant::now() < deadline);
    let mut options = FetchOptions::new();
    options
        .remote_callbacks(callbacks)
        .prune(FetchPrune::Off)
        .download_tags(AutotagOption::None)
        .update_fetchhead(false);
    forget(repository).map_err(unreachable)?;
    let mut remote = repository.remote_anonymous(url).map_err(unreachable)?;
    remote.fetch(&[format!("+refs/heads/{branch}:{FETCHED}")], Some(&mut options), None).map_err(unreachable)?;
    match repository.find_reference(FETCHED) {
        Ok(fetched) => Ok(git_id(fetched.peel_to_commit().map_err(unreachable)?.id())),
        // The names in the list are not read: git2 panics on one that is not UTF-8.
        Err(_) if remote.list().map_err(unreachable)?.is_empty() => Err(Unknown::Empty),
        Err(_) => Err(Unknown::BranchMissing { branch: branch.to_owned() }),
    }
}

/// Removes what the last fetch left, so that a branch that is missing now cannot be taken for it.
fn forget(repository: &Repository) -> Result<(), git2::Error> {
    match repository.find_reference(FETCHED) {
        Ok(mut fetched) => fetched.delete(),
        Err(e) if e.code() == ErrorCode::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

pub(in crate::git) fn check_branch(branch: &str) -> Result<(), Error> {
    if Reference::is_valid_name(&format!("refs/heads/{branch}")) {
        Ok(())
    } else {
        Err(Error::BranchName { branch: branch.to_owned() })
    }
}

/// Makes an empty mirror. A directory that is none is put aside, not deleted.
fn create(directory: &Path) -> Result<Repository, Error> {
    let failed = |e: &std::io::Error| Error::Open { path: directory.to_owned(), source: Cause::from(e) };
    if directory.exists() {
        let aside = with_suffix(directory, ".broken");
        remove(&aside)?;
        fs::rename(directory, aside).map_err(|e| failed(&e))?;
    }
    let mut options = RepositoryInitOptions::new();
    options.bare(true).external_template(false).no_reinit(true).mkpath(true);
    Repository::init_opts(directory, &options)
        .map_err(|e| Error::Open { path: directory.to_owned(), source: Cause::from(e) })
}

/// Every ref leads to a commit with a tree; deeper damage shows when it is read.
fn is_sound(repository: &Repository) -> bool {
    let check = || {
        for reference in repository.references()? {
            reference?.peel_to_commit()?.tree()?;
        }
        Ok::<(), git2::Error>(())
    };
    check().is_ok()
}

/// Points `fresh` at what the old mirror pinned and accepted, as far as the remote still has it and the old one can say it.
fn copy_refs(old: &Repository, fresh: &Repository) -> Result<(), Error> {
    for reference in old.references().into_iter().flatten().flatten() {
        if let (Ok(name), Some(target)) = (reference.name(), reference.target())
            && name != FETCHED
            && fresh.find_commit(target).is_ok()
        {
            point(fresh, name, git_id(target))?;
        }
    }
    Ok(())
}

fn point(repository: &Repository, name: &str, commit: GitId) -> Result<(), Error> {
    match repository.reference(name, oid(commit), true, "osier") {
        Ok(_) => Ok(()),
        Err(e) => Err(Error::Reference { name: name.to_owned(), source: Cause::from(e) }),
    }
}

/// Puts `beside` in the place of `directory`.
fn exchange(directory: &Path, beside: &Path) -> Result<Repository, Error> {
    let failed = |source: Cause| Error::Open { path: directory.to_owned(), source };
    let aside = with_suffix(directory, ".old");
    remove(&aside)?;
    fs::rename(directory, &aside).map_err(|e| failed(Cause::from(&e)))?;
    fs::rename(beside, directory).map_err(|e| failed(Cause::from(&e)))?;
    remove(&aside)?;
    Repository::open_bare(directory).map_err(|e| failed(Cause::from(e)))
}

fn remove(directory: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(directory) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::Open { path: directory.to_owned(), source: Cause::from(&e) })
        }
        _ => Ok(()),
    }
}

fn with_suffix(directory: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = directory.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
