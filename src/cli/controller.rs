//! `osier controller`: the service.

use jiff::Timestamp;

use crate::cli::failure::{Failure, Finding};
use crate::cli::output;
use crate::cluster::Cluster;
use crate::controller;
use crate::model::problem::Problem;
use crate::settings::Settings;
use crate::settings::controller::{Arguments, ControllerSettings};

/// Run the service: keep all environments of all Repositories equal to git.
///
/// It serves until it is told to stop (SIGTERM or Ctrl-C). Replicas share the work's Lease: one writes, the others stand by.
/// Settings that cannot be used are refused at once, all of them, each with what to do.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Example: osier controller --lane protected --cluster prod-eu --keys /etc/osier/keys --print-settings"
)]
pub struct Args {
    /// Settings of the service.
    #[command(flatten)]
    pub service: Arguments,
    /// Print the settings as they are resolved, and end.
    #[arg(long)]
    pub print_settings: bool,
}

/// Serves, or prints the settings.
///
/// # Errors
/// Settings that cannot be used, all of them: exit code 2. Why the service could not begin, or ended by itself.
pub async fn run(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    let resolved = resolve(settings, args).await?;
    if !args.print_settings {
        controller::run(resolved, Timestamp::now).await?;
        return Ok(Finding::Nothing);
    }
    output::settings(settings.common.output, "ControllerSettings", resolved.json());
    Ok(Finding::Nothing)
}

impl From<controller::error::Error> for Failure {
    fn from(error: controller::error::Error) -> Self {
        let (reason, hint) = (error.reason(), error.hint());
        Failure::new(error, reason, hint)
    }
}

async fn resolve(settings: &Settings, args: &Args) -> Result<ControllerSettings, Failure> {
    let Settings { common, process, .. } = settings;
    let namespace = Cluster::own_namespace(common.kubeconfig.as_deref(), common.context.as_deref()).await;
    let namespace = namespace.map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        Problem::new("--kubeconfig", format!("{error}{cause}")).hint(error.hint().unwrap_or_default())
    });
    ControllerSettings::resolve(common, process, &args.service, namespace).map_err(Failure::settings)
}
