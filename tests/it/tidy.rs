//! Rules of ARCHITECTURE.md and CONTRIBUTING.md that a reader should not have to check. They read the source, in milliseconds.

mod commands;
mod dependencies;
mod generated;
mod layers;
mod papers;
mod secrets;
mod shape;
mod source;
mod wire;
mod words;

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The top of the project.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the project as text; a missing one fails the test by name.
fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file under a directory of the project, sorted, as paths from the top; a missing directory has none.
fn files(directory: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from(directory)];
    while let Some(directory) = open.pop() {
        let Ok(entries) = std::fs::read_dir(root().join(&directory)) else { continue };
        for entry in entries {
            let entry = entry.unwrap();
            let path = directory.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                open.push(path);
            } else {
                found.push(path.to_str().expect("paths of the project are UTF-8").to_owned());
            }
        }
    }
    found.sort();
    found
}

/// True for `a/b.rs` and `rs`.
fn has_ending(path: &str, ending: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == ending)
}

/// One breach of a rule.
struct Breach {
    path: String,
    line: usize,
    what: String,
}

impl Breach {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

/// Fails with every breach, a line each, and the rule with what to do.
fn none(rule: &str, breaches: &[Breach]) {
    let mut text = String::new();
    for Breach { path, line, what } in breaches {
        writeln!(text, "{path}:{line}: {what}").unwrap();
    }
    assert!(breaches.is_empty(), "\n{text}rule: {rule}\n");
}
