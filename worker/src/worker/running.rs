//! Jobs at work and jobs that nobody waits for.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use tokio_util::sync::CancellationToken;

use crate::process::JobControl;

/// How many cancelled jobs are remembered that this worker has not seen; another worker may have had them.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// Who is at work, and whose work is not wanted.
#[derive(Debug)]
pub(super) struct Running(Mutex<State>);

#[derive(Debug)]
struct Entry {
    /// Set when nobody waits any more.
    cancel: CancellationToken,
    /// Set when the job is over.
    over: CancellationToken,
}

#[derive(Debug)]
struct State {
    at_work: HashMap<String, Entry>,
    cancelled: LruCache<String, ()>,
}

impl Default for Running {
    fn default() -> Self {
        Running(Mutex::new(State { at_work: HashMap::new(), cancelled: LruCache::new(REMEMBERED) }))
    }
}

/// A job at work, until dropped.
#[must_use]
pub(super) struct AtWork<'a> {
    running: &'a Running,
    id: &'a str,
    over: CancellationToken,
}

impl Running {
    /// Registers a job that starts. Only a job that `may_be_cancelled` can be stopped, then or later. A job that is at
    /// work here already is waited for: a broker that lost the connection delivers it again meanwhile.
    pub(super) async fn start<'a>(&'a self, id: &'a str, control: &JobControl, may_be_cancelled: bool) -> AtWork<'a> {
        loop {
            let earlier = {
                let mut state = self.state();
                match state.at_work.get(id) {
                    Some(earlier) => earlier.over.clone(),
                    None => {
                        let cancelled = state.cancelled.pop(id).is_some();
                        // What nobody can cancel has a token that nobody knows.
                        let cancel = if may_be_cancelled { control.token.clone() } else { CancellationToken::new() };
                        if cancelled {
                            cancel.cancel();
                        }
                        let over = CancellationToken::new();
                        state.at_work.insert(id.to_owned(), Entry { cancel, over: over.clone() });
                        return AtWork { running: self, id, over };
                    }
                }
            };
            earlier.cancelled().await;
        }
    }

    /// Stops the job, or remembers not to start it.
    pub(super) fn cancel(&self, id: &str) {
        let mut state = self.state();
        match state.at_work.get(id) {
            Some(entry) => entry.cancel.cancel(),
            None => {
                state.cancelled.put(id.to_owned(), ());
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.running.state().at_work.remove(self.id);
        self.over.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control() -> JobControl {
        JobControl { token: CancellationToken::new(), deadline: tokio::time::Instant::now(), late: false }
    }

    /// True when a job that starts now is cancelled.
    async fn starts_cancelled(running: &Running, id: &str) -> bool {
        let control = control();
        drop(running.start(id, &control, true).await);
        control.token.is_cancelled()
    }

    #[tokio::test]
    async fn a_job_that_comes_again_waits_for_the_one_at_work() {
        let running = Running::default();
        let (first, second) = (control(), control());
        let at_work = running.start("a", &first, true).await;
        let again = running.start("a", &second, true);
        tokio::pin!(again);
        assert!(futures::poll!(again.as_mut()).is_pending());
        drop(running.start("b", &control(), true).await);
        drop(at_work);
        let again = again.await;
        running.cancel("a");
        assert!(second.token.is_cancelled() && !first.token.is_cancelled());
        drop(again);
    }

    #[tokio::test]
    async fn a_job_is_cancelled_before_or_while_it_runs_but_once() {
        let running = Running::default();
        let control = control();
        let at_work = running.start("a", &control, true).await;
        assert!(!control.token.is_cancelled());
        running.cancel("a");
        assert!(control.token.is_cancelled());
        drop(at_work);
        assert!(!starts_cancelled(&running, "a").await);
        running.cancel("b");
        assert!(starts_cancelled(&running, "b").await);
        assert!(!starts_cancelled(&running, "b").await);
    }

    #[tokio::test]
    async fn background_jobs_are_not_cancelled() {
        let running = Running::default();
        let control = control();
        running.cancel("a");
        let _at_work = running.start("a", &control, false).await;
        running.cancel("a");
        assert!(!control.token.is_cancelled());
    }

    #[tokio::test]
    async fn memory_of_cancelled_jobs_is_bounded() {
        let running = Running::default();
        for id in 0..10_000 {
            running.cancel(&id.to_string());
        }
        assert_eq!(running.state().cancelled.len(), REMEMBERED.get());
        assert!(!starts_cancelled(&running, "0").await);
        assert!(starts_cancelled(&running, "9999").await);
    }
}
