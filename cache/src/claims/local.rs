//! Claims within one process.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use lru::LruCache;
use tokio::time::Instant;

use super::{Claim, Claims, longest, short};
use crate::{CacheError, key};

/// Most claims, and most refusals, that are kept; the oldest go first. A claim that went costs a second rendering at
/// most.
const MOST: NonZeroUsize = NonZeroUsize::new(50_000).expect("it is not zero");

/// Claims in the memory of this process. Enough where one process has all the front ends; front ends of several
/// processes do not see each other's.
#[derive(Debug)]
pub struct LocalClaims(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Holders.
    held: Ending,
    /// Reasons.
    refused: Ending,
}

/// Texts that end, by key.
#[derive(Debug)]
struct Ending(LruCache<String, (String, Instant)>);

impl Ending {
    fn get(&self, key: &str) -> Option<&str> {
        let (text, until) = self.0.peek(key)?;
        (*until > Instant::now()).then_some(text)
    }

    fn put(&mut self, key: &str, text: String, lifetime: Duration) {
        let now = Instant::now();
        self.0.put(key.to_owned(), (text, now + longest(lifetime)));
        // Two for each new one, so that what ended does not pile up.
        for _ in 0..2 {
            if self.0.peek_lru().is_some_and(|(_, (_, until))| *until <= now) {
                self.0.pop_lru();
            }
        }
    }
}

impl Default for LocalClaims {
    fn default() -> Self {
        let [held, refused] = [MOST; 2].map(|most| Ending(LruCache::new(most)));
        LocalClaims(Mutex::new(State { held, refused }))
    }
}

impl LocalClaims {
    /// Nothing under this lock can panic halfway.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Claims for LocalClaims {
    async fn claim(&self, key: &str, holder: &str, lease: Duration) -> Result<Claim, CacheError> {
        key::check(key)?;
        let mut state = self.state();
        if let Some(reason) = state.refused.get(key) {
            return Ok(Claim::Refused(reason.to_owned()));
        }
        if state.held.get(key).is_some_and(|of| of != holder) {
            return Ok(Claim::Held);
        }
        state.held.put(key, holder.to_owned(), lease);
        Ok(Claim::Ours)
    }

    async fn release(&self, key: &str, holder: &str) -> Result<(), CacheError> {
        let mut state = self.state();
        if state.held.get(key) == Some(holder) {
            state.held.0.pop(key);
        }
        Ok(())
    }

    async fn refuse(&self, key: &str, reason: &str, lifetime: Duration) -> Result<(), CacheError> {
        key::check(key)?;
        let mut state = self.state();
        state.refused.put(key, short(reason).to_owned(), lifetime);
        state.held.0.pop(key);
        Ok(())
    }

    async fn allow(&self, key: &str) -> Result<(), CacheError> {
        self.state().refused.0.pop(key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_ended_does_not_pile_up() {
        let claims = LocalClaims::default();
        for n in 0..5000 {
            claims.claim(&n.to_string(), "me", Duration::ZERO).await.unwrap();
            claims.refuse(&n.to_string(), "no", Duration::ZERO).await.unwrap();
        }
        let state = claims.state();
        assert!(
            state.held.0.len() < 3 && state.refused.0.len() < 3,
            "{} {}",
            state.held.0.len(),
            state.refused.0.len()
        );
    }

    #[tokio::test]
    async fn what_lasts_is_bounded() {
        let claims = LocalClaims::default();
        for n in 0..MOST.get() + 10 {
            claims.claim(&n.to_string(), "me", Duration::MAX).await.unwrap();
        }
        assert_eq!(claims.state().held.0.len(), MOST.get());
        assert_eq!(claims.claim("0", "other", Duration::MAX).await.unwrap(), Claim::Ours, "the oldest went");
        assert_eq!(claims.claim("99", "other", Duration::MAX).await.unwrap(), Claim::Held);
    }
}
