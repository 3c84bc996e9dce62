//! The webhook secret: taken up when it changes, and nobody is heard without one.

use crate::receiver::world::{Call, Receiver, SECRET, name_secret, secret};
use crate::support::process::until;

#[tokio::test(flavor = "multi_thread")]
async fn a_new_secret_counts_at_once_and_an_old_one_no_more() {
    let mut receiver = Receiver::new().await;
    let call = Call::named(&receiver.world, "gitlab-push");
    let mut other = call.clone();
    "canary-5d-another-secret".clone_into(&mut other.signatures().next().unwrap().1);
    assert_eq!((receiver.call(&call), receiver.call(&other)), (202, 403));

    secret(&mut receiver.world, &[("secret", "canary-5d-another-secret"), ("previous", SECRET)]).await;
    until("both count", || receiver.call(&call) == 202 && receiver.call(&other) == 202);
    secret(&mut receiver.world, &[("secret", "canary-5d-another-secret")]).await;
    until("the old one counts no more", || receiver.call(&call) == 403 && receiver.call(&other) == 202);

    for (entries, why) in [
        (&[][..], "there is no Secret"),
        (&[("secret", "canary-5c-short")], "its entry `secret` has fewer than 16 bytes"),
        (&[("token", "canary-5d-another-secret")], "it has no entry `secret`"),
    ] {
        secret(&mut receiver.world, entries).await;
        receiver.process.says("/readyz", why);
        receiver.process.says("/readyz", "200 OK");
        assert_eq!((receiver.call(&call), receiver.call(&other)), (403, 403), "{why}");
    }
    secret(&mut receiver.world, &[("secret", SECRET)]).await;
    until("it is heard again", || receiver.call(&call) == 202);
    receiver.process.says("/readyz", "\r\n\r\nok\n");

    name_secret(&receiver.world, Some("elsewhere")).await;
    until("another Secret is named", || receiver.call(&call) == 403);
    receiver.process.says("/readyz", "elsewhere`, which the Repository's `webhookSecret` names");
    name_secret(&receiver.world, None).await;
    until("none is named", || !receiver.process.get("/readyz").contains("webhook secret"));
    assert_eq!(receiver.call(&call), 403);
    receiver.end().await;
}
