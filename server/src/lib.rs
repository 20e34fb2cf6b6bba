//! The HTTP front end: images by URL, the lists of what there is, and the page to try it out.
//!
//! [`Front::start`] ties it to graphs, a store and a transport; [`router`] makes the routes;
//! [`serve()`] runs them on a listener. Knows no pixel: workers answer over the transport.
//!
//! | route | answer |
//! |---|---|
//! | `GET /graph/...` | 301 to the result, once it is there |
//! | `POST /graph/...` | 301 if it is there, else 202 and where it will be |
//! | `GET /cache/<key>` | a result |
//! | `GET /graphs`, `/version`, `/files` | JSON |
//! | `GET /files/<path>` | a picture that comes with the deployment |
//! | `PUT /ops/<name>` | an operation in C, where they may be written while the server runs |
//! | `GET /healthz`, `/readyz` | how the process is |
//! | `GET /`, `/debug/...` | the page |
#![forbid(unsafe_code)]

mod around;
mod asked;
mod auth;
mod files;
mod flight;
mod front;
mod graph;
mod health;
mod ledger;
mod listing;
mod live;
mod never;
mod origins;
mod page;
mod pieces;
mod queue;
mod quota;
mod resolve;
mod respond;
mod serve;
mod sniff;
mod stored;
mod strays;
mod watch;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{MethodRouter, get, put};
use http::Uri;
use tower_http::catch_panic::CatchPanicLayer;

pub use auth::Application;
pub use front::{DRAIN, Front, FrontParts, LiveCode, Report, StartError, VersionInfo};
pub use origins::Origins;
pub use queue::QueueError;
pub use serve::{ServeOptions, serve, serve_with};

/// Most bytes of a request's body. Only that of live code reads one, with a limit of its own.
const MAX_BODY: usize = 1024;

/// All routes.
pub fn router(front: Arc<Front>) -> Router {
    let reading = |route: MethodRouter<Arc<Front>>| route.fallback(|| async { respond::no_method("GET, HEAD") });
    let graph = get(graph::get).post(graph::post).fallback(|| async { respond::no_method("GET, HEAD, POST") });
    let longest = usize::try_from(front.limits().max_operation_bytes).unwrap_or(usize::MAX);
    let live = put(live::put).fallback(|| async { respond::no_method("PUT") }).layer(DefaultBodyLimit::max(longest));
    Router::new()
        .route("/ops/{name}", live)
        .route("/", reading(get(page::index)))
        .route("/debug", reading(get(page::index)))
        .route("/debug/", reading(get(page::index)))
        .route("/debug/{*rest}", reading(get(page::index)))
        .route("/page/style.css", reading(get(page::style)))
        .route("/page/fields.js", reading(get(page::fields)))
        .route("/page/transparency.js", reading(get(page::transparency)))
        .route("/page/app.js", reading(get(page::script)))
        .route("/page/icon.svg", reading(get(page::icon)))
        .route("/favicon.ico", reading(get(page::icon)))
        .route("/graph/{*request}", graph)
        .route("/cache/{*key}", reading(get(stored::get)))
        .route("/graphs", reading(get(listing::graphs)))
        .route("/version", reading(get(listing::version)))
        .route("/files", reading(get(listing::files)))
        .route("/files/", reading(get(listing::files)))
        .route("/files/{*path}", reading(get(files::get)))
        .route("/healthz", reading(get(health::healthz)))
        .route("/readyz", reading(get(health::readyz)))
        .fallback(|uri: Uri| async move { respond::no_route(uri.path()) })
        // As one: each layer by itself costs some allocations a request.
        .layer((
            axum::middleware::from_fn_with_state(Arc::clone(&front), around::around),
            CatchPanicLayer::custom(respond::panicked),
            DefaultBodyLimit::max(MAX_BODY),
        ))
        .with_state(front)
}
