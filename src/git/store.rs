//! The directory of a mirror: opened, made, fetched into, made again beside and swapped.

use std::ffi::OsString;
use std::fs::{self, File};
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
/// Suffix of the directory where a mirror is made again.
const FRESH: &str = ".fresh";
/// Suffix of a mirror while another takes its place.
const OLD: &str = ".old";
/// A fetch that takes longer will not get better: the first one of a large repository takes seconds to minutes.
const FETCH_TIMEOUT: Duration = Duration::from_mins(10);

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
        restore(directory)?;
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
        let _only_we = self.lock().map_err(local)?;
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
    pub(in crate::git) fn judge(&mut self, branch: &str, accepted: Accepted, seen: &Seen) -> Result<Fetch, Error> {
        let tip = match seen {
            Ok(tip) => *tip,
            Err(unknown) => return Ok(Fetch::Unknown(unknown.clone())),
        };
        if let Some(last) = accepted.last
            && accepted.allowed != Some(tip)
            && !self.descends(tip, last)?
        {
            self.damaged |= !is_sound(&self.repository);
            return Ok(Fetch::Unknown(Unknown::NotDescendant { branch: branch.to_owned(), tip, accepted: last }));
        }
        self.point(&format!("refs/heads/{branch}"), tip)?;
        Ok(Fetch::Known(Known::new(tip)))
    }

    /// Keeps a commit for good.
    pub(in crate::git) fn pin(&mut self, commit: GitId) -> Result<(), Error> {
        self.read(|objects| objects.commit(commit))?;
        self.point(&wire::mirror_pin(&commit.to_string()), commit)
    }

    /// A ref that cannot be written (one of a longer name is in the way) makes the next fetch replace the mirror.
    fn point(&mut self, name: &str, commit: GitId) -> Result<(), Error> {
        let _only_we = self.lock()?;
        let pointed = point(&self.repository, name, commit);
        self.damaged |= pointed.is_err();
        pointed
    }

    /// Keeps other processes from writing to the mirror until the file is dropped, or the process ends in whatever way.
    fn lock(&self) -> Result<File, Error> {
        let path = with_suffix(&self.directory, ".lock");
        let locked = File::create(&path).and_then(|file| file.lock().map(|()| file));
        locked.map_err(|e| Error::Open { path, source: Cause::from(&e) })
    }

    /// A commit that is not here cannot be an ancestor: the whole history of the tip is.
    fn descends(&mut self, tip: GitId, ancestor: GitId) -> Result<bool, Error> {
        match self.read(|objects| objects.is_ancestor(ancestor, tip)) {
            Err(Error::NotFound { .. }) => Ok(false),
            answer => answer,
        }
    }

    /// Clones afresh beside the mirror, takes over the pins that can be had, and swaps the directories.
    fn replace(&mut self, branch: &str) -> Seen {
        let beside = with_suffix(&self.directory, FRESH);
        remove(&beside).map_err(local)?;
        let fresh = create(&beside).map_err(local)?;
        let tip = pull(&fresh, &self.url, branch)?;
        copy_pins(&self.repository, &fresh).map_err(local)?;
        drop(fresh);
        // libgit2 shares open packs by path, the damaged ones too: nothing is read before the old repository is closed by this.
        self.repository = exchange(&self.directory, &beside).map_err(local)?;
        self.damaged = false;
        self.replaced = true;
        Ok(tip)
    }
}

/// A mirror that cannot be written to says as little about the remote as one that does not answer.
fn local(error: Error) -> Unknown {
    let text = match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    Unknown::Unreachable { source: Cause { code: "Mirror".into(), text } }
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
    free(repository, FETCHED);
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
    if fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some()) {
        let aside = with_suffix(directory, ".broken");
        remove(&aside)?;
        rename(directory, &aside)?;
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

/// Pins in `fresh` what the old mirror pinned, as far as the remote still has it and the old one can say it.
fn copy_pins(old: &Repository, fresh: &Repository) -> Result<(), Error> {
    for reference in old.references().into_iter().flatten().flatten() {
        if let (Ok(name), Some(target)) = (reference.name(), reference.target())
            && *name == wire::mirror_pin(&target.to_string())
            && fresh.find_commit(target).is_ok()
        {
            point(fresh, name, git_id(target))?;
        }
    }
    Ok(())
}

/// Removes the locks of a process that was killed while it wrote a ref: nobody else writes while we hold the mirror's own lock.
fn free(repository: &Repository, name: &str) {
    for lock in [format!("{name}.lock"), "packed-refs.lock".to_owned()] {
        // what cannot be removed fails the write that follows, which says so
        fs::remove_file(repository.path().join(lock)).ok();
    }
}

fn point(repository: &Repository, name: &str, commit: GitId) -> Result<(), Error> {
    free(repository, name);
    match repository.reference(name, oid(commit), true, "osier") {
        Ok(_) => Ok(()),
        Err(e) => Err(Error::Reference { name: name.to_owned(), source: Cause::from(e) }),
    }
}

/// Puts `beside` in the place of `directory`.
fn exchange(directory: &Path, beside: &Path) -> Result<Repository, Error> {
    let aside = with_suffix(directory, OLD);
    remove(&aside)?;
    rename(directory, &aside)?;
    rename(beside, directory)?;
    remove(&aside)?;
    Repository::open_bare(directory).map_err(|e| Error::Open { path: directory.to_owned(), source: Cause::from(e) })
}

/// Takes back an exchange that a crash left half done.
fn restore(directory: &Path) -> Result<(), Error> {
    let aside = with_suffix(directory, OLD);
    if aside.exists() && !directory.exists() { rename(&aside, directory) } else { Ok(()) }
}

fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(|e| Error::Open { path: from.to_owned(), source: Cause::from(&e) })
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
