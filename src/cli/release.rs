//! `osier release`: end a rollback or hold at once.

use crate::cli::failure::{Failure, Finding};
use crate::cli::{apply, context};
use crate::settings::Settings;

/// End a rollback or hold at once; the branch's tip is applied again.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: osier release staging")]
pub struct Args {
    /// The environment.
    pub environment: String,
}

/// Removes `spec.hold`, then applies, unless a service does.
///
/// # Errors
/// The environment is not there, or the API server refuses.
pub async fn run(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    let world = context::world(settings).await?;
    let home = world.home().to_owned();
    let environment = context::environment(&world.cluster, &home, &args.environment).await?;
    if environment.spec.hold.is_none() {
        anstream::println!("{} was not held", args.environment);
        return Ok(Finding::Nothing);
    }
    world.cluster.change_environment(&environment, |spec| spec.hold = None).await?;
    anstream::println!("{} is released", args.environment);
    apply::now(settings, world, &args.environment).await
}
