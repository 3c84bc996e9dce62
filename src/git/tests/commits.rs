use super::{World, known};
use crate::git::error::Error;
use crate::git::fetch::Accepted;
use crate::git::mirror::Mirror;
use crate::model::tree::GitId;

/// Five commits: a line of three, a branch from the second, merged.
async fn history(world: &mut World) -> (Mirror, [GitId; 5]) {
    let first = world.push("main", &[("a", "1")]);
    let second = world.push("main", &[("a", "2")]);
    world.point("side", second);
    let side = world.push("side", &[("a", "2"), ("b", "1")]);
    let third = world.push("main", &[("a", "3")]);
    let merged = world.push("main", &[("a", "3"), ("b", "1")]);
    let mirror = world.mirror().await;
    known(&mirror, Accepted::default()).await;
    mirror.fetch("side", Accepted::default()).await.unwrap();
    (mirror, [first, second, third, side, merged])
}

#[tokio::test]
async fn commits_are_named_by_id_by_beginning_and_by_branch() {
    let mut world = World::new();
    let (mirror, [first, _, _, _, tip]) = history(&mut world).await;
    let full = first.to_string();
    for (text, expected) in [
        (full.clone(), first),
        (full.to_uppercase(), first),
        (first.short(), first),
        ("main".to_owned(), tip),
        ("main~0".to_owned(), tip),
        (tip.short(), tip),
    ] {
        assert_eq!(mirror.read(move |objects| objects.resolve(&text)).await, Ok(expected));
    }
    for text in
        ["HEAD", "abc", "", "main~99", "main~x", "no-such", "0000000", "../main", &"f".repeat(40), &"x/".repeat(2000)]
    {
        let expected = Error::NotFound { text: text.to_owned() };
        let text = text.to_owned();
        assert_eq!(mirror.read(move |objects| objects.resolve(&text)).await, Err(expected));
    }
}

#[tokio::test]
async fn a_branch_that_looks_like_another_commit_is_ambiguous() {
    let mut world = World::new();
    let first = world.push("main", &[("a", "1")]);
    let name = first.short();
    world.push("main", &[("a", "2")]);
    world.point(&name, world.remote.refname_to_id("refs/heads/main").map(crate::git::objects::git_id).unwrap());
    let mirror = world.mirror().await;
    mirror.fetch(&name, Accepted::default()).await.unwrap();
    let expected = Error::Ambiguous { text: name.clone() };
    assert_eq!(mirror.read(move |objects| objects.resolve(&name)).await, Err(expected));
}

#[tokio::test]
async fn what_a_branch_changed_itself_is_told_from_what_it_lacks() {
    let mut world = World::new();
    let base = world.push("main", &[("osier.yaml", "1"), ("policies/a", "1"), (".sops.yaml", "1"), ("same", "1")]);
    world.point("side", base);
    let side = world.push("side", &[("osier.yaml", "2"), ("policies/a", "2"), (".sops.yaml", "1"), ("same", "2")]);
    let main = world.push("main", &[("osier.yaml", "3"), ("policies/a", "1"), (".sops.yaml", "3"), ("same", "2")]);
    let mirror = world.mirror().await;
    known(&mirror, Accepted::default()).await;
    mirror.fetch("side", Accepted::default()).await.unwrap();
    let paths = ["osier.yaml", "policies", ".sops.yaml", "same", "nowhere"].map(str::to_owned);
    let changed = mirror.read(move |objects| objects.own_changes(side, main, &paths)).await;
    assert_eq!(changed, Ok(vec!["osier.yaml".to_owned(), "policies".to_owned()]));
}

#[tokio::test]
async fn history_is_read() {
    let mut world = World::new();
    let (mirror, [first, second, third, _, tip]) = history(&mut world).await;
    let ids = |from, until, limit| {
        mirror.read(move |objects| {
            let log = objects.log(from, until, limit)?;
            let counted = until.map(|until| objects.count_between(until, from)).transpose()?;
            assert!(counted.is_none_or(|count| count >= log.len()));
            Ok(log.into_iter().map(|commit| commit.commit_id).collect::<Vec<_>>())
        })
    };
    assert_eq!(ids(tip, None, 9).await, Ok(vec![tip, third, second, first]));
    assert_eq!(ids(tip, Some(second), 9).await, Ok(vec![tip, third]));
    assert_eq!(ids(tip, None, 1).await, Ok(vec![tip]));
    assert_eq!(ids(first, Some(tip), 9).await, Ok(vec![]));
}

#[tokio::test]
async fn ancestors_times_and_words_of_commits() {
    let mut world = World::new();
    let (mirror, [first, second, third, side, tip]) = history(&mut world).await;
    let checks = move |objects: &crate::git::objects::Objects<'_>| {
        for (ancestor, commit, expected) in
            [(first, tip, true), (tip, tip, true), (tip, first, false), (side, third, false)]
        {
            assert_eq!(objects.is_ancestor(ancestor, commit), Ok(expected), "{ancestor} {commit}");
        }
        let time = objects.commit(second)?.time;
        assert_eq!(objects.commit_at(tip, time), Ok(Some(second)));
        assert_eq!(objects.commit_at(tip, time + 9), Ok(Some(second)));
        assert_eq!(objects.commit_at(tip, 0), Ok(None));
        let info = objects.commit(first)?;
        assert_eq!((info.author.as_str(), info.email.as_str()), ("Ann", "ann@example.com"));
        assert_eq!((info.summary.as_str(), info.message.as_str()), ("change 1010", "change 1010\n\nwhy\n"));
        let absent = GitId([1; 20]);
        assert!(matches!(objects.is_ancestor(absent, tip), Err(Error::NotFound { .. })));
        Ok(())
    };
    mirror.read(checks).await.unwrap();
}
