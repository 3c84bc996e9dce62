//! Walking trees by object id: what two commits have in common is not read.
//!
//! libgit2's own tree diff expands every unchanged subtree, which is why it is not used.

use std::cmp::Ordering;
use std::iter::Peekable;

use git2::{Oid, Tree, TreeEntry};

use crate::git::error::Error;
use crate::git::objects::{Objects, git_id};
use crate::model::problem::Problem;
use crate::model::tree::{FileMode, GitId, TreeChange, TreeFile, split_layer};

/// Files and directories below one layer: twice the highest cap on files, so that a tree that contains itself ends.
pub(in crate::git) const ENTRIES: usize = 400_000;
/// Directories inside one another, a bound of the stack.
pub(in crate::git) const DEPTH: usize = 64;

/// What a layer's directory holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerTree<T> {
    /// There is no such directory.
    Missing,
    /// What was found below it, sorted by path.
    Found {
        /// Files, or changes of files.
        entries: Vec<T>,
        /// Names that cannot be used; their entries are left out.
        problems: Vec<Problem>,
    },
}

impl<T> LayerTree<T> {
    fn filter_map<U>(self, pick: impl Fn(T) -> Option<U>) -> LayerTree<U> {
        match self {
            Self::Missing => LayerTree::Missing,
            Self::Found { entries, problems } => {
                LayerTree::Found { entries: entries.into_iter().filter_map(pick).collect(), problems }
            }
        }
    }
}

impl Objects<'_> {
    /// All files below the directory of each layer (`.` is the root), sorted by path; a pinned one is read from the commit that it names.
    ///
    /// # Errors
    /// `NotFound` for the commit, `Object`.
    pub fn files(&self, commit: GitId, layers: &[String]) -> Result<Vec<(String, LayerTree<TreeFile>)>, Error> {
        let of = |layer: &String| {
            let (pin, directory) = split_layer(layer);
            let root = self.root(pin.unwrap_or(commit))?;
            Ok((layer.clone(), self.compare(None, &root, directory)?.filter_map(|TreeChange { old: _, new }| new)))
        };
        layers.iter().map(of).collect()
    }

    /// How the files below each layer's directory differ between two commits, sorted by path.
    ///
    /// # Guarantees
    /// Reads the trees of changed directories and those above them, whatever the size of the rest.
    /// A layer is missing if neither commit has such a directory; of one that is gone, every file is. A pinned one does not change.
    ///
    /// # Assumptions
    /// `old` was listed before and had no problem: names that cannot be used are reported where the new commit differs.
    ///
    /// # Errors
    /// `NotFound` for a commit, `Object`.
    pub fn changes(
        &self,
        old: GitId,
        new: GitId,
        layers: &[String],
    ) -> Result<Vec<(String, LayerTree<TreeChange>)>, Error> {
        let (old, new) = (self.root(old)?, self.root(new)?);
        let moves = |layer: &&String| split_layer(layer).0.is_none();
        layers.iter().filter(moves).map(|layer| Ok((layer.clone(), self.compare(Some(&old), &new, layer)?))).collect()
    }

    /// True if `tip` has another content of these layers than where it forked from `main`; also if the two have nothing in common.
    ///
    /// # Errors
    /// `NotFound` for a commit, `Object`.
    pub fn changes_since_fork(&self, tip: GitId, main: GitId, layers: &[String]) -> Result<bool, Error> {
        let Some(fork) = self.fork(tip, main)? else { return Ok(true) };
        let (fork, tip) = (self.root(fork)?, self.root(tip)?);
        let mut all = layers.iter();
        all.try_fold(false, |found, layer| Ok(found || self.directory(&fork, layer)? != self.directory(&tip, layer)?))
    }

    /// The id of the directory `path` below `root`, if there is one.
    pub(in crate::git) fn directory(&self, root: &Tree<'_>, path: &str) -> Result<Option<Oid>, Error> {
        let mut id = root.id();
        for (depth, name) in components(path).enumerate() {
            let below = if depth == 0 { subdirectory(root, name) } else { subdirectory(&self.tree(id)?, name) };
            let Some(below) = below else { return Ok(None) };
            id = below;
        }
        Ok(Some(id))
    }

    fn compare(&self, old: Option<&Tree<'_>>, new: &Tree<'_>, layer: &str) -> Result<LayerTree<TreeChange>, Error> {
        let new = self.directory(new, layer)?;
        let old = old.map(|root| self.directory(root, layer)).transpose()?.flatten();
        if old.is_none() && new.is_none() {
            return Ok(LayerTree::Missing);
        }
        let mut walk = Walk { objects: self, listing: Listing::of_layer(layer) };
        walk.directories(old, new)?;
        Ok(walk.listing.finish())
    }
}

