//! What applications had made: days, totals, and the counters of one process.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::application::{MEGAPIXEL, Quota};

/// ms in a day. A day of ours is one of UTC, without leap seconds.
const DAY: u64 = 24 * 3600 * 1000;
/// What an image counts for while it is made, as long as the application had none made today.
const USUAL: u64 = MEGAPIXEL;

/// The time, ms since 1970.
pub fn now() -> u64 {
    // A clock before 1970 is as good as 1970.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// The day (UTC, counted from 1970) of a time in ms since 1970.
pub fn day_of(time: u64) -> u32 {
    u32::try_from(time / DAY).unwrap_or(u32::MAX)
}

/// How long it is from a time (ms since 1970) to the next midnight (UTC); more than 0.
fn to_midnight(time: u64) -> Duration {
    Duration::from_millis(DAY - time % DAY)
}

/// What an application had made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Pixels: of each image the larger one of input and output.
    pub pixels: u64,
    /// Images.
    pub images: u64,
}

impl Tally {
    fn plus(self, other: Tally) -> Tally {
        Tally { pixels: self.pixels.saturating_add(other.pixels), images: self.images.saturating_add(other.images) }
    }
}

/// What an application had made on a day, as one process counted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Total {
    /// Key of the application.
    pub key: String,
    /// The day: [`day_of`].
    pub day: u32,
    /// How much.
    pub tally: Tally,
}

/// What an application with a quota may still have made today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Its quota, pixels a day.
    pub limit: u64,
    /// What it had made today, pixels; may be more than the limit.
    pub used: u64,
    /// What may still be made, pixels.
    pub remaining: u64,
    /// How long until the next day (UTC) begins.
    pub reset: Duration,
}

/// The counters of this process, and what it last heard of others. All times are ms since 1970.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// The day that `others` is about, and the last one that `mine` is about.
    today: u32,
    others: HashMap<String, Tally>,
    /// Of today and yesterday. Older ones are given up, so that an outage of days costs no memory.
    mine: HashMap<(u32, String), Tally>,
    /// Those of `mine` that the database does not know yet.
    unwritten: HashSet<(u32, String)>,
    /// What images under way are expected to count for.
    reserved: HashMap<String, u64>,
}

impl Counters {
    fn roll(&mut self, now: u64) {
        let day = day_of(now);
        if day == self.today {
            return;
        }
        self.today = day;
        self.others.clear();
        let lost = self.unwritten.iter().filter(|(of, _)| of + 1 < day).count();
        if lost > 0 {
            tracing::warn!(applications = lost, "usage of the day before yesterday could not be written: it is lost");
        }
        self.mine.retain(|(of, _), _| of + 1 >= day);
        self.unwritten.retain(|(of, _)| of + 1 >= day);
    }

    /// What an application had made today, in all processes.
    pub(crate) fn used(&mut self, key: &str, now: u64) -> Tally {
        self.roll(now);
        let mine = self.mine.get(&(self.today, key.to_owned())).copied().unwrap_or_default();
        mine.plus(self.others.get(key).copied().unwrap_or_default())
    }

    /// What is left of a quota; none if there is no limit.
    pub(crate) fn allowance(&mut self, key: &str, quota: Quota, now: u64) -> Option<Allowance> {
        let limit = quota.pixels()?;
        let used = self.used(key, now).pixels;
        Some(Allowance { limit, used, remaining: limit.saturating_sub(used), reset: to_midnight(now) })
    }

    /// True when the images that this process has under way would use a quota up.
    pub(crate) fn is_spoken_for(&self, key: &str, allowance: &Allowance) -> bool {
        self.reserved.get(key).is_some_and(|reserved| *reserved >= allowance.remaining)
    }

    /// Sets aside what one more image is expected to count for, and says how much that is.
    pub(crate) fn reserve(&mut self, key: &str, now: u64) -> u64 {
        let tally = self.used(key, now);
        let expected = tally.pixels.checked_div(tally.images).unwrap_or(USUAL);
        *self.reserved.entry(key.to_owned()).or_default() += expected;
        expected
    }

    /// The image is made, or will not be.
    pub(crate) fn release(&mut self, key: &str, expected: u64) {
        if let Some(reserved) = self.reserved.get_mut(key) {
            *reserved = reserved.saturating_sub(expected);
            if *reserved == 0 {
                self.reserved.remove(key);
            }
        }
    }

    /// Counts an image.
    pub(crate) fn record(&mut self, key: &str, pixels: u64, now: u64) {
        self.roll(now);
        let place = (self.today, key.to_owned());
        let tally = self.mine.entry(place.clone()).or_default();
        *tally = tally.plus(Tally { pixels, images: 1 });
        self.unwritten.insert(place);
    }

    /// What the database does not know yet.
    pub(crate) fn unwritten(&self) -> Vec<Total> {
        let total = |place: &(u32, String)| {
            let (day, key) = place.clone();
            Total { tally: self.mine.get(place).copied().unwrap_or_default(), key, day }
        };
        self.unwritten.iter().map(total).collect()
    }

