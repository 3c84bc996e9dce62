//! L2: the repository. A bare mirror of a remote, a working tree, and the commits, trees and blobs of either.
//!
//! Only this module names `git2`. What a remote says is `Known` or `Unknown` by type; nothing here prunes, checks out or merges.
//! `connection/` reaches servers over HTTPS and SSH, `transport.rs` puts that below libgit2, `pull.rs` tries the places of a repository.

pub mod author;
pub mod content;
pub mod credentials;
pub mod error;
pub mod failure;
pub mod fetch;
pub mod forge;
pub mod heads;
pub mod mirror;
pub mod objects;
pub mod remotes;
pub mod traffic;
pub mod tree;
pub mod worktree;

mod advertisement;
mod connection;
mod known_hosts;
mod local;
mod pull;
mod store;
#[cfg(test)]
mod tests;
mod transport;

use std::sync::OnceLock;

use git2::ConfigLevel;

use crate::git::error::{Cause, Error};

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
/// change nothing; a mirror on a volume may belong to another user. Servers are reached by our own connections only, so libgit2's
/// timeouts, authorities and known hosts, which are of the whole process, are of no use.
#[allow(unsafe_code)]
fn set_options() -> Result<(), git2::Error> {
    // SAFETY: the setters and `register` write process-wide variables without a lock. `init` runs them once, before its first use of
    // libgit2 by this crate, and every other call of this crate happens after the `OnceLock` was filled.
    unsafe {
        git2::transport::register(transport::SCHEME, transport::make)?;
        git2::opts::set_verify_owner_validation(false)?;
        for level in [ConfigLevel::System, ConfigLevel::Global, ConfigLevel::XDG, ConfigLevel::ProgramData] {
            git2::opts::set_search_path(level, "")?;
        }
    }
    Ok(())
}
