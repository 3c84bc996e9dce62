//! `osier approve`: allow one plan, by its digest.

use crate::cli::context;
use crate::cli::failure::{Failure, Finding};
use crate::cluster::Cluster;
use crate::model::environment::{Allow, Environment};
use crate::settings::Settings;

/// Consents that are kept: older ones have done their work.
const KEPT: usize = 8;

/// Allow one plan, by its digest. Look at it first with `osier plan`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: osier approve production k3v5o2 --reason 'checked with Ann'")]
pub struct Args {
    /// The environment.
    pub environment: String,
    /// Digest of the plan, as `osier plan` prints it.
    pub digest: String,
    /// Why.
    #[arg(long, default_value = "approved on the command line")]
    pub reason: String,
}

/// Writes `spec.allow`.
///
/// # Errors
/// The environment is not there, or the API server refuses.
pub async fn run(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    let cluster = context::cluster(settings).await?;
    let repository = context::repository(settings, &cluster).await?;
    let home = &repository.spec.home;
    let environment = context::environment(&cluster, home, &args.environment).await?;
    allow(&cluster, &environment, &args.digest, &args.reason).await?;
    anstream::println!("plan {} of {} is allowed", args.digest, args.environment);
    Ok(Finding::Nothing)
}

/// Adds one consent in the person's own name.
///
/// # Errors
/// The API server refuses.
pub async fn allow(cluster: &Cluster, environment: &Environment, digest: &str, reason: &str) -> Result<(), Failure> {
    let allow = Allow { digest: digest.to_owned(), by: cluster.who_am_i().await?, reason: reason.to_owned() };
    cluster.change_environment(environment, |spec| add(&mut spec.allow, &allow)).await?;
    Ok(())
}

/// Puts one consent at the end; the oldest ones go, and an earlier one to the same plan.
pub fn add(allow: &mut Vec<Allow>, new: &Allow) {
    allow.retain(|old| old.digest != new.digest);
    allow.push(new.clone());
    allow.drain(..allow.len().saturating_sub(KEPT));
}
