//! A bare repository that servers offer, and a mirror of it.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use osier::git::credentials::Credentials;
use osier::git::fetch::{Accepted, Fetch, Unknown};
use osier::git::mirror::Mirror;
use osier::git::remotes::{Limits, Remotes};
use osier::model::cleartext::Cleartext;
use osier::model::tree::GitId;
use tempfile::TempDir;

/// Secrets that no text may repeat.
pub const TOKEN: &str = "t0ken-c4nary";

/// Short, so that a test of a server that hangs is short; long enough for a busy machine.
pub const LIMITS: Limits = Limits {
    connect: Duration::from_secs(20),
    silence: Duration::from_secs(20),
    look: Duration::from_secs(30),
    fetch: Duration::from_mins(1),
};

pub struct World {
    directory: TempDir,
}

impl World {
    pub fn new() -> World {
        let world = World { directory: TempDir::new().unwrap() };
        git(world.root(), &["init", "-q", "--bare", "-b", "main", "shop.git"]);
        git(world.root(), &["init", "-q", "-b", "main", "clone"]);
        world
    }

    /// The directory that servers offer.
    pub fn root(&self) -> &Path {
        self.directory.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// Commits a file of some content and pushes it to `branch` of `shop.git`.
    pub fn push(&self, branch: &str, content: &[u8]) -> GitId {
        let clone = self.path("clone");
        std::fs::write(clone.join("file"), content).unwrap();
        git(&clone, &["add", "file"]);
        git(&clone, &["commit", "-q", "--allow-empty", "-m", "a change"]);
        git(&clone, &["push", "-q", "--force", "../shop.git", &format!("HEAD:refs/heads/{branch}")]);
        GitId::parse(&git(&clone, &["rev-parse", "HEAD"])).unwrap()
    }

    pub async fn mirror(&self, url: &str, secret: &[(&str, &str)]) -> Mirror {
        self.mirror_of(remotes(url, &[], secret)).await
    }

    pub async fn mirror_of(&self, remotes: Remotes) -> Mirror {
        Mirror::open(&self.path("mirror"), remotes).await.unwrap()
    }

    /// Commits of the mirror's branch and of its refs for what was applied.
    pub fn kept(&self) -> String {
        git(
            &self.path("mirror"),
            &["for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/osier/applied"],
        )
    }
}

pub fn remotes(url: &str, fallback_urls: &[&str], secret: &[(&str, &str)]) -> Remotes {
    let fallback_urls: Vec<String> = fallback_urls.iter().map(|url| (*url).to_owned()).collect();
    Remotes::new(url, &fallback_urls, credentials(secret)).unwrap().within(LIMITS)
}

pub fn credentials(secret: &[(&str, &str)]) -> Credentials {
    if secret.is_empty() {
        return Credentials::default();
    }
    let entry = |(name, value): &(&str, &str)| ((*name).to_owned(), Cleartext::new(value.as_bytes().to_vec()));
    Credentials::from_secret(secret.iter().map(entry).collect::<BTreeMap<_, _>>()).unwrap()
}

pub async fn known(mirror: &Mirror, last: Option<GitId>) -> GitId {
    match mirror.fetch("main", Accepted { last, allowed: None }).await.unwrap() {
        Fetch::Known(known) => known.tip(),
        Fetch::Unknown(unknown) => panic!("{}", said(&unknown)),
    }
}

pub async fn unknown(mirror: &Mirror, last: Option<GitId>) -> Unknown {
    match mirror.fetch("main", Accepted { last, allowed: None }).await.unwrap() {
        Fetch::Known(known) => panic!("{known:?}"),
        Fetch::Unknown(unknown) => unknown,
    }
}

/// Reason, causes and hint, as a command prints them.
pub fn said(unknown: &Unknown) -> String {
    let mut text = format!("{}: {unknown}", unknown.reason());
    let mut cause = unknown.source();
    while let Some(link) = cause {
        text += &format!(": {link}");
        cause = link.source();
    }
    text + " -> " + &unknown.hint().expect("each says what to do")
}

/// Runs git without anybody's configuration.
pub fn git(directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").current_dir(directory);
    command.args(["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]).args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Half a megabyte that no compression makes small.
pub fn noise(seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..512 << 10).map(|_| next()).collect()
}
