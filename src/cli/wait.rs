//! `osier wait`: until a commit has landed.

mod unmade;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use kube::core::error_boundary::InvalidObject;
use serde_json::json;

use crate::cli::failure::{Failure, Finding};
use crate::cli::wait::unmade::{Branch, NOT_YET};
use crate::cli::{context, get, output, times};
use crate::cluster::Cluster;
use crate::cluster::watch::Event;
use crate::desired::config::{Config, EnvironmentConfig};
use crate::git::content::Content;
use crate::git::tree::LayerTree;
use crate::git::worktree::Worktree;
use crate::model::environment::{Condition, Environment};
use crate::model::reason::Reason;
use crate::model::repository::Repository;
use crate::model::tree::{GitId, TreeChange};
use crate::planning::life;
use crate::reconcile::source::Source;
use crate::reconcile::target::{self, CONFIG_PATH};
use crate::report::advice;
use crate::settings::{Output, Settings};

/// Wait until a commit has landed in the environments that it changes, and their workloads are ready.
///
/// Exit code 0: it has. 1: it was refused or failed. 4: a file cannot be decrypted. 5: the time is over. 6: somebody has to allow it.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: git push && osier wait")]
pub struct Args {
    /// The commit, as git names it.
    #[arg(default_value = "HEAD")]
    pub commit: String,
    /// Only this environment; can be given more than once.
    #[arg(short, long = "environment", value_name = "NAME")]
    pub environments: Vec<String>,
    /// Do not wait for workloads: applied is enough.
    #[arg(long)]
    pub applied: bool,
    /// How long to wait at most, such as `30s` or `5m`.
    #[arg(long, value_name = "TIME", default_value = "5m")]
    pub timeout: String,
}

/// How one environment stands to the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    /// It has landed, or changes nothing there.
    Landed(String),
    /// Not yet.
    Waiting(String),
    /// There is no room for it now.
    Queued(String),
    /// It will not, as things are.
    Failed(Reason, String),
}

impl Standing {
    /// True if it may land yet.
    fn is_open(&self) -> bool {
        matches!(self, Self::Waiting(_) | Self::Queued(_))
    }
}

/// Waits.
///
/// # Errors
/// It failed, was refused, or the time is over.
pub async fn run(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    let limit = times::duration(&args.timeout)?;
    let clone = context::clone(settings)?;
    let commit = clone.objects(|objects| objects.resolve(&args.commit))?;
    let config = target::config(&Source::Clone(clone.clone(), commit)).await?;
    let cluster = Arc::new(context::cluster(settings).await?);
    let repository = context::repository(settings, &cluster).await?;
    let branch = clone.branch();
    let (wanted, unmade) = match of_branch(&config, args, &repository, branch.as_deref(), commit) {
        Some(own) => {
            let main = clone.objects(|objects| objects.resolve(&repository.spec.protected_branch)).ok();
            let branch = branch.as_deref().unwrap_or_default();
            let of = Branch { branch, name: &own.0, commit, config: &config, main };
            let unmade = unmade::why(&cluster, &clone, &repository, &of).await?;
            (BTreeMap::from([own]), unmade)
        }
        None => (wanted(&config, args)?, NOT_YET.to_owned()),
    };
    let applied = args.applied;
    let room = Room { clone: &clone, commit, applied, wanted, unmade, repository, environments: BTreeMap::new() };
    in_room(settings, &cluster, room, (limit, &args.timeout)).await
}

/// Waits for the newest commit of a branch, given by its name or by that of its environment.
///
/// # Errors
/// As `run`; no entry of `branches` matches, or the branch changes nothing that one is made for.
pub async fn for_branch(settings: &Settings, wanted: &str, applied: bool, timeout: &str) -> Result<Finding, Failure> {
    let limit = times::duration(timeout)?;
    let clone = context::clone(settings)?;
    let cluster = Arc::new(context::cluster(settings).await?);
    let repository = context::repository(settings, &cluster).await?;
    let known = cluster.environment(&repository.spec.home, wanted).await?;
    let branch = known.as_ref().and_then(Environment::branch).unwrap_or(wanted);
    let resolve = |text: &str| clone.objects(|objects| objects.resolve(text));
    let upstream =
        |branch: &str| resolve(branch).or_else(|error| resolve(&format!("origin/{branch}")).map_err(|_| error));
    let (commit, main) = (upstream(branch)?, upstream(&repository.spec.protected_branch)?);
    let config = target::config(&Source::Clone(clone.clone(), main)).await?;
    let Some(own) = entry_of_branch(&config, &repository, branch, commit) else {
        let hint = format!("osier.yaml of {} says which branches have one", repository.spec.protected_branch);
        return Err(Failure::usage(format!("no entry of `branches` matches `{branch}`"), hint));
    };
    let of = Branch { branch, name: &own.0, commit, config: &config, main: Some(main) };
    let unmade = unmade::why(&cluster, &clone, &repository, &of).await?;
    let wanted = BTreeMap::from([own]);
    let room = Room { clone: &clone, commit, applied, wanted, unmade, repository, environments: BTreeMap::new() };
    in_room(settings, &cluster, room, (limit, timeout)).await
}

