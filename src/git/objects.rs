//! Reading commits and blobs, the same for a mirror and a clone.

use std::cell::Cell;
use std::path::Path;

use git2::{Commit, ErrorCode, ObjectType, Oid, Repository, Tree};

use crate::git::content::{Blob, Content, Counts, TooLarge};
use crate::git::error::{Cause, Error};
use crate::git::tree::file_mode;
use crate::model::tree::{FileMode, GitId};

/// The fewest hex digits that stand for a commit, as in git.
const FEWEST_DIGITS: usize = 4;

/// What a commit says about itself. Text that is not UTF-8 has replacement characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitInfo {
    /// Its id.
    pub commit_id: GitId,
    /// Name of the author.
    pub author: String,
    /// Mail address of the author.
    pub email: String,
    /// When it was committed, in Unix seconds.
    pub time: i64,
    /// First line of the message.
    pub summary: String,
    /// The whole message.
    pub message: String,
}

/// Read access to the objects of one repository, which counts what it reads.
pub struct Objects<'r> {
    repository: &'r Repository,
    counts: Cell<Counts>,
    damaged: Cell<bool>,
}

impl<'r> Objects<'r> {
    pub(in crate::git) fn new(repository: &'r Repository) -> Self {
        Self { repository, counts: Cell::default(), damaged: Cell::new(false) }
    }

    /// What was read through this value.
    pub fn counts(&self) -> Counts {
        self.counts.get()
    }

    /// True once a tree or blob that should be there was not, or did not fit its id.
    pub(in crate::git) fn damaged(&self) -> bool {
        self.damaged.get()
    }

