//! Bodies that are sent piece by piece: the next piece is read when the client has taken the one before. So a client that
//! reads slowly holds one piece in memory, whatever the size of the body.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use futures::task::AtomicWaker;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use imgflo_cache::{CacheError, Stored};
use tokio::sync::Semaphore;

/// Size of a piece that every body may hold, bytes.
pub(crate) const SMALL: usize = 8 << 10;
/// Size of a piece while there is room for large ones, which take fewer steps.
const LARGE: usize = 128 << 10;
/// Large pieces at a time, of all bodies together.
const LARGE_PIECES: usize = 64;

/// Room for the large pieces of a server.
#[derive(Clone, Debug)]
pub(crate) struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Room(Arc::new(Semaphore::new(LARGE_PIECES)))
    }
}

/// Returns `length` bytes of a result from `from` on as a body. One that cannot be read to its end breaks off.
pub(crate) fn of_stored(stored: Stored, from: u64, length: u64, room: &Room) -> Body {
    if let Some(bytes) = stored.whole() {
        // Shared by all who read it.
        let from = from.min(bytes.len() as u64) as usize;
        let to = from.saturating_add(length as usize).min(bytes.len());
        return Body::from(bytes.slice(from..to));
    }
    let end = from + length;
    let begin = (stored, from, room.clone());
    let pieces = stream::try_unfold(begin, move |(stored, at, room)| async move {
        if at >= end {
            return Ok::<_, CacheError>(None);
        }
        let permit = Arc::clone(&room.0).try_acquire_owned().ok();
        let size = if permit.is_some() { LARGE } else { SMALL };
        let bytes = stored.read(at, size.min((end - at) as usize)).await.inspect_err(|error| {
            tracing::warn!(%error, "a result breaks off: it cannot be read to its end");
        })?;
        let next = at + bytes.len() as u64;
        Ok(Some((Bytes::from_owner(Held { bytes, release: permit }), (stored, next, room))))
    });
    one_by_one(Body::from_stream(pieces), Some(length))
}

/// Holds back each piece of a body until the one before is sent. `length` tells its size where it does not itself, bytes.
pub(crate) fn one_by_one(body: Body, length: Option<u64>) -> Body {
    Body::new(OneByOne { body, length, turn: Arc::default() })
}

/// Bytes that give something back when the last of them are sent.
struct Held<T> {
    bytes: Bytes,
    #[expect(dead_code, reason = "it acts when it is dropped")]
    release: T,
}

impl<T> AsRef<[u8]> for Held<T> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Tells if a piece is under way, and wakes who waits for its end.
#[derive(Default)]
struct Turn {
    taken: AtomicBool,
    waker: AtomicWaker,
}

/// Gives the turn to the next piece.
struct Sent(Arc<Turn>);

impl Drop for Sent {
    fn drop(&mut self) {
        self.0.taken.store(false, Ordering::Release);
        self.0.waker.wake();
    }
}

struct OneByOne {
    body: Body,
    length: Option<u64>,
    turn: Arc<Turn>,
}

impl HttpBody for OneByOne {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.turn.taken.load(Ordering::Acquire) {
            self.turn.waker.register(context.waker());
            // It may have been given back meanwhile.
            if self.turn.taken.load(Ordering::Acquire) {
                return Poll::Pending;
            }
        }
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)) else { return Poll::Ready(None) };
        let turn = &self.turn;
        Poll::Ready(Some(frame.map(|frame| {
            frame.map_data(|bytes| {
                turn.taken.store(true, Ordering::Release);
                Bytes::from_owner(Held { bytes, release: Sent(Arc::clone(turn)) })
            })
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(|| self.body.size_hint(), SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_piece_waits_for_the_one_before() {
        let parts = ["one", "two"].map(|part| Ok::<_, std::io::Error>(Bytes::from_static(part.as_bytes())));
        let mut body = one_by_one(Body::from_stream(stream::iter(parts)), Some(6));
        assert_eq!(body.size_hint().exact(), Some(6));
        let mut next = async || {
            let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context));
            let frame = tokio::time::timeout(std::time::Duration::from_millis(20), frame).await.ok()?;
            Some(frame.map(|frame| frame.unwrap().into_data().unwrap()))
        };
        let first = next().await.unwrap().unwrap();
        let rest = first.slice(1..);
        drop(first);
        assert!(next().await.is_none(), "a part of the first is still under way");
        assert_eq!(rest, "ne");
        drop(rest);
        assert_eq!(next().await.unwrap().unwrap(), "two");
        assert!(next().await.unwrap().is_none());
    }
}
