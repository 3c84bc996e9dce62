//! What a commit holds, by name: paths and blob ids, no content.

use std::fmt;

use data_encoding::HEXLOWER;

/// A SHA-1 object id of git.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GitId(pub [u8; 20]);

impl GitId {
    /// Reads 40 hex digits.
    pub fn parse(hex: &str) -> Option<Self> {
        HEXLOWER.decode(hex.as_bytes()).ok()?.try_into().ok().map(Self)
    }

    /// The first seven hex digits, as people read commits.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(7);
        text
    }
}

impl fmt::Display for GitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for GitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A layer of another commit than the revision's own, as git writes it: `<commit>:<directory>`.
pub fn pinned(commit: GitId, directory: &str) -> String {
    format!("{commit}:{directory}")
}

/// The commit that a layer is pinned to, if it is, and its directory.
pub fn split_layer(layer: &str) -> (Option<GitId>, &str) {
    let pin = layer.split_once(':').and_then(|(commit, directory)| Some((GitId::parse(commit)?, directory)));
    pin.map_or((None, layer), |(commit, directory)| (Some(commit), directory))
}

/// What a tree entry is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileMode {
    /// A plain or executable file.
    File,
    /// A symbolic link: refused as data.
    Symlink,
    /// A submodule: refused as data.
    Submodule,
}

/// One file of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeFile {
    /// Path from the root of the repository, with `/`.
    pub path: String,
    /// Id of the content.
    pub blob_id: GitId,
    /// What it is.
    pub mode: FileMode,
}

/// A difference between two trees: exactly one side is absent for an added or removed path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeChange {
    /// The file as it was.
    pub old: Option<TreeFile>,
    /// The file as it is.
    pub new: Option<TreeFile>,
}
