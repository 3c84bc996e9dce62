//! What the service counts.
//!
//! Label values are lanes, names of objects that exist, and closed lists: their number is bounded, and none is a value of a Secret.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::model::reason::Reason;
use crate::telemetry::series::{self, Labels, add, with};

/// Upper ends in seconds: a push of one object lands in the first, a first apply of 10,000 objects in the last.
const SECONDS: [f64; 14] = [0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0, 600.0];

/// Where outlines come from.
const FROM: [&str; 2] = ["memory", "file"];

/// What becomes of a commit status, or a comment.
const SHOWN: [&str; 2] = ["Shown", "Failed"];

type Counters = Family<Labels, Counter>;
type Gauges = Family<Labels, Gauge>;
type Durations = Family<Labels, Histogram>;

/// An environment, as its series name it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// `protected` or `branches`.
    pub lane: &'static str,
    /// Name of the Repository.
    pub repository: &'a str,
    /// Name of the environment.
    pub environment: &'a str,
}

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    leading: Gauges,
    push_to_applied: Durations,
    reconciles: Counters,
    reconcile_durations: Durations,
    objects_applied: Counters,
    environments: Gauges,
    of_environment: OfEnvironment,
    reasons: Mutex<BTreeMap<Labels, Labels>>,
    fetches: Counters,
    fetched_at: Family<Labels, Gauge<f64, AtomicU64>>,
    commit_statuses: Counters,
    comments: Counters,
    requests: Counters,
    decrypts: Counter,
    outlines: Counters,
    queues: Gauges,
    key_classes: Gauge,
    unusable_keys: Gauge,
}

/// Series that go with their environment.
struct OfEnvironment {
    ready: Gauges,
    problems: Gauges,
    held: Gauges,
    drift: Gauges,
    repaired: Counters,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = series::registry();
        let r = &mut registry;
        Self {
            leading: add(r, "leading", "1 while this process holds the Lease of the lane"),
            push_to_applied: durations(r, "push_to_applied_seconds", "From seeing a push to having applied it"),
            reconciles: add(r, "reconcile", "Reconciles by how they ended"),
            reconcile_durations: durations(r, "reconcile_duration_seconds", "How long a reconcile took"),
            objects_applied: add(r, "objects_applied", "Steps that took effect"),
            environments: add(r, "environments", "Environments by reason of their condition Ready"),
            of_environment: OfEnvironment {
                ready: add(r, "environment_ready", "1 if the environment is ready"),
                problems: add(r, "problems", "Problems of the newest revision"),
                held: add(r, "environment_held", "1 while a rollback or hold is in force"),
                drift: add(r, "drift_objects", "Objects that differ without a new revision and were not put right"),
                repaired: add(r, "drift_repaired", "Objects that were put right"),
            },
            reasons: Mutex::default(),
            fetches: add(r, "git_fetch", "Looks at a remote by how they ended"),
            fetched_at: add(r, "git_last_success_timestamp_seconds", "When a remote last answered"),
            commit_statuses: add(r, "commit_statuses", "What commits were to show on the forge"),
            comments: add(r, "pull_request_comments", "What pull requests were to show on the forge"),
            requests: add(r, "api_requests", "Requests to the API server"),
            decrypts: add(r, "decrypts", "Wrapped data keys that were tried, from 0 again when keys change"),
            outlines: add(r, "outlines", "Files whose outline was needed, by where it came from"),
            queues: add(r, "queue_length", "What waits"),
            key_classes: add(r, "key_classes", "Key classes that can be used"),
            unusable_keys: add(r, "unusable_key_files", "Files of key classes that cannot be used"),
            registry,
        }
    }
}

impl Metrics {
    /// Everything as OpenMetrics text.
    pub fn text(&self) -> String {
        series::page(&self.registry)
    }

    /// Whether this process holds the Lease of a lane.
    pub fn leading(&self, lane: &'static str, is_leading: bool) {
        self.leading.get_or_create(&of_lane(lane)).set(i64::from(is_leading));
    }

    /// A push is applied, so long after it was seen.
    pub fn applied(&self, lane: &'static str, after: Duration) {
        self.push_to_applied.get_or_create(&of_lane(lane)).observe(after.as_secs_f64());
    }

    /// A reconcile ended.
    pub fn reconciled(&self, lane: &'static str, reason: Reason, duration: Duration) {
        self.reconciles.get_or_create(&with(of_lane(lane), "result", reason.as_str())).inc();
        self.reconcile_durations.get_or_create(&of_lane(lane)).observe(duration.as_secs_f64());
    }

    /// A step took effect; `action` is its verb. Kinds are those that the Repositories allow.
    pub fn step(&self, lane: &'static str, kind: &str, action: &'static str) {
        self.objects_applied.get_or_create(&with(with(of_lane(lane), "kind", kind), "action", action)).inc();
    }

