//! `osier env open`: where an environment is; one whose time was over comes back.

use crate::cli::env::end::{self, Ending};
use crate::cli::env::{self, Named, branch};
use crate::cli::failure::{Failure, Finding};
use crate::cli::{context, get, times};
use crate::model::environment::Environment;
use crate::model::reason::Reason;
use crate::settings::Settings;

/// Arguments of `osier env open`.
#[derive(clap::Args, Debug)]
pub struct OpenArgs {
    #[command(flatten)]
    named: Named,
    /// How long one lives that comes back.
    #[arg(long = "for", value_name = "TIME", default_value = "24h")]
    length: String,
}

/// Prints its address.
///
/// # Errors
/// There is no such environment, its branch is gone, it has no address, or the API server refuses.
pub async fn run(settings: &Settings, args: &OpenArgs) -> Result<Finding, Failure> {
    let cluster = context::cluster(settings).await?;
    let repository = context::repository(settings, &cluster).await?;
    let environment = env::find(settings, &cluster, &repository, &args.named).await?;
    let branch = branch(&environment);
    let is_gone = is_gone(&environment);
    if is_gone {
        if !environment.status.as_ref().and_then(|status| status.life.as_ref()).is_some_and(|life| life.over) {
            let message = format!("branch `{branch}` is gone, and so is its environment");
            return Err(Failure::new(message, Reason::Gone, Some(format!("push it again: git push origin {branch}"))));
        }
        let at = times::end(&args.length)?;
        end::say(&cluster, &environment, &Ending { at: at.clone(), reason: "opened on the command line" }).await?;
        anstream::eprintln!("it comes back, until {at}: osier env wait {branch}");
    }
    let address = environment.status.as_ref().and_then(|status| status.address.as_ref());
    let Some(address) = address else {
        if is_gone {
            return Ok(Finding::Nothing);
        }
        let hint = "give its entry in osier.yaml a `url`, such as `https://{slug}.preview.example.com`";
        return Err(Failure::general(format!("the environment of `{branch}` has no address"), hint));
    };
    anstream::println!("{address}");
    Ok(Finding::Nothing)
}

fn is_gone(environment: &Environment) -> bool {
    get::ready(environment).is_some_and(|ready| ready.reason == Reason::Gone.as_str())
}
