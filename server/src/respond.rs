//! Failures as HTTP: the only file that chooses statuses for errors.
//!
//! Every body is a problem detail of RFC 9457 (`application/problem+json`) with the members
//! `type`, `title`, `status`, `detail`, `category`, `retry`; where they apply also `node` (the
//! process of the graph), `overrun` (`what`, `value`, `limit`, `setting`) and members of the
//! failure's own: `faults`, `parameters`, `supported`, `nearest`.
//!
//! No error may be kept by a cache. A failure that is ours is told with a fixed text; its cause goes
//! to the log.

use std::any::Any;
use std::fmt::Write as _;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use imgflo_job::{Category, Fault, JobError};
use serde_json::{Map, Value, json};

/// Seconds after which asking again makes sense, for failures that pass by themselves.
const RETRY_AFTER_SECONDS: u64 = 5;
/// The same for a quota that is used up.
const QUOTA_RETRY_AFTER_SECONDS: u64 = 60;

/// A failure on its way to the client.
#[derive(Debug)]
pub(crate) struct Problem(Box<JobError>);

impl From<JobError> for Problem {
    fn from(error: JobError) -> Self {
        Problem(Box::new(error))
    }
}

impl Problem {
    /// True when there is no use in asking for this again soon, but perhaps for another type.
    pub(crate) fn is_about_type(&self) -> bool {
        self.0.is_too_large_for_avif() || self.0.category == Category::GivenUp
    }
}

/// What went wrong, kept with a response for the log.
#[derive(Clone, Debug)]
pub(crate) struct Cause(pub(crate) String);

