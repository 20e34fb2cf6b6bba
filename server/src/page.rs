//! `/` and `/debug/...`: the page where graphs are tried out. Its files are inside the program.

use std::sync::LazyLock;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use http::{HeaderMap, HeaderValue};

use crate::front::SharedFront;
use crate::listing::{content_tag, revalidated};

/// A file of the page.
struct Part {
    media_type: &'static str,
    body: Bytes,
    etag: HeaderValue,
}

impl Part {
    fn new(media_type: &'static str, body: &'static str) -> Self {
        Part { media_type, body: Bytes::from_static(body.as_bytes()), etag: content_tag(body.as_bytes()) }
    }

    fn answer(&self, asked: &HeaderMap) -> Response {
        revalidated(self.body.clone(), &self.etag, self.media_type, asked)
    }
}

static INDEX: LazyLock<Part> = LazyLock::new(|| Part::new("text/html; charset=utf-8", include_str!("page/index.html")));
static STYLE: LazyLock<Part> = LazyLock::new(|| Part::new("text/css; charset=utf-8", include_str!("page/style.css")));
static FIELDS: LazyLock<Part> =
    LazyLock::new(|| Part::new("text/javascript; charset=utf-8", include_str!("page/fields.js")));
static TRANSPARENCY: LazyLock<Part> =
    LazyLock::new(|| Part::new("text/javascript; charset=utf-8", include_str!("page/transparency.js")));
static SCRIPT: LazyLock<Part> =
    LazyLock::new(|| Part::new("text/javascript; charset=utf-8", include_str!("page/app.js")));
static ICON: LazyLock<Part> = LazyLock::new(|| Part::new("image/svg+xml", include_str!("page/icon.svg")));

/// `GET /`, `GET /debug/...`.
pub(crate) async fn index(State(front): State<SharedFront>, asked: HeaderMap) -> Response {
    let mut response = INDEX.answer(&asked);
    // Scripts and requests go to us only; pictures may come from anywhere, as inputs do. Results
    // are fetched from our public address where that is another than the page's.
    let public = front.public_url().map(|url| format!(" {}", url.origin().ascii_serialization())).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'{public}; \
         img-src 'self' data: blob: http: https:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    // The page's address can hold a token.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// `GET /page/style.css`.
pub(crate) async fn style(asked: HeaderMap) -> Response {
    STYLE.answer(&asked)
}

/// `GET /page/fields.js`.
pub(crate) async fn fields(asked: HeaderMap) -> Response {
    FIELDS.answer(&asked)
}

/// `GET /page/transparency.js`.
pub(crate) async fn transparency(asked: HeaderMap) -> Response {
    TRANSPARENCY.answer(&asked)
}

/// `GET /page/app.js`.
pub(crate) async fn script(asked: HeaderMap) -> Response {
    SCRIPT.answer(&asked)
}

/// `GET /favicon.ico`, `GET /page/icon.svg`.
pub(crate) async fn icon(asked: HeaderMap) -> Response {
    ICON.answer(&asked)
}
