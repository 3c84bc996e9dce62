//! One watch a kind for all namespaces, shared by the environments of a process.
//!
//! It goes by osier's label, so it does not show what others have in a namespace. Each environment lists its namespace once, whole, and
//! hears from here what changes of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::cluster::Cluster;
use crate::cluster::error::Error;
use crate::cluster::watch::kinds::Seen;
use crate::cluster::watch::{Event, Events};
use crate::model::object::Kind;

/// Events that wait for one environment. What is more is not kept: it lists its namespace again.
const QUEUE: usize = 64;
/// Between two attempts to learn what the server serves, or to list.
const PAUSE: Duration = Duration::from_secs(5);

/// The watches of a process.
pub struct Everywhere {
    cluster: Arc<Cluster>,
    kinds: Mutex<BTreeMap<Kind, Arc<Shared>>>,
    /// Says that there is another kind.
    more: watch::Sender<()>,
}

/// The watch of one kind.
#[derive(Default)]
struct Shared {
    state: watch::Sender<State>,
    listeners: Mutex<Vec<Listener>>,
}

#[derive(Clone, Default)]
enum State {
    #[default]
    Opening,
    Heard,
    Broken(Arc<Error>),
}

/// Where what concerns one environment goes.
struct Listener {
    namespace: String,
    environment_id: String,
    told: mpsc::Sender<Event<Seen>>,
    /// It has to list its namespace: something was not told.
    late: Arc<AtomicBool>,
}

/// The side of the environment.
struct Hearing {
    cluster: Arc<Cluster>,
    kind: Kind,
    namespace: String,
    environment_id: String,
    hears: mpsc::Receiver<Event<Seen>>,
    late: Arc<AtomicBool>,
    failed: bool,
}

impl Everywhere {
    /// Watches nothing until somebody asks.
    pub fn new(cluster: Arc<Cluster>) -> Self {
        Self { cluster, kinds: Mutex::default(), more: watch::Sender::default() }
    }

    /// Drives the watches until it is dropped; never ends by itself.
    ///
    /// # Errors
    /// None.
    pub async fn run(self: Arc<Self>) -> Result<(), Infallible> {
        let (mut tasks, mut open) = (JoinSet::new(), BTreeSet::new());
        let mut more = self.more.subscribe();
        loop {
            let kinds = self.kinds().clone();
            for (kind, shared) in kinds.into_iter().filter(|(kind, _)| open.insert(kind.clone())) {
                let cluster = self.cluster.clone();
                tasks.spawn(async move { shared.follow(&cluster, &kind).await });
            }
            more.changed().await.expect("the sender is a field of self");
        }
    }

    /// All objects of a kind in a namespace, seen from the environment with this id, and then what changes of those that carry its label.
    ///
    /// # Errors
    /// Why the kind cannot be watched.
    pub async fn hear(&self, kind: &Kind, namespace: &str, environment_id: &str) -> Result<Events<Seen>, Error> {
        let shared = self.kinds().entry(kind.clone()).or_default().clone();
        self.more.send_replace(());
        let mut state = shared.state.subscribe();
        let state = state.wait_for(|state| !matches!(state, State::Opening)).await;
        if let State::Broken(source) = &*state.expect("the sender is held by `shared`") {
            return Err(broken(source));
        }
        let (told, hears) = mpsc::channel(QUEUE);
        // it lists after it began to hear: nothing is missed in between
        let late = Arc::new(AtomicBool::new(true));
        let (namespace, environment_id) = (namespace.to_owned(), environment_id.to_owned());
        let mut listeners = shared.listeners();
        listeners.retain(|listener| !listener.told.is_closed());
        let (there, id) = (namespace.clone(), environment_id.clone());
        listeners.push(Listener { namespace: there, environment_id: id, told, late: late.clone() });
        let (cluster, kind) = (self.cluster.clone(), kind.clone());
        let hearing = Hearing { cluster, kind, namespace, environment_id, hears, late, failed: false };
        Ok(stream::unfold(hearing, |mut hearing| async move { Some((hearing.next().await, hearing)) }).boxed())
    }

    fn kinds(&self) -> MutexGuard<'_, BTreeMap<Kind, Arc<Shared>>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hearing {
    async fn next(&mut self) -> Event<Seen> {
        if self.failed {
            tokio::time::sleep(PAUSE).await;
        }
        if self.late.swap(false, Ordering::Relaxed) {
            let listed = self.cluster.list_seen(&self.kind, &self.namespace, &self.environment_id).await;
            self.failed = listed.is_err();
            self.late.fetch_or(self.failed, Ordering::Relaxed);
            return listed.map_or_else(Event::Broken, Event::Listed);
        }
        match self.hears.recv().await {
            Some(event) => event,
            // the process ends
            None => std::future::pending().await,
        }
    }
}

impl Shared {
    async fn follow(&self, cluster: &Arc<Cluster>, kind: &Kind) {
        let mut events = loop {
            match cluster.watch_everywhere(kind).await {
                Ok(events) => break events,
                Err(error) => self.tell(Event::Broken(error)),
            }
            tokio::time::sleep(PAUSE).await;
        };
        while let Some(event) = events.next().await {
            self.tell(event);
        }
    }

    fn tell(&self, event: Event<(String, Seen)>) {
        match event {
            Event::Listed(_) => {
                self.state.send_replace(State::Heard);
                for listener in &*self.listeners() {
                    listener.late.store(true, Ordering::Relaxed);
                    listener.tell(Event::Restored);
                }
            }
            Event::Changed((environment_id, seen)) => self.tell_of(&environment_id, &seen, Event::Changed),
            Event::Gone((environment_id, seen)) => self.tell_of(&environment_id, &seen, Event::Gone),
            Event::Broken(error) => {
                let source = Arc::new(error);
                self.state.send_replace(State::Broken(source.clone()));
                for listener in &*self.listeners() {
                    listener.tell(Event::Broken(broken(&source)));
                }
            }
            Event::Restored => {
                self.state.send_replace(State::Heard);
                for listener in &*self.listeners() {
                    listener.tell(Event::Restored);
                }
            }
        }
    }

    /// Tells the environments of a namespace of an object there. Of one that carries another's label it is gone.
    fn tell_of(&self, environment_id: &str, seen: &Seen, event: fn(Seen) -> Event<Seen>) {
        for listener in self.listeners().iter().filter(|listener| listener.namespace == seen.0.namespace) {
            let is_its_own = listener.environment_id == environment_id;
            listener.tell(if is_its_own { event(seen.clone()) } else { Event::Gone(seen.clone()) });
        }
    }

    fn listeners(&self) -> MutexGuard<'_, Vec<Listener>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener {
    /// Never waits: one environment that is slow keeps no other waiting.
    fn tell(&self, event: Event<Seen>) {
        if self.told.try_send(event).is_err() {
            self.late.store(true, Ordering::Relaxed);
        }
    }
}

/// One failure for all that hear of it.
fn broken(source: &Arc<Error>) -> Error {
    match &**source {
        Error::UnknownKind { kind, api_version } => {
            Error::UnknownKind { kind: kind.clone(), api_version: api_version.clone() }
        }
        _ => Error::Watch { source: source.clone() },
    }
}
