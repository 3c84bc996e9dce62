//! `osier controller`: the service.

use crate::cli::failure::{Failure, Finding};
use crate::cli::output;
use crate::cluster::Cluster;
use crate::model::problem::Problem;
use crate::settings::controller::{Arguments, ControllerSettings};
use crate::settings::{Output, Settings};

/// Print the settings of the service, after checking them all.
///
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
    #[arg(long, required = true)]
    pub print_settings: bool,
}

/// Prints the settings.
///
/// # Errors
/// Settings that cannot be used, all of them: exit code 2.
pub async fn run(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    let resolved = resolve(settings, args).await?;
    let format = if settings.common.output == Output::Text { Output::Yaml } else { settings.common.output };
    let mut printed = resolved.json();
    printed["kind"] = "ControllerSettings".into();
    output::data(format, &printed);
    Ok(Finding::Nothing)
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
