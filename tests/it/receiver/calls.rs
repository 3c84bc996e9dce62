//! What forges send: recorded calls, a file each (`calls/*.http`).

use crate::receiver::world::{Call, Receiver};
use crate::support::process::until;

#[tokio::test(flavor = "multi_thread")]
async fn each_forge_is_heard_and_a_push_is_looked_at() {
    let receiver = Receiver::new().await;
    let mut looks = 0;
    for call in Call::recorded(&receiver.world) {
        let before = receiver.look_at().await;
        assert_eq!(receiver.call(&call), call.status, "{}", call.name);
        if call.status == 202 {
            receiver.looked_after(&before).await;
            looks += 1;
        }
    }
    // what a request did can be seen a moment before it is noted
    until("each look is one write", || receiver.writes().len() == looks);
    assert_eq!(receiver.writes(), vec![("patch", "repositories/status".to_owned()); looks]);
    for line in [
        "osier_webhook_requests_total{forge=\"github\",result=\"Heard\"} 2",
        "osier_webhook_requests_total{forge=\"github\",result=\"NothingMoved\"} 3",
        "osier_webhook_requests_total{forge=\"gitlab\",result=\"Heard\"} 2",
        "osier_webhook_requests_total{forge=\"gitea\",result=\"Heard\"} 2",
        "osier_webhook_requests_total{forge=\"bitbucket\",result=\"Heard\"} 2",
        "osier_webhook_requests_total{forge=\"bitbucket\",result=\"NotRight\"} 1",
        "osier_webhook_requests_total{forge=\"other\",result=\"Heard\"} 2",
        &format!(
            "osier_webhook_looks_total{{repository=\"{}\",result=\"Asked\"}} {looks}",
            receiver.world.name("shop")
        ),
        "osier_api_requests_total{verb=\"list\"}",
    ] {
        receiver.process.says("/metrics", line);
    }
    receiver.process.says("/livez", "200 OK");
    receiver.end().await;
}
