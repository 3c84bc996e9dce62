//! The directory of key classes, followed: a new class or a rotated identity needs no restart.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{oneshot, watch};

use crate::keys::{Error, Keyring};

/// Changes this close together are one: an editor writes in steps, the kubelet swaps a link and removes what it led to.
const ONE_CHANGE: Duration = Duration::from_millis(200);
/// Pause between two looks that nothing asked for: a directory that was replaced is not told of any more.
const LOOK: Duration = Duration::from_secs(10);

/// The identities of a directory, as far as they can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The identities of the classes whose files can be read.
    pub keyring: Arc<Keyring>,
    /// What cannot be used, file by file; nothing of what stands in it.
    pub unusable: Vec<String>,
}

impl Loaded {
    /// Reads the directory.
    pub fn read(directory: &Path) -> Self {
        let (keyring, errors) = Keyring::from_directory(directory);
        Self { keyring: Arc::new(keyring), unusable: errors.iter().map(said).collect() }
    }

    fn is_like(&self, other: &Self) -> bool {
        self.unusable == other.unusable && identities(&self.keyring) == identities(&other.keyring)
    }
}

/// Reads the directory again at each change and sends what is new, until the future is dropped.
///
/// # Guarantees
/// A file that cannot be used costs its class only. While the directory cannot be read, the keyring that was read last stays.
///
/// # Errors
/// `Read` if the operating system has no thread left, `Ended` if it panicked.
pub async fn follow(directory: PathBuf, loaded: watch::Sender<Loaded>) -> Result<(), Error> {
    let (ended, end) = oneshot::channel::<()>();
    let place = directory.display().to_string();
    let followed = move || read_again(&directory, &loaded, &ended);
    thread::Builder::new().name("keys".into()).spawn(followed).map_err(|source| Error::Read { place, source })?;
    // the thread ends only after this future; an error is its panic
    end.await.map_err(|_| Error::Ended)
}

/// Runs until nobody waits for the end any more.
fn read_again(directory: &Path, loaded: &watch::Sender<Loaded>, ended: &oneshot::Sender<()>) {
    let (told, changes) = sync_channel(1);
    let mut watcher = watcher(told);
    while !ended.is_closed() {
        // again each time: the directory may be another one than before
        let armed = watcher.as_mut().map(|watcher| watcher.watch(directory, RecursiveMode::NonRecursive));
        tracing::trace!(?armed, "keys");
        look(directory, loaded);
        wait(&changes);
    }
}

/// `None` if the operating system has none left; then only the looks count.
fn watcher(told: SyncSender<()>) -> Option<RecommendedWatcher> {
    let tell = move |event: notify::Result<notify::Event>| {
        // our own reading is no change
        if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
            // full means that a change is waiting already
            told.try_send(()).ok();
        }
    };
    let made = notify::recommended_watcher(tell);
    made.inspect_err(|error| tracing::warn!(%error, "changes of keys are seen by looking only")).ok()
}

fn wait(changes: &Receiver<()>) {
    match changes.recv_timeout(LOOK) {
        Ok(()) => {
            thread::sleep(ONE_CHANGE);
            while changes.try_recv().is_ok() {}
        }
        Err(RecvTimeoutError::Timeout) => {}
        Err(RecvTimeoutError::Disconnected) => thread::sleep(LOOK),
    }
}

fn look(directory: &Path, loaded: &watch::Sender<Loaded>) {
    if let Err(source) = std::fs::read_dir(directory) {
        let gone = said(&Error::Read { place: directory.display().to_string(), source });
        loaded.send_if_modified(|last| {
            let is_new = last.unusable != [gone.as_str()];
            if is_new {
                tracing::warn!("{gone}; what was read last stays");
                last.unusable = vec![gone];
            }
            is_new
        });
        return;
    }
    let found = Loaded::read(directory);
    loaded.send_if_modified(|last| {
        let is_new = !found.is_like(last);
        if is_new {
            tracing::info!(classes = ?found.keyring.classes(), "keys were read");
            found.unusable.iter().for_each(|unusable| tracing::warn!("{unusable}"));
            *last = found;
        }
        is_new
    });
}

fn identities(keyring: &Keyring) -> Vec<(&str, String)> {
    keyring.classes().into_iter().map(|class| (class, keyring.fingerprint(Some(class)))).collect()
}

fn said(error: &Error) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::keys::generate;

    /// Longest time for a change to be seen, on a machine that has other things to do.
    const PATIENCE: Duration = Duration::from_mins(1);

    fn identity() -> (Vec<u8>, String) {
        let (text, recipient) = generate();
        (text.expose().to_vec(), recipient)
    }

    /// What follows `directory` while `change` is made: the first keyring that `is_it`.
    async fn after(directory: &Path, change: impl FnOnce(), is_it: impl Fn(&Loaded) -> bool) {
        let (sender, mut receiver) = watch::channel(Loaded::read(directory));
        let followed = follow(directory.to_owned(), sender);
        let seen = async {
            change();
            receiver.wait_for(|loaded| is_it(loaded)).await.expect("it is followed");
        };
        tokio::select! {
            end = followed => panic!("{end:?}"),
            seen = tokio::time::timeout(PATIENCE, seen) => seen.expect("the change is seen in time"),
        }
    }

    #[tokio::test]
    async fn the_swap_of_a_mounted_secret_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let (old, new) = (identity(), identity());
        for (version, text) in [("..1", &old.0), ("..2", &new.0)] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("staging.txt"), text).unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/staging.txt", at("staging.txt")).unwrap();
        let swap = || {
            symlink("..2", at("..data_tmp")).unwrap();
            fs::rename(at("..data_tmp"), at("..data")).unwrap();
            fs::remove_dir_all(at("..1")).unwrap();
        };
        after(directory.path(), swap, |loaded| loaded.keyring.recipients(Some("staging")).contains(&*new.1)).await;
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_used_is_named_and_costs_its_class_only() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("staging.txt"), identity().0).unwrap();
        let (mut broken, _) = identity();
        broken.truncate(40);
        let spoil = || fs::write(directory.path().join("production.txt"), &broken).unwrap();
        after(directory.path(), spoil, |loaded| {
            let named = loaded.unusable.iter().any(|said| said.contains("line 1") && said.contains("production.txt"));
            assert!(loaded.unusable.iter().all(|said| !said.contains("AGE-SECRET")), "{loaded:?}");
            named && loaded.keyring.classes().contains("staging")
        })
        .await;
    }

    #[tokio::test]
    async fn a_directory_that_vanishes_for_a_moment_keeps_its_keys_and_is_found_again() {
        let parent = tempfile::tempdir().unwrap();
        let (directory, aside) = (parent.path().join("keys"), parent.path().join("aside"));
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("staging.txt"), identity().0).unwrap();
        let vanish = || {
            fs::rename(&directory, &aside).unwrap();
            let directory = directory.clone();
            thread::spawn(move || {
                thread::sleep(ONE_CHANGE * 3);
                fs::create_dir(&directory).unwrap();
                fs::write(directory.join("production.txt"), identity().0).unwrap();
            });
        };
        after(&directory, vanish, |loaded| {
            let classes = loaded.keyring.classes();
            assert!(!classes.is_empty(), "the keys are gone with the directory");
            assert!(!classes.contains("staging") || loaded.unusable.iter().all(|said| said.contains("cannot read")));
            loaded.keyring.classes().contains("production")
        })
        .await;
    }
}
