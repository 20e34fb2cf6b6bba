//! Connections, and what they may take.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;
use http::header::UPGRADE;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::workspace::Workspace;
use crate::{Level, connection, page, preview};

/// Time for a request's line and headers to arrive.
const HEAD: Duration = Duration::from_secs(10);
/// Largest line and headers of a request, bytes.
const HEAD_BYTES: usize = 32 << 10;
/// Time for the picture of an upload to arrive.
const BODY: Duration = Duration::from_secs(60);
/// Time that clients have to leave when the runtime stops.
const DRAIN: Duration = Duration::from_secs(3);

/// The routes of a runtime that listens on `bound`.
pub fn router(workspace: Arc<Workspace>, bound: SocketAddr) -> Router {
    let any = move |State(workspace): State<Arc<Workspace>>, request: Request| enter(workspace, request, bound);
    Router::new()
        .route("/process", get(preview::get))
        .route("/input", post(upload))
        // Editors connect whatever the path.
        .fallback(any)
        .with_state(workspace)
}

/// A page, or the begin of a WebSocket.
async fn enter(workspace: Arc<Workspace>, request: Request, bound: SocketAddr) -> Response {
    let (mut parts, _) = request.into_parts();
    if parts.headers.contains_key(UPGRADE) {
        let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
            Ok(upgrade) => upgrade,
            Err(rejection) => return rejection.into_response(),
        };
        let level = connection::level(&workspace, &parts.headers);
        let base = connection::base(&workspace, &parts.headers, bound);
        let most = workspace.parts.limits.message_bytes;
        let upgrade = upgrade.protocols(["noflo"]).max_message_size(most).max_frame_size(most);
        return upgrade.on_upgrade(move |socket| connection::run(workspace, socket, level, base));
    }
    if parts.method == http::Method::GET && parts.uri.path() == "/" {
        return page::get(&workspace, &parts.headers, bound);
    }
    (StatusCode::NOT_FOUND, "there is /, /process, and a WebSocket of the protocol 'noflo'\n").into_response()
}

/// Takes a picture from a page; the answer is the address to name it by.
#[expect(clippy::disallowed_methods, reason = "the body has a limit, and is only read for those who may")]
async fn upload(State(workspace): State<Arc<Workspace>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let secret = parts.headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let level = workspace.parts.access.level(secret);
    let level =
        if level > workspace.parts.access.open() { level } else { connection::level(&workspace, &parts.headers) };
    if level < Level::Edit {
        return (StatusCode::FORBIDDEN, "not allowed: this needs a secret of the level 'edit'\n").into_response();
    }
    // Few at a time: each is held whole.
    let Ok(_turn) = workspace.uploading.try_acquire() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many pictures are sent at the moment\n").into_response();
    };
    let limit = workspace.parts.limits.input_bytes;
    let body = match timeout(BODY, axum::body::to_bytes(body, limit)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            let message = format!("the picture did not arrive, or is larger than the limit of {limit} bytes\n");
            return (StatusCode::PAYLOAD_TOO_LARGE, message).into_response();
        }
        Err(_) => return (StatusCode::REQUEST_TIMEOUT, "the picture did not arrive in time\n").into_response(),
    };
    match workspace.inputs.upload(&body) {
        Ok(address) => {
            let json = [(http::header::CONTENT_TYPE, "application/json")];
            (json, json!({ "input": address }).to_string()).into_response()
        }
        Err(message) => (StatusCode::UNPROCESSABLE_ENTITY, format!("{message}\n")).into_response(),
    }
}

/// Serves until `shutdown`.
///
/// # Errors
/// The listener's.
pub async fn serve(listener: TcpListener, workspace: Arc<Workspace>, shutdown: CancellationToken) -> io::Result<()> {
    let bound = listener.local_addr()?;
    let slots = Arc::new(Semaphore::new(workspace.parts.limits.connections));
    // GEGL is asked for its operations before anybody waits for it.
    let library = workspace.library();
    let _ = tokio::task::spawn_blocking(move || library.catalogue().components()).await;
    let router = router(Arc::clone(&workspace), bound);
    let tasks = TaskTracker::new();
    loop {
        let stream = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Descriptors may be used up, which passes.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            tracing::warn!("too many connections: one is closed");
            continue;
        };
        let (router, shutdown) = (router.clone(), shutdown.clone());
        tasks.spawn(async move {
            connect(stream, router, shutdown).await;
            drop(slot);
        });
    }
    drop(listener);
    tasks.close();
    let _ = timeout(DRAIN, tasks.wait()).await;
    let _ = tokio::task::spawn_blocking(move || workspace.keep()).await;
    Ok(())
}

async fn connect(stream: TcpStream, router: Router, shutdown: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router);
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = shutdown.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
