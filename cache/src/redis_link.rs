//! The connection to Redis, which nothing depends on: it answers soon, or not at all.
//!
//! Nobody who asks waits longer than [`LIMIT`]. A question that takes longer, or meets a broken connection, ends the
//! connection, and a task of its own makes a new one, with growing pauses and a sign of life before it counts.
//! Meanwhile questions are refused at once: a Redis that hangs costs each question that was under way [`LIMIT`], and
//! those after it nothing.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::future::Future;
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, ScriptInvocation,
    ServerErrorKind,
};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::CacheError;

/// How long an answer may take. Where Redis is slower than this, we do better without.
pub const LIMIT: Duration = Duration::from_millis(100);
/// How long connecting may take, with TLS and the password. Nobody waits for it longer than [`LIMIT`].
const CONNECT: Duration = Duration::from_secs(3);
/// First and longest pause between two connections. After the first there is time left of [`LIMIT`], so that a question
/// whose connection was closed is still answered.
const PAUSES: (Duration, Duration) = (Duration::from_millis(40), Duration::from_secs(3));
/// A connection that lasted so long had no fault of its own: the next pause is a first one.
const STEADY: Duration = Duration::from_secs(10);
/// Questions that may wait to be written.
const WAITING: usize = 1024;

/// A connection that is shared by all who ask, and made again when it is lost.
pub struct RedisLink {
    client: Client,
    live: watch::Sender<Option<Live>>,
    state: Mutex<State>,
    failures: AtomicU64,
    me: Weak<RedisLink>,
}

/// A connection that answers.
#[derive(Clone)]
struct Live {
    connection: MultiplexedConnection,
    number: u64,
    since: Instant,
}

struct State {
    /// Makes the connection, while there is none.
    keeper: Option<JoinHandle<()>>,
    /// Until when questions wait for it.
    patience: Instant,
    /// Attempts and short connections in a row.
    attempts: u32,
    connections: u64,
    /// The log says that it is down.
    told: bool,
}

impl RedisLink {
    /// A link to `redis://user:password@host:6379/0`, or `rediss://` with TLS. Starts to connect when called in a
    /// runtime, and waits for nothing: a Redis that is away is no error.
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
        let state = State { keeper: None, patience: Instant::now(), attempts: 0, connections: 0, told: false };
        let link = Arc::new_cyclic(|me| RedisLink {
            client,
            live: watch::Sender::new(None),
            state: Mutex::new(state),
            failures: AtomicU64::new(0),
            me: me.clone(),
        });
        if Handle::try_current().is_ok() {
            link.connect();
        }
        Ok(link)
    }

    /// How many questions were not answered, since the start.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// True while there is a connection that answered the last question.
    pub fn is_up(&self) -> bool {
        self.live.borrow().is_some()
    }

    /// Asks one question.
    pub(crate) async fn ask<T: FromRedisValue>(&self, question: &Cmd) -> Result<T, CacheError> {
        self.within(|mut connection| async move { question.query_async(&mut connection).await }).await
    }

    /// Runs a script.
    pub(crate) async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, CacheError> {
        self.within(|mut connection| async move { script.invoke_async(&mut connection).await }).await
    }

    async fn within<T, F: Future<Output = RedisResult<T>>>(
        &self,
        question: impl Fn(MultiplexedConnection) -> F,
    ) -> Result<T, CacheError> {
        let mut asked = None;
        let answer = timeout(LIMIT, async {
            for last in [false, true] {
                let Some(live) = self.live().await else { break };
                asked = Some(live.number);
                match question(live.connection).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) if is_broken(&error) => {
                        self.lose(live.number, false, &error);
                        // It may have been idle for so long that the other side closed it; all questions may be
                        // asked twice.
                        if last {
                            return Err(told(&error));
                        }
                    }
                    Err(error) => return Err(told(&error)),
                }
            }
            Err("there is no connection".to_owned())
        });
        let reason = match answer.await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(reason)) => reason,
            Err(_) => {
                let reason = format!("no answer within {} ms", LIMIT.as_millis());
                if let Some(number) = asked {
                    self.lose(number, true, &reason);
                }
                reason
            }
        };
        self.failures.fetch_add(1, Ordering::Relaxed);
        Err(CacheError::Unreachable { what: "Redis", reason })
    }

    /// The connection; waits a moment for one that is just being made.
    async fn live(&self) -> Option<Live> {
        if let Some(live) = self.live.borrow().clone() {
            return Some(live);
        }
        let patience = self.connect();
        let mut changes = self.live.subscribe();
        match timeout_at(patience, changes.wait_for(Option::is_some)).await {
            Ok(Ok(live)) => live.clone(),
            _ => None,
        }
    }

    /// Sees to it that there is a connection or somebody who makes one. Tells until when to wait for it.
    fn connect(&self) -> Instant {
        let mut state = self.state();
        let kept = state.keeper.as_ref().is_some_and(|keeper| !keeper.is_finished());
        if !kept && !self.is_up() {
            state.patience = Instant::now() + LIMIT;
            state.keeper = Some(tokio::spawn(keep(self.me.clone())));
        }
        state.patience
    }

    /// Gives a connection up, if it is still the one in use. After one that hung nobody waits for the next.
    fn lose(&self, number: u64, hung: bool, reason: &dyn fmt::Display) {
        let mut state = self.state();
        let Some(lost) = self.live.borrow().clone().filter(|live| live.number == number) else { return };
        self.live.send_replace(None);
        let steady = lost.since.elapsed() >= STEADY;
        state.attempts = if steady { 0 } else { state.attempts + 1 };
        state.patience = Instant::now();
        if hung {
            state.attempts = state.attempts.max(1);
        } else {
            state.patience += LIMIT;
        }
        tracing::debug!(%reason, "the connection to Redis is given up");
        state.keeper = Some(tokio::spawn(keep(self.me.clone())));
    }

    fn gained(&self, connection: MultiplexedConnection) {
        let mut state = self.state();
        state.keeper = None;
        state.connections += 1;
        if std::mem::take(&mut state.told) {
            tracing::info!("Redis answers again");
        }
        self.live.send_replace(Some(Live { connection, number: state.connections, since: Instant::now() }));
    }

    fn missed(&self, reason: &str) {
        let mut state = self.state();
        state.attempts = state.attempts.saturating_add(1);
        if !std::mem::replace(&mut state.told, true) {
            tracing::warn!(reason, "Redis does not answer; going on without");
        }
    }

    /// Nothing under this lock can panic halfway.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connects until it succeeds, or nobody has the link any more.
