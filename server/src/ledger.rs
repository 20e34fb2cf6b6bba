//! What applications have under way: jobs that were sent, and whose quota they count for.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use imgflo_apps::Reservation;
use imgflo_job::JobResult;
use lru::LruCache;
use tokio::time::Instant;

/// Most jobs that are kept in mind; of more, the oldest count for nothing. Far more than queues hold.
const MOST: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();

/// Of one front end: its own jobs, oldest first.
pub(crate) struct Ledger(Mutex<LruCache<String, (Instant, Reservation)>>);

impl Default for Ledger {
    fn default() -> Self {
        // Not `new`: that takes the memory of all at once.
        let mut jobs = LruCache::unbounded();
        jobs.resize(MOST);
        Ledger(Mutex::new(jobs))
    }
}

impl Ledger {
    /// A job is about to be sent.
    pub(crate) fn open(&self, job_id: &str, reservation: Reservation) {
        self.lock().put(job_id.to_owned(), (Instant::now(), reservation));
    }

    /// The job could not be sent.
    pub(crate) fn cancel(&self, job_id: &str) {
        self.lock().pop(job_id);
    }

    /// A job is over: what was made counts for who asked for it. Jobs of other front ends are theirs.
    pub(crate) fn settle(&self, result: &JobResult) {
        let Some((_, reservation)) = self.lock().pop(&result.job.id) else { return };
        // A result that was stored already counts for nothing; nor does a failure before the first image.
        match result.counted_pixels() {
            0 => drop(reservation),
            pixels => reservation.settle(pixels),
        }
    }

    /// Forgets jobs that nothing was heard of for so long that nothing will be.
    pub(crate) fn forget(&self, after: Duration) {
        let mut jobs = self.lock();
        while jobs.peek_lru().is_some_and(|(_, (since, _))| since.elapsed() > after) {
            jobs.pop_lru();
        }
    }

    /// Nothing that runs under the lock can leave it half changed.
    fn lock(&self) -> MutexGuard<'_, LruCache<String, (Instant, Reservation)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
