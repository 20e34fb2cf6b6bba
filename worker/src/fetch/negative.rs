//! Negative answers of origins, remembered for some seconds: a page asks for a missing picture in many sizes.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use imgflo_job::{Category, JobError};
use lru::LruCache;

use super::failure;

/// Most answers that are remembered.
const MOST: NonZeroUsize = NonZeroUsize::new(1024).unwrap();
/// Longest address that is remembered, bytes.
const LONGEST: usize = 2048;

/// Negative answers by URL.
#[derive(Debug)]
pub(super) struct Negative {
    lifetime: Duration,
    answers: Mutex<LruCache<String, (JobError, Instant)>>,
}

impl Negative {
    /// Remembers answers for `lifetime`, or for as long as the origin asks to be left alone, if that is shorter.
    pub(super) fn new(lifetime: Duration) -> Self {
        Negative { lifetime, answers: Mutex::new(LruCache::new(MOST)) }
    }

    /// Returns the negative answer that is still remembered for `url`.
    pub(super) fn get(&self, url: &str) -> Option<JobError> {
        self.get_at(url, Instant::now())
    }

    fn get_at(&self, url: &str, now: Instant) -> Option<JobError> {
        let mut answers = self.answers();
        let (error, until) = answers.get(url)?;
        if *until > now {
            return Some(error.clone());
        }
        answers.pop(url);
        None
    }

    /// Remembers an error that is an answer.
    pub(super) fn put(&self, url: &str, error: &JobError) {
        let answered = error.details.contains_key(failure::STATUS) || error.category == Category::UnsupportedType;
        let wait = error.details.get(failure::RETRY_AFTER).and_then(serde_json::Value::as_u64);
        let lifetime = wait.map_or(self.lifetime, |wait| self.lifetime.min(Duration::from_secs(wait)));
        if answered && !lifetime.is_zero() && url.len() <= LONGEST {
            self.answers().put(url.to_owned(), (error.clone(), Instant::now() + lifetime));
        }
    }

    fn answers(&self) -> MutexGuard<'_, LruCache<String, (JobError, Instant)>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    fn missing() -> JobError {
        JobError::new(Category::NotFound, "gone").with(failure::STATUS, 404)
    }

    #[test]
    fn answers_are_remembered_for_a_while() {
        let negative = Negative::new(SOON);
        negative.put("a", &missing());
        assert_eq!(negative.get("a"), Some(missing()));
        assert_eq!(negative.get("b"), None);
        assert_eq!(negative.get_at("a", Instant::now() + SOON), None);
    }

    #[test]
    fn an_origin_may_ask_to_be_asked_earlier() {
        let negative = Negative::new(SOON);
        let busy = |wait: u64| missing().with(failure::RETRY_AFTER, wait);
        negative.put("now", &busy(0));
        negative.put("soon", &busy(2));
        negative.put("late", &busy(3600));
        assert_eq!(negative.get("now"), None);
        let two_later = Instant::now() + Duration::from_secs(2);
        assert_eq!((negative.get_at("soon", two_later), negative.get_at("late", two_later).is_some()), (None, true));
        assert_eq!(negative.get_at("late", Instant::now() + SOON), None);
    }

    #[test]
    fn what_is_no_answer_is_not_remembered_and_no_more_than_fits() {
        let negative = Negative::new(SOON);
        for category in [Category::OriginFailed, Category::OriginTimeout, Category::TooLarge, Category::Overloaded] {
            negative.put("a", &JobError::new(category, "x"));
            assert_eq!(negative.get("a"), None);
        }
        let off = Negative::new(Duration::ZERO);
        off.put("a", &missing());
        assert_eq!(off.get("a"), None);
        for number in 0..5000 {
            negative.put(&number.to_string(), &missing());
        }
        negative.put(&"x".repeat(LONGEST + 1), &missing());
        assert_eq!(negative.answers().len(), MOST.get());
    }
}
