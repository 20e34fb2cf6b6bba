//! The queues, exchanges and bindings that this process declared: made on the broker, remembered,
//! and made again on a new connection. The objects are those of MsgFlo:
//!
//! | of | objects |
//! |---|---|
//! | inport `Q` | queue `Q` (durable, `x-dead-letter-exchange: dead-Q`), fanout exchanges `Q` (bound to it) and `dead-Q` |
//! | temporary inport `Q` | queue and exchange `Q` that are not durable and go with their last user |
//! | outport `X` | fanout exchange `X` |
//! | round robin `X` to `Q` | direct exchange `out-X`, bound to `X`; queue `Q` bound to it |
//! | discovery | queue `fbp` |

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lapin::options::{ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ErrorKind, ExchangeKind};

use crate::discovery;
use crate::transport::dead_letters_of;

/// Something to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Inport {
        queue: String,
        temporary: bool,
    },
    Outport(String),
    Binding {
        outport: String,
        queue: String,
    },
    RoundRobin {
        outport: String,
        queue: String,
        dead_letters: Option<String>,
    },
    /// Where the dead letters of a queue stay when nothing else is bound to their exchange.
    DeadLetters(String),
    Discovery,
}

/// What is to be there, in the order it was declared.
#[derive(Debug, Default)]
pub(super) struct Topology(Mutex<Vec<Item>>);

impl Topology {
    fn items(&self) -> MutexGuard<'_, Vec<Item>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, item: Item) {
        let mut items = self.items();
        if !items.contains(&item) {
            items.push(item);
        }
    }

    pub(super) fn remove(&self, item: &Item) {
        self.items().retain(|other| other != item);
    }

    /// Forgets a queue and its bindings.
    pub(super) fn remove_queue(&self, gone: &str) {
        self.items().retain(|item| match item {
            Item::Inport { queue, .. } | Item::Binding { queue, .. } | Item::RoundRobin { queue, .. } => queue != gone,
            Item::DeadLetters(queue) => queue != gone,
            Item::Outport(_) | Item::Discovery => true,
        });
    }

    /// True for an exchange that we declared.
    pub(super) fn has_exchange(&self, name: &str) -> bool {
        self.items().iter().any(|item| match item {
            Item::Outport(outport) => outport == name,
            Item::Inport { queue, .. } => queue == name || dead_letters_of(queue) == name,
            _ => false,
        })
    }

    /// The queues that we bound to an outport.
    pub(super) fn queues_of(&self, name: &str) -> Vec<String> {
        let items = self.items();
        let bound = items.iter().filter_map(|item| match item {
            Item::Binding { outport, queue } | Item::RoundRobin { outport, queue, .. } if outport == name => {
                Some(queue)
            }
            _ => None,
        });
        bound.cloned().collect()
    }

    /// All items, in the order they were declared.
    pub(super) fn all(&self) -> Vec<Item> {
        self.items().clone()
    }

    pub(super) fn contains(&self, item: &Item) -> bool {
        self.items().contains(item)
    }

    /// The queue for the dead letters of a queue, where a round robin names one.
    pub(super) fn keeper_of_dead_letters(&self, name: &str) -> Option<String> {
        let items = self.items();
        items.iter().find_map(|item| match item {
            Item::RoundRobin { queue, dead_letters, .. } if queue == name => dead_letters.clone(),
            _ => None,
        })
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::Inport { queue, .. } => write!(f, "queue '{queue}'"),
            Item::Outport(name) => write!(f, "exchange '{name}'"),
            Item::Binding { outport, queue } | Item::RoundRobin { outport, queue, .. } => {
                write!(f, "binding of queue '{queue}' to '{outport}'")
            }
            Item::DeadLetters(queue) => write!(f, "queue '{}'", dead_letters_of(queue)),
            Item::Discovery => write!(f, "queue '{}'", discovery::QUEUE),
        }
    }
}

