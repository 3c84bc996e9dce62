//! How long a branch environment lives: told from when its newest commit was seen, what `osier.yaml` says, and what people say.
//!
//! What a person says counts for the commits that were there then; after a later one it counts on if it says more than `lives` does. So nobody's
//! push is taken from him by what was said before it, and an extension outlasts a push.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::model::environment::{Expires, Life};

/// People are told of an end so long before, or a tenth of the life before, if that is less: enough to push, and soon enough to be remembered.
const LEAD: SignedDuration = SignedDuration::from_hours(1);

/// What an end depends on.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The newest commit of the branch in each repository that has it.
    pub tip: &'a str,
    /// `lives` of the entry of `osier.yaml`.
    pub lives: Option<Duration>,
    /// `spec.expires`.
    pub said: Option<&'a Expires>,
    /// The time.
    pub now: Timestamp,
}

/// How an environment stands to its end.
#[derive(Debug, Default, PartialEq)]
pub struct Outlook {
    /// What the status is to keep; nothing as long as nobody gives it an end.
    pub life: Option<Life>,
    /// Why it is over, if it is.
    pub over: Option<String>,
    /// True if people have to be told now that the end is near.
    pub is_near: bool,
    /// When this is to be asked again.
    pub again: Option<Timestamp>,
}

/// How an environment stands to its end, given what its status kept.
///
/// # Guarantees
/// What `lives` ends was told of before, as long as it should be: an outage, or a `lives` that was made shorter, ends nothing by surprise.
/// A later commit is never over when it is seen first.
pub fn outlook(before: Option<&Life>, facts: &Facts<'_>) -> Outlook {
    let Facts { tip, lives, said, now } = *facts;
    if before.is_none() && lives.is_none() && said.is_none() {
        return Outlook::default();
    }
    let fresh =
        || Life { tip: tip.to_owned(), seen: seconds(now), earlier: before.and(said).cloned(), ..Life::default() };
    let mut life = before.filter(|before| before.tip == tip).cloned().unwrap_or_else(fresh);
    let seen = life.seen.parse::<Timestamp>().unwrap_or(now);
    let end = end(&life, seen, facts);
    if life.over && !is_asked_for(said, now) {
        let over = end.map_or_else(|| "its time was over".to_owned(), |end| end.why);
        return Outlook { life: Some(life), over: Some(over), ..Outlook::default() };
    }
    life.over = false;
    let Some(End { at, why, is_told }) = end else {
        (life.ends, life.warned) = (None, None);
        return Outlook { life: Some(life), ..Outlook::default() };
    };
    let lead = (at.duration_since(seen) / 10).clamp(SignedDuration::ZERO, LEAD);
    let warning = later(at, -lead);
    if now < warning {
        (life.ends, life.warned) = (Some(seconds(at)), None);
        return Outlook { life: Some(life), again: Some(warning), ..Outlook::default() };
    }
    let is_near = life.warned.is_none() && (is_told || now < at);
    let warned = life.warned.get_or_insert_with(|| seconds(now)).parse().unwrap_or(now);
    let at = if is_told { at.max(later(warned, lead)) } else { at };
    life.ends = Some(seconds(at));
    if now < at {
        return Outlook { life: Some(life), over: None, is_near, again: Some(at) };
    }
    Outlook { life: Some(life), over: Some(why), is_near: false, again: None }
}

/// True if somebody wants to have the environment, although its time was over.
pub fn is_asked_for(said: Option<&Expires>, now: Timestamp) -> bool {
    said.and_then(moment).is_some_and(|at| at > now)
}

struct End {
    at: Timestamp,
    why: String,
    /// True if it may not come untold: no person said it.
    is_told: bool,
}

fn end(life: &Life, seen: Timestamp, facts: &Facts<'_>) -> Option<End> {
    let by_lives = facts.lives.map(|lives| {
        let lives = SignedDuration::try_from(lives).unwrap_or(SignedDuration::MAX);
        End { at: later(seen, lives), why: format!("nothing was pushed for {lives:#}"), is_told: true }
    });
    let by_person = facts.said.and_then(|said| {
        let why = format!("ended by {}, {}", said.by, said.reason);
        Some(End { at: moment(said)?, why, is_told: false })
    });
    let is_earlier = life.earlier.as_ref() == facts.said;
    match (by_person, by_lives) {
        (Some(person), None) if is_earlier && person.at <= seen => None,
        (Some(person), Some(lives)) if is_earlier && person.at <= lives.at => Some(lives),
        (Some(person), _) => Some(person),
        (None, by_lives) => by_lives,
    }
}

fn moment(said: &Expires) -> Option<Timestamp> {
    said.at.parse().ok()
}

/// A span later, as far as times go.
fn later(time: Timestamp, span: SignedDuration) -> Timestamp {
    time.checked_add(span).unwrap_or(Timestamp::MAX)
}

