//! `osier get`: the environments of a Repository.

use jiff::Timestamp;
use serde_json::json;

use crate::cli::failure::{Failure, Finding};
use crate::cli::{context, output, times};
use crate::model::environment::{Condition, Environment};
use crate::report::table::table;
use crate::settings::{Output, Settings};

/// List environments and how they stand.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: osier get")]
pub struct Args {
    /// Only these.
    pub environments: Vec<String>,
}

/// Prints one line an environment.
///
/// # Errors
/// The API server fails.
pub async fn run(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    let cluster = context::cluster(settings).await?;
    let repository = context::repository(settings, &cluster).await?;
    let mut environments = cluster.environments(&repository.spec.home).await?;
    if !args.environments.is_empty() {
        for name in &args.environments {
            context::environment(&cluster, &repository.spec.home, name).await?;
        }
        environments.retain(|environment| {
            environment.metadata.name.as_ref().is_some_and(|name| args.environments.contains(name))
        });
    }
    match settings.common.output {
        Output::Text => anstream::print!("{}", text(&environments, Timestamp::now())),
        format => {
            let data = |environment: &Environment| json!({"name": environment.metadata.name, "spec": environment.spec, "status": environment.status});
            output::data(
                format,
                &json!({"kind": "Environments", "environments": environments.iter().map(data).collect::<Vec<_>>()}),
            );
        }
    }
    Ok(Finding::Nothing)
}

/// The Ready condition.
pub fn ready(environment: &Environment) -> Option<&Condition> {
    environment.status.as_ref()?.conditions.iter().find(|condition| condition.kind == "Ready")
}

fn text(environments: &[Environment], now: Timestamp) -> String {
    let rows: Vec<Vec<String>> = environments
        .iter()
        .map(|environment| {
            let status = environment.status.clone().unwrap_or_default();
            let ready = ready(environment);
            let held = if environment.spec.suspend.is_some() {
                "suspended"
            } else if status.hold.as_ref().is_some_and(|hold| !hold.ended) {
                "held"
            } else {
                ""
            };
            vec![
                environment.metadata.name.clone().unwrap_or_default(),
                status.namespace,
                ready.map_or_else(|| "Unknown".to_owned(), |ready| ready.status.clone()),
                ready.map(|ready| ready.reason.clone()).unwrap_or_default(),
                status.commit.chars().take(7).collect(),
                status.head.map_or_else(String::new, |head| format!("#{}", head.number)),
                ready.map(|ready| times::ago(&ready.last_transition_time, now)).unwrap_or_default(),
                held.to_owned(),
            ]
        })
        .collect();
    table(&["ENVIRONMENT", "NAMESPACE", "READY", "REASON", "COMMIT", "RECORD", "SINCE", "HOLD"], &rows)
}
