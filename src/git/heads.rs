//! The branches of a remote of which nothing but the refs is read, asked by one thread over a bounded channel.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::git::error::{Cause, Error};
use crate::git::fetch::{Branches, Unknown};
use crate::git::pull;
use crate::git::remotes::Remotes;
use crate::git::store::check_branch;
use crate::git::traffic::Counters;

/// A handle to the thread that looks at one remote; the thread ends with the handle.
pub struct Heads {
    requests: mpsc::Sender<Request>,
}

/// The branch that has to be there, and where the answer goes.
type Request = (String, oneshot::Sender<Result<Branches, Unknown>>);

impl Heads {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// `Setup`, `Thread`.
    pub fn open(remotes: Remotes) -> Result<Self, Error> {
        crate::git::init()?;
        let (requests, mut received) = mpsc::channel::<Request>(1);
        let (remotes, counters) = (Arc::new(remotes), Arc::<Counters>::default());
        let serve = move || {
            while let Some((anchor, answer)) = received.blocking_recv() {
                // nobody waits for the answer any more: nobody needs it
                answer.send(look(&remotes, &counters, &anchor)).ok();
            }
        };
        let thread = std::thread::Builder::new().name("git-heads".into()).spawn(serve);
        thread.map_err(|error| Error::Thread { source: Cause::from(&error) })?;
        Ok(Self { requests })
    }

    /// Asks for the branches, over one connection and in bounded time; those with names that git would not take are left out.
    ///
    /// # Guarantees
    /// Nothing is written. An answer without `anchor` is none: it is `Unknown`.
    ///
    /// # Errors
    /// `Closed`. What is wrong with the remote is `Unknown`.
    pub async fn look(&self, anchor: &str) -> Result<Result<Branches, Unknown>, Error> {
        let (answer, answered) = oneshot::channel();
        self.requests.send((anchor.to_owned(), answer)).await.map_err(|_| Error::Closed)?;
        answered.await.map_err(|_| Error::Closed)
    }
}

fn look(remotes: &Arc<Remotes>, counters: &Arc<Counters>, anchor: &str) -> Result<Branches, Unknown> {
    let mut branches = pull::branches(remotes, counters)?;
    if branches.is_empty() {
        return Err(Unknown::Empty);
    }
    branches.retain(|name, _| check_branch(name).is_ok());
    let is_there = branches.contains_key(anchor);
    if is_there { Ok(branches) } else { Err(Unknown::BranchMissing { branch: anchor.to_owned() }) }
}
