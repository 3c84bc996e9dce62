//! A repository on this machine's disk: what its branches have and the mirror lacks is copied.
//!
//! libgit2's own transport walks the whole tree of each commit that the mirror has a ref to, whatever was pushed.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::Path;

use git2::{ErrorCode, ObjectType, Odb, OdbLookupFlags, Oid, PackBuilder, Repository};

use crate::git::connection::Visit;
use crate::git::error::Cause;
use crate::git::failure::Failure;
use crate::git::fetch::Branches;
use crate::git::objects::{git_id, oid};
use crate::model::tree::GitId;

/// Where the branches are. What there is none of is left out.
pub(in crate::git) fn tips(path: &Path, branches: &[String]) -> Result<BTreeMap<String, GitId>, Failure> {
    let remote = Repository::open(path).map_err(|e| theirs(&e))?;
    let tip = |branch: &String| match remote.refname_to_id(&format!("refs/heads/{branch}")) {
        Ok(tip) => Ok(Some((branch.clone(), git_id(tip)))),
        // no ref can have a name that is too long for libgit2
        Err(e) if matches!(e.code(), ErrorCode::NotFound | ErrorCode::BufSize) => Ok(None),
        Err(e) => Err(theirs(&e)),
    };
    branches.iter().filter_map(|branch| tip(branch).transpose()).collect()
}

/// Where all branches are whose names are UTF-8.
pub(in crate::git) fn branches(path: &Path) -> Result<Branches, Failure> {
    let remote = Repository::open(path).map_err(|e| theirs(&e))?;
    let mut branches = Branches::new();
    for found in remote.references_glob("refs/heads/*").map_err(|e| theirs(&e))? {
        let found = found.map_err(|e| theirs(&e))?;
        let Some(name) = found.name().ok().and_then(|name| name.strip_prefix("refs/heads/")) else { continue };
        if let Some(tip) = found.target() {
            branches.insert(name.to_owned(), git_id(tip));
            continue;
        }
        // a name for another branch is one as well, unless that is gone
        match found.resolve() {
            Ok(resolved) => branches.extend(resolved.target().map(|tip| (name.to_owned(), git_id(tip)))),
            Err(e) if e.code() == ErrorCode::NotFound => {}
            Err(e) => return Err(theirs(&e)),
        }
    }
    Ok(branches)
}

/// Copies the branches into refs of the mirror: `into` says which. True if there is no ref at all.
///
/// # Assumptions
/// What the mirror has, it has with all that it refers to: objects come in whole packs, or not at all.
pub(in crate::git) fn fetch(
    visit: &Visit,
    path: &Path,
    mirror: &Repository,
    branches: &[String],
    into: impl Fn(usize) -> String,
) -> Result<bool, Failure> {
    let remote = Repository::open(path).map_err(|e| theirs(&e))?;
    let tips = tips(path, branches)?;
    copy(visit, &remote, mirror, tips.values().map(|tip| oid(*tip)).collect())?;
    for (number, tip) in branches.iter().enumerate().filter_map(|(number, branch)| Some((number, tips.get(branch)?))) {
        mirror.reference(&into(number), oid(*tip), true, "osier").map_err(|e| ours(&e))?;
    }
    // there may be thousands, and listing them takes longer than the rest
    if !tips.is_empty() {
        return Ok(false);
    }
    let mut refs = remote.references().map_err(|e| theirs(&e))?;
    Ok(refs.next().is_none())
}

/// Copies commits with everything that the mirror lacks of them, in one pack.
fn copy(visit: &Visit, remote: &Repository, mirror: &Repository, tips: Vec<Oid>) -> Result<(), Failure> {
    let odb = mirror.odb().map_err(|e| ours(&e))?;
    // a pack is made in the name of the mirror: its builder reads every ref, and the remote may have thousands
    let both = Repository::open_bare(mirror.path()).map_err(|e| ours(&e))?;
    let objects = remote.commondir().join("objects");
    let joined = both.odb().and_then(|odb| odb.add_disk_alternate(&objects.to_string_lossy()));
    joined.map_err(|e| theirs(&e))?;
    let pack = both.packbuilder().map_err(|e| ours(&e))?;
    let mut missing = Missing { visit, remote, mirror: &odb, seen: HashSet::new(), pack };
    missing.commits(tips)?;
    let mut pack = missing.pack;
    if pack.object_count() == 0 {
        return Ok(());
    }
    pack.set_threads(0); // as many as the machine has cores
    let mut writer = odb.packwriter().map_err(|e| ours(&e))?;
    let mut written = Ok(());
    let read = pack.foreach(|bytes| {
        written = writer.write_all(bytes);
        written.is_ok() && !visit.is_over()
    });
    written.map_err(|e| Failure::Mirror { source: Cause::from(&e) })?;
    read.map_err(|e| if visit.is_over() { visit.too_slow() } else { theirs(&e) })?;
    writer.commit().map_err(|e| ours(&e))?;
    Ok(())
}

/// What the remote has and the mirror lacks.
struct Missing<'a> {
    visit: &'a Visit,
    remote: &'a Repository,
    mirror: &'a Odb<'a>,
    seen: HashSet<Oid>,
    pack: PackBuilder<'a>,
}

impl Missing<'_> {
    fn commits(&mut self, mut waiting: Vec<Oid>) -> Result<(), Failure> {
        while let Some(id) = waiting.pop() {
            if self.visit.is_over() {
                return Err(self.visit.too_slow());
            }
            if self.add(id)? {
                let commit = self.remote.find_commit(id).map_err(|e| theirs(&e))?;
                waiting.extend(commit.parent_ids());
                self.trees(vec![commit.tree_id()])?;
            }
        }
        Ok(())
    }

    fn trees(&mut self, mut waiting: Vec<Oid>) -> Result<(), Failure> {
        while let Some(id) = waiting.pop() {
            if !self.add(id)? {
                continue;
            }
            let tree = self.remote.find_tree(id).map_err(|e| theirs(&e))?;
            for entry in &tree {
                match entry.kind() {
                    Some(ObjectType::Tree) => waiting.push(entry.id()),
                    Some(ObjectType::Blob) => drop(self.add(entry.id())?),
                    // a submodule's commit is in another repository
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// True if it was missing until now.
    fn add(&mut self, id: Oid) -> Result<bool, Failure> {
        if !self.seen.insert(id) || self.mirror.exists_ext(id, OdbLookupFlags::NO_REFRESH) {
            return Ok(false);
        }
        self.pack.insert_object(id, None).map_err(|e| theirs(&e))?;
        Ok(true)
    }
}

fn theirs(error: &git2::Error) -> Failure {
    Failure::Git { source: Cause::from(error) }
}

fn ours(error: &git2::Error) -> Failure {
    Failure::Mirror { source: Cause::from(error) }
}