/// True when a declaration was refused because the object exists in another form, or because the account may not
/// declare: what exists is used as it is.
fn is_refused(error: &lapin::Error) -> bool {
    is(error, AMQPSoftError::PRECONDITIONFAILED) || is(error, AMQPSoftError::ACCESSREFUSED)
}

/// True for a soft error of this kind.
pub(super) fn is(error: &lapin::Error, kind: AMQPSoftError) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(error) if *error.kind() == AMQPErrorKind::Soft(kind))
}

/// The connection that is consumed on, with a channel for what is asked of the broker beside.
pub(super) struct Consuming {
    pub(super) connection: Connection,
    /// Open, and of nobody at the moment.
    idle: Mutex<Option<Channel>>,
}

impl Consuming {
    pub(super) fn new(connection: Connection) -> Consuming {
        Consuming { connection, idle: Mutex::default() }
    }

    /// Does `work` on a channel that nobody else uses: an error closes the channel that it happens on.
    async fn ask<T>(&self, work: impl AsyncFnOnce(&Channel) -> Result<T, lapin::Error>) -> Result<T, lapin::Error> {
        let idle = self.idle().take().filter(|channel| channel.status().connected());
        let channel = match idle {
            Some(channel) => channel,
            None => self.connection.create_channel().await?,
        };
        let done = work(&channel).await?;
        let surplus = self.idle().replace(channel);
        if let Some(surplus) = surplus {
            surplus.close(200, "done".into()).await?;
        }
        Ok(done)
    }

    fn idle(&self) -> MutexGuard<'_, Option<Channel>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes one thing on the broker.
///
/// # Errors
/// That of the broker; it is a soft one when only this thing cannot be.
pub(super) async fn make(broker: &Consuming, item: &Item) -> Result<(), lapin::Error> {
    match item {
        Item::Inport { queue, temporary } => {
            declare_queue(broker, queue, *temporary).await?;
            declare_exchange(broker, queue, ExchangeKind::Fanout, *temporary).await?;
            bind_queue(broker, queue, queue).await?;
            if !temporary {
                declare_exchange(broker, &dead_letters_of(queue), ExchangeKind::Fanout, false).await?;
            }
            Ok(())
        }
        Item::Outport(name) => declare_exchange(broker, name, ExchangeKind::Fanout, false).await,
        Item::Binding { outport, queue } => bind_queue(broker, outport, queue).await,
        Item::RoundRobin { outport, queue, dead_letters } => {
            let shared = format!("out-{outport}");
            declare_exchange(broker, &shared, ExchangeKind::Direct, false).await?;
            let bound = broker.ask(async |channel| {
                let options = ExchangeBindOptions::default();
                let (to, from) = (shared.as_str().into(), outport.as_str().into());
                channel.exchange_bind(to, from, "".into(), options, FieldTable::default()).await
            });
            trusted(bound.await, &shared, outport)?;
            bind_queue(broker, &shared, queue).await?;
            match dead_letters {
                Some(dead_letters) => bind_queue(broker, &dead_letters_of(queue), dead_letters).await,
                None => Ok(()),
            }
        }
        Item::DeadLetters(queue) => {
            let name = dead_letters_of(queue);
            let options = QueueDeclareOptions { durable: true, ..Default::default() };
            broker
                .ask(async |channel| channel.queue_declare(name.as_str().into(), options, FieldTable::default()).await)
                .await?;
            bind_queue(broker, &name, &name).await
        }
        Item::Discovery => {
            let options = QueueDeclareOptions { durable: true, ..Default::default() };
            let declared = broker.ask(async |channel| {
                channel.queue_declare(discovery::QUEUE.into(), options, FieldTable::default()).await
            });
            match declared.await {
                Err(error) if is_refused(&error) => messages(broker, discovery::QUEUE).await.map(|_| ()),
                declared => declared.map(|_| ()),
            }
        }
    }
}

/// Declares a queue as the original does. One that exists otherwise (406), or that the account may not declare (403),
/// is used as it is.
///
/// # Errors
/// A soft `NOTFOUND` when the queue does not exist and may not be declared.
async fn declare_queue(broker: &Consuming, queue: &str, temporary: bool) -> Result<(), lapin::Error> {
    let options = QueueDeclareOptions { durable: !temporary, auto_delete: temporary, ..Default::default() };
    let mut arguments = FieldTable::default();
    arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString(dead_letters_of(queue).into()));
    let declared = broker.ask(async |channel| channel.queue_declare(queue.into(), options, arguments).await);
    match declared.await {
        Err(error) if is_refused(&error) => {
            tracing::debug!(queue, error = error.to_string(), "the queue is used as it is");
            match messages(broker, queue).await {
                // The reason that matters.
                Err(missing) if is(&missing, AMQPSoftError::NOTFOUND) => Err(error),
                found => found.map(|_| ()),
            }
        }
        declared => declared.map(|_| ()),
    }
}