/// The status of a category.
pub(crate) fn status(category: Category) -> StatusCode {
    match category {
        Category::Malformed => StatusCode::BAD_REQUEST,
        Category::Forbidden => StatusCode::FORBIDDEN,
        Category::NotFound => StatusCode::NOT_FOUND,
        Category::UnsupportedType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Category::InvalidParameter | Category::TooLarge | Category::BrokenInput | Category::GivenUp => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        Category::QuotaExceeded => StatusCode::TOO_MANY_REQUESTS,
        Category::OriginFailed => StatusCode::BAD_GATEWAY,
        Category::OriginTimeout | Category::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Category::OriginBusy | Category::Overloaded | Category::Unavailable | Category::Cancelled => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Category::OperationFailed | Category::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What the client reads. Failures of ours have one text each.
fn detail(error: &JobError) -> &str {
    match error.category {
        Category::DeadlineExceeded => {
            "The image was not ready in time. Work on it may go on: ask again in a few seconds."
        }
        Category::Overloaded => "Too many images are being made at the moment. Ask again in a few seconds.",
        Category::Unavailable => "A part of this service is not reachable at the moment. Ask again in a few seconds.",
        Category::Cancelled => "The request was cancelled before it was done. Ask again.",
        Category::Internal => "Something failed on our side. It is in our log, under the request id.",
        _ => &error.message,
    }
}

fn retry_after(error: &JobError) -> Option<u64> {
    match error.category {
        Category::Overloaded | Category::Unavailable | Category::Cancelled | Category::DeadlineExceeded => {
            Some(RETRY_AFTER_SECONDS)
        }
        // The origin may have said so.
        Category::OriginBusy => error.details.get("retry_after").and_then(Value::as_u64).or(Some(RETRY_AFTER_SECONDS)),
        // Who refused knows when the next day begins.
        Category::QuotaExceeded => {
            error.details.get("retry_after").and_then(Value::as_u64).or(Some(QUOTA_RETRY_AFTER_SECONDS))
        }
        _ => None,
    }
}

/// The category as it is spelled in messages: `invalid-parameter`.
fn spelled(category: Category) -> Value {
    serde_json::to_value(category).unwrap_or(Value::Null)
}

fn tells_overrun(category: Category) -> bool {
    category.fault() != Fault::Us || category == Category::Overloaded
}

fn body(error: &JobError) -> Value {
    let category = spelled(error.category);
    let mut members = Map::new();
    members.insert("type".into(), format!("urn:imgflo:problem:{}", category.as_str().unwrap_or_default()).into());
    members.insert("title".into(), error.category.title().into());
    members.insert("status".into(), status(error.category).as_u16().into());
    members.insert("detail".into(), detail(error).into());
    members.insert("category".into(), category);
    members.insert("retry".into(), error.category.retry().into());
    if error.category == Category::Internal {
        return Value::Object(members);
    }
    if let Some(node) = &error.node {
        members.insert("node".into(), node.as_str().into());
    }
    // What is full, and which setting moves that, may be known.
    if let Some(overrun) = error.overrun.as_ref().filter(|_| tells_overrun(error.category)) {
        members.insert("overrun".into(), json!(overrun));
    }
    if error.category.fault() == Fault::Us {
        return Value::Object(members);
    }
    for (name, value) in &error.details {
        // The members that RFC 9457 names, and ours, cannot be replaced by a detail.
        members.entry(name.as_str()).or_insert_with(|| value.clone());
    }
    Value::Object(members)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        problem(&self.0)
    }
}

/// The response to a failure.
pub(crate) fn problem(error: &JobError) -> Response {
    let mut response = Response::new(Body::from(body(error).to_string()));
    *response.status_mut() = status(error.category);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(seconds) = retry_after(error) {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response.extensions_mut().insert(Cause(error.to_string()));
    response
}

/// No such page.
pub(crate) fn no_route(path: &str) -> Response {
    problem(&JobError::new(
        Category::NotFound,
        format!("nothing is at '{path}'; images are at /graph/<name>?input=<url>, the list of graphs is at /graphs"),
    ))
}

/// What no compiler makes an operation of, with its messages.
pub(crate) fn not_built(name: &str, messages: Value) -> Response {
    let text = format!("'{name}' is no operation: see the messages");
    problem(&JobError::new(Category::InvalidParameter, text).with("messages", messages))
}

/// The address exists, but not for this method. `allow`: the methods that it has.
pub(crate) fn no_method(allow: &'static str) -> Response {
    let error = JobError::new(Category::Malformed, format!("this address answers {allow} only"));
    let mut response = problem(&error);
    let mut members = body(&error);
    members["status"] = StatusCode::METHOD_NOT_ALLOWED.as_u16().into();
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    *response.body_mut() = Body::from(members.to_string());
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// No part of the stored bytes is in the asked range. `length`: bytes that there are.
pub(crate) fn no_range(length: u64) -> Response {
    let mut response = problem(&JobError::new(Category::Malformed, format!("the range is outside of {length} bytes")));
    *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
    *response.body_mut() = Body::empty();
    if let Ok(value) = HeaderValue::from_str(&format!("bytes */{length}")) {
        response.headers_mut().insert(http::header::CONTENT_RANGE, value);
    }
    response.headers_mut().remove(CONTENT_TYPE);
    response
}

/// A condition of the request does not hold (`If-Match`, `If-Unmodified-Since`).
pub(crate) fn no_match() -> Response {
    let error =
        JobError::new(Category::Malformed, "what is here is another version than the request's condition names");
    let mut response = problem(&error);
    let mut members = body(&error);
    members["status"] = StatusCode::PRECONDITION_FAILED.as_u16().into();
    *response.status_mut() = StatusCode::PRECONDITION_FAILED;
    *response.body_mut() = Body::from(members.to_string());
    response
}

/// Not ready to take requests: `reasons` are for the operator who looks at `/readyz`.
pub(crate) fn not_ready(report: &Value) -> Response {
    let mut response = problem(&JobError::new(Category::Unavailable, "not ready"));
    *response.body_mut() = Body::from(report.to_string());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A handler panicked. What it said is logged, not told.
pub(crate) fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let said = match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().copied().unwrap_or("no text").to_owned(),
    };
    tracing::error!(panic = %said, "a handler panicked");
    problem(&JobError::new(Category::Internal, format!("panic: {said}")))
}

/// A failure as the bytes of a whole HTTP/1.1 message, after which the connection closes: for what
/// goes wrong before there is a request that a handler could answer.
pub(crate) fn raw(error: &JobError) -> Vec<u8> {
    let status = status(error.category);
    let body = body(error).to_string();
    let mut text = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: application/problem+json\r\ncache-control: no-store\r\n\
         x-content-type-options: nosniff\r\nconnection: close\r\ncontent-length: {}\r\n",
        status.as_str(),
        status.canonical_reason().unwrap_or_default(),
        body.len(),
    );
    if let Some(seconds) = retry_after(error) {
        let _ = write!(text, "retry-after: {seconds}\r\n");
    }
    text.push_str("\r\n");
    text.push_str(&body);
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_category_has_its_status() {
        let expected = [
            (Category::Malformed, 400),
            (Category::Forbidden, 403),
            (Category::NotFound, 404),
            (Category::UnsupportedType, 415),
            (Category::InvalidParameter, 422),
            (Category::TooLarge, 422),
            (Category::BrokenInput, 422),
            (Category::GivenUp, 422),
            (Category::OperationFailed, 500),
            (Category::QuotaExceeded, 429),
            (Category::OriginFailed, 502),
            (Category::OriginBusy, 503),
            (Category::OriginTimeout, 504),
            (Category::DeadlineExceeded, 504),
            (Category::Overloaded, 503),
            (Category::Unavailable, 503),
            (Category::Cancelled, 503),
            (Category::Internal, 500),
        ];
        assert_eq!(expected.len(), Category::ALL.len());
        for (category, code) in expected {
            let error = JobError::new(category, "the text").at("blur");
            let response = problem(&error);
            assert_eq!(response.status().as_u16(), code, "{category:?}");
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store", "{category:?}");
            assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json", "{category:?}");
            assert_eq!(
                response.headers().contains_key(RETRY_AFTER),
                matches!(code, 429 | 503) || category == Category::DeadlineExceeded,
                "{category:?}"
            );
            let body = body(&error);
            assert_eq!(body["status"], code, "{category:?}");
            assert_eq!(body["category"], spelled(category), "{category:?}");
            assert_eq!(body["title"], category.title(), "{category:?}");
        }
    }

    #[test]
    fn our_own_failures_say_nothing_of_our_insides() {
        for category in Category::ALL {
            let error =
                JobError::new(category, "/var/lib/imgflo: core::option::Option 10.1.2.3").with("path", "/var/lib");
            let told = body(&error).to_string();
            let tells = category.fault() != Fault::Us || category == Category::OperationFailed;
            assert_eq!(told.contains("/var/lib"), tells, "{category:?}: {told}");
        }
    }

    #[test]
    fn a_passed_limit_tells_value_limit_and_setting() {
        let body = body(&JobError::over("input pixels", 105_000_000, 50_000_000, "IMGFLO_MAX_INPUT_PIXELS"));
        assert_eq!(body["overrun"]["value"], 105_000_000);
        assert_eq!(body["overrun"]["limit"], 50_000_000);
        assert_eq!(body["overrun"]["setting"], "IMGFLO_MAX_INPUT_PIXELS");
        assert!(body["detail"].as_str().unwrap().contains("IMGFLO_MAX_INPUT_PIXELS"));
    }

    #[test]
    fn details_do_not_replace_the_named_members() {
        let body = body(&JobError::new(Category::NotFound, "no").with("status", 200).with("nearest", json!(["crop"])));
        assert_eq!(body["status"], 404);
        assert_eq!(body["nearest"], json!(["crop"]));
    }

    #[test]
    fn a_raw_message_is_whole() {
        let text = String::from_utf8(raw(&JobError::new(Category::Overloaded, "secret"))).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
        assert!(head.contains(&format!("content-length: {}", body.len())));
        assert!(head.contains("retry-after: 5"));
        assert_eq!(serde_json::from_str::<Value>(body).unwrap()["status"], 503);
    }
}
