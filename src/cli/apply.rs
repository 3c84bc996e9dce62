//! `osier apply`: one environment, once.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::json;

use crate::cli::failure::{Failure, Finding};
use crate::cli::{context, output, times};
use crate::cluster::Cluster;
use crate::cluster::write::{Outcome, StepOutcome, StepResult};
use crate::model::reason::Reason;
use crate::model::repository::Repository;
use crate::reconcile::settle::Verdict;
use crate::reconcile::world::World;
use crate::reconcile::{Ask, Settled, checks, reconcile, subject};
use crate::report::advice;
use crate::report::plan::{self, Detail};
use crate::report::style::{BOLD, RED, RESET, count, halves};
use crate::settings::{Output, Settings};

/// How long Jobs with `osier.dev/run` are waited for.
const TIMEOUT: &str = "5m";
/// Between two looks at them.
const LOOK: Duration = Duration::from_secs(2);
/// Steps without effect that are named; they mostly say the same.
const STEPS_NAMED: usize = 10;

/// Make an environment equal to the protected branch's tip, once.
///
/// The Repository's URL is fetched into your cache; your work tree plays no part.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: osier apply staging --keys /etc/osier/keys")]
pub struct Args {
    /// The environment.
    pub environment: String,
    /// An ancestor of the tip instead of the tip.
    #[arg(long)]
    pub revision: Option<String>,
    /// Go on although somebody began a record within the last minute.
    #[arg(long)]
    pub take_over: bool,
    /// How long to wait at most for Jobs with `osier.dev/run`, such as `30s` or `5m`.
    #[arg(long, value_name = "TIME", default_value = TIMEOUT)]
    pub timeout: String,
}

/// Runs the pipeline.
///
/// # Errors
/// Why the environment does not equal the revision now.
pub async fn run(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    let limit = times::duration(&args.timeout)?;
    let world = context::world(settings).await?;
    let mut ask = Ask::by_person(&args.environment);
    ask.revision = args.revision.clone();
    ask.take_over = args.take_over;
    carry_out(settings, world, &ask, Show::Plan, limit).await
}

/// Runs the pipeline after a person changed what an environment shall be; a service does it where one is at work.
///
/// # Errors
/// As `run`.
pub async fn now(settings: &Settings, world: World, environment: &str) -> Result<Finding, Failure> {
    after(settings, world, environment, Show::Plan).await
}

/// The same for a plan that the person has just seen.
///
/// # Errors
/// As `run`.
pub async fn shown(settings: &Settings, world: World, environment: &str) -> Result<Finding, Failure> {
    after(settings, world, environment, Show::Result).await
}

/// True while the Lease of the service's lane is held; also if it cannot be read, as long as the Repository names one.
pub async fn is_served(cluster: &Cluster, repository: &Repository) -> bool {
    let lanes = repository.status.iter().flat_map(|status| &status.lanes);
    let lease = lanes.filter(|lane| lane.lane == "protected").find_map(|lane| lane.lease.as_deref()?.split_once('/'));
    let Some((namespace, name)) = lease else { return false };
    match cluster.lease(namespace, name).await {
        Ok(lease) => lease.is_some_and(|lease| lease.is_live(Timestamp::now())),
        Err(_) => true,
    }
}

