//! A connection to an MQTT broker, kept up, on which each request gets its answer.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use rumqttc::{
    AsyncClient, Broker, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, NetworkOptions, Outgoing,
    Packet, PubAckReason, Publish, PublishOptions, PublishProperties, StateError, SubscribeFilter, SubscribeProperties,
    SubscribeReasonCode, TlsConfiguration,
};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::subscriptions::{Subscription, Subscriptions};
use crate::reconnect::{self, CONNECT};
use crate::transport::{Link, SendError, TransportError};

/// Largest message, bytes. The broker is told, and delivers no larger ones.
pub(super) const LARGEST: usize = 256 * 1024;
/// What goes with a message: its topic and properties, bytes.
const AROUND: usize = 64 * 1024;
/// The rest of a packet with a message, generously.
const HEADERS: usize = 128;
/// Interval of pings, seconds. A broker that has not answered one by the next is given up.
const KEEP_ALIVE: u16 = 10;
/// Interval at which we subscribe to everything anew, as the broker may have forgotten it.
const RENEW: Duration = Duration::from_secs(15);
/// Messages on their way to the broker at once; brokers take 20 or more.
const IN_FLIGHT: usize = 16;
/// Requests that may wait to be written.
const REQUESTS: usize = 1000;

/// Where a broker is, and who we are to it.
pub(super) struct Address {
    url: Url,
    host: String,
    client: String,
    tls: Option<TlsConfiguration>,
}

impl Address {
    /// Reads an address: `mqtt://user:password@host:1883`, or `mqtts`.
    ///
    /// # Errors
    /// What is wrong with it, without what may be a password in it.
    pub(super) fn read(url: &str, name: &str) -> Result<Address, TransportError> {
        let bad = |what: &str| TransportError::BadUrl(what.to_owned());
        let no_mqtt = || bad("is no mqtt address: mqtt://user:password@host:1883 is expected");
        let url = Url::parse(url).map_err(|_| no_mqtt())?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(no_mqtt)?;
        if !["", "/"].contains(&url.path()) || url.query().is_some() {
            return Err(bad("has a path or options, which mqtt addresses have not"));
        }
        let tls = match url.scheme() {
            "mqtts" => Some(tls()?),
            _ => None,
        };
        let client: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        Ok(Address { host: host.to_owned(), client, tls, url })
    }

    /// Where the broker is, without the password.
    fn place(&self) -> String {
        format!("{}:{}", self.host, self.port())
    }

    fn port(&self) -> u16 {
        self.url.port().unwrap_or(if self.tls.is_some() { 8883 } else { 1883 })
    }

    fn options(&self) -> MqttOptions {
        let id = format!("{}-{}", self.client, uuid::Uuid::new_v4().simple());
        let mut options = MqttOptions::new(id, Broker::tcp(&self.host, self.port()));
        let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
        if !self.url.username().is_empty() {
            options.set_credentials(decoded(self.url.username()), decoded(self.url.password().unwrap_or_default()));
        }
        if let Some(tls) = &self.tls {
            options.set_transport(rumqttc::Transport::tls_with_config(tls.clone()));
        }
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        options.set_keep_alive(KEEP_ALIVE).set_connect_timeout(CONNECT);
        // Nobody takes messages in our name while we are away: who sends them is told so.
        options.set_clean_start(true).set_session_expiry_interval(Some(0));
        options.set_max_packet_size(Some((LARGEST + AROUND) as u32));
        options
    }
}

