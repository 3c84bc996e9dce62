//! The figures: real parts, never hard-coded; what cannot run says so.
//!
//! `make figures` prints one table, `make figures ONLY=pipeline` one section of it. Each case is a process of its own, so that its
//! peak memory is its own, with a control plane of its own, so that no case finds the API server as another one left it.
//! As `cargo test` runs it (without `--bench`), or with `SIZE=small`, everything is tiny and the API server is the sandbox:
//! then the figures mean nothing, and what is shown is that they can still be computed.
#![allow(clippy::disallowed_methods, reason = "a program of its own, with an environment and a clock")]
#![allow(clippy::cast_precision_loss, reason = "what is shown has three digits")]
#![allow(clippy::unchecked_time_subtraction, reason = "the later time less the earlier one")]

mod cases;
mod process;
mod random;
mod repository;
mod sops;
#[allow(dead_code, clippy::unwrap_used, reason = "not all of what the tests stand on is needed here")]
mod support;
mod table;
mod workload;

use std::process::{Command, ExitCode, Stdio};

use crate::cases::Size;
use crate::table::Row;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let small = !arguments.iter().any(|argument| argument == "--bench") || arguments.iter().any(|word| word == "small");
    let size = if small { Size::Small } else { Size::Full };
    if let Some(case) = arguments.iter().find_map(|argument| argument.strip_prefix("case=")) {
        let rows = cases::run(case, size);
        println!("{}", serde_json::to_string(&rows).expect("rows are texts"));
        return ExitCode::SUCCESS;
    }
    let wanted: Vec<&String> = arguments.iter().filter(|word| !word.starts_with("--") && *word != "small").collect();
    let sections =
        cases::SECTIONS.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|word| word == name));
    let cases: Vec<String> = sections.flat_map(|(_, cases)| cases(size)).collect();
    let results: Vec<(bool, Vec<Row>)> = cases.iter().map(|case| child(case, size)).collect();
    let whole = results.iter().all(|(whole, _)| *whole);
    let rows: Vec<Row> = results.into_iter().flat_map(|(_, rows)| rows).collect();
    print!("{}", table::text(&rows));
    if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one case in a process of its own.
fn child(case: &str, size: Size) -> (bool, Vec<Row>) {
    eprintln!("{case} …");
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.arg(format!("case={case}")).arg("--bench").stderr(Stdio::inherit());
    if let Size::Small = size {
        command.arg("small");
    }
    let output = command.output();
    let rows = output.ok().filter(|output| output.status.success()).and_then(|output| rows(&output.stdout));
    match rows {
        Some(rows) => (true, rows),
        None => (false, vec![Row::new("", case, "could not run", "see above")]),
    }
}

/// The last line that it printed: what stands before is of the tests' own harness.
fn rows(stdout: &[u8]) -> Option<Vec<Row>> {
    let text = std::str::from_utf8(stdout).ok()?;
    serde_json::from_str(text.lines().last()?).ok()
}
