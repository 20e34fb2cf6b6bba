//! A binding at work: MQTT has none, so the process that binds carries the messages over.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesOrdered;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::letter::Letter;
use super::subscriptions::Subscription;
use crate::transport::{SendError, TransportError};

/// Messages on their way at once.
const AT_ONCE: usize = 8;
/// Waits before a message that nobody takes is offered again: the first, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(10);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Carries the messages of an outport to a queue.
pub(super) struct Forward {
    outport: String,
    queue: String,
    /// Most messages that may wait here.
    limit: usize,
    letters: Mutex<VecDeque<Letter>>,
    arrived: Notify,
    /// Set when no more messages come: those that are here are carried over yet.
    unbound: CancellationToken,
    /// Set when the queue is gone.
    dropped: CancellationToken,
}

impl Forward {
    /// Starts one. `limit`: the most messages that may wait here for somebody to take them, more
    /// or less: past it, who sends is told that nobody takes any.
    ///
    /// # Errors
    /// [`TransportError::Refused`].
    pub(super) async fn start(
        shared: &Arc<Shared>,
        outport: &str,
        queue: &str,
        limit: usize,
    ) -> Result<(Arc<Forward>, usize), TransportError> {
        let forward = Arc::new(Forward {
            outport: outport.to_owned(),
            queue: queue.to_owned(),
            limit,
            letters: Mutex::default(),
            arrived: Notify::new(),
            unbound: CancellationToken::new(),
            dropped: CancellationToken::new(),
        });
        let inlet = Arc::clone(&forward);
        let sink = Box::new(move |letter| {
            inlet.letters().push_back(letter);
            inlet.arrived.notify_one();
        });
        let id = shared.subscriptions.add(Subscription::shared(queue, outport, sink)).await?;
        let (running, holder) = (Arc::clone(&forward), Arc::clone(shared));
        shared.spawn(async move { running.run(id, &holder).await });
        Ok((forward, id))
    }

    /// Nothing under this lock can panic halfway.
    fn letters(&self) -> MutexGuard<'_, VecDeque<Letter>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Messages that wait here.
    pub(super) fn waiting(&self) -> usize {
        self.letters().len()
    }

    /// Ends it once it has carried over what is here; the caller has unsubscribed it.
    pub(super) fn unbind(&self) {
        self.unbound.cancel();
    }

    /// Ends it, with what is here: there is no such queue any more.
    pub(super) fn drop_all(&self) {
        self.dropped.cancel();
        self.letters().clear();
        self.unbound.cancel();
    }

    async fn run(&self, id: usize, shared: &Shared) {
        let mut paused = false;
        let mut wait = FIRST_WAIT;
        let mut on_the_way = FuturesOrdered::new();
        loop {
            while on_the_way.len() < AT_ONCE
                && let Some(letter) = self.take()
            {
                on_the_way.push_back(async { (shared.publish(&self.queue, &letter).await, letter) });
            }
            self.regulate(id, shared, &mut paused).await;
            tokio::select! {
                biased;
                Some((sent, letter)) = on_the_way.next() => match sent {
                    Ok(()) => wait = FIRST_WAIT,
                    Err(error) => {
                        shared.remind(&self.queue, &error).await;
                        // All that failed come again, in their order.
                        let mut failed = vec![(error, letter)];
                        while let Some((sent, letter)) = on_the_way.next().await {
                            failed.extend(sent.err().map(|error| (error, letter)));
                        }
                        self.take_back(failed, shared);
                        self.pass(wait, id, shared, &mut paused).await;
                        wait = (wait * 2).min(LONGEST_WAIT);
                    }
                },
                () = self.arrived.notified() => {}
                () = self.unbound.cancelled(), if on_the_way.is_empty() => return,
                () = shared.closing.cancelled(), if on_the_way.is_empty() => return,
            }
        }
    }

    fn take(&self) -> Option<Letter> {
        self.letters().pop_front()
    }

    fn take_back(&self, failed: Vec<(SendError, Letter)>, shared: &Shared) {
        for (error, letter) in failed.into_iter().rev() {
            let hopeless = matches!(error, SendError::TooLarge { .. });
            if hopeless || shared.closing.is_cancelled() || self.dropped.is_cancelled() {
                self.lost(&error);
            } else {
                self.letters().push_front(letter);
            }
        }
    }

    fn lost(&self, error: &SendError) {
        if !self.dropped.is_cancelled() {
            tracing::warn!(outport = self.outport, queue = self.queue, %error, "a message is lost");
        }
    }

    /// Lets time pass.
    async fn pass(&self, wait: Duration, id: usize, shared: &Shared, paused: &mut bool) {
        let until = Instant::now() + wait;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => return,
                () = self.dropped.cancelled() => return,
                () = shared.closing.cancelled() => return,
                () = self.arrived.notified() => self.regulate(id, shared, paused).await,
            }
        }
    }

    /// Takes no more when there is too much, and takes some again when there is less.
    async fn regulate(&self, id: usize, shared: &Shared, paused: &mut bool) {
        let waiting = self.waiting();
        if !*paused && waiting >= self.limit {
            tracing::warn!(outport = self.outport, queue = self.queue, waiting, "nobody takes them: taking no more");
            *paused = true;
            shared.subscriptions.pause(id).await;
        } else if *paused && waiting <= self.limit / 2 && !self.unbound.is_cancelled() {
            *paused = false;
            shared.subscriptions.resume(id).await;
        }
    }
}
