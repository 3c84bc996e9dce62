//! `osier resume`: go on reconciling.

use crate::cli::context;
use crate::cli::failure::{Failure, Finding};
use crate::settings::Settings;

/// Go on reconciling.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: osier resume staging")]
pub struct Args {
    /// The environment.
    pub environment: String,
}

/// Removes `spec.suspend`.
///
/// # Errors
/// The environment is not there, or the API server refuses.
pub async fn run(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    let cluster = context::cluster(settings).await?;
    let repository = context::repository(settings, &cluster).await?;
    let home = &repository.spec.home;
    let environment = context::environment(&cluster, home, &args.environment).await?;
    if environment.spec.suspend.is_none() {
        anstream::println!("{} was not suspended", args.environment);
        return Ok(Finding::Nothing);
    }
    cluster.change_environment(&environment, |spec| spec.suspend = None).await?;
    anstream::println!("{} goes on", args.environment);
    Ok(Finding::Nothing)
}
