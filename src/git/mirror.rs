//! The bare mirror of a remote, owned by one thread that answers requests over a bounded channel.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::git::error::{Cause, Error};
use crate::git::fetch::{Accepted, Fetch, Known, Look, Unknown};
use crate::git::objects::Objects;
use crate::git::remotes::Remotes;
use crate::git::store::{Store, check_branch};
use crate::git::traffic::{Counters, Traffic};
use crate::model::tree::GitId;

/// Requests that may wait; more wait at the sender.
const QUEUE: usize = 64;

/// A handle to the thread that owns one mirror; the thread ends when the last handle is gone.
#[derive(Clone)]
pub struct Mirror {
    requests: mpsc::Sender<Request>,
    counters: Arc<Counters>,
}

/// A fetch is told apart, so that those that wait together are answered by one look at the remote.
enum Request {
    Fetch(Wanted),
    Run(Box<dyn FnOnce(&mut Store) + Send>),
}

struct Wanted {
    branch: String,
    accepted: Accepted,
    answer: oneshot::Sender<Result<Fetch, Error>>,
}

impl Mirror {
    /// Opens the mirror of `remotes` in `directory`, or makes an empty one. No remote is asked and no URL is stored.
    ///
    /// A directory that is no mirror is put aside as `<directory>.broken`; a damaged mirror is replaced by the next fetch.
    ///
    /// # Errors
    /// `Setup`, `Open`.
    pub async fn open(directory: &Path, remotes: Remotes) -> Result<Self, Error> {
        let (opened, answer) = oneshot::channel();
        let (requests, received) = mpsc::channel(QUEUE);
        let counters = Arc::<Counters>::default();
        let (path, shared) = (directory.to_owned(), Arc::clone(&counters));
        std::thread::Builder::new()
            .name("git-mirror".into())
            .spawn(move || {
                let store = Store::open(&path, remotes, shared);
                let (store, result) = match store {
                    Ok(store) => (Some(store), Ok(())),
                    Err(e) => (None, Err(e)),
                };
                if let (Ok(()), Some(store)) = (opened.send(result), store) {
                    serve(store, received);
                }
            })
            .map_err(|e| Error::Open { path: directory.to_owned(), source: Cause::from(&e) })?;
        answer.await.map_err(|_| Error::Closed)??;
        Ok(Self { requests, counters })
    }

    /// Asks others from the next look or fetch on, or the same with other credentials. The mirror stays.
    ///
    /// # Errors
    /// `Closed`.
    pub async fn change_remotes(&self, remotes: Remotes) -> Result<(), Error> {
        self.run(move |store| {
            store.change_remotes(remotes);
            Ok(())
        })
        .await
    }

    /// Asks the remote for its refs alone, over one connection.
    ///
    /// # Guarantees
    /// Nothing is written, and nothing but the branches' ids is believed. A fetch of branches that did not move costs as much
    /// on the network.
    ///
    /// # Errors
    /// `BranchName`, `Closed`. What is wrong with the remote is `Unknown`.
    pub async fn look(&self, branches: &[String]) -> Result<Look, Error> {
        branches.iter().try_for_each(|branch| check_branch(branch))?;
        let branches = branches.to_vec();
        self.run(move |store| Ok(store.look(&branches))).await
    }

    /// What looks and fetches cost so far. It does not wait for those that are under way.
    pub fn traffic(&self) -> Traffic {
        self.counters.read()
    }

    /// Looks at the remote and gets `branch` with its whole history.
    ///
    /// The places of the remote are tried in their order, until one can be reached: what that one says counts.
    ///
    /// # Guarantees
    /// Nothing is pruned; the mirror's branch moves only if the answer is `Known`.
    /// Fetches that wait together are answered by one, of all their branches, that begins after all of them.
    ///
    /// # Errors
    /// `BranchName`, `Reference`, `Object`, `Closed`: ours. What is wrong with the remote is `Unknown`.
    pub async fn fetch(&self, branch: &str, accepted: Accepted) -> Result<Fetch, Error> {
        check_branch(branch)?;
        let (answer, result) = oneshot::channel();
        self.send(Request::Fetch(Wanted { branch: branch.to_owned(), accepted, answer })).await?;
        result.await.map_err(|_| Error::Closed)?
    }

