//! L3: the one place where tasks are spawned: named, watched, and ended in order.

pub mod pace;

use std::collections::HashMap;
use std::io;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::timeout;

/// Longest time for what is under way: Kubernetes kills a pod 30 s after it was told to end.
const WORK: Duration = Duration::from_secs(23);
/// Longest time for what ends last, such as giving up a Lease.
const LAST: Duration = Duration::from_secs(5);

/// Why the process ends other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A task ended that runs as long as the process.
    #[error("`{task}` ended by itself")]
    Ended {
        /// Its name.
        task: String,
    },
    /// A task failed.
    #[error("`{task}` failed")]
    Failed {
        /// Its name.
        task: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// A task panicked. The log says where; what it said is not kept, it might quote a value.
    #[error("`{task}` panicked")]
    Panicked {
        /// Its name.
        task: String,
    },
    /// Tasks did not end in time.
    #[error("did not end in time: {}", .tasks.join(", "))]
    Late {
        /// Their names.
        tasks: Vec<String>,
    },
    /// A second signal came.
    #[error("ended at once by a second signal")]
    Cut,
}

/// What a task failed with.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// When a task is told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// At once: it finishes its step.
    First,
    /// Once all others have ended: the Lease, and the probes.
    Last,
}

/// Tells a task to stop.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// True once it was said.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once it is said.
    pub async fn requested(&self) {
        // an error is the end of whoever would say it, which says as much
        self.0.clone().wait_for(|said| *said).await.ok();
    }
}

impl Stop {
    /// Runs what never ends by itself until told to stop; it is dropped then.
    ///
    /// # Errors
    /// That of `running`.
    pub async fn ends<E>(self, running: impl Future<Output = Result<(), E>>) -> Result<(), E> {
        tokio::select! {
            () = self.requested() => Ok(()),
            ended = running => ended,
        }
    }
}

/// The named tasks of the process, in one JoinSet.
pub struct Tasks {
    running: JoinSet<Result<(), Cause>>,
    names: HashMap<Id, (String, Order)>,
    first: watch::Sender<bool>,
    last: watch::Sender<bool>,
}

impl Default for Tasks {
    fn default() -> Self {
        let told = || watch::channel(false).0;
        Self { running: JoinSet::new(), names: HashMap::new(), first: told(), last: told() }
    }
}

impl Tasks {
    /// What tells the tasks of this order to stop.
    pub fn stop(&self, order: Order) -> Stop {
        Stop(self.told(order).subscribe())
    }

    /// Spawns a task that runs until it is told to stop.
    pub fn spawn<E: Into<Cause>>(
        &mut self,
        name: impl Into<String>,
        order: Order,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let task = self.running.spawn(async { task.await.map_err(Into::into) });
        self.names.insert(task.id(), (name.into(), order));
    }

    /// Runs the tasks until a signal comes or one of them ends, then ends them in order.
    ///
    /// # Guarantees
    /// No task outlives it: what does not end in time is aborted.
    ///
    /// # Errors
    /// What ended the process, if it was no signal: the first of them. `Late`, `Cut`.
    pub async fn run(self, mut signals: Signals) -> Result<(), Error> {
        self.run_until(async || signals.next().await).await
    }

    async fn run_until(mut self, mut told: impl AsyncFnMut()) -> Result<(), Error> {
        let outcome = tokio::select! {
            () = told() => {
                tracing::info!("told to stop");
                Ok(())
            }
            ended = self.next_end() => Err(ended.unwrap_or(Error::Ended { task: "all".to_owned() })),
        };
        let drained = tokio::select! {
            () = told() => return Err(Error::Cut),
            drained = self.drain() => drained,
        };
        outcome.and(drained)
    }

    async fn drain(&mut self) -> Result<(), Error> {
        let first = self.drain_order(Order::First, WORK).await;
        let last = self.drain_order(Order::Last, LAST).await;
        first.and(last)
    }

