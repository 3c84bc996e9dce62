//! The command line as people see it: each file in `commands/`, and the README, is a page with console blocks.
//!
//! A page is one session of a shell, with `osier` and the real programs on the path, and nobody's keys or kubeconfig. It
//! begins in an empty directory, or with `<!-- repository: FOLDER -->` in a clone of that folder beside a sandbox (`place`).
//! What a line prints (both streams) follows it; `[exit 6]` ends a line that failed. `UPDATE_EXPECT=1` writes the pages anew.

mod place;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::commands::place::Place;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn pages_show_what_the_commands_print() {
    let mut wrong = Vec::new();
    for page in pages() {
        let written = std::fs::read_to_string(&page).unwrap();
        let run = run_page(&written);
        if run == written {
            continue;
        }
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&page, run).unwrap();
        } else {
            wrong.push(format!("{}:\n{}", page.display(), first_difference(&written, &run)));
        }
    }
    assert!(
        wrong.is_empty(),
        "\n{}\nUPDATE_EXPECT=1 writes the pages anew; read them as a user would\n",
        wrong.join("\n")
    );
}

/// `PAGE=apply` runs the pages with that in their name, while one is written.
fn pages() -> Vec<PathBuf> {
    let directory = Path::new(ROOT).join("tests/it/commands");
    let mut pages: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.push(Path::new(ROOT).join("README.md"));
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    if let Ok(name) = std::env::var("PAGE") {
        pages.retain(|page| page.file_name().is_some_and(|file| file.to_string_lossy().contains(&name)));
    }
    pages.sort();
    pages
}

/// The page with each console block as it comes out today.
fn run_page(page: &str) -> String {
    let pieces = pieces(page);
    let commands: Vec<&str> = pieces
        .iter()
        .filter_map(|piece| if let Piece::Command(command) = piece { Some(command.as_str()) } else { None })
        .collect();
    let mut outputs = Place::new(repository(page)).run(&commands).into_iter();
    let mut text = String::new();
    for piece in &pieces {
        match piece {
            Piece::Prose(line) => writeln!(text, "{line}").unwrap(),
            Piece::Command(command) => {
                writeln!(text, "$ {}", command.replace('\n', "\n> ")).unwrap();
                text.push_str(&outputs.next().expect("each command has an output"));
            }
        }
    }
    text
}

/// A line of the page that stays as it is, or a command of a console block.
enum Piece {
    Prose(String),
    Command(String),
}

fn pieces(page: &str) -> Vec<Piece> {
    let (mut pieces, mut in_block) = (Vec::new(), false);
    for line in page.lines() {
        let opens = !in_block && line == "```console";
        in_block = if in_block { line != "```" } else { opens };
        match (line.strip_prefix("$ "), line.strip_prefix("> "), pieces.last_mut()) {
            (Some(command), ..) if in_block => pieces.push(Piece::Command(command.to_owned())),
            (_, Some(more), Some(Piece::Command(command))) if in_block => write!(command, "\n{more}").unwrap(),
            _ if !in_block || opens => pieces.push(Piece::Prose(line.to_owned())),
            _ => {}
        }
    }
    pieces
}

/// The folder that the page's clone is made from.
fn repository(page: &str) -> Option<&str> {
    page.lines().find_map(|line| line.strip_prefix("<!-- repository: ")?.strip_suffix(" -->"))
}

fn first_difference(written: &str, run: &str) -> String {
    let pairs = written.lines().chain(std::iter::repeat("")).zip(run.lines().chain(["", ""]));
    let differing = pairs.enumerate().find(|(_, (written, run))| written != run);
    differing
        .map_or_else(String::new, |(index, (written, run))| format!("  line {}\n  - {written}\n  + {run}", index + 1))
}
