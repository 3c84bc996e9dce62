//! `osier generate`: what other programs want from osier, on stdout or, for man pages, in a directory.

use std::fs;
use std::io;
use std::path::PathBuf;

use clap::{CommandFactory, Subcommand};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::cli::failure::{Failure, Finding};
use crate::desired::config::Config;
use crate::settings::Settings;

/// Arguments of `osier generate`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: osier generate crds | kubectl apply --server-side -f -")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Custom resource definitions and the admission policies that guard them.
    #[command(after_help = "Example: osier generate crds | kubectl apply --server-side -f -")]
    Crds,
    /// Completions for a shell.
    #[command(
        after_help = "Example: osier generate completions bash > ~/.local/share/bash-completion/completions/osier"
    )]
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Man pages, one a command, written to a directory.
    #[command(after_help = "Example: osier generate man ~/.local/share/man/man1")]
    Man {
        /// The directory; made if it is missing.
        dir: PathBuf,
    },
    /// JSON schema of `osier.yaml`, for editors.
    #[command(after_help = "Example: osier generate schema > osier.schema.json")]
    Schema,
}

/// Prints what was asked for.
///
/// # Errors
/// The directory of the man pages cannot be written.
pub fn run(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    match &args.what {
        What::Crds => {}
        What::Completions { shell } => clap_complete::generate(*shell, &mut Cli::command(), "osier", &mut io::stdout()),
        What::Man { dir } => {
            let dir = settings.directory.join(dir);
            let written = fs::create_dir_all(&dir).and_then(|()| clap_mangen::generate_to(Cli::command(), &dir));
            written.map_err(|error| {
                Failure::general(error, format!("is `{}` a directory that you may write?", dir.display()))
            })?;
        }
        What::Schema => anstream::println!("{:#}", Config::schema()),
    }
    Ok(Finding::Nothing)
}
