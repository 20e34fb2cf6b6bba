//! Keeps jobs that can wait from being taken while their results could not be stored.

use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// First and longest time that the gate stays shut; each time in a row doubles it.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
struct State {
    shut_until: Option<Instant>,
    /// How long it was shut the last time, if nothing was stored since.
    last: Option<Duration>,
}

/// Open unless it was shut lately.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    /// Tells who waits behind it that it was shut.
    shuts: Notify,
}

impl Gate {
    /// Waits while the gate is shut.
    pub(super) async fn open(&self) {
        while let Some(until) = self.shut_until() {
            tokio::time::sleep_until(until).await;
        }
    }

    /// Waits for `work` when the gate is open; `None` when it is shut before that is done.
    pub(super) async fn while_open<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut shut = pin!(self.shuts.notified());
        shut.as_mut().enable();
        if self.shut_until().is_some() {
            return None;
        }
        tokio::select! {
            biased;
            () = shut => None,
            done = work => Some(done),
        }
    }

    fn shut_until(&self) -> Option<Instant> {
        self.state().shut_until.filter(|until| *until > Instant::now())
    }

    /// A result could not be stored. Several at a time count as one.
    pub(super) fn shut(&self) {
        self.shut_at(Instant::now());
        self.shuts.notify_waiters();
    }

    fn shut_at(&self, now: Instant) {
        let mut state = self.state();
        if state.shut_until.is_some_and(|until| until > now) {
            return;
        }
        let time = state.last.map_or(SHORTEST, |last| (last * 2).min(LONGEST));
        *state = State { shut_until: Some(now + time), last: Some(time) };
    }

    /// A result was stored.
    pub(super) fn unlock(&self) {
        let mut state = self.state();
        if state.last.is_some() {
            *state = State::default();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_shut_longer_each_time_until_something_is_stored() {
        let gate = Gate::default();
        let mut now = Instant::now();
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            gate.shut_at(now);
            let until = now + Duration::from_secs(seconds);
            assert_eq!(gate.state().shut_until, Some(until));
            // Another slot fails at the same time.
            gate.shut_at(until - Duration::from_millis(1));
            assert_eq!(gate.state().shut_until, Some(until));
            now = until;
        }
        gate.unlock();
        assert_eq!(gate.state().shut_until, None);
        gate.shut_at(now);
        assert_eq!(gate.state().shut_until, Some(now + SHORTEST));
    }

    #[tokio::test]
    async fn who_waits_is_let_in_when_it_opens() {
        let gate = Gate::default();
        gate.open().await;
        let soon = Instant::now() + Duration::from_millis(20);
        gate.shut_at(soon - SHORTEST);
        gate.open().await;
        assert!(Instant::now() >= soon);
    }

    #[tokio::test]
    async fn who_waits_behind_it_is_let_go_when_it_shuts() {
        let gate = Gate::default();
        assert_eq!(gate.while_open(async { 1 }).await, Some(1));
        let mut waiting = pin!(gate.while_open(std::future::pending::<()>()));
        assert!(futures::poll!(&mut waiting).is_pending());
        gate.shut();
        assert_eq!(waiting.await, None);
        assert_eq!(gate.while_open(async { 1 }).await, None);
    }
}
