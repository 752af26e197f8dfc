//! The processors that the jobs of a process share: who compiles, packs or tests holds some of them, so that two
//! processors are never asked for the work of fourteen.
//!
//! A job may use twice what it holds. Every build has long stretches that keep one processor busy – Go's `runtime` is
//! compiled by one process, and nothing else can be until it is there – which others fill, and the last job of a run is
//! not bound to the little that it held while there were many.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A number of processors to be shared out.
#[derive(Debug)]
pub(super) struct Budget {
    total: usize,
    free: Arc<Semaphore>,
}

/// Some of the processors; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    /// How many may be used, at least one and never more than there are.
    pub(super) cpus: usize,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Budget {
    pub(super) fn new(total: usize) -> Self {
        // Nobody has more, and a semaphore has its limit.
        let total = total.clamp(1, 1 << 16);
        Self { total, free: Arc::new(Semaphore::new(total)) }
    }

    /// Waits for a fair share where `unfinished` groups, the asking one included, are not done: one processor each while
    /// there are more groups than processors, more for the last ones. Who asks first is served first.
    pub(super) async fn share(&self, unfinished: usize) -> Share {
        let held = (self.total / unfinished.max(1)).max(1);
        let wanted = u32::try_from(held).unwrap_or(1);
        // The semaphore is never closed.
        let permit = Arc::clone(&self.free).acquire_many_owned(wanted).await.ok();
        Share { cpus: (2 * held).min(self.total), _permit: permit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn shares_are_fair_and_bounded() {
        let budget = Budget::new(4);
        let mut cpus = Vec::new();
        for unfinished in [7, 3, 1] {
            cpus.push(budget.share(unfinished).await.cpus);
        }
        assert_eq!(cpus, [2, 2, 4]);
        let (first, second) = (budget.share(2).await, budget.share(2).await);
        let third = tokio::time::timeout(std::time::Duration::from_millis(20), budget.share(9)).await;
        assert!(third.is_err(), "all four are taken");
        drop((first, second));
        assert_eq!(budget.share(0).await.cpus, 4);
    }
}
