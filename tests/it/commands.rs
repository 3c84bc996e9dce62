//! The command line as people see it: each file in `commands/` is a page of documentation with console blocks.
//!
//! A page runs in an empty directory of its own, block by block, with `osier` on the path and nobody's keys or kubeconfig.
//! What a line prints (both streams) follows it; `[exit 6]` ends a line that failed. `UPDATE_EXPECT=1` writes the pages anew.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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

fn pages() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/commands");
    let mut pages: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    pages
}

/// The page with each console block as it comes out today.
fn run_page(page: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let mut text = String::new();
    let mut in_block = false;
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        in_block = if in_block { line != "```" } else { line == "```console" };
        let Some(first) = line.strip_prefix("$ ").filter(|_| in_block) else {
            if !in_block || line == "```console" {
                writeln!(text, "{line}").unwrap();
            }
            continue;
        };
        writeln!(text, "{line}").unwrap();
        let mut script = first.to_owned();
        while let Some(more) = lines.peek().and_then(|next| next.strip_prefix("> ")) {
            writeln!(text, "> {more}").unwrap();
            write!(script, "\n{more}").unwrap();
            lines.next();
        }
        text.push_str(&run_line(&script, directory.path()));
    }
    text
}

fn run_line(script: &str, directory: &Path) -> String {
    let osier = Path::new(env!("CARGO_BIN_EXE_osier")).parent().unwrap();
    let path = format!("{}:{}", osier.display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh")
        .args(["-c", &format!("exec 2>&1\n{script}")])
        .current_dir(directory)
        .env_clear()
        .envs([("PATH", path.as_str()), ("NO_COLOR", "1"), ("LC_ALL", "C.UTF-8"), ("GIT_CONFIG_NOSYSTEM", "1")])
        .env("HOME", directory)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let mut text = String::from_utf8(output.stdout).unwrap().replace(directory.to_str().unwrap(), "~");
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    if !output.status.success() {
        writeln!(text, "[exit {}]", output.status.code().unwrap_or(-1)).unwrap();
    }
    text
}

fn first_difference(written: &str, run: &str) -> String {
    let pairs = written.lines().chain(std::iter::repeat("")).zip(run.lines().chain(["", ""]));
    let differing = pairs.enumerate().find(|(_, (written, run))| written != run);
    differing
        .map_or_else(String::new, |(index, (written, run))| format!("  line {}\n  - {written}\n  + {run}", index + 1))
}
