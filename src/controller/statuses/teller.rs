//! Tells the forges: one after the other, the newest of each context alone, again after a pause if that may help.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::controller::metrics::Metrics;
use crate::controller::statuses::{Context, Follow, Note, Rooms, Saying, Waiting};
use crate::git::credentials::Credentials;
use crate::git::failure::Failure;
use crate::git::forge::{Forge, Shown, Sort};
use crate::model::reason::Reason;
use crate::model::repository::{CommitStatuses, Repository};
use crate::supervise::pace::{jittered, until};

/// How often one thing is tried in a row.
const ATTEMPTS: u32 = 5;
/// How often a status is tried in all: after the first ones as often as it is looked for pull requests, so for more than an hour. A commit that
/// stays pending may keep others from being merged.
const LAST: u32 = ATTEMPTS + 15;
/// The first pause between two of them; it doubles.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest pause that a forge may ask for at once: after it, it can ask for another.
const LONGEST: Duration = Duration::from_mins(15);
/// A comment is changed this often at most: whoever reads it is not faster, and forges count what is written.
const CHANGES: Duration = Duration::from_secs(5);
/// Comments that are seen to before what came meanwhile is taken in.
const AT_ONCE: usize = 20;
/// Between two environments of which it is told that they wait for room: thousands may, and GitHub, for one, takes no more than some 500
/// statuses and comments an hour, most of which are to be left to those that go on.
const ROOM: Duration = Duration::from_secs(15);
/// How often it is looked whether a pull request was opened that nobody told of: one list of each repository.
const LOOK: Duration = Duration::from_mins(5);
/// How often at most, when the receiver hears of something.
const LOOK_SOON: Duration = Duration::from_secs(30);

/// Has forges show what they are to show.
pub struct Teller {
    cluster: Arc<Cluster>,
    repository: watch::Receiver<Arc<Repository>>,
    metrics: Arc<Metrics>,
    /// The forges, as the Repository names them, while they take what they are told.
    forges: BTreeMap<Follow, (Site, Forge)>,
    /// Forges that want to be left alone until then.
    quiet: BTreeMap<Follow, Instant>,
    /// What commits are to show still.
    statuses: BTreeMap<Context, Status>,
    /// What commits are to show of environments that wait for room, and what of that was told or tried already.
    rooms: Arc<Rooms>,
    told_of_rooms: Rooms,
    /// When to tell of the next of them; `None` if nothing is left to tell.
    room_due: Option<Instant>,
    /// Not before this.
    room_earliest: Instant,
    /// What each context showed last.
    shown: BTreeMap<Context, Shown>,
    /// What the pull requests of branches show, or would if they had any.
    notes: BTreeMap<Context, Noted>,
    looked: Option<Instant>,
    look: Instant,
    /// What `status.lookAt` of the Repository said then.
    look_at: Option<String>,
}

/// URL of a repository, and the forge that it lies on.
type Site = (String, CommitStatuses);

struct Status {
    shown: Shown,
    attempt: u32,
    due: Instant,
}

struct Noted {
    note: Note,
    /// The pull requests that show it.
    on: BTreeSet<u64>,
    /// When one of them was changed last.
    changed: Option<Instant>,
    attempt: u32,
    /// When to see to it; `None` if nothing is left to do until the next look.
    due: Option<Instant>,
}

impl Teller {
    /// One that has told nothing yet.
    pub fn new(cluster: Arc<Cluster>, repository: watch::Receiver<Arc<Repository>>, metrics: Arc<Metrics>) -> Self {
        let look_at = look_at(&repository.borrow());
        Self {
            cluster,
            repository,
            metrics,
            forges: BTreeMap::new(),
            quiet: BTreeMap::new(),
            statuses: BTreeMap::new(),
            rooms: Arc::default(),
            told_of_rooms: Rooms::new(),
            room_due: None,
            room_earliest: Instant::now(),
            shown: BTreeMap::new(),
            notes: BTreeMap::new(),
            looked: None,
            look: Instant::now() + jittered(LOOK),
            look_at,
        }
    }

    /// Tells the forges what comes, until nobody has anything to tell. Of what waits together, the newest of each context counts; statuses
    /// come before comments, the Repository's own forge before others, and all of it before environments that wait for room.
    pub async fn tell(mut self, mut waiting: Waiting) {
        // when the service ends, passes that are under way still have something to tell
        let mut is_told = true;
        loop {
            let due = self.due();
            tokio::select! {
                biased;
                said = waiting.queue.recv() => match said {
                    Some((follow, saying)) => self.take(follow, saying, Instant::now()),
                    None => return,
                },
                changed = self.repository.changed(), if is_told => match changed {
                    Ok(()) => self.heard(Instant::now()),
                    Err(_) => is_told = false,
                },
                Ok(()) = waiting.rooms.changed() => self.take_rooms(waiting.rooms.borrow_and_update().clone()),
                () = until(due) => self.act(Instant::now()).await,
            }
        }
    }

