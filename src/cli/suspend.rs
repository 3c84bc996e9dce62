//! `osier suspend`: stop reconciling, with a reason and optionally an end.

use crate::cli::context;
use crate::cli::failure::{Failure, Finding};
use crate::cli::times;
use crate::model::environment::Suspend;
use crate::settings::Settings;

/// Stop reconciling an environment. A person's own `osier apply` goes on working.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: osier suspend staging --reason 'load test' --for 2h")]
pub struct Args {
    /// The environment.
    pub environment: String,
    /// Why.
    #[arg(long)]
    pub reason: String,
    /// When it goes on by itself, such as 2h or 2026-12-01T08:00:00Z [default: never].
    #[arg(long = "for", value_name = "TIME")]
    pub until: Option<String>,
}

/// Writes `spec.suspend`.
///
/// # Errors
/// The environment is not there, or the API server refuses.
pub async fn run(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    let cluster = context::cluster(settings).await?;
    let repository = context::repository(settings, &cluster).await?;
    let home = &repository.spec.home;
    let environment = context::environment(&cluster, home, &args.environment).await?;
    let until = args.until.as_deref().map(times::end).transpose()?;
    let by = cluster.who_am_i().await?;
    let suspend = Suspend { until: until.clone(), by, reason: args.reason.clone() };
    cluster.change_environment(&environment, |spec| spec.suspend = Some(suspend.clone())).await?;
    let end = until.map_or_else(|| "until `osier resume`".to_owned(), |until| format!("until {until}"));
    anstream::println!("{} is suspended {end}: {}", args.environment, args.reason);
    Ok(Finding::Nothing)
}
