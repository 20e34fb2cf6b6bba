//! `/cache/<key>`: stored results. The key tells how they may be kept.

use std::time::{Duration, SystemTime};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use imgflo_cache::{CacheError, Stored};
use imgflo_job::key::{self, Keeping, is_key};
use imgflo_job::{Category, JobError};

use crate::front::SharedFront;
use crate::pieces::{self, Room};
use crate::respond::{self, Problem};
use crate::sniff;

/// A store that does not answer in this time counts as down.
pub(crate) const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// `GET` and `HEAD /cache/<key>`.
pub(crate) async fn get(
    State(front): State<SharedFront>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // Not decoded: a key holds nothing that needs an escape.
    let key = uri.path().strip_prefix("/cache/").unwrap_or_default();
    if !is_key(key) {
        return Err(missing(key).into());
    }
    if let Some(stored) = open(&front, key).await? {
        return answer(key, stored, &method, &headers, front.room()).await;
    }
    // Who ordered it was told the key that it has where its origin lets everybody keep it.
    if let Some(key) = key::private(key)
        && let Some(stored) = open(&front, &key).await?
    {
        return answer(&key, stored, &method, &headers, front.room()).await;
    }
    Err(missing(key).into())
}

async fn open(front: &SharedFront, key: &str) -> Result<Option<Stored>, JobError> {
    match tokio::time::timeout(STORE_TIMEOUT, front.store().open(key)).await {
        Ok(Ok(stored)) => Ok(stored),
        Ok(Err(CacheError::BadKey(_))) => Ok(None),
        Ok(Err(error)) => Err(JobError::new(Category::Unavailable, error.to_string())),
        Err(_) => Err(JobError::new(Category::Unavailable, "the store does not answer")),
    }
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
    Bytes(u64, u64),
    /// Nothing of what there is.
    Outside,
}

/// Reads a `Range` of one part; several parts are answered whole, which RFC 9110 allows.
fn part(range: &str, length: u64) -> Part {
    let Some(spec) = range.trim().strip_prefix("bytes=") else { return Part::Whole };
    let Some((first, last)) = spec.trim().split_once('-') else { return Part::Whole };
    if spec.contains(',') {
        return Part::Whole;
    }
    match (first.trim(), last.trim()) {
        ("", suffix) => match suffix.parse::<u64>() {
            Ok(0) => Part::Outside,
            Ok(count) if length > 0 => Part::Bytes(length.saturating_sub(count), length - 1),
            Ok(_) => Part::Outside,
            Err(_) => Part::Whole,
        },
        (first, last) => match (first.parse::<u64>(), last.parse::<u64>()) {
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

/// The entity tag of a result: its key, if that names all that the result was made of, else the hash of its bytes.
async fn tag(key: &str, stored: &Stored) -> Result<String, CacheError> {
    match Keeping::of(key) {
        Keeping::Forever => Ok(format!("\"{key}\"")),
        Keeping::Checked | Keeping::Private => Ok(format!("\"{}\"", hex::encode(&stored.digest().await?[..16]))),
    }
}

/// True when a condition of the request forbids to answer it (RFC 9110, 13.2.2): its tags are others, or the result is
/// newer than its date.
fn is_precluded(asked: &HeaderMap, etag: &str, stored_at: SystemTime) -> bool {
    match (asked.get(IF_MATCH), asked.get(IF_UNMODIFIED_SINCE)) {
        (Some(_), _) => !asked.get_all(IF_MATCH).iter().any(|tags| matches_strongly(tags, etag)),
        (None, Some(date)) => is_date(date) && !not_modified_since(date, stored_at),
        (None, None) => false,
    }
}

fn is_date(header: &HeaderValue) -> bool {
    header.to_str().is_ok_and(|text| httpdate::parse_http_date(text).is_ok())
}

/// True when one of the tags of an `If-Match` is ours; weak ones never are.
fn matches_strongly(header: &HeaderValue, etag: &str) -> bool {
    header.to_str().is_ok_and(|tags| tags.split(',').map(str::trim).any(|tag| tag == "*" || tag == etag))
}

/// True when the client's copy is as new as ours, by date; only whole seconds count.
fn not_modified_since(header: &HeaderValue, stored_at: SystemTime) -> bool {
    let Some(since) = header.to_str().ok().and_then(|text| httpdate::parse_http_date(text).ok()) else { return false };
    let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |age| age.as_secs());
    seconds(stored_at) <= seconds(since)
}

async fn answer(
    key: &str,
    stored: Stored,
    method: &Method,
    asked: &HeaderMap,
    room: &Room,
) -> Result<Response, Problem> {
    let failed = |error: CacheError| JobError::new(Category::Unavailable, error.to_string());
    let etag = tag(key, &stored).await.map_err(failed)?;
    let stored_at = stored.stored_at();
    // The content is the better witness: a `noop` result keeps whatever its input was.
    let media_type = sniff::by_content(stored.head()).or_else(|| sniff::by_name(key));
    if is_precluded(asked, &etag, stored_at) {
        return Ok(respond::no_match());
    }
    let unchanged = match (asked.get(IF_NONE_MATCH), asked.get(IF_MODIFIED_SINCE)) {
        // RFC 9110: the date is ignored when tags are given.
        (Some(tags), _) => matches_tag(tags, &etag),
        (None, Some(date)) => not_modified_since(date, stored_at),
        (None, None) => false,
    };
    let mut response = if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        // A range is one of GET only.
        match asked.get(RANGE).filter(|_| method == Method::GET).and_then(|range| range.to_str().ok()) {
            Some(range) if same_representation(asked, &etag) => {
                let part = part(range, stored.length());
                in_part(stored, part, room)
            }
            _ => in_part(stored, Part::Whole, room),
        }
    };
    if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
        return Ok(response);
    }
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(Keeping::of(key).cache_control()));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(ETAG, etag);
    }
    if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(stored_at)) {
        headers.insert(LAST_MODIFIED, date);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type.unwrap_or("application/octet-stream")));
    Ok(response)
}

