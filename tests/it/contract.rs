//! The contract table: what osier, its tests and kubectl rely on of an API server, as rows of `contract/*.txt`.
//!
//! Every row runs against the real kube-apiserver and against the sandbox; a difference is a bug of the sandbox.
//! `contract/README.md` is the language. `OSIER_ROWS=<part of a name>` runs the rows with that text in their name.

mod format;
mod matching;
mod run;

use std::io::Write;

use futures::StreamExt;

use crate::contract::format::Row;
use crate::support::server::Server;

/// Rows in flight at once: most wait for a server, some for a controller.
const CONCURRENCY: usize = 8;
/// The least number of rows that the table promises.
const LEAST: usize = 160;

/// The table, in the order of reading.
const FILES: &[(&str, &str)] = &[
    ("writes.txt", include_str!("contract/writes.txt")),
    ("patches.txt", include_str!("contract/patches.txt")),
    ("refusals.txt", include_str!("contract/refusals.txt")),
    ("reads.txt", include_str!("contract/reads.txt")),
    ("watches.txt", include_str!("contract/watches.txt")),
    ("lifecycle.txt", include_str!("contract/lifecycle.txt")),
    ("workloads.txt", include_str!("contract/workloads.txt")),
    ("kinds.txt", include_str!("contract/kinds.txt")),
    ("custom.txt", include_str!("contract/custom.txt")),
    ("rights.txt", include_str!("contract/rights.txt")),
];

#[test]
fn the_table_is_whole() {
    let rows = rows();
    assert!(rows.len() >= LEAST, "{} rows", rows.len());
    let mut names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    names.sort_unstable();
    for pair in names.windows(2) {
        assert_ne!(pair[0], pair[1], "two rows have one name");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_hold_on_the_real_server() {
    check(&Server::real()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_hold_in_the_sandbox() {
    check(&Server::sandbox().await).await;
}

fn rows() -> Vec<Row> {
    FILES.iter().flat_map(|(file, text)| format::parse(file, text)).collect()
}

async fn check(server: &Server) {
    let wanted = std::env::var("OSIER_ROWS").unwrap_or_default();
    let rows: Vec<Row> = rows().into_iter().filter(|row| row.name.contains(&wanted)).collect();
    let (run, left_out): (Vec<Row>, Vec<Row>) =
        rows.into_iter().partition(|row| server.is_real() || row.real_only.is_none());
    let total = run.len();
    let failures: Vec<String> = futures::stream::iter(run)
        .map(|row| async move {
            let outcome = run::row(server, &row).await;
            println!("{} {}: {}", if outcome.is_ok() { "ok  " } else { "FAIL" }, server.name(), row.name);
            outcome.err().map(|why| format!("{}: {} ({}:{})\n{why}", server.name(), row.name, row.file, row.line))
        })
        .buffer_unordered(CONCURRENCY)
        .filter_map(|failure| async { failure })
        .collect()
        .await;
    summary(server, total, failures.len(), left_out.len());
    assert!(failures.is_empty(), "{} rows fail\n\n{}", failures.len(), failures.join("\n\n"));
}

/// Past the test runner's capture: the figure belongs on the page of a passing run too.
fn summary(server: &Server, total: usize, failed: usize, real_only: usize) {
    let passed = total - failed;
    let rest = if real_only > 0 { format!(" ({real_only} more are real-only)") } else { String::new() };
    let line = format!("contract: {passed} of {total} rows passed, server: {}{rest}\n", server.name());
    std::io::stderr().write_all(line.as_bytes()).expect("standard error is open");
}
