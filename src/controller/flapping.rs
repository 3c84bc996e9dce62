//! Two controllers that fight: after some rounds within a minute osier lets the other one have his way for a while, and says so.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::object::ObjectId;

/// Repairs of one object within `WINDOW` that are still somebody's mistake. A person who edits by hand needs seconds for each.
const ROUNDS: usize = 6;
/// How far back repairs count, and how long osier holds still after too many.
pub const WINDOW: Duration = Duration::from_mins(1);

/// When objects were put right.
#[derive(Debug, Default)]
pub struct Flapping {
    repairs: BTreeMap<ObjectId, VecDeque<Instant>>,
    until: Option<Instant>,
}

impl Flapping {
    /// Notes that an object was put right, and says whether that was once too often.
    pub fn repaired(&mut self, object: &ObjectId, now: Instant) -> bool {
        let recent = |then: &Instant| now.duration_since(*then) < WINDOW;
        self.repairs.retain(|_, times| times.back().is_some_and(recent));
        let times = self.repairs.entry(object.clone()).or_default();
        times.push_back(now);
        if times.len() > ROUNDS {
            times.pop_front();
        }
        let too_often = times.len() == ROUNDS && times.front().is_some_and(recent);
        if too_often {
            self.until = Some(now + WINDOW);
        }
        too_often
    }

    /// True unless osier holds still.
    pub fn may_repair(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::object::Kind;

    #[test]
    fn the_sixth_repair_within_a_minute_is_once_too_often() {
        let object = |name: &str| ObjectId::new(Kind::new("", "ConfigMap"), "shop", name);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut flapping = Flapping::default();
        let rounds = [0, 10, 20, 30, 40].map(|second| flapping.repaired(&object("app"), at(second)));
        assert_eq!(rounds, [false; 5]);
        assert!(!flapping.repaired(&object("other"), at(41)));
        assert!(flapping.repaired(&object("app"), at(50)));
        assert!(!flapping.may_repair(at(51)) && flapping.may_repair(at(110)));
        assert!(!flapping.repaired(&object("app"), at(111)), "after a minute of peace it begins anew");
    }
}
