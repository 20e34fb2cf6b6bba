//! What this process subscribes to: remembered, and done again on a new connection.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rumqttc::{Publish, QoS};

use tokio::time::Instant;

use super::letter::Letter;
use super::session::{Current, Session};
use crate::transport::TransportError;

/// Takes what arrives; must not block.
pub(super) type Sink = Box<dyn Fn(Letter) + Send + Sync>;

/// A subscription.
pub(super) struct Subscription {
    pub(super) filter: String,
    topic: String,
    pub(super) qos: QoS,
    pub(super) sink: Sink,
}

impl Subscription {
    /// To a topic whose messages all those share who subscribe for the same purpose.
    pub(super) fn shared(purpose: &str, topic: &str, sink: Sink) -> Subscription {
        // The name of a group of subscribers takes no slash.
        let filter = format!("$share/{}/{topic}", purpose.replace('/', "%2F"));
        Subscription { filter, topic: topic.to_owned(), qos: QoS::AtLeastOnce, sink }
    }

    /// To a topic whose messages every subscriber gets, and may miss.
    pub(super) fn open(topic: &str, sink: Sink) -> Subscription {
        Subscription { filter: topic.to_owned(), topic: topic.to_owned(), qos: QoS::AtMostOnce, sink }
    }
}

struct Entry {
    subscription: Arc<Subscription>,
    paused: bool,
}

/// All of them.
pub(super) struct Subscriptions {
    current: Current,
    entries: Mutex<BTreeMap<usize, Entry>>,
    /// Held by who subscribes or unsubscribes: the order of requests is that of the changes. When all was renewed last.
    changing: tokio::sync::Mutex<Option<Instant>>,
}

/// The broker is not asked more often than this to subscribe us to everything anew.
const RENEWED: Duration = Duration::from_secs(1);

impl Subscriptions {
    pub(super) fn new(current: Current) -> Self {
        Subscriptions { current, entries: Mutex::default(), changing: tokio::sync::Mutex::default() }
    }

    /// Nothing under this lock can panic halfway.
    fn entries(&self) -> MutexGuard<'_, BTreeMap<usize, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn session(&self) -> Option<Arc<Session>> {
        self.current.borrow().clone()
    }

    /// Subscribes now, or as soon as the broker is there. Returns the number of the subscription.
    ///
    /// # Errors
    /// [`TransportError::Refused`].
    pub(super) async fn add(&self, subscription: Subscription) -> Result<usize, TransportError> {
        let _changing = self.changing.lock().await;
        let subscription = Arc::new(subscription);
        let id = {
            let mut entries = self.entries();
            // Identifiers are 1 to 268,435,455.
            let id = entries.last_key_value().map_or(1, |(last, _)| last + 1);
            entries.insert(id, Entry { subscription: Arc::clone(&subscription), paused: false });
            id
        };
        if let Some(session) = self.session()
            && let Err(error @ TransportError::Refused(_)) = session.subscribe(id, &subscription).await
        {
            self.entries().remove(&id);
            return Err(error);
        }
        Ok(id)
    }

    /// Unsubscribes: what arrives until this returns goes to the sink, nothing after it.
    pub(super) async fn remove(&self, id: usize) {
        let _changing = self.changing.lock().await;
        self.stop(id).await;
        self.entries().remove(&id);
    }

    /// Unsubscribes for a while.
    pub(super) async fn pause(&self, id: usize) {
        let _changing = self.changing.lock().await;
        self.stop(id).await;
    }

    async fn stop(&self, id: usize) {
        let filter = {
            let mut entries = self.entries();
            let Some(entry) = entries.get_mut(&id).filter(|entry| !entry.paused) else { return };
            entry.paused = true;
            let filter = entry.subscription.filter.clone();
            // The same filter again is the same subscription to the broker.
            let others = entries.values().any(|other| !other.paused && other.subscription.filter == filter);
            (!others).then_some(filter)
        };
        if let (Some(session), Some(filter)) = (self.session(), filter) {
            session.unsubscribe(id, &filter).await;
        }
    }

    /// Subscribes again after [`Subscriptions::pause`].
    pub(super) async fn resume(&self, id: usize) {
        let _changing = self.changing.lock().await;
        let subscription = {
            let mut entries = self.entries();
            let Some(entry) = entries.get_mut(&id) else { return };
            entry.paused = false;
            Arc::clone(&entry.subscription)
        };
        if let Some(session) = self.session()
            && let Err(error) = session.subscribe(id, &subscription).await
        {
            tracing::warn!(filter = subscription.filter, %error, "not subscribed again");
        }
    }

    /// Ends all of them.
    pub(super) async fn end(&self) {
        let ids: Vec<usize> = self.entries().keys().copied().collect();
        for id in ids {
            self.pause(id).await;
        }
    }

    /// True when messages of this topic should come to us.
    pub(super) fn cover(&self, topic: &str) -> bool {
        self.entries().values().any(|entry| !entry.paused && entry.subscription.topic == topic)
    }

    /// Subscribes to everything anew, which changes nothing but at a broker that forgot us. Not again within a second.
    pub(super) async fn renew(&self, session: &Session) {
        let mut renewed = self.changing.lock().await;
        if renewed.is_none_or(|at| at.elapsed() > RENEWED) {
            *renewed = Some(Instant::now());
            self.subscribe(session, |_| true).await;
        }
    }

    /// Subscribes to what this session is not subscribed to yet.
    pub(super) async fn apply(&self, session: &Session) {
        self.subscribe(session, |id| !session.is_subscribed(id)).await;
    }

    async fn subscribe(&self, session: &Session, which: impl Fn(usize) -> bool) {
        let wanted: Vec<(usize, Arc<Subscription>)> = {
            let entries = self.entries();
            let active = entries.iter().filter(|(id, entry)| !entry.paused && which(**id));
            active.map(|(id, entry)| (*id, Arc::clone(&entry.subscription))).collect()
        };
        for (id, subscription) in wanted {
            if let Err(error) = session.subscribe(id, &subscription).await {
                tracing::warn!(filter = subscription.filter, %error, "not subscribed");
            }
        }
    }

    /// Hands a message to those who subscribed to it.
    pub(super) fn arrived(&self, message: Publish) {
        let ids = message.properties.as_ref().map(|properties| properties.subscription_identifiers.clone());
        let letter = Letter::read(message);
        for id in ids.unwrap_or_default() {
            let subscription = self.entries().get(&id).map(|entry| Arc::clone(&entry.subscription));
            if let Some(subscription) = subscription {
                (subscription.sink)(letter.clone());
            }
        }
    }
}
