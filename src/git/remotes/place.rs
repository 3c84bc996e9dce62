//! Which URLs are taken, and what they mean.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::git::error::Error;

/// A URL, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::git) enum Place {
    /// A directory.
    Local(PathBuf),
    /// A repository of a web server.
    Http(Site),
    /// A repository that a shell account sees.
    Ssh(Account),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::git) struct Site {
    /// False on loopback only.
    pub tls: bool,
    pub host: String,
    pub port: u16,
    /// Begins with a slash, ends without.
    pub path: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::git) struct Account {
    pub user: String,
    pub host: String,
    pub port: u16,
    /// As the remote git gets it.
    pub path: String,
}

/// What is taken, for hints.
const TAKEN: &str = "use https://HOST/PATH, ssh://USER@HOST/PATH, USER@HOST:PATH or an absolute path";
const IN_SECRET: &str = "take it out, and put it into the Secret of the Repository's `credentials`";

impl Place {
    /// # Errors
    /// `Url`.
    pub(in crate::git) fn parse(url: &str) -> Result<Self, Error> {
        understand(url).map_err(|(why, hint)| Error::Url { url: bare(url), why, hint })
    }
}

type Refusal = (&'static str, &'static str);

fn understand(url: &str) -> Result<Place, Refusal> {
    if url.is_empty() || url.chars().any(|c| c.is_control() || c.is_whitespace() && !url.starts_with('/')) {
        return Err(("it is empty or has a space or control character", TAKEN));
    }
    if let Some(path) = url.strip_prefix("file://") {
        return if path.starts_with('/') { Ok(Place::Local(path.into())) } else { Err(("it names a host", TAKEN)) };
    }
    if url.starts_with(['/', '.']) {
        return Ok(Place::Local(url.into()));
    }
    match url.split_once("://") {
        Some(("https", rest)) => Ok(Place::Http(site(true, rest)?)),
        Some(("http", rest)) => match site(false, rest)? {
            site if is_loopback(&site.host) => Ok(Place::Http(site)),
            _ => Err(("http:// is not encrypted, so anybody on the way can change what is applied", "use https://")),
        },
        Some(("ssh", rest)) => Ok(Place::Ssh(account(rest)?)),
        Some(("git", _)) => Err(("git:// is neither encrypted nor authenticated", TAKEN)),
        Some(_) => Err(("its scheme is not supported", TAKEN)),
        None if url.contains("::") => Err(("it would run a helper program", TAKEN)),
        None => Ok(Place::Ssh(short(url)?)),
    }
}

fn site(tls: bool, rest: &str) -> Result<Site, Refusal> {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if authority.contains('@') {
        return Err(("it has a user or a password in it", IN_SECRET));
    }
    if path.contains(['?', '#']) || authority.contains(['?', '#']) {
        return Err(("it has a query or a fragment", IN_SECRET));
    }
    let (host, port) = host_and_port(authority, if tls { 443 } else { 80 })?;
    let path = format!("/{path}").trim_end_matches('/').to_owned();
    if !path.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)) {
        return Err(("its path has a character that no URL has", "write it as %XX"));
    }
    Ok(Site { tls, host, port, path })
}

/// `[USER@]HOST[:PORT]/PATH`; `/~user/…` is below that user's home.
fn account(rest: &str) -> Result<Account, Refusal> {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, place) = authority.rsplit_once('@').unwrap_or(("git", authority));
    if user.contains(':') {
        return Err(("it has a password in it", "take it out, and put a private key into the Secret of `credentials`"));
    }
    let (host, port) = host_and_port(place, 22)?;
    if path.contains('%') {
        return Err(("its path has a %", "write the path as it is, in the form USER@HOST:PATH"));
    }
    let path = if path.starts_with('~') { path.to_owned() } else { format!("/{path}") };
    checked(Account { user: user.to_owned(), host, port, path })
}

/// `[USER@]HOST:PATH`.
fn short(url: &str) -> Result<Account, Refusal> {
    let Some((place, path)) = url.split_once(':').filter(|(place, _)| !place.contains('/')) else {
        return Err(("it is no URL", TAKEN));
    };
    let (user, host) = place.rsplit_once('@').unwrap_or(("git", place));
    let (host, port) = host_and_port(host, 22)?;
    checked(Account { user: user.to_owned(), host, port, path: path.to_owned() })
}

