//! What the receiver counts.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::receiver::answer::Ending;
use crate::receiver::forge::Forge;
use crate::telemetry::series::{self, Labels, add, with};

type Counters = Family<Labels, Counter>;

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    calls: Counters,
    looks: Counters,
    requests: Counters,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = series::registry();
        let r = &mut registry;
        Self {
            calls: add(r, "webhook_requests", "Calls of forges, by how they ended"),
            looks: add(r, "webhook_looks", "Looks that were asked for at the API server"),
            requests: add(r, "api_requests", "Requests to the API server"),
            registry,
        }
    }
}

impl Metrics {
    /// Everything as OpenMetrics text.
    pub fn text(&self) -> String {
        series::page(&self.registry)
    }

    /// A call ended.
    pub fn called(&self, forge: Forge, ending: Ending) {
        let labels = with(vec![("forge", forge.as_str().to_owned())], "result", ending.as_str());
        self.calls.get_or_create(&labels).inc();
    }

    /// The API server was asked for a look, in vain or not.
    pub fn looked(&self, repository: &str, result: &'static str) {
        self.looks.get_or_create(&of_look(repository, result)).inc();
    }

    /// A Repository is gone, and its series with it.
    pub fn forget_repository(&self, repository: &str) {
        for result in ["Asked", "Failed"] {
            self.looks.remove(&of_look(repository, result));
        }
    }

    /// Requests so far, by verb.
    pub fn requests(&self, by_verb: &BTreeMap<&'static str, u64>) {
        for (verb, count) in by_verb {
            let counter = self.requests.get_or_create(&vec![("verb", (*verb).to_owned())]);
            counter.inner().store(*count, Ordering::Relaxed);
        }
    }
}

fn of_look(repository: &str, result: &'static str) -> Labels {
    with(vec![("repository", repository.to_owned())], "result", result)
}
