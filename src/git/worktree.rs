//! A clone with a working tree, as the command line finds it. Nothing is written.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use git2::{ObjectType, Oid, Repository};

use crate::git::content::Content;
use crate::git::error::{Cause, Error};
use crate::git::objects::{Objects, git_id};
use crate::git::tree::{LayerTree, Listing, components, refused};
use crate::model::tree::{FileMode, GitId, TreeFile, split_layer};

/// Mode of a submodule in the index.
const SUBMODULE: u32 = 0o160_000;

/// Path and commit of each submodule.
type Submodules = BTreeMap<Vec<u8>, GitId>;

/// A clone and its files as they are on disk, committed or not.
pub struct Worktree {
    repository: Mutex<Repository>,
    root: PathBuf,
}

impl Worktree {
    /// Finds the clone that `directory` is in.
    ///
    /// # Errors
    /// `Setup`; `NoWorktree` if there is none, or if it is bare.
    pub fn discover(directory: &Path) -> Result<Self, Error> {
        crate::git::init()?;
        let failed = |source: Cause| Error::NoWorktree { path: directory.to_owned(), source };
        let repository = Repository::discover(directory).map_err(|e| failed(Cause::from(e)))?;
        let Some(root) = repository.workdir().map(Path::to_owned) else {
            return Err(failed(Cause { code: "BareRepo".into(), text: "it has no working tree".into() }));
        };
        Ok(Self { repository: Mutex::new(repository), root })
    }

    /// The topmost directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Name and URL of each remote. A URL may carry credentials: it is for comparing, not for printing.
    pub fn remotes(&self) -> Vec<(String, String)> {
        let repository = self.repository();
        let names = repository.remotes();
        let names = names.iter().flat_map(|names| names.iter()).flatten().flatten();
        names.filter_map(|name| Some((name.to_owned(), remote_url(&repository, name)?))).collect()
    }

    /// The branch that is checked out, also before its first commit; none if a commit is.
    pub fn branch(&self) -> Option<String> {
        let repository = self.repository();
        let head = repository.find_reference("HEAD").ok()?;
        head.symbolic_target().ok()??.strip_prefix("refs/heads/").map(str::to_owned)
    }

    /// The commit that is checked out; none before the first.
    pub fn head(&self) -> Option<GitId> {
        Some(git_id(self.repository().head().ok()?.peel_to_commit().ok()?.id()))
    }

    /// Reads commits, trees and blobs of the clone.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn objects<T>(&self, read: impl FnOnce(&Objects<'_>) -> Result<T, Error>) -> Result<T, Error> {
        read(&Objects::new(&self.repository()))
    }

    /// All files below each layer's directory as they are on disk, sorted by path; blob ids are those that `git add` without filters gives.
    ///
    /// A pinned layer is read from the commit that it names. Ignored files are in it, `.git` is not; a directory with a `.git` of its own is a submodule (its id zeros if it is not in the index); links are not followed.
    ///
    /// # Errors
    /// `File` for the first that cannot be read.
    pub fn files(&self, layers: &[String]) -> Result<Vec<(String, LayerTree<TreeFile>)>, Error> {
        let submodules = self.submodules()?;
        let of = |layer: &String| match split_layer(layer) {
            (Some(pin), _) => self.objects(|objects| objects.files(pin, std::slice::from_ref(layer))),
            (None, _) => Ok(vec![(layer.clone(), self.layer(layer, &submodules)?)]),
        };
        let layers: Result<Vec<_>, Error> = layers.iter().map(of).collect();
        Ok(layers?.into_iter().flatten().collect())
    }

    /// What stands at `path` (with `/`) on disk. Links are not followed.
    ///
    /// # Errors
    /// `File`.
    pub fn read(&self, path: &str, limit: u64) -> Result<Content, Error> {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let Some(directory) = self.directory(directory)? else { return Ok(Content::Missing) };
        if refused(name.as_bytes()).is_some() {
            return Ok(Content::Missing);
        }
        let place = directory.join(name);
        let Some(metadata) = present(&place, fs::symlink_metadata(&place))? else { return Ok(Content::Missing) };
        if !metadata.is_file() {
            return Ok(Content::NotAFile);
        }
        let failed = |e: &std::io::Error| Error::File { path: place.clone(), source: Cause::from(e) };
        let mut bytes = Vec::new();
        let file = fs::File::open(&place).map_err(|e| failed(&e))?;
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| failed(&e))?;
        if bytes.len() as u64 > limit {
            return Ok(Content::TooLarge { size: metadata.len() });
        }
        Ok(Content::File { blob_id: hash(&place, Oid::hash_object(ObjectType::Blob, &bytes))?, bytes })
    }

    /// The directory at `path`, reached without following a link.
    fn directory(&self, path: &str) -> Result<Option<PathBuf>, Error> {
        let mut place = self.root.clone();
        for name in components(path) {
            place.push(name);
            let metadata = present(&place, fs::symlink_metadata(&place))?;
            if refused(name.as_bytes()).is_some() || !metadata.is_some_and(|metadata| metadata.is_dir()) {
                return Ok(None);
            }
        }
        Ok(Some(place))
    }

    fn layer(&self, layer: &str, submodules: &Submodules) -> Result<LayerTree<TreeFile>, Error> {
        let Some(place) = self.directory(layer)? else { return Ok(LayerTree::Missing) };
        let mut listing = Listing::of_layer(layer);
        list(&place, submodules, &mut listing)?;
        Ok(listing.finish())
    }

    fn repository(&self) -> MutexGuard<'_, Repository> {
        self.repository.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The submodules in the index: one that was not checked out is an empty directory on disk.
    fn submodules(&self) -> Result<Submodules, Error> {
        let repository = self.repository();
        let failed = |e| Error::File { path: repository.path().join("index"), source: Cause::from(e) };
        let index = repository.index().map_err(failed)?;
        let submodules = index.iter().filter(|entry| entry.mode == SUBMODULE);
        Ok(submodules.map(|entry| (entry.path, git_id(entry.id))).collect())
    }
}

