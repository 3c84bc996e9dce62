use std::collections::BTreeMap;
use std::sync::Arc;

use super::{World, layers};
use crate::git::fetch::{Accepted, Branches, Fetch, Followed, Known, Unknown};
use crate::git::heads::Heads;
use crate::git::mirror::Mirror;
use crate::git::objects::oid;
use crate::git::tree::LayerTree;
use crate::model::tree::{GitId, pinned};

async fn look(mirror: &Mirror) -> Result<Option<Known>, Unknown> {
    let Fetch::Known(known) = mirror.fetch("main", Accepted::default()).await.unwrap() else { panic!("not known") };
    mirror.branches("main", known, |name| name.starts_with("feature/")).await.unwrap()
}

async fn branches(mirror: &Mirror) -> Branches {
    look(mirror).await.unwrap().unwrap().branches().unwrap().clone()
}

#[tokio::test]
async fn branches_come_go_and_come_back_rewritten() {
    let mut world = World::new();
    let main = world.push("main", &[("base/a.yaml", "1")]);
    let mirror = world.mirror().await;
    assert_eq!(branches(&mirror).await, Branches::from([("main".to_owned(), main)]));
    let one = world.push("feature/one", &[("base/a.yaml", "2")]);
    let other = world.push("other", &[("base/a.yaml", "3")]);
    let seen = branches(&mirror).await;
    assert_eq!((seen["feature/one"], seen["other"], seen.len()), (one, other, 3));
    // only what is wanted was fetched
    assert!(mirror.read(move |objects| objects.commit(one)).await.is_ok());
    assert!(mirror.read(move |objects| objects.commit(other)).await.is_err());
    // a branch of which another's name is the beginning, once that is gone
    world.remote.find_reference("refs/heads/feature/one").unwrap().delete().unwrap();
    assert!(!branches(&mirror).await.contains_key("feature/one"));
    let below = world.push("feature/one/below", &[("base/a.yaml", "4")]);
    assert_eq!(branches(&mirror).await["feature/one/below"], below);
    // rewritten
    world.remote.find_reference("refs/heads/feature/one/below").unwrap().delete().unwrap();
    let again = world.push("feature/one", &[("base/a.yaml", "5")]);
    assert_eq!(branches(&mirror).await["feature/one"], again);
    assert!(mirror.read(move |objects| objects.commit(again)).await.is_ok());
}

#[tokio::test]
async fn a_branch_that_cannot_be_fetched_is_in_nobodys_way() {
    let mut world = World::new();
    world.push("main", &[("a", "1")]);
    let names: Vec<String> = (0..5).map(|number| format!("feature/{number}")).collect();
    let tips: Vec<GitId> = names.iter().map(|name| world.push(name, &[("a", name)])).collect();
    // the remote lacks what one of them is made of, and another one is at the same commit
    let tree = world.remote.find_commit(oid(tips[3])).unwrap().tree_id().to_string();
    let object = world.path("remote/objects").join(&tree[..2]).join(&tree[2..]);
    let aside = world.path("aside");
    std::fs::rename(&object, &aside).unwrap();
    world.point("feature/same", tips[3]);
    let mirror = world.mirror().await;
    let known = look(&mirror).await.unwrap().unwrap();
    for (name, tip) in names.iter().zip(&tips).filter(|(_, tip)| **tip != tips[3]) {
        assert_eq!((known.branches().unwrap().get(name), known.unfetched(name)), (Some(tip), None));
        let tip = *tip;
        assert!(mirror.read(move |objects| objects.commit(tip)).await.is_ok());
    }
    for name in ["feature/3", "feature/same"] {
        assert_eq!(known.branches().unwrap()[name], tips[3], "it is not gone");
        assert!(matches!(known.unfetched(name), Some(Unknown::NotFetched { branch, .. }) if branch == name));
    }
    // somebody mends it, or pushes something else
    let other = world.push("feature/same", &[("a", "other")]);
    std::fs::rename(&aside, &object).unwrap();
    let begun = std::time::Instant::now();
    let known = loop {
        assert!(begun.elapsed() < std::time::Duration::from_mins(1), "it is tried again");
        let known = look(&mirror).await.unwrap().unwrap();
        assert_eq!((known.branches().unwrap()["feature/same"], known.unfetched("feature/same")), (other, None));
        if known.unfetched("feature/3").is_none() {
            break known;
        }
    };
    assert_eq!(known.branches().unwrap()["feature/3"], tips[3]);
    let tip = tips[3];
    assert!(mirror.read(move |objects| objects.files(tip, &layers(&["."]))).await.is_ok());
}

#[tokio::test]
async fn a_name_for_another_branch_is_a_branch() {
    let mut world = World::new();
    let main = world.push("main", &[("a", "1")]);
    world.remote.reference_symbolic("refs/heads/feature/alias", "refs/heads/main", true, "test").unwrap();
    world.remote.reference_symbolic("refs/heads/feature/dangling", "refs/heads/nowhere", true, "test").unwrap();
    let seen = branches(&world.mirror().await).await;
    assert_eq!((seen.get("feature/alias"), seen.len()), (Some(&main), 2), "{seen:?}");
}

#[tokio::test]
async fn a_protected_branch_that_moved_meanwhile_says_nothing() {
    let mut world = World::new();
    world.push("main", &[("a", "1")]);
    let mirror = world.mirror().await;
    let Fetch::Known(known) = mirror.fetch("main", Accepted::default()).await.unwrap() else { panic!("not known") };
    world.push("main", &[("a", "2")]);
    assert_eq!(mirror.branches("main", known.clone(), |_| true).await.unwrap(), Ok(None));
    // nor does a remote without it, or none
    world.remote.find_reference("refs/heads/main").unwrap().delete().unwrap();
    assert_eq!(mirror.branches("main", known.clone(), |_| true).await.unwrap(), Ok(None));
    std::fs::remove_dir_all(world.path("remote")).unwrap();
    assert!(matches!(mirror.branches("main", known, |_| true).await.unwrap(), Err(Unknown::Unreachable { .. })));
}