    fn take(&mut self, follow: Follow, saying: Saying, now: Instant) {
        match saying {
            Saying::Status(shown) => {
                if site(&self.repository.borrow(), follow.as_deref()).is_none() {
                    return;
                }
                let context = (follow, shown.context.clone());
                if let Some(status) = self.statuses.get_mut(&context) {
                    // a short pause that is under way goes on
                    let due = if status.attempt < ATTEMPTS { status.due } else { now };
                    *status = Status { shown, attempt: 0, due };
                } else if self.shown.get(&context) != Some(&shown) {
                    self.statuses.insert(context, Status { shown, attempt: 0, due: now });
                }
            }
            Saying::Note(note) => {
                if !site(&self.repository.borrow(), follow.as_deref()).is_some_and(|(_, site)| site.comments) {
                    return;
                }
                let context = (follow, note.comment.environment.clone());
                match self.notes.get_mut(&context) {
                    Some(noted) => noted.take(note, now),
                    None => drop(self.notes.insert(context, Noted::new(note, now))),
                }
            }
        }
    }

    /// Other environments wait for room, or for something else. One that does no more goes on by itself.
    fn take_rooms(&mut self, rooms: Arc<Rooms>) {
        self.told_of_rooms.retain(|context, _| rooms.contains_key(context));
        self.rooms = rooms;
        self.room_due = Some(self.room_earliest);
    }

    /// Somebody may have told the receiver of a pull request, or where commits are shown.
    fn heard(&mut self, now: Instant) {
        self.room_due = Some(self.room_earliest);
        let look_at = look_at(&self.repository.borrow());
        if std::mem::replace(&mut self.look_at, look_at.clone()) != look_at {
            let earliest = self.looked.map_or(now, |looked| looked + LOOK_SOON);
            self.look = self.look.min(earliest.max(now));
        }
    }

    /// When there is something to do.
    fn due(&self) -> Option<Instant> {
        let statuses = self.statuses.iter().map(|(context, status)| self.after_quiet(context, status.due));
        let notes = self.notes.iter().filter_map(|(context, noted)| Some(self.after_quiet(context, noted.due?)));
        let look = (!self.notes.is_empty()).then_some(self.look);
        statuses.chain(notes).chain(look).chain(self.room_due).min()
    }

    fn after_quiet(&self, (follow, _): &Context, due: Instant) -> Instant {
        self.quiet.get(follow).map_or(due, |quiet| due.max(*quiet))
    }

    /// Does one thing that is due.
    async fn act(&mut self, now: Instant) {
        if self.look <= now {
            (self.looked, self.look) = (Some(now), now + jittered(LOOK));
            self.notes.values_mut().filter(|noted| noted.due.is_none()).for_each(|noted| noted.looks(now));
        }
        let status = self.statuses.iter().find(|(context, status)| self.after_quiet(context, status.due) <= now);
        if let Some(context) = status.map(|(context, _)| context.clone()) {
            return self.show(context).await;
        }
        let is_due =
            |(context, noted): &(&Context, &Noted)| noted.due.is_some_and(|due| self.after_quiet(context, due) <= now);
        let mut due: Vec<Context> = self.notes.iter().filter(is_due).map(|(context, _)| context.clone()).collect();
        let Some((follow, _)) = due.first().cloned() else { return self.tell_of_a_room(now) };
        due.retain(|context| context.0 == follow);
        self.comment(&follow, due).await;
    }

    /// The next of the environments that wait for room is told of, as others are.
    fn tell_of_a_room(&mut self, now: Instant) {
        if self.room_due.is_none_or(|due| due > now) {
            return;
        }
        let repository = self.repository.borrow();
        let is_untold = |(context, shown): &(&Context, &Shown)| {
            self.told_of_rooms.get(*context) != Some(*shown) && site(&repository, context.0.as_deref()).is_some()
        };
        let mut untold = self.rooms.iter().filter(is_untold).peekable();
        if untold.peek().is_none() {
            self.room_due = None;
            return;
        }
        self.room_earliest = now + ROOM;
        self.room_due = Some(self.room_earliest);
        // a forge that wants to be left alone is told later
        let next = untold.find(|(context, _)| self.after_quiet(context, now) <= now);
        if let Some((context, shown)) = next.map(|(context, shown)| (context.clone(), shown.clone())) {
            self.told_of_rooms.insert(context.clone(), shown.clone());
            self.statuses.insert(context, Status { shown, attempt: 0, due: now });
        }
    }

