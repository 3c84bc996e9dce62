//! When to look again without being told: after failures ever later, with jitter, and never at once.

use std::time::Duration;

use tokio::time::Instant;

/// The first pause after a failure; it doubles.
const FIRST: Duration = Duration::from_secs(1);
/// Longest pause after failures: somebody who mended the cluster waits this long at most.
const LONGEST: Duration = Duration::from_mins(5);
/// Nothing is due: triggers say so. A pass a day costs nothing and finds what a lost trigger would have told.
const IDLE: Duration = Duration::from_hours(24);

/// When the next look is due.
#[derive(Debug)]
pub struct Pace {
    again: Instant,
    failures: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { again: Instant::now() + IDLE, failures: 0 }
    }
}

impl Pace {
    /// When the next look is due.
    pub fn again(&self) -> Instant {
        self.again
    }

    /// A look went well; the next one is due after `next`, if at all.
    pub fn went_well(&mut self, next: Option<Duration>) {
        *self = Self { again: Instant::now() + next.unwrap_or(IDLE).min(IDLE), failures: 0 };
    }

    /// A look failed, and may not fail again later.
    pub fn failed(&mut self) {
        self.again = Instant::now() + pause(self.failures, jitter());
        self.failures = self.failures.saturating_add(1);
    }
}

/// Never, if no time is set.
pub async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Between nine tenths and all of an interval.
pub fn jittered(interval: Duration) -> Duration {
    interval / 10 * 9 + interval / 10 * u32::from(jitter()) / 255
}

/// Between half and all of a pause that doubles; `jitter` is from 0 to 255.
fn pause(failures: u32, jitter: u8) -> Duration {
    let whole = FIRST.saturating_mul(1 << failures.min(16)).min(LONGEST);
    whole / 2 + whole / 2 * u32::from(jitter) / 255
}

/// Without randomness many would come back together, which is all that is lost.
fn jitter() -> u8 {
    let mut byte = [128];
    // nothing else is lost
    getrandom::fill(&mut byte).ok();
    byte[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit() {
        let millis = |failures, jitter| pause(failures, jitter).as_millis();
        assert_eq!([0, 1, 2, 3].map(|failures| millis(failures, 255)), [1_000, 2_000, 4_000, 8_000]);
        assert_eq!((millis(0, 0), millis(60, 0), millis(u32::MAX, 255)), (500, 150_000, 300_000));
    }
}
