//! `osier approve`: allow one plan, by its digest.

use serde_json::json;

use crate::cli::context;
use crate::cli::failure::{Failure, Finding};
use crate::cluster::Cluster;
use crate::model::environment::Environment;
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
    allow(&cluster, home, &environment, &args.digest, &args.reason).await?;
    anstream::println!("plan {} of {} is allowed", args.digest, args.environment);
    Ok(Finding::Nothing)
}

/// Adds one consent in the person's own name.
///
/// # Errors
/// The API server refuses.
pub async fn allow(
    cluster: &Cluster,
    home: &str,
    environment: &Environment,
    digest: &str,
    reason: &str,
) -> Result<(), Failure> {
    let by = cluster.who_am_i().await?;
    let name = environment.metadata.name.as_deref().unwrap_or_default();
    cluster.patch_environment(home, name, &json!({"spec": {"allow": with(environment, digest, &by, reason)}})).await?;
    Ok(())
}

/// `spec.allow` with one more consent; the oldest ones go.
pub fn with(environment: &Environment, digest: &str, by: &str, reason: &str) -> serde_json::Value {
    let others = environment.spec.allow.iter().filter(|allow| allow.digest != digest);
    let mut allow: Vec<serde_json::Value> = others.map(|allow| json!(allow)).collect();
    allow.push(json!({"digest": digest, "by": by, "reason": reason}));
    json!(allow.split_off(allow.len().saturating_sub(KEPT)))
}