/// What a walk has found below one layer, and where it is.
pub(in crate::git) struct Listing<T> {
    path: String,
    depth: usize,
    seen: usize,
    entries: Vec<T>,
    problems: Vec<Problem>,
}

impl<T> Listing<T> {
    pub(in crate::git) fn of_layer(layer: &str) -> Self {
        let path = components(layer).collect::<Vec<_>>().join("/");
        Self { path, depth: 0, seen: 0, entries: Vec::new(), problems: Vec::new() }
    }

    pub(in crate::git) fn add(&mut self, entry: T) {
        self.entries.push(entry);
    }

    pub(in crate::git) fn problem(&mut self, message: &str, hint: &str) {
        self.problems.push(Problem::new(&self.path, message).hint(hint));
    }

    /// Goes to the entry `name`, unless its name cannot be used or there are too many entries or levels.
    ///
    /// `report` is false where the entry is gone from the new commit: then nobody has to mend its name.
    pub(in crate::git) fn enter(&mut self, name: &[u8], report: bool) -> bool {
        self.seen += 1;
        self.depth += 1;
        if !self.path.is_empty() {
            self.path.push('/');
        }
        self.path.push_str(&printable(name));
        let refusal = refused(name).or_else(|| self.exhausted());
        if let Some((message, hint)) = refusal {
            if report && self.seen <= ENTRIES + 1 {
                self.problem(message, hint);
            }
            self.leave();
        }
        refusal.is_none()
    }

    /// Goes back to the directory of the entry.
    pub(in crate::git) fn leave(&mut self) {
        self.depth -= 1;
        self.path.truncate(self.path.rfind('/').unwrap_or(0));
    }

    /// The path of the entry that was entered.
    pub(in crate::git) fn path(&self) -> &str {
        &self.path
    }

    pub(in crate::git) fn finish(self) -> LayerTree<T> {
        LayerTree::Found { entries: self.entries, problems: self.problems }
    }

    fn exhausted(&self) -> Option<(&'static str, &'static str)> {
        if self.seen > ENTRIES {
            Some(("the layer has too many files", "split it into several layers"))
        } else if self.depth > DEPTH {
            Some(("the directories are too deep", "put the files into fewer directories"))
        } else {
            None
        }
    }
}

/// Compares two directories, entry by entry.
struct Walk<'w, 'r> {
    objects: &'w Objects<'r>,
    listing: Listing<TreeChange>,
}

impl Walk<'_, '_> {
    fn directories(&mut self, old: Option<Oid>, new: Option<Oid>) -> Result<(), Error> {
        if old == new || self.listing.seen > ENTRIES {
            return Ok(());
        }
        let old = old.map(|id| self.objects.tree(id)).transpose()?;
        let new = new.map(|id| self.objects.tree(id)).transpose()?;
        if new.as_ref().is_some_and(|tree| !is_sorted(tree)) {
            self.listing.problem("git's list of this directory is damaged", "run `git fsck`");
            return Ok(());
        }
        let mut old = old.iter().flat_map(Tree::iter).peekable();
        let mut new = new.iter().flat_map(Tree::iter).peekable();
        while let Some((before, after)) = next_pair(&mut old, &mut new) {
            self.entries(before.as_ref(), after.as_ref())?;
        }
        Ok(())
    }

