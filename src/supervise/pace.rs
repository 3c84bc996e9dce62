//! When to look again without being told: after failures ever later, with jitter, and never at once.

use std::time::Duration;

use tokio::time::Instant;

/// The first pause after a failure; it doubles.
const FIRST: Duration = Duration::from_secs(1);
/// Longest pause after failures: somebody who mended the cluster waits this long at most.
const LONGEST: Duration = Duration::from_mins(5);
/// Nothing is due: triggers say so. A pass a day costs nothing and finds what a lost trigger would have told.
const IDLE: Duration = Duration::from_hours(24);

/// The pause after a pass that a push caused, once there was rest; it doubles while pushes come in it. People push hardly as often twice.
const AFTER_PUSH: Duration = Duration::from_millis(200);
/// Longest pause in a storm of pushes: the last one waits so long at most.
const IN_STORM: Duration = Duration::from_secs(2);

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

/// The pause between passes that pushes cause: none after rest, and ever longer in a storm, of which only the newest state counts.
#[derive(Debug)]
pub struct Storm {
    pause: Duration,
    over: Instant,
}

impl Default for Storm {
    fn default() -> Self {
        Self { pause: Duration::ZERO, over: Instant::now() }
    }
}

impl Storm {
    /// When the pass may begin for a push that came now, the first since the last pass.
    pub fn due(&mut self, now: Instant) -> Instant {
        if now >= self.over {
            self.pause = Duration::ZERO;
        }
        self.over.max(now)
    }

    /// A pass that a push caused has ended.
    pub fn passed(&mut self, now: Instant) {
        self.pause = (self.pause * 2).clamp(AFTER_PUSH, IN_STORM);
        self.over = now + self.pause;
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

/// Between half and all of an interval: many that heard the same do not act at once.
pub fn spread(interval: Duration) -> Duration {
    interval / 2 + interval / 2 * u32::from(jitter()) / 255
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

    /// The passes that pushes at these times cause, each from when to when, if one takes as long as this.
    fn passes(pushes: impl Iterator<Item = Duration>, takes: Duration) -> Vec<(Duration, Duration)> {
        let mut storm = Storm::default();
        let start = storm.over;
        let mut passes: Vec<(Duration, Duration)> = Vec::new();
        for push in pushes {
            let ended = passes.last().map_or(Duration::ZERO, |(_, to)| *to);
            if passes.last().is_some_and(|(from, _)| push <= *from) {
                // the pass that is waited for has it in it
                continue;
            }
            let from = storm.due(start + push.max(ended)) - start;
            storm.passed(start + from + takes);
            passes.push((from, from + takes));
        }
        passes
    }

    #[test]
    fn a_storm_of_pushes_is_a_few_passes_and_the_last_push_is_in_the_last_one() {
        let tenths = |count: u32| (0..count).map(|tenth| Duration::from_millis(100) * tenth);
        for takes in [5, 50, 500].map(Duration::from_millis) {
            let passes = passes(tenths(100), takes);
            assert!(passes.len() <= 10, "{passes:?}");
            let (last, _) = passes[passes.len() - 1];
            assert!(last >= Duration::from_millis(9_900) && last <= Duration::from_secs(12), "{passes:?}");
        }
    }

    #[test]
    fn a_push_after_rest_waits_for_nothing() {
        let seconds = (0..10).map(Duration::from_secs);
        let begun: Vec<Duration> =
            passes(seconds.clone(), Duration::from_millis(50)).iter().map(|(from, _)| *from).collect();
        assert_eq!(begun, seconds.collect::<Vec<_>>());
    }
}
