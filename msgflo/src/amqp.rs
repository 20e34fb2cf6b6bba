//! AMQP 0-9-1: RabbitMQ as a transport.
//!
//! Objects on the broker are those of MsgFlo, so that participants in other languages run in the
//! same network; the table is in `topology`. Messages are persistent, mandatory and confirmed.
//! There are two connections, one to publish and one to consume; when one is lost, both are made
//! anew after 0.1 to 10 s, with jitter, and everything is declared again.
//!
//! The limit of a queue is held by those who send: MsgFlo's queues have no length limit of their
//! own, and a queue declared with one could not be shared with other participants. So it is soft,
//! by what all senders together send in a quarter of a second.

mod hub;
mod parcel;
mod publish;
mod session;
mod topology;
mod upkeep;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use lapin::protocol::AMQPSoftError;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::hub::{Hold, Hub, HubInbox};
use self::publish::{Letter, Notes, Refusal};
use self::session::{Current, Keeper, Session, read_uri, told};
use self::topology::Item;
use self::upkeep::Upkeep;
use crate::discovery;
use crate::transport::{
    Backlog, Consumer, FAREWELL, LAST_WORDS, Link, QueueOptions, SendError, Transport, TransportError,
};

/// For how long a count of waiting messages is believed.
const COUNTED: Duration = Duration::from_millis(250);
/// Longest time that a message whose connection broke waits for the next one.
const RECONNECTS: Duration = Duration::from_secs(2);

/// What the parts of a transport share.
struct Shared {
    upkeep: Arc<Upkeep>,
    current: Current,
    /// Longest time that the broker may take to confirm a message that somebody waits for.
    confirm: Duration,
    /// Set when the transport is being closed.
    closing: CancellationToken,
    tasks: TaskTracker,
    runtime: Handle,
}

impl Shared {
    /// Runs `work`, which closing waits for.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        // A delivery may be settled on a thread of no runtime.
        drop(self.tasks.spawn_on(work, &self.runtime));
    }

    fn session(&self) -> Option<Arc<Session>> {
        self.current.borrow().clone()
    }
}

/// How much room a queue has, as far as we know.
struct Room {
    limit: usize,
    left: usize,
    counted: Option<Instant>,
    /// Messages that were let in and may not be in the queue yet.
    on_the_way: usize,
}

/// Messages that were let into these queues, until they are sent.
struct Admitted<'a> {
    rooms: &'a Mutex<HashMap<String, Room>>,
    queues: Vec<String>,
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        let mut rooms = lock(self.rooms);
        for queue in &self.queues {
            if let Some(room) = rooms.get_mut(queue) {
                room.on_the_way -= 1;
            }
        }
    }
}

/// RabbitMQ, or another broker that speaks AMQP 0-9-1.
pub struct Amqp {
    shared: Arc<Shared>,
    link: watch::Receiver<Link>,
    rooms: Mutex<HashMap<String, Room>>,
    /// Held by who counts the messages of a queue.
    counting: tokio::sync::Mutex<()>,
    hubs: Mutex<HashMap<String, Weak<Hold>>>,
    temporary: Mutex<Vec<String>>,
    /// Ends the connections.
    closed: CancellationToken,
}

impl Amqp {
    /// Connects to a broker: `amqp://user:password@host:5672/virtual-host`, or `amqps`. `name` is
    /// shown in the broker's list of connections. A broker that cannot be reached is tried again
    /// and again, and what is declared meanwhile is declared then. `confirm`: how long the broker may take to confirm
    /// a message.
    ///
    /// # Errors
    /// [`TransportError::BadUrl`], [`TransportError::Refused`].
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub async fn connect(url: &str, name: &str, confirm: Duration) -> Result<Arc<Amqp>, TransportError> {
        let uri = read_uri(url)?;
        let closing = CancellationToken::new();
        let upkeep = Arc::new(Upkeep::new(closing.clone()));
        let (current, sessions) = watch::channel(None);
        let (link, links) = watch::channel(Link::Down);
        let closed = CancellationToken::new();
        let keeper =
            Keeper { uri, name: name.to_owned(), upkeep: Arc::clone(&upkeep), current, link, closed: closed.clone() };
        let first = keeper.first().await?;
        if let Some(session) = &first {
            keeper.announce(session);
        }
        tokio::spawn(keeper.keep(first));
        let shared = Shared {
            upkeep,
            current: sessions,
            confirm,
            closing,
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
        };
        Ok(Arc::new(Amqp {
            shared: Arc::new(shared),
            link: links,
            rooms: Mutex::default(),
            counting: tokio::sync::Mutex::default(),
            hubs: Mutex::default(),
            temporary: Mutex::default(),
            closed,
        }))
    }

