//! Calls that are forged, broken or endless: none changes anything.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::receiver::world::{Call, Receiver, name_secret, status};
use crate::support::server::PATIENCE;

/// Bytes of a body that is far too large.
const LARGE: usize = 50 << 20;

/// What becomes of a call that is right, and how it is answered then.
type Forgery = (&'static str, fn(&mut Call), u16);

const FORGERIES: &[Forgery] = &[
    ("a signature with another last letter", |call| call.signatures().for_each(|(_, value)| spoil(value)), 403),
    ("an empty signature", |call| call.signatures().for_each(|(_, value)| value.clear()), 403),
    (
        "a signature that is cut short",
        |call| call.signatures().for_each(|(_, value)| value.truncate(value.len() - 1)),
        403,
    ),
    ("no signature", |call| call.headers.retain(|(name, _)| !is_signature(name)), 403),
    ("SHA-1", |call| call.headers.retain(|(name, value)| !is_signature(name) || value.starts_with("sha1=")), 403),
    ("a Repository that is not there", |call| call.path = "/hooks/nobody".into(), 403),
    ("a part of a name", |call| call.path.truncate(call.path.len() - 1), 403),
    ("a name with a dot before it", |call| call.path = call.path.replace("/hooks/", "/hooks/./"), 404),
    ("a name with more after it", |call| call.path += "/x", 404),
    ("an encoded name", |call| call.path = call.path.replacen("hooks/s", "hooks/%73", 1), 403),
    ("no name", |call| call.path = "/hooks/".into(), 404),
    ("another place", |call| call.path = "/".into(), 404),
    ("GET", |call| call.method = "GET".into(), 405),
    ("PUT", |call| call.method = "PUT".into(), 405),
    ("DELETE", |call| call.method = "DELETE".into(), 405),
];

/// These make another body of it, which a token does not cover: only what is signed.
const OTHER_BODIES: &[Forgery] = &[
    ("a body that is cut short", |call| call.body.truncate(call.body.len() - 1), 403),
    ("a body with more", |call| call.body.push(b' '), 403),
    ("a body with another letter", |call| *call.body.last_mut().unwrap() ^= 1, 403),
    ("another body", |call| call.body = b"{}".to_vec(), 403),
];

fn spoil(value: &mut String) {
    // the last letter but one: in base64 the last may stand for nothing
    let at = value.trim_end_matches('=').len() - 2;
    let other = if &value[at..=at] == "0" { "1" } else { "0" };
    value.replace_range(at..=at, other);
}

fn is_signature(name: &str) -> bool {
    name.to_lowercase().contains("signature") || name == "X-Gitlab-Token"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_call_changes_nothing() {
    let receiver = Receiver::new().await;
    let right: Vec<Call> = Call::recorded(&receiver.world).into_iter().filter(|call| call.status == 202).collect();
    let mut tried = 0;
    for call in right {
        let is_signed = call.headers.iter().all(|(name, _)| name != "X-Gitlab-Token") && !call.body.is_empty();
        for (what, forge, wanted) in FORGERIES.iter().chain(OTHER_BODIES.iter().filter(|_| is_signed)) {
            let mut forged = call.clone();
            forge(&mut forged);
            // the limit has a test of its own
            let answered = loop {
                match receiver.call(&forged) {
                    429 => sleep(Duration::from_millis(50)),
                    answered => break answered,
                }
            };
            assert_eq!(answered, *wanted, "{}: {what}", call.name);
            tried += 1;
        }
    }
    assert!(tried > 150, "{tried}");
    assert_eq!((receiver.writes(), receiver.look_at().await), (vec![], String::new()));
    receiver.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_in_vain_does_not_learn_what_there_is() {
    let receiver = Receiver::new().await;
    let right = Call::named(&receiver.world, "github-push");
    let body = |answer: String| answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    let mut wrong = right.clone();
    wrong.signatures().for_each(|(_, value)| spoil(value));
    let mut nobody = right.clone();
    nobody.path = "/hooks/nobody".to_owned();
    let answers = [&wrong, &nobody].map(|call| body(receiver.send(&call.bytes(call.body.len()))));
    assert_eq!(answers[0], answers[1]);
    name_secret(&receiver.world, None).await;
    let begun = Instant::now();
    while receiver.call(&right) != 403 {
        assert!(begun.elapsed() < PATIENCE, "the Repository has no webhook secret any more");
        sleep(Duration::from_millis(20));
    }
    assert_eq!(body(receiver.send(&right.bytes(right.body.len()))), answers[0]);
    receiver.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_or_never_ends_is_not_taken_in() {
    let receiver = Receiver::new().await;
    let right = Call::named(&receiver.world, "github-push");
    let before = memory(receiver.process.id());

    let mut large = right.clone();
    large.body = vec![b'x'; LARGE];
    assert!([0, 413].contains(&receiver.call(&large)), "50 MB");
    let head = right.bytes(0);
    let head = String::from_utf8(head[..head.len() - right.body.len()].to_vec()).unwrap();
    let chunked = head.replace("Content-Length: 0", "Transfer-Encoding: chunked") + &format!("{LARGE:x}\r\n");
    let answer = receiver.send(&[chunked.as_bytes(), &large.body].concat());
    assert!([0, 413].contains(&status(&answer)), "50 MB without their length: {answer}");
    assert_eq!(status(&receiver.send(&right.bytes(LARGE))), 413, "only their length");
    receiver.process.says("/metrics", "osier_webhook_requests_total{forge=\"github\",result=\"TooLarge\"} 3");
    let grown = memory(receiver.process.id()).saturating_sub(before);
    assert!(grown < LARGE / 2, "{grown} bytes more than before");

    let mut largest = right.clone();
    largest.body = vec![b' '; 1 << 20];
    assert_eq!(receiver.call(&largest), 403, "as large as may be, and not signed");
    assert!([0, 400].contains(&status(&receiver.send(&right.bytes(right.body.len() + 1)))), "cut short");
    assert_eq!(receiver.writes(), vec![]);
    receiver.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_is_cut_and_keeps_nobody_from_being_heard() {
    let receiver = Receiver::new().await;
    let right = Call::named(&receiver.world, "github-push");
    let whole = right.bytes(right.body.len());
    let slow = |part: &[u8]| {
        let mut stream = TcpStream::connect(receiver.process.address_of("webhooks")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(part).unwrap();
        stream
    };
    // half of them stop in the head, half in the body
    let clients: Vec<TcpStream> =
        (0..100).map(|number| slow(&whole[..if number % 2 == 0 { 30 } else { whole.len() - 1 }])).collect();
    assert_eq!(receiver.call(&right), 202);
    for mut client in clients {
        let mut answer = String::new();
        client.read_to_string(&mut answer).ok();
        assert!([0, 400, 408].contains(&status(&answer)), "{answer}");
    }
    assert_eq!(receiver.writes().len(), 1);
    receiver.end().await;
}

/// What the process holds, in bytes.
fn memory(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}
