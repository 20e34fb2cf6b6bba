//! `/cache/<key>`: stored results, which never change.

use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use imgflo_cache::{Blob, CacheError};
use imgflo_job::key::is_key;
use imgflo_job::{Category, JobError};

use crate::front::SharedFront;
use crate::respond::{self, Problem};
use crate::sniff;

/// A key names its content, so whoever has it never needs to ask again.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// A store that does not answer in this time counts as down.
pub(crate) const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// `GET` and `HEAD /cache/<key>`.
pub(crate) async fn get(State(front): State<SharedFront>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    // Not decoded: a key holds nothing that needs an escape.
    let key = uri.path().strip_prefix("/cache/").unwrap_or_default();
    if !is_key(key) {
        return Err(missing(key).into());
    }
    let blob = match tokio::time::timeout(STORE_TIMEOUT, front.store().get(key)).await {
        Ok(Ok(Some(blob))) => blob,
        Ok(Ok(None)) | Ok(Err(CacheError::BadKey(_))) => return Err(missing(key).into()),
        Ok(Err(error)) => return Err(JobError::new(Category::Unavailable, error.to_string()).into()),
        Err(_) => return Err(JobError::new(Category::Unavailable, "the store does not answer").into()),
    };
    Ok(answer(key, &blob, &headers))
}

fn missing(key: &str) -> JobError {
    let shown: String = key.chars().take(100).collect();
    JobError::new(
        Category::NotFound,
        format!("no result is stored under '{shown}'; ask for its /graph URL again to have it made"),
    )
}

/// A range of bytes, first and last included.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    /// All of it: no range was asked for, or one that may be answered with everything.
    Whole,
    /// From, to.
    Bytes(usize, usize),
    /// Nothing of what there is.
    Outside,
}

/// Reads a `Range` of one part; several parts are answered whole, which RFC 9110 allows.
fn part(range: &str, length: usize) -> Part {
    let Some(spec) = range.trim().strip_prefix("bytes=") else { return Part::Whole };
    let Some((first, last)) = spec.trim().split_once('-') else { return Part::Whole };
    if spec.contains(',') {
        return Part::Whole;
    }
    match (first.trim(), last.trim()) {
        ("", suffix) => match suffix.parse::<usize>() {
            Ok(0) => Part::Outside,
            Ok(count) if length > 0 => Part::Bytes(length.saturating_sub(count), length - 1),
            Ok(_) => Part::Outside,
            Err(_) => Part::Whole,
        },
        (first, last) => match (first.parse::<usize>(), last.parse::<usize>()) {
            (Ok(first), _) if first >= length => Part::Outside,
            (Ok(first), Ok(last)) if first <= last => Part::Bytes(first, last.min(length - 1)),
            (Ok(first), Err(_)) if last.is_empty() => Part::Bytes(first, length - 1),
            _ => Part::Whole,
        },
    }
}

/// True when one of the tags of an `If-None-Match` is ours.
pub(crate) fn matches_tag(header: &HeaderValue, etag: &str) -> bool {
    header.to_str().is_ok_and(|tags| {
        tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
    })
}

/// True when the client's copy is as new as ours, by date; only whole seconds count.
fn not_modified_since(header: &HeaderValue, stored_at: SystemTime) -> bool {
    let Some(since) = header.to_str().ok().and_then(|text| httpdate::parse_http_date(text).ok()) else { return false };
    let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |age| age.as_secs());
    seconds(stored_at) <= seconds(since)
}

fn answer(key: &str, blob: &Blob, asked: &HeaderMap) -> Response {
    let etag = format!("\"{key}\"");
    let unchanged = match (asked.get(IF_NONE_MATCH), asked.get(IF_MODIFIED_SINCE)) {
        // RFC 9110: the date is ignored when tags are given.
        (Some(tags), _) => matches_tag(tags, &etag),
        (None, Some(date)) => not_modified_since(date, blob.stored_at),
        (None, None) => false,
    };
    let mut response = if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        match asked.get(RANGE).and_then(|range| range.to_str().ok()) {
            Some(range) if same_representation(asked, &etag) => in_part(&blob.bytes, part(range, blob.bytes.len())),
            _ => Body::from(blob.bytes.clone()).into_response(),
        }
    };
    if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
        return response;
    }
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(FOREVER));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(ETAG, etag);
    }
    if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(blob.stored_at)) {
        headers.insert(LAST_MODIFIED, date);
    }
    // The content is the better witness: a `noop` result keeps whatever its input was.
    let media_type = sniff::by_content(&blob.bytes).or_else(|| sniff::by_name(key));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type.unwrap_or("application/octet-stream")));
    response
}

