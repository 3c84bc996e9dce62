//! How the workloads of one environment's namespace stand, as watches of whole objects show it; nothing else is kept of these.
//!
//! Pods are watched only while somebody wants to know why a workload is not ready.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use tokio::sync::watch;

use crate::cluster::Cluster;
use crate::cluster::watch::Event;
use crate::model::environment::JobRun;
use crate::model::object::{Kind, ObjectId};
use crate::planning::checks::{Check, Standing};
use crate::planning::health::pods::Trouble;
use crate::planning::health::{self, Health, Workload};
use crate::planning::live::{Live, LiveSet};

/// What the watches of one environment's namespace have shown of its workloads.
#[derive(Default)]
pub struct Workloads {
    known: Mutex<Known>,
    /// Says that something is new.
    news: watch::Sender<()>,
    /// True while pods shall be watched.
    pods: watch::Sender<bool>,
}

#[derive(Default)]
struct Known {
    workloads: BTreeMap<ObjectId, Workload>,
    /// By name of the pod.
    troubled: BTreeMap<String, Trouble>,
}

impl Workloads {
    /// Tells whenever something may stand otherwise.
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Says whether somebody wants to know what is wrong with pods.
    pub fn ask_pods(&self, wanted: bool) {
        self.pods.send_if_modified(|before| std::mem::replace(before, wanted) != wanted);
    }

    /// How these objects stand together; `live` has their metadata, our last writes included.
    pub(super) fn health<'a>(&self, objects: impl Iterator<Item = &'a ObjectId>, live: &LiveSet) -> Health {
        let known = self.known();
        health::together(objects.map(|object| {
            let standing = health::standing(object, live.get(object), known.workloads.get(object));
            (object.short(), standing.because(known.trouble(object)))
        }))
    }

    /// How a check stands, if these `jobs` are noted.
    pub(super) fn check(&self, check: &Check, jobs: &[JobRun], live: &LiveSet) -> Standing {
        let known = self.known();
        let standing = check.standing(jobs, live.get(&check.object), known.workloads.get(&check.object));
        Standing { health: standing.health.because(known.trouble(&check.object)), ..standing }
    }

    /// Workloads that are not ours and have to restart for something of `changed`, which nobody does, each with what it refers to.
    pub fn foreign_consumers(&self, changed: &BTreeSet<ObjectId>) -> Vec<(ObjectId, ObjectId)> {
        let known = self.known();
        let pairs = known.workloads.iter().flat_map(|(object, workload)| {
            workload.refers.intersection(changed).map(|target| (object.clone(), target.clone()))
        });
        pairs.collect()
    }

    /// Forgets the workloads of all other kinds.
    pub(super) fn keep(&self, kinds: &BTreeSet<Kind>) {
        self.known().workloads.retain(|object, _| kinds.contains(&object.kind));
    }

    /// Takes out of an event how workloads stand.
    pub(super) fn note(
        &self,
        kind: &Kind,
        event: Event<(ObjectId, Live, Option<Workload>)>,
    ) -> Event<(ObjectId, Live)> {
        if !health::is_judged(kind) {
            return event.map(|(object, live, _)| (object, live));
        }
        let mut known = self.known();
        match &event {
            Event::Listed(_) => known.workloads.retain(|object, _| object.kind != *kind),
            Event::Gone((object, ..)) => drop(known.workloads.remove(object)),
            Event::Changed(_) | Event::Broken(_) | Event::Restored => {}
        }
        let ended = matches!(event, Event::Gone(_));
        let event = event.map(|(object, live, workload)| {
            if let Some(workload) = workload.filter(|_| !ended) {
                known.workloads.insert(object.clone(), workload);
            }
            (object, live)
        });
        drop(known);
        self.news.send_replace(());
        event
    }

    /// Watches the pods of the namespace while somebody wants to know; never ends by itself.
    pub(super) async fn follow_pods(&self, cluster: &Arc<Cluster>, namespace: &str) {
        let mut wanted = self.pods.subscribe();
        while wanted.wait_for(|wanted| *wanted).await.is_ok() {
            let mut events = cluster.watch_pods(namespace);
            loop {
                tokio::select! {
                    _ = wanted.wait_for(|wanted| !*wanted) => break,
                    Some(event) = events.next() => self.note_pods(event),
                }
            }
            self.known().troubled.clear();
        }
    }

    fn note_pods(&self, event: Event<(String, Option<Trouble>)>) {
        let mut known = self.known();
        let found = match event {
            Event::Listed(pods) => {
                known.troubled.clear();
                pods
            }
            Event::Changed(pod) => vec![pod],
            Event::Gone((name, _)) => vec![(name, None)],
            // without the right to see pods the reason is not known, which is all
            Event::Broken(_) | Event::Restored => return,
        };
        for (name, trouble) in found {
            match trouble {
                Some(trouble) => drop(known.troubled.insert(name, trouble)),
                None => drop(known.troubled.remove(&name)),
            }
        }
        drop(known);
        self.news.send_replace(());
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn trouble(&self, object: &ObjectId) -> Option<&str> {
        let of = |trouble: &&Trouble| trouble.name == object.name && trouble.kind == object.kind.kind;
        self.troubled.values().find(of).map(|trouble| trouble.sentence.as_str())
    }
}
