//! Keeps what this process declared in being.
//!
//! Somebody may delete a queue, an exchange or a binding while the connection stays. All of it is declared again at the
//! first sign: a message that reaches no queue, a subscription that the broker ends. What gives no sign (a binding of a
//! queue that only listens) is found by declaring everything again every [`EVERY`], which changes nothing that is there.
//! Signs that a repair does not end lead to a longer and longer wait before the next one.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lapin::protocol::AMQPSoftError;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::session::{Session, told};
use super::topology::{Consuming, Item, Topology, is, make, messages};

/// Interval at which everything is declared again without a sign.
const EVERY: Duration = Duration::from_secs(15);
/// First and longest wait after a repair that did not help.
const WAITS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// What is declared, and how it is.
pub(super) struct Upkeep {
    pub(super) topology: Topology,
    /// Set when the transport is being closed: nothing is made any more.
    closing: CancellationToken,
    /// What is broken and why, by its name for people.
    faults: Mutex<BTreeMap<String, String>>,
    losses: watch::Sender<u64>,
    /// Held by who repairs.
    repairs: tokio::sync::Mutex<Repairs>,
    /// Held while something is made or unmade, so that what is unmade is not made again.
    pub(super) changing: tokio::sync::Mutex<()>,
}

/// When there were repairs.
#[derive(Default)]
struct Repairs {
    /// When the last one began.
    last: Option<Instant>,
    /// Before this time there is no other.
    not_before: Option<Instant>,
    wait: Duration,
}

impl Upkeep {
    pub(super) fn new(closing: CancellationToken) -> Upkeep {
        Upkeep {
            topology: Topology::default(),
            closing,
            faults: Mutex::default(),
            losses: watch::Sender::new(0),
            repairs: tokio::sync::Mutex::default(),
            changing: tokio::sync::Mutex::default(),
        }
    }

    /// Nothing under this lock can panic halfway.
    fn known_faults(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is broken, for people.
    pub(super) fn faults(&self) -> Vec<String> {
        self.known_faults().iter().map(|(name, reason)| format!("{name}: {reason}")).collect()
    }

    /// Counts the queues that were found deleted, with the messages in them.
    pub(super) fn losses(&self) -> watch::Receiver<u64> {
        self.losses.subscribe()
    }

    fn broken(&self, name: &str, reason: &str) {
        if self.known_faults().insert(name.to_owned(), reason.to_owned()).is_none() {
            tracing::warn!(reason, "{name} is broken; it is set up again until it works");
        }
    }

    fn well(&self, name: &str) {
        if self.known_faults().remove(name).is_some() {
            tracing::info!("{name} works again");
        }
    }

    /// Notes that messages to this exchange or queue reach a queue. After a fault it is looked what else is well again.
    pub(super) async fn routed(&self, broker: &Consuming, place: &str) {
        let name = way_to(place);
        if self.known_faults().contains_key(&name) {
            self.well(&name);
            *self.repairs.lock().await = Repairs::default();
            self.repair(broker, Instant::now()).await;
        }
    }

    /// Notes that messages to this exchange or queue reach no queue, although all was declared again.
    pub(super) async fn unrouted(&self, place: &str) {
        self.broken(&way_to(place), "messages reach no queue");
        let mut repairs = self.repairs.lock().await;
        let now = Instant::now();
        if repairs.not_before.is_none_or(|until| until <= now) {
            repairs.wait = (repairs.wait * 2).clamp(WAITS.0, WAITS.1);
            repairs.not_before = Some(now + repairs.wait);
        }
    }

    /// Makes everything but what is `made` already; returns what there is then. What the broker refuses is noted as a
    /// fault and left out.
    ///
    /// # Errors
    /// The connection failed.
    pub(super) async fn apply(&self, broker: &Consuming, made: &[Item]) -> Result<Vec<Item>, lapin::Error> {
        let items = self.topology.all();
        let names: Vec<String> = items.iter().map(Item::to_string).collect();
        self.known_faults().retain(|name, _| name.starts_with('\'') || names.contains(name));
        let mut lost = 0;
        for item in items.iter().filter(|item| !made.contains(item)) {
            let _changing = self.changing.lock().await;
            if self.closing.is_cancelled() || !self.topology.contains(item) {
                continue;
            }
            if let Item::Inport { queue, temporary: false } = item
                && let Err(error) = messages(broker, queue).await
                && is(&error, AMQPSoftError::NOTFOUND)
            {
                tracing::warn!(queue, "the queue was deleted, with all that waited in it; it is made again");
                lost += 1;
            }
            match make(broker, item).await {
                Err(error) if error.is_amqp_soft_error() => self.broken(&item.to_string(), &told(&error)),
                made => {
                    made?;
                    self.well(&item.to_string());
                }
            }
        }
        if lost > 0 {
            self.losses.send_modify(|losses| *losses += lost);
        }
        Ok(items)
    }

    /// Declares everything again because of a sign that came at `since`, unless that was done since, or did not help a
    /// moment ago. Returns when it is done.
    pub(super) async fn repair(&self, broker: &Consuming, since: Instant) {
        let mut repairs = self.repairs.lock().await;
        let now = Instant::now();
        if repairs.last.is_some_and(|last| last >= since) || repairs.not_before.is_some_and(|until| until > now) {
            return;
        }
        // A connection that fails is noticed by who keeps it.
        if self.apply(broker, &[]).await.is_ok() {
            repairs.last = Some(now);
        }
    }

    /// Declares everything again now and then; never ends.
    pub(super) async fn run(&self, session: &Session) {
        loop {
            tokio::time::sleep(EVERY).await;
            // A connection that fails is noticed by who keeps it.
            let _ = self.apply(&session.consuming, &[]).await;
        }
    }
}

/// The name for people of the way to an exchange or queue.
fn way_to(place: &str) -> String {
    format!("'{place}'")
}
