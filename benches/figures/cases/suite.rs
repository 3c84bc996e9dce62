//! What the last whole run of the tests said about itself: they count, this only shows.

use std::path::PathBuf;
use std::time::SystemTime;

use crate::table::Row;

/// Where `make test` keeps what it printed.
const LOG: &str = "test.log";
/// How the tests begin the lines that are figures, and whether a run without one is complete.
const LINES: [(&str, &str); 5] = [
    ("contract", "contract rows that hold"),
    ("scenarios", "scenarios"),
    ("crash", "crash points x scenarios"),
    ("rights", "rights used by the suite"),
    ("canary", "canary: secret values found elsewhere"),
];

pub fn rows() -> Vec<Row> {
    let path = log();
    let Ok(log) = std::fs::read_to_string(&path) else {
        let none = |(_, what)| Row::new("", what, "run `make test` first", "");
        return LINES.map(none).into();
    };
    let how = format!("the tests, {}", age(&path));
    LINES.iter().flat_map(|(word, what)| found(&log, word, what, &how)).collect()
}

fn found(log: &str, word: &str, what: &str, how: &str) -> Vec<Row> {
    let said =
        log.lines().filter_map(|line| line.split_once(&format!("{word}: ")).filter(|(before, _)| before.is_empty()));
    let rows: Vec<Row> = said.map(|(_, figure)| Row::new("", what, figure, how)).collect();
    if rows.is_empty() { vec![Row::new("", what, "not in the last run of the tests", how)] } else { rows }
}

/// In the target directory that this program was built in.
fn log() -> PathBuf {
    let program = std::env::current_exe().expect("this program has a path");
    let target = program.ancestors().nth(3).expect("it is built in target/<profile>/deps");
    target.join(LOG)
}

fn age(path: &PathBuf) -> String {
    let written = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    let age = written.ok().and_then(|written| SystemTime::now().duration_since(written).ok());
    let minutes = age.map_or(0, |age| age.as_secs() / 60);
    if minutes < 120 { format!("{minutes} min ago") } else { format!("{} h ago", minutes / 60) }
}
