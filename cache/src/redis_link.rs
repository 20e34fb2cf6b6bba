//! The connection to Redis, which nothing depends on: it answers soon, or not at all.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, ScriptInvocation};
use tokio::time::Instant;

use crate::CacheError;

/// How long an answer may take. Where Redis is slower than this, we do better without.
const LIMIT: Duration = Duration::from_millis(100);
/// How long a Redis that failed is left alone.
const PAUSE: Duration = Duration::from_secs(1);
/// After so many failures in a row the connection is made anew: it may lead nowhere.
const ANEW: u32 = 3;

/// A connection that is shared by all who ask; it connects when first asked, and again when lost.
pub struct RedisLink {
    client: Client,
    state: Mutex<State>,
    failures: AtomicU64,
}

#[derive(Default)]
struct State {
    manager: Option<ConnectionManager>,
    /// Not to be asked before.
    paused_until: Option<Instant>,
    in_a_row: u32,
}

impl RedisLink {
    /// A link to `redis://user:password@host:6379/0`, or `rediss://` with TLS. Does not connect yet.
    ///
    /// # Errors
    /// [`CacheError::BadSetting`], without what may be a password.
    pub fn open(url: &str) -> Result<Arc<RedisLink>, CacheError> {
        if url.starts_with("rediss:") {
            // As good where another part of the program was faster.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let client = Client::open(url).map_err(|_| {
            let wanted = "redis://user:password@host:6379/0 or rediss://...";
            CacheError::BadSetting(format!("the address of Redis is none: {wanted} is expected"))
        })?;
        Ok(Arc::new(RedisLink { client, state: Mutex::default(), failures: AtomicU64::new(0) }))
    }

    /// How many questions were not answered, since the start.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// True when the last question was answered.
    pub fn is_up(&self) -> bool {
        self.state().in_a_row == 0
    }

    /// Asks one question.
    pub(crate) async fn ask<T: FromRedisValue>(&self, question: &Cmd) -> Result<T, CacheError> {
        self.within(async |mut manager| question.query_async(&mut manager).await).await
    }

    /// Runs a script.
    pub(crate) async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, CacheError> {
        self.within(async |mut manager| script.invoke_async(&mut manager).await).await
    }

    async fn within<T, F: Future<Output = RedisResult<T>>>(
        &self,
        question: impl FnOnce(ConnectionManager) -> F,
    ) -> Result<T, CacheError> {
        let manager = match self.manager() {
            Ok(manager) => manager,
            Err(error) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                return Err(error);
            }
        };
        let error = match tokio::time::timeout(LIMIT, question(manager)).await {
            Ok(Ok(answer)) => {
                self.state().in_a_row = 0;
                return Ok(answer);
            }
            Ok(Err(error)) => told(&error),
            Err(_) => format!("no answer within {} ms", LIMIT.as_millis()),
        };
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state();
        state.paused_until = Some(Instant::now() + PAUSE);
        state.in_a_row += 1;
        if state.in_a_row == 1 {
            tracing::warn!(error, "Redis does not answer; going on without");
        }
        if state.in_a_row.is_multiple_of(ANEW) {
            state.manager = None;
        }
        Err(CacheError::Unreachable { what: "Redis", reason: error })
    }

    fn manager(&self) -> Result<ConnectionManager, CacheError> {
        let mut state = self.state();
        let unreachable = |reason: String| CacheError::Unreachable { what: "Redis", reason };
        if state.paused_until.is_some_and(|until| until > Instant::now()) {
            return Err(unreachable("it did not answer a moment ago".into()));
        }
        if let Some(manager) = &state.manager {
            return Ok(manager.clone());
        }
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(LIMIT))
            .set_response_timeout(None);
        let manager = ConnectionManager::new_lazy_with_config(self.client.clone(), config);
        let manager = manager.map_err(|error| unreachable(told(&error)))?;
        state.manager = Some(manager.clone());
        Ok(manager)
    }

    /// Nothing under this lock can panic halfway.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error as a text; what the server says of credentials stays out.
fn told(error: &RedisError) -> String {
    match error.kind() {
        ErrorKind::AuthenticationFailed => "it refuses the password".to_owned(),
        _ => error.to_string(),
    }
}

impl fmt::Debug for RedisLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLink").field("failures", &self.failures).finish_non_exhaustive()
    }
}
