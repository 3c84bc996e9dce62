//! OpenSSH's `known_hosts`: which host has which keys. The format is in sshd(8), *SSH_KNOWN_HOSTS FILE FORMAT*.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::git::failure::Failure;

/// Key algorithms that can be asked for, each with the type in its `known_hosts` line. SHA-1 signatures are not among them.
const ALGORITHMS: &[(&str, &str)] = &[
    ("ssh-ed25519", "ssh-ed25519"),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"),
    ("ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384"),
    ("ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-512", "ssh-rsa"),
    ("rsa-sha2-256", "ssh-rsa"),
];

/// The hosts that are known and their keys.
#[derive(Default)]
pub(in crate::git) struct KnownHosts {
    entries: Vec<Entry>,
}

struct Entry {
    mark: Mark,
    hosts: Hosts,
    kind: String,
    key: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    None,
    Revoked,
    Authority,
}

enum Hosts {
    /// Patterns with `*` and `?`; true if what fits is left out.
    Patterns(Vec<(bool, String)>),
    /// HMAC-SHA1 of the name, keyed by a salt.
    Hashed { salt: Vec<u8>, digest: Vec<u8> },
}

impl KnownHosts {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// The number of the first line that is none, counted from 1.
    pub(in crate::git) fn parse(text: &str) -> Result<Self, usize> {
        let lines = text.lines().map(str::trim).enumerate();
        let entries = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let entries = entries.map(|(index, line)| entry(line).ok_or(index + 1)).collect::<Result<_, _>>()?;
        Ok(Self { entries })
    }

    /// Key algorithms to ask a host for, those of its known keys first: a host with several keys has to offer one that is known.
    pub(in crate::git) fn algorithms(&self, host: &str, port: u16) -> String {
        let name = name(host, port);
        let known = |kind: &str| {
            self.entries.iter().any(|entry| entry.mark == Mark::None && entry.kind == kind && entry.hosts.has(&name))
        };
        let (first, then): (Vec<(&str, &str)>, Vec<_>) = ALGORITHMS.iter().copied().partition(|(_, kind)| known(kind));
        first.into_iter().chain(then).map(|(algorithm, _)| algorithm).collect::<Vec<_>>().join(",")
    }

    /// Checks the key that a host offered, byte for byte.
    ///
    /// # Errors
    /// `UnknownHost`, `HostKeyChanged`, `HostKeyRevoked`, `HostAuthority`, each with the key's fingerprint.
    pub(in crate::git) fn check(&self, host: &str, port: u16, key: &[u8]) -> Result<(), Failure> {
        let host = name(host, port);
        let offered = fingerprint(key);
        let entries: Vec<&Entry> = self.entries.iter().filter(|entry| entry.hosts.has(&host)).collect();
        let has = |mark, same: bool| entries.iter().any(|entry| entry.mark == mark && (!same || entry.key == key));
        if has(Mark::Revoked, true) {
            Err(Failure::HostKeyRevoked { host, offered })
        } else if has(Mark::None, true) {
            Ok(())
        } else if has(Mark::None, false) {
            Err(Failure::HostKeyChanged { host, offered })
        } else if has(Mark::Authority, false) {
            Err(Failure::HostAuthority { host, offered })
        } else {
            Err(Failure::UnknownHost { host, offered })
        }
    }
}

impl Hosts {
    fn has(&self, name: &str) -> bool {
        match self {
            Self::Patterns(patterns) => {
                let fits = |negative| patterns.iter().any(|(not, pattern)| *not == negative && like(pattern, name));
                fits(false) && !fits(true)
            }
            Self::Hashed { salt, digest } => {
                let mac = Hmac::<Sha1>::new_from_slice(salt).expect("HMAC takes keys of any length");
                mac.chain_update(name).verify_slice(digest).is_ok()
            }
        }
    }
}

/// A host as `known_hosts` writes it: with its port if that is not 22.
fn name(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == 22 { host } else { format!("[{host}]:{port}") }
}

/// As `ssh-keygen -l` prints it.
fn fingerprint(key: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(key)))
}

fn entry(line: &str) -> Option<Entry> {
    let mut words = line.split_ascii_whitespace();
    let mut hosts = words.next()?;
    let mark = match hosts {
        "@revoked" => Mark::Revoked,
        "@cert-authority" => Mark::Authority,
        word if word.starts_with('@') => return None,
        _ => Mark::None,
    };
    if mark != Mark::None {
        hosts = words.next()?;
    }
    let (kind, key) = (words.next()?.to_owned(), STANDARD.decode(words.next()?).ok()?);
    // The key begins with its own type: a line that was cut or mixed up does not.
    let length = u32::from_be_bytes(*key.first_chunk()?) as usize;
    let consistent = key.get(4..)?.get(..length)? == kind.as_bytes();
    consistent.then_some(Entry { mark, hosts: self::hosts(hosts)?, kind, key })
}

