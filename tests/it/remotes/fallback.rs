//! Other places of the same repository, and the way there.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use osier::git::fetch::Look;

use super::sshd::Sshd;
use super::world::{World, git, known, remotes, said, unknown};
use crate::support::web::{Manner, Web};

#[tokio::test]
async fn the_next_place_is_asked_if_one_is_unreachable() {
    let world = World::new();
    let tip = world.push("main", b"1");
    let (first, second) = (Web::without_tls(world.root()).await, Web::without_tls(world.root()).await);
    first.behave(Manner::Status(500));
    let local = world.path("shop.git").display().to_string();
    let remotes = remotes(&first.url(), &[&second.url(), &local], &[]);
    assert!(format!("{remotes:?}").contains(&second.url()));
    let mirror = world.mirror_of(remotes).await;
    assert_eq!(known(&mirror, None).await, tip);
    assert_eq!(mirror.look(&["main".into()]).await, Ok(Look::Unchanged));
    second.behave(Manner::Page);
    let next = world.push("main", b"2");
    assert_eq!(known(&mirror, Some(tip)).await, next);
    assert_eq!(mirror.look(&["main".into()]).await, Ok(Look::Unchanged));
    first.behave(Manner::Good);
    first.asked();
    second.asked();
    known(&mirror, Some(tip)).await;
    assert_eq!((first.asked().len(), second.asked().len()), (1, 0), "the first that answers is enough");
}

#[tokio::test]
async fn the_first_failure_is_told_if_no_place_is_reachable() {
    let world = World::new();
    let (first, second) = (Web::without_tls(world.root()).await, Web::without_tls(world.root()).await);
    first.behave(Manner::Status(503));
    second.behave(Manner::Status(404));
    let mirror = world.mirror_of(remotes(&first.url(), &[&second.url()], &[])).await;
    let text = said(&unknown(&mirror, None).await);
    assert!(text.contains(&first.url()) && text.contains("status 503"), "{text}");
    assert_eq!(second.asked().len(), 1);
}

#[tokio::test]
async fn a_suspicious_answer_is_never_got_around() {
    let world = World::new();
    let tip = world.push("main", b"1");
    let web = Web::without_tls(world.root()).await;
    let local = world.path("shop.git");
    let mirror = world.mirror_of(remotes(&local.display().to_string(), &[&web.url()], &[])).await;
    known(&mirror, None).await;
    git(&local, &["update-ref", "refs/heads/kept", "main"]);
    git(&local, &["update-ref", "-d", "refs/heads/main"]);
    let text = said(&unknown(&mirror, Some(tip)).await);
    assert!(text.starts_with("RepositorySuspicious"), "{text}");
    assert!(web.asked().is_empty());
}

#[tokio::test]
async fn another_place_is_judged_by_the_same_rules() {
    let (world, other) = (World::new(), World::new());
    let tip = world.push("main", b"1");
    let strange = other.push("main", b"2");
    let (first, second) = (Web::without_tls(world.root()).await, Web::without_tls(other.root()).await);
    let mirror = world.mirror_of(remotes(&first.url(), &[&second.url()], &[])).await;
    known(&mirror, None).await;
    first.behave(Manner::Status(500));
    let text = said(&unknown(&mirror, Some(tip)).await);
    assert!(text.starts_with("RepositorySuspicious") && text.contains(&strange.to_string()), "{text}");
    assert_eq!(world.kept(), format!("refs/heads/main {tip}"));
}

/// A proxy that connects to whatever it is told to, and notes the heads of requests.
fn proxy() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, heads) = (listener.local_addr().unwrap().port(), Arc::<Mutex<Vec<String>>>::default());
    let noted = Arc::clone(&heads);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, mut head) = (client.unwrap(), Vec::new());
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                client.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            let address = head.split(' ').nth(1).unwrap().replace("localhost", "127.0.0.1");
            let is_let_in = head.contains("Proxy-Authorization: Basic Ym9iOnMzY3JldC1jNG5hcnk=\r\n");
            noted.lock().unwrap().push(head);
            if !is_let_in {
                client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").unwrap();
                continue;
            }
            let server = TcpStream::connect(address).unwrap();
            client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").unwrap();
            for (mut from, mut to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)] {
                std::thread::spawn(move || {
                    // either side may break off
                    std::io::copy(&mut from, &mut to).ok();
                    to.shutdown(std::net::Shutdown::Write).ok();
                });
            }
        }
    });
    (port, heads)
}

#[tokio::test]
async fn a_proxy_leads_to_https_and_ssh() {
    let world = World::new();
    let tip = world.push("main", b"1");
    let (web, sshd, (port, heads)) = (Web::start(world.root()).await, Sshd::start(), proxy());
    let proxy = format!("http://bob:s3cret-c4nary@127.0.0.1:{port}");
    let (client, known_hosts) = (sshd.read("client"), sshd.known_hosts("ed25519"));
    for (url, secret, address) in [
        (web.url(), &[("proxy", &*proxy), ("ca.crt", &web.authority)][..], format!("localhost:{}", web.address.port())),
        (
            sshd.url(&world.path("shop.git")),
            &[("proxy", &proxy), ("identity", &client), ("known_hosts", &known_hosts)],
            format!("127.0.0.1:{}", sshd.port()),
        ),
    ] {
        let mirror = world.mirror(&url, secret).await;
        assert_eq!(known(&mirror, None).await, tip);
        let heads = std::mem::take(&mut *heads.lock().unwrap());
        assert!(heads.len() == 1 && heads[0].starts_with(&format!("CONNECT {address} HTTP/1.1\r\n")), "{heads:?}");
    }
    let wrong = format!("http://bob:wr0ng-c4nary@127.0.0.1:{port}");
    let mirror = world.mirror(&web.url(), &[("proxy", &wrong), ("ca.crt", &web.authority)]).await;
    let text = said(&unknown(&mirror, None).await);
    assert!(text.contains("407") && text.contains("correct `proxy`") && !text.contains("c4nary"), "{text}");
}
