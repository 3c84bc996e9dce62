//! `osier env`: the environments of branches.

pub mod end;
pub mod list;
pub mod open;
pub mod show;

use clap::Subcommand;

use crate::cli::failure::{Failure, Finding};
use crate::cli::{context, get, wait};
use crate::cluster::Cluster;
use crate::model::environment::{Environment, EnvironmentStatus, Lane};
use crate::model::reason::Reason;
use crate::model::repository::Repository;
use crate::settings::Settings;

/// List the environments of branches, wait for them, and say when they end.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: osier env list\n         git push && osier env wait && osier env open")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// List the environments of branches.
    #[command(after_help = "Example: osier env list")]
    List,
    /// Show how one stands, where it is and when it ends.
    #[command(after_help = "Example: osier env show feature/checkout")]
    Show(Named),
    /// Wait until the newest commit of a branch has landed.
    #[command(after_help = "Example: git push && osier env wait")]
    Wait(WaitArgs),
    /// Print the address of one, and bring it back if its time was over.
    #[command(after_help = "Example: osier env open feature/checkout")]
    Open(open::OpenArgs),
    /// Let one live longer.
    #[command(after_help = "Example: osier env extend --for 24h --reason 'demo on Friday'")]
    Extend(end::ExtendArgs),
    /// End one now; the next push brings it back.
    #[command(after_help = "Example: osier env expire feature/checkout")]
    Expire(end::ExpireArgs),
    /// End one now, and wait until it is gone.
    #[command(after_help = "Example: osier env delete feature/checkout --yes")]
    Delete(end::DeleteArgs),
}

/// Which environment is meant.
#[derive(clap::Args, Debug)]
pub struct Named {
    /// A branch, or the name of its environment [default: the branch that is checked out].
    #[arg(value_name = "BRANCH|NAME")]
    pub environment: Option<String>,
}

/// Arguments of `osier env wait`.
#[derive(clap::Args, Debug)]
struct WaitArgs {
    #[command(flatten)]
    named: Named,
    /// Do not wait for workloads: applied is enough.
    #[arg(long)]
    applied: bool,
    /// How long to wait at most, such as `30s` or `5m`.
    #[arg(long, value_name = "TIME", default_value = "5m")]
    timeout: String,
}

/// Does one of these.
///
/// # Errors
/// There is no such environment, the API server refuses, or the time is over.
pub async fn run(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    match &args.command {
        Command::List => list::run(settings).await,
        Command::Show(named) => show::run(settings, named).await,
        Command::Wait(args) => waits(settings, args).await,
        Command::Open(args) => open::run(settings, args).await,
        Command::Extend(args) => end::extend(settings, args).await,
        Command::Expire(args) => end::expire(settings, args).await,
        Command::Delete(args) => end::delete(settings, args).await,
    }
}

/// The environment that is meant.
///
/// # Errors
/// There is none of that name or branch, or it is one of `osier.yaml`.
pub async fn find(
    settings: &Settings,
    cluster: &Cluster,
    repository: &Repository,
    named: &Named,
) -> Result<Environment, Failure> {
    let wanted = wanted(settings, named)?;
    let environment = context::environment(cluster, &repository.spec.home, &wanted).await?;
    if environment.lane() != Some(Lane::Branches) {
        let message = format!("`{wanted}` is an environment of osier.yaml, and no branch's");
        return Err(Failure::usage(message, format!("osier why {wanted}; osier env list")));
    }
    Ok(environment)
}

/// How an environment stands, in a word.
pub fn standing(environment: &Environment) -> &'static str {
    let EnvironmentStatus { head, life, .. } = environment.status.clone().unwrap_or_default();
    let Some(ready) = get::ready(environment) else { return "Pending" };
    let is_near = life.is_some_and(|life| life.warned.is_some());
    let is_first = head.is_none_or(|head| head.number <= 1);
    match Reason::parse(&ready.reason) {
        Some(Reason::CapReached) => "Pending",
        Some(Reason::Gone) => "Gone",
        Some(Reason::Suspended) => "Suspended",
        Some(Reason::NamespaceTerminating) => "Terminating",
        Some(Reason::Expiring) => "Expiring",
        _ if ready.status == "True" && is_near => "Expiring",
        _ if ready.status == "True" => "Ready",
        Some(Reason::Applied | Reason::HeldBack | Reason::CheckPending) if is_first => "Creating",
        Some(Reason::Applied | Reason::HeldBack | Reason::CheckPending) => "Updating",
        _ => "Blocked",
    }
}

