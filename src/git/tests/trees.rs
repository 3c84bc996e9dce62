use git2::Repository;

use super::{World, known, layers, write_tree};
use crate::git::content::{Content, TooLarge};
use crate::git::fetch::Accepted;
use crate::git::objects::{Objects, git_id, oid};
use crate::git::tree::LayerTree;
use crate::model::tree::{FileMode, GitId, TreeChange, TreeFile};

fn paths(layer: &LayerTree<TreeFile>) -> Vec<(&str, FileMode)> {
    match layer {
        LayerTree::Missing => vec![("missing", FileMode::File)],
        LayerTree::Found { entries, .. } => entries.iter().map(|file| (file.path.as_str(), file.mode)).collect(),
    }
}

fn problems<T>(layer: &LayerTree<T>) -> Vec<String> {
    match layer {
        LayerTree::Missing => vec![],
        LayerTree::Found { problems, .. } => problems.iter().map(ToString::to_string).collect(),
    }
}

/// `+path`, `-path`, `~path` of each change.
fn words(layer: &LayerTree<TreeChange>) -> Vec<String> {
    let LayerTree::Found { entries, .. } = layer else { return vec!["missing".into()] };
    let word = |change: &TreeChange| match (&change.old, &change.new) {
        (Some(old), None) => format!("-{}", old.path),
        (None, Some(new)) => format!("+{}", new.path),
        (Some(_), Some(new)) => format!("~{}", new.path),
        (None, None) => unreachable!(),
    };
    entries.iter().map(word).collect()
}

#[test]
fn files_are_listed_by_layer_in_the_order_of_their_paths() {
    let mut world = World::new();
    let files: &[(&str, &[u8], i32)] = &[
        ("osier.yaml", b"", 0o100_644),
        ("base/app/z.yaml", b"", 0o100_755),
        ("base/app.yaml", b"", 0o100_644),
        ("base/app-x", b"", 0o100_644),
        ("base/link", b"../../etc/passwd", 0o120_000),
        ("base/module", &[9; 20], 0o160_000),
        ("envs/staging/a", b"", 0o100_644),
    ];
    let tree = write_tree(&world.remote, files.iter().copied());
    let commit = world.push_tree("main", tree);
    let objects = Objects::new(&world.remote);
    let listed = objects.files(commit, &layers(&["base", "envs/staging/", "./nope", "osier.yaml", "../x"])).unwrap();
    let listed: Vec<_> = listed.iter().map(|(layer, found)| (layer.as_str(), paths(found))).collect();
    let missing = vec![("missing", FileMode::File)];
    let base = vec![
        ("base/app-x", FileMode::File),
        ("base/app.yaml", FileMode::File),
        ("base/app/z.yaml", FileMode::File),
        ("base/link", FileMode::Symlink),
        ("base/module", FileMode::Submodule),
    ];
    let expected = [
        ("base", base),
        ("envs/staging/", vec![("envs/staging/a", FileMode::File)]),
        ("./nope", missing.clone()),
        ("osier.yaml", missing.clone()),
        ("../x", missing),
    ];
    assert_eq!(listed, expected);
}

#[test]
fn changes_name_what_was_added_removed_and_changed() {
    let mut world = World::new();
    let old = world.push("main", &[("base/a", "1"), ("base/b/c", "1"), ("base/d", "1"), ("x/y", "1"), ("gone/z", "1")]);
    let new = world.push("main", &[("base/a", "2"), ("base/b", "1"), ("base/d", "1"), ("base/e/f", "1"), ("x/y", "1")]);
    let objects = Objects::new(&world.remote);
    let names = layers(&["base", "x", "gone", "never", "."]);
    let changes = objects.changes(old, new, &names).unwrap();
    let changes: Vec<_> = changes.iter().map(|(_, found)| words(found)).collect();
    let base = ["~base/a", "+base/b", "-base/b/c", "+base/e/f"];
    let whole: Vec<_> = base.iter().copied().chain(["-gone/z"]).collect();
    assert_eq!(changes, [base.to_vec(), vec![], vec!["-gone/z"], vec!["missing"], whole]);
    assert_eq!(words(&objects.changes(new, new, &names).unwrap()[0].1), Vec::<String>::new());
}

