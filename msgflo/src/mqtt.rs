//! MQTT 5: Mosquitto and its kin as a transport.
//!
//! As MsgFlo does it, so that participants in other languages run in the same network: a queue or
//! an outport is the topic of its name, participants are announced on the topic `fbp`, and a
//! binding is made by the process that binds, which carries the messages over.
//!
//! MQTT has topics, not queues, so less can be promised than on AMQP:
//!
//! - A queue lives in the processes that consume it. They share its messages (`$share/Q/Q`), each
//!   keeps those it was given in memory, and a message is lost with the process that holds it. When
//!   a consumer leaves, what waits is sent to the others.
//! - Messages of a bound outport wait in a process that bound it until somebody consumes the queue.
//! - A queue has a limit in each of these processes (1,000 messages if none is declared). A process
//!   that is at the limit takes no more for a while. When none does, who sends is told that nobody
//!   takes the message: [`SendError::Unroutable`], not [`SendError::Full`].
//! - A name that nobody declared is no error, but for who consumes it.
//! - Dead letters of a queue `Q` go to the topic `dead-Q`, with the reason in user properties. When
//!   nobody subscribes to it, they are logged.
//!
//! What is sent has quality of service 1 and is confirmed; the broker tells when there was no
//! subscriber. When the connection is lost, it is made anew after 0.1 to 10 s, with jitter, with
//! all subscriptions. A broker that forgot them is subscribed to again: at once when a message
//! finds nobody though we wait for it, and every 15 s.

mod forward;
mod letter;
mod session;
mod subscriptions;
mod tap;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::forward::Forward;
use self::letter::Letter;
use self::session::{Address, Current, Keeper, LARGEST, Session};
use self::subscriptions::Subscriptions;
use self::tap::{Tap, TapInbox};
use crate::discovery;
use crate::in_process::InProcess;
use crate::transport::{
    Backlog, Consumer, FAREWELL, LAST_WORDS, Link, QueueOptions, SendError, Transport, TransportError, dead_letters_of,
};

/// Messages of a queue that may wait in one process, if no limit is declared.
const LIMIT: usize = 1000;
/// Longest name of a topic, bytes.
const LONGEST_TOPIC: usize = 65_535;

/// What the parts of a transport share.
struct Shared {
    /// Messages that arrived, for the consumers in this process.
    local: Arc<InProcess>,
    subscriptions: Arc<Subscriptions>,
    current: Current,
    names: Mutex<Names>,
    /// Longest time that the broker may take to confirm a message.
    confirm: Duration,
    taps: tokio::sync::Mutex<HashMap<String, Weak<Tap>>>,
    /// Set when the transport is being closed.
    closing: CancellationToken,
    tasks: TaskTracker,
    runtime: Handle,
}

/// What was declared and bound here.
#[derive(Default)]
struct Names {
    queues: HashMap<String, QueueOptions>,
    /// By outport and queue, with the number of the subscription.
    forwards: HashMap<(String, String), (Arc<Forward>, usize)>,
}

