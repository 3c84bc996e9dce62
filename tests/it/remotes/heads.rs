//! A followed repository: its refs are read, and nothing else.

use std::time::Duration;

use osier::git::fetch::{Branches, Unknown};
use osier::git::heads::Heads;
use osier::git::remotes::Limits;

use super::sshd::Sshd;
use super::world::{LIMITS, TOKEN, World, git, remotes, said};
use crate::support::web::{Manner, Web};

/// For servers that keep us waiting: what they do is the same after a second.
const SHORT: Limits = Limits { connect: Duration::from_secs(1), silence: Duration::from_secs(1), ..LIMITS };

async fn look(heads: &Heads) -> Result<Branches, Unknown> {
    heads.look("main").await.unwrap()
}

#[tokio::test]
async fn its_refs_alone_are_asked_for_with_its_credentials() {
    let world = World::new();
    let web = Web::start(world.root()).await;
    web.want("Basic Z2l0OnQwa2VuLWM0bmFyeQ==");
    let main = world.push("main", b"1");
    let one = world.push("feature/one", b"2");
    git(&world.path("shop.git"), &["tag", "v1", &one.to_string()]);
    let secret = [("ca.crt", web.authority.as_str()), ("password", TOKEN)];
    let heads = Heads::open(remotes(&web.url(), &[], &secret)).unwrap();
    let wanted = Branches::from([("main".to_owned(), main), ("feature/one".to_owned(), one)]);
    assert_eq!(look(&heads).await.unwrap(), wanted);
    assert!(web.asked().iter().all(|asked| asked.path == "/shop.git/info/refs?service=git-upload-pack"));
    let strange = Heads::open(remotes(&web.url(), &[], &secret[..1])).unwrap();
    let text = said(&look(&strange).await.unwrap_err());
    assert!(text.starts_with("RepositoryUnreachable: ") && !text.contains("c4nary"), "{text}");
}

#[tokio::test]
async fn what_a_server_does_wrong_is_no_answer() {
    let world = World::new();
    let web = Web::start(world.root()).await;
    world.push("main", b"1");
    let secret = [("ca.crt", web.authority.as_str())];
    for manner in [
        Manner::Status(401),
        Manner::Status(404),
        Manner::Status(500),
        Manner::Moved,
        Manner::Page,
        Manner::Nonsense,
        Manner::BreakAfter("/info/refs", 10),
        Manner::MuteAfter("/info/refs", 10),
    ] {
        web.behave(manner);
        let heads = Heads::open(remotes(&web.url(), &[], &secret).within(SHORT)).unwrap();
        assert!(matches!(look(&heads).await, Err(Unknown::Unreachable { .. })), "{manner:?}");
    }
    web.behave(Manner::Good);
    let heads = Heads::open(remotes(&web.url(), &[], &secret)).unwrap();
    assert_eq!(look(&heads).await.unwrap().len(), 1);
}

#[tokio::test]
async fn over_ssh_and_without_the_branch_that_is_always_there() {
    let (world, sshd) = (World::new(), Sshd::start());
    let secret = [("identity", sshd.read("client")), ("known_hosts", sshd.known_hosts("ed25519"))];
    let secret = secret.each_ref().map(|(name, value)| (*name, value.as_str()));
    let heads = Heads::open(remotes(&sshd.url(&world.path("shop.git")), &[], &secret)).unwrap();
    assert_eq!(look(&heads).await, Err(Unknown::Empty));
    let one = world.push("feature/one", b"1");
    assert_eq!(look(&heads).await, Err(Unknown::BranchMissing { branch: "main".to_owned() }));
    let main = world.push("main", b"2");
    let wanted = Branches::from([("main".to_owned(), main), ("feature/one".to_owned(), one)]);
    assert_eq!(look(&heads).await.unwrap(), wanted);
}