/// What reaches the remote's shell is quoted; a user or path that looks like an option would still be one.
fn checked(account: Account) -> Result<Account, Refusal> {
    let Account { user, path, .. } = &account;
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
    if user.is_empty() || user.starts_with('-') || !user.chars().all(plain) {
        return Err(("its user has a character that no account has", TAKEN));
    }
    if path.trim_matches('/').is_empty() || path.starts_with('-') {
        return Err(("it has no path", TAKEN));
    }
    Ok(account)
}

fn host_and_port(authority: &str, usual: u16) -> Result<(String, u16), Refusal> {
    let wrong_port = ("its port is none", TAKEN);
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').ok_or(wrong_port)?)),
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map_or(Ok(usual), |port| port.parse().map_err(|_| wrong_port))?;
    let is_name = |host: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        !host.is_empty() && !host.starts_with(['-', '.']) && host.chars().all(plain)
    };
    if port == 0 {
        Err(wrong_port)
    } else if host.parse::<IpAddr>().is_ok() || is_name(host) {
        Ok((host.to_ascii_lowercase(), port))
    } else {
        Err(("its host is none", TAKEN))
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The URL without anything that may be a credential.
pub(in crate::git) fn bare(url: &str) -> String {
    let before = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = before.split_once("://").map_or(("", before), |(scheme, rest)| (scheme, rest));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let path: String = path.chars().filter(|c| !c.is_control()).collect();
    if scheme.is_empty() { format!("{host}{path}") } else { format!("{scheme}://{host}{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> String {
        match Place::parse(url) {
            Ok(Place::Local(path)) => format!("local {}", path.display()),
            Ok(Place::Http(Site { tls, host, port, path })) => format!("{host} {port} {path} {tls}"),
            Ok(Place::Ssh(Account { user, host, port, path })) => format!("{user} {host} {port} {path}"),
            Err(error) => format!("{error}"),
        }
    }

    #[test]
    fn urls_are_understood_as_git_understands_them() {
        for (url, expected) in [
            ("https://git.example.com/shop.git", "git.example.com 443 /shop.git true"),
            ("https://Git.example.com:8443/a/b/", "git.example.com 8443 /a/b true"),
            ("https://[::1]:8443/a", "::1 8443 /a true"),
            ("http://127.0.0.1:80/a", "127.0.0.1 80 /a false"),
            ("http://localhost:8080", "localhost 8080  false"),
            ("ssh://git@h/a/b.git", "git h 22 /a/b.git"),
            ("ssh://h:2222/~ann/b", "git h 2222 ~ann/b"),
            ("git@h:a/b.git", "git h 22 a/b.git"),
            ("h:/srv/it's", "git h 22 /srv/it's"),
            ("/srv/git/shop", "local /srv/git/shop"),
            ("file:///srv/git/shop", "local /srv/git/shop"),
            ("/srv/two words", "local /srv/two words"),
        ] {
            assert_eq!(shown(url), expected, "{url}");
        }
    }

    #[test]
    fn other_urls_are_refused_without_repeating_a_credential() {
        for url in [
            "git://h/a",
            "http://h/a",
            "http://127.0.0.1.example.com/a",
            "ext::sh -c id",
            "ext::id",
            "ftp://h/a",
            "nonsense",
            "",
            "https://h:99999/a",
            "https://h:0/a",
            "https:///a",
            "https://-h/a",
            "https://bob:s3cret@h/a",
            "https://s3cret@h/a",
            "https://h/a?token=s3cret",
            "https://h/a\r\nX: y",
            "ssh://bob:s3cret@h/a",
            "ssh://-oProxyCommand=id/a",
            "-oProxyCommand=id:a",
            "git@h:--upload-pack=id",
            "ssh://h",
            "file://host/a",
            "osier://fetch",
        ] {
            let said = shown(url);
            assert!(said.contains("is no URL that can be used") && !said.contains("s3cret"), "{url}: {said}");
        }
    }
}
