//! Where a repository is: its URL, other places of it, the credentials for all of them, and how long to wait.

pub(in crate::git) mod place;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::git::connection::tls::Tls;
use crate::git::credentials::Credentials;
use crate::git::error::Error;
use crate::git::remotes::place::Place;

/// The places of one repository, in the order in which they are tried.
///
/// # Guarantees
/// No URL has a credential in it, so each may be printed. Configuration of git, agents and environment variables change nothing.
pub struct Remotes {
    pub(in crate::git) places: Vec<Address>,
    pub(in crate::git) credentials: Credentials,
    pub(in crate::git) limits: Limits,
    pub(in crate::git) tls: Option<Tls>,
}

/// A place, and whether it took our credentials before.
pub(in crate::git) struct Address {
    pub(in crate::git) url: String,
    pub(in crate::git) place: Place,
    welcome: AtomicBool,
}

/// How long to wait for a remote. Each wait is bounded by what is left of the whole, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For the address, the connection and the agreement on encryption.
    pub connect: Duration,
    /// For the next byte of an answer.
    pub silence: Duration,
    /// For a whole look at the refs.
    pub look: Duration,
    /// For a whole fetch: the first one of a large repository takes minutes.
    pub fetch: Duration,
}

impl Default for Limits {
    /// As long as a busy server on another continent may need; libgit2's own default is to wait for ever.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            look: Duration::from_mins(1),
            fetch: Duration::from_mins(10),
        }
    }
}

impl Remotes {
    /// The URL of a Repository, its `fallbackUrls` and what its `credentials` hold. Nothing is asked yet.
    ///
    /// # Errors
    /// `Url` for the first URL of a kind that is refused.
    pub fn new(url: &str, fallback_urls: &[String], mut credentials: Credentials) -> Result<Self, Error> {
        let urls = std::iter::once(url).chain(fallback_urls.iter().map(String::as_str));
        let places: Vec<Address> = urls.map(Address::parse).collect::<Result<_, _>>()?;
        let encrypted = places.iter().any(|address| matches!(&address.place, Place::Http(site) if site.tls));
        let authorities = std::mem::take(&mut credentials.authorities);
        let tls = encrypted.then(|| Tls::new(authorities));
        Ok(Self { places, credentials, limits: Limits::default(), tls })
    }

    /// No place yet: there is nothing to fetch from until the credentials are known.
    pub fn nowhere() -> Self {
        Self { places: Vec::new(), credentials: Credentials::default(), limits: Limits::default(), tls: None }
    }

    /// The same with other limits.
    #[must_use]
    pub fn within(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The first URL, which is the Repository's.
    pub(in crate::git) fn url(&self) -> &str {
        self.places.first().map_or("", |address| &address.url)
    }

    /// What changes on disk when a branch of a local repository does, for a watch: its directory (where `packed-refs` is
    /// exchanged) as it is, and what is below `refs` and `reftable`. Nothing for a repository elsewhere.
    ///
    /// Where one branch `alone` counts, those in deeper directories are left out: each read of one is an event for all who watch it.
    pub fn local_refs(&self, alone: Option<&str>) -> Vec<PathBuf> {
        let locals = self.places.iter().filter_map(|address| match &address.place {
            Place::Local(path) => Some(path),
            Place::Http(_) | Place::Ssh(_) => None,
        });
        let refs = if alone.is_some_and(|branch| !branch.contains('/')) { "refs/heads" } else { "refs" };
        locals.flat_map(|path| watched(path, refs)).collect()
    }
}

impl fmt::Debug for Remotes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.places.iter().map(|address| &address.url)).finish()
    }
}

impl Address {
    fn parse(url: &str) -> Result<Self, Error> {
        Ok(Self { url: url.to_owned(), place: Place::parse(url)?, welcome: AtomicBool::new(false) })
    }

    /// True if it took our credentials before.
    pub(in crate::git) fn was_welcome(&self) -> bool {
        self.welcome.load(Ordering::Relaxed)
    }

    pub(in crate::git) fn is_welcome(&self) {
        self.welcome.store(true, Ordering::Relaxed);
    }
}

fn watched(path: &Path, refs: &str) -> Vec<PathBuf> {
    let Ok(repository) = git2::Repository::open(path) else { return vec![path.to_owned()] };
    let directory = repository.commondir();
    let below = [refs, "reftable"].map(|name| directory.join(name)).into_iter().filter(|path| path.is_dir());
    std::iter::once(directory.to_owned()).chain(below).collect()
}
