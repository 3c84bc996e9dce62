//! `osier hold`: stay at what is applied now.

use crate::cli::context;
use crate::cli::failure::{Failure, Finding};
use crate::cli::times;
use crate::model::environment::{Environment, Hold};
use crate::settings::Settings;

/// Stay at what is applied now, until `osier release`; in the place of a rollback, as long as that would last.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: osier hold production --reason 'sale until Monday'")]
pub struct Args {
    /// The environment.
    pub environment: String,
    /// Why.
    #[arg(long)]
    pub reason: String,
    /// When an alert is due, such as 2d; the hold itself stays.
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

/// Writes `spec.hold` with the head's record.
///
/// # Errors
/// Nothing was applied yet, or the API server refuses.
pub async fn run(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    let cluster = context::cluster(settings).await?;
    let repository = context::repository(settings, &cluster).await?;
    let home = &repository.spec.home;
    let environment = context::environment(&cluster, home, &args.environment).await?;
    let head = environment.status.as_ref().and_then(|status| status.head.as_ref());
    let Some(head) = head else {
        return Err(Failure::usage("nothing was applied yet", format!("run `osier apply {}`", args.environment)));
    };
    let until = args.until.as_deref().map(times::end).transpose()?;
    let (to, by) = (format!("#{}", head.number), cluster.who_am_i().await?);
    let hold = Hold { to: to.clone(), until, by, reason: args.reason.clone() };
    cluster.change_environment(&environment, |spec| spec.hold = Some(hold.clone())).await?;
    let mended = if takes_back(&environment) { "what was rolled back is mended, or until " } else { "" };
    anstream::println!("{} stays at record {to} until {mended}`osier release {}`", args.environment, args.environment);
    Ok(Finding::Nothing)
}

/// True if a rollback is in force: the hold that takes its place rejects the same.
fn takes_back(environment: &Environment) -> bool {
    let before = environment.status.as_ref().and_then(|status| status.hold.as_ref());
    before.is_some_and(|before| !before.ended && !before.rejected.is_empty())
}