    /// What an environment's condition Ready says.
    pub fn condition(&self, subject: Subject<'_>, is_ready: bool, reason: Reason) {
        let by_reason = with(of_lane(subject.lane), "reason", reason.as_str());
        self.environments.get_or_create(&by_reason).inc();
        self.of_environment.ready.get_or_create(&subject.labels()).set(i64::from(is_ready));
        self.put_reason(subject, Some(by_reason));
    }

    /// Problems of an environment's newest revision.
    pub fn problems(&self, subject: Subject<'_>, count: usize) {
        self.of_environment.problems.get_or_create(&subject.labels()).set(number(count));
    }

    /// Whether a rollback or hold is in force.
    pub fn held(&self, subject: Subject<'_>, is_held: bool) {
        self.of_environment.held.get_or_create(&subject.labels()).set(i64::from(is_held));
    }

    /// Objects that differ without a new revision after a pass: observed only, or not to be written.
    pub fn drift(&self, subject: Subject<'_>, differ: usize) {
        self.of_environment.drift.get_or_create(&subject.labels()).set(number(differ));
    }

    /// So many objects were put right just now.
    pub fn repaired(&self, subject: Subject<'_>, count: u64) {
        self.of_environment.repaired.get_or_create(&subject.labels()).inc_by(count);
    }

    /// An environment is gone, and its series with it.
    pub fn forget_environment(&self, subject: Subject<'_>) {
        let labels = subject.labels();
        let OfEnvironment { ready, problems, held, drift, repaired } = &self.of_environment;
        for gauges in [ready, problems, held, drift] {
            gauges.remove(&labels);
        }
        repaired.remove(&labels);
        self.put_reason(subject, None);
    }

    /// A remote was looked at, at this time since 1970; `failure` is why it gave no answer that can be used.
    pub fn fetched(&self, repository: &str, failure: Option<Reason>, at: Duration) {
        let labels = vec![("repository", repository.to_owned())];
        let result = failure.map_or("Known", Reason::as_str);
        self.fetches.get_or_create(&with(labels.clone(), "result", result)).inc();
        if failure.is_none() {
            self.fetched_at.get_or_create(&labels).set(at.as_secs_f64());
        }
    }

    /// The forge was asked to show something at a commit.
    pub fn commit_status(&self, repository: &str, is_shown: bool) {
        self.commit_statuses.get_or_create(&shown(repository, is_shown)).inc();
    }

    /// The forge was asked to show something at a pull request.
    pub fn comment(&self, repository: &str, is_shown: bool) {
        self.comments.get_or_create(&shown(repository, is_shown)).inc();
    }

    /// A Repository is gone, and its series with it.
    pub fn forget_repository(&self, repository: &str) {
        let labels = vec![("repository", repository.to_owned())];
        for result in SHOWN {
            let labels = with(labels.clone(), "result", result);
            self.commit_statuses.remove(&labels);
            self.comments.remove(&labels);
        }
        self.fetched_at.remove(&labels);
        for result in Reason::ALL.iter().map(|reason| reason.as_str()).chain(["Known"]) {
            self.fetches.remove(&with(labels.clone(), "result", result));
        }
        for from in FROM {
            self.outlines.remove(&with(labels.clone(), "from", from));
        }
    }

    /// Requests of a lane so far, by verb.
    pub fn requests(&self, lane: &'static str, by_verb: &BTreeMap<&'static str, u64>) {
        for (verb, count) in by_verb {
            let counter = self.requests.get_or_create(&with(of_lane(lane), "verb", verb));
            counter.inner().store(*count, Ordering::Relaxed);
        }
    }

    /// Wrapped data keys that were tried with the keyring so far.
    pub fn decrypts(&self, count: u64) {
        self.decrypts.inner().store(count, Ordering::Relaxed);
    }

    /// Outlines of a Repository that were remembered and that were read, so far.
    pub fn outlines(&self, repository: &str, remembered: u64, read: u64) {
        for (from, count) in [(FROM[0], remembered), (FROM[1], read)] {
            let labels = with(vec![("repository", repository.to_owned())], "from", from);
            self.outlines.get_or_create(&labels).inner().store(count, Ordering::Relaxed);
        }
    }

    /// One more waits in a queue, until the value is dropped.
    pub fn waiting(&self, queue: &'static str) -> Waiting {
        let gauge = self.queues.get_or_create_owned(&vec![("queue", queue.to_owned())]);
        gauge.inc();
        Waiting(gauge)
    }

    /// How many key classes can be used, and how many files cannot.
    pub fn keys(&self, classes: usize, unusable: usize) {
        self.key_classes.set(number(classes));
        self.unusable_keys.set(number(unusable));
    }

    /// Moves an environment from the count of its last reason to that of this one.
    fn put_reason(&self, subject: Subject<'_>, reason: Option<Labels>) {
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        let last = match reason {
            Some(reason) => reasons.insert(subject.labels(), reason),
            None => reasons.remove(&subject.labels()),
        };
        if let Some(last) = last {
            self.environments.get_or_create(&last).dec();
        }
    }
}

