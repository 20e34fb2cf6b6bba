//! Claims within one process.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::{Claim, Claims};
use crate::CacheError;

/// Entries after which those that ended are swept out.
const SWEEP: usize = 1024;

/// Claims in the memory of this process. Enough where one process has all the front ends; front
/// ends of several processes do not see each other's.
#[derive(Debug, Default)]
pub struct LocalClaims(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    entries: HashMap<String, (Entry, Instant)>,
    /// Size at which to sweep next.
    sweep_at: usize,
}

#[derive(Debug)]
enum Entry {
    HeldBy(String),
    Refused(String),
}

impl State {
    /// An entry that has not ended.
    fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key).filter(|(_, until)| *until > Instant::now()).map(|(entry, _)| entry)
    }

    fn put(&mut self, key: &str, entry: Entry, lifetime: Duration) {
        let now = Instant::now();
        if self.entries.len() >= self.sweep_at.max(SWEEP) {
            self.entries.retain(|_, (_, until)| *until > now);
            self.sweep_at = self.entries.len() * 2;
        }
        self.entries.insert(key.to_owned(), (entry, now + lifetime));
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
        let mut state = self.state();
        match state.get(key) {
            Some(Entry::Refused(reason)) => return Ok(Claim::Refused(reason.clone())),
            Some(Entry::HeldBy(other)) if other != holder => return Ok(Claim::Held),
            _ => state.put(key, Entry::HeldBy(holder.to_owned()), lease),
        }
        Ok(Claim::Ours)
    }

    async fn release(&self, key: &str, holder: &str) -> Result<(), CacheError> {
        let mut state = self.state();
        if matches!(state.get(key), Some(Entry::HeldBy(of)) if of == holder) {
            state.entries.remove(key);
        }
        Ok(())
    }

    async fn refuse(&self, key: &str, reason: &str, lifetime: Duration) -> Result<(), CacheError> {
        self.state().put(key, Entry::Refused(reason.to_owned()), lifetime);
        Ok(())
    }

    async fn allow(&self, key: &str) -> Result<(), CacheError> {
        let mut state = self.state();
        if matches!(state.get(key), Some(Entry::Refused(_))) {
            state.entries.remove(key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_ended_is_swept_out() {
        let claims = LocalClaims::default();
        for n in 0..5 * SWEEP {
            claims.claim(&n.to_string(), "me", Duration::ZERO).await.unwrap();
        }
        assert!(claims.state().entries.len() <= SWEEP, "{}", claims.state().entries.len());
    }
}