/// TLS that trusts what the system trusts.
fn tls() -> Result<TlsConfiguration, TransportError> {
    let failed = |what: String| TransportError::BadUrl(format!("asks for TLS, which cannot be had: {what}"));
    let mut roots = rustls::RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(failed("the system has no root certificates".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(error.to_string()))?;
    Ok(TlsConfiguration::Rustls(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
}

/// The broker's answer to a request.
#[derive(Debug)]
enum Answer {
    Sent,
    Published(PubAckReason),
    Subscribed(SubscribeReasonCode),
    Unsubscribed,
}

/// Who waits for answers. Requests are written in the order they are made.
#[derive(Default)]
struct Waiting {
    unwritten: VecDeque<oneshot::Sender<Answer>>,
    published: HashMap<u16, oneshot::Sender<Answer>>,
    subscribed: HashMap<u16, oneshot::Sender<Answer>>,
    over: bool,
}

/// Connected.
pub(super) struct Session {
    client: AsyncClient,
    waiting: Mutex<Waiting>,
    in_flight: Semaphore,
    /// Numbers of the subscriptions it has.
    subscribed: Mutex<HashSet<usize>>,
    /// Largest packet that the broker takes, bytes.
    largest: usize,
    /// Set when the connection is lost; ends it, too.
    lost: CancellationToken,
}

fn gone() -> SendError {
    SendError::Unreachable("the connection to it was lost".into())
}

impl Session {
    /// Nothing under this lock can panic halfway.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn subscribed(&self) -> MutexGuard<'_, HashSet<usize>> {
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_subscribed(&self, id: usize) -> bool {
        self.subscribed().contains(&id)
    }

    /// Makes a request and waits for its answer.
    async fn ask(&self, request: impl FnOnce(&AsyncClient) -> bool) -> Result<Answer, SendError> {
        let (sender, answer) = oneshot::channel();
        {
            let mut waiting = self.waiting();
            if waiting.over {
                return Err(gone());
            }
            if !request(&self.client) {
                return Err(SendError::Unreachable(format!("{REQUESTS} requests wait for it already")));
            }
            waiting.unwritten.push_back(sender);
        }
        answer.await.map_err(|_| gone())
    }

    /// Publishes a message that the broker confirms.
    ///
    /// # Errors
    /// [`SendError`].
    pub(super) async fn publish(
        &self,
        topic: &str,
        message: Bytes,
        notes: Vec<(String, String)>,
    ) -> Result<(), SendError> {
        // More would break the connection for all.
        let size =
            message.len() + topic.len() + notes.iter().map(|(name, note)| name.len() + note.len()).sum::<usize>();
        if size + HEADERS > self.largest {
            return Err(SendError::TooLarge { size, limit: self.largest - HEADERS });
        }
        let _permit = self.in_flight.acquire().await.map_err(|_| gone())?;
        let properties = PublishProperties {
            content_type: Some("application/json".into()),
            user_properties: notes,
            ..PublishProperties::default()
        };
        let request = |client: &AsyncClient| {
            client.try_publish(topic, message, PublishOptions::at_least_once().properties(properties)).is_ok()
        };
        match self.ask(request).await? {
            Answer::Published(PubAckReason::Success) => Ok(()),
            Answer::Published(PubAckReason::NoMatchingSubscribers) => Err(SendError::Unroutable(topic.to_owned())),
            Answer::Published(PubAckReason::QuotaExceeded) => Err(SendError::Blocked),
            other => Err(SendError::Unreachable(format!("it does not take a message for '{topic}': {other:?}"))),
        }
    }

    /// Publishes a message that nobody confirms.
    ///
    /// # Errors
    /// [`SendError::Unreachable`].
    pub(super) async fn announce(&self, topic: &str, message: Bytes) -> Result<(), SendError> {
        self.ask(|client| client.try_publish(topic, message, PublishOptions::at_most_once()).is_ok()).await.map(drop)
    }

    /// Subscribes; returns when the broker has done so.
    ///
    /// # Errors
    /// [`TransportError`].
    pub(super) async fn subscribe(&self, id: usize, subscription: &Subscription) -> Result<(), TransportError> {
        let filter = SubscribeFilter::new(&subscription.filter, subscription.qos);
        let properties = SubscribeProperties { id: Some(id), user_properties: Vec::new() };
        let request = |client: &AsyncClient| client.try_subscribe_many_with_properties([filter], properties).is_ok();
        match self.ask(request).await {
            Ok(Answer::Subscribed(SubscribeReasonCode::Success(_))) => {
                self.subscribed().insert(id);
                Ok(())
            }
            Ok(other) => Err(TransportError::Refused(format!("subscription to {}: {other:?}", subscription.filter))),
            Err(error) => Err(TransportError::Unreachable(error.to_string())),
        }
    }

    /// Ends a subscription; nothing comes of it any more when this returns.
    pub(super) async fn unsubscribe(&self, id: usize, filter: &str) {
        self.subscribed().remove(&id);
        // A lost connection has no subscriptions either.
        let _ = self.ask(|client| client.try_unsubscribe(filter).is_ok()).await;
    }

    fn written(&self, outgoing: &Outgoing) {
        let mut waiting = self.waiting();
        match outgoing {
            Outgoing::Publish(0) => {
                if let Some(asker) = waiting.unwritten.pop_front() {
                    let _ = asker.send(Answer::Sent);
                }
            }
            Outgoing::Publish(id) => {
                let asker = waiting.unwritten.pop_front();
                asker.map(|asker| waiting.published.insert(*id, asker));
            }
            Outgoing::Subscribe(id) | Outgoing::Unsubscribe(id) => {
                let asker = waiting.unwritten.pop_front();
                asker.map(|asker| waiting.subscribed.insert(*id, asker));
            }
            _ => {}
        }
    }

    fn answered(&self, packet: &Packet) {
        let mut waiting = self.waiting();
        let (asker, answer) = match packet {
            Packet::PubAck(ack) => (waiting.published.remove(&ack.pkid), Answer::Published(ack.reason)),
            Packet::SubAck(ack) => {
                let code = ack.return_codes.first().copied().unwrap_or(SubscribeReasonCode::Unspecified);
                (waiting.subscribed.remove(&ack.pkid), Answer::Subscribed(code))
            }
            Packet::UnsubAck(ack) => (waiting.subscribed.remove(&ack.pkid), Answer::Unsubscribed),
            _ => return,
        };
        if let Some(asker) = asker {
            // Who asked may have given up.
            let _ = asker.send(answer);
        }
    }

    /// Lets everybody go who waits.
    fn end(&self) {
        let mut waiting = self.waiting();
        *waiting = Waiting { over: true, ..Waiting::default() };
        drop(waiting);
        self.in_flight.close();
        self.lost.cancel();
    }
}

/// The session of the moment.
pub(super) type Current = watch::Receiver<Option<Arc<Session>>>;

/// Keeps a session up.
pub(super) struct Keeper {
    pub(super) address: Address,
    pub(super) subscriptions: Arc<Subscriptions>,
    pub(super) current: watch::Sender<Option<Arc<Session>>>,
    pub(super) link: watch::Sender<Link>,
    pub(super) closed: CancellationToken,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
struct Failure {
    refused: bool,
    reason: String,
}

impl Keeper {
    /// Connects once; a broker that cannot be reached is no error yet.
    ///
    /// # Errors
    /// [`TransportError::Refused`].
    pub(super) async fn first(&self) -> Result<Option<Arc<Session>>, TransportError> {
        match self.connect().await {
            Ok(session) => Ok(Some(session)),
            Err(Failure { refused: true, reason }) => Err(TransportError::Refused(reason)),
            Err(Failure { reason, .. }) => {
                tracing::warn!(broker = self.address.place(), reason, "the broker is not reachable; trying on");
                Ok(None)
            }
        }
    }

    /// Keeps the session up until the transport is closed.
    pub(super) async fn keep(self, mut first: Option<Arc<Session>>) {
        let place = self.address.place();
        loop {
            let session = match first.take() {
                Some(session) => session,
                None => match self.closed.run_until_cancelled(reconnect::again(&place, || self.connect())).await {
                    Some(session) => session,
                    None => break,
                },
            };
            tracing::info!(broker = self.address.place(), "connected to the broker");
            self.announce(&session);
            // What was subscribed to between connecting and announcing.
            self.closed.run_until_cancelled(self.subscriptions.apply(&session)).await;
            let ended = self.closed.run_until_cancelled(async {
                while tokio::time::timeout(RENEW, session.lost.cancelled()).await.is_err() {
                    self.subscriptions.renew(&session).await;
                }
            });
            let ended = ended.await;
            self.current.send_replace(None);
            self.link.send_replace(Link::Down);
            if ended.is_none() {
                // The task that writes ends with the connection, or with its last user.
                let _ = session.client.try_disconnect();
                let _ = tokio::time::timeout(Duration::from_secs(1), session.lost.cancelled()).await;
                session.end();
                return;
            }
        }
        self.current.send_replace(None);
        self.link.send_replace(Link::Down);
    }

    /// Lets everybody use a session.
    pub(super) fn announce(&self, session: &Arc<Session>) {
        self.current.send_replace(Some(Arc::clone(session)));
        self.link.send_replace(Link::Up);
    }

    async fn connect(&self) -> Result<Arc<Session>, Failure> {
        let late = || Failure { refused: false, reason: "it does not answer".to_owned() };
        tokio::time::timeout(CONNECT, self.open()).await.unwrap_or_else(|_| Err(late()))
    }

    /// Connects and subscribes to all there is to be subscribed to.
    async fn open(&self) -> Result<Arc<Session>, Failure> {
        let (client, mut events) = AsyncClient::builder(self.address.options()).capacity(REQUESTS).build();
        let largest = loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(answer))) => {
                    let largest = answer.properties.as_ref().and_then(|has| has.max_packet_size);
                    let lacks = answer.properties.is_some_and(|has| {
                        has.shared_subscription_available == Some(0)
                            || has.subscription_identifiers_available == Some(0)
                            || has.max_qos == Some(0)
                    });
                    if lacks {
                        let reason = "it lacks shared subscriptions, subscription identifiers or QoS 1 of MQTT 5";
                        return Err(Failure { refused: true, reason: reason.to_owned() });
                    }
                    break largest.map_or(usize::MAX, |largest| (largest as usize).max(HEADERS));
                }
                Ok(_) => {}
                Err(error) => return Err(Failure { refused: is_refusal(&error), reason: told(&error) }),
            }
        };
        let session = Arc::new(Session {
            client,
            waiting: Mutex::default(),
            in_flight: Semaphore::new(IN_FLIGHT),
            subscribed: Mutex::default(),
            largest,
            lost: CancellationToken::new(),
        });
        let subscriptions = Arc::clone(&self.subscriptions);
        let (place, closed) = (self.address.place(), self.closed.clone());
        let running = Arc::clone(&session);
        // Who gives up on us while we subscribe leaves no connection behind.
        let unfinished = session.lost.clone().drop_guard();
        tokio::spawn(async move {
            // However it ends, nobody waits for it any more.
            let _end = EndOfSession(Arc::clone(&running));
            let work = run(&running, &mut events, |message| subscriptions.arrived(message));
            let Some(reason) = running.lost.run_until_cancelled(work).await else { return };
            if !closed.is_cancelled() {
                tracing::warn!(broker = place, reason, "the broker is lost; connecting again");
            }
        });
        self.subscriptions.apply(&session).await;
        if session.lost.is_cancelled() {
            return Err(Failure { refused: false, reason: "the connection was lost at once".to_owned() });
        }
        unfinished.disarm();
        Ok(session)
    }
}

