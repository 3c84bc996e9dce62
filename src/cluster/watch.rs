//! Watches: one list, then every change, without a second list unless the server has forgotten where we were.
//!
//! What an object becomes is the caller's: its metadata, or a typed object. A watch keeps none of them.

pub mod kinds;
mod lines;
mod pace;
pub mod told;

use std::sync::Arc;
use std::time::Duration;

use futures::future;
use futures::stream::{self, BoxStream, StreamExt};
use kube::client::Body;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::cluster::call::{Call, Cause, Failure, METADATA, METADATA_LIST, Refusal, WHOLE};
use crate::cluster::connect::Place;
use crate::cluster::error::Error;
use crate::cluster::watch::lines::Lines;
use crate::cluster::watch::pace::{Pace, lifetime, slack};

/// Events that wait for their reader. A stream is read by whoever drives it, so that more would only hide a slow reader.
const QUEUE: usize = 4;
/// How often what the server says may be useless before a list is asked what there is.
const USELESS: u32 = 3;

/// What a watch tells.
#[derive(Debug)]
pub enum Event<T> {
    /// Everything that there is. What was told before and is not in it is gone.
    Listed(Vec<T>),
    /// An object that is new or has changed.
    Changed(T),
    /// An object that is gone, as it was last. With a selector: or does not fit it any more.
    Gone(T),
    /// Nothing can be heard, and why: what was told may be old. The watch goes on trying by itself.
    Broken(Error),
    /// It can be heard again. What was missed follows.
    Restored,
}

impl<T> Event<T> {
    /// The same of what each object becomes.
    pub fn map<U>(self, mut change: impl FnMut(T) -> U) -> Event<U> {
        match self {
            Event::Listed(objects) => Event::Listed(objects.into_iter().map(change).collect()),
            Event::Changed(object) => Event::Changed(change(object)),
            Event::Gone(object) => Event::Gone(change(object)),
            Event::Broken(error) => Event::Broken(error),
            Event::Restored => Event::Restored,
        }
    }
}

/// A watch: it goes on for as long as it is polled, and never ends by itself.
pub type Events<T> = BoxStream<'static, Event<T>>;

/// The objects that are watched.
pub(super) struct Subject {
    /// Path of their collection.
    path: String,
    /// Further parts of the query, each with its `&`.
    query: String,
    /// Only metadata is asked for.
    metadata: bool,
    /// They are Secrets.
    sensitive: bool,
}

/// How an open watch ended, or why it did not open.
enum End {
    /// After its time.
    InTime,
    /// Before its time; where it stopped is known.
    Cut,
    /// The server cannot tell what came after the version that we know.
    Forgotten,
    /// The server said something that cannot be used.
    Useless(Cause),
    /// The server cannot be reached or refuses.
    Failed(Cause, Option<Duration>),
}

struct Watch<T, R> {
    cluster: Arc<Cluster>,
    subject: Subject,
    read: R,
    events: mpsc::Sender<Event<T>>,
    pace: Pace,
}

/// The part of a line that all events have.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type")]
    sort: String,
    object: Versioned,
}

#[derive(Deserialize)]
struct Versioned {
    #[serde(default)]
    metadata: Version,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Version {
    resource_version: String,
}

#[derive(Deserialize)]
struct Content<D> {
    object: D,
}

impl Cluster {
    /// Watches for as long as the stream is polled; it never ends by itself. Dropping it ends the watch.
    ///
    /// # Assumptions
    /// The stream is polled all the time, by a task that does nothing else: a list may be under way in it.
    pub(super) fn watch<D, T>(
        self: &Arc<Self>,
        subject: Subject,
        read: impl Fn(D) -> Result<T, Error> + Send + Sync + 'static,
    ) -> Events<T>
    where
        D: DeserializeOwned + Send + 'static,
        T: Send + 'static,
    {
        let (events, told) = mpsc::channel(QUEUE);
        let watch = Watch { cluster: Arc::clone(self), subject, read, events, pace: Pace::default() };
        let told = stream::unfold(told, |mut told| async move { Some((told.recv().await?, told)) });
        let running = stream::once(watch.run()).filter_map(|()| future::ready(None));
        stream::select(told, running).boxed()
    }
}

impl<T, R> Watch<T, R> {
    async fn run<D>(mut self)
    where
        D: DeserializeOwned,
        R: Fn(D) -> Result<T, Error> + Sync,
    {
        loop {
            match self.list().await {
                Ok((objects, version)) => {
                    self.tell(Event::Listed(objects)).await;
                    self.follow(version).await;
                }
                Err(error) => self.fail(error, None).await,
            }
        }
    }

    async fn list<D>(&self) -> Result<(Vec<T>, String), Error>
    where
        D: DeserializeOwned,
        R: Fn(D) -> Result<T, Error> + Sync,
    {
        let Subject { path, query, metadata, .. } = &self.subject;
        let _turn = self.cluster.watching.list().await;
        self.cluster.pages(path, query, if *metadata { METADATA_LIST } else { WHOLE }, &self.read).await
    }

