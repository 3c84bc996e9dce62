//! `osier init`: the files of a new configuration repository, all or none.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;

use crate::cli::failure::{Failure, Finding};
use crate::cli::output;
use crate::keys;
use crate::settings::{Output, Settings};

/// Where files are written before they are moved to their places.
const STAGING: &str = ".osier-init";
/// The throw-away identity; the class of its name opens the files of both environments.
const KEY_FILE: &str = "keys/throw-away.txt";
/// Everything but the identity. `.sops.yaml` is filled in with its recipient.
const FILES: [(&str, &str); 6] = [
    ("osier.yaml", include_str!("init/osier.yaml")),
    ("base/app.yaml", include_str!("init/base.yaml")),
    ("envs/staging/app.yaml", include_str!("init/staging.yaml")),
    ("envs/production/app.yaml", include_str!("init/production.yaml")),
    (".sops.yaml", include_str!("init/sops.yaml")),
    (".gitignore", include_str!("init/gitignore")),
];

/// Arguments of `osier init`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: osier init shop-config")]
pub struct Args {
    /// Directory to start in; made if it is missing [default: the current directory].
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// A file that is to be written.
struct NewFile {
    path: &'static str,
    content: Vec<u8>,
    mode: u32,
}

/// Writes `osier.yaml`, layers and one throw-away key, and says what to run next.
///
/// # Errors
/// A file of that name exists (all of them are listed), or the directory cannot be written. Nothing is left behind then.
pub fn run(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    let directory = args.dir.as_ref().map_or_else(|| settings.directory.clone(), |dir| settings.directory.join(dir));
    let files = new_files();
    refuse_existing(&directory, &files)?;
    write_all(&directory, &files).map_err(|error| {
        Failure::general(error, "nothing was written; mend that, or run: osier init ANOTHER-DIRECTORY")
    })?;
    show(settings.common.output, &files);
    next_steps(args.dir.as_deref(), &directory);
    Ok(Finding::Nothing)
}

fn new_files() -> Vec<NewFile> {
    let (identity, recipient) = keys::generate();
    let filled = |text: &str| text.replace("RECIPIENT", &recipient).into_bytes();
    let mut files: Vec<NewFile> =
        FILES.iter().map(|(path, text)| NewFile { path, content: filled(text), mode: 0o644 }).collect();
    let mut content = format!(
        "# THROW-AWAY KEY, for trying things out on this machine. Never encrypt anything real to it.\n# public key: {recipient}\n"
    )
    .into_bytes();
    content.extend_from_slice(identity.expose());
    content.push(b'\n');
    files.push(NewFile { path: KEY_FILE, content, mode: 0o600 });
    files
}

fn refuse_existing(directory: &Path, files: &[NewFile]) -> Result<(), Failure> {
    let all = files.iter().map(|file| file.path).chain([STAGING]);
    let existing: Vec<&str> = all.filter(|path| directory.join(path).symlink_metadata().is_ok()).collect();
    if existing.is_empty() {
        return Ok(());
    }
    let message = format!("`{}` has these already: {}", directory.display(), existing.join(", "));
    Err(Failure::general(message, "nothing was written; move them away, or run: osier init ANOTHER-DIRECTORY"))
}

/// Writes all files aside, then moves them to their places; takes everything back if one step fails.
fn write_all(directory: &Path, files: &[NewFile]) -> anyhow::Result<()> {
    let mut made = Made::default();
    let written = write_and_move(directory, files, &mut made);
    if written.is_err() {
        made.take_back();
    }
    written
}

fn write_and_move(directory: &Path, files: &[NewFile], made: &mut Made) -> anyhow::Result<()> {
    let staging = directory.join(STAGING);
    made.directories(&staging)?;
    for (index, file) in files.iter().enumerate() {
        let aside = staging.join(index.to_string());
        made.files.push(aside.clone());
        write(&aside, file)?;
    }
    for (index, file) in files.iter().enumerate() {
        let place = directory.join(file.path);
        made.directories(place.parent().unwrap_or(directory))?;
        fs::rename(staging.join(index.to_string()), &place).with_context(|| cannot("write", &place))?;
        made.files.push(place);
    }
    fs::remove_dir(&staging).with_context(|| cannot("remove", &staging))
}

fn write(path: &Path, file: &NewFile) -> anyhow::Result<()> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(file.mode).open(path);
    let written = opened.and_then(|mut opened: File| {
        opened.write_all(&file.content)?;
        opened.sync_all()
    });
    written.with_context(|| cannot("write", path))
}

fn cannot(verb: &str, path: &Path) -> String {
    format!("cannot {verb} `{}`", path.display())
}

/// What was made so far, in order.
#[derive(Default)]
struct Made {
    directories: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

impl Made {
    /// Makes a directory and those above it.
    fn directories(&mut self, path: &Path) -> anyhow::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
            self.directories(above)?;
        }
        fs::create_dir(path).with_context(|| cannot("make", path))?;
        self.directories.push(path.to_owned());
        Ok(())
    }

    /// Removes what is still there, last first. What cannot be removed is named by the error that is on its way.
    fn take_back(self) {
        let files = self.files.iter().rev().map(fs::remove_file);
        let directories = self.directories.iter().rev().map(fs::remove_dir);
        for failed in files.chain(directories).filter_map(Result::err) {
            if failed.kind() != ErrorKind::NotFound {
                tracing::warn!(error = %failed, "a file of a failed init is left");
            }
        }
    }
}

fn show(format: Output, files: &[NewFile]) {
    let paths: Vec<&str> = files.iter().map(|file| file.path).collect();
    match format {
        Output::Text => paths.iter().for_each(|path| anstream::println!("+ {path}")),
        format => output::data(format, &json!({"kind": "Written", "paths": paths})),
    }
}

fn next_steps(named: Option<&Path>, directory: &Path) {
    let mut steps = Vec::new();
    if let Some(named) = named {
        steps.push(format!("cd {}", named.display()));
    }
    if !directory.ancestors().any(|above| above.join(".git").exists()) {
        steps.push("git init --initial-branch main".to_owned());
    }
    steps.push("git add . && git commit --message \"Start with osier\"".to_owned());
    steps.push("osier check".to_owned());
    anstream::eprintln!("\nnext:");
    for step in steps {
        anstream::eprintln!("  {step}");
    }
    anstream::eprintln!("\n{KEY_FILE} is a throw-away key that git ignores: make real ones before real secrets.");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::config::Config;

    #[test]
    fn what_is_written_is_what_osier_reads() {
        let (path, text) = FILES[0];
        let config = Config::parse(path, text).unwrap();
        assert_eq!(config.environments.keys().collect::<Vec<_>>(), ["production", "staging"]);
        for environment in config.environments.values() {
            assert_eq!(format!("keys/{}.txt", environment.keys.as_deref().unwrap()), KEY_FILE);
        }
    }

    #[test]
    fn a_failed_start_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("envs"), "a file where a directory shall be").unwrap();
        assert!(write_all(directory.path(), &new_files()).is_err());
        let left: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["envs"]);
    }
}
