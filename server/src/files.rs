//! `/files/...`: the pictures that come with this deployment.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, IF_MATCH, RANGE};
use http::{HeaderValue, Method, StatusCode, Uri};
use imgflo_job::{Category, JobError, served};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tower::ServiceExt;
use tower_http::services::ServeDir;

use crate::front::SharedFront;
use crate::pieces;
use crate::respond::{self, Problem};

/// Files may be replaced: kept for some minutes, then asked about by date.
const KEEP: &str = "public, max-age=300";
/// A file cannot act: not even an HTML or SVG one runs scripts in our name.
const HARMLESS: &str = "default-src 'none'; sandbox";

/// What a path keeps as it is.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// A file's name as a URL has it.
pub(crate) fn encoded(name: &str) -> String {
    utf8_percent_encode(name, PATH).to_string()
}

/// `GET` and `HEAD /files/...`, with ranges and dates.
pub(crate) async fn get(State(front): State<SharedFront>, request: Request) -> Result<Response, Problem> {
    let path = request.uri().path().strip_prefix("/files/").unwrap_or_default();
    let missing = missing(path);
    let Some(file) = decoded(path) else { return Err(missing.into()) };
    let folder = front.files().to_owned();
    // A folder that cannot be read serves nothing; /readyz tells.
    let is_served = move || served::find(&folder, &file).is_ok_and(|found| found.is_some());
    if !tokio::task::spawn_blocking(is_served).await.unwrap_or(false) {
        return Err(missing.into());
    }
    let inner: Uri = format!("/{path}").parse().map_err(|_| missing.clone())?;
    let (mut parts, _) = request.into_parts();
    parts.uri = inner;
    // A range is one of GET only.
    if parts.method == Method::HEAD {
        parts.headers.remove(RANGE);
    }
    // Files have no tags.
    if parts.headers.get_all(IF_MATCH).iter().any(|tags| tags != "*") {
        return Ok(respond::no_match());
    }
    let folder =
        ServeDir::new(front.files()).append_index_html_on_directories(false).with_buf_chunk_size(pieces::SMALL);
    let response = match folder.oneshot(Request::from_parts(parts, Body::empty())).await {
        Ok(response) => response.map(|body| pieces::one_by_one(Body::new(body), None)),
        Err(never) => match never {},
    };
    match response.status() {
        StatusCode::NOT_FOUND | StatusCode::TEMPORARY_REDIRECT => Err(missing.into()),
        StatusCode::INTERNAL_SERVER_ERROR => {
            Err(JobError::new(Category::Unavailable, "a file could not be read").into())
        }
        _ => {
            let mut response = response;
            let headers = response.headers_mut();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(KEEP));
            headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(HARMLESS));
            Ok(response)
        }
    }
}

/// The path as the file system has it, if it can be one; a slash that is encoded belongs to no name.
fn decoded(path: &str) -> Option<String> {
    let parts =
        path.split('/').map(|part| percent_decode_str(part).decode_utf8().ok().filter(|part| served::is_name(part)));
    Some(parts.collect::<Option<Vec<_>>>()?.join("/"))
}

fn missing(path: &str) -> JobError {
    let shown: String = path.chars().take(100).collect();
    JobError::new(Category::NotFound, format!("there is no file '{shown}'; the files are listed at /files"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths() {
        for path in ["a.jpg", "sub/a.jpg", "a%20b.jpg", "%C3%B6.png", "a..b"] {
            assert!(decoded(path).is_some(), "{path}");
        }
        for path in [
            "",
            "/",
            "a/",
            "/etc/passwd",
            "../a",
            "a/../b",
            "%2e%2e/a",
            ".%2e/a",
            "..%2fa",
            "%2fetc",
            "a%5c..%5cb",
            "a%00.jpg",
            ".git/config",
            "a/.hidden",
            "%ff",
            "a//b",
            "%0a",
        ] {
            assert!(decoded(path).is_none(), "{path}");
        }
    }

    #[test]
    fn names_become_paths() {
        assert_eq!(encoded("sub/a b?ö.jpg"), "sub/a%20b%3F%C3%B6.jpg");
    }
}