    /// Tries once to have a commit show it.
    async fn show(&mut self, context: Context) {
        let Some(Status { shown, attempt, .. }) = self.statuses.remove(&context) else { return };
        let next = match self.forge(&context.0).await {
            None => later(attempt),
            Some((site, forge)) => match forge.show(shown.clone()).await {
                Ok(()) => {
                    self.forges.insert(context.0.clone(), (site, forge));
                    self.shown.insert(context, shown);
                    return self.metrics.commit_status(&self.name(), true);
                }
                Err(failure) => {
                    self.failed(&context, &failure);
                    again(&failure, attempt)
                }
            },
        };
        let is_slow = |attempt: u32| attempt >= ATTEMPTS;
        if next.is_none_or(|(next, _)| is_slow(next) && !is_slow(attempt)) {
            self.metrics.commit_status(&self.name(), false);
        }
        if let Some((attempt, pause)) = next {
            self.statuses.insert(context, Status { shown, attempt, due: Instant::now() + pause });
        }
    }

    /// Tries once to have the pull requests of these branches show their comments.
    async fn comment(&mut self, follow: &Follow, due: Vec<Context>) {
        let wants = site(&self.repository.borrow(), follow.as_deref()).is_some_and(|(_, site)| site.comments);
        if !wants {
            return self.notes.retain(|context, _| context.0 != *follow);
        }
        let Some((site, forge)) = self.forge(follow).await else {
            return due.iter().for_each(|context| self.gives_up(context));
        };
        let name = self.name();
        let folds = Sort::parse(&site.1.forge).is_ok_and(Sort::has_html);
        let branch = self.notes.get(&due[0]).map(|noted| noted.note.branch.clone()).filter(|_| due.len() == 1);
        let pulls = match forge.pulls(branch).await {
            Ok(pulls) => pulls,
            Err(failure) => {
                self.failed(&due[0], &failure);
                return due.iter().for_each(|context| self.postpone(context, &failure));
            }
        };
        let mut written = 0;
        for context in due {
            let Some(noted) = self.notes.get_mut(&context).filter(|_| written < AT_ONCE) else { continue };
            let (comment, marker) = (&noted.note.comment, noted.note.comment.marker());
            let mut result = Ok(());
            for pull in pulls.iter().filter(|pull| pull.branch == noted.note.branch) {
                if noted.on.contains(&pull.number) {
                    continue;
                }
                let comment = comment.clone();
                let write = move |before: Option<&str>| comment.text(folds, before);
                result = forge.comment(pull.number, marker.clone(), write).await;
                if result.is_err() {
                    break;
                }
                noted.on.insert(pull.number);
                noted.changed = Some(Instant::now());
                written += 1;
                self.metrics.comment(&name, true);
            }
            match result {
                Ok(()) => self.noted(&context),
                // the forge is asked anew, with today's credentials
                Err(failure) => {
                    self.failed(&context, &failure);
                    return self.postpone(&context, &failure);
                }
            }
        }
        self.forges.insert(follow.clone(), (site, forge));
    }

    fn noted(&mut self, context: &Context) {
        let Some(noted) = self.notes.get_mut(context) else { return };
        (noted.due, noted.attempt) = (None, 0);
        if noted.note.comment.reason == Reason::Gone {
            self.notes.remove(context);
        }
    }

    fn postpone(&mut self, context: &Context, failure: &Failure) {
        let Some(noted) = self.notes.get_mut(context) else { return };
        noted.due = Some(Instant::now() + PAUSE * 2_u32.pow(noted.attempt));
        noted.attempt += 1;
        if !may_pass(failure) || noted.attempt >= ATTEMPTS {
            self.gives_up(context);
        }
    }

    /// Until the next look.
    fn gives_up(&mut self, context: &Context) {
        self.metrics.comment(&self.name(), false);
        if let Some(noted) = self.notes.get_mut(context) {
            noted.due = None;
        }
    }

    fn failed(&mut self, (follow, context): &Context, failure: &Failure) {
        if let Failure::Limited { seconds } = failure {
            self.quiet.insert(follow.clone(), Instant::now() + Duration::from_secs(*seconds).min(LONGEST));
        }
        let repository = self.name();
        tracing::warn!(repository, follow, context, "the forge does not show how it stands: {failure}");
    }

    fn name(&self) -> String {
        self.repository.borrow().metadata.name.clone().unwrap_or_default()
    }

