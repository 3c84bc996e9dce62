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
        let mut import = Command::new("git")
            .args(["-c", "core.compression=1", "-c", "fastimport.unpackLimit=1", "fast-import", "--quiet", "--depth=0"])
            .current_dir(&self.directory)
            .stdin(Stdio::piped())
            .spawn()
            .expect("`check.sh` asked for git");
        let mut input = BufWriter::new(import.stdin.take().expect("the pipe was asked for"));
        self.write(&mut input, files).expect("fast-import reads to the end");
        drop(input);
        assert!(import.wait().is_ok_and(|status| status.success()), "git fast-import failed");
        self.commits += 1;
    }

    fn write(&self, input: &mut impl Write, files: impl Iterator<Item = File>) -> std::io::Result<()> {
        let time = 1_767_225_600 + self.commits;
        let message = format!("change {}", self.commits);
        write!(input, "commit refs/heads/main\ncommitter Ann <ann@example.com> {time} +0000\n")?;
        write!(input, "data {}\n{message}\n", message.len())?;
        if self.commits > 0 {
            writeln!(input, "from refs/heads/main^0")?;
        }
        for (path, content) in files {
            write!(input, "M 100644 inline {path}\ndata {}\n", content.len())?;
            input.write_all(&content)?;
            writeln!(input)?;
        }
        Ok(())
    }
}

fn git(directory: &Path, arguments: &[&str]) {
    let status = Command::new("git").args(arguments).current_dir(directory).status();
    assert!(status.is_ok_and(|status| status.success()), "git {arguments:?} failed");
}