/// Says that a service does what a person asked for.
pub fn left_to_the_service(environment: &str) -> Finding {
    anstream::eprintln!("osier's service carries it out: osier get {environment}");
    Finding::Nothing
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Show {
    Plan,
    Result,
}

async fn after(settings: &Settings, world: World, environment: &str, show: Show) -> Result<Finding, Failure> {
    if is_served(&world.cluster, &world.repository).await {
        return Ok(left_to_the_service(environment));
    }
    carry_out(settings, world, &Ask::by_person(environment), show, times::duration(TIMEOUT)?).await
}

async fn carry_out(
    settings: &Settings,
    mut world: World,
    ask: &Ask,
    show: Show,
    limit: Duration,
) -> Result<Finding, Failure> {
    refuse_beside_a_service(&mut world, ask).await?;
    let (begin, before) = (Instant::now(), requests(&world));
    let text = settings.common.output == Output::Text;
    let mut settled = reconcile(&mut world, ask).await?;
    if text && show == Show::Plan {
        anstream::print!("{}", plan::text(&settled.plan, Detail::Changes));
    }
    let (plan, mut record, mut told) = (settled.plan.clone(), settled.record, String::new());
    while checks::is_waiting(&world, &ask.environment, &settled.said) && begin.elapsed() < limit {
        if text && told != settled.said.message {
            anstream::println!("◎ {} {}", ask.environment, settled.said.message);
        }
        told.clone_from(&settled.said.message);
        tokio::time::sleep(LOOK).await;
        settled = reconcile(&mut world, ask).await?;
        record = settled.record.or(record);
    }
    let settled = Settled { plan, record, ..settled };
    checks::end_of_another(&mut world, &ask.environment, None).await?;
    let requests = requests(&world) - before;
    if text {
        let took = format!("({requests} requests, {:.1} s)", begin.elapsed().as_secs_f64());
        anstream::println!("{}", line(ask, &settled, &took));
    } else {
        output::data(settings.common.output, &data(ask, &settled));
    }
    let status = world.memory.get(&ask.environment).and_then(|memory| memory.environment.status.as_ref());
    finding(ask, &settled, status.map_or("", |status| &status.namespace))
}

fn finding(ask: &Ask, settled: &Settled, namespace: &str) -> Result<Finding, Failure> {
    let Settled { verdict, said, outcome, .. } = settled;
    match outcome {
        _ if said.ready => Ok(Finding::Nothing),
        _ if said.waits() => {
            let hint = format!("osier apply {}: it goes on from there; `--timeout` waits longer", ask.environment);
            Err(Failure::timed_out(said.message.clone(), hint))
        }
        Some(outcome) if !verdict.ready && verdict.reason != Reason::CheckFailed => {
            Err(unfinished(&ask.environment, verdict, outcome))
        }
        _ => {
            let hint = advice::fix(said.reason.as_str(), &ask.environment, namespace);
            Err(Failure::new(said.message.clone(), said.reason, Some(hint)))
        }
    }
}

/// Names every step that took no effect on stderr; the error has the reason of the first.
fn unfinished(environment: &str, verdict: &Verdict, outcome: &Outcome) -> Failure {
    let mut without_effect = 0;
    for StepResult { object, result, .. } in &outcome.steps {
        let why = match result {
            StepOutcome::Done { .. } => continue,
            StepOutcome::NotTried => "not tried: it needs what failed",
            StepOutcome::ForeignObject => "an object of that name is there already and is not osier's",
            StepOutcome::Failed { message, .. } => message,
        };
        without_effect += 1;
        if without_effect <= STEPS_NAMED {
            anstream::eprintln!("{RED}✗{RESET} {BOLD}{}{RESET}  {why}", object.short());
        }
    }
    let (steps, namespace) = (outcome.steps.len(), outcome.steps.first().map_or("", |step| &step.object.namespace));
    let message = format!("{} of {} took no effect; what was written stays", without_effect, count(steps, "step"));
    Failure::new(message, verdict.reason, Some(advice::fix(verdict.reason.as_str(), environment, namespace)))
}

/// A person's apply and the service would fight: while the service's lease is live, only a suspended environment is a person's.
async fn refuse_beside_a_service(world: &mut World, ask: &Ask) -> Result<(), Failure> {
    if !is_served(&world.cluster, &world.repository).await {
        return Ok(());
    }
    let subject = subject::read(world, &ask.environment).await?;
    if subject::suspended(&world.memory[&subject.name].environment, Timestamp::now()).is_some() {
        return Ok(());
    }
    let hint = format!("push and let it work, or suspend it first: osier suspend {} --reason …", ask.environment);
    Err(Failure::new("osier's service is at work on this environment", Reason::Conflict, Some(hint)).refused())
}

fn requests(world: &World) -> u64 {
    world.cluster.requests().values().sum()
}

fn line(ask: &Ask, settled: &Settled, took: &str) -> String {
    let record = settled.record.map(|number| format!(", record #{number}")).unwrap_or_default();
    let (mark, message) = match &settled.said {
        Verdict { ready: true, message, .. } => ('✓', message.as_str()),
        said if said.waits() => ('◎', said.message.as_str()),
        Verdict { reason, .. } => ('✗', reason.as_str()),
    };
    let (message, why) = halves(message);
    let why = why.map(|why| format!("\n  {why}")).unwrap_or_default();
    format!("{mark} {} {message}{record}  {took}{why}", ask.environment)
}

fn data(ask: &Ask, settled: &Settled) -> serde_json::Value {
    json!({
        "kind": "Applied",
        "environment": ask.environment,
        "ready": settled.said.ready,
        "reason": settled.said.reason.as_str(),
        "message": settled.said.message,
        "record": settled.record,
        "plan": plan::json(&settled.plan),
    })
}
