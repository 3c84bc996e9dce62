//! A real bare repository, filled through `git fast-import`: a hundred thousand files in seconds.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::workload::File;

/// A bare repository with the branch `main`.
pub struct Repository {
    directory: PathBuf,
    commits: u32,
}

impl Repository {
    /// An empty one in `directory`.
    pub fn new(directory: &Path) -> Self {
        git(directory, &["init", "--quiet", "--bare", "--initial-branch=main", "."]);
        Self { directory: directory.to_owned(), commits: 0 }
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.directory.display())
    }

    /// Puts all that it has into a mirror's directory: libgit2 serves a first fetch of a local remote by computing deltas of
    /// all files, for minutes, which is nobody's everyday and no figure of osier's.
    pub fn seed(&self, mirror: &Path) {
        let [from, to] = [&self.directory, mirror].map(|path| path.to_string_lossy().into_owned());
        git(&self.directory, &["clone", "--quiet", "--bare", "--local", &from, &to]);
    }

    /// Commits files over those that are there.
    pub fn commit(&mut self, files: impl Iterator<Item = File>) {
        self.import("refs/heads/main", std::iter::once(files));
    }

    /// Makes commits, one on top of the other, without moving the branch: what a push does before its last step.
    pub fn stage<Files: Iterator<Item = File>>(&mut self, commits: impl Iterator<Item = Files>) -> Vec<String> {
        const STAGE: &str = "refs/figures/stage";
        git(&self.directory, &["update-ref", STAGE, "refs/heads/main"]);
        self.import(STAGE, commits);
        let staged = git(&self.directory, &["rev-list", "--reverse", &format!("refs/heads/main..{STAGE}")]);
        git(&self.directory, &["update-ref", "-d", STAGE]);
        staged.lines().map(str::to_owned).collect()
    }

    /// The last step of a push, done as git does it: the branch moves to a commit that is there.
    pub fn push(&self, commit: &str) {
        self.push_branch("main", commit);
    }

    /// The same for any branch; one that is not there is made.
    pub fn push_branch(&self, branch: &str, commit: &str) {
        let branch = self.directory.join("refs/heads").join(branch);
        let lock = branch.with_extension("lock");
        let made = std::fs::create_dir_all(branch.parent().expect("it is a path below the directory"));
        let written = made.and_then(|()| std::fs::write(&lock, format!("{commit}\n")));
        written.and_then(|()| std::fs::rename(&lock, &branch)).expect("there is room for a commit id");
    }

    /// Many branches in one push: where each is to be, or that it is deleted.
    pub fn push_branches<'b>(&self, branches: impl Iterator<Item = (&'b str, Option<&'b str>)>) {
        let order = |(branch, commit): (&str, Option<&str>)| match commit {
            Some(commit) => format!("update refs/heads/{branch} {commit}\n"),
            None => format!("delete refs/heads/{branch}\n"),
        };
        let orders: String = branches.map(order).collect();
        let mut update = Command::new("git")
            .args(["update-ref", "--stdin"])
            .current_dir(&self.directory)
            .stdin(Stdio::piped())
            .spawn()
            .expect("`check.sh` asked for git");
        let mut input = update.stdin.take().expect("the pipe was asked for");
        input.write_all(orders.as_bytes()).expect("git reads to the end");
        drop(input);
        assert!(update.wait().is_ok_and(|status| status.success()), "git update-ref failed");
    }

    fn import<Files: Iterator<Item = File>>(&mut self, branch: &str, commits: impl Iterator<Item = Files>) {
        let mut import = Command::new("git")
            .args(["-c", "core.compression=1", "-c", "fastimport.unpackLimit=1", "fast-import", "--quiet", "--depth=0"])
            .current_dir(&self.directory)
            .stdin(Stdio::piped())
            .spawn()
            .expect("`check.sh` asked for git");
        let mut input = BufWriter::new(import.stdin.take().expect("the pipe was asked for"));
        for (index, files) in commits.enumerate() {
            // what it has made it goes on from by itself
            let from = (index == 0 && self.commits > 0).then_some(branch);
            self.write(&mut input, (branch, from), files).expect("fast-import reads to the end");
            self.commits += 1;
        }
        drop(input);
        assert!(import.wait().is_ok_and(|status| status.success()), "git fast-import failed");
    }

    fn write(
        &self,
        input: &mut impl Write,
        (branch, from): (&str, Option<&str>),
        files: impl Iterator<Item = File>,
    ) -> std::io::Result<()> {
        let time = 1_767_225_600 + self.commits;
        let message = format!("change {}", self.commits);
        write!(input, "commit {branch}\ncommitter Ann <ann@example.com> {time} +0000\n")?;
        write!(input, "data {}\n{message}\n", message.len())?;
        if let Some(from) = from {
            writeln!(input, "from {from}^0")?;
        }
        for (path, content) in files {
            write!(input, "M 100644 inline {path}\ndata {}\n", content.len())?;
            input.write_all(&content)?;
            writeln!(input)?;
        }
        Ok(())
    }
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git").args(arguments).current_dir(directory).stderr(Stdio::inherit()).output();
    let output = output.expect("`check.sh` asked for git");
    assert!(output.status.success(), "git {arguments:?} failed");
    String::from_utf8(output.stdout).expect("commit ids are ASCII")
}
