//! The keeper of one Lease: takes it when it is free, renews it, gives it up at the end.
//!
//! Others' clocks are never read: a Lease has run out when *we* have seen no change of it for as long as it keeps others away.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use tokio::time::{sleep, timeout};

use crate::cluster::Cluster;
use crate::cluster::error::Error;
use crate::cluster::leases::{BootTime, Lease, Tenure};
use crate::model::reason::Reason;
use crate::server::health::Health;
use crate::supervise::Stop;

/// Pause between two renewals: three fit into what a Lease lasts.
const RENEW: Duration = Duration::from_secs(5);
/// Pause between two looks at what somebody else holds, and after a failure.
const LOOK: Duration = Duration::from_secs(2);
/// Pause before looking again at what somebody else has just written.
const AGAIN: Duration = Duration::from_millis(200);
/// Longest time for one turn: a holder whose requests hang has to notice before its Lease runs out.
const TURN: Duration = Duration::from_secs(5);
/// Longest time for giving it up; who waits for it would otherwise wait for its end.
const GIVE_UP: Duration = Duration::from_secs(3);

/// Who keeps which Lease.
pub struct Keeper {
    /// A connection of its own: a renewal never waits behind other requests.
    pub cluster: Arc<Cluster>,
    /// osier's own namespace.
    pub namespace: String,
    /// Name of the Lease.
    pub name: &'static str,
    /// Ourselves. No two processes have the same.
    pub holder: String,
    /// For the times in the Lease, which people read; nothing is decided by them.
    pub clock: fn() -> Timestamp,
    /// The probes, of which the Lease is a part: ready means that it was read or written, not that it is held.
    pub health: Arc<Health>,
}

/// A name that no other process has: that of the machine or pod, and something random.
///
/// # Errors
/// The operating system gives no random bytes.
pub fn holder(machine: &str) -> Result<String, getrandom::Error> {
    let mut random = [0; 5];
    getrandom::fill(&mut random)?;
    Ok(format!("{machine}_{}", HEXLOWER.encode(&random)))
}

/// What somebody else holds, as it was when it last changed, and when we saw that.
#[derive(Default)]
pub struct Seen(Option<(Lease, BootTime)>);

/// What the keeper remembers from one turn to the next.
#[derive(Default)]
struct Memory {
    seen: Seen,
    /// What we wrote last, so that renewing it needs no reading.
    ours: Option<Lease>,
    /// What went wrong last, which is said once.
    failure: Option<String>,
}

/// What can be done about a Lease.
#[derive(Debug, PartialEq)]
pub enum Move {
    /// There is none.
    Create,
    /// Take it, or renew it.
    Write(Lease),
    /// Somebody else holds it.
    Wait,
}

impl Keeper {
    /// Keeps the Lease until told to stop, then gives it up. `Tenure` knows at each moment for how long it is held.
    ///
    /// # Guarantees
    /// Failures are logged and tried again; the tenure runs out meanwhile.
    pub async fn keep(self, tenure: Tenure, stop: Stop) -> Result<(), Infallible> {
        let mut memory = Memory::default();
        self.health.not_ready(self.name, "not yet");
        loop {
            let pause = self.turn(&mut memory, &tenure).await;
            tokio::select! {
                () = stop.requested() => break,
                () = sleep(jittered(pause)) => {}
            }
        }
        tenure.end();
        self.give_up(memory.ours).await;
        Ok(())
    }

    /// One look, and one write where there is something to write. The pause until the next.
    async fn turn(&self, memory: &mut Memory, tenure: &Tenure) -> Duration {
        match timeout(TURN, self.look_and_write(memory, tenure)).await {
            Ok(Ok(pause)) => {
                memory.failure = None;
                self.health.ready(self.name);
                pause
            }
            Ok(Err(Error::Changed { .. })) => {
                self.ended(tenure);
                AGAIN
            }
            Ok(Err(error)) => {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
                self.failed(memory, error.reason(), format!("{error}{cause}"))
            }
            Err(_) => {
                self.failed(memory, Reason::ServerUnavailable, "the API server did not answer in time".to_owned())
            }
        }
    }

    fn failed(&self, memory: &mut Memory, reason: Reason, why: String) -> Duration {
        if memory.failure.as_ref() != Some(&why) {
            tracing::warn!(lease = self.name, %reason, "{why}");
        }
        self.health.not_ready(self.name, &*why);
        memory.failure = Some(why);
        LOOK
    }

    async fn look_and_write(&self, memory: &mut Memory, tenure: &Tenure) -> Result<Duration, Error> {
        let found = match memory.ours.take() {
            Some(ours) => Some(ours),
            None => self.cluster.lease(&self.namespace, self.name).await?,
        };
        let before = memory.seen.holder();
        let step = memory.seen.judge(found, &self.holder, BootTime::now());
        if let Some(holder) = memory.seen.holder().filter(|other| before.as_ref() != Some(other)) {
            tracing::info!(lease = self.name, holder, "following");
        }
        let asked = BootTime::now();
        let now = (self.clock)();
        let written = match &step {
            Move::Create => self.cluster.create_lease(&self.namespace, self.name, &self.holder, now).await?,
            Move::Write(lease) => {
                self.cluster.renew_lease(&self.namespace, self.name, lease, &self.holder, now).await?
            }
            Move::Wait => {
                self.ended(tenure);
                return Ok(LOOK);
            }
        };
        memory.ours = Some(written);
        if tenure.hold(asked) {
            tracing::info!(lease = self.name, holder = self.holder, "leading");
        }
        Ok(RENEW)
    }

