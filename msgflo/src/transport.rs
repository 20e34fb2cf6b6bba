//! What a broker does for participants.

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
    /// No queue is bound to the outport: the message would be lost.
    #[error("no queue is bound to '{0}'")]
    Unroutable(String),
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
    /// Most messages that may wait; none: no limit.
    pub limit: Option<usize>,
    /// Goes away with its consumer (a front end's own queue of results).
    pub temporary: bool,
}

/// A broker.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Declares the queue of an inport. Declaring it again is no error.
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

    /// Undoes [`Transport::bind`].
    ///
    /// # Errors
    /// [`TransportError::Unknown`].
    async fn unbind(&self, outport: &str, queue: &str) -> Result<(), TransportError>;

    /// Sends a message on an outport; returns once every bound queue has it safely, or none has.
    ///
    /// # Errors
    /// [`SendError`].
    async fn send(&self, outport: &str, message: Bytes) -> Result<(), SendError>;

    /// Takes messages from a queue. Several consumers share its messages.
    ///
    /// # Errors
    /// [`TransportError::Unknown`].
    async fn consume(&self, queue: &str) -> Result<Consumer, TransportError>;
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

/// A stream of deliveries. Clones share it.
#[derive(Clone, Debug)]
pub struct Consumer {
    deliveries: async_channel::Receiver<Delivery>,
}

impl Consumer {
    /// A consumer fed by a transport.
    pub fn new(deliveries: async_channel::Receiver<Delivery>) -> Self {
        Consumer { deliveries }
    }

    /// The next message, or none when the transport is closed. Safe to drop while it waits.
    pub async fn next(&self) -> Option<Delivery> {
        self.deliveries.recv().await.ok()
    }
}

/// A message on its way to a participant. It stays the broker's until [`Delivery::settle`]; a
/// delivery that is dropped unsettled goes back to its queue.
#[derive(Debug)]
pub struct Delivery {
    /// The message: JSON text by convention.
    pub message: Bytes,
    /// True when it was delivered before and came back.
    pub redelivered: bool,
    settle: Option<tokio::sync::oneshot::Sender<Outcome>>,
}

impl Delivery {
    /// A delivery, made by a transport; the receiver of `settle` learns the outcome, and that it
    /// was dropped when it gets none.
    pub fn new(message: Bytes, redelivered: bool, settle: tokio::sync::oneshot::Sender<Outcome>) -> Self {
        Delivery { message, redelivered, settle: Some(settle) }
    }

    /// Says what became of it.
    pub fn settle(mut self, outcome: Outcome) {
        if let Some(settle) = self.settle.take() {
            // The transport is gone: there is nobody left to tell.
            let _ = settle.send(outcome);
        }
    }
}
