//! The connections to the broker, kept up: one that publishes and one that consumes, so that a
//! broker which holds up publishers (for want of memory or disk) still takes acknowledgements.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use lapin::options::ConfirmSelectOptions;
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::runtime::default_runtime;
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind, Event};
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::topology::{Consuming, Item};
use super::upkeep::Upkeep;
use crate::reconnect::{self, CONNECT};
use crate::transport::{FAREWELL, LAST_WORDS, Link, TransportError};

/// Interval of heartbeats, unless the address says otherwise (`?heartbeat=`), seconds. A connection
/// that is silent for two of them is given up.
const HEARTBEAT: u16 = 10;

/// Connected, with everything declared.
pub(super) struct Session {
    /// For declarations, deliveries and acknowledgements.
    pub(super) consuming: Consuming,
    publishing: Connection,
    /// Confirms what is published; made anew after an error closed it.
    publisher: Mutex<Option<Channel>>,
    /// What was declared when it began.
    declared: Vec<Item>,
    /// Set when either connection is lost.
    pub(super) lost: CancellationToken,
}

impl Session {
    async fn open(uri: &AMQPUri, name: &str) -> Result<Session, lapin::Error> {
        let connect = async |purpose: &str| {
            let properties = ConnectionProperties::default().with_connection_name(format!("{name} {purpose}").into());
            Connection::connect_uri_with_runtime(uri.clone(), properties, default_runtime()?).await
        };
        Ok(Session {
            consuming: Consuming::new(connect("consumes").await?),
            publishing: connect("publishes").await?,
            publisher: Mutex::default(),
            declared: Vec::new(),
            lost: CancellationToken::new(),
        })
    }

    /// True while the broker holds up those who publish.
    pub(super) fn is_blocked(&self) -> bool {
        self.publishing.status().blocked()
    }

    /// True when a connection is lost, as far as is known.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.is_cancelled() || !self.publishing.status().connected()
    }

    /// The channel to publish on.
    pub(super) async fn publisher(&self) -> Result<Channel, lapin::Error> {
        let mut publisher = self.publisher.lock().await;
        if let Some(channel) = publisher.as_ref().filter(|channel| channel.status().connected()) {
            return Ok(channel.clone());
        }
        let channel = self.publishing.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        *publisher = Some(channel.clone());
        Ok(channel)
    }

    /// Says farewell, as far as the broker listens within that time.
    async fn close(&self, patience: Duration) {
        // All that was published is confirmed; a broker that lacks memory does not read this connection at all.
        let publishing = timeout(LAST_WORDS, self.publishing.close(200, "done".into()));
        let consuming = timeout(patience, self.consuming.connection.close(200, "done".into()));
        let _ = futures::join!(publishing, consuming);
    }
}

/// The session of the moment.
pub(super) type Current = watch::Receiver<Option<Arc<Session>>>;

/// Keeps a session up.
pub(super) struct Keeper {
    pub(super) uri: AMQPUri,
    pub(super) name: String,
    pub(super) upkeep: Arc<Upkeep>,
    pub(super) current: watch::Sender<Option<Arc<Session>>>,
    pub(super) link: watch::Sender<Link>,
    pub(super) closed: CancellationToken,
}

impl Keeper {
    /// Connects once; a broker that cannot be reached is no error yet.
    ///
    /// # Errors
    /// [`TransportError::Refused`].
    pub(super) async fn first(&self) -> Result<Option<Arc<Session>>, TransportError> {
        match self.connect().await {
            Ok(session) => Ok(Some(session)),
            Err(error) if is_refusal(&error) => Err(TransportError::Refused(told(&error))),
            Err(error) => {
                tracing::warn!(broker = self.place(), error = told(&error), "the broker is not reachable; trying on");
                Ok(None)
            }
        }
    }

    /// Lets everybody use a session.
    pub(super) fn announce(&self, session: &Arc<Session>) {
        self.current.send_replace(Some(Arc::clone(session)));
        self.link.send_replace(Link::Up);
    }

