//! Every dependency says what it is for, and is used.

use super::source::all;
use super::{Breach, none, read};

#[test]
fn every_dependency_says_what_it_is_for() {
    let breaches: Vec<Breach> = dependencies()
        .into_iter()
        .filter(|(_, _, why)| why.len() < 10)
        .map(|(line, name, _)| Breach::new("Cargo.toml", line, format!("`{name}` has no comment")))
        .collect();
    none("a line of [dependencies] ends with `# what it is for`", &breaches);
}

#[test]
fn every_dependency_is_used() {
    let code: String = all().flat_map(|source| &source.lines).map(|line| line.code.as_str()).collect();
    let used = |name: &str| {
        let name = name.replace('-', "_");
        code.contains(&format!("{name}::")) || code.contains(&format!("use {name}"))
    };
    let breaches: Vec<Breach> = dependencies()
        .into_iter()
        .filter(|(_, name, why)| !why.contains("feature") && !used(name))
        .map(|(line, name, _)| Breach::new("Cargo.toml", line, format!("`{name}` is named nowhere")))
        .collect();
    none("a dependency that no code names is left out (or its comment says which feature it switches on)", &breaches);
}

/// Line, name and comment of each dependency.
fn dependencies() -> Vec<(usize, String, String)> {
    let text = read("Cargo.toml");
    let mut found = Vec::new();
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
            continue;
        }
        let Some((name, rest)) = line.split_once(" = ") else { continue };
        if inside && !line.starts_with('#') {
            let why = rest.split_once("# ").map(|(_, why)| why.to_owned()).unwrap_or_default();
            found.push((index + 1, name.to_owned(), why));
        }
    }
    found
}