    fn open(&self) -> Result<(), TransportError> {
        if self.shared.closing.is_cancelled() { Err(TransportError::Closed) } else { Ok(()) }
    }

    fn session(&self) -> Result<Arc<Session>, SendError> {
        if self.shared.closing.is_cancelled() {
            return Err(SendError::Closed);
        }
        self.shared.session().ok_or_else(|| SendError::Unreachable("it is being connected to".into()))
    }

    /// Has something made now, or as soon as the broker is there.
    async fn declare(&self, item: Item) -> Result<(), TransportError> {
        self.open()?;
        if let Some(session) = self.shared.session() {
            match topology::make(&session.consuming, &item).await {
                Ok(()) => {}
                Err(error) if error.is_amqp_soft_error() => return Err(refused(&error, &item)),
                // The connection is being lost: it is made on the next one.
                Err(error) => tracing::debug!(?item, error = told(&error), "is declared later"),
            }
        }
        self.shared.upkeep.topology.add(item);
        Ok(())
    }

    /// Gives up when the broker does not answer in time.
    async fn in_time(&self, work: impl Future<Output = Result<(), SendError>>) -> Result<(), SendError> {
        let confirm = self.shared.confirm;
        let late = || SendError::Unreachable(format!("it did not confirm within {} ms", confirm.as_millis()));
        timeout(confirm, work).await.unwrap_or_else(|_| Err(late()))
    }

    /// Sends a letter. One that was on its way when its connection broke is sent again over the next one, if that is
    /// there [soon](RECONNECTS): a broker may end a connection for a message that was sent to an exchange just deleted.
    async fn deliver(&self, session: &Arc<Session>, letter: &Letter<'_>, is_bound: bool) -> Result<(), SendError> {
        match self.deliver_over(session, letter, is_bound).await {
            Err(Refusal::Lost(reason)) => {
                let mut current = self.shared.current.clone();
                let is_next =
                    |next: &Option<Arc<Session>>| next.as_ref().is_some_and(|next| !Arc::ptr_eq(next, session));
                let next = match timeout(RECONNECTS, current.wait_for(is_next)).await {
                    Ok(Ok(next)) => next.clone(),
                    _ => None,
                };
                let Some(next) = next else { return Err(SendError::Unreachable(reason)) };
                Ok(self.deliver_over(&next, letter, is_bound).await?)
            }
            sent => Ok(sent?),
        }
    }

