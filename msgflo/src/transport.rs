//! What a broker does for participants.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

/// Why a message could not be sent.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SendError {
    /// A queue it belongs in is at its limit.
    #[error("queue '{queue}' is full: {limit} messages wait")]
    Full {
        /// The queue.
        queue: String,
        /// Its limit, messages.
        limit: usize,
    },
    /// No queue is bound to the outport, or there is no such queue: the message would be lost.
    #[error("no queue is bound to '{0}'")]
    Unroutable(String),
    /// The participant has no such outport.
    #[error("no outport '{0}'")]
    UnknownPort(String),
    /// The message has no JSON form.
    #[error("the message is no JSON: {0}")]
    NotJson(String),
    /// The transport is closed or unreachable.
    #[error("the transport is closed")]
    Closed,
}

/// Why a queue could not be declared, bound or consumed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TransportError {
    /// No queue or outport of that name.
    #[error("no queue or outport '{0}'")]
    Unknown(String),
    /// The transport is closed or unreachable.
    #[error("the transport is closed")]
    Closed,
}

/// How a queue behaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueOptions {
    /// Most messages that may wait; none: no limit. Messages that came back are never refused.
    pub limit: Option<usize>,
    /// Goes away with its last consumer (a front end's own queue of results).
    pub temporary: bool,
}

/// A broker.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Declares the queue of an inport, and the outport `dead-<queue>` for its dead letters.
    /// Declaring it again is no error; a limit given then replaces the one before.
    ///
    /// # Errors
    /// [`TransportError::Closed`].
    async fn declare_inport(&self, queue: &str, options: QueueOptions) -> Result<(), TransportError>;

    /// Declares an outport, to which queues can be bound.
    ///
    /// # Errors
    /// [`TransportError::Closed`].
    async fn declare_outport(&self, outport: &str) -> Result<(), TransportError>;

    /// Binds a queue to an outport: each message sent there goes to every bound queue.
    ///
    /// # Errors
    /// [`TransportError::Unknown`].
    async fn bind(&self, outport: &str, queue: &str) -> Result<(), TransportError>;

    /// Undoes [`Transport::bind`], if they are bound.
    ///
    /// # Errors
    /// [`TransportError::Unknown`].
    async fn unbind(&self, outport: &str, queue: &str) -> Result<(), TransportError>;

    /// Sends a message on an outport; returns once every bound queue has it safely, or none has.
    ///
    /// # Errors
    /// [`SendError`].
    async fn send(&self, outport: &str, message: Bytes) -> Result<(), SendError>;

    /// Sends a message to one queue, bound or not.
    ///
    /// # Errors
    /// [`SendError`].
    async fn send_to_queue(&self, queue: &str, message: Bytes) -> Result<(), SendError>;

    /// Takes messages from a queue, oldest first. Several consumers share its messages: who waits
    /// longest gets the next one.
    ///
    /// # Errors
    /// [`TransportError::Unknown`].
    async fn consume(&self, queue: &str) -> Result<Consumer, TransportError>;

    /// Ends it: consumers get no more messages, nothing more is taken in.
    async fn close(&self);
}

/// What became of a delivered message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done: forget it.
    Done,
    /// Cannot succeed: to the dead letters, with the reason.
    Rejected(String),
    /// Not done by this consumer: back to its queue, marked as delivered before.
    Returned,
}

/// Where a [`Consumer`] gets its deliveries; made by a transport.
#[async_trait]
pub trait Inbox: Send + Sync + 'static {
    /// The next message, or none when the transport is closed.
    ///
    /// Must be safe to drop while it waits: a message leaves its queue only in the poll that
    /// returns it. So a worker that waits on two queues holds no message of the one it did not
    /// choose.
    async fn next(&self) -> Option<Delivery>;
}

/// Takes messages from a queue. Clones share it; the queue sees them as one consumer.
#[derive(Clone)]
pub struct Consumer {
    inbox: Arc<dyn Inbox>,
}

impl Consumer {
    /// A consumer of a transport's inbox.
    pub fn new(inbox: impl Inbox) -> Self {
        Consumer { inbox: Arc::new(inbox) }
    }

    /// The next message, or none when the transport is closed. Safe to drop while it waits; no
    /// message is taken before it is returned.
    pub async fn next(&self) -> Option<Delivery> {
        self.inbox.next().await
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").finish_non_exhaustive()
    }
}

/// Tells the broker what became of a message; none when the delivery was dropped unsettled.
type Settle = Box<dyn FnOnce(Option<Outcome>) + Send + Sync>;

/// A message on its way to a participant. It stays the broker's until [`Delivery::settle`]; a
/// delivery that is dropped unsettled (its task died) goes back to its queue.
pub struct Delivery {
    /// The message: JSON text by convention.
    pub message: Bytes,
    /// True when it was delivered before and came back.
    pub redelivered: bool,
    settle: Option<Settle>,
}

impl Delivery {
    /// A delivery, made by a transport. `settle` is called once: with the outcome, or with none
    /// when the delivery is dropped unsettled. It must not block.
    pub fn new(
        message: Bytes,
        redelivered: bool,
        settle: impl FnOnce(Option<Outcome>) + Send + Sync + 'static,
    ) -> Self {
        Delivery { message, redelivered, settle: Some(Box::new(settle)) }
    }

    /// Says what became of it.
    pub fn settle(mut self, outcome: Outcome) {
        if let Some(settle) = self.settle.take() {
            settle(Some(outcome));
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(settle) = self.settle.take() {
            settle(None);
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("message", &self.message)
            .field("redelivered", &self.redelivered)
            .finish_non_exhaustive()
    }
}
