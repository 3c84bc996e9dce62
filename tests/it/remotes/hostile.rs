//! Servers that are wrong, slow or somebody else's. Whatever they do, the mirror keeps what was accepted.

use std::fs;
use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use osier::git::fetch::Look;
use osier::git::remotes::Limits;

use super::sshd::Sshd;
use super::world::{LIMITS, TOKEN, World, git, known, noise, remotes, said, unknown};
use crate::support::web::{Manner, Web};

/// For servers that keep us waiting: what they do is the same after a second.
const SHORT: Limits = Limits { connect: Duration::from_secs(1), silence: Duration::from_secs(1), ..LIMITS };
/// For those that are never done.
const BRIEF: Limits = Limits { look: Duration::from_secs(2), fetch: Duration::from_secs(2), ..LIMITS };
/// The hint then.
const WAITED: &str = "whether the server is up and can be reached";

const REFS: &str = "/info/refs";
const PACK: &str = "/git-upload-pack";

#[tokio::test]
async fn what_a_server_does_wrong_is_said_and_nothing_else_changes() {
    let world = World::new();
    let web = Web::start(world.root()).await;
    let tip = world.push("main", b"1");
    let secret = [("ca.crt", web.authority.as_str()), ("bearerToken", TOKEN)];
    let mirror = world.mirror(&web.url(), &secret).await;
    known(&mirror, None).await;
    world.push("main", &noise(1));
    for (manner, expected, hint) in [
        (Manner::Status(401), "the server refused the credentials", "expired or was withdrawn"),
        (Manner::Status(403), "the credentials may not read this repository (403)", "the right to read"),
        (Manner::Status(404), "the server knows no repository of this name", "`url`"),
        (Manner::Status(500), "the server answered with status 500", "the server's log"),
        (Manner::Status(429), "the server answered with status 429", "asked again later"),
        (Manner::Moved, "moved to `https://else.example.com/new.git`", "redirects are not followed"),
        (Manner::Page, "answered with `text/html`, which is not git", "open it in a browser"),
        (Manner::Nonsense, "git cannot use what is there", "git ls-remote"),
        (Manner::BreakAfter(REFS, 10), "the connection broke off in the middle", "fallbackUrls"),
        (Manner::BreakAfter(PACK, 100_000), "the connection broke off in the middle", "fallbackUrls"),
        (Manner::MuteAfterRequest, "the server said nothing for 1 s", WAITED),
        (Manner::MuteAfter(REFS, 10), "the server said nothing for 1 s", WAITED),
        (Manner::MuteAfter(PACK, 1000), "the server said nothing for 1 s", WAITED),
        (Manner::Drip, "the server was not done after 2 s", WAITED),
    ] {
        web.behave(manner);
        if hint == WAITED {
            let limits = if manner == Manner::Drip { BRIEF } else { SHORT };
            mirror.change_remotes(remotes(&web.url(), &[], &secret).within(limits)).await.unwrap();
        }
        let text = said(&unknown(&mirror, Some(tip)).await);
        let parts = ["RepositoryUnreachable: could not read the remote `https://localhost:", expected, hint];
        assert!(parts.iter().all(|part| text.contains(part)), "{manner:?}: {text}");
        assert!(!text.contains("c4nary") && !text.contains("u:p"), "{text}");
        assert_eq!(world.kept(), format!("refs/heads/main {tip}"), "{manner:?}");
        // a look never comes to the pack
        if !matches!(manner, Manner::BreakAfter(PACK, _) | Manner::MuteAfter(PACK, _)) {
            let Ok(Look::Unknown(unknown)) = mirror.look(&["main".into()]).await else { panic!("{manner:?}") };
            let text = said(&unknown);
            assert!(parts.iter().all(|part| text.contains(part)), "a look at {manner:?}: {text}");
        }
    }
    web.behave(Manner::Good);
    mirror.change_remotes(remotes(&web.url(), &[], &secret)).await.unwrap();
    assert_ne!(known(&mirror, Some(tip)).await, tip);
}

