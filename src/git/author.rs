//! Writing commits into a clone. The pipeline never does: this is for people's own working trees, such as that of the demo.

use std::path::Path;

use git2::build::CheckoutBuilder;
use git2::{BranchType, ErrorCode, IndexAddOption, Repository, RepositoryInitOptions, Signature, Time};

use crate::git::error::{Cause, Error};
use crate::git::objects::git_id;
use crate::model::tree::GitId;

/// Who commits, and when.
#[derive(Clone, Copy, Debug)]
pub struct Author<'a> {
    /// Name for people.
    pub name: &'a str,
    /// Mail address.
    pub email: &'a str,
    /// Unix seconds.
    pub time: i64,
}

/// Makes a repository with a working tree in a directory that is there; `branch` will be its first.
///
/// # Errors
/// `Setup`; `Commit` if it cannot be written.
pub fn init(directory: &Path, branch: &str) -> Result<(), Error> {
    crate::git::init()?;
    let mut options = RepositoryInitOptions::new();
    options.initial_head(branch).external_template(false);
    Repository::init_opts(directory, &options).map(drop).map_err(|error| failed(directory, &error))
}

/// Makes a bare repository, and the `origin` of a clone of it.
///
/// # Errors
/// `Setup`; `Commit` if it cannot be written.
pub fn init_origin(origin: &Path, clone: &Path, branch: &str) -> Result<(), Error> {
    crate::git::init()?;
    let mut options = RepositoryInitOptions::new();
    options.initial_head(branch).external_template(false).bare(true).no_reinit(true);
    let made = Repository::init_opts(origin, &options).and_then(|_| {
        let url = origin.to_string_lossy();
        Repository::open(clone)?.remote("origin", &url).map(drop)
    });
    made.map_err(|error| failed(origin, &error))
}

/// Pushes the branch that is checked out to `origin`, a repository of the same machine.
///
/// # Errors
/// `Setup`; `Commit` if it cannot be pushed.
pub fn push(directory: &Path) -> Result<(), Error> {
    crate::git::init()?;
    let pushed = Repository::open(directory).and_then(|clone| {
        let head = clone.head()?;
        let name = head.name()?;
        clone.find_remote("origin")?.push(&[format!("{name}:{name}")], None)
    });
    pushed.map_err(|error| failed(directory, &error))
}

/// Deletes a branch of `origin`, a repository of the same machine.
///
/// # Errors
/// `Setup`; `Commit` if it cannot be deleted.
pub fn delete(directory: &Path, branch: &str) -> Result<(), Error> {
    crate::git::init()?;
    let refspec = format!(":refs/heads/{branch}");
    let deleted = Repository::open(directory).and_then(|clone| clone.find_remote("origin")?.push(&[refspec], None));
    deleted.map_err(|error| failed(directory, &error))
}

/// Checks out a branch, which is made at the current commit if there is none; what is not committed is lost.
///
/// # Errors
/// `Setup`; `Commit` if it cannot be done.
pub fn switch(directory: &Path, branch: &str) -> Result<(), Error> {
    crate::git::init()?;
    let switched = Repository::open(directory).and_then(|clone| {
        if clone.find_branch(branch, BranchType::Local).is_err() {
            clone.branch(branch, &clone.head()?.peel_to_commit()?, false)?;
        }
        clone.set_head(&format!("refs/heads/{branch}"))?;
        clone.checkout_head(Some(CheckoutBuilder::new().force()))
    });
    switched.map_err(|error| failed(directory, &error))
}

/// Commits the whole working tree to the branch that is checked out: what is new, changed or gone.
///
/// # Errors
/// `Setup`; `Commit` if it is no repository or cannot be written.
pub fn commit_all(directory: &Path, author: Author<'_>, message: &str) -> Result<GitId, Error> {
    crate::git::init()?;
    write(directory, author, message).map_err(|error| failed(directory, &error))
}

fn write(directory: &Path, author: Author<'_>, message: &str) -> Result<GitId, git2::Error> {
    let repository = Repository::open(directory)?;
    let mut index = repository.index()?;
    index.add_all(["*"], IndexAddOption::DEFAULT, None)?;
    index.update_all(["*"], None)?;
    index.write()?;
    let tree = repository.find_tree(index.write_tree()?)?;
    let who = Signature::new(author.name, author.email, &Time::new(author.time, 0))?;
    let parent = match repository.head() {
        Ok(head) => Some(head.peel_to_commit()?),
        Err(error) if error.code() == ErrorCode::UnbornBranch => None,
        Err(error) => return Err(error),
    };
    let parents: Vec<&git2::Commit<'_>> = parent.iter().collect();
    repository.commit(Some("HEAD"), &who, &who, message, &tree, &parents).map(git_id)
}

fn failed(directory: &Path, error: &git2::Error) -> Error {
    Error::Commit { path: directory.to_owned(), source: Cause::from(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::worktree::Worktree;

    #[test]
    fn the_working_tree_becomes_commits_on_one_branch() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path();
        let author = |time| Author { name: "Ann", email: "ann@example.com", time };
        init(path, "main").unwrap();
        std::fs::create_dir(path.join("base")).unwrap();
        std::fs::write(path.join("base/a.yaml"), "a: 1\n").unwrap();
        std::fs::write(path.join("b.yaml"), "b: 1\n").unwrap();
        let first = commit_all(path, author(10), "first").unwrap();
        std::fs::remove_file(path.join("b.yaml")).unwrap();
        std::fs::write(path.join("base/a.yaml"), "a: 2\n").unwrap();
        let second = commit_all(path, author(20), "second\n\nwhy\n").unwrap();
        let clone = Worktree::discover(path).unwrap();
        assert_eq!((clone.branch().as_deref(), clone.head()), (Some("main"), Some(second)));
        let info = clone.objects(|objects| objects.commit(second)).unwrap();
        assert_eq!((info.author.as_str(), info.time, info.summary.as_str()), ("Ann", 20, "second"));
        assert!(clone.objects(|objects| objects.is_ancestor(first, second)).unwrap());
        let names = |commit| {
            let layers = clone.objects(|objects| objects.files(commit, &["base".to_owned()])).unwrap();
            format!("{layers:?}").matches("a.yaml").count()
        };
        assert_eq!((names(first), names(second)), (1, 1));
        let elsewhere = tempfile::TempDir::new().unwrap();
        let origin = elsewhere.path().join("origin.git");
        init_origin(&origin, path, "main").unwrap();
        push(path).unwrap();
        let there = |branch: &str| Repository::open_bare(&origin).unwrap().refname_to_id(branch).ok().map(git_id);
        assert_eq!(there("refs/heads/main"), Some(second));
        assert!(matches!(
            clone.objects(|objects| objects.blob_at(second, "b.yaml", 100)).unwrap(),
            crate::git::content::Content::Missing
        ));
        switch(path, "feature/x").unwrap();
        std::fs::write(path.join("base/a.yaml"), "a: 3\n").unwrap();
        let third = commit_all(path, author(30), "third").unwrap();
        push(path).unwrap();
        assert_eq!((there("refs/heads/main"), there("refs/heads/feature/x")), (Some(second), Some(third)));
        switch(path, "main").unwrap();
        assert_eq!(std::fs::read_to_string(path.join("base/a.yaml")).unwrap(), "a: 2\n");
        delete(path, "feature/x").unwrap();
        assert_eq!((there("refs/heads/main"), there("refs/heads/feature/x")), (Some(second), None));
    }
}
