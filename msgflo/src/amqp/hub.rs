//! What one queue's consumers in this process share.
//!
//! A message leaves its queue only when somebody asks for one: each call of `next` that waits opens
//! a subscription (a *tap*) with a prefetch of one, which ends with the message it brings, or when
//! the caller leaves. So a worker that is busy holds nothing that another could do.
//!
//! A message that arrives though its caller has left, or that its holder gives back, is *kept* for
//! the next caller here; after [`KEPT`] it goes back to the queue. It goes as a new copy, confirmed
//! before the old one is acknowledged, because the broker marks what it takes back by itself as
//! redelivered: that mark then only ever means that a process died, or lost its broker, while it
//! held the message. Those times are counted, in a header of the message, and [`MAX_CRASHES`] of
//! them make it a dead letter. Such a copy can arrive here before its original is acknowledged; it
//! is not handed out before, or a message that ends its process would be in the queue twice.
//!
//! A temporary queue has one process that consumes it, and goes when the subscription ends: it has
//! a single tap that stays open.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures::StreamExt;
use lapin::Channel;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use tokio::sync::{Notify, RwLock, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::parcel::Parcel;
use super::publish::Notes;
use super::session::{Session, told};
use crate::transport::{Delivery, Inbox, MAX_CRASHES, Outcome};

/// How long a message that nobody here asks for is kept from other processes.
const KEPT: Duration = Duration::from_millis(100);
/// How long a subscription outlives its caller, who often comes back at once.
const LINGERS: Duration = Duration::from_millis(2);
/// Messages of a temporary queue that are on their way to us at once.
const TEMPORARY_PREFETCH: u16 = 1000;
/// First and longest wait before a queue is consumed again whose channel broke, or whose subscription the broker ended.
const BROKEN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

#[derive(Default)]
struct State {
    /// In order of delivery.
    kept: VecDeque<(Parcel, Instant)>,
    /// Number of the last message that was delivered.
    delivered: u64,
    /// True while a subscription ends that brought nothing yet: it may still bring a message from before all others.
    draining: bool,
    callers: VecDeque<(u64, oneshot::Sender<Parcel>)>,
    next_caller: u64,
    closed: bool,
}

impl State {
    /// Gives what is kept to who waits.
    fn match_up(&mut self) {
        while !self.draining
            && let Some((parcel, since)) = self.kept.pop_front()
        {
            let Some((_, caller)) = self.callers.pop_front() else {
                self.kept.push_front((parcel, since));
                return;
            };
            if let Err(parcel) = caller.send(parcel) {
                self.kept.push_front((parcel, since));
            }
        }
    }
}

/// The consumers of one queue in this process.
pub(super) struct Hub {
    queue: String,
    temporary: bool,
    shared: Arc<Shared>,
    state: Mutex<State>,
    /// Callers came or left.
    changed: Notify,
    /// Read by each message that moves back into the queue, until its original is acknowledged.
    moves: RwLock<()>,
    /// Set when there is no consumer any more.
    abandoned: CancellationToken,
}

/// A consumer's hold on its hub, which ends with the last one.
pub(super) struct Hold(Arc<Hub>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.abandoned.cancel();
    }
}

/// As a consumer sees it.
pub(super) struct HubInbox(pub(super) Arc<Hold>);

#[async_trait]
impl Inbox for HubInbox {
    async fn next(&self) -> Option<Delivery> {
        let hub = &self.0.0;
        let parcel = match hub.call()? {
            Called::Here(parcel) => *parcel,
            Called::Waits(id, receiver) => Caller { hub, id, receiver }.parcel().await?,
        };
        Some(hub.delivery(parcel))
    }
}

enum Called {
    Here(Box<Parcel>),
    Waits(u64, oneshot::Receiver<Parcel>),
}

/// Somebody who waits for a message.
struct Caller<'a> {
    hub: &'a Arc<Hub>,
    id: u64,
    receiver: oneshot::Receiver<Parcel>,
}

