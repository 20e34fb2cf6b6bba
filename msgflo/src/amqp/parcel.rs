//! A message that the broker delivered and that is not settled yet.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use lapin::Acker;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use lapin::{Channel, message};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::publish::{Letter, Notes, PATIENT, Refusal};
use super::session::Session;
use super::topology::{Item, bind_queue, make};
use super::upkeep::Upkeep;
use crate::transport::{Death, dead_letters_of};

/// Wait between attempts to move a message to the dead letters.
const AGAIN: Duration = Duration::from_secs(1);

/// A message, and how to settle it. One that is dropped stays with the broker until the session
/// ends.
pub(super) struct Parcel {
    /// In order of delivery.
    pub(super) number: u64,
    pub(super) message: Bytes,
    pub(super) redelivered: bool,
    pub(super) notes: Notes,
    pub(super) session: Arc<Session>,
    acker: Acker,
    /// Open for as long as the message is not settled: closing it returns the message.
    _channel: Channel,
    /// Set when the subscription that brought it has ended. Settled before, it would make room for
    /// another message that nobody asked for.
    unsubscribed: CancellationToken,
}

impl Parcel {
    pub(super) fn new(
        number: u64,
        delivery: message::Delivery,
        session: &Arc<Session>,
        channel: &Channel,
        unsubscribed: &CancellationToken,
    ) -> Self {
        let notes = Notes::read(&delivery.properties);
        Parcel {
            number,
            redelivered: delivery.redelivered,
            message: delivery.data.into(),
            notes,
            session: Arc::clone(session),
            acker: delivery.acker,
            _channel: channel.clone(),
            unsubscribed: unsubscribed.clone(),
        }
    }

    /// Tells the broker to forget it. If it cannot be told, it delivers the message again.
    pub(super) async fn acknowledge(self) {
        self.unsubscribed.cancelled().await;
        if let Err(error) = self.acker.ack(BasicAckOptions::default()).await {
            tracing::debug!(%error, "a message could not be acknowledged");
        }
    }

    /// Puts it back into its queue, as a copy with our notes; by the broker's own means if there
    /// is no other.
    pub(super) async fn put_back(self, queue: &str) {
        if let Err(parcel) = self.move_back(queue).await
            && let Err(error) = parcel.acker.nack(BasicNackOptions { requeue: true, ..Default::default() }).await
        {
            tracing::debug!(%error, "a message could not be returned");
        }
    }

    /// Puts a copy with our notes into its queue, and then acknowledges this one.
    ///
    /// # Errors
    /// The parcel, when the broker does not take the copy.
    pub(super) async fn move_back(self, queue: &str) -> Result<(), Parcel> {
        match Letter::to_queue(queue, &self.message, &self.notes).send(&self.session, PATIENT).await {
            Ok(()) => {
                self.acknowledge().await;
                Ok(())
            }
            Err(error) => {
                tracing::debug!(queue, %error, "a message could not be put back");
                Err(self)
            }
        }
    }

    /// Moves it to the dead letters of its queue. Where nothing is bound to them, and the network names no queue for
    /// them either, a queue is made that keeps them. A broker that takes nothing at the moment is asked until it does.
    pub(super) async fn bury(mut self, queue: &str, reason: String, at: SystemTime, upkeep: &Upkeep) {
        self.notes = Notes { crashes: 0, death: Some(Death { queue: queue.to_owned(), reason, at }) };
        let exchange = dead_letters_of(queue);
        let mut repaired = false;
        while !self.session.lost.is_cancelled() {
            let broker = &self.session.consuming;
            // Who only listens to dead letters keeps none: the queue that keeps them must be bound, too.
            if let Some(keeper) = upkeep.topology.keeper_of_dead_letters(queue)
                && bind_queue(broker, &exchange, &keeper).await.is_err()
            {
                upkeep.repair(broker, Instant::now()).await;
            }
            let letter = Letter::to_exchange(&exchange, &self.message, &self.notes);
            match letter.send(&self.session, PATIENT).await {
                Ok(()) => return self.acknowledge().await,
                Err(Refusal::NoQueue(_) | Refusal::NoExchange(_)) if !repaired => {
                    upkeep.repair(broker, Instant::now()).await;
                    repaired = true;
                }
                Err(Refusal::NoQueue(_) | Refusal::NoExchange(_)) => {
                    let keeper = Item::DeadLetters(queue.to_owned());
                    if let Err(error) = make(broker, &keeper).await {
                        tracing::error!(queue, %error, "no queue for dead letters");
                        tokio::time::sleep(AGAIN).await;
                    }
                    upkeep.topology.add(keeper);
                }
                Err(refusal) => {
                    tracing::warn!(queue, error = %refusal, "a dead letter waits for the broker");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }
}
