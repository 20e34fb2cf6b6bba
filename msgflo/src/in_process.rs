//! A broker within the process: nothing to install, nothing kept when the process ends.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Semaphore, TryAcquireError, watch};

use crate::discovery;
use crate::transport::{
    Backlog, Consumer, Death, Delivery, Inbox, Link, MAX_CRASHES, Outcome, QueueOptions, SendError, Transport,
    TransportError, dead_letters_of,
};

/// Dead letters kept for each queue; the oldest go first.
const MAX_DEAD_LETTERS: usize = 100;

/// Discovery messages that may wait. Without a coordinator nobody reads them.
const MAX_DISCOVERY_MESSAGES: usize = 1000;

/// A message that cannot succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The message.
    pub message: Bytes,
    /// Why it was given up, and when.
    pub death: Death,
}

/// A queue from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueStatus {
    /// Name.
    pub name: String,
    /// Messages that wait.
    pub waiting: usize,
    /// Most that may wait; none: no limit.
    pub limit: Option<usize>,
    /// Messages delivered and not settled yet.
    pub unsettled: usize,
    /// Consumers.
    pub consumers: usize,
    /// All dead letters since the queue was declared, kept or not.
    pub dead_letters: u64,
}

/// The broker. Dropping it closes it.
#[derive(Debug)]
pub struct InProcess {
    broker: Arc<Broker>,
}

#[derive(Debug)]
struct Broker {
    // Taken before any queue's `content`, never the other way round.
    state: Mutex<State>,
    link: watch::Sender<Link>,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    /// Queues bound to each outport.
    outports: HashMap<String, Vec<Arc<Queue>>>,
    queues: BTreeMap<String, Arc<Queue>>,
}

#[derive(Debug)]
struct Queue {
    name: String,
    /// One permit for each waiting message. Consumers wait here, in order of arrival; a message is
    /// taken only by who got a permit, and a permit whose consumer went away passes to the next.
    ready: Semaphore,
    content: Mutex<Content>,
}

#[derive(Debug, Default)]
struct Content {
    options: QueueOptions,
    /// In order of number, which is the order of arrival.
    waiting: VecDeque<Letter>,
    next_number: u64,
    unsettled: usize,
    consumers: usize,
    dead: VecDeque<DeadLetter>,
    dead_count: u64,
}

#[derive(Clone, Debug)]
struct Letter {
    number: u64,
    message: Bytes,
    redelivered: bool,
    crashes: u32,
    death: Option<Death>,
}

impl InProcess {
    /// A broker without queues.
    pub fn new() -> Arc<Self> {
        Arc::new(InProcess { broker: Arc::new(Broker { state: Mutex::default(), link: watch::Sender::new(Link::Up) }) })
    }

    /// All queues, by name.
    pub fn queues(&self) -> Vec<QueueStatus> {
        self.broker.state().queues.values().map(|queue| queue.status()).collect()
    }

    /// The latest dead letters of a queue, oldest first; at most 100.
    ///
    /// # Errors
    /// [`TransportError::Unknown`].
    pub fn dead_letters(&self, queue: &str) -> Result<Vec<DeadLetter>, TransportError> {
        Ok(self.broker.state().queue(queue)?.content().dead.iter().cloned().collect())
    }

    /// Puts a message into a queue, full or not, even when the broker is closed; returns how many
    /// wait there then. Nothing happens where there is no such queue.
    pub(crate) fn deliver(&self, queue: &str, message: Bytes, death: Option<&Death>) -> usize {
        let state = self.broker.state();
        let Some(queue) = state.queues.get(queue) else { return 0 };
        queue.push(message, death);
        queue.content().waiting.len()
    }

    /// Messages that wait in a queue, closed or not.
    pub(crate) fn waiting(&self, queue: &str) -> usize {
        let queue = self.broker.state().queues.get(queue).cloned();
        queue.map_or(0, |queue| queue.content().waiting.len())
    }

    /// Takes all messages that wait in a queue and are no consumer's yet, closed or not, oldest
    /// first, with how they became dead letters.
    pub(crate) fn take_all(&self, queue: &str) -> Vec<(Bytes, Option<Death>)> {
        let state = self.broker.state();
        let Some(queue) = state.queues.get(queue) else { return Vec::new() };
        let mut taken = Vec::new();
        loop {
            match queue.ready.try_acquire() {
                Ok(permit) => permit.forget(),
                Err(TryAcquireError::NoPermits) => return taken,
                Err(TryAcquireError::Closed) => {}
            }
            match queue.content().waiting.pop_front() {
                Some(letter) => taken.push((letter.message, letter.death)),
                None => return taken,
            }
        }
    }