    /// The forge with today's credentials, taken out: who has told it something puts it back. `None` if it cannot be told anything.
    async fn forge(&mut self, follow: &Follow) -> Option<(Site, Forge)> {
        let site = site(&self.repository.borrow(), follow.as_deref())?;
        if let Some((known, forge)) = self.forges.remove(follow).filter(|(known, _)| *known == site) {
            return Some((known, forge));
        }
        let repository = self.repository.borrow().clone();
        match self.open(&site, &repository).await {
            Ok(forge) => Some((site, forge)),
            Err(why) => {
                tracing::warn!(repository = repository.metadata.name, follow, "the forge shows nothing: {why}");
                None
            }
        }
    }

    async fn open(&self, site: &Site, repository: &Repository) -> Result<Forge, String> {
        let (url, CommitStatuses { forge, credentials, api, .. }) = site;
        let sort = Sort::parse(forge).map_err(|error| error.to_string())?;
        let home = &repository.spec.home;
        let data = self.cluster.secret(home, credentials).await.map_err(|error| error.to_string())?;
        let data = data.ok_or_else(|| format!("there is no Secret `{home}/{credentials}`"))?;
        let credentials = Credentials::from_secret(data).map_err(|error| error.to_string())?;
        Forge::open(sort, url, api.as_deref(), credentials).map_err(|error| error.to_string())
    }
}

impl Noted {
    fn new(note: Note, now: Instant) -> Self {
        Self { note, on: BTreeSet::new(), changed: None, attempt: 0, due: Some(now) }
    }

    /// Something else is to be said, perhaps.
    fn take(&mut self, note: Note, now: Instant) {
        if self.note == note {
            return;
        }
        let earliest = self.changed.map_or(now, |changed| (changed + CHANGES).max(now));
        // a pause that is under way goes on
        self.due = Some(self.due.map_or(earliest, |due| due.max(earliest)));
        (self.note, self.attempt) = (note, 0);
        self.on.clear();
    }

    /// There may be another pull request.
    fn looks(&mut self, now: Instant) {
        (self.due, self.attempt) = (Some(now), 0);
    }
}

fn look_at(repository: &Repository) -> Option<String> {
    repository.status.as_ref()?.look_at.clone()
}

/// Where the commits of a repository are shown; `None` if nowhere.
fn site(repository: &Repository, follow: Option<&str>) -> Option<Site> {
    let spec = &repository.spec;
    let Some(name) = follow else { return Some((spec.url.clone(), spec.statuses.clone()?)) };
    let follow = spec.follows.iter().find(|follow| follow.name == name)?;
    Some((follow.url.clone(), follow.statuses.clone()?))
}

/// Which attempt is the next one, and after what pause; `None` if it would be refused for good.
fn again(failure: &Failure, attempt: u32) -> Option<(u32, Duration)> {
    let is_next = may_pass(failure) && attempt + 1 < ATTEMPTS;
    match failure {
        _ if is_next => Some((attempt + 1, PAUSE * 2_u32.pow(attempt))),
        // that is about the commit, or what was said of it
        Failure::Status { code: 400..500 } => None,
        _ => later(attempt),
    }
}

/// The same once it is no use to hurry: somebody has to change a token, say.
fn later(attempt: u32) -> Option<(u32, Duration)> {
    let next = (attempt + 1).max(ATTEMPTS);
    (next < LAST).then(|| (next, jittered(LOOK)))
}

/// True if the forge may take it in a moment.
fn may_pass(failure: &Failure) -> bool {
    match failure {
        Failure::Lookup { .. }
        | Failure::Connect { .. }
        | Failure::Silent { .. }
        | Failure::Slow { .. }
        | Failure::BrokenOff { .. }
        | Failure::Proxy { .. }
        | Failure::Limited { .. }
        // the token was exchanged: the next attempt has today's
        | Failure::Unauthorized { before: true } => true,
        Failure::Status { code } => *code == 409 || *code >= 500,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_help_is_tried_soon_and_what_somebody_has_to_mend_later() {
        let pauses = |failure: &Failure| {
            let (mut attempt, mut pauses) = (0, Vec::new());
            while let Some((next, pause)) = again(failure, attempt) {
                attempt = next;
                pauses.push(pause);
            }
            pauses
        };
        let away = pauses(&Failure::Status { code: 503 });
        assert_eq!(away[..4], [1, 2, 4, 8].map(Duration::from_secs));
        assert!(away[4..].len() == 15 && away[4..].iter().all(|pause| *pause > LOOK / 3), "{away:?}");
        let exchanged = Failure::Unauthorized { before: true };
        assert_eq!(again(&exchanged, 0), Some((1, PAUSE)), "it has today's token then");
        for failure in [Failure::Unauthorized { before: false }, Failure::Forbidden, Failure::NoRepository] {
            assert!(pauses(&failure).len() == 15 && pauses(&failure)[0] > LOOK / 3, "{failure}");
        }
        assert!(pauses(&Failure::Status { code: 422 }).is_empty());
    }
}
