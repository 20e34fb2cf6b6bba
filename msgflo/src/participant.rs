//! A participant: declares its ports on a transport and announces itself again and again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::discovery::{self, Definition, Port};
use crate::transport::{Consumer, Link, QueueOptions, SendError, Transport, TransportError};

/// How often a participant must be heard of, unless told otherwise.
pub const DISCOVERY_PERIOD: Duration = Duration::from_secs(60);

/// For how many periods an announcement is worth reading.
const LIFETIME: u32 = 2;

/// A participant at work. Dropping it ends its announcements; its queues stay.
pub struct Participant {
    definition: Definition,
    transport: Arc<dyn Transport>,
    period: Duration,
    announcing: JoinHandle<()>,
}

impl Participant {
    /// Declares the ports, then announces the participant now and every
    /// [`DISCOVERY_PERIOD`] / 2.2.
    ///
    /// # Errors
    /// [`TransportError`] when a port cannot be declared.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub async fn start(definition: Definition, transport: Arc<dyn Transport>) -> Result<Self, TransportError> {
        Participant::start_with_period(definition, transport, DISCOVERY_PERIOD).await
    }

    /// As [`Participant::start`], with a `period` of its own (setting `MSGFLO_DISCOVERY_PERIOD`):
    /// two announcements fit in each. Zero: it announces itself at the start only.
    ///
    /// # Errors
    /// [`TransportError`] when a port cannot be declared.
    pub async fn start_with_period(
        mut definition: Definition,
        transport: Arc<dyn Transport>,
        period: Duration,
    ) -> Result<Self, TransportError> {
        definition.name_queues();
        for port in &definition.inports {
            if let Some(queue) = &port.queue {
                let options = QueueOptions { limit: port.limit, temporary: port.persistent == Some(false) };
                transport.declare_inport(queue, options).await?;
            }
        }
        for port in &definition.outports {
            if let Some(queue) = &port.queue {
                transport.declare_outport(queue).await?;
            }
        }
        announce(&definition, transport.as_ref(), period).await;
        let announcing = tokio::spawn(keep_announcing(definition.clone(), transport.clone(), period));
        Ok(Participant { definition, transport, period, announcing })
    }

    /// Who it is, with the queues of its ports.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// Announces it once more; for a coordinator that came later.
    pub async fn announce(&self) {
        announce(&self.definition, self.transport.as_ref(), self.period).await;
    }

    /// Sends a message on an outport, as JSON.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send(&self, port: &str, message: &impl Serialize) -> Result<(), SendError> {
        let message = serde_json::to_vec(message).map_err(|error| SendError::NotJson(error.to_string()))?;
        self.send_bytes(port, message.into()).await
    }

    /// Sends a message on an outport as it is.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send_bytes(&self, port: &str, message: Bytes) -> Result<(), SendError> {
        let outport = queue(&self.definition.outports, port).ok_or_else(|| SendError::UnknownPort(port.to_owned()))?;
        self.transport.send(outport, message).await
    }

    /// Takes messages from an inport.
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn consume(&self, port: &str) -> Result<Consumer, TransportError> {
        let queue = queue(&self.definition.inports, port).ok_or_else(|| TransportError::Unknown(port.to_owned()))?;
        self.transport.consume(queue).await
    }

    /// Ends the announcements. What it consumes and sends is not touched.
    pub fn stop(&self) {
        self.announcing.abort();
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        self.stop();
    }
}

fn queue<'a>(ports: &'a [Port], id: &str) -> Option<&'a str> {
    ports.iter().find(|port| port.id == id)?.queue.as_deref()
}

/// Announces it in each half period, and whenever the broker is there again.
async fn keep_announcing(definition: Definition, transport: Arc<dyn Transport>, period: Duration) {
    let mut link = transport.link();
    let mut was = *link.borrow_and_update();
    // Interval takes no zero, which a period of a few nanoseconds would come to.
    let mut ticks = tokio::time::interval(period.div_f64(2.2).max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        tokio::select! {
            _ = ticks.tick(), if !period.is_zero() => {}
            changed = link.changed() => {
                if changed.is_err() {
                    return;
                }
                let before = std::mem::replace(&mut was, *link.borrow_and_update());
                if before != Link::Down || was == Link::Down {
                    continue;
                }
            }
        }
        announce(&definition, transport.as_ref(), period).await;
    }
}

