//! `osier release`: end a rollback or hold at once.

use crate::cli::failure::{Failure, Finding};
use crate::cli::{apply, context};
use crate::settings::Settings;

/// End a rollback or hold at once; the branch's tip is applied again.
///
/// Nobody is asked: it is applied as after a push, and what takes objects over or deletes much waits for consent. `osier plan ENV@main` shows it
/// before, `osier plan BRANCH --in-cluster` that of a branch.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: osier plan staging@main\n         osier release staging")]
pub struct Args {
    /// The environment.
    pub environment: String,
}

/// Removes `spec.hold`, then applies, unless a service does.
///
/// # Errors
/// The environment is not there, or the API server refuses.
pub async fn run(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    let cluster = context::cluster(settings).await?;
    let repository = context::repository(settings, &cluster).await?;
    let environment = context::environment(&cluster, &repository.spec.home, &args.environment).await?;
    if environment.spec.hold.is_none() {
        anstream::println!("{} was not held", args.environment);
        return Ok(Finding::Nothing);
    }
    // where a service is at work, the person needs neither keys nor the right to read Secrets
    let is_served = environment.branch().is_some() || apply::is_served(&cluster, &repository).await;
    let world = if is_served { None } else { Some(context::world(settings).await?) };
    cluster.change_environment(&environment, |spec| spec.hold = None).await?;
    anstream::println!("{} is released", args.environment);
    match world {
        Some(world) => apply::now(settings, world, &args.environment).await,
        None => Ok(apply::left_to_the_service(&args.environment)),
    }
}
