//! The project's papers agree with the code.

use osier::model::reason::Reason;

use super::{Breach, files, has_ending, none, read};

const REASONS: &str = "docs/reasons.md";

#[test]
fn architecture_fits_on_one_sitting() {
    let lines = read("ARCHITECTURE.md").lines().count();
    let long = (lines > 200).then(|| Breach::new("ARCHITECTURE.md", lines, format!("{lines} lines")));
    none("ARCHITECTURE.md has at most 200 lines", &long.into_iter().collect::<Vec<_>>());
}

#[test]
fn architecture_names_every_module() {
    let paper = read("ARCHITECTURE.md");
    let modules = read("src/lib.rs");
    let mut breaches = Vec::new();
    for (index, line) in modules.lines().enumerate() {
        let Some(name) = line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';')) else { continue };
        if !paper.contains(&format!("{name}/")) && !paper.contains(&format!("{name}.rs")) {
            breaches.push(Breach::new("src/lib.rs", index + 1, format!("`{name}` is not in ARCHITECTURE.md")));
        }
    }
    none("the map of ARCHITECTURE.md has every module", &breaches);
}

/// Paths in backticks that look like files of this project.
#[test]
fn papers_name_files_that_exist() {
    let mut breaches = Vec::new();
    for paper in ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md", "SECURITY.md", REASONS] {
        for (index, line) in read(paper).lines().enumerate() {
            for path in line.split('`').skip(1).step_by(2).filter(|word| is_path(word)) {
                let there = |top: &str| super::root().join(top).join(path).exists();
                if !there("") && !there("src") {
                    breaches.push(Breach::new(paper, index + 1, format!("`{path}` does not exist")));
                }
            }
        }
    }
    none("a path in a paper exists", &breaches);
}

fn is_path(word: &str) -> bool {
    let tops = ["src/", "tests/", "docs/", "policies/", "example-repo/", "benches/", "charts/", ".ci/"];
    let code = word.contains('/') && has_ending(word, "rs");
    (code || tops.iter().any(|top| word.starts_with(top))) && !word.contains([' ', '*', '<', '{', '…'])
}

#[test]
fn every_reason_is_documented() {
    let paper = read(REASONS);
    let headings: Vec<&str> = paper.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let names: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(headings, names, "{REASONS} has a heading for each reason of src/model/reason.rs, in that order");
    let mut breaches = Vec::new();
    for section in paper.split("\n## ").skip(1) {
        let name = section.lines().next().unwrap_or_default();
        let line = paper.lines().position(|line| line == format!("## {name}")).map_or(1, |at| at + 1);
        let reason = Reason::ALL.iter().find(|reason| reason.as_str() == name).expect("the headings are the reasons");
        if !section.contains(reason.meaning()) {
            breaches.push(Breach::new(REASONS, line, format!("does not say: {}", reason.meaning())));
        }
        if !section.contains("**What to do:**") {
            breaches.push(Breach::new(REASONS, line, "does not say what to do"));
        }
    }
    none("a reason is documented with its sentence of src/model/reason.rs and **What to do:**", &breaches);
}

#[test]
fn commands_in_papers_exist() {
    let commands = super::commands::names();
    let papers = files("docs").into_iter().chain(["README.md".to_owned(), "ARCHITECTURE.md".to_owned()]);
    let mut breaches = Vec::new();
    for paper in papers.filter(|path| has_ending(path, "md")) {
        for (index, line) in read(&paper).lines().enumerate() {
            for word in commands_of(line).into_iter().filter(|word| !commands.contains(word)) {
                breaches.push(Breach::new(&paper, index + 1, format!("`osier {word}` is no command")));
            }
        }
    }
    none("papers name commands that exist", &breaches);
}

/// What follows `osier` in code spans and after prompts.
fn commands_of(line: &str) -> Vec<String> {
    let spans = line.split('`').skip(1).step_by(2).map(str::trim);
    let prompt = line.trim().strip_prefix("$ ");
    let called = spans.chain(prompt).filter_map(|span| span.strip_prefix("osier ")?.split_whitespace().next());
    called.filter(|word| word.chars().all(|letter| letter.is_ascii_lowercase())).map(str::to_owned).collect()
}
