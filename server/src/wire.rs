//! The byte stream below HTTP: gives up on clients that do not read, turns the bare answers that the
//! HTTP library gives to unreadable requests into problem details, and closes so that the client
//! gets to read them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use imgflo_job::{Category, JobError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::respond;

/// How long and how much is read from a client after our last answer, so that closing does not
/// destroy the answer on its way (TCP resets a connection that is closed with bytes unread).
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 4 * 1024 * 1024;

/// A stream of one connection.
#[derive(Debug)]
pub(crate) struct Wire<S> {
    stream: S,
    /// Set when a request could not be read.
    refused: Arc<AtomicBool>,
    /// How long a write may make no progress.
    stall: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    /// Our bytes in place of the library's, how many of them are written, and how many they stand
    /// for.
    instead: Option<(Vec<u8>, usize, usize)>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Wraps a stream.
    pub(crate) fn new(stream: S, refused: Arc<AtomicBool>, stall: Duration) -> Self {
        Wire { stream, refused, stall, stalled: None, instead: None }
    }

    /// Ends the stall timer on progress; starts it otherwise, and fails when it is over.
    fn watch<T>(&mut self, context: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.stalled = None;
            return poll;
        }
        let stall = self.stall;
        let timer = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(stall)));
        ready!(timer.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }

    /// Recognises an answer of the HTTP library's own: a bare head for a request that never reached
    /// us. Responses of ours carry a request id.
    fn refusal(bytes: &[u8]) -> Option<JobError> {
        let code = bytes.strip_prefix(b"HTTP/1.1 ").or_else(|| bytes.strip_prefix(b"HTTP/1.0 "))?.get(..3)?;
        let text = match code {
            b"400" => "this is not an HTTP/1.1 request",
            b"414" | b"431" => "the address or the headers of the request are too long",
            _ => return None,
        };
        let head = std::str::from_utf8(bytes).ok()?.strip_suffix("\r\n\r\n")?;
        let has = |name: &str| head.lines().any(|line| line.starts_with(name));
        (has("content-length: 0") && has("connection: close") && !has("x-request-id:"))
            .then(|| JobError::new(Category::Malformed, text))
    }

    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        first: &[u8],
        send: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if self.instead.is_none()
            && let Some(error) = Self::refusal(first)
        {
            self.refused.store(true, Ordering::Release);
            self.instead = Some((respond::raw(&error), 0, first.len()));
        }
        while let Some((bytes, written, stands_for)) = &mut self.instead {
            if *written == bytes.len() {
                let count = *stands_for;
                self.instead = None;
                return Poll::Ready(Ok(count));
            }
            let poll = Pin::new(&mut self.stream).poll_write(context, &bytes[*written..]);
            match self.watch(context, poll) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => {
                    if let Some((_, written, _)) = &mut self.instead {
                        *written += count;
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        let poll = send(Pin::new(&mut self.stream), context);
        self.watch(context, poll)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(context, bytes, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A refusal has no body, so it is in one part.
        let first = parts.iter().find(|part| !part.is_empty()).map_or(&[][..], |part| part);
        self.poll_send(context, first, |stream, context| stream.poll_write_vectored(context, parts))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(context, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(context);
        self.watch(context, poll)
    }
}

/// Says that nothing more comes, and reads on for a moment before the connection is closed.
pub(crate) async fn linger<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    let until = Instant::now() + LINGER;
    let mut left = LINGER_BYTES;
    let mut sink = vec![0; 16 * 1024];
    if !matches!(tokio::time::timeout_at(until, stream.shutdown()).await, Ok(Ok(()))) {
        return;
    }
    while left > 0 {
        match tokio::time::timeout_at(until, stream.read(&mut sink)).await {
            Ok(Ok(count)) if count > 0 => left = left.saturating_sub(count),
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(capacity: usize) -> (Wire<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let (near, far) = tokio::io::duplex(capacity);
        (Wire::new(near, Arc::default(), Duration::from_secs(30)), far)
    }

    const BARE: &str = "HTTP/1.1 414 URI Too Long\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

    async fn sent(text: &str, capacity: usize) -> String {
        let (mut wire, mut far) = wire(capacity);
        let bytes = text.as_bytes().to_vec();
        let writer = tokio::spawn(async move { wire.write_all(&bytes).await.unwrap() });
        let mut text = String::new();
        far.read_to_string(&mut text).await.unwrap();
        writer.await.unwrap();
        text
    }

    #[tokio::test]
    async fn bare_refusals_become_problems() {
        // Also through a stream that takes seven bytes at a time.
        for capacity in [64 * 1024, 7] {
            let text = sent(BARE, capacity).await;
            assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{text}");
            assert!(text.contains("application/problem+json"), "{text}");
        }
    }

    #[tokio::test]
    async fn responses_of_ours_pass_as_they_are() {
        let ours = BARE.replace("content-length", "x-request-id: 1\r\ncontent-length");
        assert_eq!(sent(&ours, 64 * 1024).await, ours);
        let ok = BARE.replace("414", "200");
        assert_eq!(sent(&ok, 64 * 1024).await, ok);
        let body = format!("{BARE} and more");
        assert_eq!(sent(&body, 64 * 1024).await, body);
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_given_up() {
        let (mut wire, _far) = wire(16);
        wire.stall = Duration::from_millis(20);
        let error = wire.write_all(&[0; 1000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