async fn announce(definition: &Definition, transport: &dyn Transport, period: Duration) {
    let lifetime = if period.is_zero() { DISCOVERY_PERIOD } else { period } * LIFETIME;
    match transport.announce(discovery::message(definition), lifetime).await {
        Ok(()) => tracing::debug!(id = definition.id, "announced"),
        Err(error) => tracing::warn!(id = definition.id, %error, "not announced"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InProcess, Outcome};

    /// Participants heard of, one after the other.
    async fn heard(consumer: &Consumer) -> Definition {
        let delivery = consumer.next().await.unwrap();
        let definition = discovery::read(&delivery.message).unwrap();
        delivery.settle(Outcome::Done);
        definition
    }

    fn sink() -> Definition {
        Definition::new("sink", "Repeat")
            .inport(Port::new("in").limit(2))
            .inport(Port::new("result").queue("sink-1.RESULT").temporary())
            .inport(Port::new("tick").hidden())
            .outport(Port::new("out"))
    }

    #[tokio::test]
    async fn announces_itself_at_the_start_and_again() {
        let broker = InProcess::new();
        let period = Duration::from_millis(22);
        let participant = Participant::start_with_period(sink(), broker.clone(), period).await.unwrap();
        let fbp = broker.discover().await.unwrap();
        for _ in 0..5 {
            let definition = heard(&fbp).await;
            assert_eq!(definition.id, participant.definition().id);
            let queues: Vec<_> = definition.inports.iter().map(|port| port.queue.as_deref().unwrap()).collect();
            assert_eq!(queues, ["sink.IN", "sink-1.RESULT"]);
            assert_eq!(definition.outports[0].queue.as_deref(), Some("sink.OUT"));
        }
    }

    #[tokio::test]
    async fn announces_itself_when_asked() {
        let broker = InProcess::new();
        let participant = Participant::start_with_period(sink(), broker.clone(), Duration::ZERO).await.unwrap();
        participant.announce().await;
        participant.stop();
        participant.announce().await;
        let fbp = broker.queues().into_iter().find(|queue| queue.name == discovery::QUEUE).unwrap();
        assert_eq!(fbp.waiting, 3);
    }

    #[tokio::test]
    async fn stops_when_dropped() {
        let broker = InProcess::new();
        let period = Duration::from_millis(3);
        let one = Participant::start_with_period(sink(), broker.clone(), period).await.unwrap();
        let two = Participant::start_with_period(sink(), broker.clone(), period).await.unwrap();
        let fbp = broker.discover().await.unwrap();
        while heard(&fbp).await.id != one.definition().id {}
        let (gone, stays) = (one.definition().id.clone(), two.definition().id.clone());
        drop(one);
        // What it had said before may still wait, and nothing after.
        let waiting = broker.queues().into_iter().find(|queue| queue.name == discovery::QUEUE).unwrap().waiting;
        for _ in 0..waiting {
            heard(&fbp).await;
        }
        for _ in 0..10 {
            let id = heard(&fbp).await.id;
            assert_ne!(id, gone);
            assert_eq!(id, stays);
        }
    }

    #[tokio::test]
    async fn sends_and_receives_through_its_ports() {
        let broker = InProcess::new();
        let participant = Participant::start(sink(), broker.clone()).await.unwrap();
        assert_eq!(participant.send("out", &1).await, Err(SendError::Unroutable("sink.OUT".into())));
        broker.bind("sink.OUT", "sink.IN").await.unwrap();
        participant.send("out", &serde_json::json!({"a": 1})).await.unwrap();
        participant.send("out", &"é").await.unwrap();
        let full = SendError::Full { queue: "sink.IN".into(), limit: 2 };
        assert_eq!(participant.send("out", &3).await, Err(full));
        let consumer = participant.consume("in").await.unwrap();
        assert_eq!(consumer.next().await.unwrap().message, r#"{"a":1}"#);
        drop(participant.consume("result").await.unwrap());
        assert_eq!(participant.consume("result").await.unwrap_err(), TransportError::Unknown("sink-1.RESULT".into()));
    }

    #[tokio::test]
    async fn ports_it_has_not() {
        let participant = Participant::start(sink(), InProcess::new()).await.unwrap();
        assert_eq!(participant.send("in", &1).await, Err(SendError::UnknownPort("in".into())));
        for port in ["out", "tick"] {
            assert_eq!(participant.consume(port).await.unwrap_err(), TransportError::Unknown(port.into()));
        }
        let odd = std::collections::HashMap::from([(vec![1], 2)]);
        assert!(matches!(participant.send("out", &odd).await, Err(SendError::NotJson(_))));
    }

    #[tokio::test]
    async fn a_closed_transport_takes_none() {
        let broker = InProcess::new();
        broker.close().await;
        assert_eq!(Participant::start(sink(), broker).await.err(), Some(TransportError::Closed));
    }
}
