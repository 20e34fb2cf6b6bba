//! Connections: how many, how slow they may be, and how they end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use imgflo_job::{Category, JobError};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::respond;
use crate::wire::{self, Wire};

/// How connections are treated.
#[derive(Clone, Debug, PartialEq)]
pub struct ServeOptions {
    /// Most connections at a time; further ones are answered 503 and closed, but for those that ask `/healthz` or
    /// `/readyz`. Default 2048.
    pub max_connections: usize,
    /// Most bytes of a request's line and headers together. Default 96 KiB.
    pub max_head_bytes: usize,
    /// Time for a request's line and headers to arrive, counted from the end of the request before;
    /// so it is also the time that an idle connection is kept. Default 10 s.
    pub head_timeout: Duration,
    /// Time that a client may take no byte of an answer. Default 30 s.
    pub stall_timeout: Duration,
    /// Time that requests have to finish when the server stops. Default 18 s: platforms kill what
    /// has not ended after 25 or 30 s, and workers in the same process end after the requests.
    pub drain_timeout: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        ServeOptions {
            max_connections: 2048,
            max_head_bytes: 96 * 1024,
            head_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(18),
        }
    }
}

/// Connections beyond the most that are refused with a word, or asked for health, at the same time; further ones are
/// closed.
const MAX_REFUSALS: usize = 256;
/// Time that such a connection has to begin its request, then for the rest of the head, and to take the answer.
const RESERVED: Duration = Duration::from_secs(1);
/// The paths that are answered although all connections are taken.
const HEALTH: [&str; 2] = ["/healthz", "/readyz"];
/// Bytes that tell them from others, with the method and a space behind.
const LONGEST_HEALTH: usize = 16;
/// How long the listener may fail all the time. It does when file descriptors are used up, which
/// passes; after this long, it is not that.
const MAX_FAILING: Duration = Duration::from_secs(120);

/// [`serve_with`] the default options.
///
/// # Errors
/// The listener's.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) -> io::Result<()> {
    serve_with(listener, router, shutdown, ServeOptions::default()).await
}

/// Serves until `shutdown`; then takes no further connection, closes the idle ones, and returns when
/// all requests are answered or `drain_timeout` is over.
///
/// # Errors
/// The listener's, when it accepts no connection for two minutes.
pub async fn serve_with(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
    options: ServeOptions,
) -> io::Result<()> {
    let mut failing_since = None;
    let slots = Arc::new(Semaphore::new(options.max_connections));
    let refusals = Arc::new(Semaphore::new(MAX_REFUSALS));
    let connections = TaskTracker::new();
    loop {
        let stream = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // It is gone already: its own affair.
                Err(error) if client_is_gone(&error) => continue,
                Err(error) => {
                    if failing_since.get_or_insert_with(Instant::now).elapsed() > MAX_FAILING {
                        return Err(error);
                    }
                    tracing::error!(%error, "cannot accept connections");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        failing_since = None;
        match Arc::clone(&slots).try_acquire_owned() {
            Ok(slot) => {
                connections.spawn(connection(stream, router.clone(), shutdown.clone(), options.clone(), true, slot));
            }
            Err(_) => {
                if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
                    let (router, shutdown, options) = (router.clone(), shutdown.clone(), options.clone());
                    connections.spawn(beyond(stream, router, shutdown, options, permit));
                }
            }
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(options.drain_timeout, connections.wait()).await.is_err() {
        tracing::warn!(open = connections.len(), "stopped with connections open");
    }
    Ok(())
}

fn client_is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset
    )
}

async fn connection(
    mut stream: TcpStream,
    router: Router,
    shutdown: CancellationToken,
    options: ServeOptions,
    keep_alive: bool,
    _slot: OwnedSemaphorePermit,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let refused = Arc::new(AtomicBool::new(false));
    {
        let service = TowerToHyperService::new(router);
        let io = TokioIo::new(Wire::new(&mut stream, Arc::clone(&refused), options.stall_timeout));
        let serving = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .keep_alive(keep_alive)
            .header_read_timeout(options.head_timeout)
            .max_buf_size(options.max_head_bytes)
            .serve_connection(io, service);
        let mut serving = std::pin::pin!(serving);
        let ended = tokio::select! {
            ended = serving.as_mut() => ended,
            () = shutdown.cancelled() => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
    }
    if refused.load(Ordering::Acquire) {
        wire::linger(&mut stream).await;
    }
}

/// A connection beyond the most: who asks for this process's health is answered, once; all others are refused.
async fn beyond(
    stream: TcpStream,
    router: Router,
    shutdown: CancellationToken,
    mut options: ServeOptions,
    permit: OwnedSemaphorePermit,
) {
    let mut first = [0; LONGEST_HEALTH];
    let peeked = tokio::time::timeout(RESERVED, stream.peek(&mut first)).await;
    if peeked.is_ok_and(|peeked| peeked.is_ok_and(|count| asks_for_health(&first[..count]))) {
        options.head_timeout = options.head_timeout.min(RESERVED);
        options.stall_timeout = options.stall_timeout.min(RESERVED);
        connection(stream, router, shutdown, options, false, permit).await;
    } else {
        refuse(stream, permit).await;
    }
}

/// True for the begin of a request for the health of this process.
fn asks_for_health(first: &[u8]) -> bool {
    let rest = first.strip_prefix(b"GET ").or_else(|| first.strip_prefix(b"HEAD "));
    let path = rest.and_then(|rest| rest.split(|byte| matches!(byte, b' ' | b'?')).next());
    path.is_some_and(|path| HEALTH.iter().any(|health| health.as_bytes() == path))
}

async fn refuse(mut stream: TcpStream, _permit: OwnedSemaphorePermit) {
    let message = respond::raw(&JobError::new(Category::Overloaded, "too many connections"));
    // A fresh connection has room for these few bytes; if not, the client gets nothing.
    if stream.try_write(&message).is_ok_and(|count| count == message.len()) {
        wire::linger(&mut stream).await;
    }
}
