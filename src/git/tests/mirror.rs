use std::fs;
use std::path::PathBuf;

use git2::Repository;

use super::{World, known, unknown};
use crate::git::credentials::Credentials;
use crate::git::error::Error;
use crate::git::fetch::{Accepted, Fetch, Unknown};
use crate::git::mirror::Mirror;
use crate::git::remotes::Remotes;
use crate::model::reason::Reason;
use crate::model::tree::GitId;

fn after(last: GitId) -> Accepted {
    Accepted { last: Some(last), allowed: None }
}

#[tokio::test]
async fn a_tip_is_known_and_its_continuation_too() {
    let mut world = World::new();
    let first = world.push("main", &[("a", "1")]);
    let mirror = world.mirror().await;
    assert_eq!(known(&mirror, Accepted::default()).await, first);
    let second = world.push("main", &[("a", "2")]);
    assert_eq!(known(&mirror, after(first)).await, second);
    assert_eq!(known(&mirror, after(second)).await, second);
    let config = fs::read_to_string(world.path("mirror/config")).unwrap();
    assert!(!config.contains("remote"), "{config}");
}

#[tokio::test]
async fn nothing_is_known_of_a_repository_that_is_nowhere_yet() {
    let mut world = World::new();
    let tip = world.push("main", &[("a", "1")]);
    let mirror = Mirror::open(&world.path("mirror"), Remotes::nowhere()).await.unwrap();
    assert_eq!(unknown(&mirror, None).await.reason(), Reason::RepositoryUnreachable);
    mirror.change_remotes(world.remotes()).await.unwrap();
    assert_eq!(known(&mirror, Accepted::default()).await, tip);
}

#[test]
fn what_changes_with_a_branch_can_be_watched() {
    let world = World::new();
    let below = |directory: &str| vec![world.path(directory), world.path(directory).join("refs")];
    Repository::init(world.path("clone")).unwrap();
    fs::create_dir(world.path("plain")).unwrap();
    for (url, expected) in [
        (world.url(), below("remote")),
        (world.path("clone").display().to_string(), below("clone/.git")),
        (world.path("plain").display().to_string(), vec![world.path("plain")]),
        ("https://localhost/shop.git".to_owned(), vec![]),
    ] {
        let remotes = Remotes::new(&url, &[], Credentials::default()).unwrap();
        let canonical =
            |paths: Vec<std::path::PathBuf>| paths.iter().map(|path| path.canonicalize().unwrap()).collect::<Vec<_>>();
        assert_eq!(canonical(remotes.local_refs(None)), canonical(expected), "{url}");
        let alone = |branch: &str| remotes.local_refs(Some(branch)).into_iter().map(|path| path.ends_with("heads"));
        assert!(!alone("env/main").any(|heads| heads), "its directory comes and goes");
        assert_eq!(alone("main").any(|heads| heads), remotes.local_refs(None).len() > 1, "{url}");
    }
}

#[tokio::test]
async fn an_empty_remote_is_suspicious_and_changes_nothing() {
    let mut world = World::new();
    let mirror = world.mirror().await;
    assert_eq!(unknown(&mirror, None).await, Unknown::Empty);
    let tip = world.push("main", &[("a", "1")]);
    known(&mirror, Accepted::default()).await;
    fs::remove_dir_all(world.path("remote")).unwrap();
    Repository::init_bare(world.path("remote")).unwrap();
    let doubt = unknown(&mirror, Some(tip)).await;
    assert_eq!((doubt.reason(), doubt), (Reason::RepositorySuspicious, Unknown::Empty));
    assert_eq!(mirror.read(|objects| objects.resolve("main")).await, Ok(tip));
}

#[tokio::test]
async fn a_missing_branch_is_suspicious_also_after_it_was_there() {
    let mut world = World::new();
    let tip = world.push("main", &[("a", "1")]);
    world.push("other", &[("a", "1")]);
    let mirror = world.mirror().await;
    known(&mirror, Accepted::default()).await;
    world.remote.find_reference("refs/heads/main").unwrap().delete().unwrap();
    assert_eq!(unknown(&mirror, Some(tip)).await, Unknown::BranchMissing { branch: "main".into() });
}

#[tokio::test]
async fn rewritten_history_is_suspicious_until_its_tip_is_allowed() {
    let mut world = World::new();
    let first = world.push("main", &[("a", "1")]);
    let second = world.push("main", &[("a", "2")]);
    let mirror = world.mirror().await;
    known(&mirror, Accepted::default()).await;
    mirror.pin(second).await.unwrap();
    let empty = super::write_tree(&world.remote, []);
    let unrelated = world.commit(empty, None);
    for tip in [first, unrelated] {
        world.point("main", tip);
        let doubt = unknown(&mirror, Some(second)).await;
        assert_eq!(doubt, Unknown::NotDescendant { branch: "main".into(), tip, accepted: second });
        assert!(doubt.hint().unwrap().contains(&tip.to_string()));
        assert_eq!(mirror.read(|objects| objects.resolve("main")).await, Ok(second));
    }
    let allowed = |tip| Accepted { last: Some(second), allowed: Some(tip) };
    assert!(matches!(mirror.fetch("main", allowed(first)).await, Ok(Fetch::Unknown(_))));
    assert_eq!(known(&mirror, allowed(unrelated)).await, unrelated);
    let pinned = Repository::open_bare(world.path("mirror")).unwrap();
    pinned.find_reference(&crate::model::wire::mirror_pin(&second.to_string())).unwrap();
    assert!(mirror.read(move |objects| objects.files(second, &["base".into()])).await.is_ok());
}