struct EndOfSession(Arc<Session>);

impl Drop for EndOfSession {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Reads and writes until the connection is lost; returns why.
async fn run(session: &Session, events: &mut EventLoop, arrived: impl Fn(Publish)) -> String {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::Publish(message))) => arrived(message),
            Ok(Event::Incoming(packet)) => session.answered(&packet),
            Ok(Event::Outgoing(Outgoing::Disconnect)) => return "we left".to_owned(),
            Ok(Event::Outgoing(outgoing)) => session.written(&outgoing),
            Ok(Event::Auth(_)) => {}
            Err(error) => return told(&error),
        }
    }
}

fn is_refusal(error: &ConnectionError) -> bool {
    use ConnectReturnCode::{ServerBusy, ServerUnavailable, ServiceUnavailable};
    match error {
        ConnectionError::ConnectionRefused(code)
        | ConnectionError::MqttState(StateError::ConnFail { reason: code }) => {
            !matches!(code, ServerBusy | ServerUnavailable | ServiceUnavailable)
        }
        _ => false,
    }
}

/// An error as a text.
fn told(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ConnectionRefused(code) => match code {
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
                "user name or password is wrong".to_owned()
            }
            ConnectReturnCode::RefusedProtocolVersion | ConnectReturnCode::UnsupportedProtocolVersion => {
                "it does not speak MQTT 5".to_owned()
            }
            code => format!("{code:?}"),
        },
        ConnectionError::Io(error) => error.to_string(),
        ConnectionError::MqttState(StateError::Io(error)) => error.to_string(),
        ConnectionError::Timeout(_) => "it does not answer".to_owned(),
        error => error.to_string(),
    }
}
