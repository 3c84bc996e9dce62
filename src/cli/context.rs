//! What most commands need first: the API server, the Repository, the person, the keys, the clone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::cli::failure::Failure;
use crate::cli::get;
use crate::cluster::Cluster;
use crate::git::credentials::Credentials;
use crate::git::mirror::Mirror;
use crate::git::remotes::Remotes;
use crate::git::worktree::Worktree;
use crate::keys::Keyring;
use crate::model::digest::b32;
use crate::model::environment::Environment;
use crate::model::reason::Reason;
use crate::model::repository::Repository;
use crate::reconcile::error::Error;
use crate::reconcile::world::World;
use crate::report::failure;
use crate::report::style::count;
use crate::settings::Settings;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (reason, hint) = (error.reason(), error.hint());
        match error {
            Error::Blocked { problems, .. } if !problems.is_empty() => {
                let found = count(problems.iter().collect::<BTreeSet<_>>().len(), "problem");
                Failure::problems(format!("{found}: nothing was applied"), problems)
            }
            error => Failure::new(error, reason, hint),
        }
    }
}

impl From<crate::cluster::error::Error> for Failure {
    fn from(error: crate::cluster::error::Error) -> Self {
        let (reason, hint) = (error.reason(), error.hint());
        Failure::new(error, reason, hint)
    }
}

impl From<crate::git::error::Error> for Failure {
    fn from(error: crate::git::error::Error) -> Self {
        let (reason, hint) = (error.reason(), error.hint());
        Failure::new(error, reason, hint)
    }
}

/// The API server that the kubeconfig names, with the custom resources in place.
///
/// # Errors
/// No kubeconfig, no answer, no custom resources: with the line that installs them.
pub async fn cluster(settings: &Settings) -> Result<Cluster, Failure> {
    let cluster = Cluster::connect(settings.common.kubeconfig.as_deref(), settings.common.context.as_deref()).await?;
    let cluster = cluster.with_timeout(Duration::from_secs(settings.common.request_timeout));
    cluster.ensure_crds_present().await?;
    Ok(cluster)
}

/// The Repository that the arguments or the clone's remotes name, or the only one there is.
///
/// # Errors
/// None fits, or several do; an older one has its home namespace.
pub async fn repository(settings: &Settings, cluster: &Cluster) -> Result<Repository, Failure> {
    let named = match &settings.common.repository {
        Some(name) => Some(cluster.repository(name).await?),
        None => None,
    };
    let all = cluster.repositories().await?;
    let repository = named.map_or_else(|| fitting(settings, &all), Ok)?;
    home_is_its_own(&repository, &all)?;
    Ok(repository)
}

/// The Repository that the clone's remotes name, or the only one there is.
fn fitting(settings: &Settings, all: &[Repository]) -> Result<Repository, Failure> {
    let remotes = clone(settings).map(|worktree| places(&worktree)).unwrap_or_default();
    let urls =
        |repository: &Repository| [vec![repository.spec.url.clone()], repository.spec.fallback_urls.clone()].concat();
    let fitting: Vec<&Repository> = all
        .iter()
        .filter(|repository| urls(repository).iter().any(|url| remotes.iter().any(|place| same(url, place))))
        .collect();
    let names: Vec<&str> = all.iter().filter_map(|repository| repository.metadata.name.as_deref()).collect();
    match (fitting.as_slice(), all) {
        ([one], _) => Ok((*one).clone()),
        ([], [one]) => Ok(one.clone()),
        ([], []) => {
            Err(Failure::usage("there is no Repository in this cluster", "make one: see *Install* in the README"))
        }
        _ => Err(Failure::usage(
            "it is not clear which Repository is meant",
            format!("pass --repository; there are: {}", names.join(", ")),
        )),
    }
}

/// A home namespace keeps the books of one Repository: the oldest.
fn home_is_its_own(repository: &Repository, all: &[Repository]) -> Result<(), Failure> {
    let Some(first) = all.iter().find(|other| other.takes_home_from(repository)) else { return Ok(()) };
    let [this, first] = [repository, first].map(|one| one.metadata.name.as_deref().unwrap_or_default());
    let message = format!("the home namespace `{}` serves the Repository `{first}` already", repository.spec.home);
    let hint = format!("an administrator gives `{this}` a home of its own: kubectl edit repository {this}");
    Err(Failure::new(message, Reason::HomeTaken, Some(hint)))
}