    /// Tells what changes after `version`, watch after watch, until only a list can tell.
    async fn follow<D>(&mut self, mut version: String)
    where
        D: DeserializeOwned,
        R: Fn(D) -> Result<T, Error>,
    {
        let mut useless = 0;
        loop {
            let opened = Instant::now();
            let heard = version.clone();
            let end = self.once(&mut version).await;
            if version != heard || opened.elapsed() >= slack(self.cluster.timeout) {
                self.pace.well();
                useless = 0;
            }
            match end {
                End::InTime => {}
                End::Cut => self.pace.rest().await,
                End::Forgotten => return self.pace.rest().await,
                End::Failed(cause, after) => self.fail(self.error(cause), after).await,
                End::Useless(cause) => {
                    useless += 1;
                    self.fail(self.error(cause), None).await;
                    if useless == USELESS {
                        return;
                    }
                }
            }
        }
    }

    /// One watch from its opening to its end.
    async fn once<D>(&mut self, version: &mut String) -> End
    where
        D: DeserializeOwned,
        R: Fn(D) -> Result<T, Error>,
    {
        let (lifetime, slack) = (lifetime(self.cluster.timeout), slack(self.cluster.timeout));
        let until = Instant::now() + lifetime;
        let (_place, body) = match self.open(version, lifetime.as_secs()).await {
            Ok(open) => open,
            Err(end) => return end,
        };
        if self.pace.restored() {
            self.tell(Event::Restored).await;
        }
        let mut lines = Lines::new(body);
        loop {
            let line = match tokio::time::timeout_at(until + slack, lines.next()).await {
                Ok(Ok(Some(line))) => line,
                Ok(Ok(None)) if Instant::now() + slack >= until => return End::InTime,
                Ok(Err(Cause::Unreadable)) => return End::Useless(Cause::Unreadable),
                Ok(Ok(None) | Err(_)) | Err(_) => return End::Cut,
            };
            if let Err(end) = self.take(&line, version).await {
                return end;
            }
        }
    }

    async fn open(&self, version: &str, seconds: u64) -> Result<(Place, Body), End> {
        let Subject { path, query, metadata, sensitive } = &self.subject;
        let path = format!(
            "{path}?watch=true&allowWatchBookmarks=true&timeoutSeconds={seconds}&resourceVersion={version}{query}"
        );
        let call = Call::watch(path, if *metadata { METADATA } else { WHOLE }).sensitive(*sensitive);
        let place = self.cluster.watching.place();
        let opening = place.door.acquire().await;
        self.cluster.count_request("watch");
        let limit = self.cluster.timeout;
        let answer = tokio::time::timeout(limit, Cluster::respond(&place.client, &call)).await;
        drop(opening);
        match answer {
            Ok(Ok(body)) => Ok((place, body)),
            Ok(Err((cause, _))) if cause.code() == Some(410) => Err(End::Forgotten),
            Ok(Err((cause, after))) => Err(End::Failed(cause, after)),
            Err(_) => Err(End::Failed(Cause::TimedOut(limit), None)),
        }
    }

    /// Tells what a line says, and notes the version that it speaks of.
    async fn take<D>(&self, line: &[u8], version: &mut String) -> Result<(), End>
    where
        D: DeserializeOwned,
        R: Fn(D) -> Result<T, Error>,
    {
        let useless = || End::Useless(Cause::Unreadable);
        let head: Head = serde_json::from_slice(line).map_err(|_| useless())?;
        let read = || {
            let content: Content<D> = serde_json::from_slice(line).map_err(|_| useless())?;
            (self.read)(content.object).map_err(|_| useless())
        };
        let event = match head.sort.as_str() {
            "ADDED" | "MODIFIED" => Some(Event::Changed(read()?)),
            "DELETED" => Some(Event::Gone(read()?)),
            "BOOKMARK" => None,
            _ => return Err(self.refused(line)),
        };
        if head.object.metadata.resource_version.is_empty() {
            return Err(useless());
        }
        if let Some(event) = event {
            self.tell(event).await;
        }
        *version = head.object.metadata.resource_version;
        Ok(())
    }

    /// What an `ERROR` means, or a sort of event that nobody has told us of.
    fn refused(&self, line: &[u8]) -> End {
        let Ok(Content { object }) = serde_json::from_slice::<Content<Value>>(line) else {
            return End::Useless(Cause::Unreadable);
        };
        match Refusal::of(&object, self.subject.sensitive) {
            Refusal { code: 410, .. } => End::Forgotten,
            refusal => End::Useless(Cause::Refused(refusal)),
        }
    }

    fn error(&self, cause: Cause) -> Error {
        Error::call(format!("watch `{}`", self.subject.path))(Failure { cause, repeated: false })
    }

    async fn fail(&mut self, error: Error, after: Option<Duration>) {
        let pause = self.pace.after(&error, after);
        if self.pace.broken() {
            self.tell(Event::Broken(error)).await;
        }
        tokio::time::sleep(pause).await;
    }

    async fn tell(&self, event: Event<T>) {
        self.events.send(event).await.expect("both ends are in one stream");
    }
}