    fn ended(&self, tenure: &Tenure) {
        if tenure.end() {
            tracing::warn!(lease = self.name, holder = self.holder, "not leading any more");
        }
    }

    async fn give_up(&self, ours: Option<Lease>) {
        let Some(lease) = ours else { return };
        let given = self.cluster.renew_lease(&self.namespace, self.name, &lease, "", (self.clock)());
        match timeout(GIVE_UP, given).await {
            Ok(Ok(_)) => tracing::info!(lease = self.name, "given up"),
            Ok(Err(error)) => tracing::warn!(lease = self.name, "not given up: {error}"),
            Err(_) => tracing::warn!(lease = self.name, "not given up in time"),
        }
    }
}

impl Seen {
    /// Whom we follow.
    pub fn holder(&self) -> Option<String> {
        self.0.as_ref()?.0.holder.clone()
    }

    /// Decides by what was just read; `now` is after the answer. `holder` is ourselves.
    pub fn judge(&mut self, found: Option<Lease>, holder: &str, now: BootTime) -> Move {
        let Some(lease) = found else {
            // whoever held it writes on until it notices
            let is_held = |(seen, since): &(Lease, BootTime)| now.since(*since) < seen.duration;
            return if self.0.as_ref().is_some_and(is_held) { Move::Wait } else { Move::Create };
        };
        if lease.holder.as_deref().is_none_or(|other| other == holder) {
            self.0 = None;
            return Move::Write(lease);
        }
        match &self.0 {
            Some((seen, since)) if seen.spec == lease.spec => {
                if now.since(*since) < lease.duration {
                    return Move::Wait;
                }
                Move::Write(lease)
            }
            _ => {
                self.0 = Some((lease, now));
                Move::Wait
            }
        }
    }
}

/// The same or a fifth more, so that those who wait do not come at the same time.
fn jittered(pause: Duration) -> Duration {
    let mut random = [0; 1];
    // without random bytes they come together, and one of them gets it all the same
    getrandom::fill(&mut random).ok();
    pause.mul_f64(1.0 + f64::from(random[0]) / 255.0 / 5.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The Lease as `holder` wrote it in the n-th version.
    fn lease(holder: &str, n: u64) -> Lease {
        let spec = json!({"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": n});
        Lease::new(json!({"metadata": {"uid": "u", "resourceVersion": n.to_string()}, "spec": spec})).unwrap()
    }

    /// What "we" do about the n-th version of a holder's Lease, or about none, seen at these seconds.
    fn moves(seen: &[(u64, Option<(&str, u64)>)]) -> Vec<&'static str> {
        let start = BootTime::now();
        let mut memory = Seen::default();
        let judged = seen.iter().map(|(second, found)| {
            match memory.judge(
                found.map(|(holder, n)| lease(holder, n)),
                "we",
                start.after(Duration::from_secs(*second)),
            ) {
                Move::Create => "create",
                Move::Write(_) => "write",
                Move::Wait => "wait",
            }
        });
        judged.collect()
    }

    #[test]
    fn a_lease_that_is_free_or_ours_is_written() {
        assert_eq!(moves(&[(0, None)]), ["create"]);
        assert_eq!(moves(&[(0, Some(("", 1)))]), ["write"]);
        assert_eq!(moves(&[(0, Some(("we", 1))), (100, Some(("we", 1)))]), ["write", "write"]);
    }

    #[test]
    fn another_is_waited_for_until_it_has_not_changed_before_our_eyes_for_as_long_as_it_lasts() {
        let still = [(0, Some(("they", 1))), (14, Some(("they", 1))), (15, Some(("they", 1)))];
        assert_eq!(moves(&still), ["wait", "wait", "write"]);
        let renewed =
            [(0, Some(("they", 1))), (14, Some(("they", 2))), (28, Some(("they", 2))), (29, Some(("they", 2)))];
        assert_eq!(moves(&renewed), ["wait", "wait", "wait", "write"]);
    }

    #[test]
    fn after_a_long_sleep_the_first_look_counts_if_it_shows_a_change() {
        assert_eq!(moves(&[(0, Some(("they", 1))), (9000, Some(("they", 2)))]), ["wait", "wait"]);
    }

    #[test]
    fn a_lease_that_was_deleted_keeps_us_away_as_long_as_it_would_have() {
        assert_eq!(moves(&[(0, Some(("they", 1))), (14, None), (15, None)]), ["wait", "wait", "create"]);
    }

    #[test]
    fn a_pause_is_never_shorter() {
        let pause = jittered(RENEW);
        assert!(pause >= RENEW && pause <= RENEW.mul_f64(1.2), "{pause:?}");
    }

    #[test]
    fn holders_differ() {
        assert_ne!(holder("pod").unwrap(), holder("pod").unwrap());
    }
}
