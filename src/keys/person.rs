//! Where sops looks for a person's identities (getsops/sops, `age/keysource.go`).

use std::path::{Path, PathBuf};
use std::process::Command;

use zeroize::Zeroizing;

use crate::keys::{Error, read_file};

/// A place by its name, and what stands there.
type Source = (String, Result<Zeroizing<String>, Error>);

/// Every place that there is; what a variable names must be there, the two usual files need not.
pub(super) fn sources(variable: impl Fn(&str) -> Option<String>) -> Vec<Source> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    let mut sources = vec![];
    if let Some(text) = variable("SOPS_AGE_KEY") {
        sources.push(("SOPS_AGE_KEY".to_owned(), Ok(Zeroizing::new(text))));
    }
    for name in ["SOPS_AGE_KEY_FILE", "SOPS_AGE_SSH_PRIVATE_KEY_FILE"] {
        if let Some(path) = variable(name) {
            sources.push((path.clone(), read_file(Path::new(&path))));
        }
    }
    for name in ["SOPS_AGE_KEY_CMD", "SOPS_AGE_SSH_PRIVATE_KEY_CMD"] {
        if let Some(command) = variable(name) {
            sources.push((name.to_owned(), output(name, &command)));
        }
    }
    let home = variable("HOME").map(PathBuf::from);
    let config = variable("XDG_CONFIG_HOME").map(PathBuf::from).or(home.as_ref().map(|home| home.join(".config")));
    let usual = [config.map(|config| config.join("sops/age/keys.txt")), home.map(|home| home.join(".ssh/id_ed25519"))];
    for path in usual.into_iter().flatten().filter(|path| path.exists()) {
        sources.push((path.display().to_string(), read_file(&path)));
    }
    sources
}

fn output(name: &str, command: &str) -> Result<Zeroizing<String>, Error> {
    let place = name.to_owned();
    match Command::new("sh").args(["-c", command]).output() {
        Ok(output) if output.status.success() => match String::from_utf8(output.stdout) {
            Ok(text) => Ok(Zeroizing::new(text)),
            Err(_) => Err(Error::Command { place }),
        },
        Ok(_) => Err(Error::Command { place }),
        Err(source) => Err(Error::Read { place, source }),
    }
}