async fn in_room(
    settings: &Settings,
    cluster: &Arc<Cluster>,
    mut room: Room<'_>,
    (limit, timeout): (Duration, &str),
) -> Result<Finding, Failure> {
    let text = settings.common.output == Output::Text;
    let standings = tokio::time::timeout(limit, room.wait(cluster, text)).await;
    let standings = standings.unwrap_or_else(|_| room.standings());
    if !text {
        output::data(settings.common.output, &data(room.commit, &standings));
    }
    verdict(room.commit, &standings, timeout)
}

/// What the wait is about, and what was seen so far.
struct Room<'a> {
    clone: &'a Worktree,
    commit: GitId,
    /// Workloads may be on their way.
    applied: bool,
    wanted: BTreeMap<String, EnvironmentConfig>,
    /// What to say of one that is not there.
    unmade: String,
    repository: Repository,
    environments: BTreeMap<String, Environment>,
}

type Standings = BTreeMap<String, Standing>;

impl Room<'_> {
    /// Returns once nothing is left to wait for. With `tell` each change of a standing is a line on stdout.
    async fn wait(&mut self, cluster: &Arc<Cluster>, tell: bool) -> Standings {
        let mut environments = cluster.watch_environments(&self.repository.spec.home);
        let mut repositories = cluster.watch_repositories();
        let (mut told, mut listed) = (Standings::new(), false);
        loop {
            tokio::select! {
                Some(event) = environments.next() => {
                    listed |= matches!(event, Event::Listed(_));
                    self.heard(event);
                }
                Some(event) = repositories.next() => self.heard_of_repositories(event),
            }
            if !listed {
                continue;
            }
            let standings = self.standings();
            let news = standings.iter().filter(|(name, standing)| told.get(*name) != Some(*standing));
            for (name, standing) in news.filter(|_| tell) {
                anstream::println!("{}", line(name, standing));
            }
            if !standings.values().any(Standing::is_open) {
                return standings;
            }
            told = standings;
        }
    }

    fn heard(&mut self, event: Event<Result<Environment, InvalidObject>>) {
        let found = match event {
            Event::Listed(found) => found,
            Event::Changed(found) => vec![found],
            // who is gone is made again; a watch that broke is told of once it is heard again
            Event::Gone(_) | Event::Broken(_) | Event::Restored => return,
        };
        for environment in found.into_iter().flatten() {
            let name = environment.metadata.name.clone().unwrap_or_default();
            self.environments.insert(name, environment);
        }
    }

    fn heard_of_repositories(&mut self, event: Event<Result<Repository, InvalidObject>>) {
        let found = match event {
            Event::Listed(found) => found,
            Event::Changed(found) => vec![found],
            Event::Gone(_) | Event::Broken(_) | Event::Restored => return,
        };
        let name = self.repository.metadata.name.clone();
        if let Some(ours) = found.into_iter().flatten().find(|found| found.metadata.name == name) {
            self.repository = ours;
        }
    }

    fn standings(&self) -> Standings {
        self.wanted.iter().map(|(name, entry)| (name.clone(), self.standing(name, entry))).collect()
    }

    fn standing(&self, name: &str, entry: &EnvironmentConfig) -> Standing {
        let Some(environment) = self.environments.get(name) else {
            return Standing::Waiting(self.unmade.clone());
        };
        let status = environment.status.clone().unwrap_or_default();
        let ready = get::ready(environment);
        let is_ready = ready.is_some_and(|ready| ready.status == "True");
        let held = ready.is_some_and(|ready| ready.reason == Reason::HeldBack.as_str());
        let record = status.head.as_ref().map(|head| format!(", record #{}", head.number)).unwrap_or_default();
        // until osier says so, which may take a minute, of a commit that changes nothing there
        let equals = self.contains(&status.commit);
        let stays = !equals && !held && self.is_covered(&status.commit, entry);
        let is_there = equals || stays;
        match ready {
            _ if is_there && (is_ready || self.applied && status.is_applied()) => Standing::Landed(if stays {
                format!("stays at {}: none of its files changed", short(&status.commit))
            } else {
                format!("equals {}{record}", short(&status.commit))
            }),
            Some(ready) if is_there && status.waits() => Standing::Waiting(ready.message.clone()),
            Some(ready) if ready.reason == Reason::CapReached.as_str() => Standing::Queued(ready.message.clone()),
            Some(ready) if ready.reason == Reason::Gone.as_str() && comes_back(environment) => {
                Standing::Waiting("it is gone, and comes back".to_owned())
            }
            _ if self.known() && held => refused(ready),
            _ if environment.spec.suspend.is_some() => refused(ready),
            _ if !is_ready && self.is_covered(&status.attempted, entry) => refused(ready),
            _ => match self.trouble() {
                Some(trouble) if self.is_suspicious(trouble) => {
                    Standing::Failed(Reason::RepositorySuspicious, trouble.message.clone())
                }
                trouble => Standing::Waiting(why_not_yet(trouble, &status.commit)),
            },
        }
    }

    /// Why the Repository's remote cannot be gone on from, if so.
    fn trouble(&self) -> Option<&Condition> {
        let mut conditions = self.repository.status.iter().flat_map(|status| &status.conditions);
        conditions.rfind(|condition| condition.kind == "Ready" && condition.status == "False")
    }

    /// True if this very commit is what is suspicious: what is told of another one says nothing of it.
    fn is_suspicious(&self, trouble: &Condition) -> bool {
        trouble.reason == Reason::RepositorySuspicious.as_str() && trouble.message.contains(&self.commit.to_string())
    }

    /// True if osier has seen the commit on the protected branch.
    fn known(&self) -> bool {
        let lanes = self.repository.status.iter().flat_map(|status| &status.lanes);
        lanes.filter_map(|lane| lane.tip.as_deref()).any(|tip| self.contains(tip))
    }

    /// True if `tip` is the commit or a later one. What the clone does not have was pushed by somebody else, and is later.
    fn contains(&self, tip: &str) -> bool {
        let Some(tip) = GitId::parse(tip) else { return false };
        let later = self.clone.objects(|objects| objects.is_ancestor(self.commit, tip));
        tip == self.commit || later.unwrap_or(false)
    }

    /// True if what is said of `tip` is true of the commit, too: it is in it, or changes nothing there.
    fn is_covered(&self, tip: &str, entry: &EnvironmentConfig) -> bool {
        self.contains(tip) || self.known() && self.unaffected(tip, entry)
    }

    /// True if the commit changes nothing that makes the environment, compared with the one that it equals.
    fn unaffected(&self, commit: &str, entry: &EnvironmentConfig) -> bool {
        let Some(before) = GitId::parse(commit) else { return false };
        let same = |layer: &LayerTree<TreeChange>| match layer {
            LayerTree::Found { entries, .. } => entries.is_empty(),
            LayerTree::Missing => true,
        };
        let compared = self.clone.objects(|objects| {
            let config = |commit| match objects.blob_at(commit, CONFIG_PATH, u64::MAX)? {
                Content::File { blob_id, .. } => Ok(Some(blob_id)),
                _ => Ok(None),
            };
            let layers = objects.changes(before, self.commit, &entry.layers)?;
            Ok(config(before)? == config(self.commit)? && layers.iter().all(|(_, layer)| same(layer)))
        });
        compared.unwrap_or(false)
    }
}