impl Shared {
    /// No change under this lock can panic halfway.
    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work`, which closing waits for.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        // A delivery may be settled on a thread of no runtime.
        drop(self.tasks.spawn_on(work, &self.runtime));
    }

    fn session(&self) -> Result<Arc<Session>, SendError> {
        let session = self.current.borrow().clone();
        session.ok_or_else(|| SendError::Unreachable("it is being connected to".into()))
    }

    /// Sends a message to a topic; returns when the broker has given it to who subscribed.
    async fn publish(&self, topic: &str, letter: &Letter) -> Result<(), SendError> {
        if check(topic).is_err() {
            return Err(SendError::Unroutable(topic.to_owned()));
        }
        let size = letter.message.len();
        if size > LARGEST {
            return Err(SendError::TooLarge { size, limit: LARGEST });
        }
        let session = self.session()?;
        let publishing = session.publish(topic, letter.message.clone(), letter.properties());
        let late = || SendError::Unreachable(format!("it did not confirm within {} ms", self.confirm.as_millis()));
        tokio::time::timeout(self.confirm, publishing).await.unwrap_or_else(|_| Err(late()))
    }

    /// Subscribes to everything anew when `refused` shows that the broker forgot it: a message for a topic that we
    /// subscribe to finds nobody. True when it is worth sending it again.
    async fn remind(&self, topic: &str, refused: &SendError) -> bool {
        if !matches!(refused, SendError::Unroutable(_)) || !self.subscriptions.cover(topic) {
            return false;
        }
        let Ok(session) = self.session() else { return false };
        self.subscriptions.renew(&session).await;
        true
    }

    /// Sends the messages of a queue, which nobody here will take, to who else consumes it.
    async fn give_back(&self, queue: &str) {
        for (message, death) in self.local.take_all(queue) {
            if let Err(error) = self.publish(queue, &Letter { message, death }).await {
                tracing::warn!(queue, %error, "a message is lost");
            }
        }
    }

    /// Forgets a queue; returns what carried messages to it.
    fn forget(&self, queue: &str) -> Vec<usize> {
        let mut names = self.names();
        names.queues.remove(queue);
        let gone = names.forwards.extract_if(|(_, target), _| target == queue);
        gone.map(|(_, (forward, id))| {
            forward.drop_all();
            id
        })
        .collect()
    }
}

/// Refuses what is no topic.
fn check(name: &str) -> Result<(), TransportError> {
    let wrong =
        name.is_empty() || name.len() > LONGEST_TOPIC || name.starts_with('$') || name.contains(['+', '#', '\0']);
    if wrong { Err(TransportError::Refused(format!("'{}' is no topic of MQTT", name.escape_debug()))) } else { Ok(()) }
}

/// A broker that speaks MQTT 5.
pub struct Mqtt {
    shared: Arc<Shared>,
    /// Held by who binds.
    binding: tokio::sync::Mutex<()>,
    link: watch::Receiver<Link>,
    /// Ends the connection.
    closed: CancellationToken,
}

impl Mqtt {
    /// Connects to a broker: `mqtt://user:password@host:1883`, or `mqtts` (8883). `name` is the
    /// beginning of the client's identifier. A broker that cannot be reached is tried again and
    /// again, and what is declared meanwhile is declared then. `confirm`: how long the broker may take to confirm a
    /// message.
    ///
    /// # Errors
    /// [`TransportError::BadUrl`], [`TransportError::Refused`].
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub async fn connect(url: &str, name: &str, confirm: Duration) -> Result<Arc<Mqtt>, TransportError> {
        let address = Address::read(url, name)?;
        let (current, sessions) = watch::channel(None);
        let (link, links) = watch::channel(Link::Down);
        let subscriptions = Arc::new(Subscriptions::new(sessions.clone()));
        let closed = CancellationToken::new();
        let keeper =
            Keeper { address, subscriptions: Arc::clone(&subscriptions), current, link, closed: closed.clone() };
        let first = keeper.first().await?;
        if let Some(session) = &first {
            keeper.announce(session);
        }
        tokio::spawn(keeper.keep(first));
        let shared = Shared {
            local: InProcess::new(),
            subscriptions,
            current: sessions,
            names: Mutex::default(),
            confirm,
            taps: tokio::sync::Mutex::default(),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
        };
        Ok(Arc::new(Mqtt { shared: Arc::new(shared), binding: tokio::sync::Mutex::default(), link: links, closed }))
    }

    fn open(&self) -> Result<(), TransportError> {
        if self.shared.closing.is_cancelled() { Err(TransportError::Closed) } else { Ok(()) }
    }

    fn options(&self, queue: &str) -> Option<QueueOptions> {
        self.shared.names().queues.get(queue).cloned()
    }
}

#[async_trait]
impl Transport for Mqtt {
    async fn declare_inport(&self, queue: &str, options: QueueOptions) -> Result<(), TransportError> {
        self.open()?;
        check(queue)?;
        // The limit is kept by who takes from the broker.
        let local = QueueOptions { limit: None, temporary: options.temporary };
        self.shared.local.declare_inport(queue, local).await?;
        let mut names = self.shared.names();
        let known = names.queues.entry(queue.to_owned()).or_insert_with(|| options.clone());
        known.limit = options.limit.or(known.limit);
        Ok(())
    }

    async fn backlog(&self, queue: &str) -> Result<Backlog, TransportError> {
        let backlog = self.shared.local.backlog(queue).await?;
        let names = self.shared.names();
        let forwards = names.forwards.iter().filter(|((_, target), _)| target == queue);
        let held: usize = forwards.map(|(_, (forward, _))| forward.waiting()).sum();
        Ok(Backlog { waiting: backlog.waiting + held, ..backlog })
    }