    /// Sends a letter. One that reaches no queue though it should (`is_bound`) is sent again when what was deleted on
    /// the broker is there again.
    async fn deliver_over(&self, session: &Session, letter: &Letter<'_>, is_bound: bool) -> Result<(), Refusal> {
        let upkeep = &self.shared.upkeep;
        match letter.send(session, self.shared.confirm).await {
            Ok(()) => {
                upkeep.routed(&session.consuming, letter.place()).await;
                return Ok(());
            }
            Err(Refusal::NoExchange(_)) => {}
            Err(Refusal::NoQueue(_)) if is_bound => {}
            Err(refusal) => return Err(refusal),
        }
        upkeep.repair(&session.consuming, Instant::now()).await;
        match letter.send(session, self.shared.confirm).await {
            Ok(()) => {
                upkeep.routed(&session.consuming, letter.place()).await;
                Ok(())
            }
            Err(refusal @ (Refusal::NoQueue(_) | Refusal::NoExchange(_))) => {
                if is_bound {
                    upkeep.unrouted(letter.place()).await;
                }
                Err(refusal)
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Refuses when one of the queues is full.
    async fn admit(&self, session: &Session, queues: &[String]) -> Result<Admitted<'_>, SendError> {
        let mut admitted = Admitted { rooms: &self.rooms, queues: Vec::new() };
        for queue in queues {
            let mut taken = self.take_room(queue, None)?;
            if taken == Taken::CountFirst {
                // One counts, the others use what it found.
                let _counting = self.counting.lock().await;
                taken = self.take_room(queue, None)?;
                if taken == Taken::CountFirst {
                    taken = match topology::messages(&session.consuming, queue).await {
                        Ok((waiting, _)) => self.take_room(queue, Some(waiting))?,
                        Err(error) if error.is_amqp_soft_error() => Taken::NoLimit,
                        Err(error) => return Err(SendError::Unreachable(told(&error))),
                    };
                }
            }
            if taken == Taken::Room {
                admitted.queues.push(queue.clone());
            }
        }
        Ok(admitted)
    }

    /// Takes room for one message in a queue of which so many messages are known to wait.
    fn take_room(&self, queue: &str, waiting: Option<usize>) -> Result<Taken, SendError> {
        let mut rooms = lock(&self.rooms);
        let Some(room) = rooms.get_mut(queue) else { return Ok(Taken::NoLimit) };
        match waiting {
            Some(waiting) => {
                room.left = room.limit.saturating_sub(waiting + room.on_the_way);
                room.counted = Some(Instant::now());
                if room.left == 0 {
                    return Err(SendError::Full { queue: queue.to_owned(), limit: room.limit });
                }
            }
            None if room.left == 0 || room.counted.is_none_or(|at| at.elapsed() > COUNTED) => {
                return Ok(Taken::CountFirst);
            }
            None => {}
        }
        room.left -= 1;
        room.on_the_way += 1;
        Ok(Taken::Room)
    }
}

/// What came of asking for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// There was some.
    Room,
    /// Nobody knows whether there is.
    CountFirst,
    /// The queue has no limit.
    NoLimit,
}

/// No change under these locks can panic halfway.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a refusal of the broker means.
fn refused(error: &lapin::Error, item: &Item) -> TransportError {
    if !topology::is(error, AMQPSoftError::NOTFOUND) {
        return TransportError::Refused(told(error));
    }
    let name = match item {
        Item::Binding { outport, queue } | Item::RoundRobin { outport, queue, .. } => {
            if error.to_string().contains("no queue") { queue } else { outport }
        }
        Item::Inport { queue, .. } | Item::DeadLetters(queue) => queue,
        Item::Outport(name) => name,
        Item::Discovery => discovery::QUEUE,
    };
    TransportError::Unknown(name.to_owned())
}

fn failed(error: &lapin::Error, queue: &str) -> TransportError {
    if topology::is(error, AMQPSoftError::NOTFOUND) {
        TransportError::Unknown(queue.to_owned())
    } else if error.is_amqp_soft_error() {
        TransportError::Refused(told(error))
    } else {
        TransportError::Unreachable(told(error))
    }
}

#[async_trait]
impl Transport for Amqp {
    async fn declare_inport(&self, queue: &str, options: QueueOptions) -> Result<(), TransportError> {
        if options.temporary {
            let mut temporary = lock(&self.temporary);
            if !temporary.iter().any(|other| other == queue) {
                temporary.push(queue.to_owned());
            }
        }
        self.declare(Item::Inport { queue: queue.to_owned(), temporary: options.temporary }).await?;
        if let Some(limit) = options.limit {
            let mut rooms = lock(&self.rooms);
            let room = rooms.entry(queue.to_owned()).or_insert(Room { limit, left: 0, counted: None, on_the_way: 0 });
            (room.limit, room.counted) = (limit, None);
        }
        Ok(())
    }

    async fn backlog(&self, queue: &str) -> Result<Backlog, TransportError> {
        self.open()?;
        let session = self.session().map_err(|error| TransportError::Unreachable(error.to_string()))?;
        let counted = topology::messages(&session.consuming, queue).await;
        let (waiting, consumers) = counted.map_err(|error| failed(&error, queue))?;
        Ok(Backlog { waiting, consumers })
    }

    async fn declare_outport(&self, outport: &str) -> Result<(), TransportError> {
        self.declare(Item::Outport(outport.to_owned())).await
    }

    async fn bind(&self, outport: &str, queue: &str) -> Result<(), TransportError> {
        self.declare(Item::Binding { outport: outport.to_owned(), queue: queue.to_owned() }).await
    }

    async fn unbind(&self, outport: &str, queue: &str) -> Result<(), TransportError> {
        self.open()?;
        self.shared.upkeep.topology.remove(&Item::Binding { outport: outport.to_owned(), queue: queue.to_owned() });
        let Some(session) = self.shared.session() else {
            return Err(TransportError::Unreachable("it is being connected to".into()));
        };
        let _changing = self.shared.upkeep.changing.lock().await;
        topology::messages(&session.consuming, queue).await.map_err(|error| failed(&error, queue))?;
        topology::unbind_queue(&session.consuming, outport, queue).await.map_err(|error| failed(&error, outport))
    }