    /// How many totals the database does not know yet.
    pub(crate) fn waiting(&self) -> usize {
        self.unwritten.len()
    }

    /// The database knows these now.
    pub(crate) fn written(&mut self, totals: &[Total]) {
        for total in totals {
            let place = (total.day, total.key.clone());
            // What was counted since has to be written, too.
            if self.mine.get(&place).is_none_or(|tally| *tally == total.tally) {
                self.unwritten.remove(&place);
            }
        }
    }

    /// What other processes had made on a day.
    pub(crate) fn heard(&mut self, day: u32, others: Vec<(String, Tally)>, now: u64) {
        self.roll(now);
        if day == self.today {
            self.others = others.into_iter().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 20_000 * DAY + DAY / 2;

    #[test]
    fn days_begin_at_midnight_utc() {
        assert_eq!(day_of(NOON), 20_000);
        assert_eq!(day_of(20_001 * DAY - 1), 20_000);
        assert_eq!(day_of(20_001 * DAY), 20_001);
        assert_eq!(to_midnight(20_001 * DAY - 1), Duration::from_millis(1));
        assert_eq!(to_midnight(20_001 * DAY), Duration::from_millis(DAY));
    }

    #[test]
    fn a_quota_is_used_up_by_all_processes_together() {
        let mut counters = Counters::default();
        let quota = Quota::Megapixels(10);
        assert_eq!(counters.allowance("a", Quota::Unlimited, NOON), None);
        counters.record("a", 4_000_000, NOON);
        counters.heard(20_000, vec![("a".into(), Tally { pixels: 5_000_000, images: 2 })], NOON);
        let allowance = counters.allowance("a", quota, NOON).unwrap();
        assert_eq!((allowance.limit, allowance.used, allowance.remaining), (10_000_000, 9_000_000, 1_000_000));
        assert_eq!(allowance.reset, Duration::from_millis(DAY / 2));
        counters.record("a", 4_000_000, NOON);
        let allowance = counters.allowance("a", quota, NOON).unwrap();
        assert_eq!((allowance.used, allowance.remaining), (13_000_000, 0));
        assert_eq!(counters.allowance("b", quota, NOON).unwrap().used, 0);
    }

    #[test]
    fn each_day_begins_anew() {
        let mut counters = Counters::default();
        counters.record("a", 7, NOON);
        counters.heard(20_000, vec![("a".into(), Tally { pixels: 1, images: 1 })], NOON);
        assert_eq!(counters.used("a", NOON).pixels, 8);
        assert_eq!(counters.used("a", NOON + DAY).pixels, 0);
        // What was read before midnight says nothing about the day after.
        counters.heard(20_000, vec![("a".into(), Tally { pixels: 1, images: 1 })], NOON + DAY);
        assert_eq!(counters.used("a", NOON + DAY).pixels, 0);
    }

    #[test]
    fn what_could_not_be_written_is_kept_for_a_day() {
        let mut counters = Counters::default();
        counters.record("a", 7, NOON);
        counters.record("a", 3, NOON + DAY);
        let mut days: Vec<_> = counters.unwritten().into_iter().map(|total| (total.day, total.tally.pixels)).collect();
        days.sort_unstable();
        assert_eq!(days, [(20_000, 7), (20_001, 3)]);
        counters.record("b", 1, NOON + 2 * DAY);
        assert_eq!(counters.waiting(), 2);
        assert!(counters.unwritten().iter().all(|total| total.day > 20_000));
    }

    #[test]
    fn what_was_counted_while_it_was_written_is_written_again() {
        let mut counters = Counters::default();
        counters.record("a", 7, NOON);
        let totals = counters.unwritten();
        counters.record("a", 3, NOON);
        counters.written(&totals);
        let again = counters.unwritten();
        assert_eq!(again, [Total { key: "a".into(), day: 20_000, tally: Tally { pixels: 10, images: 2 } }]);
        counters.written(&again);
        assert_eq!(counters.waiting(), 0);
    }

    #[test]
    fn images_under_way_count_for_what_those_before_them_did() {
        let mut counters = Counters::default();
        let left = |counters: &mut Counters| counters.allowance("a", Quota::Megapixels(3), NOON).unwrap();
        assert_eq!(counters.reserve("a", NOON), USUAL);
        let allowance = left(&mut counters);
        assert!(!counters.is_spoken_for("a", &allowance));
        counters.reserve("a", NOON);
        counters.reserve("a", NOON);
        assert!(counters.is_spoken_for("a", &allowance));
        counters.release("a", USUAL);
        assert!(!counters.is_spoken_for("a", &allowance));
        counters.release("a", USUAL);
        counters.release("a", USUAL);
        assert!(counters.reserved.is_empty());
        counters.record("a", 200, NOON);
        counters.record("a", 400, NOON);
        assert_eq!(counters.reserve("a", NOON), 300);
    }
}
