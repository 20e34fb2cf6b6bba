//! Claims of a whole cluster, in Redis.
//!
//! `<prefix>claim/<key>` holds the holder and ends with the lease; `<prefix>refused/<key>` holds the
//! reason. Each question is one script, and so one round trip that no other comes between. A Redis
//! that was wiped has forgotten them: what is being made may be made twice.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::Script;

use super::{Claim, Claims, longest, short};
use crate::redis_link::RedisLink;
use crate::{CacheError, key};

/// KEYS: claim, refusal. ARGV: holder, lease in ms.
const CLAIM: &str = r"
local reason = redis.call('GET', KEYS[2])
if reason then return {2, reason} end
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return {1, ''} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {0, ''}";

/// KEYS: claim. ARGV: holder.
const RELEASE: &str = r"
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0";

/// KEYS: claim, refusal. ARGV: reason, lifetime in ms.
const REFUSE: &str = r"
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return redis.call('DEL', KEYS[1])";

/// Claims that all front ends and workers with the same Redis see.
#[derive(Debug)]
pub struct RedisClaims {
    link: Arc<RedisLink>,
    prefix: String,
    claim: Script,
    release: Script,
    refuse: Script,
}

impl RedisClaims {
    /// Claims under keys that begin with `prefix`: `imgflo_`.
    pub fn new(link: Arc<RedisLink>, prefix: &str) -> Self {
        let [claim, release, refuse] = [CLAIM, RELEASE, REFUSE].map(Script::new);
        RedisClaims { link, prefix: prefix.to_owned(), claim, release, refuse }
    }

    fn held(&self, key: &str) -> String {
        format!("{}claim/{key}", self.prefix)
    }

    fn refused(&self, key: &str) -> String {
        format!("{}refused/{key}", self.prefix)
    }
}

/// Milliseconds as Redis takes them: at least one.
fn ms(lifetime: Duration) -> u64 {
    longest(lifetime).as_millis().max(1) as u64
}

#[async_trait]
impl Claims for RedisClaims {
    async fn claim(&self, key: &str, holder: &str, lease: Duration) -> Result<Claim, CacheError> {
        key::check(key)?;
        let mut script = self.claim.prepare_invoke();
        script.key(self.held(key)).key(self.refused(key)).arg(holder).arg(ms(lease));
        match self.link.run::<(i64, Vec<u8>)>(&script).await? {
            (0, _) => Ok(Claim::Ours),
            (1, _) => Ok(Claim::Held),
            (_, reason) => Ok(Claim::Refused(String::from_utf8_lossy(&reason).into_owned())),
        }
    }

    async fn release(&self, key: &str, holder: &str) -> Result<(), CacheError> {
        let mut script = self.release.prepare_invoke();
        script.key(self.held(key)).arg(holder);
        self.link.run::<i64>(&script).await.map(|_| ())
    }

    async fn refuse(&self, key: &str, reason: &str, lifetime: Duration) -> Result<(), CacheError> {
        key::check(key)?;
        let mut script = self.refuse.prepare_invoke();
        script.key(self.held(key)).key(self.refused(key)).arg(short(reason)).arg(ms(lifetime));
        self.link.run::<i64>(&script).await.map(|_| ())
    }

    async fn allow(&self, key: &str) -> Result<(), CacheError> {
        self.link.ask::<i64>(redis::cmd("DEL").arg(self.refused(key))).await.map(|_| ())
    }
}
