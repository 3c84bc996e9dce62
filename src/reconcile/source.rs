//! Where a revision's files are read: a commit of the mirror, a commit of a clone, or a working tree as it stands on disk.

use std::sync::Arc;

use crate::git::content::{Blob, Content};
use crate::git::error::Error;
use crate::git::mirror::Mirror;
use crate::git::tree::LayerTree;
use crate::git::worktree::Worktree;
use crate::model::tree::{GitId, TreeFile};

/// One revision's files.
#[derive(Clone)]
pub enum Source {
    /// A commit of a mirror.
    Mirror(Mirror, GitId),
    /// A commit of a clone.
    Clone(Arc<Worktree>, GitId),
    /// The working tree of a clone, saved files only.
    Saved(Arc<Worktree>),
}

impl Source {
    /// The files below each layer's directory, sorted by path.
    ///
    /// # Errors
    /// The commit or an object of it is missing.
    pub async fn layers(&self, layers: &[String]) -> Result<Vec<(String, LayerTree<TreeFile>)>, Error> {
        match self {
            Source::Mirror(mirror, commit) => {
                let (layers, commit) = (layers.to_vec(), *commit);
                mirror.read(move |objects| objects.files(commit, &layers)).await
            }
            Source::Clone(worktree, commit) => worktree.objects(|objects| objects.files(*commit, layers)),
            Source::Saved(worktree) => worktree.files(layers),
        }
    }

    /// The content of each file, in the order of `files`; nothing of those over `limit` bytes is read.
    ///
    /// # Errors
    /// An object is missing or a file cannot be read.
    pub async fn contents(&self, files: &[TreeFile], limit: u64) -> Result<Vec<Content>, Error> {
        let ids: Vec<GitId> = files.iter().map(|file| file.blob_id).collect();
        let blobs = match self {
            Source::Mirror(mirror, _) => mirror.read(move |objects| objects.blobs(&ids, limit)).await?,
            Source::Clone(worktree, _) => worktree.objects(|objects| objects.blobs(&ids, limit))?,
            Source::Saved(worktree) => return files.iter().map(|file| saved(worktree, file, limit)).collect(),
        };
        Ok(blobs.into_iter().map(content).collect())
    }

    /// Another commit of the same repository.
    #[must_use]
    pub fn at(&self, commit: GitId) -> Self {
        match self {
            Source::Mirror(mirror, _) => Source::Mirror(mirror.clone(), commit),
            Source::Clone(worktree, _) | Source::Saved(worktree) => Source::Clone(worktree.clone(), commit),
        }
    }

    /// The content of one path.
    ///
    /// # Errors
    /// The commit or an object of it is missing, or a file cannot be read.
    pub async fn file(&self, path: &str, limit: u64) -> Result<Content, Error> {
        match self {
            Source::Mirror(mirror, commit) => {
                let (path, commit) = (path.to_owned(), *commit);
                mirror.read(move |objects| objects.blob_at(commit, &path, limit)).await
            }
            Source::Clone(worktree, commit) => worktree.objects(|objects| objects.blob_at(*commit, path, limit)),
            Source::Saved(worktree) => worktree.read(path, limit),
        }
    }
}

/// A file as it is saved; one of a pinned layer as its commit has it.
fn saved(worktree: &Worktree, file: &TreeFile, limit: u64) -> Result<Content, Error> {
    let found = worktree.read(&file.path, limit)?;
    let is_it = matches!(&found, Content::File { blob_id, .. } if *blob_id == file.blob_id);
    if is_it {
        return Ok(found);
    }
    let pinned = worktree.objects(|objects| objects.blobs(&[file.blob_id], limit));
    // what was saved anew since it was listed is no object
    Ok(pinned.ok().and_then(|mut blobs| blobs.pop()).map_or(found, content))
}

fn content((blob_id, bytes): (GitId, Blob)) -> Content {
    match bytes {
        Ok(bytes) => Content::File { blob_id, bytes },
        Err(too_large) => Content::TooLarge { size: too_large.size },
    }
}
