//! Messages to the broker: persistent, mandatory and confirmed, or not sent.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lapin::options::BasicPublishOptions;
use lapin::protocol::AMQPSoftError;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Confirmation};

use super::session::{Session, told};
use super::topology::is;
use crate::transport::{Death, SendError};

/// How long the broker may take to confirm where nobody waits: a message that is moved between
/// queues.
pub(super) const PATIENT: Duration = Duration::from_secs(5);

/// Interval at which it is looked, while a message is not confirmed, whether the broker holds up publishers.
const LOOK: Duration = Duration::from_millis(25);

/// Deliveries of a message that ended without being settled.
const CRASHES: &str = "x-crashes";
/// RabbitMQ's own account of dead letters.
const BROKERS: &str = "x-death";

/// What goes with a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Notes {
    pub(super) crashes: u32,
    pub(super) death: Option<Death>,
}

/// Persistent.
const DELIVERY_MODE: u8 = 2;

impl Notes {
    /// Reads those of a message; a foreign message has none.
    pub(super) fn read(properties: &BasicProperties) -> Notes {
        let Some(headers) = properties.headers() else { return Notes::default() };
        let headers: BTreeMap<&str, &AMQPValue> = headers.inner().iter().map(|(k, v)| (k.as_str(), v)).collect();
        let text = |name: &str| headers.get(name).and_then(|value| text(value));
        let number = |name: &str| headers.get(name).and_then(|value| number(value));
        let death = match (text(Death::REASON), text(Death::FROM)) {
            (Some(reason), Some(queue)) => {
                let at = UNIX_EPOCH + Duration::from_millis(number(Death::AT).unwrap_or_default());
                Some(Death { queue, reason, at })
            }
            _ => headers.get(BROKERS).and_then(|deaths| brokers(deaths)),
        };
        Notes { crashes: number(CRASHES).and_then(|n| u32::try_from(n).ok()).unwrap_or_default(), death }
    }

    fn headers(&self) -> FieldTable {
        let mut headers = FieldTable::default();
        if self.crashes > 0 {
            headers.insert(CRASHES.into(), AMQPValue::LongLongInt(self.crashes.into()));
        }
        if let Some(Death { queue, reason, at }) = &self.death {
            let since = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
            headers.insert(Death::REASON.into(), AMQPValue::LongString(reason.as_str().into()));
            headers.insert(Death::FROM.into(), AMQPValue::LongString(queue.as_str().into()));
            headers.insert(Death::AT.into(), AMQPValue::LongLongInt(i64::try_from(since).unwrap_or_default()));
        }
        headers
    }
}

fn text(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        AMQPValue::ShortString(text) => Some(text.as_str().to_owned()),
        _ => None,
    }
}

fn number(value: &AMQPValue) -> Option<u64> {
    let signed = match value {
        AMQPValue::LongLongInt(n) => *n,
        AMQPValue::LongInt(n) => i64::from(*n),
        AMQPValue::LongUInt(n) => i64::from(*n),
        AMQPValue::Timestamp(seconds) => return Some(*seconds),
        _ => return None,
    };
    u64::try_from(signed).ok()
}

/// A death that the broker noted: a foreign participant rejected the message.
fn brokers(deaths: &AMQPValue) -> Option<Death> {
    let AMQPValue::FieldArray(deaths) = deaths else { return None };
    let Some(AMQPValue::FieldTable(last)) = deaths.as_slice().first() else { return None };
    let field = |name: &str| last.inner().get(name);
    let at = field("time").and_then(number).map_or(SystemTime::UNIX_EPOCH, |s| UNIX_EPOCH + Duration::from_secs(s));
    Some(Death { queue: field("queue").and_then(text)?, reason: field("reason").and_then(text)?, at })
}

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Refusal {
    /// No queue is bound to the exchange of this name, or there is no queue of this name.
    NoQueue(String),
    /// The exchange of this name does not exist, or that of a message beside this one.
    NoExchange(String),
    /// The connection broke meanwhile: the broker may have it or not. With the reason.
    Lost(String),
    /// Anything else.
    Other(SendError),
}

impl From<SendError> for Refusal {
    fn from(error: SendError) -> Self {
        Refusal::Other(error)
    }
}

impl From<Refusal> for SendError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoQueue(place) | Refusal::NoExchange(place) => SendError::Unroutable(place),
            Refusal::Lost(reason) => SendError::Unreachable(reason),
            Refusal::Other(error) => error,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SendError::from(self.clone()).fmt(f)
    }
}

/// A message on its way.
pub(super) struct Letter<'a> {
    /// Empty: the default exchange, where the routing key names a queue.
    pub(super) exchange: &'a str,
    pub(super) routing_key: &'a str,
    pub(super) message: &'a [u8],
    pub(super) notes: &'a Notes,
    /// After which it is worth nothing.
    pub(super) lifetime: Option<Duration>,
}

