//! `osier generate`: what other programs want from osier, on stdout or, for man pages, in a directory.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{CommandFactory, Subcommand};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::cli::failure::{Failure, Finding};
use crate::cluster::crds;
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
        What::Crds => anstream::print!("{}", crds::stream()),
        What::Completions { shell } => anstream::print!("{}", completions(*shell)),
        What::Man { dir } => man(&settings.directory.join(dir))?,
        What::Schema => anstream::println!("{:#}", Config::schema()),
    }
    Ok(Finding::Nothing)
}

/// clap_complete panics when it writes to a pipe that has closed, so it writes to memory.
fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "osier", &mut script);
    String::from_utf8(script).expect("names and help texts are UTF-8")
}

fn man(dir: &Path) -> Result<(), Failure> {
    let written = fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(Cli::command(), dir));
    written.with_context(|| format!("cannot write man pages to `{}`", dir.display())).map_err(|error| {
        Failure::general(error, "name a directory that you may write, such as ~/.local/share/man/man1")
    })
}
