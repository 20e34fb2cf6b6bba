//! `PUT /ops/<name>`: an operation in C, compiled and put in force while the server runs.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Path, Request, State};
use axum::response::Response;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use imgflo_job::{Category, JobError};
use serde_json::json;
use subtle::ConstantTimeEq;

use crate::front::{LiveCode, SharedFront};
use crate::respond;

/// Whoever knows the secret may.
fn allowed(live: &LiveCode, headers: &HeaderMap) -> bool {
    let given = headers.get(AUTHORIZATION).map_or(&b""[..], HeaderValue::as_bytes);
    let given = given.strip_prefix(b"Bearer ").unwrap_or_default();
    given.ct_eq(live.secret.as_bytes()).into()
}

pub(crate) async fn put(State(front): State<SharedFront>, Path(name): Path<String>, request: Request) -> Response {
    let Some(live) = front.live() else { return respond::no_route(request.uri().path()) };
    if !allowed(live, request.headers()) {
        let text = "operations are written with the header 'Authorization: Bearer <IMGFLO_LIVE_SECRET>'";
        return respond::problem(&JobError::new(Category::Forbidden, text));
    }
    let source = match source(request, front.limits().max_operation_bytes).await {
        Ok(source) => source,
        Err(error) => return respond::problem(&error),
    };
    let (written, shared) = (name.clone(), Arc::clone(&front));
    let work = move || {
        let Some(live) = shared.live() else { return Ok(None) };
        match live.operations.revise(&written, &source) {
            Ok(revised) => shared.reload().map(|()| Some(Ok(revised))).map_err(|error| error.to_string()),
            Err(messages) => Ok(Some(Err(messages))),
        }
    };
    let revised = match tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string()) {
        Ok(Ok(Some(Ok(revised)))) => revised,
        Ok(Ok(Some(Err(messages)))) => return respond::not_built(&name, json!(messages)),
        Ok(Ok(None)) => return respond::no_route("/ops"),
        Ok(Err(error)) | Err(error) => {
            return respond::problem(&JobError::new(Category::Internal, format!("live code: {error}")));
        }
    };
    let faults = front.listing().faults().to_vec();
    let body = json!({
        "component": revised.component,
        "revision": revised.revision,
        "messages": revised.messages,
        "faults": faults,
    });
    let mut response = Response::new(Body::from(body.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The body, as the text that it has to be.
async fn source(request: Request, limit: u64) -> Result<String, JobError> {
    let told = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let bytes = Bytes::from_request(request, &()).await.map_err(|rejection| {
        if rejection.status() == http::StatusCode::PAYLOAD_TOO_LARGE {
            let length = told.unwrap_or_default().max(limit.saturating_add(1));
            return JobError::over("bytes of the source", length, limit, "IMGFLO_MAX_OPERATION_BYTES");
        }
        JobError::new(Category::Malformed, format!("the source did not arrive: {rejection}"))
    })?;
    let text = String::from_utf8(bytes.into());
    text.map_err(|_| JobError::new(Category::Malformed, "the source is no UTF-8 text"))
}
