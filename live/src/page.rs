//! `GET /`: where to connect, and the picture that the graph makes.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::response::{Html, IntoResponse, Response};
use http::HeaderMap;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use uuid::Uuid;

use crate::connection::base;
use crate::workspace::Workspace;

const PAGE: &str = include_str!("page.html");

/// The address that editors connect to.
fn endpoint(base: &str) -> String {
    base.replacen("http", "ws", 1)
}

/// The link that opens an editor on this runtime, which has that id.
pub fn live_url(ide: &str, base: &str, id: Uuid) -> String {
    let address = utf8_percent_encode(&endpoint(base), NON_ALPHANUMERIC).to_string();
    format!("{}/#runtime/endpoint?protocol=websocket&type=imgflo&id={id}&address={address}", ide.trim_end_matches('/'))
}

pub(crate) fn get(workspace: &Arc<Workspace>, headers: &HeaderMap, bound: SocketAddr) -> Response {
    let base = base(workspace, headers, bound);
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    let page = PAGE
        .replace("{{label}}", &escape(&workspace.parts.label))
        .replace("{{endpoint}}", &escape(&endpoint(&base)))
        .replace("{{live}}", &escape(&live_url(&workspace.parts.ide, &base, workspace.parts.id)));
    let mut response = Html(page).into_response();
    let policy = "default-src 'none'; img-src 'self' blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src *";
    response.headers_mut().insert("content-security-policy", http::HeaderValue::from_static(policy));
    response
}
