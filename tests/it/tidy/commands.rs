//! Every command is explained, shown in the README and run by a test.

use super::source::{Source, shipped};
use super::{Breach, files, none, read};

/// A directory of cases, run by `tests/it/commands.rs`; `check-broken-mac.md` is one of `osier check`.
const CASES: &str = "tests/it/commands";

/// Names of all commands: a file in `src/cli` with arguments is one.
pub fn names() -> Vec<String> {
    sources().into_iter().map(name).collect()
}

#[test]
fn every_command_has_an_example_in_its_help() {
    let mut breaches = Vec::new();
    for source in sources() {
        let call = format!("osier {}", name(source));
        let strings = || source.shipped().flat_map(|(_, line)| &line.strings);
        if !strings().any(|text| text.contains("Example") && text.contains(&call)) {
            breaches.push(Breach::new(&source.path, 1, format!("no after_help with `Example: {call} ...`")));
        }
    }
    none("the help of a command has an example that can be typed", &breaches);
}

#[test]
fn every_command_has_a_case() {
    let cases = files(CASES);
    let has = |name: &str| {
        cases.iter().filter_map(|path| path.rsplit('/').next()).any(|file| file.split(['-', '.']).next() == Some(name))
    };
    let missing = sources().into_iter().filter(|source| !has(&name(source)));
    let breaches: Vec<Breach> =
        missing.map(|source| Breach::new(&source.path, 1, format!("no {CASES}/{}*", name(source)))).collect();
    none("a command has a case that runs it", &breaches);
}

#[test]
fn every_command_is_in_the_readme() {
    let readme = read("README.md");
    let missing = sources().into_iter().filter(|source| !readme.contains(&format!("osier {}", name(source))));
    let breaches: Vec<Breach> = missing
        .map(|source| Breach::new(&source.path, 1, format!("`osier {}` is not in README.md", name(source))))
        .collect();
    none("README.md names every command", &breaches);
}

fn sources() -> Vec<&'static Source> {
    let is_command = |source: &&Source| {
        source.path.starts_with("src/cli/")
            && source.shipped().any(|(_, line)| line.code.starts_with("pub struct Args"))
    };
    shipped().iter().filter(is_command).collect()
}

fn name(source: &Source) -> String {
    source.path.trim_start_matches("src/cli/").trim_end_matches(".rs").to_owned()
}