/// The branch of an environment, or its name.
pub fn branch(environment: &Environment) -> &str {
    environment.branch().or(environment.metadata.name.as_deref()).unwrap_or_default()
}

fn wanted(settings: &Settings, named: &Named) -> Result<String, Failure> {
    if let Some(wanted) = &named.environment {
        return Ok(wanted.clone());
    }
    let branch = context::clone(settings)?.branch();
    branch.ok_or_else(|| Failure::usage("no branch is checked out", "name a branch, or one of `osier env list`"))
}

async fn waits(settings: &Settings, args: &WaitArgs) -> Result<Finding, Failure> {
    let wanted = wanted(settings, &args.named)?;
    wait::for_branch(settings, &wanted, args.applied, &args.timeout).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::environment::EnvironmentSpec;

    /// An environment whose Ready says this; `record`: the number of its newest Record.
    fn environment(ready: Option<(&str, &str)>, record: Option<u64>, warned: bool) -> Environment {
        let conditions = ready.map(
            |(status, reason)| json!({"type": "Ready", "status": status, "reason": reason, "lastTransitionTime": ""}),
        );
        let head = record.map(|number| json!({"number": number, "hash": ""}));
        let life = json!({"tip": "", "seen": "", "warned": warned.then_some("2026-11-21T00:00:00Z")});
        let status = json!({"conditions": Vec::from_iter(conditions), "head": head, "life": life});
        let mut environment = Environment::new("it", EnvironmentSpec::default());
        environment.status = Some(serde_json::from_value(status).expect("as the service writes it"));
        environment
    }

    #[test]
    fn how_an_environment_stands_in_a_word() {
        let (yes, no) = ("True", "False");
        let cases = [
            (None, None, false, "Pending"),
            (Some((no, "CapReached")), None, false, "Pending"),
            (Some((no, "CapReached")), Some(3), false, "Pending"),
            // the first revision is applied, and its workloads are not ready
            (Some((no, "Applied")), None, false, "Creating"),
            (Some((no, "CheckPending")), None, false, "Creating"),
            (Some((no, "Applied")), Some(1), false, "Creating"),
            (Some((no, "Applied")), Some(2), false, "Updating"),
            (Some((no, "HeldBack")), Some(2), false, "Updating"),
            (Some((no, "CheckPending")), Some(7), false, "Updating"),
            (Some((yes, "Applied")), Some(1), false, "Ready"),
            (Some((yes, "HeldBack")), Some(2), false, "Ready"),
            // its end is near, or has begun
            (Some((yes, "Applied")), Some(1), true, "Expiring"),
            (Some((no, "Expiring")), Some(1), false, "Expiring"),
            (Some((no, "Applied")), Some(2), true, "Updating"),
            (Some((no, "NamespaceTerminating")), Some(1), true, "Terminating"),
            (Some((no, "Gone")), Some(1), true, "Gone"),
            (Some((no, "Suspended")), Some(1), true, "Suspended"),
            (Some((no, "ProblemsFound")), None, false, "Blocked"),
            (Some((no, "CannotDecrypt")), Some(4), false, "Blocked"),
            (Some((no, "CheckFailed")), Some(4), true, "Blocked"),
            (Some((no, "NameTaken")), None, false, "Blocked"),
            (Some((no, "MassDeletionHeld")), Some(1), false, "Blocked"),
            (Some((no, "SaidByALaterVersion")), Some(1), false, "Blocked"),
        ];
        for (ready, record, warned, word) in cases {
            let found = environment(ready, record, warned);
            assert_eq!(standing(&found), word, "{ready:?}, record {record:?}, warned {warned}");
        }
        let untold = Environment::new("it", EnvironmentSpec::default());
        assert_eq!(standing(&untold), "Pending");
    }
}
