//! `osier plan`: the steps, their reasons and the digest.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use serde_json::json;

use crate::cli::failure::{Failure, Finding};
use crate::cli::in_cluster::Asking;
use crate::cli::place::{At, Place};
use crate::cli::{context, in_cluster, output, view};
use crate::planning::changes::Word;
use crate::planning::plan::Plan;
use crate::reconcile::world::World;
use crate::report::plan::{self, Detail};
use crate::settings::{Output, Settings};

/// Editors write a file in several steps: changes this close together are one save.
const ONE_SAVE: Duration = Duration::from_millis(100);

/// Show the steps that would be taken, with reasons and digest.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: osier plan staging@main")]
pub struct Args {
    /// `ENV`, or `ENV@REV` for a branch or commit instead of the working tree.
    #[arg(value_name = "ENV[@REV]")]
    pub place: Place,
    /// Plan again at every save.
    #[arg(long, conflicts_with = "in_cluster")]
    pub watch: bool,
    /// Unchanged keys, too.
    #[arg(long, conflicts_with = "in_cluster")]
    pub all: bool,
    /// Whether the service makes it.
    #[command(flatten)]
    pub asking: Asking,
}

/// Prints the plan.
///
/// # Errors
/// There is none; always exit code 2, but for a service that does not answer in time.
pub async fn run(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    if args.asking.in_cluster {
        let to = in_cluster::to(&args.place)?;
        let planned = in_cluster::plan(settings, &args.place.environment, to, &args.asking).await;
        return planned.map(|(_, finding)| finding).map_err(Failure::in_diff_family);
    }
    if !args.watch {
        return once(settings, args).await.map_err(Failure::in_diff_family);
    }
    let root = context::clone(settings).map_err(Failure::in_diff_family)?.root().to_owned();
    let (sender, saves) = channel();
    let told = move |event| {
        // the receiver is gone only when this command ends
        sender.send(event).ok();
    };
    let mut watcher =
        notify::recommended_watcher(told).map_err(|error| Failure::general(error, "try without --watch"))?;
    watcher.watch(&root, RecursiveMode::Recursive).map_err(|error| Failure::general(error, "try without --watch"))?;
    loop {
        if let Err(failure) = once(settings, args).await {
            anstream::eprint!("{failure}");
        }
        anstream::eprintln!("waiting for the next save in {} (Ctrl-C ends)", root.display());
        tokio::task::block_in_place(|| next_save(&saves));
    }
}

async fn once(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    let asking = format!("osier plan {} --in-cluster", args.place.environment);
    let planned = async {
        let mut world = context::world(settings).await?;
        planned(settings, &mut world, &args.place).await
    };
    let plan = planned.await.map_err(|failure| failure.or_ask(&asking))?;
    let detail = if args.all { Detail::All } else { Detail::Changes };
    match settings.common.output {
        Output::Text => {
            anstream::print!("{}", plan::text(&plan, detail));
            for sentence in plan::consent(&plan) {
                anstream::println!("waits for consent: {sentence}");
            }
            anstream::println!("plan {}", plan.digest);
            if plan.steps.iter().flat_map(|step| step.leaves.iter()).any(|leaf| leaf.word == Word::Unknown) {
                anstream::eprintln!("no key at hand opens what is marked `?`; whether the service's keys do: {asking}");
            }
        }
        format => output::data(
            format,
            &json!({"kind": "Plan", "environment": args.place.environment, "plan": plan::json(&plan)}),
        ),
    }
    Ok(if plan.steps.is_empty() { Finding::Nothing } else { Finding::Differences })
}

/// The plan of what a place says against the cluster.
///
/// # Errors
/// There is none.
pub async fn planned(settings: &Settings, world: &mut World, place: &Place) -> Result<Plan, Failure> {
    let at = place.at.clone().unwrap_or(At::Tree);
    let (source, commit) = view::source(settings, world, &place.environment, &at).await?;
    Ok(crate::reconcile::prepare::outlook(world, &place.environment, &source, commit).await?)
}

fn next_save(saves: &Receiver<notify::Result<notify::Event>>) {
    let counts = |event: &notify::Result<notify::Event>| {
        event.as_ref().is_ok_and(|event| {
            !event.kind.is_access()
                && !event.paths.iter().all(|path| path.components().any(|part| part.as_os_str() == ".git"))
        })
    };
    while saves.recv().is_ok_and(|event| !counts(&event)) {}
    while saves.recv_timeout(ONE_SAVE).is_ok() {}
}