fn remote_url(repository: &Repository, name: &str) -> Option<String> {
    repository.find_remote(name).ok()?.url().ok().map(str::to_owned)
}

fn list(directory: &Path, submodules: &Submodules, listing: &mut Listing<TreeFile>) -> Result<(), Error> {
    let failed = |e: std::io::Error| Error::File { path: directory.to_owned(), source: Cause::from(&e) };
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        let mut key = entry.file_name().as_bytes().to_vec();
        if kind.is_dir() {
            key.push(b'/');
        }
        found.push((key, kind, entry));
    }
    found.sort_by(|(left, ..), (right, ..)| left.cmp(right));
    for (_, kind, entry) in found {
        let name = entry.file_name();
        if name != ".git" && listing.enter(name.as_bytes(), true) {
            visit(&entry.path(), kind, submodules, listing)?;
            listing.leave();
        }
    }
    Ok(())
}

fn visit(
    place: &Path,
    kind: fs::FileType,
    submodules: &Submodules,
    listing: &mut Listing<TreeFile>,
) -> Result<(), Error> {
    let submodule = submodules.get(listing.path().as_bytes()).copied();
    let (blob_id, mode) = if kind.is_symlink() {
        let target = present(place, fs::read_link(place))?.unwrap_or_default();
        (hash(place, Oid::hash_object(ObjectType::Blob, target.as_os_str().as_bytes()))?, FileMode::Symlink)
    } else if kind.is_dir() && (submodule.is_some() || place.join(".git").symlink_metadata().is_ok()) {
        (submodule.unwrap_or(GitId([0; 20])), FileMode::Submodule)
    } else if kind.is_dir() {
        return list(place, submodules, listing);
    } else if kind.is_file() {
        (hash(place, Oid::hash_file(ObjectType::Blob, place))?, FileMode::File)
    } else {
        listing.problem("it is neither a file nor a directory", "remove it");
        return Ok(());
    };
    listing.add(TreeFile { path: listing.path().to_owned(), blob_id, mode });
    Ok(())
}

fn hash(place: &Path, result: Result<Oid, git2::Error>) -> Result<GitId, Error> {
    result.map(git_id).map_err(|e| Error::File { path: place.to_owned(), source: Cause::from(e) })
}

fn present<T>(place: &Path, result: std::io::Result<T>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(Error::File { path: place.to_owned(), source: Cause::from(&e) }),
    }
}
