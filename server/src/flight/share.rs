//! The share of the urgent lane that the pictures of one host may take.
//!
//! A host alone may have all places. While others ask, too, it has a part of them, so that theirs are not refused.

use std::time::Duration;

use imgflo_job::{Category, JobError, Limits};
use tokio::time::Instant;

use super::{Board, Flights, Stage};

/// Time for which a host that asked counts among those that ask.
const ASKS_FOR: Duration = Duration::from_secs(10);

/// The places in the urgent lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    /// Of all hosts together.
    pub(crate) all: u64,
    /// Of one host while others ask; at least 1.
    pub(crate) of_a_host: u64,
}

impl Places {
    pub(crate) fn new(limits: &Limits) -> Self {
        let all = limits.max_urgent_jobs;
        Places { all, of_a_host: (all.saturating_mul(limits.max_urgent_share) / 100).max(1) }
    }
}

/// The two hosts that asked last.
#[derive(Debug, Default)]
pub(super) struct Asking {
    last: Option<(Option<String>, Instant)>,
    other: Option<Instant>,
}

impl Asking {
    /// Notes that a picture is asked for whose input comes from `host`. Returns true if another host asks, too.
    fn note(&mut self, host: &Option<String>, now: Instant) -> bool {
        if let Some((last, at)) = self.last.replace((host.clone(), now))
            && last != *host
        {
            self.other = Some(at);
        }
        self.other.is_some_and(|at| now.duration_since(at) < ASKS_FOR)
    }
}

impl Board {
    /// Urgent jobs of `host` among the last `newest` that were sent.
    fn sent_for(&self, host: &Option<String>, newest: usize) -> usize {
        let urgent = self.flights.values().filter_map(|flight| flight.urgent.as_ref());
        let mut sent: Vec<_> = urgent.filter(|flying| flying.stage == Stage::Sent).collect();
        if newest < sent.len() {
            sent.sort_unstable_by_key(|flying| std::cmp::Reverse(flying.since));
            sent.truncate(newest);
        }
        sent.into_iter().filter(|flying| flying.host == *host).count()
    }
}

impl Flights {
    /// Lets an urgent job that counts as sent into its lane.
    ///
    /// # Errors
    /// [`Category::Overloaded`] when its host has its share of the places while others ask.
    pub(super) async fn admit(&self, host: &Option<String>) -> Result<(), JobError> {
        let Places { all, of_a_host } = self.means.places;
        let most = usize::try_from(of_a_host).unwrap_or(usize::MAX);
        {
            let mut board = self.board();
            let others = board.asking.note(host, Instant::now());
            if !others || board.sent_for(host, usize::MAX) <= most {
                return Ok(());
            }
        }
        // Many of them may be with workers, which wait for the host. The lane is first in, first out: what still waits
        // in it was sent last.
        let Some(waiting) = (self.means.waiting)().await else { return Ok(()) };
        if self.board().sent_for(host, waiting.saturating_add(1)) <= most {
            return Ok(());
        }
        let name = host.as_deref().unwrap_or("this server");
        let over =
            JobError::over("jobs of one host in the urgent lane", of_a_host + 1, of_a_host, "IMGFLO_MAX_URGENT_SHARE");
        let message = format!(
            "pictures of '{name}' have {of_a_host} of {all} places in the urgent lane, all that a host gets while others \
             ask (IMGFLO_MAX_URGENT_SHARE)"
        );
        Err(JobError { category: Category::Overloaded, message, ..over })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_ask_for_a_while() {
        let start = Instant::now();
        let mut asking = Asking::default();
        let mut note =
            |host: Option<&str>, seconds| asking.note(&host.map(str::to_owned), start + Duration::from_secs(seconds));
        assert!(!note(Some("a"), 0) && !note(Some("a"), 1));
        assert!(note(None, 2) && note(Some("a"), 3) && note(Some("a"), 11));
        assert!(!note(Some("a"), 12));
    }

    #[test]
    fn a_host_has_one_place_at_least() {
        let places = |all, share| {
            Places::new(&Limits { max_urgent_jobs: all, max_urgent_share: share, ..Limits::default() }).of_a_host
        };
        assert_eq!((places(64, 75), places(1, 50), places(1_000_000, 100)), (48, 1, 1_000_000));
    }
}
