//! The directory of a mirror: opened, made, fetched into, made again beside and swapped.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use git2::{Oid, Reference, Repository, RepositoryInitOptions};

use crate::git::error::{Cause, Error};
use crate::git::failure::Failure;
use crate::git::fetch::{Accepted, Branches, Fetch, Known, Look, Unknown};
use crate::git::objects::{Objects, git_id, oid};
use crate::git::pull::{Tips, branches, pull, tips};
use crate::git::remotes::Remotes;
use crate::git::traffic::Counters;
use crate::model::tree::GitId;
use crate::model::wire;

/// Suffix of the directory where a mirror is made again.
const FRESH: &str = ".fresh";
/// Suffix of a mirror while another takes its place.
const OLD: &str = ".old";
/// Branches that one fetch gets: a bound of what a request names.
const AT_ONCE: usize = 1_000;
/// A commit that could not be fetched is left alone so many times as long as the attempt took: of the time that others wait for, one part in so
/// many is lost to it.
const LEFT_ALONE: u32 = 10;

/// The mirror, as its thread sees it.
pub(in crate::git) struct Store {
    directory: PathBuf,
    remotes: Arc<Remotes>,
    counters: Arc<Counters>,
    repository: Repository,
    damaged: bool,
    replaced: bool,
    /// Commits of branches that could not be fetched: why, and when the next attempt is due.
    put_off: HashMap<GitId, (Failure, Instant)>,
}

impl Store {
    /// Opens the mirror, or makes an empty one; the remote is not asked.
    pub(in crate::git) fn open(directory: &Path, remotes: Remotes, counters: Arc<Counters>) -> Result<Self, Error> {
        crate::git::init()?;
        restore(directory)?;
        let repository = match Repository::open_bare(directory) {
            Ok(repository) => repository,
            Err(_) => create(directory)?,
        };
        let damaged = !is_sound(&repository);
        let (directory, remotes) = (directory.to_owned(), Arc::new(remotes));
        Ok(Self { directory, remotes, counters, repository, damaged, replaced: false, put_off: HashMap::new() })
    }

    /// Asks others from now on, or the same with other credentials.
    pub(in crate::git) fn change_remotes(&mut self, remotes: Remotes) {
        self.remotes = Arc::new(remotes);
    }