/// False when the client wants a part only of another version than ours (`If-Range`).
fn same_representation(asked: &HeaderMap, etag: &str) -> bool {
    asked.get(IF_RANGE).is_none_or(|value| value.as_bytes() == etag.as_bytes())
}

fn in_part(bytes: &Bytes, part: Part) -> Response {
    match part {
        Part::Whole => Body::from(bytes.clone()).into_response(),
        Part::Outside => respond::no_range(bytes.len()),
        Part::Bytes(first, last) => {
            let mut response = (StatusCode::PARTIAL_CONTENT, Body::from(bytes.slice(first..=last))).into_response();
            if let Ok(value) = HeaderValue::from_str(&format!("bytes {first}-{last}/{}", bytes.len())) {
                response.headers_mut().insert(CONTENT_RANGE, value);
            }
            response
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(part("bytes=0-9", 100), Part::Bytes(0, 9));
        assert_eq!(part("bytes=90-", 100), Part::Bytes(90, 99));
        assert_eq!(part("bytes=90-1000", 100), Part::Bytes(90, 99));
        assert_eq!(part("bytes=-10", 100), Part::Bytes(90, 99));
        assert_eq!(part("bytes=-1000", 100), Part::Bytes(0, 99));
        assert_eq!(part("bytes=100-", 100), Part::Outside);
        assert_eq!(part("bytes=-0", 100), Part::Outside);
        assert_eq!(part("bytes=0-", 0), Part::Outside);
        assert_eq!(part("bytes=-5", 0), Part::Outside);
        assert_eq!(part("bytes=9-3", 100), Part::Whole);
        assert_eq!(part("bytes=0-1,5-6", 100), Part::Whole);
        assert_eq!(part("lines=0-1", 100), Part::Whole);
        assert_eq!(part("bytes=x-1", 100), Part::Whole);
        assert_eq!(part("bytes=99999999999999999999999-", 100), Part::Whole);
    }

    #[test]
    fn tags() {
        let tag = |text: &'static str| matches_tag(&HeaderValue::from_static(text), "\"ab.png\"");
        assert!(tag("\"ab.png\""));
        assert!(tag("\"x\", W/\"ab.png\""));
        assert!(tag("*"));
        assert!(!tag("\"ab.jpg\""));
        assert!(!tag("ab.png"));
    }

    fn blob() -> Blob {
        Blob {
            bytes: Bytes::from_static(b"GIF89a rest"),
            stored_at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000_500),
        }
    }

    fn asked(name: http::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn dates_count_in_whole_seconds() {
        let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000));
        let earlier = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(999_999));
        let status = |date: &str| {
            let headers = HeaderMap::from_iter([(IF_MODIFIED_SINCE, HeaderValue::from_str(date).unwrap())]);
            answer("ab", &blob(), &headers).status()
        };
        assert_eq!(status(&date), StatusCode::NOT_MODIFIED);
        assert_eq!(status(&earlier), StatusCode::OK);
        assert_eq!(status("yesterday"), StatusCode::OK);
    }

    #[test]
    fn the_content_decides_the_type() {
        assert_eq!(answer("ab.png", &blob(), &HeaderMap::new()).headers()[CONTENT_TYPE], "image/gif");
        let other = Blob { bytes: Bytes::from_static(b"<script>"), ..blob() };
        assert_eq!(answer("ab", &other, &HeaderMap::new()).headers()[CONTENT_TYPE], "application/octet-stream");
        assert_eq!(answer("ab.png", &other, &HeaderMap::new()).headers()[CONTENT_TYPE], "image/png");
    }

    #[test]
    fn a_part_of_another_version_is_not_given() {
        let mut headers = asked(RANGE, "bytes=0-2");
        assert_eq!(answer("ab", &blob(), &headers).status(), StatusCode::PARTIAL_CONTENT);
        headers.insert(IF_RANGE, HeaderValue::from_static("\"other\""));
        assert_eq!(answer("ab", &blob(), &headers).status(), StatusCode::OK);
        headers.insert(IF_RANGE, HeaderValue::from_static("\"ab\""));
        let response = answer("ab", &blob(), &headers);
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(response.headers()[CONTENT_RANGE], "bytes 0-2/11");
    }

    #[test]
    fn a_range_outside_is_416_and_not_kept() {
        let response = answer("ab", &blob(), &asked(RANGE, "bytes=50-"));
        assert_eq!(response.status(), StatusCode::RANGE_NOT_SATISFIABLE);
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(response.headers()[CONTENT_RANGE], "bytes */11");
    }
}
