//! `osier env show`: how one environment of a branch stands.

use jiff::Timestamp;
use serde_json::json;

use crate::cli::env::{self, Named, branch, list, standing};
use crate::cli::failure::{Failure, Finding};
use crate::cli::{context, get, output, times, why};
use crate::cluster::Cluster;
use crate::controller::branches::is_idle;
use crate::desired::config::Config;
use crate::git::worktree::Worktree;
use crate::model::environment::{Environment, Lane};
use crate::model::reason::Reason;
use crate::model::repository::Repository;
use crate::model::tree::GitId;
use crate::reconcile::source::Source;
use crate::reconcile::target;
use crate::report::style;
use crate::settings::{Output, Settings};

/// What the clone at hand adds, as far as it has the commits.
#[derive(Default)]
struct Around {
    /// Commits of the protected branch that the environment's does not have.
    behind: Option<usize>,
    /// How many environments its entry has, and how many it may have.
    cap: Option<(usize, u64)>,
    /// How many the Repository has, and how many it may have.
    all: Option<(usize, u64)>,
}

/// Prints it.
///
/// # Errors
/// There is no such environment, or the API server fails.
pub async fn run(settings: &Settings, named: &Named) -> Result<Finding, Failure> {
    let cluster = context::cluster(settings).await?;
    let repository = context::repository(settings, &cluster).await?;
    let environment = env::find(settings, &cluster, &repository, named).await?;
    let around = around(settings, &cluster, &repository, &environment).await?;
    match settings.common.output {
        Output::Text => anstream::print!("{}", text(&environment, &around, &repository.spec.protected_branch)),
        format => {
            let mut data = list::data(&environment);
            data["behind"] = json!(around.behind);
            let cap =
                |cap: Option<(usize, u64)>| json!(cap.map(|(there, max)| json!({"environments": there, "max": max})));
            (data["cap"], data["repositoryCap"]) = (cap(around.cap), cap(around.all));
            data["kind"] = "BranchEnvironment".into();
            output::data(format, &data);
        }
    }
    Ok(Finding::Nothing)
}

fn text(environment: &Environment, around: &Around, protected: &str) -> String {
    let status = environment.status.clone().unwrap_or_default();
    let name = environment.metadata.name.clone().unwrap_or_default();
    let now = Timestamp::now();
    let mut lines = vec![format!("{}: {}", branch(environment), standing(environment))];
    let mut line = |title: &str, text: String| lines.push(format!("  {title:<12}{text}"));
    line("environment", name.clone());
    let commit = status.commit.get(..7).unwrap_or("nothing");
    let behind = match around.behind {
        Some(0) => format!(", with all of {protected}"),
        Some(behind) => format!(", {} behind {protected}", style::count(behind, "commit")),
        None => String::new(),
    };
    line("commit", format!("{commit}{behind}"));
    if let Some(ready) = get::ready(environment) {
        let (message, why) = style::halves(&ready.message);
        line("reason", format!("{}: {message}", ready.reason));
        if let Some(why) = why {
            line("", why.to_owned());
        }
    }
    if let Some(suspend) = &environment.spec.suspend {
        line("suspended", format!("by {}: {}", suspend.by, suspend.reason));
    }
    if let Some(address) = &status.address {
        line("address", address.clone());
    }
    if let Some(ignored) = why::ignored(&status) {
        line("ignored", ignored);
    }
    line("ends", ends(environment, now));
    if let Some((there, max)) = around.cap {
        line("cap", format!("{there} of at most {max} environments are there"));
    }
    if let Some((there, max)) = around.all {
        line("in all", format!("{there} of at most {max} environments of branches are there"));
    }
    if let Some(ready) = get::ready(environment) {
        line("fix", why::fix(&name, environment, ready));
    }
    lines.join("\n") + "\n"
}

fn ends(environment: &Environment, now: Timestamp) -> String {
    if get::ready(environment).is_some_and(|ready| ready.reason == Reason::Gone.as_str()) {
        return "it is gone".to_owned();
    }
    let life = environment.status.as_ref().and_then(|status| status.life.clone()).unwrap_or_default();
    let Some(ends) = life.ends else { return "with its branch".to_owned() };
    let left = times::left(&ends, now);
    match environment.spec.expires.as_ref().filter(|expires| expires.at == ends) {
        Some(expires) => format!("{ends} ({left}), says {}: {}", expires.by, expires.reason),
        None => format!("{ends} ({left}), unless somebody pushes"),
    }
}

/// Best effort: a clone that does not have the commits says nothing of them.
async fn around(
    settings: &Settings,
    cluster: &Cluster,
    repository: &Repository,
    environment: &Environment,
) -> Result<Around, Failure> {
    let environments = cluster.environments(&repository.spec.home).await?;
    let there: Vec<&Environment> =
        environments.iter().filter(|it| it.lane() == Some(Lane::Branches) && !is_idle(it)).collect();
    let all = repository.spec.caps.branch_environments.map(|max| (there.len(), max));
    let alone = Around { all, ..Around::default() };
    let lanes = repository.status.iter().flat_map(|status| &status.lanes);
    let Some(main) = lanes.filter_map(|lane| lane.tip.as_deref()).next_back().and_then(GitId::parse) else {
        return Ok(alone);
    };
    let Ok(clone) = context::clone(settings) else { return Ok(alone) };
    let alone = Around { behind: behind(&clone, environment, main), ..alone };
    let Ok(config) = target::config(&Source::Clone(clone, main)).await else { return Ok(alone) };
    Ok(Around { cap: cap(&config, environment, &there), ..alone })
}

fn behind(clone: &Worktree, environment: &Environment, main: GitId) -> Option<usize> {
    let commit = GitId::parse(&environment.status.as_ref()?.commit)?;
    clone.objects(|objects| objects.count_between(commit, main)).ok()
}

fn cap(config: &Config, environment: &Environment, there: &[&Environment]) -> Option<(usize, u64)> {
    let line = |of: &Environment| Some(config.branch(of.branch()?)?.0.line);
    let max = config.branch(environment.branch()?)?.0.max?;
    let there = there.iter().filter(|other| line(other) == line(environment)).count();
    Some((there, max.get().into()))
}
