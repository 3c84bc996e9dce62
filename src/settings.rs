//! Arguments as typed become settings as resolved. The only place that reads environment variables.

pub mod controller;
pub mod network;
pub mod receiver;
pub mod typed;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Arguments that every command understands.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Options of every command")]
pub struct Common {
    /// Path of the kubeconfig file [default: $KUBECONFIG, ~/.kube/config, in-cluster].
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Name of the Repository [default: the one whose URL is a remote of this clone; the service serves all].
    #[arg(long, global = true, value_name = "NAME")]
    pub repository: Option<String>,
    /// Directory of key classes, a file `<class>.txt` each [default: your own sops identities].
    #[arg(long, global = true, value_name = "DIR")]
    pub keys: Option<PathBuf>,
    /// Clone to work in [default: the current directory].
    #[arg(short = 'C', long = "directory", global = true, value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Longest time for one request to the API server; each is tried up to five times.
    #[arg(long, global = true, hide_short_help = true, value_name = "SECONDS", default_value_t = 30)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=300))]
    pub request_timeout: u64,
    /// Print data for programs instead of text for people.
    #[arg(short, long, global = true, value_name = "FORMAT", default_value = "text")]
    pub output: Output,
    /// Log more to stderr; twice for every step.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// What goes to stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// What the process environment says.
#[derive(Clone, Debug, Default)]
pub struct ProcessEnvironment {
    variables: std::collections::BTreeMap<String, String>,
}

impl ProcessEnvironment {
    /// Reads it once; variables that are not UTF-8 are left out.
    #[expect(clippy::disallowed_methods, reason = "the home of the environment")]
    pub fn read() -> Self {
        let variables = std::env::vars_os();
        Self {
            variables: variables
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
        }
    }

    /// One variable; an empty one counts as absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The home directory.
    pub fn home(&self) -> Option<PathBuf> {
        self.get("HOME").map(PathBuf::from)
    }

    /// Where mirrors of the command line lie: `$XDG_CACHE_HOME/osier` or `~/.cache/osier`.
    pub fn cache(&self) -> Option<PathBuf> {
        let base = self.get("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(self.home()?.join(".cache")))?;
        Some(base.join("osier"))
    }
}

/// Everything that a command needs to know before it looks at anything.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Arguments that every command understands.
    pub common: Common,
    /// What the process environment says.
    pub process: ProcessEnvironment,
    /// The clone to work in.
    pub directory: PathBuf,
}

impl Settings {
    /// Resolves the arguments against the process environment.
    ///
    /// # Errors
    /// The current directory cannot be read.
    pub fn resolve(common: Common, process: ProcessEnvironment) -> std::io::Result<Self> {
        let directory = match &common.directory {
            Some(directory) => directory.clone(),
            None => std::env::current_dir()?,
        };
        Ok(Self { common, process, directory })
    }
}