fn seconds(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hours after noon.
    fn at(hours: i64) -> Timestamp {
        minutes(hours * 60)
    }

    fn minutes(minutes: i64) -> Timestamp {
        let noon: Timestamp = "2026-11-21T12:00:00Z".parse().expect("a moment");
        noon + SignedDuration::from_mins(minutes)
    }

    fn said(at: Timestamp) -> Expires {
        Expires { at: at.to_string(), by: "ann".to_owned(), reason: "done".to_owned() }
    }

    /// A branch with `lives: 20h`: one pass after the other, each with what was kept by the one before.
    struct Branch {
        lives: Option<Duration>,
        life: Option<Life>,
    }

    impl Branch {
        fn new(lives: u64) -> Self {
            let lives = (lives > 0).then(|| Duration::from_hours(lives));
            Self { lives, life: None }
        }

        fn pass(&mut self, tip: &str, said: Option<&Expires>, now: Timestamp) -> Outlook {
            let outlook = outlook(self.life.as_ref(), &Facts { tip, lives: self.lives, said, now });
            self.life.clone_from(&outlook.life);
            outlook
        }

        fn ends(&self) -> Option<Timestamp> {
            self.life.as_ref()?.ends.as_ref()?.parse().ok()
        }
    }

    #[test]
    fn nobody_gives_it_an_end() {
        assert_eq!(Branch::new(0).pass("a", None, at(0)), Outlook::default());
    }

    #[test]
    fn it_lives_so_long_after_the_newest_commit_was_seen() {
        let mut branch = Branch::new(5);
        let first = branch.pass("a", None, at(0));
        assert_eq!((first.over, first.is_near, first.again), (None, false, Some(minutes(270))));
        branch.pass("a", None, at(2));
        assert_eq!(branch.ends(), Some(at(5)), "another look is no push");
        branch.pass("b", None, at(3));
        assert_eq!(branch.ends(), Some(at(8)));
        let near = branch.pass("b", None, minutes(450));
        assert_eq!((near.over, near.is_near, near.again), (None, true, Some(at(8))));
        assert!(!branch.pass("b", None, minutes(451)).is_near, "once");
        assert_eq!(branch.pass("b", None, at(8)).over, Some("nothing was pushed for 5h".to_owned()));
        assert_eq!(branch.pass("c", None, at(8)).over, None);
    }

    #[test]
    fn what_lives_ends_was_told_of_before() {
        let mut branch = Branch::new(100);
        branch.pass("a", None, at(0));
        // the service was away, or `lives` was longer until now
        let back = branch.pass("a", None, at(200));
        assert_eq!((back.over, back.is_near, back.again), (None, true, Some(at(201))));
        assert!(branch.pass("a", None, at(201)).over.is_some());
    }

    #[test]
    fn a_person_says_otherwise() {
        let mut branch = Branch::new(20);
        branch.pass("a", None, at(0));
        let sooner = said(at(1));
        assert_eq!(branch.pass("a", Some(&sooner), minutes(30)).again, Some(minutes(54)));
        assert!(branch.pass("a", Some(&sooner), at(1)).over.is_some_and(|why| why == "ended by ann, done"));
        let later = said(at(50));
        branch.pass("a", Some(&later), at(2));
        assert_eq!(branch.ends(), Some(at(50)));
        // without `lives` only he does
        let mut branch = Branch::new(0);
        branch.pass("a", Some(&sooner), at(0));
        assert_eq!(branch.ends(), Some(at(1)));
        branch.pass("a", None, at(0));
        assert_eq!(branch.ends(), None);
    }

    #[test]
    fn what_was_said_before_a_push_takes_nothing_from_it() {
        for lives in [0, 20] {
            let mut branch = Branch::new(lives);
            let now = said(at(1));
            branch.pass("a", None, at(0));
            assert!(branch.pass("a", Some(&now), at(1)).over.is_some());
            assert_eq!(branch.pass("b", Some(&now), at(2)).over, None);
            assert_eq!(branch.ends(), (lives > 0).then(|| at(22)));
            // but an extension outlasts it
            let extended = said(at(90));
            branch.pass("b", Some(&extended), at(3));
            branch.pass("c", Some(&extended), at(4));
            assert_eq!(branch.ends(), Some(at(90)));
        }
    }

    #[test]
    fn what_is_over_stays_so_until_a_push_or_a_person() {
        let mut branch = Branch::new(20);
        branch.pass("a", None, at(0));
        branch.pass("a", None, at(19));
        assert!(branch.pass("a", None, at(20)).over.is_some());
        branch.life.as_mut().expect("it is kept").over = true;
        branch.lives = Some(Duration::from_hours(1000));
        assert!(branch.pass("a", None, at(21)).over.is_some(), "a longer `lives` brings nobody back");
        let asked = said(at(30));
        assert_eq!(branch.pass("a", Some(&asked), at(22)).over, None);
        assert_eq!(branch.ends(), Some(at(30)));
        assert!(!branch.life.as_ref().is_some_and(|life| life.over));
    }
}
