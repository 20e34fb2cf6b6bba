//! One client: frames in and out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures::{SinkExt, StreamExt};
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Uri};
use imgflo_fbp::protocol::Request;
use tokio::time::{Instant, interval, sleep_until, timeout};

use crate::workspace::{Asker, OLDEST, Outbox, WITH_SUBPROTOCOL, Workspace, error};
use crate::{Level, requests};

/// Time that one frame may take to go out.
const STALL: Duration = Duration::from_secs(30);

/// The level of a connection before it gives any secret. A page of an origin that nobody named gets none, whatever
/// is open: any page that is visited can connect to this machine.
pub(crate) fn level(workspace: &Workspace, headers: &HeaderMap) -> Level {
    let open = workspace.parts.access.open();
    let Some(origin) = headers.get(ORIGIN) else { return open };
    let Ok(origin) = origin.to_str() else { return Level::None };
    let named = workspace.parts.origins.iter().any(|named| named.trim_end_matches('/') == origin);
    let local = origin.parse::<Uri>().ok().is_some_and(|uri| uri.host().is_some_and(is_local));
    // Not the name that is asked for: any name can lead here.
    let own = workspace.parts.public_url.as_deref().is_some_and(|url| url.trim_end_matches('/') == origin);
    if named || local || own { open } else { Level::None }
}

/// True when a request names this machine by an address, a name of loopback, or the name that it is told to have: a
/// page can have any other name lead here.
pub(crate) fn is_ours(workspace: &Workspace, headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()?.parse::<http::uri::Authority>().ok());
    let Some(host) = host else { return false };
    let name = host.host().trim_start_matches('[').trim_end_matches(']');
    let public = workspace.parts.public_url.as_deref().and_then(|url| url.parse::<Uri>().ok());
    let known = public.is_some_and(|url| url.host() == Some(host.host()));
    known || name == "localhost" || name.parse::<std::net::IpAddr>().is_ok()
}

/// True for names and addresses of this machine.
fn is_local(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What addresses of pictures begin with for a client that asked with these headers.
pub(crate) fn base(workspace: &Workspace, headers: &HeaderMap, bound: SocketAddr) -> String {
    if let Some(url) = &workspace.parts.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.filter(|host| host.len() < 300 && host.parse::<http::uri::Authority>().is_ok());
    host.map_or_else(|| format!("http://{bound}"), |host| format!("http://{host}"))
}

/// Serves a client until it leaves, falls silent, or does not take what it is told.
pub(crate) async fn run(workspace: Arc<Workspace>, socket: WebSocket, open: Level, base: String) {
    let version = if socket.protocol().is_some() { WITH_SUBPROTOCOL } else { OLDEST };
    let (mut sink, mut stream) = socket.split();
    let Some((client, outbox)) = workspace.join(open, base, version) else {
        let reason = "too many clients".into();
        let _ = timeout(STALL, sink.send(Message::Close(Some(CloseFrame { code: close_code::AGAIN, reason })))).await;
        return;
    };
    let Outbox { mut messages, bytes, end } = outbox;
    let silence = workspace.parts.limits.silence;
    let ended = end.clone();
    let out = tokio::spawn(async move {
        let mut asked = interval(silence / 3);
        asked.tick().await;
        loop {
            let message = tokio::select! {
                biased;
                () = ended.cancelled() => break,
                message = messages.recv() => match message {
                    Some(text) => {
                        bytes.fetch_sub(text.len(), Ordering::Relaxed);
                        Message::Text(text.into())
                    }
                    None => break,
                },
                _ = asked.tick() => Message::Ping(Default::default()),
            };
            if !matches!(timeout(STALL, sink.send(message)).await, Ok(Ok(()))) {
                break;
            }
        }
        ended.cancel();
        let _ = timeout(Duration::from_secs(1), sink.close()).await;
    });
    read(&workspace, client, open, &mut stream, &end).await;
    workspace.leave(client);
    end.cancel();
    let _ = out.await;
}

async fn read(
    workspace: &Arc<Workspace>,
    client: u64,
    open: Level,
    stream: &mut futures::stream::SplitStream<WebSocket>,
    end: &tokio_util::sync::CancellationToken,
) {
    let limits = workspace.parts.limits;
    let mut pace = Pace::new(limits.messages_per_second);
    loop {
        let frame = tokio::select! {
            () = end.cancelled() => return,
            frame = timeout(limits.silence, stream.next()) => match frame {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => {
                    tracing::debug!(client, %error, "a client is gone");
                    return;
                }
                Ok(None) | Err(_) => return,
            },
        };
        pace.wait().await;
        let text = match frame {
            Message::Text(text) => text,
            Message::Close(_) => return,
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Binary(_) => {
                complain(workspace, client, "messages are texts, not bytes");
                continue;
            }
        };
        match Request::parse(&text) {
            Ok(request) => tokio::select! {
                () = requests::handle(workspace, client, open, request) => {}
                () = end.cancelled() => return,
            },
            Err(error) => complain(workspace, client, &error.to_string()),
        }
    }
}

fn complain(workspace: &Workspace, client: u64, message: &str) {
    let asker = Asker { client, request: None, level: Level::None, version: OLDEST };
    workspace.state().answer(&asker, "runtime", "error", &error(message));
}

/// Slows a client down that sends too much.
struct Pace {
    each: Duration,
    next: Instant,
}

impl Pace {
    fn new(per_second: u32) -> Self {
        Pace { each: Duration::from_secs(1) / per_second.max(1), next: Instant::now() }
    }

    /// Waits where more than a second's worth was sent at once.
    async fn wait(&mut self) {
        let now = Instant::now();
        self.next = self.next.max(now) + self.each;
        if self.next > now + Duration::from_secs(1) {
            sleep_until(self.next - Duration::from_secs(1)).await;
        }
    }
}
