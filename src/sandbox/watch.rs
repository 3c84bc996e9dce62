//! Watches: the changes after a resourceVersion, as a body that goes on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use hyper::body::{Bytes, Frame};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::sandbox::Broken;
use crate::sandbox::events;
use crate::sandbox::faults::Action;
use crate::sandbox::form;
use crate::sandbox::kinds::Kind;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::request::{Call, Form};
use crate::sandbox::selector::Selector;
use crate::sandbox::shared::{BoxError, Shared};
use crate::sandbox::store::{Change, Key, State};

/// The server's own choice is half an hour to an hour.
const LONGEST: Duration = Duration::from_mins(45);
/// As often as the real server.
const BOOKMARK_EVERY: Duration = Duration::from_mins(1);

/// A watch that is open.
pub struct Watch {
    shared: Arc<Shared>,
    changed: tokio::sync::watch::Receiver<u64>,
    kind: Arc<Kind>,
    namespace: Option<String>,
    selector: Selector,
    form: Form,
    bookmarks: bool,
    revision: u64,
    deadline: Instant,
    next_bookmark: Instant,
    waiting: VecDeque<Value>,
    has_columns: bool,
    /// Told its reader that the connection broke.
    is_broken: bool,
}

impl Watch {
    /// Opens a watch: without a resourceVersion it begins with what is there.
    ///
    /// # Errors
    ///
    /// 400 for selectors and numbers that cannot be read.
    pub fn open(
        shared: &Arc<Shared>,
        state: &State,
        kind: &Arc<Kind>,
        namespace: Option<&str>,
        call: &Call,
    ) -> Result<Watch, Refusal> {
        let asked = call.query.number("resourceVersion")?.unwrap_or_default();
        let timeout = call.query.number("timeoutSeconds")?.map_or(LONGEST, Duration::from_secs);
        let opened = Instant::now();
        let mut watch = Watch {
            shared: Arc::clone(shared),
            changed: shared.subscribe(),
            kind: Arc::clone(kind),
            namespace: namespace.map(str::to_owned),
            selector: Selector::read(kind, call)?,
            form: call.form,
            // from a version that is still to come nothing is told, not even that time passes
            bookmarks: call.query.flag("allowWatchBookmarks")
                && call.query.get("allowWatchBookmarks").is_some()
                && asked <= state.revision(),
            revision: if asked == 0 { state.revision() } else { asked },
            deadline: opened + timeout,
            next_bookmark: opened
                + BOOKMARK_EVERY.min(timeout.saturating_sub(Duration::from_secs(2)).max(Duration::from_secs(1))),
            waiting: VecDeque::new(),
            has_columns: false,
            is_broken: false,
        };
        let wants_initial = call.query.get("sendInitialEvents") == Some("true");
        if asked == 0 || wants_initial {
            watch.revision = state.revision();
            watch.begin(state, wants_initial);
        }
        Ok(watch)
    }

    /// The body of the answer: one line of JSON an event.
    pub fn into_stream(self) -> BoxStream<'static, Result<Frame<Bytes>, BoxError>> {
        stream::unfold(self, |mut watch| async move {
            let frame = watch.next().await?.map(|event| {
                let mut line = event.to_string();
                line.push('\n');
                Frame::data(Bytes::from(line))
            });
            Some((frame.map_err(Into::into), watch))
        })
        .boxed()
    }

    fn begin(&mut self, state: &State, marked: bool) {
        let kind = Arc::clone(&self.kind);
        let namespace = self.namespace.clone();
        for (_, object) in state.list(&kind, namespace.as_deref()) {
            let object = events::read(&kind, object);
            if self.selector.matches(&object) {
                let event = self.event("ADDED", &object);
                self.waiting.push_back(event);
            }
        }
        if marked && self.bookmarks {
            let mut bookmark = self.bookmark();
            bookmark["object"]["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
            self.waiting.push_back(bookmark);
        }
    }

    async fn next(&mut self) -> Option<Result<Value, Broken>> {
        loop {
            if self.is_broken {
                return None;
            }
            if self.shared.is_stopped() {
                self.is_broken = true;
                return Some(Err(Broken));
            }
            if let Some(event) = self.waiting.pop_front() {
                match self.shared.plan().meet_event() {
                    Some(Action::Lose) => continue,
                    Some(_) => {
                        self.is_broken = true;
                        return Some(Err(Broken));
                    }
                    None => return Some(Ok(event)),
                }
            }
            if !self.collect() {
                continue;
            }
            let wake = self.deadline.min(if self.bookmarks { self.next_bookmark } else { self.deadline });
            match tokio::time::timeout_at(wake, self.changed.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return None,
                Err(_) if Instant::now() >= self.deadline => return None,
                Err(_) => {
                    self.next_bookmark = Instant::now() + BOOKMARK_EVERY;
                    return Some(Ok(self.bookmark()));
                }
            }
        }
    }

    /// Takes over what changed; true when there was nothing.
    fn collect(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        let state = shared.state();
        if self.revision < state.compacted() {
            let why = format!("too old resource version: {} ({})", self.revision, state.compacted());
            self.waiting.push_back(json!({"type": "ERROR", "object": Refusal::expired(why).status()}));
            self.deadline = Instant::now();
            self.revision = state.revision();
            return false;
        }
        for change in state.changes_after(self.revision) {
            if let Some(event) = self.event_of(change) {
                self.waiting.push_back(event);
            }
        }
        self.revision = self.revision.max(state.revision());
        self.waiting.is_empty()
    }

    fn event_of(&mut self, change: &Change) -> Option<Value> {
        let root = Key::new(&self.kind, "", "");
        let here = change.key.group == root.group
            && change.key.plural == root.plural
            && self.namespace.as_ref().is_none_or(|namespace| *namespace == change.key.namespace);
        if !here {
            return None;
        }
        let seen = |object: &Option<Arc<Value>>| {
            let object = object.as_ref().map(|object| events::read(&self.kind, object));
            object.filter(|object| self.selector.matches(object))
        };
        match (seen(&change.before), seen(&change.after)) {
            (None, Some(object)) => Some(self.event("ADDED", &object)),
            (Some(_), Some(object)) => Some(self.event("MODIFIED", &object)),
            (Some(object), None) => {
                let mut last = Value::clone(&object);
                last["metadata"]["resourceVersion"] = json!(change.revision.to_string());
                Some(self.event("DELETED", &last))
            }
            (None, None) => None,
        }
    }

    fn event(&mut self, name: &str, object: &Value) -> Value {
        let first = !std::mem::replace(&mut self.has_columns, true);
        json!({"type": name, "object": form::watched(&self.kind, self.form, object, self.shared.now(), first)})
    }

    fn bookmark(&self) -> Value {
        let (kind, api_version) = match self.form {
            Form::Metadata => ("PartialObjectMetadata".to_owned(), "meta.k8s.io/v1".to_owned()),
            _ => (self.kind.kind.clone(), self.kind.api_version()),
        };
        let metadata = json!({"resourceVersion": self.revision.to_string()});
        let object = json!({"kind": kind, "apiVersion": api_version, "metadata": metadata});
        if self.form == Form::Table {
            let table = json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
                "columnDefinitions": null, "rows": [{"cells": [], "object": object}]});
            return json!({"type": "BOOKMARK", "object": table});
        }
        json!({"type": "BOOKMARK", "object": object})
    }
}
