//! `osier rollback`: go back, and stay there.

use jiff::Timestamp;

use crate::cli::failure::{Failure, Finding};
use crate::cli::{apply, approve, ask, context, times};
use crate::model::environment::{Allow, Environment, EnvironmentSpec, Hold};
use crate::model::record::{Record, RecordResult};
use crate::reconcile::world::World;
use crate::reconcile::{Ask, history, prepare};
use crate::report::plan::{self, Detail};
use crate::settings::Settings;

/// Go back to an earlier record, commit or time, and stay there until the branch no longer has what was rolled back.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: osier rollback production --to '#41' --reason 'checkout is slow'")]
pub struct Args {
    /// The environment.
    pub environment: String,
    /// A record `#n`, a commit, or a time (`2h` ago, or a moment): what was applied then.
    #[arg(long, value_name = "#N|REV|TIME")]
    pub to: String,
    /// Why.
    #[arg(long)]
    pub reason: String,
    /// Show what it would do, and stop.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
}

/// Shows the plan, writes `spec.hold` and the digest that was shown, and applies.
///
/// # Errors
/// There is nothing to go back to, the person says no, or it cannot be carried out.
pub async fn run(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    let mut world = context::world(settings).await?;
    let home = world.home().to_owned();
    let environment = context::environment(&world.cluster, &home, &args.environment).await?;
    let records = world.cluster.records(&home, &args.environment).await?;
    let by = world.cluster.who_am_i().await?;
    let reason = again(&environment, &args.reason);
    let hold = |to: &str| Some(Hold { to: to.to_owned(), until: None, by: by.clone(), reason: reason.clone() });
    let mut ask = Ask { hold: hold(&args.to), ..Ask::by_person(&args.environment) };
    // commits are looked up after the mirror has seen the remote
    let start = prepare::begin(&mut world, &ask).await?;
    let to = target(&world, &records, &world.memory[&args.environment].chain.forged, &args.to).await?;
    ask.hold = hold(&to);
    let prepared = prepare::prepare(&mut world, &ask, start).await?;
    anstream::print!("{}", plan::text(&prepared.plan, Detail::Changes));
    taken_back(&world, &records, &prepared.target.commit.to_string()).await?;
    if args.dry_run {
        return Ok(Finding::Nothing);
    }
    ask::confirm(
        args.yes,
        &format!("Roll {} back to {to} ({})?", args.environment, prepared.target.commit.short()),
        &args.environment,
    )?;
    let digest = prepared.plan.digest.clone();
    let allow = Allow { digest, by: by.clone(), reason: format!("rollback: {}", args.reason) };
    let change = |spec: &mut EnvironmentSpec| {
        spec.hold = hold(&to);
        approve::add(&mut spec.allow, &allow);
    };
    world.cluster.change_environment(&environment, change).await?;
    world.memory.clear();
    apply::shown(settings, world, &args.environment).await
}

/// The reason; in the very words of a rollback that has ended, the same wish would not be told from that one.
fn again(environment: &Environment, reason: &str) -> String {
    let before = environment.status.as_ref().and_then(|status| status.hold.as_ref());
    let same = before.is_some_and(|before| before.ended && before.reason == reason);
    if same { format!("{reason} (again)") } else { reason.to_owned() }
}

/// `#n` for a record or a time, the full id for a commit.
async fn target(world: &World, records: &[Record], forged: &[u64], to: &str) -> Result<String, Failure> {
    if let Some(number) = to.strip_prefix('#') {
        let found = records.iter().any(|record| record.spec.number.to_string() == number);
        return if found {
            Ok(to.to_owned())
        } else {
            Err(Failure::usage(format!("there is no record {to}"), "see `osier history`"))
        };
    }
    let text = to.to_owned();
    if let Ok(commit) = world.mirror.read(move |objects| objects.resolve(&text)).await {
        return Ok(commit.to_string());
    }
    let moment = times::past(to).ok_or_else(|| {
        Failure::usage(
            format!("`{to}` is no record, commit or time"),
            "write #41, a commit, 2h, or 2026-12-01T08:00:00Z",
        )
    })?;
    at_time(records, forged, moment)
        .ok_or_else(|| Failure::usage(format!("nothing was applied before {moment}"), "see `osier history`"))
}

/// The record that was in force at a moment.
fn at_time(records: &[Record], forged: &[u64], moment: Timestamp) -> Option<String> {
    let own = records.iter().filter(|record| !forged.contains(&record.spec.number));
    let applied = own.filter(|record| history::result(record) == Some(RecordResult::Applied));
    let finished = |record: &&Record| {
        let finished = record.status.as_ref().and_then(|status| status.finished_at.parse::<Timestamp>().ok());
        finished.is_some_and(|finished| finished <= moment)
    };
    applied.filter(finished).max_by_key(|record| record.spec.number).map(|record| format!("#{}", record.spec.number))
}

/// Lists whose later commits the rollback takes back.
async fn taken_back(world: &World, records: &[Record], to: &str) -> Result<(), Failure> {
    let Some(head) = records.iter().max_by_key(|record| record.spec.number) else { return Ok(()) };
    let ids = (crate::model::tree::GitId::parse(&head.spec.commit), crate::model::tree::GitId::parse(to));
    let (Some(head), Some(to)) = ids else { return Ok(()) };
    let commits = world.mirror.read(move |objects| objects.log(head, Some(to), 20)).await?;
    for commit in commits {
        anstream::println!("takes back  {}  {}  {}", commit.commit_id.short(), commit.summary, commit.author);
    }
    Ok(())
}
