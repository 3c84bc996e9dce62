//! What commits and pull requests show on the forge of how environments stand.
//!
//! A commit has `osier/<environment>`, pending, then success or failure; an open pull request of a branch has one comment, if the Repository
//! wants that. Both are said off the path: a pass never waits for a forge. A status has the reason and its meaning, both of the closed list,
//! or the cap that keeps an environment waiting, so that nothing of the repository's content gets there; of what a comment has, `report::comment`
//! tells.

pub mod teller;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::git::forge::{Mark, Shown};
use crate::model::reason::Reason;
use crate::model::tree::GitId;
use crate::model::wire::MANAGER;
use crate::reconcile::settle::Verdict;
use crate::report::comment::{self, Comment};

/// What may wait for the forge; what comes beyond is dropped: the conditions say it, too.
const QUEUE: usize = 256;

/// What forges are to show; clones share the queue.
#[derive(Clone)]
pub struct Statuses {
    queue: mpsc::Sender<(Follow, Saying)>,
    rooms: watch::Sender<Arc<Rooms>>,
}

/// What commits are to show of the environments that wait for room, however many they are, as long as they wait.
pub type Rooms = BTreeMap<Context, Shown>;

/// A repository, and what is told there: the name of a status or of an environment.
pub type Context = (Follow, String);

/// A commit that shows how an environment stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The followed repository that it is of; without it the Repository's own.
    pub follow: Follow,
    /// Which one.
    pub commit: GitId,
}

/// Name of a followed repository, or the Repository's own.
pub type Follow = Option<String>;

/// What a forge is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saying {
    /// At a commit.
    Status(Shown),
    /// At the open pull requests of a branch.
    Note(Note),
}

/// What the open pull requests of a branch show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The branch.
    pub branch: String,
    /// What is said there.
    pub comment: Comment,
}

/// What is still to be shown.
pub struct Waiting {
    /// As it comes.
    pub queue: mpsc::Receiver<(Follow, Saying)>,
    /// All that there is of this.
    pub rooms: watch::Receiver<Arc<Rooms>>,
}

impl Statuses {
    /// One that has nothing to show yet, and what it will have.
    pub fn new() -> (Self, Waiting) {
        let ((queue, waiting), (rooms, seen)) = (mpsc::channel(QUEUE), watch::channel(Arc::default()));
        (Self { queue, rooms }, Waiting { queue: waiting, rooms: seen })
    }

    /// These environments wait for room, each with its commits and what it waits for; of others nothing more is said here.
    pub fn wait<'a>(&self, environments: impl Iterator<Item = (&'a str, Place, String)>) {
        let shown = |(environment, Place { follow, commit }, why): (&str, Place, String)| {
            let context = format!("{MANAGER}/{environment}");
            let description = format!("{}: {why}", Reason::CapReached);
            let shown = Shown { commit, context: context.clone(), mark: Mark::Pending, description, link: None };
            ((follow, context), shown)
        };
        let now: Rooms = environments.map(shown).collect();
        self.rooms.send_if_modified(|before| {
            let is_new = **before != now;
            if is_new {
                *before = Arc::new(now);
            }
            is_new
        });
    }

    /// The environment begins to look at this commit.
    pub fn begins(&self, environment: &str, place: Place) {
        self.tell(environment, place, Mark::Pending, "osier is looking at it".to_owned(), None);
    }

    /// The conditions of the environment, which is at this address, say this of the commit.
    pub fn said(&self, environment: &str, place: Place, verdict: &Verdict, address: Option<&str>) {
        let Some(mark) = mark(verdict) else { return };
        let waits = if verdict.waits() { ", and its workloads are not ready yet" } else { "" };
        let meaning = verdict.reason.meaning().trim_end_matches('.');
        // what is not there yet helps nobody
        let link = address.filter(|_| mark == Mark::Success).and_then(comment::link).map(str::to_owned);
        self.tell(environment, place, mark, format!("{}: {meaning}{waits}", verdict.reason), link);
    }

    /// The open pull requests of a branch are to show this.
    pub fn noted(&self, follow: Follow, note: Note) {
        if self.queue.try_send((follow, Saying::Note(note))).is_err() {
            tracing::debug!("a comment is dropped: too much is waiting");
        }
    }

    fn tell(
        &self,
        environment: &str,
        Place { follow, commit }: Place,
        mark: Mark,
        description: String,
        link: Option<String>,
    ) {
        let shown = Shown { commit, context: format!("{MANAGER}/{environment}"), mark, description, link };
        if self.queue.try_send((follow, Saying::Status(shown))).is_err() {
            tracing::debug!(environment, "a commit status is dropped: too many are waiting");
        }
    }
}

