//! Identities, and the data keys that they unwrap. The only module that names `age`, beside the writing side.

mod person;
pub mod watch;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use age::secrecy::ExposeSecret;
use age::{DecryptError, Decryptor, armor::ArmoredReader};
use zeroize::Zeroizing;

use crate::desired::sops::{DataKey, SopsFile, Stanza};
use crate::model::cleartext::Cleartext;
use crate::model::digest::b32;
use crate::model::reason::{Reason, Retry};

/// Largest file of identities; a file of a hundred is 20 KiB.
const MAX_FILE: u64 = 1 << 20;

/// The identities at hand: those of key classes, or a person's.
///
/// # Guarantees
/// An identity of one class never unwraps for another.
pub struct Keyring {
    held: Vec<Held>,
    unwraps: AtomicU64,
}

/// Why identities are not there or a file cannot be opened with them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory of identities cannot be read.
    #[error("cannot read identities from `{place}`")]
    Read {
        /// The path.
        place: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Nobody follows the directory of key classes any more.
    #[error("the directory of key classes is not followed any more")]
    Ended,
    /// The command of `SOPS_AGE_KEY_CMD` failed.
    #[error("the command of `{place}` did not print identities")]
    Command {
        /// The variable.
        place: String,
    },
    /// A line is no identity. It is not shown: it may be one, misspelt.
    #[error("line {line} of `{place}` is no identity")]
    Malformed {
        /// Path or variable.
        place: String,
        /// Line, from 1.
        line: usize,
    },
    /// There is no identity in the file.
    #[error("no identity in `{place}`")]
    Empty {
        /// Path or variable.
        place: String,
    },
    /// An SSH key with a passphrase.
    #[error("the SSH key in `{place}` has a passphrase")]
    Passphrase {
        /// Path or variable.
        place: String,
    },
    /// A kind of identity that osier does not use.
    #[error("`{place}` holds an identity that is not supported: {kind}")]
    Unsupported {
        /// Path or variable.
        place: String,
        /// What it is.
        kind: &'static str,
    },
    /// Nobody at hand is a recipient.
    #[error("no identity at hand opens it: it is encrypted for {}, and we are {}", list(.wanted), list(.held))]
    NoIdentity {
        /// The file.
        path: String,
        /// Its recipients and other key services.
        wanted: Vec<String>,
        /// Ours.
        held: Vec<String>,
    },
    /// There is not one identity to try.
    #[error("no identity{} is at hand: it is encrypted for {}", of_class(.class.as_deref()), list(.wanted))]
    NoKey {
        /// The key class that it would be of.
        class: Option<String>,
        /// The file's recipients and other key services.
        wanted: Vec<String>,
    },
    /// The wrapped data key of one of our recipients is damaged.
    #[error("the data key for `{recipient}` is damaged")]
    Damaged {
        /// The file.
        path: String,
        /// Which.
        recipient: String,
    },
    /// A data key that is wrapped with a passphrase.
    #[error("the data key is wrapped with a passphrase")]
    Scrypt {
        /// The file.
        path: String,
    },
}

impl Error {
    /// The class of it.
    pub fn reason(&self) -> Reason {
        Reason::CannotDecrypt
    }

    /// Only reading may go better later.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Read { .. } | Self::Command { .. } | Self::Ended => Retry::Later,
            _ => Retry::Never,
        }
    }

    /// What to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } | Self::Command { .. } | Self::Ended => None,
            Self::Malformed { .. } | Self::Empty { .. } => {
                Some("put one `AGE-SECRET-KEY-1…` a line there, or an OpenSSH private key of type ed25519".to_owned())
            }
            Self::Passphrase { .. } => {
                Some("use an age identity: `age-keygen`, then `sops updatekeys FILE`".to_owned())
            }
            Self::Unsupported { .. } => Some("use an X25519 identity (`age-keygen`) or an ed25519 SSH key".to_owned()),
            Self::NoIdentity { path, wanted, .. } if wanted.iter().any(|one| one.starts_with("age1pq1")) => {
                Some(format!(
                    "post-quantum recipients (`age1pq1…`) are not supported yet: add an X25519 one, `sops updatekeys {path}`"
                ))
            }
            Self::NoKey { class, .. } => {
                let file =
                    format!("put it into `{}.txt` of the directory of `--keys`", class.as_deref().unwrap_or("CLASS"));
                Some(format!("{file}, or your own where sops finds it, such as $SOPS_AGE_KEY_FILE"))
            }
            Self::NoIdentity { path, .. } => {
                Some(format!("add our recipient to `.sops.yaml`; who can open the file runs `sops updatekeys {path}`"))
            }
            Self::Damaged { path, .. } | Self::Scrypt { path } => {
                Some(format!("who can open the file runs `sops updatekeys {path}` or `sops rotate -i {path}`"))
            }
        }
    }
}

