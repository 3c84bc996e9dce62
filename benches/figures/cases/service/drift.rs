//! Somebody changes what is ours by hand: how soon it is right again, as somebody who watches sees it.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};

use crate::cases::Size;
use crate::cases::seen::by_verb;
use crate::cases::service::observer::Observer;
use crate::cases::service::{one_environment, rest};
use crate::process::{count, short, spread};
use crate::support::control_plane::User;
use crate::support::server::request;
use crate::table::Row;
use crate::workload::Object;

/// What somebody does, in turn.
const DEEDS: [&str; 4] = ["edit", "add", "remove", "delete"];

pub async fn rows(objects: usize, repairs: usize, size: Size) -> Vec<Row> {
    let (place, _controller) = one_environment(objects, size).await;
    let namespace = place.environment(0);
    let mut observer = Observer::start(&place.server, Some(&namespace)).await;
    let somebody = place.server.client(&User::powerful("figures-somebody")).await;
    let known = place.seen().await;
    let mut times: [Vec<Duration>; 4] = Default::default();
    // each object once: who changes the same one again and again is let have his way for a while
    for (index, object) in place.workload.objects().take(repairs).enumerate() {
        let path = format!("/api/v1/namespaces/{namespace}/{}/{}", object.0, object.1);
        let found = request(&somebody, Method::GET, &path, &[], String::new()).await;
        let right = found.body["data"].clone();
        let begin = Instant::now();
        spoil(&somebody, &path, index % DEEDS.len(), &right).await;
        let repaired =
            observer.next(|sighting| is_right(sighting.is_gone, &sighting.object, &object, &sighting.data, &right));
        times[index % DEEDS.len()].push(repaired.await.at - begin);
    }
    rest(size).await;
    let seen = place.seen().await;
    let requests = by_verb(seen.after(&known));
    let all = spread(times.iter().flatten().copied().collect());
    let each = DEEDS.iter().zip(times).map(|(deed, times)| format!("{deed} {}", short(spread(times).median)));
    vec![
        Row::new(
            "G14",
            format!("drift to repaired, N = {}", count(objects)),
            format!("median {} (goal 200 ms)", all.tail()),
            format!("{repairs} repairs, from sending the change, seen by a watch"),
        ),
        Row::new("", "  medians", each.collect::<Vec<_>>().join(", "), "a key, a key, a key, an object"),
        Row::new("G14", format!("  requests of {repairs} repairs"), requests, seen.source),
    ]
}

fn is_right(is_gone: bool, seen: &Object, object: &Object, data: &Value, right: &Value) -> bool {
    !is_gone && seen == object && data == right
}

/// Does one of the deeds.
async fn spoil(somebody: &kube::Client, path: &str, deed: usize, right: &Value) {
    let key = right.as_object().and_then(|data| data.keys().next()).expect("each object has a key");
    // in a Secret it has to be base64 too
    let (mine, theirs) = (format!("/data/{key}"), "/data/FOREIGN");
    let patch = match deed {
        0 => json!([{"op": "replace", "path": mine, "value": "c3BvaWxlZA=="}]),
        1 => json!([{"op": "add", "path": theirs, "value": "c3BvaWxlZA=="}]),
        2 => json!([{"op": "remove", "path": mine}]),
        _ => {
            let answer = request(somebody, Method::DELETE, path, &[], String::new()).await;
            assert_eq!(answer.status, 200, "{path}");
            return;
        }
    };
    let form = [("content-type", "application/json-patch+json")];
    let answer = request(somebody, Method::PATCH, path, &form, patch.to_string()).await;
    assert_eq!(answer.status, 200, "{path}");
}
