//! What a Secret says about getting at a remote.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use zeroize::Zeroizing;

use crate::git::error::Error;
use crate::git::known_hosts::KnownHosts;
use crate::git::remotes::place::{Place, Site};
use crate::model::cleartext::Cleartext;

/// Entries that are read. Others are left alone: Secrets of Flux have `identity.pub`.
const ENTRIES: &[&str] = &["username", "password", "bearerToken", "ca.crt", "proxy", "identity", "known_hosts"];
/// The user where only a token is given: forges look at the token.
const TOKEN_USER: &[u8] = b"git";

/// Credentials for the places of one repository, and whom to trust there.
///
/// # Guarantees
/// They cannot be printed, copied or compared; `Debug` is a constant; the secret ones are wiped on drop.
#[derive(Default)]
pub struct Credentials {
    username: Option<Cleartext>,
    password: Option<Cleartext>,
    bearer_token: Option<Cleartext>,
    pub(in crate::git) authorities: Vec<CertificateDer<'static>>,
    pub(in crate::git) proxy: Option<Proxy>,
    identity: Option<Cleartext>,
    pub(in crate::git) known_hosts: KnownHosts,
}

/// An HTTP proxy that connects to any host (`CONNECT`).
pub(in crate::git) struct Proxy {
    pub(in crate::git) host: String,
    pub(in crate::git) port: u16,
    /// Value of the `Proxy-Authorization` header.
    pub(in crate::git) authorization: Option<Zeroizing<String>>,
}

/// A private key and its passphrase, as text.
pub(in crate::git) struct Identity {
    pub(in crate::git) key: Zeroizing<String>,
    pub(in crate::git) passphrase: Option<Zeroizing<String>>,
}

impl Credentials {
    /// Reads the decoded data of a Secret.
    ///
    /// HTTPS takes `username` and `password` (a token too; the username may be left out) or `bearerToken`, and trusts the
    /// authorities in `ca.crt` beside the machine's; SSH takes `identity` (a private key), its passphrase in `password`, and
    /// needs `known_hosts`. `proxy` is `http://[USER:PASSWORD@]HOST:PORT`.
    ///
    /// # Errors
    /// `Credentials`: which entry is wrong and how, never what is in it.
    pub fn from_secret(mut data: BTreeMap<String, Cleartext>) -> Result<Self, Error> {
        if !ENTRIES.iter().any(|entry| data.contains_key(*entry)) {
            return Err(wrong("it", "has none of the entries that are read"));
        }
        let mut take = |entry: &'static str| data.remove(entry).map(|value| (entry, value));
        let credentials = Self {
            username: take("username").map(line).transpose()?,
            password: take("password").map(line).transpose()?,
            bearer_token: take("bearerToken").map(line).transpose()?,
            authorities: take("ca.crt").map(authorities).transpose()?.unwrap_or_default(),
            proxy: take("proxy").map(proxy).transpose()?,
            identity: take("identity").map(key).transpose()?,
            known_hosts: take("known_hosts").map(known_hosts).transpose()?.unwrap_or_default(),
        };
        if credentials.bearer_token.is_some() && credentials.username.is_some() {
            return Err(wrong("`bearerToken`", "stands beside `username`: only one of them can be sent"));
        }
        Ok(credentials)
    }

    /// The value of an `Authorization` header.
    pub(in crate::git) fn authorization(&self) -> Option<Zeroizing<String>> {
        let utf8 = |value: &Cleartext| String::from_utf8_lossy(value.expose()).into_owned();
        if let Some(token) = &self.bearer_token {
            return Some(Zeroizing::new(format!("Bearer {}", *Zeroizing::new(utf8(token)))));
        }
        let password = self.password.as_ref()?.expose();
        Some(basic(self.username.as_ref().map_or(TOKEN_USER, Cleartext::expose), password))
    }

    /// The private key.
    pub(in crate::git) fn identity(&self) -> Option<Identity> {
        let utf8 = |value: &Cleartext| Zeroizing::new(String::from_utf8_lossy(value.expose()).into_owned());
        Some(Identity { key: utf8(self.identity.as_ref()?), passphrase: self.password.as_ref().map(utf8) })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(redacted)")
    }
}

type Entry = (&'static str, Cleartext);

fn wrong(entry: &str, what: impl Into<String>) -> Error {
    Error::Credentials { entry: entry.to_owned(), what: what.into() }
}

fn text<'v>(entry: &str, value: &'v Cleartext) -> Result<&'v str, Error> {
    std::str::from_utf8(value.expose()).map_err(|_| wrong(&format!("`{entry}`"), "is not UTF-8"))
}