impl<'a> Letter<'a> {
    pub(super) fn to_exchange(exchange: &'a str, message: &'a [u8], notes: &'a Notes) -> Self {
        Letter { exchange, routing_key: "", message, notes, lifetime: None }
    }

    pub(super) fn to_queue(queue: &'a str, message: &'a [u8], notes: &'a Notes) -> Self {
        Letter { exchange: "", routing_key: queue, message, notes, lifetime: None }
    }

    fn properties(&self) -> BasicProperties {
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_delivery_mode(DELIVERY_MODE)
            .with_headers(self.notes.headers());
        match self.lifetime {
            Some(lifetime) => properties.with_expiration(lifetime.as_millis().to_string().as_str().into()),
            None => properties,
        }
    }

    /// Name of the exchange, or of the queue, that the message goes to.
    pub(super) fn place(&self) -> &'a str {
        if self.exchange.is_empty() { self.routing_key } else { self.exchange }
    }

    /// Sends the message. Returns when the broker has it safely in every queue, or refused it. Fails at once when the
    /// broker holds up publishers or the connection is lost, and after `patience` when the broker does not confirm.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(super) async fn send(&self, session: &Session, patience: Duration) -> Result<(), Refusal> {
        if session.is_blocked() {
            return Err(SendError::Blocked.into());
        }
        let confirmed = tokio::select! {
            biased;
            published = tokio::time::timeout(patience, self.publish(session)) => published,
            () = blocked(session) => return Err(SendError::Blocked.into()),
        };
        match confirmed {
            Ok(Ok(Confirmation::Ack(None) | Confirmation::NotRequested)) => Ok(()),
            Ok(Ok(Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)))) => {
                Err(Refusal::NoQueue(self.place().to_owned()))
            }
            Ok(Ok(Confirmation::Nack(None))) => Err(SendError::Unreachable("it refused the message".into()).into()),
            Ok(Err(error)) => Err(error),
            Err(_) => {
                let reason = format!("it did not confirm within {} ms", patience.as_millis());
                Err(SendError::Unreachable(reason).into())
            }
        }
    }

    async fn publish(&self, session: &Session) -> Result<Confirmation, Refusal> {
        let lost = |error: lapin::Error| Refusal::Lost(told(&error));
        let channel = session.publisher().await.map_err(lost)?;
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let (exchange, key) = (self.exchange.into(), self.routing_key.into());
        let published =
            async { channel.basic_publish(exchange, key, options, self.message, self.properties()).await?.await };
        published.await.map_err(|error| {
            // A missing exchange closes the channel, and all messages on the way share its fate.
            let closed = !channel.status().connected() && !session.is_lost();
            if is(&error, AMQPSoftError::NOTFOUND) || closed {
                Refusal::NoExchange(self.place().to_owned())
            } else {
                lost(error)
            }
        })
    }
}

/// Returns when the broker holds up publishers.
async fn blocked(session: &Session) {
    while !session.is_blocked() {
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use lapin::types::FieldArray;

    use super::*;

    #[test]
    fn notes_travel_in_headers() {
        let death = Death {
            queue: "a.JOB".into(),
            reason: "disk full".into(),
            at: UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
        };
        for notes in
            [Notes::default(), Notes { crashes: 2, death: None }, Notes { crashes: 0, death: Some(death.clone()) }]
        {
            let properties = BasicProperties::default().with_headers(notes.headers());
            assert_eq!(Notes::read(&properties), notes);
        }
        assert_eq!(Notes::read(&BasicProperties::default()), Notes::default());
    }

    #[test]
    fn the_brokers_own_account_is_read_too() {
        let mut last = FieldTable::default();
        last.insert("queue".into(), AMQPValue::LongString("b.IN".into()));
        last.insert("reason".into(), AMQPValue::LongString("rejected".into()));
        last.insert("time".into(), AMQPValue::Timestamp(1_700_000_000));
        let mut headers = FieldTable::default();
        headers.insert(BROKERS.into(), AMQPValue::FieldArray(FieldArray::from(vec![AMQPValue::FieldTable(last)])));
        let notes = Notes::read(&BasicProperties::default().with_headers(headers));
        let at = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert_eq!(notes.death, Some(Death { queue: "b.IN".into(), reason: "rejected".into(), at }));
    }

    #[test]
    fn headers_of_strangers_do_no_harm() {
        let mut headers = FieldTable::default();
        headers.insert(CRASHES.into(), AMQPValue::LongLongInt(-7));
        headers.insert(Death::REASON.into(), AMQPValue::Boolean(true));
        headers.insert(BROKERS.into(), AMQPValue::FieldArray(FieldArray::default()));
        assert_eq!(Notes::read(&BasicProperties::default().with_headers(headers)), Notes::default());
    }
}
