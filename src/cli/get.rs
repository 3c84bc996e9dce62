//! `osier get`: the environments of a Repository.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use jiff::Timestamp;
use serde_json::json;

use crate::cli::failure::{Failure, Finding};
use crate::cli::{context, output, times};
use crate::cluster::Cluster;
use crate::cluster::watch::Event;
use crate::model::environment::{Condition, Environment};
use crate::reconcile::error::sentence;
use crate::report::table::table;
use crate::settings::{Output, Settings};

/// List environments and how they stand.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: osier get")]
pub struct Args {
    /// Only these.
    pub environments: Vec<String>,
    /// Go on and print what changes.
    #[arg(short, long)]
    pub watch: bool,
}

const HEADER: &[&str] = &["ENVIRONMENT", "NAMESPACE", "READY", "REASON", "COMMIT", "RECORD", "SINCE", "HOLD"];

/// Prints one line an environment.
///
/// # Errors
/// The API server fails.
pub async fn run(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    let cluster = context::cluster(settings).await?;
    let repository = context::repository(settings, &cluster).await?;
    let home = &repository.spec.home;
    let mut environments = cluster.environments(home).await?;
    let mut wanted = Vec::new();
    for named in &args.environments {
        wanted.push(name(&context::environment(&cluster, home, named).await?));
    }
    if !wanted.is_empty() {
        environments.retain(|environment| wanted.contains(&name(environment)));
    }
    print(settings.common.output, &environments);
    if args.watch {
        follow(settings, &wanted, Arc::new(cluster), home, environments).await;
    }
    Ok(Finding::Nothing)
}

fn print(format: Output, environments: &[Environment]) {
    match format {
        Output::Text => anstream::print!("{}", text(environments, Timestamp::now())),
        format => {
            let data = |environment: &Environment| json!({"name": environment.metadata.name, "spec": environment.spec, "status": environment.status});
            output::data(
                format,
                &json!({"kind": "Environments", "environments": environments.iter().map(data).collect::<Vec<_>>()}),
            );
        }
    }
}

/// Prints the line of each environment again when it says something else, until Ctrl-C.
async fn follow(settings: &Settings, wanted: &[String], cluster: Arc<Cluster>, home: &str, known: Vec<Environment>) {
    let now = Timestamp::now();
    let shown = |environment: &Environment| row(environment, now);
    let mut rows: BTreeMap<String, Vec<String>> = known.iter().map(|known| (name(known), shown(known))).collect();
    let mut events = cluster.watch_environments(home);
    while let Some(event) = events.next().await {
        let found = match event {
            Event::Listed(found) => found,
            Event::Changed(found) => vec![found],
            Event::Gone(found) => {
                let gone = found.ok().map(|gone| name(&gone)).filter(|gone| rows.remove(gone).is_some());
                if let Some(gone) = gone {
                    anstream::eprintln!("{gone} is gone");
                }
                continue;
            }
            Event::Broken(error) => {
                anstream::eprintln!("{}", sentence(&error));
                continue;
            }
            Event::Restored => continue,
        };
        let wanted = |found: &Environment| wanted.is_empty() || wanted.contains(&name(found));
        for environment in found.into_iter().flatten().filter(wanted) {
            // the age alone is no news: it is compared as of the start
            if rows.insert(name(&environment), shown(&environment)) == Some(shown(&environment)) {
                continue;
            }
            match settings.common.output {
                Output::Text => anstream::println!("{}", line(&environment, rows.clone())),
                format => print(format, &[environment]),
            }
        }
    }
}

/// The line of one environment, in columns as wide as those of all.
fn line(environment: &Environment, mut rows: BTreeMap<String, Vec<String>>) -> String {
    rows.insert(name(environment), row(environment, Timestamp::now()));
    let at = rows.keys().position(|other| *other == name(environment)).unwrap_or_default();
    let rows: Vec<Vec<String>> = rows.into_values().collect();
    table(HEADER, &rows).lines().nth(at + 1).unwrap_or_default().to_owned()
}

fn name(environment: &Environment) -> String {
    environment.metadata.name.clone().unwrap_or_default()
}

/// The Ready condition.
pub fn ready(environment: &Environment) -> Option<&Condition> {
    environment.status.as_ref()?.ready()
}

/// Whether the environment is held, or somebody has just asked for that or for its end; empty if it is not.
pub fn held(environment: &Environment) -> &'static str {
    let status = environment.status.as_ref().and_then(|status| status.hold.as_ref());
    match (&environment.spec.hold, status) {
        (Some(hold), Some(status)) if status.carries_out(hold) && status.ended => "",
        (Some(hold), Some(status)) if status.carries_out(hold) => "held",
        (Some(_), _) => "hold asked for",
        (None, Some(status)) if !status.ended => "release asked for",
        (None, _) => "",
    }
}

fn text(environments: &[Environment], now: Timestamp) -> String {
    let rows: Vec<Vec<String>> = environments.iter().map(|environment| row(environment, now)).collect();
    table(HEADER, &rows)
}

fn row(environment: &Environment, now: Timestamp) -> Vec<String> {
    let status = environment.status.clone().unwrap_or_default();
    let ready = ready(environment);
    let held = if environment.spec.suspend.is_some() { "suspended" } else { held(environment) };
    vec![
        name(environment),
        status.namespace,
        ready.map_or_else(|| "Unknown".to_owned(), |ready| ready.status.clone()),
        ready.map(|ready| ready.reason.clone()).unwrap_or_default(),
        status.commit.chars().take(7).collect(),
        status.head.map_or_else(String::new, |head| format!("#{}", head.number)),
        ready.map(|ready| times::ago(&ready.last_transition_time, now)).unwrap_or_default(),
        held.to_owned(),
    ]
}
