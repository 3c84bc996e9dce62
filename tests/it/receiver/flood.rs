//! Many calls at once, right ones and wrong ones.

use std::thread;
use std::time::Instant;

use crate::receiver::world::{Call, Receiver};
use crate::support::process::until;

/// Calls of one flood.
const CALLS: usize = 2_000;
/// Calls in vain that are heard at once, and a second from then on.
const BURST: usize = 60;
const RATE: usize = 5;
/// Senders at the same time.
const SENDERS: usize = 8;

/// How many of a flood of one call were answered with each status that is asked for.
fn flood(receiver: &Receiver, call: &Call, wanted: &[u16]) -> Vec<usize> {
    let answers: Vec<u16> = thread::scope(|scope| {
        let sender = || (0..CALLS / SENDERS).map(|_| receiver.call(call)).collect::<Vec<u16>>();
        let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(sender)).collect();
        senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
    });
    wanted.iter().map(|status| answers.iter().filter(|answer| *answer == status).count()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_sent_again_and_again_is_a_look_a_second_and_the_last_one_counts() {
    let receiver = Receiver::new().await;
    let right = Call::named(&receiver.world, "github-push");
    let begun = Instant::now();
    assert_eq!(flood(&receiver, &right, &[202]), [CALLS]);
    let last = jiff::Timestamp::now();
    assert_eq!(receiver.call(&right), 202);
    let mut look = String::new();
    while look.parse::<jiff::Timestamp>().is_ok_and(|look| look < last) || look.is_empty() {
        look = receiver.looked_after(&look).await;
    }
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap();
    let writes = receiver.writes();
    assert!(writes.len() <= seconds + 2, "{} in {seconds} s", writes.len());
    assert!(writes.iter().all(|write| *write == ("patch", "repositories/status".to_owned())));
    receiver.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_forges_is_slowed_down_and_others_are_heard() {
    let receiver = Receiver::new().await;
    let right = Call::named(&receiver.world, "github-push");
    let mut wrong = right.clone();
    wrong.body = b"{}".to_vec();
    let begun = Instant::now();
    let answers = flood(&receiver, &wrong, &[403, 429]);
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap();
    assert_eq!(answers[0] + answers[1], CALLS);
    assert!(answers[0] <= BURST + RATE * (seconds + 1), "{answers:?} in {seconds} s");
    let mut again = String::new();
    until("it is slowed down", || {
        again = receiver.send(&wrong.bytes(wrong.body.len()));
        again.contains("429")
    });
    assert!(again.to_lowercase().contains("\r\nretry-after: 1\r\n"), "{again}");
    assert_eq!(receiver.writes(), vec![]);
    let mut nobody = right.clone();
    nobody.path = "/hooks/nobody".to_owned();
    assert_eq!(receiver.call(&nobody), 403, "what is no Repository has a limit of its own");
    let mut other = wrong.clone();
    other.headers.push(("X-Forwarded-For".to_owned(), "198.51.100.1".to_owned()));
    assert_eq!(receiver.call(&other), 403, "behind the proxy, each has a limit of its own");
    until("the limit is over", || receiver.call(&right) == 202);
    receiver.looked_after("").await;
    receiver.end().await;
}
