//! Downward only: which module may use which, and which crate is named where.

use super::source::{Source, shipped};
use super::{Breach, none};

/// A module and everything of the crate that it may use, itself apart. ARCHITECTURE.md draws this table.
const MAY_USE: &[(&str, &[&str])] = &[
    // L0: plain data; and a program of its own.
    ("model", &[]),
    ("sandbox", &[]),
    // L1: pure.
    ("desired", &["model"]),
    ("planning", &["model", "desired"]),
    ("sealing", &["model", "desired"]),
    // L2: the world; they do not use one another.
    ("git", &["model", "desired", "planning", "sealing"]),
    ("cluster", &["model", "desired", "planning", "sealing"]),
    ("keys", &["model", "desired", "planning", "sealing"]),
    ("report", &["model", "desired", "planning", "sealing"]),
    // L3: the pipeline, and what calls it.
    ("settings", &["model"]),
    ("telemetry", &["model", "settings"]),
    ("server", &["model"]),
    ("supervise", &[]),
    ("receiver", &["model", "cluster", "settings", "telemetry", "server", "supervise"]),
    ("reconcile", &["model", "desired", "planning", "sealing", "git", "cluster", "keys", "report"]),
    (
        "controller",
        &[
            "model",
            "desired",
            "planning",
            "sealing",
            "git",
            "cluster",
            "keys",
            "report",
            "reconcile",
            "settings",
            "telemetry",
            "server",
            "supervise",
        ],
    ),
    (
        "cli",
        &[
            "model",
            "desired",
            "planning",
            "sealing",
            "git",
            "cluster",
            "keys",
            "report",
            "reconcile",
            "controller",
            "receiver",
            "settings",
            "telemetry",
            "sandbox",
        ],
    ),
    // L4.
    ("main", &["cli", "settings", "telemetry"]),
    ("lib", &[]),
];

/// A crate, or a part of one, and the only places that name it.
const HOMES: &[(&str, &[&str], &str)] = &[
    ("kube::Client", &["src/cluster"], "all calls to the API server are in one module"),
    ("kube::Api", &["src/cluster"], "all calls to the API server are in one module"),
    ("kube::Config", &["src/cluster"], "all calls to the API server are in one module"),
    ("kube::client", &["src/cluster"], "all calls to the API server are in one module"),
    ("kube::config", &["src/cluster"], "all calls to the API server are in one module"),
    ("kube::api", &["src/cluster"], "all calls to the API server are in one module"),
    ("git2", &["src/git"], "libgit2 is wrapped once"),
    ("serde_saphyr", &["src/desired/yaml"], "one reading of YAML"),
    ("granit_parser", &["src/desired/yaml"], "one reading of YAML"),
    ("age", &["src/keys", "src/sealing"], "identities stay in one module"),
    ("std::env::var", &["src/settings.rs"], "settings are resolved once"),
    ("std::env::var_os", &["src/settings.rs"], "settings are resolved once"),
    ("std::env::vars", &["src/settings.rs"], "settings are resolved once"),
    ("std::env::vars_os", &["src/settings.rs"], "settings are resolved once"),
    ("std::env::temp_dir", &["src/settings.rs"], "settings are resolved once"),
    ("std::env::current_dir", &["src/settings.rs"], "settings are resolved once"),
    ("clap_mangen", &["src/cli/generate.rs"], "generated papers come from one command"),
    ("clap_complete", &["src/cli/generate.rs"], "generated papers come from one command"),
];

/// Pure modules know none of these: time and randomness are arguments.
const PURE: &[&str] = &["src/model", "src/desired", "src/planning", "src/sealing"];
const IMPURE: &[&str] = &[
    "tokio",
    "futures",
    "tower",
    "hyper",
    "notify",
    "std::fs",
    "std::env",
    "std::net",
    "std::process",
    "std::thread",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "std::time::SystemTime",
    "std::time::Instant",
    "SystemTime::now",
    "Instant::now",
    "jiff::Timestamp::now",
    "Timestamp::now",
    "Zoned::now",
    "rand",
];

#[test]
fn modules_use_only_what_is_below_them() {
    let mut breaches = Vec::new();
    for source in shipped() {
        let module = source.module().to_owned();
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == module) else {
            breaches.push(Breach::new(&source.path, 1, format!("`{module}` has no layer; give it one in MAY_USE")));
            continue;
        };
        for (line, used) in crate_modules(source) {
            if used != module && !allowed.contains(&used.as_str()) {
                breaches.push(Breach::new(&source.path, line, format!("`{module}` uses `{used}`")));
            }
        }
    }
    none("layers go downward only (tests/it/tidy/layers.rs has the table); move the code or pass data", &breaches);
}

#[test]
fn each_crate_is_named_in_its_home_only() {
    let mut breaches = Vec::new();
    for source in shipped() {
        for (line, path) in source.paths() {
            for (named, homes, why) in HOMES {
                if is_under(&path, named) && !homes.iter().any(|home| at_home(&source.path, home)) {
                    breaches.push(Breach::new(&source.path, line, format!("names `{path}`: {why}: {homes:?}")));
                }
            }
        }
    }
    none("a crate is named in its home only; call a function of that module", &breaches);
}

#[test]
fn pure_modules_know_no_async_clock_file_variable_or_client() {
    let mut breaches = Vec::new();
    for source in shipped().iter().filter(|source| PURE.iter().any(|pure| at_home(&source.path, pure))) {
        for (line, path) in source.paths() {
            if IMPURE.iter().any(|impure| is_under(&path, impure)) {
                breaches.push(Breach::new(&source.path, line, format!("names `{path}`")));
            }
        }
        for (number, line) in source.shipped().filter(|(_, line)| line.code.contains("async ")) {
            breaches.push(Breach::new(&source.path, number, format!("is async: `{}`", line.code.trim())));
        }
    }
    none("model, desired, planning and sealing are pure; take what the world says as an argument", &breaches);
}

/// Modules of the crate that a file names, by `crate::` or, in `main.rs`, by `osier::`.
fn crate_modules(source: &Source) -> Vec<(usize, String)> {
    let of_crate = |path: &str| {
        let rest = path.strip_prefix("crate::").or_else(|| path.strip_prefix("osier::"))?;
        Some(rest.split("::").next().unwrap_or(rest).to_owned())
    };
    source.paths().into_iter().filter_map(|(line, path)| Some((line, of_crate(&path)?))).collect()
}

fn is_under(path: &str, named: &str) -> bool {
    path.strip_prefix(named).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// `src/git` is the home of `src/git.rs` and of all in `src/git/`.
fn at_home(path: &str, home: &str) -> bool {
    path.strip_prefix(home).is_some_and(|rest| rest.is_empty() || rest == ".rs" || rest.starts_with('/'))
}