    /// The commit that `text` names: 40 hex digits, a branch (`main`, in a clone also `origin/main` and `HEAD`), or at least four
    /// hex digits; `~3` behind it goes three first parents back, `~` one.
    ///
    /// # Errors
    /// `NotFound`; `Ambiguous` if it is the beginning of several commits, or of one commit and a branch's name.
    pub fn resolve(&self, text: &str) -> Result<GitId, Error> {
        let missing = || Error::NotFound { text: text.to_owned() };
        if let Some((base, steps)) = text.rsplit_once('~') {
            let steps = if steps.is_empty() { 1 } else { steps.parse().map_err(|_| missing())? };
            return self.first_parent(self.resolve(base)?, steps)?.ok_or_else(missing);
        }
        if text == "HEAD" && !self.repository.is_bare() {
            let head = self.repository.head().and_then(|head| head.peel_to_commit());
            return head.map(|commit| git_id(commit.id())).map_err(|_| missing());
        }
        let ambiguous = || Error::Ambiguous { text: text.to_owned() };
        let hex = text.to_ascii_lowercase();
        if let Some(id) = GitId::parse(&hex)
            && self.repository.find_commit(oid(id)).is_ok()
        {
            return Ok(id);
        }
        let branch = self.branch(text);
        let short = if (FEWEST_DIGITS..40).contains(&hex.len()) && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            self.short(&hex).map_err(|_| ambiguous())?
        } else {
            None
        };
        match (branch, short) {
            (Some(branch), Some(short)) if branch != short => Err(ambiguous()),
            (branch, short) => branch.or(short).ok_or_else(missing),
        }
    }

    /// The commit `steps` first parents back, if there are so many.
    fn first_parent(&self, from: GitId, steps: usize) -> Result<Option<GitId>, Error> {
        let mut commit = self.find_commit(from)?;
        for _ in 0..steps {
            let Ok(parent) = commit.parent(0) else { return Ok(None) };
            commit = parent;
        }
        Ok(Some(git_id(commit.id())))
    }

    /// What a commit says about itself.
    ///
    /// # Errors
    /// `NotFound`, `Object`.
    pub fn commit(&self, id: GitId) -> Result<CommitInfo, Error> {
        Ok(describe(&self.find_commit(id)?))
    }

    /// True if `ancestor` is `commit` or one of its ancestors.
    ///
    /// # Errors
    /// `NotFound` if one of them is not there.
    pub fn is_ancestor(&self, ancestor: GitId, commit: GitId) -> Result<bool, Error> {
        let (ancestor, commit) = (self.find_commit(ancestor)?, self.find_commit(commit)?);
        let reached = ancestor.id() == commit.id()
            || self
                .repository
                .graph_descendant_of(commit.id(), ancestor.id())
                .map_err(|e| unreadable("commit", commit.id(), &e))?;
        Ok(reached)
    }

    /// The newest commit that both have in their history.
    pub(in crate::git) fn fork(&self, one: GitId, other: GitId) -> Result<Option<GitId>, Error> {
        let (one, other) = (self.find_commit(one)?.id(), self.find_commit(other)?.id());
        match self.repository.merge_base(one, other) {
            Ok(fork) => Ok(Some(git_id(fork))),
            Err(e) if e.code() == ErrorCode::NotFound => Ok(None),
            Err(e) => Err(unreadable("commit", one, &e)),
        }
    }

    /// Commits reachable from `from` and not from `until`, newest first, at most `limit`.
    ///
    /// # Errors
    /// `NotFound`, `Object`.
    pub fn log(&self, from: GitId, until: Option<GitId>, limit: usize) -> Result<Vec<CommitInfo>, Error> {
        let start = self.find_commit(from)?.id();
        let end = until.map(|id| self.find_commit(id)).transpose()?.map(|commit| commit.id());
        let walk = || {
            let mut walk = self.repository.revwalk()?;
            walk.push(start)?;
            if let Some(end) = end {
                walk.hide(end)?;
            }
            walk.take(limit)
                .map(|id| Ok(describe(&self.repository.find_commit(id?)?)))
                .collect::<Result<_, git2::Error>>()
        };
        walk().map_err(|e| unreadable("commit", start, &e))
    }

    /// How many commits are reachable from `new` and not from `old`.
    ///
    /// # Errors
    /// `NotFound`, `Object`.
    pub fn count_between(&self, old: GitId, new: GitId) -> Result<usize, Error> {
        let (old, new) = (self.find_commit(old)?.id(), self.find_commit(new)?.id());
        let (ahead, _) = self.repository.graph_ahead_behind(new, old).map_err(|e| unreadable("commit", new, &e))?;
        Ok(ahead)
    }

    /// Which of these files and directories `commit` has otherwise than `other`.
    ///
    /// # Errors
    /// `NotFound`, `Object`.
    pub fn differing(&self, commit: GitId, other: GitId, paths: &[String]) -> Result<Vec<String>, Error> {
        let [one, other] = [self.root(commit)?, self.root(other)?];
        Ok(paths.iter().filter(|path| at(&one, path) != at(&other, path)).cloned().collect())
    }

    /// Those of them that `commit` changed since the two parted.
    ///
    /// # Errors
    /// `NotFound`, `Object`.
    pub fn own_changes(&self, commit: GitId, other: GitId, paths: &[String]) -> Result<Vec<String>, Error> {
        let mut changed = self.differing(commit, other, paths)?;
        // histories that have nothing in common never parted
        if let (false, Ok(base)) = (changed.is_empty(), self.repository.merge_base(oid(commit), oid(other))) {
            let (base, own) = (self.root(git_id(base))?, self.root(commit)?);
            changed.retain(|path| at(&base, path) != at(&own, path));
        }
        Ok(changed)
    }

    /// The newest commit on the line of first parents of `tip` that is not later than `time` (Unix seconds), if any.
    ///
    /// # Errors
    /// `NotFound`, `Object`.
    pub fn commit_at(&self, tip: GitId, time: i64) -> Result<Option<GitId>, Error> {
        let mut commit = self.find_commit(tip)?;
        while commit.time().seconds() > time {
            if commit.parent_count() == 0 {
                return Ok(None);
            }
            commit = commit.parent(0).map_err(|e| unreadable("commit", commit.id(), &e))?;
        }
        Ok(Some(git_id(commit.id())))
    }

    /// The content of each blob, or its size where it has more than `limit` bytes; sizes are read before contents.
    ///
    /// # Errors
    /// `Object` for the first that is missing or damaged.
    pub fn blobs(&self, ids: &[GitId], limit: u64) -> Result<Vec<(GitId, Blob)>, Error> {
        ids.iter().map(|id| Ok((*id, self.blob(*id, limit)?))).collect()
    }

    /// What stands at `path` (with `/`) in `commit`.
    ///
    /// # Errors
    /// `NotFound` for the commit, `Object`.
    pub fn blob_at(&self, commit: GitId, path: &str, limit: u64) -> Result<Content, Error> {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let root = self.root(commit)?;
        let tree = match self.directory(&root, directory)? {
            Some(id) if id == root.id() => root,
            Some(id) => self.tree(id)?,
            None => return Ok(Content::Missing),
        };
        let Some(entry) = tree.get_name(name) else { return Ok(Content::Missing) };
        if file_mode(&entry) != Some(FileMode::File) {
            return Ok(Content::NotAFile);
        }
        let blob_id = git_id(entry.id());
        Ok(match self.blob(blob_id, limit)? {
            Ok(bytes) => Content::File { blob_id, bytes },
            Err(TooLarge { size }) => Content::TooLarge { size },
        })
    }

    /// The root tree of a commit.
    pub(in crate::git) fn root(&self, commit: GitId) -> Result<Tree<'r>, Error> {
        self.tree(self.find_commit(commit)?.tree_id())
    }

    /// A tree; each call counts.
    pub(in crate::git) fn tree(&self, id: Oid) -> Result<Tree<'r>, Error> {
        let tree = self.repository.find_tree(id).map_err(|e| self.damage("tree", id, &e))?;
        self.count(|counts| counts.trees += 1);
        Ok(tree)
    }

    fn blob(&self, id: GitId, limit: u64) -> Result<Blob, Error> {
        let read = || {
            let store = self.repository.odb()?;
            let (size, kind) = store.read_header(oid(id))?;
            if kind != ObjectType::Blob {
                return Err(git2::Error::from_str("it is no blob"));
            }
            let size = size as u64;
            if size > limit { Ok(Err(TooLarge { size })) } else { Ok(Ok(store.read(oid(id))?.data().to_vec())) }
        };
        let blob = read().map_err(|e| self.damage("file", oid(id), &e))?;
        if let Ok(bytes) = &blob {
            self.count(|counts| {
                counts.blobs += 1;
                counts.bytes += bytes.len() as u64;
            });
        }
        Ok(blob)
    }

    fn find_commit(&self, id: GitId) -> Result<Commit<'r>, Error> {
        self.repository.find_commit(oid(id)).map_err(|e| match e.code() {
            ErrorCode::NotFound => Error::NotFound { text: id.to_string() },
            _ => self.damage("commit", oid(id), &e),
        })
    }

    /// The tip of a branch of this name, or else of one of a remote, such as `origin/main`.
    pub fn branch(&self, name: &str) -> Option<GitId> {
        ["refs/heads", "refs/remotes"].iter().find_map(|prefix| {
            let commit = self.repository.find_reference(&format!("{prefix}/{name}")).ok()?.peel_to_commit().ok()?;
            Some(git_id(commit.id()))
        })
    }

    /// The commit that begins with `hex`; an error if there are several.
    fn short(&self, hex: &str) -> Result<Option<GitId>, git2::Error> {
        match self.repository.find_commit_by_prefix(hex) {
            Ok(commit) => Ok(Some(git_id(commit.id()))),
            Err(e) if e.code() == ErrorCode::Ambiguous => self.short_among_commits(hex).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Trees and blobs may begin with the same digits as the one commit that is meant.
    fn short_among_commits(&self, hex: &str) -> Result<GitId, git2::Error> {
        let mut walk = self.repository.revwalk()?;
        walk.push_glob("refs/*")?;
        let mut found = None;
        for id in walk {
            let id = git_id(id?);
            if id.to_string().starts_with(hex) && found.replace(id).is_some() {
                return Err(git2::Error::from_str("several commits"));
            }
        }
        found.ok_or_else(|| git2::Error::from_str("no commit"))
    }

    fn damage(&self, what: &'static str, id: Oid, error: &git2::Error) -> Error {
        self.damaged.set(true);
        unreadable(what, id, error)
    }

    fn count(&self, add: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.get();
        add(&mut counts);
        self.counts.set(counts);
    }
}

/// What stands at a path.
fn at(root: &Tree<'_>, path: &str) -> Option<Oid> {
    root.get_path(Path::new(path)).ok().map(|entry| entry.id())
}

pub(in crate::git) fn oid(id: GitId) -> Oid {
    Oid::from_bytes(&id.0).expect("twenty bytes are an id")
}

pub(in crate::git) fn git_id(oid: Oid) -> GitId {
    GitId(oid.as_bytes().try_into().expect("repositories with other hashes than SHA-1 are not opened"))
}

fn describe(commit: &Commit<'_>) -> CommitInfo {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let author = commit.author();
    let message = text(commit.message_bytes());
    CommitInfo {
        commit_id: git_id(commit.id()),
        author: text(author.name_bytes()),
        email: text(author.email_bytes()),
        time: commit.time().seconds(),
        summary: message.trim_start().lines().next().unwrap_or_default().to_owned(),
        message,
    }
}

fn unreadable(what: &'static str, id: Oid, error: &git2::Error) -> Error {
    Error::Object { what, id: git_id(id), source: Cause::from(error) }
}