    /// Keeps the session up until the transport is closed.
    pub(super) async fn keep(self, mut first: Option<Arc<Session>>) {
        let place = self.place();
        loop {
            let session = match first.take() {
                Some(session) => session,
                None => match self.closed.run_until_cancelled(reconnect::again(&place, || self.connect())).await {
                    Some(session) => session,
                    None => break,
                },
            };
            tracing::info!(broker = self.place(), "connected to the broker");
            self.announce(&session);
            // What was added between declaring and announcing; a connection that fails is noticed below.
            let declared = self.upkeep.apply(&session.consuming, &session.declared);
            let _ = self.closed.run_until_cancelled(declared).await;
            let ended = self.closed.run_until_cancelled(async {
                tokio::select! {
                    reason = self.watch(&session) => reason,
                    () = self.upkeep.run(&session) => unreachable!("it never ends"),
                }
            });
            let ended = ended.await;
            session.lost.cancel();
            self.current.send_replace(None);
            self.link.send_replace(Link::Down);
            match ended {
                Some(reason) => {
                    tracing::warn!(broker = self.place(), reason, "the broker is lost; connecting again");
                    session.close(LAST_WORDS).await;
                }
                None => {
                    session.close(FAREWELL).await;
                    break;
                }
            }
        }
        self.current.send_replace(None);
        self.link.send_replace(Link::Down);
    }

    /// Where the broker is, without the password.
    fn place(&self) -> String {
        format!("{}:{}", self.uri.authority.host, self.uri.authority.port)
    }

    async fn connect(&self) -> Result<Arc<Session>, lapin::Error> {
        let connecting = async {
            let mut session = Session::open(&self.uri, &self.name).await?;
            session.declared = self.upkeep.apply(&session.consuming, &[]).await?;
            Ok(Arc::new(session))
        };
        let late = || std::io::Error::new(std::io::ErrorKind::TimedOut, "it does not answer");
        timeout(CONNECT, connecting).await.unwrap_or_else(|_| Err(late().into()))
    }

    /// Returns when a connection is lost, with the reason.
    async fn watch(&self, session: &Session) -> String {
        let publishing = session.publishing.events_listener();
        let consuming = session.consuming.connection.events_listener();
        let mut events = std::pin::pin!(futures::stream::select(publishing, consuming));
        // Those from before the listeners were there are in the status.
        let mut check = tokio::time::interval(Duration::from_secs(1));
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                _ = check.tick() => Some(Event::Connected),
            };
            match event {
                // An error of a channel is the business of who uses it.
                Some(Event::Error(error)) if !error.is_amqp_soft_error() => return told(&error),
                None => return "the connection ended".to_owned(),
                _ => {}
            }
            if !session.publishing.status().connected() || !session.consuming.connection.status().connected() {
                return "the connection ended".to_owned();
            }
            let link = if session.is_blocked() { Link::Blocked } else { Link::Up };
            self.link.send_if_modified(|now| std::mem::replace(now, link) != link);
        }
    }
}

/// Reads an address; the heartbeat is ours unless it names one.
///
/// # Errors
/// What is wrong with it, without what may be a password in it.
pub(super) fn read_uri(url: &str) -> Result<AMQPUri, TransportError> {
    let mut uri: AMQPUri = url.parse().map_err(|_| {
        TransportError::BadUrl("is no amqp address: amqp://user:password@host:5672/virtual-host is expected".into())
    })?;
    uri.query.heartbeat.get_or_insert(HEARTBEAT);
    uri.query.connection_timeout.get_or_insert(CONNECT.as_millis() as u64);
    Ok(uri)
}

fn is_refusal(error: &lapin::Error) -> bool {
    use AMQPHardError::{INVALIDPATH, NOTALLOWED};
    matches!(error.kind(), ErrorKind::ProtocolError(error)
        if matches!(error.kind(), AMQPErrorKind::Hard(NOTALLOWED | INVALIDPATH))
            || matches!(error.kind(), AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED)))
}

/// An error as a text.
pub(super) fn told(error: &lapin::Error) -> String {
    error.to_string()
}