impl Keyring {
    /// No identity: opens nothing.
    pub fn empty() -> Self {
        Self { held: vec![], unwraps: AtomicU64::new(0) }
    }

    /// The identities of key classes: each file `<class>.txt` of a directory.
    ///
    /// # Errors
    /// Beside the keyring: what could not be read. The other files count.
    pub fn from_directory(directory: &Path) -> (Self, Vec<Error>) {
        let mut ring = Self::empty();
        let mut errors = vec![];
        match class_files(directory) {
            Ok(files) => {
                for (class, path) in files {
                    let identities = read_file(&path).and_then(|text| identities(&path.display().to_string(), &text));
                    ring.take(Some(&class), identities, &mut errors);
                }
            }
            Err(source) => errors.push(Error::Read { place: directory.display().to_string(), source }),
        }
        (ring, errors)
    }

    /// A person's identities, from where sops looks for them: `SOPS_AGE_KEY`, `SOPS_AGE_KEY_FILE`, `SOPS_AGE_KEY_CMD`,
    /// `SOPS_AGE_SSH_PRIVATE_KEY_FILE`, `SOPS_AGE_SSH_PRIVATE_KEY_CMD`, the configuration directory, `~/.ssh/id_ed25519`.
    ///
    /// `variable` answers for the environment. For the command line only: it runs the commands that the person named.
    ///
    /// # Errors
    /// Beside the keyring: what could not be used.
    pub fn from_person(variable: impl Fn(&str) -> Option<String>) -> (Self, Vec<Error>) {
        let mut ring = Self::empty();
        let mut errors = vec![];
        for (place, text) in person::sources(variable) {
            let identities = text.and_then(|text| identities(&place, &text));
            ring.take(None, identities, &mut errors);
        }
        (ring, errors)
    }

    /// Unwraps the data key of a file with the identities of `class`; with all where it is not given.
    ///
    /// # Errors
    /// None of them is a recipient, or what is wrapped is damaged.
    pub fn unwrap(&self, class: Option<&str>, file: &SopsFile) -> Result<DataKey, Error> {
        let held: Vec<&Held> = self.of(class).collect();
        let ours = |stanza: &&Stanza| held.iter().any(|held| held.recipient == bare(&stanza.recipient));
        let (named, others): (Vec<&Stanza>, Vec<&Stanza>) = file.stanzas().iter().partition(ours);
        let mut first_error = None;
        for stanza in named.into_iter().chain(others) {
            self.unwraps.fetch_add(1, Ordering::Relaxed);
            match open(file.path(), stanza, &held) {
                Ok(key) => return Ok(key),
                Err(Error::NoIdentity { .. }) => {}
                Err(error) => drop(first_error.get_or_insert(error)),
            }
        }
        Err(first_error.unwrap_or_else(|| {
            let wanted = file.recipients().map(bare).chain(file.other_services().iter().cloned()).collect();
            if held.is_empty() {
                return Error::NoKey { class: class.map(str::to_owned), wanted };
            }
            let held = self.recipients(class).into_iter().map(str::to_owned).collect();
            Error::NoIdentity { path: file.path().to_owned(), wanted, held }
        }))
    }

    /// The recipients that belong to the identities of `class`, or to all.
    pub fn recipients(&self, class: Option<&str>) -> BTreeSet<&str> {
        self.of(class).map(|held| held.recipient.as_str()).collect()
    }

    /// The classes that have an identity.
    pub fn classes(&self) -> BTreeSet<&str> {
        self.held.iter().filter_map(|held| held.class.as_deref()).collect()
    }

    /// Digest of the sorted recipients of `class`, or of all: what a file was checked with.
    pub fn fingerprint(&self, class: Option<&str>) -> String {
        b32(26, self.recipients(class))
    }

    /// How many wrapped data keys were tried.
    pub fn unwraps(&self) -> u64 {
        self.unwraps.load(Ordering::Relaxed)
    }

    /// A person's identities have no class and serve for each.
    fn of(&self, class: Option<&str>) -> impl Iterator<Item = &Held> {
        self.held.iter().filter(move |held| class.is_none() || held.class.is_none() || held.class.as_deref() == class)
    }

    fn take(&mut self, class: Option<&str>, read: Result<Vec<Identity>, Error>, errors: &mut Vec<Error>) {
        match read {
            Ok(identities) => self.held.extend(identities.into_iter().map(|identity| Held {
                class: class.map(str::to_owned),
                recipient: identity.recipient(),
                identity,
            })),
            Err(error) => errors.push(error),
        }
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Keyring").field(&self.recipients(None)).finish()
    }
}

/// Makes a new X25519 identity: its text and its recipient.
pub fn generate() -> (Cleartext, String) {
    let identity = age::x25519::Identity::generate();
    let text = Cleartext::new(identity.to_string().expose_secret().as_bytes().to_vec());
    (text, identity.to_public().to_string())
}