/// The environment of the branch that is checked out, if it has one and no other is named.
fn of_branch(
    config: &Config,
    args: &Args,
    repository: &Repository,
    branch: Option<&str>,
    commit: GitId,
) -> Option<(String, EnvironmentConfig)> {
    let branch = branch.filter(|branch| *branch != repository.spec.protected_branch && args.environments.is_empty())?;
    entry_of_branch(config, repository, branch, commit)
}

fn entry_of_branch(
    config: &Config,
    repository: &Repository,
    branch: &str,
    commit: GitId,
) -> Option<(String, EnvironmentConfig)> {
    let (entry, slug) = config.branch(branch)?;
    let repository = repository.metadata.name.as_deref()?;
    let name = target::branch_environment(entry, &slug, repository, branch);
    // layers of the protected branch are none of this commit's
    Some((name.clone(), entry.environment(name, commit, &config.label(branch, &slug, repository))))
}

/// The environments that the commit is for.
fn wanted(config: &Config, args: &Args) -> Result<BTreeMap<String, EnvironmentConfig>, Failure> {
    for name in &args.environments {
        target::entry(config, name)?;
    }
    let named = |name: &String| args.environments.is_empty() || args.environments.contains(name);
    Ok(config
        .environments
        .iter()
        .filter(|(name, _)| named(name))
        .map(|(name, entry)| (name.clone(), entry.clone()))
        .collect())
}

