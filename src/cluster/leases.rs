//! Leases: who may write, and for how long.
//!
//! Time is read from CLOCK_BOOTTIME: it goes on while the machine sleeps, and nobody can set it.

use std::time::Duration;

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::cluster::Cluster;
use crate::cluster::call::{Call, Failure, WHOLE, encoded};
use crate::cluster::error::Error;
use crate::cluster::own::WRITE;

/// For how long a Lease that was not renewed still keeps others away. The Kubernetes controllers use the same.
pub const DURATION: Duration = Duration::from_secs(15);
/// For how long its holder writes: less, since a request that it gave up may take effect a moment later, and two clocks differ a little.
const HELD: Duration = Duration::from_secs(13);
/// Longest sleep of [`Leadership::lost`]: timers stand still while the machine sleeps, leases do not.
const LOOK: Duration = Duration::from_secs(1);

/// A moment, counted from the start of the machine, sleep included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootTime(Duration);

impl BootTime {
    /// Reads the clock.
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(now.tv_sec).expect("a machine has not been started in the future");
        let nanos = u32::try_from(now.tv_nsec).expect("a second has fewer nanoseconds than that");
        Self(Duration::new(seconds, nanos))
    }

    /// The moment that is so much later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// How long ago `earlier` was; nothing if it is still to come.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// What a writer asks before each write: for how long this process may still write.
#[derive(Clone, Debug)]
pub struct Leadership {
    until: watch::Receiver<Option<BootTime>>,
}

/// The side of the keeper, which says until when.
#[derive(Debug)]
pub struct Tenure {
    until: watch::Sender<Option<BootTime>>,
}

/// The two sides of one Lease; nothing is held yet.
pub fn leadership() -> (Tenure, Leadership) {
    let (until, seen) = watch::channel(None);
    (Tenure { until }, Leadership { until: seen })
}

impl Tenure {
    /// The Lease was taken or renewed by a request that was sent at `asked`: nobody else takes it for a while.
    ///
    /// True if it was not held before.
    pub fn hold(&self, asked: BootTime) -> bool {
        self.until.send_replace(Some(asked.after(HELD))).is_none()
    }

    /// The Lease may be somebody else's. True if it was held before.
    pub fn end(&self) -> bool {
        self.until.send_replace(None).is_some()
    }
}

impl Leadership {
    /// What is left of the Lease; `None` if it is not ours, or no longer.
    pub fn remaining(&self) -> Option<Duration> {
        self.remaining_at(BootTime::now())
    }

    /// Returns once the Lease is ours; never if the keeper is gone.
    pub async fn held(&self) {
        let mut until = self.until.clone();
        while self.remaining().is_none() {
            if until.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Returns once the Lease is not ours, or no longer.
    pub async fn lost(&self) {
        let mut until = self.until.clone();
        while let Some(left) = self.remaining() {
            tokio::select! {
                changed = until.changed() => if changed.is_err() { tokio::time::sleep(left.min(LOOK)).await },
                () = tokio::time::sleep(left.min(LOOK)) => {}
            }
        }
    }

    fn remaining_at(&self, now: BootTime) -> Option<Duration> {
        let until = (*self.until.borrow())?;
        Some(until.since(now)).filter(|left| !left.is_zero())
    }
}

/// A Lease as the server has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    /// Who holds it; `None` if it was given up.
    pub holder: Option<String>,
    /// For how long it keeps others away after its last change; never less than ours.
    pub duration: Duration,
    /// All that its holders write. Whatever differs, somebody has renewed it.
    pub spec: Value,
    uid: String,
    resource_version: String,
}

impl Lease {
    /// Reads the object.
    ///
    /// # Errors
    /// `Malformed` without uid or resourceVersion, which every write is fenced with.
    pub fn new(mut object: Value) -> Result<Self, Error> {
        let spec = object["spec"].take();
        let metadata = |field: &str| {
            let found = object["metadata"][field].as_str().filter(|text| !text.is_empty());
            let missing = || Error::Malformed { what: "a Lease".to_owned(), why: format!("no metadata.{field}") };
            found.map(str::to_owned).ok_or_else(missing)
        };
        let duration = Duration::from_secs(spec["leaseDurationSeconds"].as_u64().unwrap_or_default());
        Ok(Self {
            holder: spec["holderIdentity"].as_str().filter(|holder| !holder.is_empty()).map(str::to_owned),
            duration: duration.max(DURATION),
            uid: metadata("uid")?,
            resource_version: metadata("resourceVersion")?,
            spec,
        })
    }
}

impl Lease {
    /// A number that grows with every write anywhere, for as long as the API server keeps its data (KEP-5504); `None` where it is no number.
    pub fn resource_version(&self) -> Option<u64> {
        self.resource_version.parse().ok()
    }

    /// True if somebody renewed it lately, by the clocks of both: for people, who are told; nothing is fenced by it.
    pub fn is_live(&self, now: Timestamp) -> bool {
        let renewed = self.spec["renewTime"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
        let age = renewed.map(|renewed| now.duration_since(renewed).unsigned_abs());
        self.holder.is_some() && age.is_some_and(|age| age < self.duration)
    }
}

impl Cluster {
    /// Reads a Lease; `None` if there is none.
    ///
    /// # Errors
    /// `Malformed`, `Call`.
    pub async fn lease(&self, namespace: &str, name: &str) -> Result<Option<Lease>, Error> {
        let what = || format!("read Lease `{namespace}/{name}`");
        let found = self.get_opt(&Call::get(format!("{}/{name}", leases(namespace)), WHOLE), what).await?;
        found.map(Lease::new).transpose()
    }