#[tokio::test]
async fn a_pinned_layer_is_of_its_own_commit_and_does_not_change() {
    let mut world = World::new();
    let main = world.push("main", &[("base/a.yaml", "1")]);
    let one = world.push("feature/one", &[("base/a.yaml", "2"), ("base/b.yaml", "2")]);
    let two = world.push("feature/one", &[("base/a.yaml", "3")]);
    let mirror = world.mirror().await;
    branches(&mirror).await;
    let both = layers(&[&pinned(main, "base"), "base"]);
    let names = both.clone();
    let files = mirror.read(move |objects| objects.files(one, &names)).await.unwrap();
    let count = |found: &LayerTree<_>| match found {
        LayerTree::Found { entries, .. } => entries.len(),
        LayerTree::Missing => 0,
    };
    assert_eq!(files.iter().map(|(_, found)| count(found)).collect::<Vec<_>>(), [1, 2]);
    let changes = mirror.read(move |objects| objects.changes(one, two, &both)).await.unwrap();
    assert_eq!(changes.iter().map(|(layer, _)| layer.as_str()).collect::<Vec<_>>(), ["base"]);
}

#[tokio::test]
async fn a_branch_is_gone_once_it_is_gone_everywhere() {
    let mut world = World::new();
    world.push("main", &[("a", "1")]);
    let own = world.push("feature/both", &[("a", "2")]);
    let known = look(&world.mirror().await).await.unwrap().unwrap();
    let [theirs, main] = [[2; 20], [3; 20]].map(GitId);
    let branches = |names: &[&str]| {
        let tip = |name: &&str| ((*name).to_owned(), if *name == "trunk" { main } else { theirs });
        let branches = Some(Arc::new(names.iter().map(tip).collect::<Branches>()));
        Followed { fallback: "trunk".to_owned(), branches }
    };
    let seen = |followed: Followed| known.clone().beside(BTreeMap::from([("cart".to_owned(), followed)]));
    let both = seen(branches(&["trunk", "feature/both", "feature/theirs"]));
    let names: Vec<String> = both.branches_anywhere().unwrap().into_keys().collect();
    assert_eq!(names, ["feature/both", "feature/theirs", "main"], "the fallback has no environment");
    assert_eq!(both.branches_anywhere().unwrap()["feature/both"], own);
    assert_eq!(
        ["feature/both", "feature/theirs", "trunk", "none"].map(|name| both.has(name)),
        [Some(true), Some(true), Some(false), Some(false)]
    );
    let cart = &both.followed()["cart"];
    assert_eq!((cart.commit("feature/theirs"), cart.commit("none")), (Some(theirs), Some(main)));
    let marks = ["feature/both", "feature/theirs", "none"].map(|name| both.mark(name));
    assert_eq!(marks, [Some(format!("{own} {theirs}")), Some(theirs.to_string()), None]);
    // of one that was never seen nobody knows what it has
    let blind = seen(Followed::default());
    assert_eq!(["feature/both", "feature/theirs"].map(|name| blind.has(name)), [Some(true), None]);
    assert_eq!((blind.followed()["cart"].commit("feature/both"), blind.mark("feature/both")), (None, None));
}

#[tokio::test]
async fn a_followed_repository_without_its_fallback_says_nothing() {
    let mut world = World::new();
    let heads = Heads::open(world.remotes()).unwrap();
    assert_eq!(heads.look("main").await.unwrap(), Err(Unknown::Empty));
    let one = world.push("feature/one", &[("a", "1")]);
    assert_eq!(heads.look("main").await.unwrap(), Err(Unknown::BranchMissing { branch: "main".to_owned() }));
    assert_eq!(heads.look("feature/one").await.unwrap(), Ok(Branches::from([("feature/one".to_owned(), one)])));
    std::fs::remove_dir_all(world.path("remote")).unwrap();
    assert!(matches!(heads.look("feature/one").await.unwrap(), Err(Unknown::Unreachable { .. })));
}

#[tokio::test]
async fn a_branch_changes_a_layer_if_it_does_so_since_it_forked() {
    let mut world = World::new();
    let root = world.push("main", &[("own/a.yaml", "1"), ("base/a.yaml", "1")]);
    world.point("feature/same", root);
    world.point("feature/elsewhere", root);
    world.point("feature/here", root);
    world.push("feature/elsewhere", &[("own/a.yaml", "1"), ("base/a.yaml", "2")]);
    let here = world.push("feature/here", &[("own/a.yaml", "2"), ("base/a.yaml", "1")]);
    let back = world.push("feature/back", &[("own/a.yaml", "1"), ("base/a.yaml", "1")]);
    // what the protected branch changes meanwhile is not the branch's
    let main = world.push("main", &[("own/a.yaml", "3"), ("base/a.yaml", "1")]);
    let mirror = world.mirror().await;
    let seen = branches(&mirror).await;
    let changes = async |tip: GitId, names: &[&str]| {
        let names = layers(names);
        mirror.read(move |objects| objects.changes_since_fork(tip, main, &names)).await.unwrap()
    };
    assert!(!changes(root, &["own"]).await && !changes(seen["feature/elsewhere"], &["own"]).await);
    assert!(changes(here, &["own"]).await && changes(here, &["none", "own"]).await);
    assert!(!changes(here, &["base", "none"]).await && !changes(here, &[]).await);
    assert!(changes(back, &["base"]).await, "it has nothing in common with the protected branch");
}