fn hosts(text: &str) -> Option<Hosts> {
    if let Some(hashed) = text.strip_prefix("|1|") {
        let (salt, digest) = hashed.split_once('|')?;
        return Some(Hosts::Hashed { salt: STANDARD.decode(salt).ok()?, digest: STANDARD.decode(digest).ok()? });
    }
    let pattern = |text: &str| match text.strip_prefix('!') {
        Some(text) => (true, text.to_ascii_lowercase()),
        None => (false, text.to_ascii_lowercase()),
    };
    (!text.starts_with('|')).then(|| Hosts::Patterns(text.split(',').map(pattern).collect()))
}

/// True if `name` fits `pattern`: `*` stands for any characters, `?` for one. Time is at most the product of the lengths.
fn like(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut star) = ((0, 0), None);
    while at.1 < name.len() {
        match pattern.get(at.0) {
            Some(b'*') => {
                star = Some(at);
                at.0 += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[at.1] => at = (at.0 + 1, at.1 + 1),
            _ => {
                let Some((pattern, name)) = star else { return false };
                star = Some((pattern, name + 1));
                at = (pattern + 1, name + 1);
            }
        }
    }
    pattern[at.0..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `ssh-keygen -t ed25519` and `-t ecdsa`.
    const ED25519: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIFpLVbvoVSwtdyTN1jEQNRCYzfEnNR3h5kkkvaTBs+Un";

    fn key() -> Vec<u8> {
        STANDARD.decode(ED25519).unwrap()
    }

    /// What becomes of the key at `host:port`.
    fn verdict(text: &str, host: &str, port: u16) -> &'static str {
        match KnownHosts::parse(text).unwrap().check(host, port, &key()) {
            Ok(()) => "known",
            Err(Failure::UnknownHost { .. }) => "unknown",
            Err(Failure::HostKeyChanged { .. }) => "changed",
            Err(Failure::HostKeyRevoked { .. }) => "revoked",
            Err(Failure::HostAuthority { .. }) => "authority",
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn hosts_are_found_as_openssh_finds_them() {
        let other = STANDARD.encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x01x");
        for (hosts, host, port, expected) in [
            ("git.example.com", "git.example.com", 22, "known"),
            ("git.example.com", "GIT.example.com", 22, "known"),
            ("git.example.com", "git.example.com", 2222, "unknown"),
            ("[git.example.com]:2222", "git.example.com", 2222, "known"),
            ("[git.example.com]:2222", "git.example.com", 22, "unknown"),
            ("a.example.com,10.0.0.1", "10.0.0.1", 22, "known"),
            ("*.example.com", "git.example.com", 22, "known"),
            ("*.example.com,!git.example.com", "git.example.com", 22, "unknown"),
            ("g?t.example.com", "git.example.com", 22, "known"),
            ("[*.example.com]:*", "git.example.com", 2222, "known"),
            ("!git.example.com", "git.example.com", 22, "unknown"),
            ("@revoked git.example.com", "git.example.com", 22, "revoked"),
            ("@cert-authority *.example.com", "git.example.com", 22, "authority"),
        ] {
            let line = format!("# a comment\n\n{hosts} ssh-ed25519 {ED25519} comment\n");
            assert_eq!(verdict(&line, host, port), expected, "{hosts} {host}:{port}");
        }
        let two = |first: &str| format!("{first}h ssh-ed25519 {ED25519}\nh ssh-ed25519 {other}\n");
        assert_eq!(verdict(&two(""), "h", 22), "known");
        assert_eq!(verdict(&two("@cert-authority "), "h", 22), "changed");
        assert_eq!(verdict(&format!("{}h ssh-ed25519 {ED25519}", two("@revoked ")), "h", 22), "revoked");
    }

    #[test]
    fn lines_that_are_none_are_named() {
        for line in [
            "git.example.com",
            "h ssh-ed25519",
            "h ssh-ed25519 !",
            "h ssh-rsa AAAAC3NzaC1lZDI1NTE5",
            "@else h ssh-rsa AAAA",
        ] {
            assert_eq!(KnownHosts::parse(&format!("\n{line}")).err(), Some(2), "{line}");
        }
    }

    #[test]
    fn known_algorithms_are_asked_for_first() {
        let rsa = STANDARD.encode(b"\0\0\0\x07ssh-rsa");
        let hosts = KnownHosts::parse(&format!("h ssh-rsa {rsa}")).unwrap();
        assert!(hosts.algorithms("h", 22).starts_with("rsa-sha2-512,rsa-sha2-256,ssh-ed25519,"));
        assert!(hosts.algorithms("h", 23).starts_with("ssh-ed25519,"));
    }
}