    /// Two entries of one name and sort, or one that has no counterpart.
    fn entries(&mut self, old: Option<&TreeEntry<'_>>, new: Option<&TreeEntry<'_>>) -> Result<(), Error> {
        let state = |entry: &TreeEntry<'_>| (entry.id(), file_mode(entry));
        let Some(entry) = new.or(old).filter(|_| old.map(state) != new.map(state)) else { return Ok(()) };
        if !self.listing.enter(entry.name_bytes(), new.is_some()) {
            return Ok(());
        }
        if file_mode(entry).is_none() {
            self.directories(old.map(TreeEntry::id), new.map(TreeEntry::id))?;
        } else {
            let path = self.listing.path();
            let change = TreeChange { old: old.and_then(|e| file(path, e)), new: new.and_then(|e| file(path, e)) };
            self.listing.add(change);
        }
        self.listing.leave();
        Ok(())
    }
}

/// What an entry is; `None` for a directory.
pub(in crate::git) fn file_mode(entry: &TreeEntry<'_>) -> Option<FileMode> {
    match entry.filemode_raw() & 0o170_000 {
        0o040_000 => None,
        0o120_000 => Some(FileMode::Symlink),
        0o160_000 => Some(FileMode::Submodule),
        _ => Some(FileMode::File),
    }
}

/// The names in a layer's path.
pub(in crate::git) fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty() && *name != ".")
}

/// Why a name cannot be used, and what to do: others would misread it, or a checkout would leave its directory.
pub(in crate::git) fn refused(name: &[u8]) -> Option<(&'static str, &'static str)> {
    let text = std::str::from_utf8(name);
    let message = match text {
        Err(_) => "the name is not UTF-8",
        Ok("" | "." | "..") => "the name leads out of its directory",
        Ok(name) if name.eq_ignore_ascii_case(".git") => "the name is git's own",
        Ok(name) if name.contains(['/', '\\']) || name.chars().any(char::is_control) => {
            "the name has a slash or a control character"
        }
        Ok(_) => return None,
    };
    Some((message, "rename it with `git mv`"))
}

fn printable(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(text) if refused(name).is_none() => text.to_owned(),
        _ => name.escape_ascii().to_string().replace('/', "\\x2f"),
    }
}

fn file(path: &str, entry: &TreeEntry<'_>) -> Option<TreeFile> {
    Some(TreeFile { path: path.to_owned(), blob_id: git_id(entry.id()), mode: file_mode(entry)? })
}

fn subdirectory(tree: &Tree<'_>, name: &str) -> Option<Oid> {
    let entry = tree.get_name(name).filter(|entry| refused(entry.name_bytes()).is_none())?;
    file_mode(&entry).is_none().then(|| entry.id())
}

/// The next entry by name, with its counterpart if it has one of the same sort.
fn next_pair<'o, 'n>(
    old: &mut Peekable<impl Iterator<Item = TreeEntry<'o>>>,
    new: &mut Peekable<impl Iterator<Item = TreeEntry<'n>>>,
) -> Option<(Option<TreeEntry<'o>>, Option<TreeEntry<'n>>)> {
    let order = match (old.peek(), new.peek()) {
        (None, None) => return None,
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (Some(old), Some(new)) => by_name(old, new),
    };
    let before = if order.is_le() { old.next() } else { None };
    let after = if order.is_ge() { new.next() } else { None };
    Some((before, after))
}

/// Git's order, which is that of whole paths: a directory's name ends with a slash.
fn by_name(left: &TreeEntry<'_>, right: &TreeEntry<'_>) -> Ordering {
    let (left_name, right_name) = (left.name_bytes(), right.name_bytes());
    let common = left_name.len().min(right_name.len());
    let next = |entry: &TreeEntry<'_>, name: &[u8]| {
        name.get(common).copied().or_else(|| file_mode(entry).is_none().then_some(b'/'))
    };
    left_name[..common].cmp(&right_name[..common]).then_with(|| next(left, left_name).cmp(&next(right, right_name)))
}

fn is_sorted(tree: &Tree<'_>) -> bool {
    tree.iter().zip(tree.iter().skip(1)).all(|(left, right)| by_name(&left, &right).is_lt())
}