/// One line; the line break that a file ends with is not part of it.
fn line((entry, value): Entry) -> Result<Cleartext, Error> {
    let line = text(entry, &value)?.trim_end_matches(['\r', '\n']);
    if line.is_empty() || line.chars().any(char::is_control) {
        return Err(wrong(&format!("`{entry}`"), "is empty or has more than one line"));
    }
    Ok(Cleartext::new(line.as_bytes().to_vec()))
}

fn key((entry, value): Entry) -> Result<Cleartext, Error> {
    text(entry, &value)?;
    Ok(value)
}

fn authorities((entry, value): Entry) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(value.expose()).collect();
    let found = found.ok().filter(|found| !found.is_empty());
    found.ok_or_else(|| wrong(&format!("`{entry}`"), "holds no certificates in PEM form"))
}

fn known_hosts((entry, value): Entry) -> Result<KnownHosts, Error> {
    KnownHosts::parse(text(entry, &value)?)
        .map_err(|line| wrong(&format!("`{entry}`"), format!("has a line that is no host with its key: line {line}")))
}

fn proxy((entry, value): Entry) -> Result<Proxy, Error> {
    let refused = || wrong(&format!("`{entry}`"), "is not of the form http://[USER:PASSWORD@]HOST:PORT");
    let value = line((entry, value))?;
    let rest = text(entry, &value)?.trim_end_matches('/').strip_prefix("http://").ok_or_else(refused)?;
    let (user, place) = rest.rsplit_once('@').map_or((None, rest), |(user, place)| (Some(user), place));
    // an encrypted URL is read by the same rules, and on loopback or not
    let Ok(Place::Http(Site { host, port, path, .. })) = Place::parse(&format!("https://{place}")) else {
        return Err(refused());
    };
    let (user, password) =
        user.map_or(Ok((None, "")), |user| user.split_once(':').map(|(u, p)| (Some(u), p)).ok_or_else(refused))?;
    let authorization = user.map(|user| basic(user.as_bytes(), password.as_bytes()));
    if path.is_empty() && place.contains(':') { Ok(Proxy { host, port, authorization }) } else { Err(refused()) }
}

/// RFC 7617.
fn basic(user: &[u8], password: &[u8]) -> Zeroizing<String> {
    let pair = Zeroizing::new([user, b":", password].concat());
    Zeroizing::new(format!("Basic {}", *Zeroizing::new(STANDARD.encode(&*pair))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(entries: &[(&str, &str)]) -> Result<Credentials, Error> {
        let entry = |(name, value): &(&str, &str)| ((*name).to_owned(), Cleartext::new(value.as_bytes().to_vec()));
        Credentials::from_secret(entries.iter().map(entry).collect())
    }

    #[test]
    fn a_token_is_sent_as_the_secret_says() {
        for (entries, expected) in [
            (&[("password", "t0ken\n")][..], Some("Basic Z2l0OnQwa2Vu")),
            (&[("username", "bob"), ("password", "s3cret")], Some("Basic Ym9iOnMzY3JldA==")),
            (&[("bearerToken", "t0ken")], Some("Bearer t0ken")),
            (&[("username", "bob")], None),
        ] {
            assert_eq!(read(entries).unwrap().authorization().as_ref().map(|value| value.as_str()), expected);
        }
        let proxy = read(&[("proxy", "http://bob:s3cret@proxy:3128/")]).unwrap().proxy.unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port), ("proxy", 3128));
        assert_eq!(proxy.authorization.unwrap().as_str(), "Basic Ym9iOnMzY3JldA==");
    }

    #[test]
    fn what_is_wrong_is_named_and_not_repeated() {
        for entries in [
            &[("token", "s3cret")][..],
            &[("password", "s3cret\nX: y")],
            &[("password", "")],
            &[("bearerToken", "s3cret"), ("username", "bob")],
            &[("ca.crt", "s3cret")],
            &[("known_hosts", "s3cret")],
            &[("proxy", "s3cret")],
            &[("proxy", "http://s3cret@h:1")],
            &[("proxy", "http://h")],
            &[("proxy", "https://h:1")],
        ] {
            let error = read(entries).unwrap_err();
            assert!(error.hint().is_some() && !format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        }
        assert_eq!(format!("{:?}", read(&[("password", "s3cret")]).unwrap()), "Credentials(redacted)");
    }
}
