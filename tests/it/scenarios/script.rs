//! The language of the scripts: see `README.md` beside this file.

use std::fmt::Write;

/// One part of a script, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A comment or a blank line, as it stands.
    Prose(String),
    /// A file of the clone, written when it is read.
    File(File),
    /// A line that is run, with what it must say.
    Command(Command),
}

/// A file with its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub path: String,
    /// Key classes that it is encrypted for.
    pub encrypted_for: Vec<String>,
    pub content: String,
}

/// A command and its output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Line of the script.
    pub number: usize,
    pub line: String,
    /// Lines that begin with `| ` (stdout), `! ` (stderr) or `= ` (exit code).
    pub output: String,
}

/// Where a script runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Servers {
    Both,
    SandboxOnly,
    RealOnly,
}

/// Parses a script.
///
/// Panics at output without a command.
pub fn parse(name: &str, text: &str) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(header) = line.strip_prefix("//- ") {
            items.push(Item::File(file(header)));
        } else if let Some(line) = line.strip_prefix("$ ") {
            items.push(Item::Command(Command { number: index + 1, line: line.to_owned(), output: String::new() }));
        } else if let Some(Item::File(file)) = items.last_mut() {
            file.content.push_str(line);
            file.content.push('\n');
        } else if is_output(line) {
            let Some(Item::Command(command)) = items.last_mut() else {
                panic!("{name}:{}: output of nothing", index + 1)
            };
            command.output.push_str(line);
            command.output.push('\n');
        } else {
            items.push(Item::Prose(line.to_owned()));
        }
    }
    items
}

/// The script as text again, with the outputs that it has now.
pub fn text(items: &[Item]) -> String {
    let mut text = String::new();
    for item in items {
        match item {
            Item::Prose(line) => writeln!(text, "{line}").unwrap(),
            Item::File(File { path, encrypted_for, content }) if encrypted_for.is_empty() => {
                write!(text, "//- {path}\n{content}").unwrap();
            }
            Item::File(File { path, encrypted_for, content }) => {
                write!(text, "//- {path} (encrypted for {})\n{content}", encrypted_for.join(", ")).unwrap();
            }
            Item::Command(Command { line, output, .. }) => write!(text, "$ {line}\n{output}").unwrap(),
        }
    }
    text
}

/// Where it runs: a comment `# sandbox only: …` or `# real only: …` with the reason.
pub fn servers(items: &[Item]) -> Servers {
    let says = |word: &str| items.iter().any(|item| matches!(item, Item::Prose(line) if line.starts_with(word)));
    match (says("# sandbox only:"), says("# real only:")) {
        (true, _) => Servers::SandboxOnly,
        (_, true) => Servers::RealOnly,
        _ => Servers::Both,
    }
}

fn is_output(line: &str) -> bool {
    ["|", "!", "="].iter().any(|mark| line == *mark || line.starts_with(&format!("{mark} ")))
}

fn file(header: &str) -> File {
    let (path, encrypted) = header.split_once(" (encrypted for ").unwrap_or((header, ""));
    let classes = encrypted.trim_end_matches(')').split(", ").filter(|class| !class.is_empty());
    File { path: path.trim().to_owned(), encrypted_for: classes.map(str::to_owned).collect(), content: String::new() }
}

#[test]
fn scripts_are_read_and_written_back() {
    let text = "# Title\n\n//- a.yaml\na: 1\n\nb: 2\n//- b.sops.yaml (encrypted for staging, production)\nc: 3\n$ push one\n$ osier get\n| x\n|\n! y\n= 2\n\n# end\n";
    let items = parse("test", text);
    assert_eq!(self::text(&items), text);
    assert_eq!(items.len(), 8);
    assert_eq!(servers(&items), Servers::Both);
    let Item::File(file) = &items[3] else { panic!("{items:?}") };
    assert_eq!(file.encrypted_for, ["staging", "production"]);
}
