//! Somebody who watches: no system tells its own time.
//!
//! Watches of its own user, over connections of its own, read by a thread of its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use http::Method;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::cases::service::controller::PATIENCE;
use crate::support::control_plane::User;
use crate::support::server::{Server, request, watch};
use crate::workload::{Changed, Object};

/// Seconds that one watch lasts: shorter than the tests' harness waits for an event. The next goes on where it ended.
const TURN: u32 = 50;

/// What changed, as the watch said it.
pub struct Sighting {
    pub at: Instant,
    /// True if the object is gone.
    pub is_gone: bool,
    pub namespace: String,
    pub object: Object,
    pub data: Value,
}

/// A watch of ConfigMaps and Secrets from now on.
pub struct Observer {
    seen: mpsc::UnboundedReceiver<Sighting>,
    _ends: oneshot::Sender<()>,
}

impl Observer {
    /// Watches one namespace, or all.
    pub async fn start(server: &Arc<Server>, namespace: Option<&str>) -> Self {
        let (sender, seen) = mpsc::unbounded_channel();
        let (ends, ended) = oneshot::channel();
        let (ready, mut is_ready) = mpsc::channel(1);
        let scope = namespace.map_or(String::new(), |namespace| format!("/namespaces/{namespace}"));
        let server = Arc::clone(server);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("threads can be started").block_on(async move {
                let follow = |plural| follow(&server, &scope, plural, &sender, ready.clone());
                tokio::select! {
                    _ = async { tokio::join!(follow("configmaps"), follow("secrets")) } => {}
                    _ = ended => {}
                }
            });
        });
        for _ in 0..2 {
            is_ready.recv().await.expect("the watches open");
        }
        Self { seen, _ends: ends }
    }

    /// The next sighting that is wanted.
    ///
    /// Panics if it does not come.
    pub async fn next(&mut self, mut is_wanted: impl FnMut(&Sighting) -> bool) -> Sighting {
        let wanted = async {
            loop {
                let sighting = self.seen.recv().await.expect("the observer goes on");
                if is_wanted(&sighting) {
                    return sighting;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wanted).await.expect("what is waited for comes")
    }

    /// When an object had what a commit gave it.
    pub async fn applied(&mut self, namespace: &str, changed: &Changed) -> Instant {
        self.next(|sighting| sighting.namespace == namespace && sighting.has(changed)).await.at
    }

    /// When the last of many objects, by namespace, had what a commit gave them.
    pub async fn all_applied(&mut self, mut left: HashMap<(String, Object), Changed>) -> Instant {
        loop {
            let sighting = self.next(|_| true).await;
            let key = (sighting.namespace.clone(), sighting.object.clone());
            if left.get(&key).is_some_and(|changed| sighting.has(changed)) {
                left.remove(&key);
            }
            if left.is_empty() {
                return sighting.at;
            }
        }
    }
}

impl Sighting {
    /// True if the object is there and has what a commit gave it.
    pub fn has(&self, changed: &Changed) -> bool {
        !self.is_gone && self.object == changed.object && self.data[changed.key] == changed.value.as_str()
    }
}

/// Tells of every change, until nobody listens.
async fn follow(
    server: &Server,
    scope: &str,
    plural: &'static str,
    seen: &mpsc::UnboundedSender<Sighting>,
    ready: mpsc::Sender<()>,
) {
    let client = server.client(&User::powerful("figures-observer")).await;
    let path = format!("/api/v1{scope}/{plural}");
    let list = request(&client, Method::GET, &format!("{path}?limit=1"), &[], String::new()).await;
    let mut version = list.body["metadata"]["resourceVersion"].as_str().expect("a list has a version").to_owned();
    ready.send(()).await.ok();
    while !seen.is_closed() {
        let url = format!("{path}?watch=true&allowWatchBookmarks=true&timeoutSeconds={TURN}&resourceVersion={version}");
        let (answer, events) = watch(&client, &url, &[]).await;
        let mut events = events.unwrap_or_else(|| panic!("{url}: {answer:?}"));
        while let Some(mut event) = events.next().await {
            let at = Instant::now();
            let object = event["object"].take();
            if let Some(newer) = object["metadata"]["resourceVersion"].as_str() {
                newer.clone_into(&mut version);
            }
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            match event["type"].as_str() {
                Some("ADDED" | "MODIFIED" | "DELETED") => {}
                Some("BOOKMARK") => continue,
                _ => panic!("{url}: {}", object["message"]),
            }
            let sighting = Sighting {
                at,
                is_gone: event["type"] == "DELETED",
                namespace: text(&object["metadata"]["namespace"]),
                object: (plural, text(&object["metadata"]["name"])),
                data: object["data"].clone(),
            };
            // nobody listens any more once the case has what it wants
            seen.send(sighting).ok();
        }
    }
}