    /// Makes a Lease that `holder` holds; `now` is for people.
    ///
    /// # Errors
    /// `Changed` if there is one by now; `Malformed`, `Call`.
    pub async fn create_lease(
        &self,
        namespace: &str,
        name: &str,
        holder: &str,
        now: Timestamp,
    ) -> Result<Lease, Error> {
        let body = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": name, "namespace": namespace}, "spec": taken(holder, 0, now)});
        let post = Call::post(format!("{}{WRITE}", leases(namespace)), &body).whole();
        let created = self.call(&post).await.map_err(|failure| {
            // 404 says that there is no such namespace
            let is_there = failure.code() == Some(409);
            not_written(namespace, name, failure, is_there)
        });
        Lease::new(created?)
    }

    /// Takes or renews a Lease, or gives it up where `holder` is empty; `now` is for people.
    ///
    /// # Guarantees
    /// Nothing is written if anybody has changed it since it was read.
    ///
    /// # Errors
    /// `Changed` if somebody has, or if it is gone; `Malformed`, `Call`.
    pub async fn renew_lease(
        &self,
        namespace: &str,
        name: &str,
        lease: &Lease,
        holder: &str,
        now: Timestamp,
    ) -> Result<Lease, Error> {
        let transitions = lease.spec["leaseTransitions"].as_u64().unwrap_or_default();
        let now = unlike_last(now, lease);
        let spec = match (lease.holder.as_deref() == Some(holder), holder) {
            (true, _) => json!({"renewTime": micro(now), "leaseDurationSeconds": DURATION.as_secs()}),
            (_, "") => json!({"holderIdentity": "", "renewTime": micro(now), "leaseDurationSeconds": 1}),
            _ => taken(holder, transitions + 1, now),
        };
        let fence = json!({"uid": lease.uid, "resourceVersion": lease.resource_version});
        let path = format!("{}/{name}{WRITE}", leases(namespace));
        let patch = Call::merge_patch(path, &json!({"metadata": fence, "spec": spec})).whole();
        let written = self.call(&patch).await.map_err(|failure| {
            let is_conflict = failure.is_conflict();
            not_written(namespace, name, failure, is_conflict)
        });
        Lease::new(written?)
    }
}

/// Why a Lease was not written; `is_changed` if it is only that somebody else was first.
fn not_written(namespace: &str, name: &str, failure: Failure, is_changed: bool) -> Error {
    if is_changed {
        return Error::Changed { what: format!("Lease `{namespace}/{name}`") };
    }
    Error::call(format!("write Lease `{namespace}/{name}`"))(failure)
}

fn leases(namespace: &str) -> String {
    format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", encoded(namespace))
}

fn taken(holder: &str, transitions: u64, now: Timestamp) -> Value {
    json!({"holderIdentity": holder, "leaseDurationSeconds": DURATION.as_secs(), "leaseTransitions": transitions,
        "acquireTime": micro(now), "renewTime": micro(now)})
}

/// Others see a renewal by its change: a clock that stands still must not hide it.
fn unlike_last(now: Timestamp, lease: &Lease) -> Timestamp {
    if lease.spec["renewTime"] == micro(now) { now + Duration::from_micros(1) } else { now }
}

/// The API wants exactly six digits.
fn micro(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_runs_out_before_others_take_the_lease() {
        let (tenure, leadership) = leadership();
        let asked = BootTime::now();
        assert_eq!(leadership.remaining_at(asked), None);
        tenure.hold(asked);
        assert_eq!(leadership.remaining_at(asked.after(Duration::from_secs(5))), Some(Duration::from_secs(8)));
        for late in [HELD, DURATION, Duration::from_hours(1)] {
            assert_eq!(leadership.remaining_at(asked.after(late)), None, "{late:?}");
        }
        tenure.end();
        assert_eq!(leadership.remaining_at(asked), None);
    }

    #[tokio::test]
    async fn writers_are_told_of_both_ends() {
        let (tenure, leadership) = leadership();
        leadership.lost().await;
        tokio::join!(leadership.held(), async { assert!(tenure.hold(BootTime::now())) });
        tokio::join!(leadership.lost(), async { assert!(tenure.end()) });
        assert_eq!(leadership.remaining(), None);
    }

    #[test]
    fn a_clock_that_stands_still_does_not_hide_a_renewal() {
        let now: Timestamp = "2026-11-21T08:35:18Z".parse().unwrap();
        let metadata = json!({"uid": "u", "resourceVersion": "1"});
        let lease = Lease::new(json!({"metadata": metadata, "spec": {"renewTime": micro(now)}})).unwrap();
        assert_ne!(unlike_last(now, &lease), now);
        assert_eq!(unlike_last(now + Duration::from_secs(5), &lease), now + Duration::from_secs(5));
    }

    #[test]
    fn times_have_six_digits() {
        let time = |text: &str| micro(text.parse().unwrap());
        assert_eq!(time("2026-11-21T08:35:18Z"), "2026-11-21T08:35:18.000000Z");
        assert_eq!(time("2026-11-21T08:35:18.123456789Z"), "2026-11-21T08:35:18.123456Z");
    }
}
