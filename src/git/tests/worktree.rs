use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{git, layers};
use crate::git::content::Content;
use crate::git::error::Error;
use crate::git::objects::git_id;
use crate::git::tree::LayerTree;
use crate::git::worktree::Worktree;
use crate::model::tree::{FileMode, TreeFile};

fn clone() -> (TempDir, PathBuf) {
    let directory = TempDir::new().unwrap();
    let root = directory.path().canonicalize().unwrap().join("clone");
    fs::create_dir(&root).unwrap();
    git(&root, &["init", "-q", "-b", "main"]);
    git(&root, &["remote", "add", "origin", "https://host/shop.git"]);
    put(&root, "base/app.yaml", "a: 1\n");
    put(&root, "base/app/x.yaml", "b: 1\n");
    git(&root, &["add", "."]);
    git(&root, &["commit", "-q", "-m", "first"]);
    (directory, root)
}

fn put(root: &Path, path: &str, text: &str) {
    fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
    fs::write(root.join(path), text).unwrap();
}

fn found(worktree: &Worktree, layer: &str) -> (Vec<TreeFile>, Vec<String>) {
    match worktree.files(&layers(&[layer])).unwrap().remove(0).1 {
        LayerTree::Missing => (vec![], vec!["missing".into()]),
        LayerTree::Found { entries, problems } => (entries, problems.iter().map(ToString::to_string).collect()),
    }
}

#[test]
fn a_clone_is_found_from_inside_and_says_where_it_is() {
    let (_directory, root) = clone();
    let worktree = Worktree::discover(&root.join("base")).unwrap();
    assert_eq!(worktree.root().canonicalize().unwrap(), root);
    assert_eq!(worktree.remotes(), [("origin".to_owned(), "https://host/shop.git".to_owned())]);
    assert_eq!(worktree.branch().as_deref(), Some("main"));
    let head = worktree.head().unwrap();
    assert_eq!(worktree.objects(|objects| objects.commit(head)).unwrap().summary, "first");
    assert_eq!(worktree.objects(|objects| objects.resolve("main")), Ok(head));
    assert_eq!(worktree.objects(|objects| objects.resolve("HEAD")), Ok(head));
    assert_eq!(
        worktree.objects(|objects| objects.resolve("HEAD~99")),
        Err(Error::NotFound { text: "HEAD~99".to_owned() })
    );
    git(&root, &["update-ref", "refs/remotes/origin/next", "HEAD"]);
    assert_eq!(worktree.objects(|objects| objects.resolve("origin/next")), Ok(head));
    git(&root, &["checkout", "-q", "--detach"]);
    assert_eq!((worktree.branch(), worktree.head()), (None, Some(head)));
}

#[test]
fn before_the_first_commit_and_outside_of_a_clone() {
    let directory = TempDir::new().unwrap();
    assert!(matches!(Worktree::discover(directory.path()), Err(Error::NoWorktree { .. })));
    git(directory.path(), &["init", "-q", "-b", "new"]);
    let worktree = Worktree::discover(directory.path()).unwrap();
    assert_eq!((worktree.branch().as_deref(), worktree.head()), (Some("new"), None));
    git(directory.path(), &["init", "-q", "--bare", "bare"]);
    assert!(matches!(Worktree::discover(&directory.path().join("bare")), Err(Error::NoWorktree { .. })));
}

#[test]
fn committed_files_have_the_ids_that_they_have_in_the_commit() {
    let (_directory, root) = clone();
    let worktree = Worktree::discover(&root).unwrap();
    for layer in ["base", "."] {
        let head = worktree.head().unwrap();
        let commit = worktree.objects(|objects| objects.files(head, &layers(&[layer]))).unwrap();
        assert_eq!(worktree.files(&layers(&[layer])).unwrap(), commit);
    }
}

#[test]
fn files_are_as_on_disk_with_links_and_repositories_inside_told_apart() {
    let (_directory, root) = clone();
    put(&root, "base/app.yaml", "a: 2\n");
    put(&root, "base/new.yaml", "");
    std::os::unix::fs::symlink("/etc/passwd", root.join("base/link")).unwrap();
    fs::create_dir(root.join("base/module")).unwrap();
    git(&root.join("base/module"), &["init", "-q"]);
    put(&root, "base/module/file", "");
    git(&root, &["update-index", "--add", "--cacheinfo", &format!("160000,{},base/not-here", "7".repeat(40))]);
    fs::create_dir(root.join("base/not-here")).unwrap();
    let worktree = Worktree::discover(&root).unwrap();
    let (files, problems) = found(&worktree, "base");
    let seen: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.mode)).collect();
    let expected = [
        ("base/app.yaml", FileMode::File),
        ("base/app/x.yaml", FileMode::File),
        ("base/link", FileMode::Symlink),
        ("base/module", FileMode::Submodule),
        ("base/new.yaml", FileMode::File),
        ("base/not-here", FileMode::Submodule),
    ];
    assert_eq!(seen, expected);
    assert!(problems.is_empty());
    let blob = git2::Oid::hash_object(git2::ObjectType::Blob, b"a: 2\n").unwrap();
    assert_eq!(files[0].blob_id, git_id(blob));
    for layer in ["base/link", "nope", "../clone/base", "base/app.yaml", ".git"] {
        assert_eq!(found(&worktree, layer), (vec![], vec!["missing".into()]), "{layer}");
    }
}

#[test]
fn odd_names_and_sorts_of_files_are_problems() {
    let (_directory, root) = clone();
    fs::write(root.join("base").join(std::ffi::OsStr::from_bytes(b"latin-\xe9")), "").unwrap();
    let socket = std::os::unix::net::UnixListener::bind(root.join("base/socket")).unwrap();
    let worktree = Worktree::discover(&root).unwrap();
    let (files, problems) = found(&worktree, "base");
    assert_eq!(files.len(), 2);
    assert_eq!(
        problems,
        ["base/latin-\\xe9: the name is not UTF-8", "base/socket: it is neither a file nor a directory"]
    );
    assert!(matches!(worktree.read("base/socket", 9).unwrap(), Content::NotAFile));
    drop(socket);
}

#[test]
fn files_are_read_up_to_a_limit_and_links_are_not_followed() {
    let (_directory, root) = clone();
    std::os::unix::fs::symlink("app", root.join("base/link")).unwrap();
    let worktree = Worktree::discover(&root).unwrap();
    let at = |path: &str, limit| worktree.read(path, limit).unwrap();
    assert!(matches!(at("base/app.yaml", 5), Content::File { bytes, .. } if bytes == b"a: 1\n"));
    assert!(matches!(at("base/app.yaml", 4), Content::TooLarge { size: 5 }));
    assert!(matches!(at("base", 5), Content::NotAFile));
    assert!(matches!(at("base/link", 5), Content::NotAFile));
    for path in ["base/link/x.yaml", "base/app.yaml/x", "nope", "../clone/base/app.yaml", ".git/config", ""] {
        assert!(matches!(at(path, 5), Content::Missing), "{path}");
    }
}
