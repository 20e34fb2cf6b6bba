//! What the consumers of a queue in this process share: its subscription, and the messages that
//! arrived.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::letter::Letter;
use super::subscriptions::Subscription;
use crate::discovery;
use crate::transport::{Consumer, Death, Delivery, Inbox, MAX_CRASHES, Outcome, TransportError, dead_letters_of};

/// How often a full queue is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How often a dead letter is offered that nobody takes, and the time between.
const OFFERS: usize = 5;
const BETWEEN: Duration = Duration::from_millis(200);

/// A subscription, which ends with the last consumer.
pub(super) struct Tap {
    queue: Arc<Queue>,
    id: usize,
    /// Set with its end.
    ended: CancellationToken,
}

struct Queue {
    name: String,
    temporary: bool,
    shared: Arc<Shared>,
}

impl Tap {
    /// Subscribes. Past `limit` messages that wait here the queue takes no more for a while.
    ///
    /// # Errors
    /// [`TransportError::Refused`].
    pub(super) async fn open(
        shared: &Arc<Shared>,
        queue: &str,
        temporary: bool,
        limit: usize,
    ) -> Result<Arc<Tap>, TransportError> {
        let full = Arc::new(Notify::new());
        let (local, name, notify) = (Arc::clone(&shared.local), queue.to_owned(), Arc::clone(&full));
        let sink = Box::new(move |letter: Letter| {
            if local.deliver(&name, letter.message, letter.death.as_ref()) >= limit {
                notify.notify_one();
            }
        });
        let id = shared.subscriptions.add(Subscription::shared(queue, queue, sink)).await?;
        let ended = CancellationToken::new();
        let (holder, name, over) = (Arc::clone(shared), queue.to_owned(), ended.clone());
        shared.spawn(async move {
            tokio::select! {
                () = over.cancelled() => {}
                () = holder.closing.cancelled() => {}
                () = regulate(&holder, &name, id, limit, &full) => {}
            }
        });
        let queue = Arc::new(Queue { name: queue.to_owned(), temporary, shared: Arc::clone(shared) });
        Ok(Arc::new(Tap { queue, id, ended }))
    }

    /// Subscribes to announcements.
    ///
    /// # Errors
    /// [`TransportError::Refused`].
    pub(super) async fn on_discovery(shared: &Arc<Shared>) -> Result<Arc<Tap>, TransportError> {
        let local = Arc::clone(&shared.local);
        // Every process hears all of them; that nobody hears them is no loss.
        let sink = Box::new(move |letter: Letter| local.hear(&letter.message));
        let id = shared.subscriptions.add(Subscription::open(discovery::QUEUE, sink)).await?;
        let queue = Queue { name: discovery::QUEUE.to_owned(), temporary: true, shared: Arc::clone(shared) };
        Ok(Arc::new(Tap { queue: Arc::new(queue), id, ended: CancellationToken::new() }))
    }
}

impl Queue {
    fn delivery(self: &Arc<Self>, delivery: Delivery) -> Delivery {
        let Delivery { message, redelivered, crashes, death, .. } = &delivery;
        let (message, redelivered, crashes, death) = (message.clone(), *redelivered, *crashes, death.clone());
        let (letter, queue) = (Letter { message: message.clone(), death: death.clone() }, Arc::clone(self));
        Delivery::new(message, redelivered, crashes, death, move |outcome| match outcome {
            Some(Outcome::Done) => delivery.settle(Outcome::Done),
            Some(Outcome::Rejected(reason)) => {
                delivery.settle(Outcome::Done);
                queue.bury(letter, reason);
            }
            None if delivery.crashes + 1 >= MAX_CRASHES => {
                delivery.settle(Outcome::Done);
                queue.bury(letter, format!("{MAX_CRASHES} consumers ended without settling it"));
            }
            Some(Outcome::Returned) => {
                delivery.settle(Outcome::Returned);
                queue.came_back();
            }
            None => {
                drop(delivery);
                queue.came_back();
            }
        })
    }

    /// When we are leaving, nobody here will take what comes back.
    fn came_back(&self) {
        if self.shared.closing.is_cancelled() && !self.temporary {
            let (shared, name) = (Arc::clone(&self.shared), self.name.clone());
            self.shared.spawn(async move { shared.give_back(&name).await });
        }
    }

    /// To the dead letters.
    fn bury(&self, letter: Letter, reason: String) {
        tracing::warn!(queue = self.name, reason, "a message goes to the dead letters");
        if self.temporary {
            return;
        }
        let death = Some(Death { queue: self.name.clone(), reason, at: SystemTime::now() });
        let (shared, queue, letter) = (Arc::clone(&self.shared), self.name.clone(), Letter { death, ..letter });
        self.shared.spawn(async move {
            for _ in 1..OFFERS {
                if shared.publish(&dead_letters_of(&queue), &letter).await.is_ok() {
                    return;
                }
                tokio::time::sleep(BETWEEN).await;
            }
            if let Err(error) = shared.publish(&dead_letters_of(&queue), &letter).await {
                tracing::error!(queue, %error, message = %letter.message.escape_ascii(), "a dead letter is lost");
            }
        });
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.ended.cancel();
        let (queue, id) = (Arc::clone(&self.queue), self.id);
        let forwards = if queue.temporary { queue.shared.forget(&queue.name) } else { Vec::new() };
        self.queue.shared.spawn(async move {
            let Queue { name, temporary, shared } = &*queue;
            for id in forwards.into_iter().chain([id]) {
                shared.subscriptions.remove(id).await;
            }
            // Somebody may have come meanwhile.
            let is_nobodys = shared.taps.lock().await.get(name).is_none_or(|tap| tap.strong_count() == 0);
            if !temporary && is_nobodys {
                shared.give_back(name).await;
            }
        });
    }
}

/// Takes no more while too much waits.
async fn regulate(shared: &Shared, queue: &str, id: usize, limit: usize, full: &Notify) {
    loop {
        full.notified().await;
        tracing::warn!(queue, limit, "the queue is full: taking no more");
        shared.subscriptions.pause(id).await;
        while shared.local.waiting(queue) > limit / 2 {
            tokio::time::sleep(LOOK).await;
        }
        shared.subscriptions.resume(id).await;
    }
}

/// As a consumer sees it.
pub(super) struct TapInbox {
    // Dropped in this order: the queue's messages are given back when it has no consumer.
    pub(super) inner: Consumer,
    pub(super) tap: Arc<Tap>,
}

#[async_trait]
impl Inbox for TapInbox {
    async fn next(&self) -> Option<Delivery> {
        let delivery = self.inner.next().await?;
        Some(self.tap.queue.delivery(delivery))
    }
}