#[test]
fn a_change_of_mode_alone_is_a_change() {
    let mut world = World::new();
    let with = |world: &mut World, mode| {
        let tree = write_tree(&world.remote, [("base/a", b"x".as_slice(), mode)]);
        world.push_tree("main", tree)
    };
    let (file, link, program) = (with(&mut world, 0o100_644), with(&mut world, 0o120_000), with(&mut world, 0o100_755));
    let objects = Objects::new(&world.remote);
    let count = |old, new| words(&objects.changes(old, new, &layers(&["base"])).unwrap()[0].1).len();
    assert_eq!((count(file, link), count(file, program)), (1, 0));
}

#[test]
fn names_that_cannot_be_used_are_problems() {
    let mut world = World::new();
    let blob = world.remote.blob(b"x").unwrap();
    let mut raw = Vec::new();
    for name in [b"..".as_slice(), b".GIT", b"a\nb", b"fine", b"latin-\xe9"] {
        raw.extend_from_slice(b"100644 ");
        raw.extend_from_slice(name);
        raw.push(0);
        raw.extend_from_slice(blob.as_bytes());
    }
    let bad = write_raw_tree(&world.remote, &raw);
    let mut builder = world.remote.treebuilder(None).unwrap();
    builder.insert("base", bad, 0o040_000).unwrap();
    let root = builder.write().unwrap();
    drop(builder);
    let empty = write_tree(&world.remote, []);
    let (before, commit) = (world.push_tree("main", empty), world.push_tree("main", root));
    let objects = Objects::new(&world.remote);
    let expected = [
        "base/..: the name leads out of its directory",
        "base/.GIT: the name is git's own",
        "base/a\\nb: the name has a slash or a control character",
        "base/latin-\\xe9: the name is not UTF-8",
    ];
    let listed = &objects.files(commit, &layers(&["base"])).unwrap()[0].1;
    assert_eq!(
        (paths(listed), problems(listed)),
        (vec![("base/fine", FileMode::File)], expected.map(String::from).into())
    );
    assert_eq!(problems(&objects.changes(before, commit, &layers(&["base"])).unwrap()[0].1), expected);
    assert_eq!(problems(&objects.changes(commit, before, &layers(&["."])).unwrap()[0].1), Vec::<String>::new());
}

fn write_raw_tree(repository: &Repository, raw: &[u8]) -> git2::Oid {
    repository.odb().unwrap().write(git2::ObjectType::Tree, raw).unwrap()
}

#[test]
fn a_tree_out_of_order_is_a_problem() {
    let mut world = World::new();
    let blob = world.remote.blob(b"x").unwrap();
    let raw: Vec<u8> =
        [b"b", b"a"].iter().flat_map(|name| [b"100644 ", *name as &[u8], &[0], blob.as_bytes()].concat()).collect();
    let root = write_raw_tree(&world.remote, &raw);
    let commit = world.push_tree("main", root);
    let listed = &Objects::new(&world.remote).files(commit, &layers(&["."])).unwrap()[0].1;
    assert_eq!(problems(listed).len(), 1);
}

/// Ten directories in each of many levels, all the same tree: more paths than there are atoms, few objects.
#[test]
fn a_tree_that_repeats_itself_ends() {
    let mut world = World::new();
    let mut tree = write_tree(&world.remote, []);
    for _ in 0..30 {
        let mut builder = world.remote.treebuilder(None).unwrap();
        for name in 0..10 {
            builder.insert(name.to_string(), tree, 0o040_000).unwrap();
        }
        tree = builder.write().unwrap();
    }
    let commit = world.push_tree("main", tree);
    let listed = &Objects::new(&world.remote).files(commit, &layers(&["."])).unwrap()[0].1;
    let problems = problems(listed);
    assert!(problems.len() == 1 && problems[0].ends_with("the layer has too many files"), "{problems:?}");
}

#[test]
fn directories_that_are_too_deep_are_a_problem() {
    let mut world = World::new();
    let path = format!("{}x", "d/".repeat(3000));
    let mut tree = write_tree(&world.remote, [("x", b"".as_slice(), 0o100_644)]);
    for _ in 0..3000 {
        let mut builder = world.remote.treebuilder(None).unwrap();
        builder.insert("d", tree, 0o040_000).unwrap();
        tree = builder.write().unwrap();
    }
    let commit = world.push_tree("main", tree);
    let objects = Objects::new(&world.remote);
    let listed = &objects.files(commit, &layers(&["."])).unwrap()[0].1;
    assert_eq!(problems(listed).len(), 1);
    assert!(matches!(objects.blob_at(commit, &path, 9).unwrap(), Content::File { .. }));
}