    async fn drain_order(&mut self, order: Order, limit: Duration) -> Result<(), Error> {
        self.told(order).send_replace(true);
        let mut outcome = Ok(());
        let all = async {
            while self.names.values().any(|(_, other)| *other == order) {
                let Some(ended) = self.next_end().await else { break };
                outcome = std::mem::replace(&mut outcome, Ok(())).and(unexpected(ended));
            }
        };
        if timeout(limit, all).await.is_ok() {
            return outcome;
        }
        let late = self.names.values().filter(|(_, other)| *other == order);
        Err(Error::Late { tasks: late.map(|(name, _)| format!("`{name}`")).collect() })
    }

    /// How the next task ends; `None` if there is none.
    async fn next_end(&mut self) -> Option<Error> {
        let ended = self.running.join_next_with_id().await?;
        let task_id = match &ended {
            Ok((task_id, _)) => *task_id,
            Err(error) => JoinError::id(error),
        };
        let (task, _) = self.names.remove(&task_id).expect("every task is spawned with a name");
        Some(match ended {
            Ok((_, Ok(()))) => Error::Ended { task },
            Ok((_, Err(source))) => Error::Failed { task, source },
            Err(_) => Error::Panicked { task },
        })
    }

    fn told(&self, order: Order) -> &watch::Sender<bool> {
        match order {
            Order::First => &self.first,
            Order::Last => &self.last,
        }
    }
}

/// Told to stop, a task may end.
fn unexpected(ended: Error) -> Result<(), Error> {
    if let Error::Ended { .. } = ended {
        return Ok(());
    }
    tracing::error!("{ended}");
    Err(ended)
}

/// SIGTERM and SIGINT.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes them over from the operating system, which would end the process.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// A piece of work panicked. The log says where.
#[derive(Debug, thiserror::Error)]
#[error("a mistake in osier ended it")]
pub struct Panicked;

/// Runs one piece of work, such as one reconcile; a panic in it ends nothing else.
///
/// # Errors
/// It panicked. What was under way is dropped; nothing that outlives it may be left half changed.
pub async fn contained<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|_| Panicked)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    type Log = Arc<Mutex<Vec<&'static str>>>;

    /// Runs until told, then writes its name down.
    fn obedient(tasks: &mut Tasks, log: &Log, name: &'static str, order: Order) {
        let (stop, log) = (tasks.stop(order), Arc::clone(log));
        tasks.spawn(name, order, async move {
            stop.requested().await;
            tokio::task::yield_now().await;
            log.lock().unwrap().push(name);
            Ok::<(), Cause>(())
        });
    }

    fn crew(log: &Log) -> Tasks {
        let mut tasks = Tasks::default();
        obedient(&mut tasks, log, "lease", Order::Last);
        obedient(&mut tasks, log, "environments", Order::First);
        tasks
    }

    async fn never() {
        std::future::pending::<()>().await;
    }

    #[tokio::test]
    async fn a_signal_ends_all_in_order() {
        let log = Log::default();
        let mut signals = 1;
        let told = async || {
            signals -= 1;
            if signals < 0 {
                never().await;
            }
        };
        crew(&log).run_until(told).await.unwrap();
        assert_eq!(*log.lock().unwrap(), ["environments", "lease"]);
    }

    #[tokio::test]
    async fn whatever_ends_by_itself_ends_the_process_and_is_named() {
        for (how, message) in [(0, "`mirror` ended by itself"), (1, "`mirror` failed"), (2, "`mirror` panicked")] {
            let log = Log::default();
            let mut tasks = crew(&log);
            tasks.spawn("mirror", Order::First, async move {
                match how {
                    0 => Ok(()),
                    1 => Err(io::Error::other("disk full")),
                    _ => panic!("at the wrong moment"),
                }
            });
            let error = tasks.run_until(never).await.unwrap_err();
            assert_eq!(error.to_string(), message);
            assert_eq!(*log.lock().unwrap(), ["environments", "lease"], "{message}");
        }
    }

    #[tokio::test]
    async fn a_second_signal_ends_at_once() {
        let mut tasks = crew(&Log::default());
        tasks.spawn("stubborn", Order::First, async {
            never().await;
            Ok::<(), Cause>(())
        });
        assert!(matches!(tasks.run_until(async || ()).await, Err(Error::Cut)));
    }

    #[tokio::test]
    async fn a_panic_costs_only_itself() {
        assert!(contained(async { panic!("poison") }).await.is_err());
        assert_eq!(contained(async { 1 }).await.unwrap(), 1);
    }
}