/// `None` where the environment is not ours to speak of.
fn mark(verdict: &Verdict) -> Option<Mark> {
    Some(match verdict.reason {
        Reason::Elsewhere | Reason::Orphaned => return None,
        // how an environment ends says nothing of the commit
        Reason::Expiring | Reason::NamespaceTerminating | Reason::Gone => return None,
        Reason::HeldBack
        | Reason::Suspended
        | Reason::AdoptionHeld
        | Reason::MassDeletionHeld
        | Reason::ApprovalPending
        | Reason::CapReached
        | Reason::Interrupted
        | Reason::Conflict
        | Reason::ServerUnavailable => Mark::Pending,
        _ if verdict.ready => Mark::Success,
        _ if verdict.waits() => Mark::Pending,
        _ => Mark::Failure,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place { follow: None, commit: GitId([1; 20]) }
    }

    #[test]
    fn what_was_applied_is_green_what_waits_is_yellow_and_the_rest_is_red() {
        let verdict =
            |reason, ready| Verdict { ready, reason, message: "Secret/db at line 3".to_owned(), stalled: false };
        for (reason, ready, wanted) in [
            (Reason::Applied, true, Some(Mark::Success)),
            (Reason::Applied, false, Some(Mark::Pending)),
            (Reason::Observing, true, Some(Mark::Success)),
            (Reason::HeldBack, true, Some(Mark::Pending)),
            (Reason::Suspended, false, Some(Mark::Pending)),
            (Reason::CapReached, false, Some(Mark::Pending)),
            (Reason::ProblemsFound, false, Some(Mark::Failure)),
            (Reason::CheckFailed, false, Some(Mark::Failure)),
            (Reason::Elsewhere, false, None),
        ] {
            assert_eq!(mark(&verdict(reason, ready)), wanted, "{reason}");
        }
        for reason in Reason::ALL {
            let (statuses, mut waiting) = Statuses::new();
            statuses.said("staging", place(), &verdict(*reason, false), Some("https://x.example.com"));
            let Ok((_, Saying::Status(shown))) = waiting.queue.try_recv() else { continue };
            assert_eq!(shown.link, None, "it is not there");
            assert!(!shown.description.contains("Secret/db") && shown.description.len() < 200, "{shown:?}");
        }
    }

    #[test]
    fn a_queue_that_is_full_takes_nothing_and_stops_nobody() {
        let (statuses, waiting) = Statuses::new();
        for _ in 0..2 * QUEUE {
            statuses.begins("staging", place());
        }
        assert_eq!(waiting.queue.len(), QUEUE);
    }

    #[test]
    fn what_is_there_can_be_visited() {
        let (statuses, mut waiting) = Statuses::new();
        let verdict =
            Verdict { ready: true, reason: Reason::Applied, message: "equals 4f2a91c".to_owned(), stalled: false };
        for (address, wanted) in [
            (None, None),
            (Some("https://x.example.com/a"), Some("https://x.example.com/a")),
            (Some("http://x"), Some("http://x")),
            (Some("javascript:alert(1)"), None),
            (Some("https://x.example.com/ [y](z)"), None),
        ] {
            statuses.said("staging", place(), &verdict, address);
            let Ok((_, Saying::Status(shown))) = waiting.queue.try_recv() else { panic!("nothing is told") };
            assert_eq!(shown.link.as_deref(), wanted, "{address:?}");
        }
    }
}
