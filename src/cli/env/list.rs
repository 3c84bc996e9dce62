//! `osier env list`: the environments of branches, a line each.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::env::{branch, standing};
use crate::cli::failure::{Failure, Finding};
use crate::cli::{context, get, output, times};
use crate::model::environment::{Environment, EnvironmentStatus, Lane};
use crate::model::reason::Reason;
use crate::report::table::table;
use crate::settings::{Output, Settings};

const HEADER: &[&str] = &["BRANCH", "STATUS", "COMMIT", "AGE", "ENDS", "ENVIRONMENT", "ADDRESS"];

/// Prints one line an environment.
///
/// # Errors
/// The API server fails.
pub async fn run(settings: &Settings) -> Result<Finding, Failure> {
    let cluster = context::cluster(settings).await?;
    let repository = context::repository(settings, &cluster).await?;
    let mut environments = cluster.environments(&repository.spec.home).await?;
    environments.retain(|environment| environment.lane() == Some(Lane::Branches));
    environments.sort_by(|one, other| branch(one).cmp(branch(other)));
    match settings.common.output {
        Output::Text => anstream::print!("{}", text(&environments, Timestamp::now())),
        format => {
            let all: Vec<Value> = environments.iter().map(data).collect();
            output::data(format, &json!({"kind": "BranchEnvironments", "environments": all}));
        }
    }
    Ok(Finding::Nothing)
}

/// What programs get of one environment.
pub fn data(environment: &Environment) -> Value {
    let EnvironmentStatus { commit, namespace, address, life, ignored, .. } =
        environment.status.clone().unwrap_or_default();
    let ready = get::ready(environment);
    let life = life.unwrap_or_default();
    json!({
        "name": environment.metadata.name, "branch": environment.branch(), "status": standing(environment), "namespace": namespace,
        "reason": ready.map(|ready| &ready.reason), "message": ready.map(|ready| &ready.message), "commit": commit,
        "created": environment.metadata.creation_timestamp, "pushed": Some(life.seen).filter(|seen| !seen.is_empty()), "ends": life.ends,
        "expires": environment.spec.expires, "address": address, "ignored": ignored,
    })
}

fn text(environments: &[Environment], now: Timestamp) -> String {
    let rows: Vec<Vec<String>> = environments.iter().map(|environment| row(environment, now)).collect();
    table(HEADER, &rows)
}

fn row(environment: &Environment, now: Timestamp) -> Vec<String> {
    let status = environment.status.clone().unwrap_or_default();
    let is_gone = get::ready(environment).is_some_and(|ready| ready.reason == Reason::Gone.as_str());
    let ends = status.life.and_then(|life| life.ends).filter(|_| !is_gone);
    let created = environment.metadata.creation_timestamp.as_ref();
    vec![
        branch(environment).to_owned(),
        standing(environment).to_owned(),
        status.commit.chars().take(7).collect(),
        created.map(|created| times::ago(&created.0.to_string(), now)).unwrap_or_default(),
        ends.map(|ends| times::left(&ends, now)).unwrap_or_default(),
        environment.metadata.name.clone().unwrap_or_default(),
        status.address.unwrap_or_default(),
    ]
}
