//! `osier env extend`, `expire` and `delete`: when an environment ends, as a person says in his own name. The service removes it.

use std::sync::Arc;

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};

use crate::cli::ask;
use crate::cli::env::{self, Named, branch};
use crate::cli::failure::{Failure, Finding};
use crate::cli::{context, get, times};
use crate::cluster::Cluster;
use crate::cluster::watch::Event;
use crate::model::environment::{Environment, Expires};
use crate::model::reason::Reason;
use crate::reconcile::history::seconds;
use crate::settings::Settings;

/// Arguments of `osier env extend`.
#[derive(clap::Args, Debug)]
#[group(id = "end", required = true, args = ["length", "until"])]
pub struct ExtendArgs {
    #[command(flatten)]
    named: Named,
    /// So much longer than now said, or from now on if it is gone.
    #[arg(long = "for", value_name = "TIME")]
    length: Option<String>,
    /// Until then, such as 2026-12-01T08:00:00Z, be it sooner or later than now said.
    #[arg(long, value_name = "MOMENT")]
    until: Option<String>,
    /// Why.
    #[arg(long, default_value = "extended on the command line")]
    reason: String,
}

/// Arguments of `osier env expire`.
#[derive(clap::Args, Debug)]
pub struct ExpireArgs {
    #[command(flatten)]
    named: Named,
    /// Why.
    #[arg(long, default_value = "ended on the command line")]
    reason: String,
}

/// Arguments of `osier env delete`.
#[derive(clap::Args, Debug)]
pub struct DeleteArgs {
    #[command(flatten)]
    named: Named,
    /// Why.
    #[arg(long, default_value = "deleted on the command line")]
    reason: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// How long to wait at most, such as `30s` or `5m`.
    #[arg(long, value_name = "TIME", default_value = "5m")]
    timeout: String,
}

/// An end, and why.
pub struct Ending<'a> {
    /// When (RFC 3339).
    pub at: String,
    /// Why.
    pub reason: &'a str,
}

/// Moves the end of an environment.
///
/// # Errors
/// There is no such environment, or the API server refuses.
pub async fn extend(settings: &Settings, args: &ExtendArgs) -> Result<Finding, Failure> {
    let cluster = context::cluster(settings).await?;
    let repository = context::repository(settings, &cluster).await?;
    let environment = env::find(settings, &cluster, &repository, &args.named).await?;
    let now = Timestamp::now();
    let life = environment.status.as_ref().and_then(|status| status.life.clone()).unwrap_or_default();
    let end = life.ends.as_ref().and_then(|ends| ends.parse::<Timestamp>().ok());
    let at = match (&args.until, &args.length) {
        (Some(until), _) => times::end(until)?,
        (None, length) => {
            let length = times::duration(length.as_deref().unwrap_or_default())?;
            let Some(end) = end else {
                anstream::println!("{} has no end: it lives as long as its branch", branch(&environment));
                return Ok(Finding::Nothing);
            };
            let length = SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX);
            seconds(end.max(now).checked_add(length).unwrap_or(Timestamp::MAX))
        }
    };
    say(&cluster, &environment, &Ending { at: at.clone(), reason: &args.reason }).await?;
    let before = end.filter(|end| *end > now).map(|end| format!(", instead of {end}")).unwrap_or_default();
    let word = if at.parse().is_ok_and(|at: Timestamp| at > now) { "lives until" } else { "ends now: it lived until" };
    anstream::println!("{} {word} {at}{before}", branch(&environment));
    Ok(Finding::Nothing)
}

/// Ends an environment now.
///
/// # Errors
/// There is no such environment, or the API server refuses.
pub async fn expire(settings: &Settings, args: &ExpireArgs) -> Result<Finding, Failure> {
    let cluster = context::cluster(settings).await?;
    let repository = context::repository(settings, &cluster).await?;
    let environment = env::find(settings, &cluster, &repository, &args.named).await?;
    now(&cluster, &environment, &args.reason).await?;
    let branch = branch(&environment);
    anstream::println!("{branch} ends now, until the next push or `osier env open {branch}`");
    Ok(Finding::Nothing)
}

/// Ends an environment now, and waits until it is gone.
///
/// # Errors
/// As `expire`; the person says no, or it is not gone in time.
pub async fn delete(settings: &Settings, args: &DeleteArgs) -> Result<Finding, Failure> {
    let limit = times::duration(&args.timeout)?;
    let cluster = Arc::new(context::cluster(settings).await?);
    let repository = context::repository(settings, &cluster).await?;
    let environment = env::find(settings, &cluster, &repository, &args.named).await?;
    let branch = branch(&environment);
    let name = environment.metadata.name.as_deref().unwrap_or_default();
    ask::confirm(args.yes, &format!("Delete {name} and everything in it?"), branch)?;
    now(&cluster, &environment, &args.reason).await?;
    if tokio::time::timeout(limit, gone(&cluster, &repository.spec.home, name)).await.is_err() {
        let message = format!("the environment of `{branch}` is not gone within {}", args.timeout);
        return Err(Failure::timed_out(message, format!("osier why {name}; does the service run?")));
    }
    anstream::println!("{branch} is gone, until the next push or `osier env open {branch}`");
    Ok(Finding::Nothing)
}

/// Writes `spec.expires` in the person's own name.
///
/// # Errors
/// The API server refuses.
pub async fn say(cluster: &Cluster, environment: &Environment, ending: &Ending<'_>) -> Result<(), Failure> {
    let by = cluster.who_am_i().await?;
    let expires = again(environment, Expires { at: ending.at.clone(), by, reason: ending.reason.to_owned() });
    cluster.change_environment(environment, |spec| spec.expires = Some(expires.clone())).await?;
    if let Some(suspend) = &environment.spec.suspend {
        anstream::eprintln!("it is suspended by {}: nothing ends before `osier resume`", suspend.by);
    }
    Ok(())
}

/// The same words once more would not be told from those that were said before a push, and so count for nothing.
fn again(environment: &Environment, expires: Expires) -> Expires {
    let said = environment.spec.expires.as_ref() == Some(&expires);
    if said { Expires { reason: format!("{} (again)", expires.reason), ..expires } } else { expires }
}

async fn now(cluster: &Cluster, environment: &Environment, reason: &str) -> Result<(), Failure> {
    say(cluster, environment, &Ending { at: seconds(Timestamp::now()), reason }).await
}

/// Returns once the environment is gone. What keeps it is told on stderr.
async fn gone(cluster: &Arc<Cluster>, home: &str, name: &str) {
    let mut told = None;
    let mut events = cluster.watch_environments(home);
    while let Some(event) = events.next().await {
        let found = match event {
            Event::Listed(found) => found,
            Event::Changed(found) => vec![found],
            Event::Gone(_) | Event::Broken(_) | Event::Restored => continue,
        };
        let named = |found: &Environment| found.metadata.name.as_deref() == Some(name);
        let Some(environment) = found.into_iter().flatten().find(named) else { continue };
        let Some(ready) = get::ready(&environment) else { continue };
        if ready.reason == Reason::Gone.as_str() {
            return;
        }
        let keeps = [Reason::Expiring, Reason::NamespaceTerminating].map(Reason::as_str);
        if keeps.contains(&ready.reason.as_str()) && told.as_ref() != Some(&ready.message) {
            anstream::eprintln!("{}", ready.message);
            told = Some(ready.message.clone());
        }
    }
}
