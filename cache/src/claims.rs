//! Who makes which result: what the machines of a cluster tell each other about results that are
//! not there yet.

pub mod local;
pub mod redis;

use std::time::Duration;

use async_trait::async_trait;

use crate::CacheError;

/// Longest lease and refusal: a year.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Longest reason of a refusal that is kept, bytes.
const REASON: usize = 2000;

/// What came of claiming a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The claimant makes the result, until its lease ends.
    Ours,
    /// Another makes it.
    Held,
    /// It cannot be made; why, as [`Claims::refuse`] was told.
    Refused(String),
}

/// Claims on keys. A claim is a lease: who holds it and dies loses it when it ends, which costs at
/// most that a result is made twice.
#[async_trait]
pub trait Claims: Send + Sync + 'static {
    /// Claims a key for `holder`, for as long as `lease`. Claiming again renews.
    ///
    /// # Errors
    /// [`CacheError`]: nobody can say. The caller then makes the result, as without claims.
    async fn claim(&self, key: &str, holder: &str, lease: Duration) -> Result<Claim, CacheError>;

    /// Gives a claim up, if `holder` has it.
    ///
    /// # Errors
    /// [`CacheError`]; the lease ends by itself.
    async fn release(&self, key: &str, holder: &str) -> Result<(), CacheError>;

    /// Notes that a key's result cannot be made, and why, for as long as `lifetime`: nobody may
    /// try meanwhile. Ends all claims on it.
    ///
    /// # Errors
    /// [`CacheError`].
    async fn refuse(&self, key: &str, reason: &str, lifetime: Duration) -> Result<(), CacheError>;

    /// Forgets a refusal (an operator has mended the cause).
    ///
    /// # Errors
    /// [`CacheError`].
    async fn allow(&self, key: &str) -> Result<(), CacheError>;
}

/// A lifetime that clocks can be set to.
fn longest(lifetime: Duration) -> Duration {
    lifetime.min(LONGEST)
}

/// As much of a reason as is kept.
fn short(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(REASON)]
}
