//! What the probes say: whether all parts are ready, and whether the loops still turn.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Longest silence of a loop that beats: what it does in one turn is bounded to less.
const SILENCE: Duration = Duration::from_mins(2);

/// An answer to a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// 200, or 503.
    pub passes: bool,
    /// `ok`, or a line for each part.
    pub text: String,
}

/// What is ready, and what is alive. Parts and hearts have names; what is said of them carries no value of a Secret.
pub struct Health {
    parts: Mutex<BTreeMap<String, Part>>,
    hearts: Mutex<BTreeMap<&'static str, Instant>>,
}

enum Part {
    Ready,
    ReadyBut(String),
    NotReady(String),
}

impl Health {
    /// These parts have to say that they are ready.
    pub fn new<const N: usize>(parts: [&str; N]) -> Self {
        let parts = parts.map(|part| (part.to_owned(), Part::NotReady("not yet".to_owned())));
        Self { parts: Mutex::new(parts.into()), hearts: Mutex::default() }
    }

    /// A part is ready.
    pub fn ready(&self, part: &str) {
        self.parts().insert(part.to_owned(), Part::Ready);
    }

    /// A part is ready, and somebody should know this.
    pub fn ready_but(&self, part: &str, detail: impl Into<String>) {
        self.parts().insert(part.to_owned(), Part::ReadyBut(detail.into()));
    }

    /// A part is not ready, and why.
    pub fn not_ready(&self, part: &str, why: impl Into<String>) {
        self.parts().insert(part.to_owned(), Part::NotReady(why.into()));
    }

    /// There is no such part any more.
    pub fn forget(&self, part: &str) {
        self.parts().remove(part);
    }

    /// A loop turns. One that has beaten once has to go on.
    pub fn beat(&self, heart: &'static str) {
        self.hearts().insert(heart, Instant::now());
    }

    /// A loop has ended, as it was told to.
    pub fn rest(&self, heart: &'static str) {
        self.hearts().remove(heart);
    }

    /// Whether all parts are ready.
    pub fn readiness(&self) -> Probe {
        let parts = self.parts();
        let passes = !parts.values().any(|part| matches!(part, Part::NotReady(_)));
        let lines = parts.iter().filter_map(|(name, part)| match part {
            Part::Ready => None,
            Part::ReadyBut(text) | Part::NotReady(text) => Some((name.as_str(), text.clone())),
        });
        Probe { passes, text: text(passes, lines) }
    }

    /// Whether all loops turn.
    pub fn alive(&self) -> Probe {
        self.alive_at(Instant::now())
    }

    fn alive_at(&self, now: Instant) -> Probe {
        let hearts = self.hearts();
        let silent = |last: Instant| Some(now.saturating_duration_since(last)).filter(|silence| *silence > SILENCE);
        let lines = hearts
            .iter()
            .filter_map(|(name, last)| Some((*name, format!("silent for {} s", silent(*last)?.as_secs()))))
            .collect::<Vec<_>>();
        Probe { passes: lines.is_empty(), text: text(lines.is_empty(), lines.into_iter()) }
    }

    fn parts(&self) -> MutexGuard<'_, BTreeMap<String, Part>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hearts(&self) -> MutexGuard<'_, BTreeMap<&'static str, Instant>> {
        self.hearts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn text<'a>(passes: bool, lines: impl Iterator<Item = (&'a str, String)>) -> String {
    let mut text = if passes { "ok\n".to_owned() } else { String::new() };
    for (name, line) in lines {
        writeln!(text, "{name}: {line}").expect("a String takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_all_parts() {
        let health = Health::new(["keys", "repositories"]);
        health.ready("keys");
        assert_eq!(health.readiness(), Probe { passes: false, text: "repositories: not yet\n".to_owned() });
        health.ready("repositories");
        health.ready_but("keys", "no identity in `b.txt`");
        assert_eq!(health.readiness(), Probe { passes: true, text: "ok\nkeys: no identity in `b.txt`\n".to_owned() });
        health.not_ready("repository shop", "no mirror");
        assert!(!health.readiness().passes);
        health.forget("repository shop");
        assert!(health.readiness().passes);
    }

    #[test]
    fn alive_means_that_what_has_beaten_goes_on() {
        let health = Health::new([]);
        assert!(health.alive().passes);
        health.beat("environments");
        assert!(health.alive().passes);
        let late = health.alive_at(Instant::now() + SILENCE * 2);
        assert!(!late.passes && late.text.starts_with("environments: silent for 2"), "{late:?}");
        health.rest("environments");
        assert!(health.alive_at(Instant::now() + SILENCE * 2).passes);
    }
}