/// Messages and consumers of a queue that exists.
///
/// # Errors
/// A soft `NOTFOUND` when it does not.
pub(super) async fn messages(broker: &Consuming, queue: &str) -> Result<(usize, usize), lapin::Error> {
    broker.ask(async |channel| messages_on(channel, queue).await).await
}

/// As [`messages`], on a channel that an error closes.
pub(super) async fn messages_on(channel: &Channel, queue: &str) -> Result<(usize, usize), lapin::Error> {
    let options = QueueDeclareOptions { passive: true, ..Default::default() };
    let queue = channel.queue_declare(queue.into(), options, FieldTable::default()).await?;
    Ok((queue.message_count() as usize, queue.consumer_count() as usize))
}

async fn declare_exchange(
    broker: &Consuming,
    name: &str,
    kind: ExchangeKind,
    temporary: bool,
) -> Result<(), lapin::Error> {
    let options = ExchangeDeclareOptions { durable: !temporary, auto_delete: temporary, ..Default::default() };
    let declared =
        broker.ask(async |channel| channel.exchange_declare(name.into(), kind, options, FieldTable::default()).await);
    match declared.await {
        Err(error) if is_refused(&error) => {
            tracing::debug!(exchange = name, error = error.to_string(), "the exchange is used as it is");
            if exchange_exists(broker, name).await? { Ok(()) } else { Err(error) }
        }
        declared => declared,
    }
}

/// True when the exchange exists.
pub(super) async fn exchange_exists(broker: &Consuming, name: &str) -> Result<bool, lapin::Error> {
    let options = ExchangeDeclareOptions { passive: true, ..Default::default() };
    let declared = broker.ask(async |channel| {
        channel.exchange_declare(name.into(), ExchangeKind::Fanout, options, FieldTable::default()).await
    });
    match declared.await {
        Err(error) if is(&error, AMQPSoftError::NOTFOUND) => Ok(false),
        declared => declared.map(|()| true),
    }
}

/// Binds a queue to an exchange. Where the account may not bind (403), the binding is taken to be there: the broker
/// tells nobody which ones exist, and says so of a message that reaches no queue.
pub(super) async fn bind_queue(broker: &Consuming, exchange: &str, queue: &str) -> Result<(), lapin::Error> {
    let bound = broker.ask(async |channel| {
        let options = QueueBindOptions::default();
        channel.queue_bind(queue.into(), exchange.into(), "".into(), options, FieldTable::default()).await
    });
    trusted(bound.await, queue, exchange)
}

fn trusted(bound: Result<(), lapin::Error>, to: &str, from: &str) -> Result<(), lapin::Error> {
    match bound {
        Err(error) if is(&error, AMQPSoftError::ACCESSREFUSED) => {
            tracing::debug!(to, from, error = error.to_string(), "the binding is taken to be there");
            Ok(())
        }
        bound => bound,
    }
}

pub(super) async fn unbind_queue(broker: &Consuming, exchange: &str, queue: &str) -> Result<(), lapin::Error> {
    broker
        .ask(async |channel| {
            channel.queue_unbind(queue.into(), exchange.into(), "".into(), FieldTable::default()).await
        })
        .await
}