impl Caller<'_> {
    async fn parcel(mut self) -> Option<Parcel> {
        (&mut self.receiver).await.ok()
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        // It may have been given a message at the very moment it left.
        self.receiver.close();
        let parcel = self.receiver.try_recv().ok();
        self.hub.state().callers.retain(|(id, _)| *id != self.id);
        if let Some(parcel) = parcel {
            self.hub.hand_out(parcel);
        }
        self.hub.changed.notify_one();
    }
}

impl Hub {
    /// Starts to consume a queue, for as long as the hold is kept.
    pub(super) fn open(queue: &str, temporary: bool, shared: &Arc<Shared>) -> Arc<Hold> {
        let hub = Arc::new(Hub {
            queue: queue.to_owned(),
            temporary,
            shared: Arc::clone(shared),
            state: Mutex::default(),
            changed: Notify::new(),
            moves: RwLock::default(),
            abandoned: CancellationToken::new(),
        });
        let running = Arc::clone(&hub);
        shared.spawn(async move { running.run().await });
        Arc::new(Hold(hub))
    }

    /// Nothing under this lock can panic halfway.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self) -> Option<Called> {
        let mut state = self.state();
        if state.closed {
            return None;
        }
        if !state.draining
            && let Some((parcel, _)) = state.kept.pop_front()
        {
            return Some(Called::Here(Box::new(parcel)));
        }
        let (sender, receiver) = oneshot::channel();
        let id = state.next_caller;
        state.next_caller += 1;
        state.callers.push_back((id, sender));
        drop(state);
        self.changed.notify_one();
        Some(Called::Waits(id, receiver))
    }

    /// Keeps a message, before all that were delivered later, and gives what is kept to who waits longest.
    fn hand_out(&self, parcel: Parcel) {
        let mut state = self.state();
        let at = state.kept.partition_point(|(other, _)| other.number < parcel.number);
        state.kept.insert(at, (parcel, Instant::now()));
        state.match_up();
        drop(state);
        self.changed.notify_one();
    }

    /// Says whether a subscription ends that may still bring a message.
    fn set_draining(&self, draining: bool) {
        let mut state = self.state();
        state.draining = draining;
        state.match_up();
    }

    fn delivery(self: &Arc<Self>, parcel: Parcel) -> Delivery {
        let hub = Arc::clone(self);
        let (message, Notes { crashes, death }) = (parcel.message.clone(), parcel.notes.clone());
        let redelivered = parcel.redelivered || crashes > 0;
        Delivery::new(message, redelivered, crashes, death, move |outcome| {
            let shared = Arc::clone(&hub.shared);
            match outcome {
                Some(Outcome::Done) => shared.spawn(async move { parcel.acknowledge().await }),
                Some(Outcome::Rejected(reason)) => shared.spawn(async move { hub.bury(parcel, reason).await }),
                Some(Outcome::Returned) => hub.take_back(parcel, 0),
                None => hub.take_back(parcel, 1),
            }
        })
    }

    /// Takes a message back from its holder.
    fn take_back(self: Arc<Self>, mut parcel: Parcel, crashes: u32) {
        parcel.redelivered = true;
        parcel.notes.crashes += crashes;
        let shared = Arc::clone(&self.shared);
        if parcel.notes.crashes >= MAX_CRASHES {
            shared.spawn(async move { self.bury_poison(parcel).await });
        } else if self.is_open() {
            self.hand_out(parcel);
        } else {
            shared.spawn(async move { self.put_back(parcel).await });
        }
    }

    async fn put_back(&self, parcel: Parcel) {
        if self.temporary {
            // It goes with its queue. One of the same name may be there already.
            return parcel.acknowledge().await;
        }
        let _moves = self.moves.read().await;
        parcel.put_back(&self.queue).await;
    }

    fn is_open(&self) -> bool {
        !self.abandoned.is_cancelled() && !self.state().closed
    }

    async fn bury_poison(&self, parcel: Parcel) {
        self.bury(parcel, format!("{MAX_CRASHES} consumers ended without settling it")).await;
    }

    async fn bury(&self, parcel: Parcel, reason: String) {
        tracing::warn!(queue = self.queue, reason, "a message goes to the dead letters");
        if self.temporary {
            return parcel.acknowledge().await;
        }
        parcel.bury(&self.queue, reason, SystemTime::now(), &self.shared.upkeep).await;
    }

    /// Consumes until nobody is left, or the transport is closed.
    async fn run(self: Arc<Self>) {
        let mut wait = BROKEN.0;
        while let Some(session) = self.session().await {
            let began = Instant::now();
            match self.serve(&session).await {
                Ok(()) => break,
                Err(error) if session.lost.is_cancelled() => {
                    tracing::debug!(queue = self.queue, error = told(&error), "waits for the broker");
                }
                Err(error) => {
                    if began.elapsed() > BROKEN.1 {
                        wait = BROKEN.0;
                    }
                    tracing::warn!(queue = self.queue, error = told(&error), again_in = ?wait, "consuming again soon");
                    // Somebody may have deleted the queue.
                    self.shared.upkeep.repair(&session.consuming, Instant::now()).await;
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(BROKEN.1);
                }
            }
            // The broker delivers those of a lost connection again.
            self.state().kept.retain(|(parcel, _)| !parcel.session.lost.is_cancelled());
        }
        let (kept, callers) = {
            let mut state = self.state();
            state.closed = true;
            (std::mem::take(&mut state.kept), std::mem::take(&mut state.callers))
        };
        drop(callers);
        for (parcel, _) in kept {
            self.put_back(parcel).await;
        }
    }

    /// The session, when there is one; none when it is over.
    async fn session(&self) -> Option<Arc<Session>> {
        let mut current = self.shared.current.clone();
        tokio::select! {
            biased;
            () = self.abandoned.cancelled() => None,
            () = self.shared.closing.cancelled() => None,
            session = current.wait_for(Option::is_some) => session.ok()?.clone(),
        }
    }

    /// Keeps as many taps as there are callers.
    async fn serve(self: &Arc<Self>, session: &Arc<Session>) -> Result<(), lapin::Error> {
        let channel = session.consuming.connection.create_channel().await?;
        let prefetch = if self.temporary { TEMPORARY_PREFETCH } else { 1 };
        channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        let mut taps = JoinSet::new();
        let mut open: HashMap<tokio::task::Id, CancellationToken> = HashMap::new();
        let mut surplus_since = None;
        let mut draining: HashSet<tokio::task::Id> = HashSet::new();
        let before = self.state().delivered;
        let over = loop {
            open.retain(|_, stop| !stop.is_cancelled());
            let (wanted, oldest) = {
                let state = self.state();
                (if self.temporary { 1 } else { state.callers.len() }, state.kept.iter().map(|(_, since)| *since).min())
            };
            for _ in open.len()..wanted {
                let stop = CancellationToken::new();
                let tap = Arc::clone(self).tap(Arc::clone(session), channel.clone(), before, stop.clone());
                open.insert(taps.spawn(tap).id(), stop);
            }
            if open.len() <= wanted {
                surplus_since = None;
            } else if surplus_since.get_or_insert_with(Instant::now).elapsed() >= LINGERS {
                draining.extend(open.keys().skip(wanted));
                self.set_draining(true);
                open.values().skip(wanted).for_each(CancellationToken::cancel);
                surplus_since = None;
            }
            let expiry = oldest.filter(|_| !self.temporary).map(|since| since + KEPT);
            let wake = expiry.into_iter().chain(surplus_since.map(|since: Instant| since + LINGERS)).min();
            tokio::select! {
                biased;
                () = session.lost.cancelled() => break Err(lost()),
                () = self.abandoned.cancelled() => break Ok(()),
                () = self.shared.closing.cancelled() => break Ok(()),
                () = self.changed.notified() => {}
                Some(ended) = taps.join_next_with_id() => {
                    let (id, ended) = ended.unwrap_or_else(|error| (error.id(), Ok(())));
                    open.remove(&id);
                    if draining.remove(&id) && draining.is_empty() {
                        self.set_draining(false);
                    }
                    if let Err(error) = ended {
                        break Err(error);
                    }
                }
                () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                    self.put_back_expired();
                }
            }
        };
        if over.is_ok() {
            if self.temporary {
                // A queue that goes with its last consumer is not to be made again.
                self.shared.upkeep.topology.remove_queue(&self.queue);
                drop(self.shared.upkeep.changing.lock().await);
            }
            // In order, so that nothing that is on its way is left unsettled.
            open.values().for_each(CancellationToken::cancel);
            while taps.join_next().await.is_some() {}
        }
        self.set_draining(false);
        over
    }

    fn put_back_expired(self: &Arc<Self>) {
        let expired: Vec<Parcel> = {
            let mut state = self.state();
            let (expired, kept): (VecDeque<_>, _) =
                state.kept.drain(..).partition(|(_, since)| since.elapsed() >= KEPT);
            state.kept = kept;
            expired.into_iter().map(|(parcel, _)| parcel).collect()
        };
        for parcel in expired {
            let hub = Arc::clone(self);
            self.shared.spawn(async move { hub.put_back(parcel).await });
        }
    }

    /// One subscription. Messages have the numbers after `before`, in the order in which the channel brings them.
    async fn tap(
        self: Arc<Self>,
        session: Arc<Session>,
        channel: Channel,
        before: u64,
        stop: CancellationToken,
    ) -> Result<(), lapin::Error> {
        let (queue, options) = (self.queue.as_str().into(), BasicConsumeOptions::default());
        let mut subscription = channel.basic_consume(queue, "".into(), options, FieldTable::default()).await?;
        let unsubscribed = CancellationToken::new();
        // A temporary queue has no other consumers to keep a message from.
        let _ended = if self.temporary {
            unsubscribed.cancel();
            None
        } else {
            Some(unsubscribed.clone().drop_guard())
        };
        let parcel = |delivery: lapin::message::Delivery| {
            let number = before + delivery.delivery_tag;
            Parcel::new(number, delivery, &session, &channel, &unsubscribed)
        };
        while !stop.is_cancelled() {
            tokio::select! {
                biased;
                next = subscription.next() => {
                    // The broker ends a subscription when its queue is deleted.
                    let delivery = next.unwrap_or_else(|| Err(lost()))?;
                    self.arrived(parcel(delivery));
                    if !self.temporary {
                        // After the message was handed out: the next subscription, which brings a later one, opens when
                        // this one is seen to stop.
                        stop.cancel();
                        self.changed.notify_one();
                    }
                }
                () = stop.cancelled() => {}
            }
        }
        channel.basic_cancel(subscription.tag(), BasicCancelOptions::default()).await?;
        while let Some(Ok(delivery)) = subscription.next().await {
            self.arrived(parcel(delivery));
        }
        Ok(())
    }

    fn arrived(self: &Arc<Self>, parcel: Parcel) {
        {
            let mut state = self.state();
            state.delivered = state.delivered.max(parcel.number);
        }
        if parcel.redelivered {
            let hub = Arc::clone(self);
            self.shared.spawn(async move { hub.came_back(parcel).await });
        } else if parcel.notes.crashes > 0 {
            let hub = Arc::clone(self);
            self.shared.spawn(async move {
                drop(hub.moves.write().await);
                hub.hand_out(parcel);
            });
        } else {
            self.hand_out(parcel);
        }
    }

    /// A message whose consumer died, or lost its broker.
    async fn came_back(self: Arc<Self>, mut parcel: Parcel) {
        parcel.notes.crashes += 1;
        if parcel.notes.crashes >= MAX_CRASHES {
            return self.bury_poison(parcel).await;
        }
        // The copy carries the count. A broker that takes none at the moment delivers at least.
        if !self.temporary {
            let _moves = self.moves.read().await;
            match parcel.move_back(&self.queue).await {
                Ok(()) => return,
                Err(back) => parcel = back,
            }
        }
        self.hand_out(parcel);
    }
}

fn lost() -> lapin::Error {
    std::io::Error::new(std::io::ErrorKind::ConnectionReset, "the subscription ended").into()
}
