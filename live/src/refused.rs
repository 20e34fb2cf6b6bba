//! Why there is no picture, and the status that says so.

use axum::body::Body;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use imgflo_runtime::EvaluateError;
use serde_json::json;

/// Why there is no picture.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    /// The status of the answer.
    pub status: StatusCode,
    /// The process it happened in.
    pub node: Option<String>,
    /// What was wrong, and what would be right.
    pub message: String,
}

/// A request that is refused for no process in particular.
pub(crate) fn refused(status: StatusCode, message: impl Into<String>) -> Refused {
    Refused { status, node: None, message: message.into() }
}

/// The problem document of a refusal.
pub(crate) fn problem(error: &Refused) -> Response {
    let mut body = json!({ "title": error.status.canonical_reason().unwrap_or_default(), "status": error.status.as_u16(),
        "detail": error.message });
    if let Some(node) = &error.node {
        body["node"] = node.as_str().into();
    }
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = error.status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A fault of ours, which goes to the log.
pub(crate) fn internal(message: &str) -> Refused {
    tracing::error!(message, "a picture failed");
    refused(StatusCode::INTERNAL_SERVER_ERROR, "the picture could not be made")
}

/// Why an evaluation brought no picture.
pub(crate) fn failed(error: &EvaluateError) -> Refused {
    use imgflo_runtime::{PlanError, RenderErrorKind};
    let status = match error {
        EvaluateError::Plan(PlanError::Internal { .. }) => return internal(&error.to_string()),
        EvaluateError::Render(render) => match render.kind {
            RenderErrorKind::Internal(_) | RenderErrorKind::Input { .. } => return internal(&error.to_string()),
            RenderErrorKind::OutOfMemory { .. } | RenderErrorKind::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
            RenderErrorKind::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            RenderErrorKind::Invalid(_) | RenderErrorKind::Failed(_) => StatusCode::UNPROCESSABLE_ENTITY,
        },
        EvaluateError::Input(_) | EvaluateError::Plan(_) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Refused { status, node: error.node().map(str::to_owned), message: error.to_string() }
}