    /// Reads objects; what turns out to be damaged makes the next fetch replace the mirror.
    pub(in crate::git) fn read<T>(&mut self, job: impl FnOnce(&Objects<'_>) -> T) -> T {
        let objects = Objects::new(&self.repository);
        let answer = job(&objects);
        self.damaged |= objects.damaged();
        answer
    }

    /// Looks at the refs of the remote. Nothing is written.
    pub(in crate::git) fn look(&self, branches: &[String]) -> Look {
        let began = Instant::now();
        let looked = match tips(&self.remotes, &self.counters, branches) {
            Ok(tips) if !self.damaged && branches.iter().all(|branch| self.has(branch, tips.get(branch))) => {
                Look::Unchanged
            }
            Ok(_) => Look::Changed,
            Err(unknown) => Look::Unknown(unknown),
        };
        self.counters.looked(began);
        looked
    }

    /// Gets branches from the remote, all over one connection. No ref but those of `pull` moves.
    ///
    /// A damaged mirror is made again first, once in the life of the process: the damage may be the remote's own.
    pub(in crate::git) fn fetch(&mut self, branches: &[String]) -> Result<Tips, Unknown> {
        self.fetch_within(self.remotes.limits.fetch, branches)
    }

    fn fetch_within(&mut self, whole: Duration, branches: &[String]) -> Result<Tips, Unknown> {
        let began = Instant::now();
        let fetched = self.fetch_or_replace(whole, branches);
        self.counters.fetched(began);
        fetched
    }

    /// Judges what was fetched of one branch, and moves the mirror's branch if it is known.
    pub(in crate::git) fn judge(
        &mut self,
        branch: &str,
        accepted: Accepted,
        fetched: &Result<Tips, Unknown>,
    ) -> Result<Fetch, Error> {
        let tip = match fetched.as_ref().map(|tips| &tips[branch]) {
            Ok(Ok(tip)) => *tip,
            Ok(Err(unknown)) | Err(unknown) => return Ok(Fetch::Unknown(unknown.clone())),
        };
        if let Some(last) = accepted.last
            && accepted.allowed != Some(tip)
            && !self.descends(tip, last)?
        {
            self.damaged |= !is_sound(&self.repository);
            return Ok(Fetch::Unknown(Unknown::NotDescendant { branch: branch.to_owned(), tip, accepted: last }));
        }
        if !self.has(branch, Some(&tip)) {
            self.point(&format!("refs/heads/{branch}"), tip)?;
        }
        Ok(Fetch::Known(Known::new(tip)))
    }

    /// All branches of the remote, and the commits of those that are `wanted`. What is wrong with one of them is told of that one.
    ///
    /// `None` if the protected branch is not where `known` says: it moved meanwhile, or another repository answers.
    pub(in crate::git) fn branches(
        &mut self,
        protected: &str,
        known: &Known,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<Option<Known>, Unknown> {
        let mut branches = branches(&self.remotes, &self.counters)?;
        if branches.get(protected) != Some(&known.tip()) {
            return Ok(None);
        }
        self.put_off.retain(|tip, _| branches.values().any(|there| there == tip));
        let missing = self.missing(&branches, wanted).map_err(|e| local(&self.remotes, e))?;
        let now = Instant::now();
        let is_due = |tip: &GitId| self.put_off.get(tip).is_none_or(|(_, due)| *due <= now);
        let due: Vec<String> = missing.iter().filter(|(_, tip)| is_due(tip)).map(|(name, _)| name.clone()).collect();
        for name in &due {
            self.put_off.remove(&missing[name]);
        }
        let until = now + self.remotes.limits.fetch;
        for some in due.chunks(AT_ONCE) {
            settle(&mut branches, self.fetch_apart(some, &missing, until)?)?;
        }
        let unfetched = |(name, tip): (String, GitId)| {
            let (source, _) = self.put_off.get(&tip).filter(|_| branches.get(&name) == Some(&tip))?;
            Some((name.clone(), Unknown::NotFetched { branch: name, source: source.clone() }))
        };
        let unfetched = missing.into_iter().filter_map(unfetched).collect();
        Ok(Some(known.clone().with_branches(branches, unfetched)))
    }

    /// Which of the branches that are `wanted` the mirror lacks.
    fn missing(&self, branches: &Branches, wanted: &dyn Fn(&str) -> bool) -> Result<Branches, Error> {
        let path = || self.directory.clone();
        let odb = self.repository.odb().map_err(|e| Error::Open { path: path(), source: Cause::from(e) })?;
        // objects come in whole packs, or not at all
        let is_missing =
            |(name, tip): &(&String, &GitId)| !odb.exists(oid(**tip)) && wanted(name) && check_branch(name).is_ok();
        Ok(branches.iter().filter(is_missing).map(|(name, tip)| (name.clone(), *tip)).collect())
    }

    /// Gets branches together, and where that fails each half of them apart, down to those that cannot be had: they are put off. The remote has
    /// just named them all, so it is not the remote. After `until` nothing more is tried.
    fn fetch_apart(&mut self, branches: &[String], tips: &Branches, until: Instant) -> Result<Tips, Unknown> {
        let began = Instant::now();
        let source = match self.fetch_within(self.remotes.limits.look, branches) {
            Err(Unknown::Unreachable { source, .. }) if source.is_the_remote() => source,
            fetched => return fetched,
        };
        if branches.len() > 1 && Instant::now() < until {
            let (some, others) = branches.split_at(branches.len() / 2);
            let mut fetched = self.fetch_apart(some, tips, until)?;
            fetched.extend(self.fetch_apart(others, tips, until)?);
            return Ok(fetched);
        }
        let due = Instant::now() + began.elapsed() * LEFT_ALONE;
        for branch in branches {
            tracing::warn!(branch, "cannot be fetched, and is put off: {source}");
            self.put_off.insert(tips[branch], (source.clone(), due));
        }
        Ok(Tips::new())
    }

    /// Keeps a commit for good.
    pub(in crate::git) fn pin(&mut self, commit: GitId) -> Result<(), Error> {
        self.read(|objects| objects.commit(commit))?;
        self.point(&wire::mirror_pin(&commit.to_string()), commit)
    }

    /// Lets go of what was kept, but for these commits.
    pub(in crate::git) fn keep_only(&mut self, commits: &BTreeSet<String>) -> Result<(), Error> {
        let _only_we = self.lock()?;
        let pinned = pins(&self.repository).into_iter().filter(|(_, commit)| !commits.contains(&commit.to_string()));
        for (name, _) in pinned {
            free(&self.repository, &name);
            let gone = self.repository.find_reference(&name).and_then(|mut found| found.delete());
            gone.map_err(|e| Error::Reference { name, source: Cause::from(e) })?;
        }
        Ok(())
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

    /// True if the mirror's branch is at `tip`.
    fn has(&self, branch: &str, tip: Option<&GitId>) -> bool {
        tip.is_some() && self.tip(branch).as_ref() == tip
    }

    /// Where the mirror's branch is: only what was known moves it.
    pub(in crate::git) fn tip(&self, branch: &str) -> Option<GitId> {
        self.repository.refname_to_id(&format!("refs/heads/{branch}")).ok().map(git_id)
    }

    fn fetch_or_replace(&mut self, whole: Duration, branches: &[String]) -> Result<Tips, Unknown> {
        let failed = |e| local(&self.remotes, e);
        let _only_we = self.lock().map_err(failed)?;
        if !self.damaged || self.replaced {
            let fetched = pull(&self.repository, &self.remotes, &self.counters, whole, branches);
            let is_complete = fetched.as_ref().is_ok_and(|tips| tips.values().all(Result::is_ok));
            self.damaged |= !is_complete && !is_sound(&self.repository);
            if is_complete || !self.damaged || self.replaced {
                return fetched;
            }
        }
        self.replace(whole, branches)
    }

    /// Clones afresh beside the mirror, takes over the pins that can be had, and swaps the directories.
    fn replace(&mut self, whole: Duration, branches: &[String]) -> Result<Tips, Unknown> {
        let remotes = Arc::clone(&self.remotes);
        let failed = |e| local(&remotes, e);
        tracing::warn!(mirror = %self.directory.display(), "the mirror is damaged: it is made again");
        let beside = with_suffix(&self.directory, FRESH);
        remove(&beside).map_err(failed)?;
        let fresh = create(&beside).map_err(failed)?;
        let tips = pull(&fresh, &self.remotes, &self.counters, whole, branches)?;
        if let Some(unknown) = tips.values().find_map(|tip| tip.as_ref().err()) {
            return Err(unknown.clone());
        }
        copy_pins(&self.repository, &fresh).map_err(failed)?;
        drop(fresh);
        // libgit2 shares open packs by path, the damaged ones too: nothing is read before the old repository is closed by this.
        self.repository = exchange(&self.directory, &beside).map_err(failed)?;
        self.damaged = false;
        self.replaced = true;
        Ok(tips)
    }
}

/// A mirror that cannot be written to says as little about the remote as one that does not answer.
fn local(remotes: &Remotes, error: Error) -> Unknown {
    let text = match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    let source = Failure::Mirror { source: Cause { code: "Mirror".into(), text } };
    Unknown::Unreachable { url: remotes.url().to_owned(), source }
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

/// Where branches were fetched at. Only one that the remote itself says to lack went meanwhile: it costs an environment.
fn settle(branches: &mut Branches, fetched: Tips) -> Result<(), Unknown> {
    for (name, tip) in fetched {
        match tip {
            Ok(tip) => drop(branches.insert(name, tip)),
            Err(Unknown::BranchMissing { .. }) => drop(branches.remove(&name)),
            Err(unknown) => return Err(unknown),
        }
    }
    Ok(())
}

/// Name and commit of everything that a mirror keeps, as far as it can say it.
fn pins(repository: &Repository) -> Vec<(String, Oid)> {
    let refs = repository.references().into_iter().flatten().flatten();
    let named = refs.filter_map(|found| Some((found.name().ok()?.to_owned(), found.target()?)));
    named.filter(|(name, commit)| *name == wire::mirror_pin(&commit.to_string())).collect()
}

/// Pins in `fresh` what the old mirror pinned, as far as the remote still has it and the old one can say it.
fn copy_pins(old: &Repository, fresh: &Repository) -> Result<(), Error> {
    for (name, commit) in pins(old) {
        if fresh.find_commit(commit).is_ok() {
            point(fresh, &name, git_id(commit))?;
        } else {
            tracing::warn!(%commit, "the mirror has lost what was applied once: it cannot be gone back to");
        }
    }
    Ok(())
}

/// Removes the locks of a process that was killed while it wrote a ref: nobody else writes while we hold the mirror's own lock.
pub(in crate::git) fn free(repository: &Repository, name: &str) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_branch_that_the_remote_says_to_lack_is_gone() {
        let (old, new) = (GitId([1; 20]), GitId([2; 20]));
        let known = || Branches::from([("feature/a".to_owned(), old), ("feature/b".to_owned(), old)]);
        let missing = Unknown::BranchMissing { branch: "feature/b".into() };
        let mut branches = known();
        let fetched = Tips::from([("feature/a".to_owned(), Ok(new)), ("feature/b".to_owned(), Err(missing))]);
        assert_eq!(settle(&mut branches, fetched), Ok(()));
        assert_eq!(branches, Branches::from([("feature/a".to_owned(), new)]));

        let mut branches = known();
        let fetched = Tips::from([("feature/b".to_owned(), Err(Unknown::Empty))]);
        assert_eq!((settle(&mut branches, fetched), branches), (Err(Unknown::Empty), known()));
    }
}
