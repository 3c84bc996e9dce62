//! `osier adopt`: look at what taking over would change, allow it, apply it.

use crate::cli::failure::{Failure, Finding};
use crate::cli::{apply, approve, ask, context};
use crate::planning::plan::Consent;
use crate::reconcile::{Ask, prepare, subject};
use crate::report::plan::{self, Detail};
use crate::settings::Settings;

/// Take over objects that exist already and that git names. Nothing restarts by that.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: osier adopt staging --yes")]
pub struct Args {
    /// The environment.
    pub environment: String,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
    /// Show what it would do, and stop.
    #[arg(long)]
    pub dry_run: bool,
    /// Why.
    #[arg(long, default_value = "adopted on the command line")]
    pub reason: String,
}

/// Shows the plan, allows its digest in the person's name, and applies.
///
/// # Errors
/// There is no plan, the person says no, or it cannot be carried out.
pub async fn run(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    let mut world = context::world(settings).await?;
    let ask = Ask::by_person(&args.environment);
    let start = prepare::begin(&mut world, &ask).await?;
    let prepared = prepare::prepare(&mut world, &ask, start).await?;
    if !prepared.plan.consent.iter().any(|consent| matches!(consent, Consent::Adoption(_))) {
        anstream::println!("there is nothing to adopt: every object that git names is osier's or does not exist");
        return Ok(Finding::Nothing);
    }
    anstream::print!("{}", plan::text(&prepared.plan, Detail::Changes));
    anstream::println!("plan {}", prepared.plan.digest);
    if args.dry_run {
        return Ok(Finding::Nothing);
    }
    ask::confirm(args.yes, &format!("Take these objects over into {}?", args.environment), &args.environment)?;
    subject::ensure(&mut world, &prepared.subject).await?;
    let environment = &world.memory[&args.environment].environment;
    approve::allow(&world.cluster, environment, &prepared.plan.digest, &args.reason).await?;
    world.memory.clear();
    apply::shown(settings, world, &args.environment).await
}