    async fn bind_round_robin(
        &self,
        outport: &str,
        queue: &str,
        dead_letters: Option<&str>,
    ) -> Result<(), TransportError> {
        let dead_letters = dead_letters.map(str::to_owned);
        self.declare(Item::RoundRobin { outport: outport.to_owned(), queue: queue.to_owned(), dead_letters }).await
    }

    async fn send(&self, outport: &str, message: Bytes) -> Result<(), SendError> {
        self.in_time(async {
            let session = self.session()?;
            let topology = &self.shared.upkeep.topology;
            if !topology.has_exchange(outport) {
                // Sending to an exchange that is not there would break the channel for all who send.
                let exists = topology::exchange_exists(&session.consuming, outport).await;
                if !exists.map_err(|error| SendError::Unreachable(told(&error)))? {
                    return Err(SendError::Unroutable(outport.to_owned()));
                }
            }
            let queues = topology.queues_of(outport);
            let _admitted = self.admit(&session, &queues).await?;
            let notes = Notes::default();
            self.deliver(&session, &Letter::to_exchange(outport, &message, &notes), !queues.is_empty()).await
        })
        .await
    }

    async fn send_to_queue(&self, queue: &str, message: Bytes) -> Result<(), SendError> {
        self.in_time(async {
            let session = self.session()?;
            let _admitted = self.admit(&session, &[queue.to_owned()]).await?;
            let is_ours = self.shared.upkeep.topology.has_exchange(queue);
            let notes = Notes::default();
            self.deliver(&session, &Letter::to_queue(queue, &message, &notes), is_ours).await
        })
        .await
    }

    async fn announce(&self, message: Bytes, lifetime: Duration) -> Result<(), SendError> {
        if self.declare(Item::Discovery).await.is_err() {
            return Err(SendError::Unroutable(discovery::QUEUE.into()));
        }
        let session = self.session()?;
        let notes = Notes::default();
        let letter = Letter { lifetime: Some(lifetime), ..Letter::to_queue(discovery::QUEUE, &message, &notes) };
        Ok(letter.send(&session, self.shared.confirm).await?)
    }

    async fn discover(&self) -> Result<Consumer, TransportError> {
        self.declare(Item::Discovery).await?;
        self.consume(discovery::QUEUE).await
    }

    async fn consume(&self, queue: &str) -> Result<Consumer, TransportError> {
        self.open()?;
        let temporary = lock(&self.temporary).iter().any(|other| other == queue);
        if let Some(session) = self.shared.session() {
            match topology::messages(&session.consuming, queue).await {
                Err(error) if error.is_amqp_soft_error() => return Err(failed(&error, queue)),
                // What is being lost comes back.
                Ok(_) | Err(_) => {}
            }
        }
        let mut hubs = lock(&self.hubs);
        hubs.retain(|_, hold| hold.strong_count() > 0);
        if let Some(hold) = hubs.get(queue).and_then(Weak::upgrade) {
            return Ok(Consumer::new(HubInbox(hold)));
        }
        let hold = Hub::open(queue, temporary, &self.shared);
        hubs.insert(queue.to_owned(), Arc::downgrade(&hold));
        Ok(Consumer::new(HubInbox(hold)))
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    fn faults(&self) -> Vec<String> {
        self.shared.upkeep.faults()
    }

    fn losses(&self) -> watch::Receiver<u64> {
        self.shared.upkeep.losses()
    }

    async fn close(&self) {
        self.shared.closing.cancel();
        self.shared.tasks.close();
        let mut until = Instant::now() + FAREWELL;
        if timeout_at(until, self.shared.tasks.wait()).await.is_err() {
            tracing::warn!("what was settled last has not reached the broker; it delivers it again");
        }
        self.closed.cancel();
        // Until the keeper has ended the connections, and drops the sender of sessions: a connection that the process cuts
        // off takes along what the broker has not read yet.
        until = until.max(Instant::now() + LAST_WORDS);
        let mut current = self.shared.current.clone();
        if timeout_at(until, current.wait_for(|_| false)).await.is_err() {
            tracing::warn!("the broker does not hear us out; what was settled last may be delivered again");
        }
    }
}

impl Drop for Amqp {
    fn drop(&mut self) {
        self.shared.closing.cancel();
        self.closed.cancel();
    }
}
