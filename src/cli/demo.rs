//! `osier demo`: the main job as a story, with real commits, real commands and their real output.

mod branches;
mod files;
mod service;
mod stage;
mod story;

use std::pin::pin;
use std::time::Instant;

use crate::cli::demo::stage::Stage;
use crate::cli::failure::{Failure, Finding};
use crate::settings::Settings;

/// Tell the main job as a story; no cluster needed.
///
/// A sandbox API server on loopback, a git repository in a temporary directory, and osier between them.
/// Every command is run as it is shown, and what the story says is checked.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: osier demo --keep")]
pub struct Args {
    /// Leave everything running at the end, to try things by hand.
    #[arg(long)]
    pub keep: bool,
}

/// Tells the story.
///
/// # Errors
/// The stage cannot be set up, or something is not as the story says.
pub async fn run(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    let begin = Instant::now();
    let (stage, listener) = Stage::new(settings).await?;
    let mut serving = pin!(stage.sandbox().serve(listener));
    let service = tokio::select! {
        ended = &mut serving => return Err(stopped(ended)),
        told = story::tell(&stage) => told?,
    };
    anstream::println!("\nThat took {:.0} s.", begin.elapsed().as_secs_f64());
    if args.keep {
        story::keep(&stage);
        tokio::select! {
            ended = &mut serving => return Err(stopped(ended)),
            asked = tokio::signal::ctrl_c() => asked.map_err(|error| Failure::general(error, "end it with kill"))?,
        }
    }
    drop(service);
    Ok(Finding::Nothing)
}

fn stopped(ended: std::io::Result<()>) -> Failure {
    let error = ended.err().unwrap_or_else(|| std::io::Error::other("it ended by itself"));
    Failure::general(format!("the sandbox stopped: {error}"), "run the demo again")
}
