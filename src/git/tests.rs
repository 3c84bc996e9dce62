//! Mirrors and clones of real repositories in temporary directories.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use git2::{Oid, Repository, Signature, Time};
use tempfile::TempDir;

use crate::git::credentials::Credentials;
use crate::git::fetch::{Accepted, Fetch, Unknown};
use crate::git::mirror::Mirror;
use crate::git::objects::git_id;
use crate::git::remotes::Remotes;
use crate::git::store::Store;
use crate::model::tree::GitId;

mod branches;
mod commits;
mod mirror;
mod trees;
mod worktree;

/// A bare repository that plays the remote, and room for mirrors beside it.
struct World {
    directory: TempDir,
    remote: Repository,
    clock: i64,
}

impl World {
    fn new() -> Self {
        crate::git::init().unwrap();
        let directory = TempDir::new().unwrap();
        let remote = Repository::init_bare(directory.path().join("remote")).unwrap();
        Self { directory, remote, clock: 1_000 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn url(&self) -> String {
        format!("file://{}", self.path("remote").display())
    }

    async fn mirror(&self) -> Mirror {
        Mirror::open(&self.path("mirror"), self.remotes()).await.unwrap()
    }

    fn remotes(&self) -> Remotes {
        Remotes::new(&self.url(), &[], Credentials::default()).unwrap()
    }

    /// Fills the mirror and closes it before it returns. (The thread of a `Mirror` ends some time after its last handle, and
    /// libgit2 shares packs that are open, by path: damage on disk would not be seen.)
    fn filled_mirror(&self) {
        let mut store = Store::open(&self.path("mirror"), self.remotes(), Arc::default()).unwrap();
        let fetched = store.fetch(&["main".into()]);
        let Ok(Fetch::Known(known)) = store.judge("main", Accepted::default(), &fetched) else { panic!("{fetched:?}") };
        store.pin(known.tip()).unwrap();
    }

    /// Commits exactly these files to `branch`, on top of its tip if it has one; each commit is ten seconds later.
    fn push(&mut self, branch: &str, files: &[(&str, &str)]) -> GitId {
        let tree = write_tree(&self.remote, files.iter().map(|(path, text)| (*path, text.as_bytes(), 0o100_644)));
        self.push_tree(branch, tree)
    }

    fn push_tree(&mut self, branch: &str, tree: Oid) -> GitId {
        let tip = self.remote.find_branch(branch, git2::BranchType::Local).ok();
        let parent = tip.map(|tip| tip.get().peel_to_commit().unwrap().id());
        let commit = self.commit(tree, parent);
        self.point(branch, commit);
        commit
    }

    fn commit(&mut self, tree: Oid, parent: Option<Oid>) -> GitId {
        self.clock += 10;
        let who = Signature::new("Ann", "ann@example.com", &Time::new(self.clock, 0)).unwrap();
        let parent = parent.map(|id| self.remote.find_commit(id).unwrap());
        let tree = self.remote.find_tree(tree).unwrap();
        let message = format!("change {}\n\nwhy\n", self.clock);
        git_id(self.remote.commit(None, &who, &who, &message, &tree, &parent.iter().collect::<Vec<_>>()).unwrap())
    }

    fn point(&self, branch: &str, commit: GitId) {
        let id = crate::git::objects::oid(commit);
        self.remote.reference(&format!("refs/heads/{branch}"), id, true, "test").unwrap();
    }
}

/// Path, content or id, mode.
type Entry<'a> = (&'a str, &'a [u8], i32);

/// Writes a tree; directories are made as needed.
fn write_tree<'a>(repository: &Repository, files: impl IntoIterator<Item = Entry<'a>>) -> Oid {
    let mut builder = repository.treebuilder(None).unwrap();
    let mut below: BTreeMap<&'a str, Vec<Entry<'a>>> = BTreeMap::new();
    for (path, content, mode) in files {
        match path.split_once('/') {
            Some((directory, rest)) => below.entry(directory).or_default().push((rest, content, mode)),
            None if mode == 0o160_000 => {
                builder.insert(path, Oid::from_bytes(content).unwrap(), mode).map(drop).unwrap();
            }
            None => builder.insert(path, repository.blob(content).unwrap(), mode).map(drop).unwrap(),
        }
    }
    for (directory, files) in below {
        builder.insert(directory, write_tree(repository, files), 0o040_000).unwrap();
    }
    builder.write().unwrap()
}

async fn known(mirror: &Mirror, accepted: Accepted) -> GitId {
    match mirror.fetch("main", accepted).await.unwrap() {
        Fetch::Known(known) => known.tip(),
        Fetch::Unknown(unknown) => panic!("{unknown:?}"),
    }
}

async fn unknown(mirror: &Mirror, last: Option<GitId>) -> Unknown {
    match mirror.fetch("main", Accepted { last, allowed: None }).await.unwrap() {
        Fetch::Known(known) => panic!("{known:?}"),
        Fetch::Unknown(unknown) => unknown,
    }
}

fn layers(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn git(directory: &Path, arguments: &[&str]) {
    let mut command = std::process::Command::new("git");
    command.current_dir(directory).args(["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]).args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