    /// As [`Transport::announce`].
    pub(crate) fn hear(&self, message: &Bytes) {
        let mut state = self.broker.state();
        let queue = state.queue_or_new(discovery::QUEUE, QueueOptions::default());
        let full = queue.content().waiting.len() >= MAX_DISCOVERY_MESSAGES;
        // A permit less and a letter less: a consumer that holds the permit already takes the next one.
        if full && let Ok(permit) = queue.ready.try_acquire() {
            permit.forget();
            queue.content().waiting.pop_front();
        }
        queue.push(message.clone(), None);
    }
}

#[async_trait]
impl Transport for InProcess {
    async fn declare_inport(&self, queue: &str, options: QueueOptions) -> Result<(), TransportError> {
        let mut state = self.broker.state();
        state.open()?;
        if let Some(queue) = state.queues.get(queue) {
            let mut content = queue.content();
            content.options.limit = options.limit.or(content.options.limit);
            return Ok(());
        }
        state.outports.entry(dead_letters_of(queue)).or_default();
        state.queue_or_new(queue, options);
        Ok(())
    }

    async fn backlog(&self, queue: &str) -> Result<Backlog, TransportError> {
        let queue = self.broker.state().queue(queue)?;
        let content = queue.content();
        Ok(Backlog { waiting: content.waiting.len(), consumers: content.consumers })
    }

    async fn declare_outport(&self, outport: &str) -> Result<(), TransportError> {
        let mut state = self.broker.state();
        state.open()?;
        state.outports.entry(outport.to_owned()).or_default();
        Ok(())
    }

    async fn bind(&self, outport: &str, queue: &str) -> Result<(), TransportError> {
        let mut state = self.broker.state();
        let queue = state.queue(queue)?;
        let bound = state.bound(outport)?;
        if !bound.iter().any(|other| Arc::ptr_eq(other, &queue)) {
            bound.push(queue);
        }
        Ok(())
    }

    async fn unbind(&self, outport: &str, queue: &str) -> Result<(), TransportError> {
        let mut state = self.broker.state();
        let queue = state.queue(queue)?;
        state.bound(outport)?.retain(|other| !Arc::ptr_eq(other, &queue));
        Ok(())
    }

    async fn bind_round_robin(
        &self,
        outport: &str,
        queue: &str,
        dead_letters: Option<&str>,
    ) -> Result<(), TransportError> {
        self.bind(outport, queue).await?;
        match dead_letters {
            Some(dead_letters) => self.bind(&dead_letters_of(queue), dead_letters).await,
            None => Ok(()),
        }
    }

    async fn send(&self, outport: &str, message: Bytes) -> Result<(), SendError> {
        let state = self.broker.state();
        state.open().map_err(|_| SendError::Closed)?;
        match state.outports.get(outport) {
            Some(bound) if !bound.is_empty() => put(bound, &message, None),
            _ => Err(SendError::Unroutable(outport.to_owned())),
        }
    }

    async fn send_to_queue(&self, queue: &str, message: Bytes) -> Result<(), SendError> {
        let state = self.broker.state();
        state.open().map_err(|_| SendError::Closed)?;
        match state.queues.get(queue) {
            Some(queue) => put(std::slice::from_ref(queue), &message, None),
            None => Err(SendError::Unroutable(queue.to_owned())),
        }
    }

    async fn announce(&self, message: Bytes, _lifetime: Duration) -> Result<(), SendError> {
        self.broker.state().open().map_err(|_| SendError::Closed)?;
        self.hear(&message);
        Ok(())
    }

    async fn discover(&self) -> Result<Consumer, TransportError> {
        {
            let mut state = self.broker.state();
            state.open()?;
            state.queue_or_new(discovery::QUEUE, QueueOptions::default());
        }
        self.consume(discovery::QUEUE).await
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.broker.link.subscribe()
    }

    async fn consume(&self, queue: &str) -> Result<Consumer, TransportError> {
        let state = self.broker.state();
        let queue = state.queue(queue)?;
        queue.content().consumers += 1;
        Ok(Consumer::new(QueueInbox { broker: self.broker.clone(), queue }))
    }

    async fn close(&self) {
        self.broker.close();
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        self.broker.close();
    }
}

/// Puts a message into all the queues, or into none if one is full. The caller holds the state, so
/// no other message comes in meanwhile.
fn put(queues: &[Arc<Queue>], message: &Bytes, death: Option<&Death>) -> Result<(), SendError> {
    for queue in queues {
        let content = queue.content();
        if let Some(limit) = content.options.limit.filter(|limit| content.waiting.len() >= *limit) {
            return Err(SendError::Full { queue: queue.name.clone(), limit });
        }
    }
    for queue in queues {
        queue.push(message.clone(), death);
    }
    Ok(())
}

