//! L3: the command line, one file a command.
//!
//! stdout is data, stderr is messages; exit codes are those of `failure`.

pub mod failure;
pub mod generate;
pub mod init;
pub mod output;

use clap::{Parser, Subcommand};

use crate::cli::failure::{Failure, Finding};
use crate::settings::{Common, ProcessEnvironment, Settings};

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
    /// How much is logged.
    pub fn verbose(&self) -> u8 {
        self.common.verbose
    }
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Start a configuration repository here.
    Init(init::Args),
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
        Command::Generate(args) => generate::run(&settings, &args),
    }
}
