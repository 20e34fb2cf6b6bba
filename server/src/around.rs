//! What happens around every request: its id, the length of its address, a time limit, headers that
//! all responses have, and the log.

use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{HOST, ORIGIN, X_CONTENT_TYPE_OPTIONS};
use http::uri::Authority;
use http::{HeaderName, HeaderValue, Method, Version};
use imgflo_job::error::shown;
use imgflo_job::{Category, JobError};
use tokio::time::Instant;

use crate::front::SharedFront;
use crate::respond::{self, Cause};

/// Ties a response to the lines of the log. A client or a proxy may bring its own.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id that is taken over, bytes.
const MAX_REQUEST_ID: usize = 64;
/// Time that a handler has beyond the wait for a result. Handlers have limits of their own; this one
/// is there so that no request hangs, whatever happens.
const SLACK: Duration = Duration::from_secs(15);

/// The outermost layer.
pub(crate) async fn around(State(front): State<SharedFront>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = request_id(&request);
    let method = request.method().clone();
    // The route, not the address: that may hold a token.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let readable = is_public(request.method(), request.uri().path());
    let origin = request.headers().get(ORIGIN).filter(|_| readable).cloned();
    let refused = bad_host(&request).or_else(|| strange_name(&front, &request)).or_else(|| too_long(&front, &request));
    let mut response = match refused {
        Some(error) => respond::problem(&error),
        None => {
            let limit = front.limits().urgent_deadline + SLACK;
            match within(limit, next.run(request)).await {
                Some(response) => response,
                None => respond::problem(&JobError::new(Category::DeadlineExceeded, "a handler took too long")),
            }
        }
    };
    log(&response, &id, &method, route.as_ref().map_or("-", MatchedPath::as_str), began);
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if readable {
        front.origins().tell(origin.as_ref(), headers);
    }
    headers.insert(REQUEST_ID, id);
    response
}

fn request_id(request: &Request) -> HeaderValue {
    let usable = |id: &HeaderValue| {
        let id = id.as_bytes();
        (1..=MAX_REQUEST_ID).contains(&id.len())
            && id.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    match request.headers().get(REQUEST_ID).filter(|id| usable(id)) {
        Some(id) => id.clone(),
        None => new_id(),
    }
}

/// A random UUID. Its randomness is that of keys drawn once, which is far from a secret but free.
fn new_id() -> HeaderValue {
    static KEYS: LazyLock<[RandomState; 2]> = LazyLock::new(|| [RandomState::new(), RandomState::new()]);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let halves = [KEYS[0].hash_one(count), KEYS[1].hash_one(count)];
    let id = uuid::Builder::from_random_bytes((u128::from(halves[0]) << 64 | u128::from(halves[1])).to_le_bytes())
        .into_uuid();
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    HeaderValue::from_str(id.hyphenated().encode_lower(&mut text)).unwrap_or(HeaderValue::from_static("-"))
}

/// What comes of `work`, if that comes in time. Most of it is there at once, and needs no timer.
pub(crate) async fn within<F: Future>(limit: Duration, work: F) -> Option<F::Output> {
    let mut work = pin!(work);
    match futures::poll!(work.as_mut()) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => tokio::time::timeout(limit, work).await.ok(),
    }
}

/// An address that is too long is a request that cannot be read: no parameter is to blame.
fn too_long(front: &SharedFront, request: &Request) -> Option<JobError> {
    let bytes = request.uri().path_and_query().map_or(0, |target| target.as_str().len()) as u64;
    let limit = front.limits().max_url_bytes;
    (bytes > limit).then(|| JobError {
        category: Category::Malformed,
        ..JobError::over("URL bytes", bytes, limit, "IMGFLO_MAX_URL_BYTES")
    })
}

/// A request names the host that it is for, once (RFC 9112, 3.2); those of HTTP/1.0 need not.
fn bad_host(request: &Request) -> Option<JobError> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let fault = match (hosts.next(), hosts.next()) {
        (None, _) if request.version() < Version::HTTP_11 => return None,
        (None, _) => "the request has no header Host",
        (Some(_), Some(_)) => "the request has more than one header Host",
        (Some(host), None) => {
            let authority = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
            if host.is_empty() || authority.is_some_and(|host| !host.as_str().contains('@')) {
                return None;
            }
            "the header Host is not a valid host and port"
        }
    };
    Some(JobError::new(Category::Malformed, fault))
}

/// Who needs no key on loopback asks by a name of this machine: a page elsewhere can have its own name lead here.
fn strange_name(front: &SharedFront, request: &Request) -> Option<JobError> {
    // Who watches over this process may have a name of its own for it.
    let is_health = matches!(request.uri().path(), "/healthz" | "/readyz");
    if is_health || !front.is_open_on_loopback() {
        return None;
    }
    let host = request.headers().get(HOST)?.to_str().ok()?.parse::<Authority>().ok()?;
    if front.origins().knows(&host) {
        return None;
    }
    let message = format!(
        "this server is not known as '{}': ask for it as localhost, or set IMGFLO_PUBLIC_URL",
        shown(host.host())
    );
    Some(JobError::new(Category::Forbidden, message))
}

/// What pages of other origins may read, if their origin is allowed: it holds no secret, and depends on no cookie.
fn is_public(method: &Method, path: &str) -> bool {
    let open = ["/graph/", "/cache/", "/files/"].iter().any(|prefix| path.starts_with(prefix))
        || ["/graphs", "/files", "/version"].contains(&path);
    open && [Method::GET, Method::HEAD, Method::POST].contains(method)
}

fn log(response: &Response, id: &HeaderValue, method: &Method, route: &str, began: Instant) {
    let status = response.status();
    if !status.is_server_error() && !status.is_client_error() && !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let id = id.to_str().unwrap_or("-");
    let took_ms = began.elapsed().as_millis();
    let status = status.as_u16();
    let cause = response.extensions().get::<Cause>().map_or("", |cause| cause.0.as_str());
    if response.status().is_server_error() {
        tracing::warn!(request_id = id, %method, route, status, took_ms, cause, "request failed");
    } else if response.status().is_client_error() {
        tracing::info!(request_id = id, %method, route, status, took_ms, cause, "request refused");
    } else {
        tracing::debug!(request_id = id, %method, route, status, took_ms, "request answered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_usable() {
        let ids: std::collections::HashSet<HeaderValue> = (0..1000).map(|_| new_id()).collect();
        assert_eq!(ids.len(), 1000);
        for id in ids {
            let request = Request::builder().header(REQUEST_ID, &id).body(axum::body::Body::empty()).unwrap();
            assert_eq!(request_id(&request), id);
        }
    }

    #[tokio::test]
    async fn what_is_not_there_in_time_is_not_waited_for() {
        assert_eq!(within(Duration::ZERO, async { 1 }).await, Some(1));
        let later = tokio::time::sleep(Duration::from_millis(1));
        assert_eq!(within(Duration::from_secs(60), later).await, Some(()));
        assert_eq!(within(Duration::from_millis(1), std::future::pending::<()>()).await, None);
    }
}
