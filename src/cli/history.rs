//! `osier history`: what was applied.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::failure::{Failure, Finding};
use crate::cli::{context, output, times};
use crate::cluster::Cluster;
use crate::model::record::Record;
use crate::model::repository::Repository;
use crate::model::wire;
use crate::reconcile::history::{self, Chain};
use crate::report::table::table;
use crate::settings::{Output, Settings};

/// List what was applied to an environment, newest first.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: osier history staging")]
pub struct Args {
    /// The environment.
    pub environment: String,
    /// At most so many.
    #[arg(long, default_value_t = 20)]
    pub limit: usize,
}

/// Prints the Records; forged ones are named on stderr.
///
/// # Errors
/// The environment is not there, or the API server fails.
pub async fn run(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    let cluster = context::cluster(settings).await?;
    let repository = context::repository(settings, &cluster).await?;
    let home = &repository.spec.home;
    let environment = context::environment(&cluster, home, &args.environment).await?;
    let name = environment.metadata.name.as_deref().unwrap_or_default();
    let mut records = cluster.records(home, name).await?;
    records.sort_by_key(|record| std::cmp::Reverse(record.spec.number));
    warn_of_forged(&cluster, &repository, &records, name).await?;
    records.truncate(args.limit);
    match settings.common.output {
        Output::Text => anstream::print!("{}", text(&records, Timestamp::now())),
        format => output::data(
            format,
            &json!({"kind": "History", "environment": name, "records": records.iter().map(data).collect::<Vec<_>>()}),
        ),
    }
    Ok(Finding::Nothing)
}

/// The table; `*` marks the head.
fn text(records: &[Record], now: Timestamp) -> String {
    let head = records.iter().find(|record| history::result(record).is_some()).map(|record| record.spec.number);
    let rows: Vec<Vec<String>> = records
        .iter()
        .map(|record| {
            let spec = &record.spec;
            let mark = if Some(spec.number) == head { " *" } else { "" };
            let why = if spec.reason.is_empty() { String::new() } else { format!("{} ({})", spec.reason, spec.by) };
            vec![
                format!("#{}{mark}", spec.number),
                spec.commit.chars().take(7).collect(),
                times::ago(&spec.started_at, now),
                history::kind(spec.kind).to_owned(),
                spec.author.clone(),
                counts(record),
                result(record),
                why,
            ]
        })
        .collect();
    table(&["RECORD", "COMMIT", "AGE", "KIND", "AUTHOR", "CHANGES", "RESULT", "WHY"], &rows)
}

fn counts(record: &Record) -> String {
    let counts = record.status.iter().flat_map(|status| &status.counts);
    let counts: Vec<String> = counts.map(|(verb, number)| format!("{number} {verb}")).collect();
    counts.join(", ")
}

fn result(record: &Record) -> String {
    history::result(record).map_or_else(|| "Pending".to_owned(), |result| format!("{result:?}"))
}

fn data(record: &Record) -> Value {
    json!({"name": record.metadata.name, "spec": record.spec, "status": record.status})
}

async fn warn_of_forged(
    cluster: &Cluster,
    repository: &Repository,
    records: &[Record],
    environment: &str,
) -> Result<(), Failure> {
    // the seal needs the fingerprint key, which viewers may not read: they see the history without its proof
    let Ok(key) = cluster.fingerprint_key(&repository.spec.home).await else {
        tracing::info!("seals are not verified: the Secret {} cannot be read", wire::FINGERPRINT_SECRET.0);
        return Ok(());
    };
    let name = repository.metadata.name.as_deref().unwrap_or_default();
    let reference = records.last().map_or("", |record| &record.spec.reference);
    let of_branch = wire::is_of_branch(environment, name, reference);
    let followed = if of_branch { reference.to_owned() } else { format!("env:{environment}") };
    let id = wire::environment_id(&repository.spec.home, name, &followed);
    for number in Chain::new(records.to_vec(), &id, &key).forged {
        anstream::eprintln!("warning: record #{number} is forged: its seal or its place in the chain does not fit");
    }
    Ok(())
}
