//! Rust source as lines of code without comments and strings, as far as the rules need it. Relies on rustfmt's layout.

use std::sync::LazyLock;

use super::{files, has_ending, read};

/// One file.
pub struct Source {
    /// Path from the top of the project.
    pub path: String,
    /// Its lines, the first is number 1.
    pub lines: Vec<Line>,
}

/// One line, taken apart.
#[derive(Default)]
pub struct Line {
    /// As written.
    pub text: String,
    /// Without comments; string literals are `""`.
    pub code: String,
    /// The string literals that begin here, unescaped only as far as `\"`.
    pub strings: Vec<String>,
    /// True inside of a module of unit tests.
    pub tests: bool,
}

impl Source {
    /// Takes a file apart.
    pub fn parse(path: &str, text: &str) -> Self {
        let mut lines = lex(text);
        mark_tests(path, &mut lines);
        Self { path: path.to_owned(), lines }
    }

    /// Lines outside of unit tests, with their numbers.
    pub fn shipped(&self) -> impl Iterator<Item = (usize, &Line)> {
        self.lines.iter().enumerate().filter(|(_, line)| !line.tests).map(|(index, line)| (index + 1, line))
    }

    /// The module right under the crate: `cli` for `src/cli.rs` and for all in `src/cli/`.
    pub fn module(&self) -> &str {
        let path = self.path.strip_prefix("src/").unwrap_or(&self.path);
        path.split('/').next().unwrap_or(path).trim_end_matches(".rs")
    }

    /// Every path that shipped code names, `use` groups spelled out, with its line.
    pub fn paths(&self) -> Vec<(usize, String)> {
        let mut paths = Vec::new();
        let mut statement: Option<(usize, String)> = None;
        for (number, line) in self.shipped() {
            let code = line.code.trim();
            let begins = code.starts_with("use ") || code.starts_with("pub use ");
            if statement.is_none() && !begins {
                paths.extend(inline_paths(code).into_iter().map(|path| (number, path)));
                continue;
            }
            let (first, so_far) = statement.take().unwrap_or((number, String::new()));
            let so_far = so_far + code;
            if so_far.ends_with(';') {
                let tree = so_far.trim_start_matches("pub ").trim_start_matches("use ").trim_end_matches(';');
                paths.extend(spell_out("", tree).into_iter().map(|path| (first, path)));
            } else {
                statement = Some((first, so_far));
            }
        }
        paths
    }
}

/// Every Rust file under `src`, read once.
pub fn shipped() -> &'static [Source] {
    static SHIPPED: LazyLock<Vec<Source>> = LazyLock::new(|| rust("src"));
    &SHIPPED
}

/// Every Rust file under `src` and `tests`.
pub fn all() -> impl Iterator<Item = &'static Source> {
    static TESTS: LazyLock<Vec<Source>> = LazyLock::new(|| rust("tests"));
    shipped().iter().chain(TESTS.iter())
}

fn rust(directory: &str) -> Vec<Source> {
    let paths = files(directory).into_iter().filter(|path| has_ending(path, "rs"));
    let mut all: Vec<Source> = paths.map(|path| Source::parse(&path, &read(&path))).collect();
    let only_tests: Vec<String> = all.iter().flat_map(test_modules).collect();
    for source in all.iter_mut().filter(|source| only_tests.contains(&source.path)) {
        source.lines.iter_mut().for_each(|line| line.tests = true);
    }
    all
}

/// Files of the modules that a file declares for tests only, such as fixtures.
fn test_modules(source: &Source) -> Vec<String> {
    let directory = source.path.trim_end_matches(".rs");
    let pairs = source.lines.windows(2).filter(|pair| pair[0].code.trim() == "#[cfg(test)]");
    let names = pairs.filter_map(|pair| pair[1].code.trim().split("mod ").nth(1)?.strip_suffix(';'));
    names.map(|name| format!("{directory}/{name}.rs")).collect()
}

/// `crate::{a, b::{c, d}}` becomes `crate::a`, `crate::b::c`, `crate::b::d`.
fn spell_out(prefix: &str, tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((head, rest)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or(tree);
        return vec![format!("{prefix}{path}")];
    };
    let inner = rest.strip_suffix('}').unwrap_or(rest);
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for letter in inner.chars() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if letter == ',' && depth == 0 {
            parts.push(String::new());
        } else {
            parts.last_mut().expect("there is always one").push(letter);
        }
    }
    let prefix = format!("{prefix}{head}");
    parts.iter().filter(|part| !part.trim().is_empty()).flat_map(|part| spell_out(&prefix, part)).collect()
}

