//! `osier receiver`: hears the webhooks of forges.

use jiff::Timestamp;

use crate::cli::failure::{Failure, Finding};
use crate::cli::output;
use crate::receiver;
use crate::settings::Settings;
use crate::settings::receiver::{Arguments, ReceiverSettings};

/// Hear the webhooks of forges, and have the service look at once.
///
/// It holds no keys, reads no git, and believes nothing of what it is sent but that somebody who knows the Repository's webhook
/// secret wants it looked at now. It serves until it is told to stop (SIGTERM or Ctrl-C); several may run.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: osier receiver --webhooks 0.0.0.0:8090 --listen 0.0.0.0:8080 --print-settings")]
pub struct Args {
    /// Settings of the receiver.
    #[command(flatten)]
    pub service: Arguments,
    /// Print the settings as they are resolved, and end.
    #[arg(long)]
    pub print_settings: bool,
}

/// Serves, or prints the settings.
///
/// # Errors
/// Settings that cannot be used, all of them: exit code 2. Why the receiver could not begin, or ended by itself.
pub async fn run(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    let Settings { common, process, .. } = settings;
    let resolved = ReceiverSettings::resolve(common, process, &args.service).map_err(Failure::settings)?;
    if args.print_settings {
        output::settings(common.output, "ReceiverSettings", resolved.json());
    } else {
        receiver::run(resolved, Timestamp::now).await?;
    }
    Ok(Finding::Nothing)
}

impl From<receiver::error::Error> for Failure {
    fn from(error: receiver::error::Error) -> Self {
        let (reason, hint) = (error.reason(), error.hint());
        Failure::new(error, reason, hint)
    }
}
