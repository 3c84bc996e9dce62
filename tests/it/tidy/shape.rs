//! Sizes and habits: small functions and files, no shortcuts around errors, no traits for tests.

use super::source::{Source, all, shipped};
use super::{Breach, none};

/// Lines of code of a function, signature and braces included; blank lines, comments and fixtures in strings do not count.
const FUNCTION: usize = 70;
/// Lines of a file.
const FILE: usize = 600;
/// Traits of our own, each with its two production implementations. There are none.
const TRAITS: &[&str] = &[];

#[test]
fn functions_and_files_are_small() {
    let mut breaches = Vec::new();
    for source in all() {
        if source.lines.len() > FILE {
            breaches.push(Breach::new(&source.path, FILE, format!("the file has {} lines", source.lines.len())));
        }
        for (line, length) in functions(source).into_iter().filter(|(_, length)| *length > FUNCTION) {
            breaches.push(Breach::new(&source.path, line, format!("the function has {length} lines")));
        }
    }
    none("a function has at most 70 lines (aim at 25), a file 600 (aim at 300); split it", &breaches);
}

#[test]
fn errors_are_not_thrown_away() {
    let mut breaches = Vec::new();
    for source in shipped() {
        let explained = |number: usize| source.lines[number - 2].text.trim().starts_with("//");
        for (number, line) in source.shipped() {
            let code = line.code.trim();
            for habit in [".unwrap()", "let _ =", "todo!(", "unimplemented!(", "dbg!("] {
                if code.contains(habit) {
                    breaches.push(Breach::new(&source.path, number, format!("`{habit}`")));
                }
            }
            if code.ends_with(".ok();") && !code.contains(" = ") && !code.starts_with("return") && !explained(number) {
                breaches.push(Breach::new(&source.path, number, "a result is dropped by `.ok();` without a comment"));
            }
        }
    }
    none(
        "return the error, prove with `expect(\"why it cannot happen\")`, or say above why it does not matter",
        &breaches,
    );
}

#[test]
fn imports_say_where_things_are() {
    let mut breaches = Vec::new();
    for source in shipped() {
        if source.path.ends_with("/mod.rs") {
            breaches.push(Breach::new(&source.path, 1, "a module is `foo.rs` beside `foo/`"));
        }
        for (number, line) in source.shipped() {
            let code = line.code.trim();
            let import =
                code.starts_with("use ") || code.starts_with("pub use ") || code.starts_with("pub(crate) use ");
            if import && !code.starts_with("use ") {
                breaches.push(Breach::new(&source.path, number, "a re-export"));
            }
            if import && code.contains('*') {
                breaches.push(Breach::new(&source.path, number, "a glob"));
            }
        }
    }
    none("no re-exports, no globs, no mod.rs: one path to each thing", &breaches);
}

#[test]
fn there_is_no_trait_without_two_production_implementations() {
    let mut breaches = Vec::new();
    for source in shipped() {
        for (number, line) in source.shipped() {
            let mut words = line.code.split_whitespace().skip_while(|word| word.starts_with("pub"));
            if words.next() == Some("trait") && !words.next().is_some_and(|name| TRAITS.contains(&name)) {
                breaches.push(Breach::new(&source.path, number, format!("`{}`", line.code.trim())));
            }
        }
    }
    none("write a function; a trait needs two implementations that ship, and a line in TRAITS", &breaches);
}

#[test]
fn unsafe_stands_once() {
    let mut places = Vec::new();
    for source in shipped() {
        for (number, line) in source.shipped() {
            let mut words = line.code.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'));
            if words.any(|word| word == "unsafe") {
                places.push(Breach::new(&source.path, number, format!("`{}`", line.code.trim())));
            }
        }
    }
    let audited = |place: &Breach| place.path.starts_with("src/git");
    let others: Vec<Breach> = places
        .into_iter()
        .enumerate()
        .filter(|(nth, place)| *nth > 0 || !audited(place))
        .map(|(_, place)| place)
        .collect();
    none("`unsafe` stands once, for the process-wide options of libgit2, in src/git", &others);
}

/// First line and lines of code of each function. rustfmt closes a function at the indentation that it began at.
fn functions(source: &Source) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (index, line) in source.lines.iter().enumerate().filter(|(_, line)| begins_function(&line.code)) {
        let indent = line.code.len() - line.code.trim_start().len();
        let end = format!("{}}}", &line.code[..indent]);
        let one_line = line.code.ends_with(['}', ';']);
        let last = if one_line { Some(0) } else { source.lines[index..].iter().position(|line| line.code == end) };
        let body = &source.lines[index..=index + last.unwrap_or(0)];
        found.push((index + 1, body.iter().filter(|line| !line.code.trim().is_empty()).count()));
    }
    found
}

fn begins_function(code: &str) -> bool {
    let mut words = code.split_whitespace();
    let mut word = words.next();
    while word.is_some_and(|word| word.starts_with("pub") || matches!(word, "async" | "const" | "unsafe")) {
        word = words.next();
    }
    word == Some("fn")
}

#[test]
fn lengths_are_counted_from_signature_to_brace() {
    let source = Source::parse(
        "src/x.rs",
        "impl A {\n    pub async fn long(\n        a: A,\n    ) {\n        one();\n    }\n\n    fn short() {}\n}\n",
    );
    assert_eq!(functions(&source), [(2, 5), (8, 1)]);
}
