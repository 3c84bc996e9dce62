//! HTTPS: who is asked, with what, and how often.

use osier::git::fetch::Look;

use super::world::{TOKEN, World, known, remotes, said, unknown};
use crate::support::web::Web;

#[tokio::test]
async fn a_branch_is_fetched_with_a_token_and_its_continuation_too() {
    let world = World::new();
    let web = Web::start(world.root()).await;
    web.want("Basic Z2l0OnQwa2VuLWM0bmFyeQ==");
    let first = world.push("main", b"1");
    let mirror = world.mirror(&web.url(), &[("ca.crt", &web.authority), ("password", TOKEN)]).await;
    assert_eq!(known(&mirror, None).await, first);
    let second = world.push("main", b"2");
    assert_eq!(known(&mirror, Some(first)).await, second);
    let asked: Vec<String> = web.asked().into_iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect();
    let refs = "GET /shop.git/info/refs?service=git-upload-pack";
    let pack = "POST /shop.git/git-upload-pack";
    assert_eq!(asked[..2], [refs, pack]);
    assert_eq!((asked.first().unwrap().as_str(), web.connections()), (refs, 2), "one connection a fetch: {asked:?}");
    let mirror_files = std::fs::read_to_string(world.path("mirror/config")).unwrap();
    assert!(!mirror_files.contains("localhost") && !mirror_files.contains(TOKEN), "{mirror_files}");
}

#[tokio::test]
async fn basic_bearer_and_no_credentials_are_sent_as_they_are() {
    let world = World::new();
    let tip = world.push("main", b"1");
    let web = Web::start(world.root()).await;
    for (secret, sent) in [
        (&[][..], None),
        (&[("username", "bob"), ("password", TOKEN)], Some("Basic Ym9iOnQwa2VuLWM0bmFyeQ==")),
        (&[("bearerToken", TOKEN)], Some("Bearer t0ken-c4nary")),
    ] {
        let secret = [secret, &[("ca.crt", web.authority.as_str())]].concat();
        let mirror = world.mirror(&web.url(), &secret).await;
        assert_eq!(known(&mirror, None).await, tip);
        assert!(web.asked().iter().all(|asked| asked.authorization.as_deref() == sent));
    }
}

#[tokio::test]
async fn http_is_for_loopback() {
    let world = World::new();
    let tip = world.push("main", b"1");
    let web = Web::without_tls(world.root()).await;
    let mirror = world.mirror(&web.url(), &[]).await;
    assert_eq!(known(&mirror, None).await, tip);
}

#[tokio::test]
async fn a_look_says_whether_a_branch_moved_and_writes_nothing() {
    let world = World::new();
    let web = Web::start(world.root()).await;
    let first = world.push("main", b"1");
    let mirror = world.mirror(&web.url(), &[("ca.crt", &web.authority)]).await;
    let look = async |branches: &[&str]| {
        let branches: Vec<String> = branches.iter().map(|&branch| branch.to_owned()).collect();
        mirror.look(&branches).await.unwrap()
    };
    assert_eq!(look(&["main"]).await, Look::Changed, "it was never fetched");
    known(&mirror, None).await;
    web.asked();
    assert_eq!(look(&["main"]).await, Look::Unchanged);
    assert_eq!(web.asked().len(), 1);
    assert_eq!(look(&["main", "gone"]).await, Look::Changed);
    world.push("main", b"2");
    assert_eq!(look(&["main"]).await, Look::Changed);
    assert_eq!(world.kept(), format!("refs/heads/main {first}"));
    let before = mirror.traffic();
    web.asked();
    look(&["main"]).await;
    let after = mirror.traffic();
    assert_eq!((after.looks - before.looks, after.fetches - before.fetches), (1, 0));
    assert_eq!(after.connections - before.connections, 1);
    let bytes = after.received_bytes - before.received_bytes;
    assert!((100..1000).contains(&bytes), "{bytes} bytes");
}

#[tokio::test]
async fn nothing_new_is_one_request_and_a_thousand_refs_too() {
    let world = World::new();
    let web = Web::start(world.root()).await;
    let tip = world.push("main", b"1");
    let refs: String = (0..1000).map(|n| format!("create refs/heads/b{n} {tip}\n")).collect();
    std::fs::write(world.path("refs"), refs).unwrap();
    let mut update = std::process::Command::new("git");
    update.args(["update-ref", "--stdin"]).current_dir(world.path("shop.git"));
    assert!(update.stdin(std::fs::File::open(world.path("refs")).unwrap()).status().unwrap().success());
    let mirror = world.mirror(&web.url(), &[("ca.crt", &web.authority)]).await;
    known(&mirror, None).await;
    web.asked();
    known(&mirror, Some(tip)).await;
    assert_eq!(web.asked().len(), 1);
    assert_eq!(world.kept(), format!("refs/heads/main {tip}"), "only what was wanted is fetched");
}

#[tokio::test]
async fn fetches_that_wait_together_share_one_connection() {
    let world = World::new();
    let web = Web::start(world.root()).await;
    let tips = [world.push("main", b"1"), world.push("other", b"2"), world.push("third", b"3")];
    let mirror = world.mirror(&web.url(), &[("ca.crt", &web.authority)]).await;
    let accepted = osier::git::fetch::Accepted::default();
    let fetch = |branch: &'static str| mirror.fetch(branch, accepted);
    // the thread takes all that wait when it is done with the first
    let (first, all) = futures::future::join(fetch("main"), async {
        futures::future::join_all(["main", "other", "third"].repeat(10).into_iter().map(fetch)).await
    })
    .await;
    let tip = |answer| match answer {
        Ok(osier::git::fetch::Fetch::Known(known)) => known.tip(),
        other => panic!("{other:?}"),
    };
    assert_eq!(tip(first), tips[0]);
    assert!(all.into_iter().map(tip).eq(tips.repeat(10)));
    assert!(mirror.traffic().fetches <= 3, "{:?}", mirror.traffic());
}

#[tokio::test]
async fn a_new_token_is_used_from_the_next_fetch_on() {
    let world = World::new();
    let tip = world.push("main", b"1");
    let web = Web::start(world.root()).await;
    web.want("Bearer old");
    let secret = |token| [("ca.crt", web.authority.clone()), ("bearerToken", token)];
    let remotes = |token: &str| {
        let secret = secret(token.to_owned());
        remotes(&web.url(), &[], &secret.each_ref().map(|(name, value)| (*name, value.as_str())))
    };
    let mirror = world.mirror_of(remotes("old")).await;
    known(&mirror, None).await;
    web.want("Bearer new");
    let text = said(&unknown(&mirror, Some(tip)).await);
    assert!(text.contains("the token expired or was withdrawn"), "{text}");
    mirror.change_remotes(remotes("new")).await.unwrap();
    assert_eq!(known(&mirror, Some(tip)).await, tip);
}