/// False when the client wants a part only of another version than ours (`If-Range`).
fn same_representation(asked: &HeaderMap, etag: &str) -> bool {
    asked.get(IF_RANGE).is_none_or(|value| value.as_bytes() == etag.as_bytes())
}

fn in_part(stored: Stored, part: Part, room: &Room) -> Response {
    let length = stored.length();
    match part {
        Part::Whole => pieces::of_stored(stored, 0, length, room).into_response(),
        Part::Outside => respond::no_range(length),
        Part::Bytes(first, last) => {
            let body = pieces::of_stored(stored, first, last - first + 1, room);
            let mut response = (StatusCode::PARTIAL_CONTENT, body).into_response();
            if let Ok(value) = HeaderValue::from_str(&format!("bytes {first}-{last}/{length}")) {
                response.headers_mut().insert(CONTENT_RANGE, value);
            }
            response
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use imgflo_cache::Blob;

    use super::*;

    fn answer(key: &str, blob: &Blob, method: &Method, asked: &HeaderMap) -> Response {
        let room = Room::default();
        let answer = super::answer(key, blob.clone().into(), method, asked, &room);
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(answer).unwrap()
    }

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
            answer("0b", &blob(), &Method::GET, &headers).status()
        };
        assert_eq!(status(&date), StatusCode::NOT_MODIFIED);
        assert_eq!(status(&earlier), StatusCode::OK);
        assert_eq!(status("yesterday"), StatusCode::OK);
    }

    #[test]
    fn the_content_decides_the_type() {
        assert_eq!(answer("0b.png", &blob(), &Method::GET, &HeaderMap::new()).headers()[CONTENT_TYPE], "image/gif");
        let other = Blob { bytes: Bytes::from_static(b"<script>"), ..blob() };
        assert_eq!(
            answer("0b", &other, &Method::GET, &HeaderMap::new()).headers()[CONTENT_TYPE],
            "application/octet-stream"
        );
        assert_eq!(answer("0b.png", &other, &Method::GET, &HeaderMap::new()).headers()[CONTENT_TYPE], "image/png");
    }

    #[test]
    fn a_part_of_another_version_is_not_given() {
        let mut headers = asked(RANGE, "bytes=0-2");
        assert_eq!(answer("0b", &blob(), &Method::GET, &headers).status(), StatusCode::PARTIAL_CONTENT);
        headers.insert(IF_RANGE, HeaderValue::from_static("\"other\""));
        assert_eq!(answer("0b", &blob(), &Method::GET, &headers).status(), StatusCode::OK);
        headers.insert(IF_RANGE, HeaderValue::from_static("\"0b\""));
        let response = answer("0b", &blob(), &Method::GET, &headers);
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(response.headers()[CONTENT_RANGE], "bytes 0-2/11");
    }

    #[test]
    fn a_range_outside_is_416_and_not_kept() {
        let response = answer("0b", &blob(), &Method::GET, &asked(RANGE, "bytes=50-"));
        assert_eq!(response.status(), StatusCode::RANGE_NOT_SATISFIABLE);
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(response.headers()[CONTENT_RANGE], "bytes */11");
    }

    #[test]
    fn what_can_be_stored_twice_has_the_tag_of_its_bytes() {
        let other = Blob { bytes: Bytes::from_static(b"GIF89a REST"), ..blob() };
        let header = |key: &str, blob: &Blob, name| {
            answer(key, blob, &Method::GET, &HeaderMap::new()).headers()[name].to_str().unwrap().to_owned()
        };
        for key in ["8b", "cb"] {
            assert_ne!(header(key, &blob(), ETAG), header(key, &other, ETAG), "{key}");
            assert!(!header(key, &blob(), CACHE_CONTROL).contains("immutable"), "{key}");
            let old = HeaderValue::from_str(&header(key, &blob(), ETAG)).unwrap();
            let mut headers = HeaderMap::from_iter([(IF_NONE_MATCH, old.clone())]);
            assert_eq!(answer(key, &blob(), &Method::GET, &headers).status(), StatusCode::NOT_MODIFIED);
            assert_eq!(answer(key, &other, &Method::GET, &headers).status(), StatusCode::OK);
            headers = asked(RANGE, "bytes=3-");
            headers.insert(IF_RANGE, old);
            assert_eq!(answer(key, &blob(), &Method::GET, &headers).status(), StatusCode::PARTIAL_CONTENT);
            assert_eq!(answer(key, &other, &Method::GET, &headers).status(), StatusCode::OK);
        }
        assert_eq!(header("0b", &blob(), ETAG), "\"0b\"");
        assert!(header("0b", &blob(), CACHE_CONTROL).contains("immutable"));
        assert!(header("cb", &blob(), CACHE_CONTROL).starts_with("private"));
    }

    #[test]
    fn head_ignores_ranges() {
        let response = answer("0b", &blob(), &Method::HEAD, &asked(RANGE, "bytes=0-2"));
        assert_eq!(response.status(), StatusCode::OK);
        assert!(!response.headers().contains_key(CONTENT_RANGE));
        assert_eq!(answer("0b", &blob(), &Method::HEAD, &asked(RANGE, "bytes=50-")).status(), StatusCode::OK);
    }

    #[test]
    fn conditions_come_before_ranges_and_copies() {
        let status = |headers: &HeaderMap| answer("0b", &blob(), &Method::GET, headers).status();
        for (tags, ok) in
            [("\"0b\"", true), ("\"x\", \"0b\"", true), ("*", true), ("\"x\"", false), ("W/\"0b\"", false)]
        {
            let expected = if ok { StatusCode::OK } else { StatusCode::PRECONDITION_FAILED };
            assert_eq!(status(&asked(IF_MATCH, tags)), expected, "{tags}");
        }
        let mut both = asked(IF_MATCH, "\"x\"");
        both.insert(IF_NONE_MATCH, HeaderValue::from_static("\"0b\""));
        both.insert(RANGE, HeaderValue::from_static("bytes=0-2"));
        assert_eq!(status(&both), StatusCode::PRECONDITION_FAILED);
        let response = answer("0b", &blob(), &Method::GET, &both);
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        for (seconds, ok) in [(1_000_000, true), (999_999, false)] {
            let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
            let headers = HeaderMap::from_iter([(IF_UNMODIFIED_SINCE, HeaderValue::from_str(&date).unwrap())]);
            let expected = if ok { StatusCode::OK } else { StatusCode::PRECONDITION_FAILED };
            assert_eq!(status(&headers), expected, "{date}");
        }
        assert_eq!(status(&asked(IF_UNMODIFIED_SINCE, "yesterday")), StatusCode::OK);
    }
}
