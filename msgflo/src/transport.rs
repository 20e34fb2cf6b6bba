//! What a broker does for participants.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

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
    /// The broker takes no message of this size.
    #[error("the message has {size} bytes; the broker takes at most {limit}")]
    TooLarge {
        /// Of the message, bytes.
        size: usize,
        /// Most, bytes.
        limit: usize,
    },
    /// The broker takes no messages for want of memory or disk.
    #[error("the broker takes no messages at the moment: it lacks memory or disk")]
    Blocked,
    /// The broker cannot be reached, or did not confirm in time; it is being connected to again.
    #[error("the broker is not reachable: {0}")]
    Unreachable(String),
    /// The transport was closed by us.
    #[error("the transport is closed")]
    Closed,
}

/// Why a queue could not be declared, bound or consumed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TransportError {
    /// No queue or outport of that name.
    #[error("no queue or outport '{0}'")]
    Unknown(String),
    /// The address of the broker cannot be used.
    #[error("the address of the broker {0}")]
    BadUrl(String),
    /// The broker refused us: wrong user, password or virtual host, or no right to do this.
    #[error("the broker refuses: {0}")]
    Refused(String),
    /// The broker cannot be reached.
    #[error("the broker is not reachable: {0}")]
    Unreachable(String),
    /// The transport was closed by us.
    #[error("the transport is closed")]
    Closed,
}

/// How a transport stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Messages flow.
    Up,
    /// The broker takes no messages for want of memory or disk; those that wait are delivered.
    Blocked,
    /// The broker cannot be reached; it is tried again and again.
    Down,
}

/// How a queue behaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueOptions {
    /// Most messages that may wait; none: no limit. Messages that came back are never refused.
    pub limit: Option<usize>,
    /// Goes away with its last consumer (a front end's own queue of results).
    pub temporary: bool,
}

/// A queue from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Messages that wait, without those that are delivered and not settled yet.
    pub waiting: usize,
    /// Consumers, as far as the broker tells.
    pub consumers: usize,
}

/// A broker.
///
/// A transport to a broker elsewhere connects again by itself, and then declares and binds
/// everything anew. While it is down, declarations are taken and done later, sending fails with
/// [`SendError::Unreachable`] at once, and consumers wait.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Declares the queue of an inport, and the outport `dead-<queue>` for its dead letters.
    /// Declaring it again is no error; a limit given then replaces the one before.
    ///
    /// # Errors
    /// [`TransportError::Closed`].
    async fn declare_inport(&self, queue: &str, options: QueueOptions) -> Result<(), TransportError>;

    /// How much waits in a queue.
    ///
    /// # Errors
    /// [`TransportError::Unknown`].
    async fn backlog(&self, queue: &str) -> Result<Backlog, TransportError>;

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

    /// Binds a queue to an outport as MsgFlo's `RoundRobin` does (on AMQP through an exchange
    /// `out-<outport>`): the instances of the role behind the queue share its messages. What they
    /// reject goes on to the queue `dead_letters`.
    ///
    /// # Errors
    /// [`TransportError::Unknown`].
    async fn bind_round_robin(
        &self,
        outport: &str,
        queue: &str,
        dead_letters: Option<&str>,
    ) -> Result<(), TransportError>;

    /// Sends a discovery message. It is worth nothing after `lifetime`; of too many that nobody
    /// reads, the oldest go.
    ///
    /// # Errors
    /// [`SendError`].
    async fn announce(&self, message: Bytes, lifetime: Duration) -> Result<(), SendError>;

    /// Takes discovery messages.
    ///
    /// # Errors
    /// [`TransportError`].
    async fn discover(&self) -> Result<Consumer, TransportError>;

    /// How the transport stands, now and as it changes. [`Link::Up`] after [`Link::Down`] means
    /// that the broker may have forgotten what was temporary.
    fn link(&self) -> watch::Receiver<Link>;

    /// Queues, exchanges and bindings of this process that are broken at the moment, with the reason, for people. Empty
    /// when all is well.
    fn faults(&self) -> Vec<String> {
        Vec::new()
    }

    /// Counts the queues of this process that somebody deleted on the broker, with the messages that waited in them.
    /// Whoever knows what waited sends it again.
    fn losses(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }

    /// Ends it: consumers get no more messages, nothing more is taken in. Returns when what was
    /// settled before has reached the broker, or cannot.
    async fn close(&self);
}

/// What became of a delivered message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done: forget it.
    Done,
    /// Cannot succeed: to the dead letters, with the reason (on AMQP in the header `x-reason`).
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

/// Consumers that may end with a message unsettled before it goes to the dead letters. A message whose consumer ended is
/// not to blame for that: others were at work beside it, or somebody killed the process. So this is a backstop, far
/// above what restarts and lost connections come to; a consumer that suspects a message ([`Delivery::crashes`]) finds
/// out by itself.
pub const MAX_CRASHES: u32 = 100;

/// Longest time that a broker may take to confirm a message, unless told otherwise. A broker that is away or takes no messages is
/// noticed at once; this is for one that is busy, or on a busy machine.
pub const CONFIRM: Duration = Duration::from_secs(5);
/// How long what was settled may take to reach the broker when we close, with the end of the connections.
pub(crate) const FAREWELL: Duration = Duration::from_secs(3);
/// What is left for the end of the connections in any case.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(1);

/// Outport of the dead letters of a queue: `dead-<queue>`.
pub fn dead_letters_of(queue: &str) -> String {
    format!("dead-{queue}")
}

/// How a message became a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// The queue that it came from.
    pub queue: String,
    /// Why it was given up.
    pub reason: String,
    /// When.
    pub at: SystemTime,
}

impl Death {
    /// Headers of a dead letter: the reason, the queue, and the time (ms since 1970).
    pub(crate) const REASON: &str = "x-reason";
    pub(crate) const FROM: &str = "x-from-queue";
    pub(crate) const AT: &str = "x-died-at";
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
    /// How many consumers ended, or lost their broker, between taking and settling it.
    pub crashes: u32,
    /// For a dead letter: how it became one.
    pub death: Option<Death>,
    settle: Option<Settle>,
}

impl Delivery {
    /// A delivery, made by a transport. `settle` is called once: with the outcome, or with none
    /// when the delivery is dropped unsettled. It must not block.
    pub fn new(
        message: Bytes,
        redelivered: bool,
        crashes: u32,
        death: Option<Death>,
        settle: impl FnOnce(Option<Outcome>) + Send + Sync + 'static,
    ) -> Self {
        Delivery { message, redelivered, crashes, death, settle: Some(Box::new(settle)) }
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
            .field("crashes", &self.crashes)
            .field("death", &self.death)
            .finish_non_exhaustive()
    }
}
