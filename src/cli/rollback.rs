//! `osier rollback`: go back, and stay there.

use crate::cli::failure::{Failure, Finding};
use crate::cli::in_cluster::Asking;
use crate::cli::{apply, approve, ask, context, in_cluster, times};
use crate::model::asked::TakenBack;
use crate::model::environment::{Allow, Environment, EnvironmentSpec, Hold};
use crate::model::record::Record;
use crate::reconcile::world::World;
use crate::reconcile::{Ask, prepare, subject, target};
use crate::report::plan::{self, Detail};
use crate::settings::{Output, Settings};

/// Go back to an earlier record, commit or time, and stay there until the branch no longer has what was rolled back.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Example: osier rollback production --to '#41' --reason 'checkout is slow'\n         osier rollback production --to 2h --dry-run"
)]
pub struct Args {
    /// The environment.
    pub environment: String,
    /// A record `#n`, a commit, or a time (`2h` ago, or a moment): what was applied then.
    #[arg(long, value_name = "#N|REV|TIME")]
    pub to: String,
    /// Why.
    #[arg(long, required_unless_present = "dry_run")]
    pub reason: Option<String>,
    /// Show what it would do, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Whether the service makes it.
    #[command(flatten)]
    pub asking: Asking,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
}

/// Shows the plan, writes `spec.hold` and the digest that was shown, and applies.
///
/// # Errors
/// There is nothing to go back to, the person says no, or it cannot be carried out.
pub async fn run(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    if args.asking.in_cluster {
        return asked(settings, args).await;
    }
    let carried_out = carry_out(settings, args).await;
    if !args.dry_run {
        return carried_out;
    }
    let command = format!("osier rollback {} --to '{}' --dry-run --in-cluster", args.environment, args.to);
    carried_out.map_err(|failure| failure.or_ask(&command))
}

/// Lets the service show it.
async fn asked(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    if !args.dry_run {
        return Err(Failure::usage("--in-cluster shows a rollback, and changes nothing", "add --dry-run"));
    }
    let (answer, _) = in_cluster::plan(settings, &args.environment, in_cluster::moment(&args.to), &args.asking).await?;
    if settings.common.output == Output::Text {
        for TakenBack { commit, summary, author } in answer.takes_back {
            takes_back(commit.get(..7).unwrap_or(&commit), &summary, &author);
        }
    }
    Ok(Finding::Nothing)
}

fn takes_back(commit: &str, summary: &str, author: &str) {
    anstream::println!("takes back  {commit}  {summary}  {author}");
}

async fn carry_out(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    let why = args.reason.as_deref().unwrap_or_default();
    let mut world = context::world(settings).await?;
    let home = world.home().to_owned();
    let environment = context::environment(&world.cluster, &home, &args.environment).await?;
    if environment.branch().is_some() {
        return of_branch(&mut world, &environment, args).await;
    }
    let records = world.cluster.records(&home, &args.environment).await?;
    let by = world.cluster.who_am_i().await?;
    let reason = again(&environment, why);
    let hold = |to: &str| Some(Hold { to: to.to_owned(), until: None, by: by.clone(), reason: reason.clone() });
    let mut ask = Ask { hold: hold(&args.to), ..Ask::by_person(&args.environment) };
    // commits are looked up after the mirror has seen the remote
    let start = prepare::begin(&mut world, &ask).await?;
    let to = named(&world, &records, &world.memory[&args.environment].chain.forged, &args.to).await?;
    ask.hold = hold(&to);
    let prepared = prepare::prepare(&mut world, &ask, start).await?;
    anstream::print!("{}", plan::text(&prepared.plan, Detail::Changes));
    for commit in target::taken_back(&world, &args.environment, prepared.target.commit).await? {
        takes_back(&commit.commit_id.short(), &commit.summary, &commit.author);
    }
    if args.dry_run {
        return Ok(Finding::Nothing);
    }
    ask::confirm(
        args.yes,
        &format!("Roll {} back to {to} ({})?", args.environment, prepared.target.commit.short()),
        &args.environment,
    )?;
    let digest = prepared.plan.digest.clone();
    let allow = Allow { digest, by: by.clone(), reason: format!("rollback: {why}") };
    let change = |spec: &mut EnvironmentSpec| {
        spec.hold = hold(&to);
        approve::add(&mut spec.allow, &allow);
    };
    world.cluster.change_environment(&environment, change).await?;
    world.memory.clear();
    apply::shown(settings, world, &args.environment).await
}

/// Goes back in the environment of a branch: the service alone has what is needed for its plan, the commits of the branch and its keys.
async fn of_branch(world: &mut World, environment: &Environment, args: &Args) -> Result<Finding, Failure> {
    let name = environment.metadata.name.clone().unwrap_or_default();
    if args.dry_run {
        let hint = format!("let the service look: osier rollback {name} --to '{}' --dry-run --in-cluster", args.to);
        return Err(Failure::usage("plans of branch environments are the service's", hint));
    }
    subject::read(world, &name).await?;
    let records = world.cluster.records(world.home(), &name).await?;
    let had = |record: &&Record| args.to.len() >= 4 && record.spec.commit.starts_with(&args.to);
    let to = match records.iter().rev().find(had) {
        Some(record) => record.spec.commit.clone(),
        None => named(world, &records, &world.memory[&name].chain.forged, &args.to).await?,
    };
    ask::confirm(args.yes, &format!("Roll {name} back to {to}?"), &name)?;
    let by = world.cluster.who_am_i().await?;
    let reason = again(environment, args.reason.as_deref().unwrap_or_default());
    let hold = Hold { to, until: None, by, reason };
    world.cluster.change_environment(environment, |spec| spec.hold = Some(hold.clone())).await?;
    Ok(apply::left_to_the_service(&name))
}

/// The reason; in the very words of a rollback that has ended, the same wish would not be told from that one.
fn again(environment: &Environment, reason: &str) -> String {
    let before = environment.status.as_ref().and_then(|status| status.hold.as_ref());
    let same = before.is_some_and(|before| before.ended && before.reason == reason);
    if same { format!("{reason} (again)") } else { reason.to_owned() }
}

/// `#n` for a record or a time, the full id for a commit.
async fn named(world: &World, records: &[Record], forged: &[u64], to: &str) -> Result<String, Failure> {
    let moment = times::past(to);
    if let Some(named) = target::named(world, records, forged, to, moment).await {
        return Ok(named);
    }
    Err(match moment {
        _ if to.starts_with('#') => Failure::usage(format!("there is no record {to}"), "see `osier history`"),
        Some(moment) => Failure::usage(format!("nothing was applied before {moment}"), "see `osier history`"),
        None => Failure::usage(
            format!("`{to}` is no record, commit or time"),
            "write #41, a commit, 2h, or 2026-12-01T08:00:00Z",
        ),
    })
}
