//! Something that fetches share, so that no host takes all of it: connections, or bytes of memory.
//!
//! A host may hold as much as is free. One host alone comes to half, two to a third each, and whoever comes next always
//! finds some. (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches", with α = 1.)

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A limited resource.
#[derive(Debug)]
pub(super) struct Share {
    limit: u64,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    taken: u64,
    by_host: HashMap<Arc<str>, u64>,
    parts: u64,
    /// The part that may go past the limit, so that parts that wait for one another come to an end.
    over: Option<u64>,
}

/// Resources that one fetch holds; free again when dropped.
#[derive(Debug)]
pub(super) struct Part {
    share: Arc<Share>,
    number: u64,
    host: Arc<str>,
    amount: u64,
}

impl Share {
    /// `limit` of something.
    pub(super) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Share { limit, state: Mutex::default(), freed: Notify::new() })
    }

    /// The most that there is.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// A part for a fetch from `host`, with nothing in it.
    pub(super) fn part(self: &Arc<Self>, host: &str) -> Part {
        let mut state = self.state();
        state.parts += 1;
        Part { share: Arc::clone(self), number: state.parts, host: host.into(), amount: 0 }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Part {
    /// Takes `more`, if the host may have it.
    pub(super) fn try_grow(&mut self, more: u64) -> bool {
        let mut state = self.share.state();
        let held = state.by_host.get(&self.host).copied().unwrap_or(0);
        let fits = held.saturating_add(more) <= self.share.limit.saturating_sub(state.taken);
        if fits || state.over == Some(self.number) {
            state.taken += more;
            *state.by_host.entry(Arc::clone(&self.host)).or_default() += more;
            self.amount += more;
            return true;
        }
        false
    }

    /// Waits until the host may have `more`, and takes it. Safe to drop.
    pub(super) async fn grow(&mut self, more: u64) {
        let share = Arc::clone(&self.share);
        loop {
            let mut freed = std::pin::pin!(share.freed.notified());
            freed.as_mut().enable();
            if self.try_grow(more) {
                return;
            }
            freed.await;
        }
    }

    /// Like [`Part::grow`], but one part at a time may go past the limit. For what parts hold while they wait for more.
    pub(super) async fn grow_or_pass(&mut self, more: u64) {
        let share = Arc::clone(&self.share);
        loop {
            let mut freed = std::pin::pin!(share.freed.notified());
            freed.as_mut().enable();
            if self.try_grow(more) {
                return;
            }
            let first = share.state().over.get_or_insert(self.number) == &self.number;
            if !first {
                freed.await;
            }
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let mut state = self.share.state();
        state.taken -= self.amount;
        if let Some(held) = state.by_host.get_mut(&self.host) {
            *held -= self.amount;
            if *held == 0 {
                state.by_host.remove(&self.host);
            }
        }
        if state.over == Some(self.number) {
            state.over = None;
        }
        drop(state);
        self.share.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::poll;

    use super::*;

    /// Takes one after the other for a host, as many as it may have.
    fn fill(share: &Arc<Share>, host: &str) -> Vec<Part> {
        let mut parts = Vec::new();
        loop {
            let mut part = share.part(host);
            if !part.try_grow(1) {
                return parts;
            }
            parts.push(part);
        }
    }

    #[test]
    fn a_host_leaves_as_much_as_it_has() {
        let share = Share::new(512);
        let first = fill(&share, "a");
        let second = fill(&share, "b");
        let third = fill(&share, "c");
        assert_eq!((first.len(), second.len(), third.len()), (256, 128, 64));
        drop(first);
        assert!(fill(&share, "b").len() > 50);
        drop((second, third));
        assert_eq!(share.state().taken, 0);
        assert!(share.state().by_host.is_empty());
    }

    #[test]
    fn the_last_one_can_be_had() {
        assert_eq!(fill(&Share::new(1), "a").len(), 1);
        let share = Share::new(2);
        let a = fill(&share, "a");
        assert_eq!((a.len(), fill(&share, "b").len()), (1, 1));
    }

    #[tokio::test]
    async fn who_waits_goes_on_when_something_is_freed() {
        let share = Share::new(10);
        let (mut a, mut b) = (share.part("a"), share.part("a"));
        a.grow(5).await;
        {
            let mut waiting = pin!(b.grow(1));
            assert!(poll!(&mut waiting).is_pending());
            drop(a);
            waiting.await;
        }
        assert_eq!(share.state().taken, 1);
    }

    #[tokio::test]
    async fn of_those_that_wait_for_one_another_one_goes_on() {
        let share = Share::new(10);
        let mut parts: Vec<Part> = (0..4).map(|_| share.part("a")).collect();
        let (mut first, mut rest) = (parts.remove(0), parts);
        first.grow_or_pass(3).await;
        rest[0].grow_or_pass(2).await;
        // One may have more than there is, until it is done; then the next one.
        first.grow_or_pass(20).await;
        let mut waiting = Vec::new();
        for part in &mut rest {
            let mut growing = Box::pin(part.grow_or_pass(4));
            assert!(poll!(&mut growing).is_pending());
            waiting.push(growing);
        }
        assert_eq!(share.state().taken, 25);
        drop(first);
        waiting.remove(0).await;
    }
}