/// Something that waits in a queue.
#[must_use]
pub struct Waiting(Gauge);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Subject<'_> {
    fn labels(self) -> Labels {
        with(with(of_lane(self.lane), "repository", self.repository), "environment", self.environment)
    }
}

fn durations(registry: &mut Registry, name: &str, help: &str) -> Durations {
    let family = Durations::new_with_constructor(|| Histogram::new(SECONDS));
    registry.register(name, help, family.clone());
    family
}

fn of_lane(lane: &'static str) -> Labels {
    vec![("lane", lane.to_owned())]
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn shown(repository: &str, is_shown: bool) -> Labels {
    with(vec![("repository", repository.to_owned())], "result", if is_shown { SHOWN[0] } else { SHOWN[1] })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    const STAGING: Subject<'_> = Subject { lane: "protected", repository: "shop", environment: "staging" };

    /// The lines that are no comment and, of histograms, only the counts.
    fn values(metrics: &Metrics) -> String {
        let text = metrics.text();
        assert!(text.ends_with("# EOF\n"), "{text}");
        let mut lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.contains("_bucket") && !line.contains("_sum"))
            .collect();
        lines.sort_unstable();
        lines.join("\n") + "\n"
    }

    #[test]
    fn everything_has_a_name_and_labels() {
        let metrics = Metrics::default();
        metrics.leading("protected", true);
        metrics.applied("protected", Duration::from_millis(300));
        metrics.reconciled("protected", Reason::Applied, Duration::from_millis(80));
        metrics.step("protected", "ConfigMap", "update");
        metrics.condition(STAGING, false, Reason::ProblemsFound);
        metrics.condition(STAGING, true, Reason::Applied);
        metrics.problems(STAGING, 2);
        metrics.held(STAGING, true);
        metrics.drift(STAGING, 1);
        metrics.repaired(STAGING, 3);
        metrics.fetched("shop", None, Duration::from_secs(1_700_000_000));
        metrics.fetched("shop", Some(Reason::RepositoryUnreachable), Duration::from_secs(1_700_000_010));
        metrics.commit_status("shop", true);
        metrics.comment("shop", false);
        metrics.requests("protected", &BTreeMap::from([("get", 7)]));
        metrics.decrypts(4);
        metrics.outlines("shop", 10, 2);
        let _waiting = metrics.waiting("environments");
        metrics.keys(2, 1);
        expect![[r#"
            osier_api_requests_total{lane="protected",verb="get"} 7
            osier_build_info{version="0.1.0"} 1
            osier_commit_statuses_total{repository="shop",result="Shown"} 1
            osier_decrypts_total 4
            osier_drift_objects{lane="protected",repository="shop",environment="staging"} 1
            osier_drift_repaired_total{lane="protected",repository="shop",environment="staging"} 3
            osier_environment_held{lane="protected",repository="shop",environment="staging"} 1
            osier_environment_ready{lane="protected",repository="shop",environment="staging"} 1
            osier_environments{lane="protected",reason="Applied"} 1
            osier_environments{lane="protected",reason="ProblemsFound"} 0
            osier_git_fetch_total{repository="shop",result="Known"} 1
            osier_git_fetch_total{repository="shop",result="RepositoryUnreachable"} 1
            osier_git_last_success_timestamp_seconds{repository="shop"} 1700000000.0
            osier_key_classes 2
            osier_leading{lane="protected"} 1
            osier_objects_applied_total{lane="protected",kind="ConfigMap",action="update"} 1
            osier_outlines_total{repository="shop",from="file"} 2
            osier_outlines_total{repository="shop",from="memory"} 10
            osier_problems{lane="protected",repository="shop",environment="staging"} 2
            osier_pull_request_comments_total{repository="shop",result="Failed"} 1
            osier_push_to_applied_seconds_count{lane="protected"} 1
            osier_queue_length{queue="environments"} 1
            osier_reconcile_duration_seconds_count{lane="protected"} 1
            osier_reconcile_total{lane="protected",result="Applied"} 1
            osier_unusable_key_files 1
        "#]]
        .assert_eq(&values(&metrics));
    }

    #[test]
    fn series_go_with_their_environment_and_repository() {
        let metrics = Metrics::default();
        let nothing = values(&metrics);
        metrics.condition(STAGING, true, Reason::Applied);
        metrics.problems(STAGING, 0);
        metrics.held(STAGING, false);
        metrics.drift(STAGING, 0);
        metrics.repaired(STAGING, 1);
        metrics.fetched("shop", None, Duration::ZERO);
        metrics.fetched("shop", Some(Reason::RepositorySuspicious), Duration::ZERO);
        metrics.outlines("shop", 1, 1);
        metrics.forget_environment(STAGING);
        metrics.forget_repository("shop");
        let left = values(&metrics);
        assert_eq!(left.replace("osier_environments{lane=\"protected\",reason=\"Applied\"} 0\n", ""), nothing);
    }
}