#[test]
fn blobs_are_read_up_to_a_limit() {
    let mut world = World::new();
    let commit = world.push("main", &[("base/a", "12345"), ("b", "1")]);
    let objects = Objects::new(&world.remote);
    let LayerTree::Found { entries, .. } = objects.files(commit, &layers(&["base"])).unwrap().remove(0).1 else {
        panic!()
    };
    let id = entries[0].blob_id;
    assert_eq!(objects.blobs(&[id], 5).unwrap(), [(id, Ok(b"12345".to_vec()))]);
    assert_eq!(objects.blobs(&[id], 4).unwrap(), [(id, Err(TooLarge { size: 5 }))]);
    assert_eq!((objects.counts().blobs, objects.counts().bytes), (1, 5));
    assert!(!objects.damaged());
    assert!(objects.blobs(&[GitId([3; 20])], 5).is_err());
    assert!(objects.damaged());
    let at = |path: &str, limit| objects.blob_at(commit, path, limit).unwrap();
    assert!(matches!(at("base/a", 9), Content::File { blob_id, bytes } if blob_id == id && bytes == b"12345"));
    assert!(matches!(at("b", 9), Content::File { .. }));
    assert!(matches!(at("base/a", 4), Content::TooLarge { size: 5 }));
    assert!(matches!(at("base", 9), Content::NotAFile));
    for path in ["base/x", "", "b/a", "../b", "base/", "/"] {
        assert!(matches!(at(path, 9), Content::Missing), "{path}");
    }
}

#[tokio::test]
async fn one_change_among_a_hundred_thousand_files_reads_six_trees() {
    let mut world = World::new();
    let old = big_tree(&world.remote, None);
    let old = world.push_tree("main", old);
    let new = big_tree(&world.remote, Some(500));
    let new = world.push_tree("main", new);
    let mirror = world.mirror().await;
    known(&mirror, Accepted::default()).await;
    let read = move |objects: &Objects<'_>| {
        let changes = objects.changes(old, new, &layers(&["base", "osier.d"]))?;
        Ok((words(&changes[0].1), objects.counts()))
    };
    let (changes, counts) = mirror.read(read).await.unwrap();
    assert_eq!(changes, ["~base/d500/f7.yaml"]);
    assert_eq!((counts.trees, counts.blobs), (6, 0));
    let listed = move |objects: &Objects<'_>| {
        let files = objects.files(new, &layers(&["base"]))?;
        Ok((paths(&files[0].1).len(), objects.counts().trees))
    };
    assert_eq!(mirror.read(listed).await.unwrap(), (100_000, 1_002));
}

/// `base/d<n>/f<m>.yaml`, a thousand times a hundred; one file of directory `changed` is different.
fn big_tree(repository: &Repository, changed: Option<usize>) -> git2::Oid {
    let plain = repository.blob(b"a: 1\n").unwrap();
    let mut base = repository.treebuilder(None).unwrap();
    for directory in 0..1000 {
        let mut files = repository.treebuilder(None).unwrap();
        let own = repository.blob(format!("d: {directory}\n").as_bytes()).unwrap();
        for file in 0..100 {
            let id = if file == 0 { own } else { plain };
            files.insert(format!("f{file}.yaml"), id, 0o100_644).unwrap();
        }
        if changed == Some(directory) {
            files.insert("f7.yaml", repository.blob(b"a: 2\n").unwrap(), 0o100_644).unwrap();
        }
        base.insert(format!("d{directory}"), files.write().unwrap(), 0o040_000).unwrap();
    }
    let mut root = repository.treebuilder(None).unwrap();
    root.insert("base", base.write().unwrap(), 0o040_000).unwrap();
    root.write().unwrap()
}

#[test]
fn ids_keep_their_digits() {
    let id = GitId([0xab; 20]);
    assert_eq!((git_id(oid(id)), oid(id).to_string()), (id, id.to_string()));
}