    /// Asks for all branches of the remote beside what is `known` of it, and gets the history of those that are `wanted`.
    ///
    /// `None` if the protected branch is not where `known` says by now: a fetch tells.
    ///
    /// # Guarantees
    /// Nothing is pruned. A branch that is missing in the answer was not there at some moment after `known`.
    ///
    /// # Errors
    /// `Closed`. What is wrong with the remote is `Unknown`.
    pub async fn branches(
        &self,
        protected: &str,
        known: Known,
        wanted: impl Fn(&str) -> bool + Send + 'static,
    ) -> Result<Result<Option<Known>, Unknown>, Error> {
        let protected = protected.to_owned();
        self.run(move |store| Ok(store.branches(&protected, &known, &wanted))).await
    }

    /// What the last fetch whose answer was `Known` left, of this process or of one before; `None` before the first.
    ///
    /// # Errors
    /// `BranchName`, `Closed`.
    pub async fn last_known(&self, branch: &str) -> Result<Option<Known>, Error> {
        check_branch(branch)?;
        let branch = branch.to_owned();
        self.run(move |store| Ok(store.tip(&branch).map(Known::new))).await
    }

    /// Reads commits, trees and blobs on the mirror's thread. A read whose caller is gone by then is not begun.
    ///
    /// # Errors
    /// Those of `read`, and `Closed`.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Objects<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.run(move |store| store.read(read)).await
    }

    /// Keeps a commit for good, whatever happens to its branch.
    ///
    /// # Errors
    /// `NotFound`, `Reference`, `Closed`.
    pub async fn pin(&self, commit: GitId) -> Result<(), Error> {
        self.run(move |store| store.pin(commit)).await
    }

    /// Lets go of what was kept, but for these commits.
    ///
    /// # Errors
    /// `Reference`, `Closed`.
    pub async fn keep_only(&self, commits: BTreeSet<String>) -> Result<(), Error> {
        self.run(move |store| store.keep_only(&commits)).await
    }

    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Store) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, result) = oneshot::channel();
        let job = move |store: &mut Store| {
            if !answer.is_closed() {
                give(answer, job(store));
            }
        };
        self.send(Request::Run(Box::new(job))).await?;
        result.await.map_err(|_| Error::Closed)?
    }

    async fn send(&self, request: Request) -> Result<(), Error> {
        self.requests.send(request).await.map_err(|_| Error::Closed)
    }
}

/// Answers requests in their order until no handle is left. All that wait are taken at once, and fetched for at once.
fn serve(mut store: Store, mut received: mpsc::Receiver<Request>) {
    let mut batch = Vec::with_capacity(QUEUE);
    while received.blocking_recv_many(&mut batch, QUEUE) > 0 {
        let mut wanted = Vec::new();
        for request in batch.drain(..) {
            match request {
                Request::Run(job) => job(&mut store),
                Request::Fetch(fetch) => wanted.push(fetch),
            }
        }
        if !wanted.is_empty() {
            fetch(&mut store, wanted);
        }
    }
}

fn fetch(store: &mut Store, wanted: Vec<Wanted>) {
    let branches: BTreeSet<String> = wanted.iter().map(|one| one.branch.clone()).collect();
    let fetched = store.fetch(&branches.into_iter().collect::<Vec<_>>());
    for Wanted { branch, accepted, answer } in wanted {
        give(answer, store.judge(&branch, accepted, &fetched));
    }
}

/// Nobody has to wait for the answer any more: that is no error.
fn give<T>(answer: oneshot::Sender<T>, value: T) {
    drop(answer.send(value));
}