fn inline_paths(code: &str) -> Vec<String> {
    let inside = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
    let words = code.split(|letter: char| !inside(letter)).map(|word| word.trim_matches(':'));
    words.filter(|word| word.contains("::")).map(str::to_owned).collect()
}

/// Unit tests are a `tests` module, in the file or beside it.
fn mark_tests(path: &str, lines: &mut [Line]) {
    let whole = path.starts_with("tests/") || path.ends_with("/tests.rs") || path.contains("/tests/");
    let mut inside = whole;
    for line in lines {
        inside = inside || line.code.trim() == "#[cfg(test)]";
        line.tests = inside;
        let ends = line.code == "}" || (line.code.ends_with(';') && !line.code.starts_with(' '));
        if ends && !whole {
            inside = false;
        }
    }
}

enum State {
    Code,
    Comment(usize),
    Text { hashes: Option<usize>, began: usize, so_far: String },
}

fn lex(text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut state = State::Code;
    for (index, written) in text.lines().enumerate() {
        lines.push(Line { text: written.to_owned(), ..Line::default() });
        let letters: Vec<char> = written.chars().collect();
        let mut at = 0;
        while at < letters.len() {
            state = step(state, &letters, &mut at, index, &mut lines);
        }
        if let State::Text { so_far, .. } = &mut state {
            so_far.push('\n');
        }
    }
    lines
}

/// Reads one token's worth of letters and moves `at` behind it.
fn step(state: State, letters: &[char], at: &mut usize, index: usize, lines: &mut [Line]) -> State {
    let rest = &letters[*at..];
    let starts = |word: &str| rest.len() >= word.len() && word.chars().zip(rest).all(|(wanted, got)| wanted == *got);
    match state {
        State::Comment(depth) => {
            let (moved, depth) = match (starts("*/"), starts("/*")) {
                (true, _) => (2, depth - 1),
                (_, true) => (2, depth + 1),
                _ => (1, depth),
            };
            *at += moved;
            if depth == 0 { State::Code } else { State::Comment(depth) }
        }
        State::Text { hashes, began, mut so_far } => {
            let end = format!("\"{}", "#".repeat(hashes.unwrap_or(0)));
            if starts(&end) {
                *at += end.len();
                lines[began].strings.push(so_far);
                return State::Code;
            }
            let escape = hashes.is_none() && rest[0] == '\\' && rest.len() > 1;
            so_far.push(rest[usize::from(escape)]);
            *at += 1 + usize::from(escape);
            State::Text { hashes, began, so_far }
        }
        State::Code if starts("//") => {
            *at = letters.len();
            State::Code
        }
        State::Code if starts("/*") => {
            *at += 2;
            State::Comment(1)
        }
        State::Code => code(rest, at, index, &mut lines[index].code),
    }
}

fn code(rest: &[char], at: &mut usize, index: usize, code: &mut String) -> State {
    let opening = |hashes| State::Text { hashes, began: index, so_far: String::new() };
    let inside_word = code.ends_with(|letter: char| letter.is_alphanumeric() || letter == '_');
    if rest[0] == 'r' && !inside_word {
        let hashes = rest[1..].iter().take_while(|letter| **letter == '#').count();
        if rest.get(1 + hashes) == Some(&'"') {
            *at += hashes + 2;
            code.push_str("\"\"");
            return opening(Some(hashes));
        }
    }
    match rest {
        ['"', ..] => {
            *at += 1;
            code.push_str("\"\"");
            return opening(None);
        }
        ['\'', '\\', tail @ ..] => *at += 3 + tail.iter().skip(1).take_while(|letter| **letter != '\'').count() + 1,
        ['\'', _, '\'', ..] => *at += 3,
        _ => {
            *at += 1;
            code.push(rest[0]);
        }
    }
    State::Code
}

#[test]
fn comments_strings_and_groups_are_taken_apart() {
    let text = r##"use crate::{a, b::{c, d as e}}; // crate::x
/* crate::y */ let s = "crate::z // \" no"; let c = '"'; let r = r#"osier.dev/"x"#;
#[cfg(test)]
mod tests {
    use crate::only_tests;
}
fn f<'a>() -> m::T {}
"##;
    let source = Source::parse("src/cli/x.rs", text);
    let paths: Vec<String> = source.paths().into_iter().map(|(line, path)| format!("{line} {path}")).collect();
    assert_eq!(paths, ["1 crate::a", "1 crate::b::c", "1 crate::b::d", "7 m::T"]);
    assert_eq!(source.lines[1].strings, ["crate::z // \" no", "osier.dev/\"x"]);
    assert_eq!(source.lines[1].code, " let s = \"\"; let c = ; let r = \"\";");
    assert_eq!(source.module(), "cli");
}
