//! The bytes of one path. No type here has a `Debug` that would print them.

use crate::model::tree::GitId;

/// What stands at a path.
pub enum Content {
    /// Nothing.
    Missing,
    /// A directory, a symbolic link, a submodule or a device.
    NotAFile,
    /// More than was allowed; nothing of it was read.
    TooLarge {
        /// Bytes.
        size: u64,
    },
    /// A file.
    File {
        /// Id of the bytes.
        blob_id: GitId,
        /// All of them.
        bytes: Vec<u8>,
    },
}

/// A blob over the limit; its content was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// Bytes.
    pub size: u64,
}

/// What was read from the object store so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Trees.
    pub trees: u64,
    /// Blobs.
    pub blobs: u64,
    /// Bytes of these blobs.
    pub bytes: u64,
}

/// The bytes of a blob, unless there are too many.
pub type Blob = Result<Vec<u8>, TooLarge>;