/// True if somebody has asked for a branch environment whose time was over.
fn comes_back(environment: &Environment) -> bool {
    life::is_asked_for(environment.spec.expires.as_ref(), Timestamp::now())
}

fn why_not_yet(trouble: Option<&Condition>, commit: &str) -> String {
    match trouble {
        Some(trouble) => format!("{}: {}", trouble.reason, trouble.message),
        None if commit.is_empty() => "nothing has been applied yet".to_owned(),
        None => format!("is at {}", short(commit)),
    }
}

/// What the conditions say, unless it may pass by itself.
fn refused(ready: Option<&Condition>) -> Standing {
    let Some(ready) = ready else { return Standing::Waiting("nothing is known of it yet".to_owned()) };
    match Reason::parse(&ready.reason) {
        Some(reason) if !passes(reason) => Standing::Failed(reason, ready.message.clone()),
        _ => Standing::Waiting(format!("{}: {}", ready.reason, ready.message)),
    }
}

/// True for what ends without anybody doing something.
fn passes(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Applied
            | Reason::RepositoryUnreachable
            | Reason::ServerUnavailable
            | Reason::Conflict
            | Reason::Interrupted
            | Reason::CheckPending
            | Reason::Flapping
            | Reason::NamespaceTerminating
            // a branch may be pushed again before its environment is gone
            | Reason::Expiring
    )
}

fn line(name: &str, standing: &Standing) -> String {
    match standing {
        Standing::Landed(text) => format!("✓ {name} {text}"),
        Standing::Waiting(text) => format!("◎ {name} {text}"),
        Standing::Queued(text) => format!("◎ {name} {}: {text}", Reason::CapReached),
        Standing::Failed(reason, text) => format!("✗ {name} {reason}: {text}"),
    }
}

fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}

fn data(commit: GitId, standings: &Standings) -> serde_json::Value {
    let of = |(name, standing): (&String, &Standing)| {
        let (state, reason, message) = match standing {
            Standing::Landed(text) => ("landed", None, text),
            Standing::Waiting(text) => ("waiting", None, text),
            Standing::Queued(text) => ("waiting", Some(Reason::CapReached.as_str()), text),
            Standing::Failed(reason, text) => ("failed", Some(reason.as_str()), text),
        };
        json!({"name": name, "state": state, "reason": reason, "message": message})
    };
    json!({"kind": "Wait", "commit": commit.to_string(), "environments": standings.iter().map(of).collect::<Vec<_>>()})
}

/// The gravest standing decides.
fn verdict(commit: GitId, standings: &Standings, timeout: &str) -> Result<Finding, Failure> {
    let failed = standings.iter().find_map(|(name, standing)| match standing {
        Standing::Failed(reason, text) => Some((name, *reason, text)),
        _ => None,
    });
    if let Some((name, reason, text)) = failed {
        let message = format!("{} has not landed in `{name}`: {text}", commit.short());
        // what keeps a Repository keeps all of its environments, and none of them knows of it
        let hint = match reason {
            Reason::RepositorySuspicious => advice::fix(reason.as_str(), name, ""),
            _ => format!("osier why {name}"),
        };
        return Err(Failure::new(message, reason, Some(hint)));
    }
    let Some((name, standing)) = standings.iter().find(|(_, standing)| standing.is_open()) else {
        return Ok(Finding::Nothing);
    };
    let message = format!("{} has not landed in `{name}` within {timeout}", commit.short());
    if let Standing::Queued(text) = standing {
        return Err(Failure::timed_out(
            format!("{message}: {text}"),
            advice::fix(Reason::CapReached.as_str(), name, ""),
        ));
    }
    let hint = format!("osier why {name}; is it pushed? does the service run? `osier wait --timeout` waits longer");
    Err(Failure::timed_out(message, hint))
}