async fn keep(link: Weak<RedisLink>) {
    loop {
        let Some((client, attempts)) = link.upgrade().map(|link| (link.client.clone(), link.state().attempts)) else {
            return;
        };
        tokio::time::sleep(pause(attempts)).await;
        let connected = timeout(CONNECT, connected(&client)).await;
        let Some(link) = link.upgrade() else { return };
        match connected {
            Ok(Ok(connection)) => return link.gained(connection),
            Ok(Err(reason)) => link.missed(&reason),
            Err(_) => link.missed(&format!("no connection within {} s", CONNECT.as_secs())),
        }
    }
}

/// A connection that has shown that it answers.
async fn connected(client: &Client) -> Result<MultiplexedConnection, String> {
    // Limits are ours: one for connecting, one for each question.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_pipeline_buffer_size(WAITING);
    let connection = client.get_multiplexed_async_connection_with_config(&config).await;
    let mut connection = connection.map_err(|error| told(&error))?;
    match timeout(LIMIT, redis::cmd("PING").exec_async(&mut connection)).await {
        Ok(Ok(())) => Ok(connection),
        // It answers, to others.
        Ok(Err(error)) if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => Ok(connection),
        Ok(Err(error)) => Err(told(&error)),
        Err(_) => Err(format!("no answer within {} ms", LIMIT.as_millis())),
    }
}

/// The pause before an attempt: none before the first, then twice as long each time, less up to a half so that
/// processes which lost the same Redis do not come back at once.
fn pause(attempts: u32) -> Duration {
    let (first, longest) = PAUSES;
    let Some(doublings) = attempts.checked_sub(1) else { return Duration::ZERO };
    let pause = first.saturating_mul(1 << doublings.min(16)).min(longest);
    let random = RandomState::new().hash_one(attempts) as u32;
    pause.mul_f64(1.0 - f64::from(random) / f64::from(u32::MAX) / 2.0)
}

/// True where only another connection can help. A server that refuses to write is a replica now: the primary has
/// moved.
fn is_broken(error: &RedisError) -> bool {
    error.is_unrecoverable_error()
        || error.is_io_error()
        || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
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
        f.debug_struct("RedisLink").field("up", &self.is_up()).field("failures", &self.failures).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit() {
        assert_eq!(pause(0), Duration::ZERO);
        for (attempts, most) in [(1, 40), (2, 80), (5, 640), (7, 2560), (8, 3000), (u32::MAX, 3000)] {
            let most = Duration::from_millis(most);
            for _ in 0..50 {
                let pause = pause(attempts);
                assert!(pause >= most / 2 && pause <= most, "{attempts}: {pause:?}");
            }
        }
    }
}