#[tokio::test]
async fn another_repository_behind_the_url_is_suspicious_even_for_a_new_mirror() {
    let mut world = World::new();
    let tip = world.push("main", &[("a", "1")]);
    let mut other = World::new();
    let strange = other.push("main", &[("b", "1")]);
    let mirror = other.mirror().await;
    let expected = Unknown::NotDescendant { branch: "main".into(), tip: strange, accepted: tip };
    assert_eq!(unknown(&mirror, Some(tip)).await, expected);
}

#[tokio::test]
async fn what_is_no_repository_is_unreachable() {
    let world = World::new();
    fs::create_dir(world.path("plain")).unwrap();
    for url in [
        format!("file://{}", world.path("plain").display()),
        format!("file://{}", world.path("absent").display()),
        "https://127.0.0.1:1/x".to_owned(),
    ] {
        let remotes = Remotes::new(&url, &[], Credentials::default()).unwrap();
        let mirror = Mirror::open(&world.path("m"), remotes).await.unwrap();
        let doubt = unknown(&mirror, None).await;
        assert_eq!(doubt.reason(), Reason::RepositoryUnreachable, "{url}");
    }
}

#[tokio::test]
async fn a_pin_survives_the_replacement_of_a_damaged_mirror() {
    let mut world = World::new();
    let first = world.push("main", &[("a", "1")]);
    world.filled_mirror();
    let second = world.push("main", &[("a", "2")]);
    break_packs(&world);
    let mirror = world.mirror().await;
    assert_eq!(known(&mirror, after(first)).await, second);
    let text = mirror.read(move |objects| objects.blob_at(first, "a", 10)).await.unwrap();
    assert!(matches!(text, crate::git::content::Content::File { bytes, .. } if bytes == b"1"));
    let pinned = Repository::open_bare(world.path("mirror")).unwrap();
    pinned.find_reference(&crate::model::wire::mirror_pin(&first.to_string())).unwrap();
    let mut left: Vec<_> = fs::read_dir(world.directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["mirror", "mirror.lock", "remote"]);
    let absent = GitId([7; 20]);
    assert!(matches!(mirror.pin(absent).await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn pins_that_nobody_needs_go() {
    let mut world = World::new();
    let first = world.push("main", &[("a", "1")]);
    let second = world.push("main", &[("a", "2")]);
    let mirror = world.mirror().await;
    known(&mirror, Accepted::default()).await;
    mirror.pin(first).await.unwrap();
    mirror.pin(second).await.unwrap();
    mirror.keep_only([second.to_string()].into()).await.unwrap();
    let repository = Repository::open_bare(world.path("mirror")).unwrap();
    let pinned =
        |commit: GitId| repository.find_reference(&crate::model::wire::mirror_pin(&commit.to_string())).is_ok();
    assert_eq!((pinned(first), pinned(second)), (false, true));
    assert_eq!(mirror.read(|objects| objects.resolve("main")).await, Ok(second));
}

#[tokio::test]
async fn a_mirror_of_an_earlier_osier_goes_on() {
    let mut world = World::new();
    let first = world.push("main", &[("a", "1")]);
    world.filled_mirror();
    let before = Repository::open_bare(world.path("mirror")).unwrap();
    before.find_reference("refs/osier/fetched/0").unwrap().delete().unwrap();
    before.reference("refs/osier/fetched", crate::git::objects::oid(first), true, "as it was").unwrap();
    let second = world.push("main", &[("a", "2")]);
    let mirror = world.mirror().await;
    assert_eq!(known(&mirror, after(first)).await, second);
    before.find_reference(&crate::model::wire::mirror_pin(&first.to_string())).unwrap();
}

#[tokio::test]
async fn a_damaged_file_is_an_error_until_the_next_fetch() {
    let mut world = World::new();
    let tip = world.push("main", &[("a", "1")]);
    world.filled_mirror();
    damage_last_object(&world);
    let mirror = world.mirror().await;
    let read = || mirror.read(move |objects| objects.blob_at(tip, "a", 9).map(|_| ()));
    assert!(matches!(read().await, Err(Error::Object { what: "file", .. })));
    assert_eq!(known(&mirror, after(tip)).await, tip);
    assert_eq!(read().await, Ok(()));
}

/// Spoils the checksum of the pack's last object, the file.
fn damage_last_object(world: &World) {
    let mut packs = fs::read_dir(world.path("mirror/objects/pack")).unwrap().map(|entry| entry.unwrap().path());
    let pack = packs.find(|path| path.extension().is_some_and(|extension| extension == "pack")).unwrap();
    let mut bytes = fs::read(&pack).unwrap();
    let end = bytes.len() - 21;
    bytes[end] ^= 0xff;
    fs::remove_file(&pack).unwrap();
    fs::write(&pack, bytes).unwrap();
}

#[tokio::test]
async fn locks_of_a_process_that_was_killed_are_in_nobodys_way() {
    let mut world = World::new();
    let first = world.push("main", &[("a", "1")]);
    let mirror = world.mirror().await;
    assert_eq!(known(&mirror, Accepted::default()).await, first);
    let tip = world.push("main", &[("a", "2")]);
    let pin = format!("refs/osier/applied/{tip}");
    fs::create_dir_all(world.path("mirror/refs/osier/applied")).unwrap();
    fs::create_dir_all(world.path("mirror/refs/osier/fetched")).unwrap();
    for name in ["refs/osier/fetched/0", "refs/heads/main", &pin, "packed-refs"] {
        fs::write(world.path(&format!("mirror/{name}.lock")), "").unwrap();
    }
    assert_eq!(known(&mirror, after(first)).await, tip);
    mirror.pin(tip).await.unwrap();
}

#[tokio::test]
async fn a_ref_in_the_way_makes_the_mirror_again() {
    let mut world = World::new();
    let tip = world.push("main", &[("a", "1")]);
    let mirror = world.mirror().await;
    known(&mirror, Accepted::default()).await;
    world.remote.find_reference("refs/heads/main").unwrap().delete().unwrap();
    world.point("main/1", tip);
    let fetch = || mirror.fetch("main/1", after(tip));
    assert!(matches!(fetch().await, Err(Error::Reference { .. })));
    assert!(matches!(fetch().await, Ok(Fetch::Known(known)) if known.tip() == tip));
}

#[tokio::test]
async fn an_exchange_that_a_crash_cut_short_is_taken_back() {
    let mut world = World::new();
    let tip = world.push("main", &[("a", "1")]);
    world.filled_mirror();
    fs::rename(world.path("mirror"), world.path("mirror.old")).unwrap();
    fs::create_dir(world.path("mirror.fresh")).unwrap();
    let mirror = world.mirror().await;
    assert_eq!(mirror.read(|objects| objects.resolve("main")).await, Ok(tip));
}

fn packs(world: &World) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(world.path("mirror/objects/pack")).unwrap().map(|entry| entry.unwrap().path())
}

fn break_packs(world: &World) {
    packs(world).for_each(|pack| fs::remove_file(pack).unwrap());
}

#[tokio::test]
async fn a_directory_that_is_no_mirror_is_put_aside() {
    let mut world = World::new();
    let tip = world.push("main", &[("a", "1")]);
    fs::create_dir(world.path("mirror")).unwrap();
    fs::write(world.path("mirror/precious"), "x").unwrap();
    let mirror = world.mirror().await;
    assert_eq!(known(&mirror, Accepted::default()).await, tip);
    assert!(world.path("mirror.broken/precious").exists());
}

#[tokio::test]
async fn fetches_at_the_same_time_each_get_an_answer() {
    let mut world = World::new();
    let tip = world.push("main", &[("a", "1")]);
    let mirror = world.mirror().await;
    let all = futures::future::join_all((0..100).map(|_| known(&mirror, Accepted::default()))).await;
    assert!(all.iter().all(|each| *each == tip));
}

#[tokio::test]
async fn names_that_no_branch_has_are_refused() {
    let world = World::new();
    let mirror = world.mirror().await;
    for name in ["", "a b", "a:b", "*", "../x", "a..b"] {
        let answer = mirror.fetch(name, Accepted::default()).await;
        assert!(matches!(answer, Err(Error::BranchName { .. })), "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn a_protected_branch_with_an_endless_name_is_missing() {
    let mut world = World::new();
    world.push("other", &[("a", "1")]);
    let mirror = world.mirror().await;
    let name = "x".repeat(4000);
    let expected = Fetch::Unknown(Unknown::BranchMissing { branch: name.clone() });
    assert_eq!(mirror.fetch(&name, Accepted::default()).await, Ok(expected));
}

#[tokio::test]
async fn odd_names_of_other_branches_change_nothing() {
    let mut world = World::new();
    let tip = world.push("main", &[("a", "1")]);
    for name in ["$(id)", "a;rm", "refs/heads/main", "ünïcode", "main.lock2", "deadbeef"] {
        world.point(name, tip);
    }
    pack_ref(&world, tip, b"latin-\xe9");
    pack_ref(&world, tip, "x".repeat(4000).as_bytes());
    let mirror = world.mirror().await;
    assert_eq!(known(&mirror, Accepted::default()).await, tip);
}

fn pack_ref(world: &World, tip: GitId, name: &[u8]) {
    let line = [tip.to_string().as_bytes(), b" refs/heads/", name, b"\n"].concat();
    let path = world.path("remote/packed-refs");
    let known = fs::read(&path).unwrap_or_default();
    fs::write(path, [known, line].concat()).unwrap();
}
