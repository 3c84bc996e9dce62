//! Passes that may run at once. Some are kept for those that have little to do, so that nobody waits behind the work of all others.

use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

/// One slot of so many is kept.
const KEPT: usize = 4;

/// The slots of a lane.
pub struct Slots {
    any: Semaphore,
    short: Semaphore,
    /// Passes that make a whole environment of a branch.
    first: Semaphore,
}

impl Slots {
    /// So many in all.
    pub fn new(count: usize) -> Self {
        let kept = count / KEPT;
        Self { any: Semaphore::new(count - kept), short: Semaphore::new(kept), first: Semaphore::new(kept.max(1)) }
    }

    /// Waits until one more environment of a branch may be made: of very many that come at once most wait, and leave the API server to others.
    ///
    /// # Errors
    /// Never: nobody closes them.
    pub async fn first(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.first.acquire().await
    }

    /// True if one more could not be made now.
    pub fn makes_many(&self) -> bool {
        self.first.available_permits() == 0
    }

    /// Waits for a slot, in the order of arrival. Whether the pass has little to do is asked only if it would have to wait.
    ///
    /// # Errors
    /// Never: nobody closes them.
    pub async fn take(
        &self,
        has_little_to_do: impl Future<Output = bool>,
    ) -> Result<SemaphorePermit<'_>, AcquireError> {
        if let Ok(slot) = self.any.try_acquire() {
            return Ok(slot);
        }
        if !has_little_to_do.await {
            return self.any.acquire().await;
        }
        tokio::select! {
            slot = self.short.acquire() => slot,
            slot = self.any.acquire() => slot,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use futures::FutureExt;

    use super::*;

    #[test]
    fn long_passes_leave_room_for_short_ones() {
        let slots = Slots::new(8);
        let take = |is_short: bool| slots.take(ready(is_short)).now_or_never().and_then(Result::ok);
        let mut long: Vec<_> = (0..10).filter_map(|_| take(false)).collect();
        assert_eq!(long.len(), 6);
        let short: Vec<_> = (0..10).filter_map(|_| take(true)).collect();
        assert_eq!(short.len(), 2);
        drop(short);
        assert!(take(false).is_none() && take(true).is_some());
        long.pop();
        assert!(take(true).is_some() && take(false).is_some(), "room that is free is for all");
    }

    #[test]
    fn of_whole_environments_few_are_made_at_once() {
        let slots = Slots::new(8);
        let first = || slots.first().now_or_never().and_then(Result::ok);
        let (one, is_alone) = (first(), !slots.makes_many());
        let (other, third) = (first(), first());
        assert!(one.is_some() && is_alone && other.is_some() && slots.makes_many() && third.is_none());
        drop(other);
        assert!(first().is_some() && Slots::new(1).first().now_or_never().is_some());
    }

    #[test]
    fn a_single_slot_is_for_all() {
        let slots = Slots::new(1);
        assert!(slots.take(ready(false)).now_or_never().is_some());
    }
}