    async fn declare_outport(&self, outport: &str) -> Result<(), TransportError> {
        self.open()?;
        check(outport)
    }

    async fn bind(&self, outport: &str, queue: &str) -> Result<(), TransportError> {
        self.open()?;
        check(outport)?;
        check(queue)?;
        let _binding = self.binding.lock().await;
        let names = (outport.to_owned(), queue.to_owned());
        // A topic needs no binding to itself.
        if outport == queue || self.shared.names().forwards.contains_key(&names) {
            return Ok(());
        }
        let limit = self.options(queue).and_then(|options| options.limit).unwrap_or(LIMIT).max(1);
        let forward = Forward::start(&self.shared, outport, queue, limit).await?;
        self.shared.names().forwards.insert(names, forward);
        Ok(())
    }

    async fn unbind(&self, outport: &str, queue: &str) -> Result<(), TransportError> {
        self.open()?;
        let _binding = self.binding.lock().await;
        let forward = self.shared.names().forwards.remove(&(outport.to_owned(), queue.to_owned()));
        if let Some((forward, id)) = forward {
            self.shared.subscriptions.remove(id).await;
            forward.unbind();
        }
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
        self.open().map_err(|_| SendError::Closed)?;
        let letter = Letter::new(message);
        match self.shared.publish(outport, &letter).await {
            Err(refused) if self.shared.remind(outport, &refused).await => self.shared.publish(outport, &letter).await,
            sent => sent,
        }
    }

    async fn send_to_queue(&self, queue: &str, message: Bytes) -> Result<(), SendError> {
        self.send(queue, message).await
    }

    async fn announce(&self, message: Bytes, _lifetime: Duration) -> Result<(), SendError> {
        self.open().map_err(|_| SendError::Closed)?;
        self.shared.session()?.announce(discovery::QUEUE, message).await
    }

    async fn discover(&self) -> Result<Consumer, TransportError> {
        self.open()?;
        let mut taps = self.shared.taps.lock().await;
        let inner = self.shared.local.discover().await?;
        let tap = match taps.get(discovery::QUEUE).and_then(Weak::upgrade) {
            Some(tap) => tap,
            None => Tap::on_discovery(&self.shared).await?,
        };
        taps.insert(discovery::QUEUE.to_owned(), Arc::downgrade(&tap));
        Ok(Consumer::new(TapInbox { inner, tap }))
    }

    async fn consume(&self, queue: &str) -> Result<Consumer, TransportError> {
        self.open()?;
        let mut taps = self.shared.taps.lock().await;
        taps.retain(|_, tap| tap.strong_count() > 0);
        let options = self.options(queue).ok_or_else(|| TransportError::Unknown(queue.to_owned()))?;
        let inner = self.shared.local.consume(queue).await?;
        let tap = match taps.get(queue).and_then(Weak::upgrade) {
            Some(tap) => tap,
            None => Tap::open(&self.shared, queue, options.temporary, options.limit.unwrap_or(LIMIT).max(1)).await?,
        };
        taps.insert(queue.to_owned(), Arc::downgrade(&tap));
        Ok(Consumer::new(TapInbox { inner, tap }))
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    async fn close(&self) {
        let shared = &self.shared;
        shared.closing.cancel();
        shared.local.close().await;
        let farewell = async {
            shared.subscriptions.end().await;
            let kept: Vec<String> = {
                let names = shared.names();
                names.queues.iter().filter(|(_, options)| !options.temporary).map(|(queue, _)| queue.clone()).collect()
            };
            for queue in kept {
                shared.give_back(&queue).await;
            }
            shared.tasks.close();
            shared.tasks.wait().await;
        };
        let mut until = Instant::now() + FAREWELL;
        if timeout_at(until, farewell).await.is_err() {
            tracing::warn!("the messages that waited here are lost: the broker does not take them back in time");
        }
        self.closed.cancel();
        // Until the keeper has ended the connection, and drops the sender of sessions: what is not written yet is lost with
        // the process.
        until = until.max(Instant::now() + LAST_WORDS);
        let mut current = shared.current.clone();
        let _ = timeout_at(until, current.wait_for(|_| false)).await;
    }
}

impl Drop for Mqtt {
    fn drop(&mut self) {
        self.shared.closing.cancel();
        self.closed.cancel();
    }
}