/// No change under these locks can panic halfway, so a poisoned one is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Broker {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        self.link.send_replace(Link::Down);
        for queue in state.queues.values() {
            queue.ready.close();
        }
    }

    /// What became of a letter of a queue.
    fn settle(&self, queue: &Queue, mut letter: Letter, outcome: Option<Outcome>) {
        queue.content().unsettled -= 1;
        let reason = match outcome {
            Some(Outcome::Done) => return,
            Some(Outcome::Rejected(reason)) => reason,
            Some(Outcome::Returned) => return queue.put_back(letter),
            None => {
                letter.crashes += 1;
                if letter.crashes < MAX_CRASHES {
                    return queue.put_back(letter);
                }
                format!("{MAX_CRASHES} consumers ended without settling it")
            }
        };
        tracing::warn!(queue = queue.name, reason, "a message went to the dead letters");
        let Letter { message, .. } = letter;
        let death = Death { queue: queue.name.clone(), reason, at: SystemTime::now() };
        if let Some(bound) = self.state().outports.get(&dead_letters_of(&queue.name)).filter(|bound| !bound.is_empty())
            && let Err(error) = put(bound, &message, Some(&death))
        {
            tracing::warn!(queue = queue.name, %error, "a dead letter is kept here only");
        }
        queue.bury(DeadLetter { message, death });
    }

    /// One consumer less; a temporary queue goes with its last one.
    fn leave(&self, queue: &Arc<Queue>) {
        let mut state = self.state();
        let gone = {
            let mut content = queue.content();
            content.consumers -= 1;
            content.options.temporary && content.consumers == 0
        };
        if gone {
            state.queues.remove(&queue.name);
            state.outports.remove(&dead_letters_of(&queue.name));
            for bound in state.outports.values_mut() {
                bound.retain(|other| !Arc::ptr_eq(other, queue));
            }
        }
    }
}

impl State {
    fn open(&self) -> Result<(), TransportError> {
        if self.closed { Err(TransportError::Closed) } else { Ok(()) }
    }

    fn queue(&self, name: &str) -> Result<Arc<Queue>, TransportError> {
        self.open()?;
        self.queues.get(name).cloned().ok_or_else(|| TransportError::Unknown(name.to_owned()))
    }

    /// A queue, made if there is none.
    fn queue_or_new(&mut self, name: &str, options: QueueOptions) -> Arc<Queue> {
        let new = || {
            let content = Mutex::new(Content { options, ..Content::default() });
            Arc::new(Queue { name: name.to_owned(), ready: Semaphore::new(0), content })
        };
        Arc::clone(self.queues.entry(name.to_owned()).or_insert_with(new))
    }

    fn bound(&mut self, outport: &str) -> Result<&mut Vec<Arc<Queue>>, TransportError> {
        self.outports.get_mut(outport).ok_or_else(|| TransportError::Unknown(outport.to_owned()))
    }
}

impl Queue {
    fn content(&self) -> MutexGuard<'_, Content> {
        lock(&self.content)
    }

    /// A new message.
    fn push(&self, message: Bytes, death: Option<&Death>) {
        let mut content = self.content();
        let number = content.next_number;
        content.next_number += 1;
        let (redelivered, crashes, death) = (false, 0, death.cloned());
        content.waiting.push_back(Letter { number, message, redelivered, crashes, death });
        self.ready.add_permits(1);
    }

    /// The oldest letter, now on its way to a consumer.
    fn take(&self) -> Option<Letter> {
        let mut content = self.content();
        let letter = content.waiting.pop_front()?;
        content.unsettled += 1;
        Some(letter)
    }

    /// Where it was: before all that arrived later.
    fn put_back(&self, letter: Letter) {
        let mut content = self.content();
        let at = content.waiting.partition_point(|other| other.number < letter.number);
        content.waiting.insert(at, Letter { redelivered: true, ..letter });
        self.ready.add_permits(1);
    }

    fn bury(&self, letter: DeadLetter) {
        let mut content = self.content();
        if content.dead.len() == MAX_DEAD_LETTERS {
            content.dead.pop_front();
        }
        content.dead.push_back(letter);
        content.dead_count += 1;
    }

    fn status(&self) -> QueueStatus {
        let content = self.content();
        QueueStatus {
            name: self.name.clone(),
            waiting: content.waiting.len(),
            limit: content.options.limit,
            unsettled: content.unsettled,
            consumers: content.consumers,
            dead_letters: content.dead_count,
        }
    }
}

struct QueueInbox {
    broker: Arc<Broker>,
    queue: Arc<Queue>,
}

