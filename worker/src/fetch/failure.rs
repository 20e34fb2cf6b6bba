//! What went wrong on the way to an origin, in words for the client.

use std::error::Error;
use std::io;
use std::time::Duration;

use imgflo_job::{Category, JobError, Overrun};
use url::Url;

use super::guard::Refusal;
use super::resolve::ResolveError;

/// Detail of an error: the status that the origin answered with.
pub(super) const STATUS: &str = "origin_status";
/// Detail of an error: after how many seconds the origin wants to be asked again.
pub(super) const RETRY_AFTER: &str = "retry_after";
/// Most lines of the head of an answer.
pub(super) const MAX_HEADERS: usize = 1000;

/// A text of a stranger's, cut to a readable length.
pub(super) fn short(text: &str) -> String {
    const LONGEST: usize = 100;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// An origin as messages name it: `https://host:port/path`, without credentials and query.
pub(super) fn site(url: &Url) -> String {
    let mut url = url.clone();
    // Only URLs without a host refuse these, and they have no credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    short(url.as_str())
}

/// The origin took too long.
pub(super) fn late(site: &str, what: &str, limit: Duration, setting: &str) -> JobError {
    let message = format!("{site} {what} within {} s ({setting})", limit.as_secs_f64());
    JobError::new(Category::OriginTimeout, message)
}

/// The origin sends too slowly.
pub(super) fn slow(site: &str, bytes_per_second: u64) -> JobError {
    let message = format!("{site} sends more slowly than {} KiB/s", bytes_per_second / 1024);
    JobError::new(Category::OriginTimeout, message)
}

/// The host has as many fetches under way as it may have.
pub(super) fn no_place(host: &str, limit: u64) -> JobError {
    let setting = "IMGFLO_MAX_FETCHES".to_owned();
    let host = short(host);
    let message = format!("inputs from {host} take as many fetches as are left to others, of {limit} ({setting})");
    let overrun = Overrun { what: format!("fetches, with those from {host}"), value: limit, limit, setting };
    JobError { overrun: Some(Box::new(overrun)), ..JobError::new(Category::Overloaded, message) }
}

/// Memory for the input did not become free in time.
pub(super) fn no_memory(site: &str, limit: u64) -> JobError {
    let setting = "IMGFLO_MAX_FETCH_BYTES".to_owned();
    let message = format!("no memory for {site}: inputs that are fetched or used take {limit} bytes ({setting})");
    let overrun = Overrun { what: "bytes of inputs that are fetched or used".into(), value: limit, limit, setting };
    JobError { overrun: Some(Box::new(overrun)), ..JobError::new(Category::Overloaded, message) }
}

/// The origin packed the body in a way that cannot be undone.
pub(super) fn unknown_coding(site: &str, coding: &str) -> JobError {
    let message =
        format!("{site} answered with content encoding '{coding}', and its body is no picture; gzip can be unpacked");
    JobError::new(Category::OriginFailed, message)
}

/// The origin redirects too often.
pub(super) fn over_redirects(site: &str, limit: u64) -> JobError {
    let setting = "IMGFLO_MAX_REDIRECTS".to_owned();
    let message = format!("more than {limit} redirects ({setting}), the last to {site}");
    let overrun = Overrun { what: "redirects".into(), value: limit + 1, limit, setting };
    JobError { overrun: Some(Box::new(overrun)), ..JobError::new(Category::OriginFailed, message) }
}

/// A failed request or a broken body.
pub(super) fn of(error: &reqwest::Error, site: &str, connect_timeout: Duration) -> JobError {
    match cause::<ResolveError>(error) {
        Some(ResolveError::Refused(Refusal { rule, .. })) => {
            // The address itself stays unsaid: it tells of a network that the client may not see.
            let setting = super::guard::SETTING;
            let message = format!(
                "input: the host of {site} resolves to {rule}; inputs are fetched from public addresses and from the \
                 ranges in {setting}"
            );
            return JobError::new(Category::Forbidden, message);
        }
        Some(ResolveError::Unknown(why)) => {
            return JobError::new(Category::OriginFailed, format!("the host of {site} was not found: {why}"));
        }
        None => {}
    }
    if error.is_timeout() {
        return late(site, "could not be connected to", connect_timeout, "IMGFLO_CONNECT_TIMEOUT");
    }
    let ended = cause::<io::Error>(error).is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof);
    let what = if error.is_connect() {
        "could not be connected to"
    } else if error.is_body() || (error.is_decode() && ended) {
        "broke off in the middle of the body"
    } else if error.is_decode() {
        "sent a body that cannot be read"
    } else {
        "did not answer with HTTP"
    };
    let http = cause::<hyper::Error>(error).filter(|error| error.is_parse());
    if http.is_some_and(hyper::Error::is_parse_too_large) {
        let message = format!("{site} answered with a head that is too long: {MAX_HEADERS} lines and 400 KiB are read");
        return JobError::new(Category::OriginFailed, message);
    }
    let why = cause::<rustls::Error>(error)
        .map(ToString::to_string)
        .or_else(|| http.map(ToString::to_string))
        .or_else(|| cause::<io::Error>(error).map(|error| error.kind().to_string()));
    let message = match why {
        Some(why) => format!("{site} {what}: {why}"),
        None => format!("{site} {what}"),
    };
    JobError::new(Category::OriginFailed, message)
}

/// True when the connection was closed before the answer began.
pub(super) fn is_closed(error: &reqwest::Error) -> bool {
    if error.is_timeout() || error.is_connect() {
        return false;
    }
    let http = cause::<hyper::Error>(error);
    let closed = http.is_some_and(|error| error.is_incomplete_message() || error.is_canceled() || error.is_closed());
    closed
        || cause::<io::Error>(error).is_some_and(|error| {
            use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
            matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
        })
}

/// The first error of type `E` behind `error`; io errors are looked into.
fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // An io error's source is the source of the error inside it, which would be skipped.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
