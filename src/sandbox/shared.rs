//! What all requests share: the state, the clock, the fault plan and the list of requests.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::sandbox::RequestLine;
use crate::sandbox::faults::Plan;
use crate::sandbox::store::State;

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Shared by all clones of one sandbox and its open watches.
pub struct Shared {
    state: Mutex<State>,
    plan: Mutex<Plan>,
    requests: Mutex<Vec<RequestLine>>,
    changed: tokio::sync::watch::Sender<u64>,
    clock: fn() -> Timestamp,
}

impl Shared {
    pub fn new(state: State, clock: fn() -> Timestamp) -> Shared {
        let changed = tokio::sync::watch::Sender::new(state.revision());
        Shared {
            state: Mutex::new(state),
            plan: Mutex::new(Plan::default()),
            requests: Mutex::new(Vec::new()),
            changed,
            clock,
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn requests(&self) -> MutexGuard<'_, Vec<RequestLine>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when the plan has cut all connections.
    pub fn is_stopped(&self) -> bool {
        self.plan().is_stopped()
    }

    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    pub fn subscribe(&self) -> tokio::sync::watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Wakes the watches.
    pub fn wake(&self) {
        self.changed.send_modify(|count| *count += 1);
    }
}
