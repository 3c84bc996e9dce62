//! Passes that may run at once. Some are kept for those that have little to do, so that nobody waits behind the work of all others.

use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

/// One slot of so many is kept.
const KEPT: usize = 4;

/// The slots of a lane.
pub struct Slots {
    any: Semaphore,
    short: Semaphore,
}

impl Slots {
    /// So many in all.
    pub fn new(count: usize) -> Self {
        let kept = count / KEPT;
        Self { any: Semaphore::new(count - kept), short: Semaphore::new(kept) }
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
    fn a_single_slot_is_for_all() {
        let slots = Slots::new(1);
        assert!(slots.take(ready(false)).now_or_never().is_some());
    }
}
