//! L3: the command line, one file a command.
//!
//! stdout is data, stderr is messages; exit codes are those of `failure`.
#![allow(clippy::disallowed_methods, reason = "the home of the clock: a command tells the pipeline what time it is")]

pub mod adopt;
pub mod apply;
pub mod approve;
pub mod ask;
pub mod check;
pub mod context;
pub mod controller;
pub mod demo;
pub mod diff;
pub mod env;
pub mod failure;
pub mod generate;
pub mod get;
pub mod history;
pub mod hold;
pub mod in_cluster;
pub mod init;
pub mod output;
pub mod place;
pub mod plan;
pub mod receiver;
pub mod release;
pub mod resume;
pub mod rollback;
pub mod sandbox;
pub mod suspend;
pub mod times;
pub mod view;
pub mod wait;
pub mod why;

use clap::{Parser, Subcommand};

use crate::cli::failure::{Failure, Finding};
use crate::settings::{Common, LogFormat, ProcessEnvironment, Settings};

/// Keeps Kubernetes namespaces equal to an encrypted git repository.
///
/// A commit is a deployment, any earlier commit is a rollback target.
/// Secrets stay encrypted in git and are decrypted only in memory, on their way to the API server.
#[derive(Parser, Debug)]
#[command(name = "osier", version, propagate_version = true, max_term_width = 80)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

impl Cli {
    /// How often `-v` was given; the service says once more what it does.
    pub fn verbose(&self) -> u8 {
        self.common.verbose + u8::from(matches!(self.command, Command::Controller(_) | Command::Receiver(_)))
    }

    /// How logs are written.
    pub fn log_format(&self) -> LogFormat {
        match &self.command {
            Command::Controller(args) => args.service.log_format(),
            Command::Receiver(args) => args.service.log_format(),
            _ => LogFormat::Text,
        }
    }
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Start a configuration repository here.
    Init(init::Args),
    /// Check every file of every environment, offline; all problems at once.
    Check(check::Args),
    /// Show what differs, key by key, secrets redacted.
    Diff(diff::Args),
    /// Show the steps that would be taken, with reasons and digest.
    Plan(plan::Args),
    /// Make an environment equal to the protected branch, once.
    Apply(apply::Args),
    /// Allow the plan to take over objects that exist already, and apply it.
    Adopt(adopt::Args),
    /// Allow one plan, by its digest.
    Approve(approve::Args),
    /// List environments.
    Get(get::Args),
    /// Wait until a commit has landed.
    Wait(wait::Args),
    /// List the environments of branches, wait for them, and say when they end.
    Env(env::Args),
    /// Say why an environment is as it is, and what to run.
    Why(why::Args),
    /// List what was applied.
    History(history::Args),
    /// Go back to an earlier record, commit or time, and stay there.
    Rollback(rollback::Args),
    /// Stay at what is applied now.
    Hold(hold::Args),
    /// End a rollback or hold.
    Release(release::Args),
    /// Stop reconciling an environment.
    Suspend(suspend::Args),
    /// Go on reconciling.
    Resume(resume::Args),
    /// Tell the main job as a story; no cluster needed.
    Demo(demo::Args),
    /// Serve an in-memory Kubernetes API on this machine.
    Sandbox(sandbox::Args),
    /// Check and print the settings of the service.
    Controller(controller::Args),
    /// Hear the webhooks of forges, and have the service look at once.
    Receiver(receiver::Args),
    /// Print custom resources, completions, man pages or schemas.
    Generate(generate::Args),
}

/// Runs one command to its end.
///
/// # Errors
/// What went wrong, with its exit code.
pub async fn run(cli: Cli, process: ProcessEnvironment) -> Result<Finding, Failure> {
    let settings = Settings::resolve(cli.common, process).map_err(Failure::current_directory)?;
    match cli.command {
        Command::Init(args) => init::run(&settings, &args),
        Command::Check(args) => check::run(&settings, &args).await,
        Command::Diff(args) => diff::run(&settings, &args).await,
        Command::Plan(args) => plan::run(&settings, &args).await,
        Command::Apply(args) => apply::run(&settings, &args).await,
        Command::Adopt(args) => adopt::run(&settings, &args).await,
        Command::Approve(args) => approve::run(&settings, &args).await,
        Command::Get(args) => get::run(&settings, &args).await,
        Command::Wait(args) => wait::run(&settings, &args).await,
        Command::Env(args) => env::run(&settings, &args).await,
        Command::Why(args) => why::run(&settings, &args).await,
        Command::History(args) => history::run(&settings, &args).await,
        Command::Rollback(args) => rollback::run(&settings, &args).await,
        Command::Hold(args) => hold::run(&settings, &args).await,
        Command::Release(args) => release::run(&settings, &args).await,
        Command::Suspend(args) => suspend::run(&settings, &args).await,
        Command::Resume(args) => resume::run(&settings, &args).await,
        Command::Sandbox(args) => sandbox::run(&settings, &args).await,
        Command::Demo(args) => demo::run(&settings, &args).await,
        Command::Controller(args) => controller::run(&settings, &args).await,
        Command::Receiver(args) => receiver::run(&settings, &args).await,
        Command::Generate(args) => generate::run(&settings, &args),
    }
}