struct Held {
    class: Option<String>,
    recipient: String,
    identity: Identity,
}

enum Identity {
    X25519(age::x25519::Identity),
    /// Only ever ed25519 without a passphrase.
    Ssh(age::ssh::Identity, String),
}

impl Identity {
    fn recipient(&self) -> String {
        match self {
            Self::X25519(identity) => identity.to_public().to_string(),
            Self::Ssh(_, recipient) => recipient.clone(),
        }
    }

    fn for_age(&self) -> &dyn age::Identity {
        match self {
            Self::X25519(identity) => identity,
            Self::Ssh(identity, _) => identity,
        }
    }
}

fn class_files(directory: &Path) -> std::io::Result<Vec<(String, std::path::PathBuf)>> {
    let mut files = vec![];
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let class = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".txt"));
        if let Some(class) = class.filter(|class| !class.is_empty() && !class.starts_with('.')) {
            files.push((class.to_owned(), path));
        }
    }
    files.sort();
    Ok(files)
}

fn read_file(path: &Path) -> Result<Zeroizing<String>, Error> {
    let mut text = Zeroizing::new(String::new());
    match std::fs::File::open(path).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text)) {
        Ok(_) => Ok(text),
        Err(source) => Err(Error::Read { place: path.display().to_string(), source }),
    }
}

/// Age identities separated by space, and OpenSSH private keys; `#` begins a comment.
fn identities(place: &str, text: &str) -> Result<Vec<Identity>, Error> {
    let mut found = vec![];
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        if line.starts_with("-----BEGIN ") {
            let mut block = Zeroizing::new(format!("{line}\n"));
            for (_, line) in lines.by_ref() {
                block.push_str(line);
                block.push('\n');
                if line.starts_with("-----END ") {
                    break;
                }
            }
            found.push(ssh(place, index + 1, &block)?);
        } else if !line.starts_with('#') {
            for word in line.split_whitespace() {
                found.push(native(place, index + 1, word)?);
            }
        }
    }
    if found.is_empty() { Err(Error::Empty { place: place.to_owned() }) } else { Ok(found) }
}

fn native(place: &str, line: usize, word: &str) -> Result<Identity, Error> {
    let place = place.to_owned();
    if word.starts_with("AGE-SECRET-KEY-PQ-1") {
        return Err(Error::Unsupported { place, kind: "post-quantum (`age1pq1…`)" });
    }
    if word.starts_with("AGE-PLUGIN-") {
        return Err(Error::Unsupported { place, kind: "a plugin" });
    }
    word.parse().map(Identity::X25519).map_err(|_| Error::Malformed { place, line })
}

fn ssh(place: &str, line: usize, block: &str) -> Result<Identity, Error> {
    let place = place.to_owned();
    let Ok(identity) = age::ssh::Identity::from_buffer(block.as_bytes(), None) else {
        return Err(Error::Malformed { place, line });
    };
    if let age::ssh::Identity::Encrypted(_) = identity {
        return Err(Error::Passphrase { place });
    }
    match age::ssh::Recipient::try_from(identity.clone()) {
        Ok(recipient @ age::ssh::Recipient::SshEd25519(..)) => Ok(Identity::Ssh(identity, recipient.to_string())),
        _ => Err(Error::Unsupported { place, kind: "an SSH key of another type than ed25519" }),
    }
}

fn open(path: &str, stanza: &Stanza, held: &[&Held]) -> Result<DataKey, Error> {
    let path = path.to_owned();
    let damaged = || Error::Damaged { path: path.clone(), recipient: bare(&stanza.recipient) };
    let reader = ArmoredReader::new(stanza.armored.trim().as_bytes());
    let decryptor = Decryptor::new_buffered(reader).map_err(|_| damaged())?;
    if decryptor.is_scrypt() {
        return Err(Error::Scrypt { path });
    }
    let content = match decryptor.decrypt(held.iter().map(|held| held.identity.for_age())) {
        Ok(content) => content,
        Err(DecryptError::NoMatchingKeys) => return Err(Error::NoIdentity { path, wanted: vec![], held: vec![] }),
        Err(_) => return Err(damaged()),
    };
    let mut bytes = Vec::with_capacity(64);
    // One byte more than a key has, so that a longer content is seen.
    let read = content.take(33).read_to_end(&mut bytes);
    let bytes = Cleartext::new(bytes);
    read.ok().and_then(|_| DataKey::new(bytes)).ok_or_else(damaged)
}

/// A recipient without the comment that SSH keys may carry.
fn bare(recipient: &str) -> String {
    recipient.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

fn of_class(class: Option<&str>) -> String {
    class.map(|class| format!(" of key class `{class}`")).unwrap_or_default()
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