#[async_trait]
impl Inbox for QueueInbox {
    async fn next(&self) -> Option<Delivery> {
        // Nothing is awaited once the permit is there: the letter is taken in the poll that
        // returns it.
        self.queue.ready.acquire().await.ok()?.forget();
        let letter = self.queue.take()?;
        let (broker, queue) = (self.broker.clone(), self.queue.clone());
        let Letter { message, redelivered, crashes, death, .. } = letter.clone();
        Some(Delivery::new(message, redelivered, crashes, death, move |outcome| {
            broker.settle(&queue, letter, outcome);
        }))
    }
}

impl Drop for QueueInbox {
    fn drop(&mut self) {
        self.broker.leave(&self.queue);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn with_queue() -> (Arc<InProcess>, Consumer) {
        let broker = InProcess::new();
        broker.declare_inport("in", QueueOptions::default()).await.unwrap();
        let consumer = broker.consume("in").await.unwrap();
        (broker, consumer)
    }

    #[tokio::test]
    async fn tells_its_state() {
        let (broker, consumer) = with_queue().await;
        broker.declare_inport("in", QueueOptions { limit: Some(5), temporary: false }).await.unwrap();
        broker.declare_inport("in", QueueOptions::default()).await.unwrap();
        broker.send_to_queue("in", "a".into()).await.unwrap();
        broker.send_to_queue("in", "b".into()).await.unwrap();
        let held = consumer.next().await.unwrap();
        let expected =
            QueueStatus { name: "in".into(), waiting: 1, limit: Some(5), unsettled: 1, consumers: 1, dead_letters: 0 };
        assert_eq!(broker.queues(), vec![expected.clone()]);
        held.settle(Outcome::Rejected("it is bad".into()));
        let dead = broker.dead_letters("in").unwrap();
        assert_eq!(dead.len(), 1);
        assert_eq!((&dead[0].message[..], dead[0].death.reason.as_str()), (&b"a"[..], "it is bad"));
        drop(consumer);
        assert_eq!(broker.queues(), [QueueStatus { unsettled: 0, consumers: 0, dead_letters: 1, ..expected }]);
        assert_eq!(broker.dead_letters("out"), Err(TransportError::Unknown("out".into())));
    }

    #[tokio::test]
    async fn a_message_that_takes_down_consumers_is_given_up() {
        let (broker, consumer) = with_queue().await;
        broker.send_to_queue("in", "poison".into()).await.unwrap();
        broker.send_to_queue("in", "good".into()).await.unwrap();
        for _ in 0..MAX_CRASHES {
            let delivery = consumer.next().await.unwrap();
            assert_eq!(delivery.message, "poison");
            drop(delivery);
        }
        assert_eq!(consumer.next().await.unwrap().message, "good");
        let dead = broker.dead_letters("in").unwrap();
        assert_eq!((dead.len(), &dead[0].message[..]), (1, &b"poison"[..]));
        assert_eq!(dead[0].death.reason, "100 consumers ended without settling it");
    }

    #[tokio::test]
    async fn dead_letters_are_bounded() {
        let (broker, consumer) = with_queue().await;
        for n in 0..MAX_DEAD_LETTERS + 20 {
            broker.send_to_queue("in", n.to_string().into()).await.unwrap();
            consumer.next().await.unwrap().settle(Outcome::Rejected("no".into()));
        }
        let dead = broker.dead_letters("in").unwrap();
        assert_eq!((dead.len(), &dead[0].message[..]), (MAX_DEAD_LETTERS, &b"20"[..]));
        assert_eq!(broker.queues()[0].dead_letters, 120);
    }

    #[tokio::test]
    async fn who_waits_longest_is_served_first() {
        let (broker, _) = with_queue().await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiting = tokio::task::JoinSet::new();
        for n in 0..10 {
            let (consumer, order) = (broker.consume("in").await.unwrap(), order.clone());
            waiting.spawn(async move {
                let delivery = consumer.next().await.unwrap();
                order.lock().unwrap().push((n, delivery.message.clone()));
                delivery.settle(Outcome::Done);
            });
            tokio::task::yield_now().await;
        }
        for n in 0..10 {
            broker.send_to_queue("in", n.to_string().into()).await.unwrap();
        }
        waiting.join_all().await;
        let order = order.lock().unwrap();
        let expected: Vec<(i32, Bytes)> = (0..10).map(|n| (n, n.to_string().into())).collect();
        assert_eq!(*order, expected);
    }

    #[tokio::test]
    async fn dropping_it_closes_it() {
        let (broker, consumer) = with_queue().await;
        broker.send_to_queue("in", "a".into()).await.unwrap();
        let held = consumer.next().await.unwrap();
        drop(broker);
        let next = || tokio::time::timeout(Duration::from_secs(10), consumer.next());
        assert!(next().await.expect("it hangs").is_none());
        held.settle(Outcome::Returned);
        assert!(next().await.expect("it hangs").is_none());
    }
}
