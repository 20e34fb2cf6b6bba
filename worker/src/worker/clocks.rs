//! The time at front ends.
//!
//! Clocks of machines differ, and times in jobs are those of the front end that sent them. Each front end tells its time
//! to all workers every [`CLOCK_PERIOD`]; the difference to a steady clock of this process is its offset plus the time
//! that the message took. The smallest difference of the last while is nearest to the offset. So the time at the front
//! end is known to within the quickest delivery, whatever this machine's clock says, and is never taken for later than
//! it is.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use imgflo_job::Job;
use imgflo_job::message::{self, CLOCK_PERIOD, CLOCK_TOLERANCE};
use lru::LruCache;
use tokio::time::Instant;

/// Front ends whose clocks are known.
const FRONTS: NonZeroUsize = NonZeroUsize::new(1024).unwrap();
/// A difference counts for this long at least, and for twice as long at most.
const COUNTS: Duration = CLOCK_PERIOD.saturating_mul(5);

/// The clocks of front ends, by participant id.
#[derive(Debug)]
pub(super) struct Clocks {
    began: Instant,
    fronts: Mutex<LruCache<String, Front>>,
}

/// Differences in ms, each the smallest of a while.
#[derive(Debug)]
struct Front {
    since: Instant,
    current: i64,
    before: Option<i64>,
    /// True once it told its time: jobs may have waited in a queue for long.
    told_time: bool,
    /// True while the log says that the clocks differ.
    differs: bool,
}

impl Front {
    fn offset(&self) -> i64 {
        self.before.map_or(self.current, |before| before.min(self.current))
    }

    fn add(&mut self, now: Instant, difference: i64) {
        if now.duration_since(self.since) >= COUNTS {
            (self.since, self.before) = (now, Some(self.current));
            self.current = difference;
        }
        self.current = self.current.min(difference);
    }
}

impl Default for Clocks {
    fn default() -> Self {
        Clocks { began: Instant::now(), fronts: Mutex::new(LruCache::new(FRONTS)) }
    }
}

impl Clocks {
    /// A front end told its time, ms since 1970.
    pub(super) fn heard(&self, from: &str, sent_at: u64) {
        self.heard_at(from, sent_at, Instant::now());
    }

    fn heard_at(&self, from: &str, sent_at: u64, now: Instant) {
        let ahead = {
            let mut fronts = self.add(from, sent_at, now);
            let Some(front) = fronts.get_mut(from) else { return };
            let ahead = self.ahead_of(front, now);
            // A message may be late; two in a row that count as one are not.
            let differs = front.told_time && ahead.unsigned_abs() >= CLOCK_TOLERANCE.as_millis() as u64;
            front.told_time = true;
            if std::mem::replace(&mut front.differs, differs) == differs {
                return;
            }
            ahead
        };
        let seconds = ahead.unsigned_abs() / 1000;
        match ahead {
            _ if seconds < CLOCK_TOLERANCE.as_secs() => tracing::info!(front = from, "clocks agree again"),
            ..0 => tracing::warn!(front = from, seconds, "the clock of this worker is behind that of a front end"),
            _ => tracing::warn!(front = from, seconds, "the clock of this worker is ahead of that of a front end"),
        }
    }

    /// A job came: at its front end it cannot be earlier than when it was made.
    pub(super) fn met(&self, job: &Job) {
        if let Some(from) = &job.from {
            drop(self.add(from, job.created_at, Instant::now()));
        }
    }

    /// The time at the front end that sent a job, ms since 1970; by the clock of this machine for a job of a program
    /// that does not say who it is.
    pub(super) fn now_at_front_of(&self, job: &Job) -> u64 {
        self.time_at_front_of(job, Instant::now())
    }

    fn time_at_front_of(&self, job: &Job, now: Instant) -> u64 {
        let steady = self.steady(now);
        let known = job.from.as_ref().and_then(|from| self.fronts().peek(from).map(Front::offset));
        known.map_or_else(message::now, |offset| u64::try_from(steady.saturating_sub(offset)).unwrap_or_default())
    }

    /// How many ms this machine's clock is ahead of that of the front end that sent a job; `None` where that is little or
    /// not known.
    pub(super) fn ahead_of_front_of(&self, job: &Job) -> Option<i64> {
        let fronts = self.fronts();
        fronts.peek(job.from.as_ref()?).filter(|front| front.differs).map(|front| self.ahead_of(front, Instant::now()))
    }

    fn ahead_of(&self, front: &Front, now: Instant) -> i64 {
        ms(message::now()).saturating_sub(self.steady(now).saturating_sub(front.offset()))
    }

    fn add(&self, from: &str, time: u64, now: Instant) -> MutexGuard<'_, LruCache<String, Front>> {
        let difference = self.steady(now).saturating_sub(ms(time));
        let mut fronts = self.fronts();
        match fronts.get_mut(from) {
            Some(front) => front.add(now, difference),
            None => {
                let front = Front { since: now, current: difference, before: None, told_time: false, differs: false };
                fronts.put(from.to_owned(), front);
            }
        }
        fronts
    }

    /// Milliseconds of a clock that nobody sets.
    fn steady(&self, now: Instant) -> i64 {
        ms(now.duration_since(self.began).as_millis() as u64)
    }

    /// Nothing under this lock can panic halfway.
    fn fronts(&self) -> MutexGuard<'_, LruCache<String, Front>> {
        self.fronts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ms(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