/// What becomes of a connection after some bytes of answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Silence,
    Cut,
    /// Byte by byte from there on.
    Drip,
}

/// Passes connections on to `to`, and of each answer `bytes` as they come.
fn relay(to: u16, bytes: Arc<AtomicU64>, end: End) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), TcpStream::connect(("127.0.0.1", to)).unwrap());
            let (mut up, mut down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            // either side may break off
            std::thread::spawn(move || std::io::copy(&mut up, &mut down).ok());
            let bytes = bytes.load(Ordering::Relaxed);
            std::thread::spawn(move || pass_on(server, client, bytes, end));
        }
    });
    port
}

fn pass_on(from: TcpStream, mut to: TcpStream, bytes: u64, end: End) {
    std::io::copy(&mut (&from).take(bytes), &mut to).ok();
    match end {
        End::Cut => to.shutdown(Shutdown::Both).unwrap_or_default(),
        End::Silence => std::thread::park(),
        End::Drip => {
            for byte in BufReader::new(&from).bytes() {
                std::thread::sleep(Duration::from_millis(20));
                if byte.and_then(|byte| to.write_all(&[byte])).is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test]
async fn ssh_that_hangs_drips_or_breaks_off_is_left() {
    let (world, sshd) = (World::new(), Sshd::start());
    let tip = world.push("main", b"1");
    let (client, keys) = (sshd.read("client"), sshd.read("host_ed25519.pub"));
    for (end, expected) in [
        (End::Silence, "the server said nothing for"),
        (End::Cut, "the connection broke off in the middle"),
        (End::Drip, "the server "),
    ] {
        let bytes = Arc::new(AtomicU64::new(u64::MAX));
        let port = relay(sshd.port(), Arc::clone(&bytes), end);
        let known_hosts = format!("[127.0.0.1]:{port} {keys}");
        let url = sshd.url(&world.path("shop.git")).replace(&sshd.port().to_string(), &port.to_string());
        let remotes = || remotes(&url, &[], &[("identity", &client), ("known_hosts", &known_hosts)]);
        let mirror = world.mirror_of(remotes()).await;
        let tip = known(&mirror, Some(tip)).await;
        world.push("main", &noise(end as u32));
        mirror.change_remotes(remotes().within(if end == End::Cut { LIMITS } else { SHORT })).await.unwrap();
        // in the greeting, in the agreement on keys, in the pack
        for after in [5, 1000, 200_000] {
            bytes.store(after, Ordering::Relaxed);
            let text = said(&unknown(&mirror, Some(tip)).await);
            assert!(
                text.contains(expected) || after < 200_000 && text.contains("SSH"),
                "{end:?} after {after}: {text}"
            );
            assert_eq!(world.kept(), format!("refs/heads/main {tip}"));
        }
        bytes.store(u64::MAX, Ordering::Relaxed);
        mirror.change_remotes(remotes()).await.unwrap();
        assert_ne!(known(&mirror, Some(tip)).await, tip);
    }
}

#[tokio::test]
async fn a_server_that_takes_the_connection_and_says_nothing_is_left() {
    let world = World::new();
    let web = Web::start(world.root()).await;
    web.behave(Manner::Mute);
    let sshd = TcpListener::bind("127.0.0.1:0").unwrap();
    let ssh = format!("ssh://git@127.0.0.1:{}/shop.git", sshd.local_addr().unwrap().port());
    for (url, secret) in [(web.url(), &[("ca.crt", web.authority.as_str())][..]), (ssh, &[("identity", "any")])] {
        let mirror = world.mirror_of(remotes(&url, &[], secret).within(SHORT)).await;
        let text = said(&unknown(&mirror, None).await);
        assert!(text.contains("the server said nothing for"), "{text}");
    }
}

#[tokio::test]
async fn certificates_are_checked() {
    let world = World::new();
    let (web, other) = (Web::start(world.root()).await, Web::start(world.root()).await);
    let elsewhere = Web::start_at(world.root(), "127.0.0.2").await;
    for (url, authority, expected) in [
        (web.url(), None, "was signed by an authority that is not trusted"),
        (web.url(), Some(&other.authority), "was signed by an authority that is not trusted"),
        (format!("https://{}/shop.git", elsewhere.address), Some(&elsewhere.authority), "is not for `127.0.0.2`"),
    ] {
        let secret: Vec<_> = authority.iter().map(|authority| ("ca.crt", authority.as_str())).collect();
        let mirror = world.mirror(&url, &secret).await;
        let text = said(&unknown(&mirror, None).await);
        assert!(text.contains(expected) && text.starts_with("RepositoryUnreachable"), "{text}");
    }
}

#[tokio::test]
async fn wrong_credentials_are_tried_once() {
    let world = World::new();
    let web = Web::start(world.root()).await;
    web.want("Bearer right");
    for (secret, expected, hint) in [
        (&[][..], "the server asks for credentials", "your own git credentials are not used"),
        (&[("bearerToken", TOKEN)], "the server refused the credentials", "correct `username`"),
    ] {
        let mirror = world.mirror(&web.url(), &[secret, &[("ca.crt", &web.authority)]].concat()).await;
        let text = said(&unknown(&mirror, None).await);
        assert!(text.contains(expected) && text.contains(hint) && !text.contains("c4nary"), "{text}");
        assert_eq!(web.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_remote_that_is_another_one_is_suspicious_and_nothing_is_deleted() {
    let world = World::new();
    let web = Web::start(world.root()).await;
    let tip = world.push("main", b"1");
    let secret = [("ca.crt", web.authority.as_str())];
    let mirror = world.mirror(&web.url(), &secret).await;
    known(&mirror, None).await;
    mirror.pin(tip).await.unwrap();
    let kept = world.kept();
    let shop = world.path("shop.git");
    let check = async |expected: &str| {
        let text = said(&unknown(&mirror, Some(tip)).await);
        assert!(text.starts_with("RepositorySuspicious") && text.contains(expected), "{text}");
        assert_eq!(world.kept(), kept);
        assert_eq!(mirror.look(&["main".into()]).await, Ok(Look::Changed));
    };
    git(&shop, &["config", "transfer.hideRefs", "refs/heads"]);
    check("the remote has no branch `main`").await; // its HEAD is still shown
    git(&shop, &["config", "--unset", "transfer.hideRefs"]);
    git(&shop, &["update-ref", "refs/heads/other", "main"]);
    git(&shop, &["update-ref", "-d", "refs/heads/main"]);
    check("the remote has no branch `main`").await;
    fs::remove_dir_all(&shop).unwrap();
    git(world.root(), &["init", "-q", "--bare", "shop.git"]);
    check("the remote is empty").await;
    let other = World::new();
    let strange = other.push("main", b"other");
    fs::remove_dir_all(&shop).unwrap();
    fs::rename(other.path("shop.git"), &shop).unwrap();
    check(&format!("`main` is at `{strange}`, which does not descend")).await;
}

#[tokio::test]
async fn a_port_with_nobody_behind_it_is_said() {
    let world = World::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (url, secret) in [
        (format!("https://127.0.0.1:{free}/shop.git"), &[][..]),
        (format!("ssh://git@127.0.0.1:{free}/shop.git"), &[("identity", "any")]),
    ] {
        let mirror = world.mirror(&url, secret).await;
        let text = said(&unknown(&mirror, None).await);
        assert!(text.contains(&format!("could not connect to `127.0.0.1:{free}`")), "{text}");
    }
    let mirror = world.mirror("https://no-such-host.invalid/shop.git", &[]).await;
    let text = said(&unknown(&mirror, None).await);
    assert!(text.contains("could not find the address of `no-such-host.invalid`"), "{text}");
}
