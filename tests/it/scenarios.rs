//! Stories about environments, told by scripts that read as documentation: `scenarios/*.txt`.
//!
//! Each runs on the sandbox and on the real control plane and must say the same on both. `UPDATE_EXPECT=1` writes what it
//! says now into the script; `SCENARIO=name` runs one.

pub mod canary;
mod crash;
mod names;
mod requests;
mod run;
pub mod script;
pub mod service;
mod show;
pub mod world;

use std::path::{Path, PathBuf};

use futures::StreamExt;

use crate::scenarios::script::{Item, Servers};
use crate::support::server::Server;

/// Scripts that run side by side.
const CONCURRENCY: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn scenarios_on_the_sandbox() {
    all(Servers::RealOnly, "sandbox").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scenarios_on_the_real_control_plane() {
    all(Servers::SandboxOnly, "real").await;
}

/// Runs every script but those that are for the other server.
async fn all(other: Servers, server: &'static str) {
    let scripts = scripts().into_iter().filter(|(_, items)| script::servers(items) != other);
    let runs = scripts.map(|(path, items)| async move {
        let server = if server == "real" { Server::real() } else { Server::sandbox().await };
        tokio::spawn(async move { run::script(server, &path, items).await }).await
    });
    let results: Vec<_> = futures::stream::iter(runs).buffer_unordered(CONCURRENCY).collect().await;
    let mut scanned = 0;
    let mut failed = Vec::new();
    for result in &results {
        match result {
            Ok(Ok(bytes)) => scanned += bytes,
            Ok(Err(why)) => failed.push(why.clone()),
            Err(panicked) => failed.push(format!("a script panicked: {panicked}")),
        }
    }
    let line = format!(
        "scenarios: {} of {} scripts passed, server: {server}\ncanary: {scanned} bytes scanned, hits 0, server: {server}\n",
        results.len() - failed.len(),
        results.len()
    );
    std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).expect("standard error is open");
    assert!(failed.is_empty(), "{} scripts fail\n\n{}", failed.len(), failed.join("\n\n"));
}

fn scripts() -> Vec<(PathBuf, Vec<Item>)> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/scenarios"));
    let wanted = std::env::var("SCENARIO").ok();
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let is_script = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "txt");
    let is_wanted =
        |path: &PathBuf| wanted.as_ref().is_none_or(|name| path.file_stem().is_some_and(|stem| stem == name.as_str()));
    let read = |path: PathBuf| {
        let items = script::parse(&path.display().to_string(), &std::fs::read_to_string(&path).unwrap());
        (path, items)
    };
    paths.into_iter().filter(is_script).filter(is_wanted).map(read).collect()
}