/// A pass's surroundings: mirror in the user's cache, keys from `--keys` or the person's sops identities.
///
/// # Errors
/// As `cluster` and `repository`; the mirror or the keys cannot be opened.
pub async fn world(settings: &Settings) -> Result<World, Failure> {
    let cluster = cluster(settings).await?;
    let repository = repository(settings, &cluster).await?;
    let fingerprint_key = cluster.fingerprint_key(&repository.spec.home).await?;
    let remotes = remotes(&cluster, &repository).await?;
    let mirror = Mirror::open(&mirror_directory(settings, &repository.spec.url)?, remotes).await?;
    Ok(World::new(cluster, repository, mirror, keyring(settings), fingerprint_key, Timestamp::now))
}

/// The places of the repository, with the credentials of its Secret. A person who may not read that goes on without.
async fn remotes(cluster: &Cluster, repository: &Repository) -> Result<Remotes, Failure> {
    let spec = &repository.spec;
    let credentials = match &spec.credentials {
        None => Credentials::default(),
        Some(name) => match cluster.credentials(&spec.home, name).await {
            Ok(data) => Credentials::from_secret(data)?,
            Err(error) if error.reason() == Reason::Forbidden => {
                let hint = "ask for `get` on it; your own ssh-agent and git credentials are not used";
                let text = failure::text(&error, Some(hint)).replacen("error:", "warning:", 1);
                anstream::eprint!("{text}");
                Credentials::default()
            }
            Err(error) => return Err(error.into()),
        },
    };
    Ok(Remotes::new(&spec.url, &spec.fallback_urls, credentials)?)
}

/// The keys at hand. Files that hold no identity are named on stderr; the others serve.
pub fn keyring(settings: &Settings) -> Keyring {
    let (keyring, errors) = match &settings.common.keys {
        Some(directory) => Keyring::from_directory(directory),
        None => Keyring::from_person(|name: &str| settings.process.get(name).map(str::to_owned)),
    };
    for error in errors {
        anstream::eprint!("{}", failure::text(&error, error.hint().as_deref()).replacen("error:", "warning:", 1));
    }
    keyring
}

/// The clone to work in.
///
/// # Errors
/// There is none.
pub fn clone(settings: &Settings) -> Result<Arc<Worktree>, Failure> {
    Ok(Arc::new(Worktree::discover(&settings.directory)?))
}

/// The Environment of this name, or of this branch, which has to be there.
///
/// # Errors
/// There is none.
pub async fn environment(cluster: &Cluster, home: &str, name: &str) -> Result<Environment, Failure> {
    if let Some(environment) = cluster.environment(home, name).await? {
        return Ok(environment);
    }
    let all = cluster.environments(home).await?;
    // after its entry got another prefix a branch may have had two
    let is_gone = |it: &Environment| get::ready(it).is_some_and(|ready| ready.reason == Reason::Gone.as_str());
    let of_branch = all.iter().filter(|it| it.branch() == Some(name) || it.reference() == Some(name));
    if let Some(environment) = of_branch.min_by_key(|it| is_gone(it)) {
        return Ok(environment.clone());
    }
    let names: Vec<&str> = all.iter().filter_map(|it| it.branch().or(it.metadata.name.as_deref())).collect();
    let hint = match names.as_slice() {
        [] => format!("nothing was applied yet: `osier apply {name}`"),
        names => format!("there are: {}", names.join(", ")),
    };
    Err(Failure::usage(format!("there is no environment `{name}`"), hint))
}

fn mirror_directory(settings: &Settings, url: &str) -> Result<PathBuf, Failure> {
    let cache = settings.process.cache();
    let cache =
        cache.ok_or_else(|| Failure::usage("there is no place for the mirror", "set $HOME or $XDG_CACHE_HOME"))?;
    let directory = cache.join("mirrors").join(b32(26, [url]));
    std::fs::create_dir_all(&directory)
        .map_err(|error| Failure::general(error, format!("make {} writable", directory.display())))?;
    Ok(directory)
}

fn places(worktree: &Worktree) -> Vec<String> {
    let root = worktree.root().to_string_lossy().into_owned();
    worktree.remotes().into_iter().map(|(_, url)| url).chain([root]).collect()
}

/// Two spellings of one place: `file://` and a final `/` or `.git` do not count.
fn same(a: &str, b: &str) -> bool {
    fn bare(url: &str) -> &Path {
        let url = url.strip_prefix("file://").unwrap_or(url).trim_end_matches('/');
        Path::new(url.strip_suffix(".git").unwrap_or(url))
    }
    bare(a) == bare(b)
}
