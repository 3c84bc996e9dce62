//! L2: the repository. A bare mirror of a remote, a working tree, and the commits, trees and blobs of either.
//!
//! Only this module names `git2`. What a remote says is `Known` or `Unknown` by type; nothing here prunes, checks out or merges.

pub mod author;
pub mod content;
pub mod error;
pub mod fetch;
pub mod mirror;
pub mod objects;
pub mod tree;
pub mod worktree;

mod store;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use git2::ConfigLevel;

use crate::git::error::{Cause, Error};

/// A server that does not take the connection in this time is unreachable; libgit2's own default is to wait for ever.
const CONNECT_TIMEOUT_MS: i32 = 10_000;
/// A connection that is silent for this long is dead.
const SILENCE_TIMEOUT_MS: i32 = 30_000;

/// Sets the process-wide options of libgit2, once; opening a mirror or a working tree does it first.
///
/// # Errors
/// `Error::Setup`, again at each call, if libgit2 refuses an option.
pub fn init() -> Result<(), Error> {
    static DONE: OnceLock<Result<(), Cause>> = OnceLock::new();
    DONE.get_or_init(|| set_options().map_err(|e| Cause::from(&e))).clone().map_err(|source| Error::Setup { source })
}

/// The one `unsafe` of the program.
///
/// Configuration of the system and the user is left out, so that `insteadOf`, proxies and credential helpers of a machine
/// change nothing; a mirror on a volume may belong to another user.
#[allow(unsafe_code)]
fn set_options() -> Result<(), git2::Error> {
    // SAFETY: the setters write process-wide variables without a lock. `init` runs them once, before its first use of
    // libgit2 by this crate, and every other call of this crate happens after the `OnceLock` was filled.
    unsafe {
        git2::opts::set_server_connect_timeout_in_milliseconds(CONNECT_TIMEOUT_MS)?;
        git2::opts::set_server_timeout_in_milliseconds(SILENCE_TIMEOUT_MS)?;
        git2::opts::set_verify_owner_validation(false)?;
        for level in [ConfigLevel::System, ConfigLevel::Global, ConfigLevel::XDG, ConfigLevel::ProgramData] {
            git2::opts::set_search_path(level, "")?;
        }
    }
    Ok(())
}
