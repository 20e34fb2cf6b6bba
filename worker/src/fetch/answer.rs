//! The head of an origin's answer: whether it is a picture that may be taken, how it is coded, and who may keep it.

use std::time::{Duration, SystemTime};

use imgflo_job::{Category, JobError};
use reqwest::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, HeaderMap, HeaderName, RETRY_AFTER};
use reqwest::{Response, StatusCode};

use super::failure::{self, short};

/// Longest time that is handed on of a `Retry-After`.
const LONGEST_RETRY: Duration = Duration::from_secs(24 * 3600);

/// How a body is coded, by its head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Coding {
    /// True if it is to be unpacked.
    pub gzip: bool,
    /// The header, if it names a coding that is not known.
    pub unknown: Option<String>,
}

/// Refuses an answer without a whole body.
///
/// # Errors
/// [`Category::NotFound`] for 404 and 410, [`Category::OriginBusy`] for 429 and 503, else [`Category::OriginFailed`].
pub(super) fn check(response: &Response, site: &str) -> Result<(), JobError> {
    let (status, headers) = (response.status(), response.headers());
    let category = match status {
        StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION => return Ok(()),
        StatusCode::PARTIAL_CONTENT if is_whole(headers) => return Ok(()),
        StatusCode::NOT_FOUND | StatusCode::GONE => Category::NotFound,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Category::OriginBusy,
        _ => Category::OriginFailed,
    };
    let why = match status {
        StatusCode::PARTIAL_CONTENT => ", but with a part only",
        status if status.is_success() => "; only 200 OK counts",
        _ => "",
    };
    let message = format!("input: {site} answered with status {status}{why}");
    let error = JobError::new(category, message).with("origin_status", status.as_u16());
    Err(match retry_after(headers, SystemTime::now()).filter(|_| category == Category::OriginBusy) {
        Some(wait) => error.with(failure::RETRY_AFTER, wait.as_secs()),
        None => error,
    })
}

/// True for the range of a 206 that is all there is.
fn is_whole(headers: &HeaderMap) -> bool {
    let range = headers.get(CONTENT_RANGE).and_then(|range| range.to_str().ok()).unwrap_or_default();
    let whole = || {
        let (range, total) = range.trim().strip_prefix("bytes")?.trim().split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let number = |text: &str| text.trim().parse::<u64>().ok();
        Some(number(first)? == 0 && number(last)?.checked_add(1)? == number(total)?)
    };
    whole().unwrap_or(false)
}

/// Time to wait before asking again: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(wait.min(LONGEST_RETRY))
}

/// The comma-separated parts of a header, in lower case.
fn parts(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = String> + '_ {
    let values = headers.get_all(name).into_iter();
    values.flat_map(|value| {
        let text = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect::<Vec<_>>()
    })
}

/// How the body is coded. Stores write there what is none: `aws-chunked`, `utf-8`, nothing at all.
pub(super) fn coding(headers: &HeaderMap) -> Coding {
    let mut coding = Coding::default();
    let mut strange = false;
    for part in parts(headers, CONTENT_ENCODING) {
        match part.as_str() {
            "identity" => {}
            "gzip" | "x-gzip" if !coding.gzip => coding.gzip = true,
            _ => strange = true,
        }
    }
    if strange {
        let all: Vec<String> = parts(headers, CONTENT_ENCODING).collect();
        coding.unknown = Some(short(&all.join(", ")));
    }
    coding
}

/// True if only the client may keep the answer: `no-store` or `private`, also of some fields only.
pub(super) fn is_private(headers: &HeaderMap) -> bool {
    parts(headers, CACHE_CONTROL).any(|part| {
        let name = part.split('=').next().unwrap_or_default().trim();
        matches!(name, "no-store" | "private")
    })
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn codings_are_case_insensitive_and_some_are_none() {
        let of = |values: &[&str]| coding(&headers(&CONTENT_ENCODING, values));
        for none in ["", " ", "identity", "Identity, identity"] {
            assert_eq!(of(&[none]), Coding::default(), "{none}");
        }
        for gzip in ["gzip", "GZIP", "x-gzip", " X-GZip ,"] {
            assert_eq!(of(&[gzip]), Coding { gzip: true, unknown: None }, "{gzip}");
        }
        for unknown in ["aws-chunked", "none", "utf-8", "br"] {
            assert_eq!(of(&[unknown]), Coding { gzip: false, unknown: Some(unknown.into()) }, "{unknown}");
        }
        assert_eq!(of(&["aws-chunked", "gzip"]), Coding { gzip: true, unknown: Some("aws-chunked, gzip".into()) });
        assert_eq!(of(&["gzip, gzip"]), Coding { gzip: true, unknown: Some("gzip, gzip".into()) });
    }

    #[test]
    fn who_may_keep_an_answer() {
        for private in ["no-store", "PRIVATE", "max-age=60, private", "private=\"set-cookie\"", "no-store,max-age=1"] {
            assert!(is_private(&headers(&CACHE_CONTROL, &[private])), "{private}");
        }
        assert!(is_private(&headers(&CACHE_CONTROL, &["max-age=1", "no-store"])));
        for public in ["", "public", "no-cache", "max-age=60, must-revalidate", "x-private, no-storey"] {
            assert!(!is_private(&headers(&CACHE_CONTROL, &[public])), "{public}");
        }
    }

    #[test]
    fn ranges_that_are_all_there_is() {
        for (range, whole) in [
            ("bytes 0-9/10", true),
            (" bytes 0 - 9 / 10 ", true),
            ("bytes 0-8/10", false),
            ("bytes 1-9/10", false),
            ("bytes 0-9/*", false),
            ("bytes */10", false),
            ("lines 0-9/10", false),
            ("bytes 0-18446744073709551615/18446744073709551615", false),
            ("", false),
        ] {
            assert_eq!(is_whole(&headers(&CONTENT_RANGE, &[range])), whole, "{range}");
        }
        assert!(!is_whole(&HeaderMap::new()));
    }

    #[test]
    fn times_to_ask_again() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let after = |text: &str| retry_after(&headers(&RETRY_AFTER, &[text]), now).map(|wait| wait.as_secs());
        assert_eq!(after("7"), Some(7));
        assert_eq!(after(" 0 "), Some(0));
        assert_eq!(after(&httpdate::fmt_http_date(now + Duration::from_secs(90))), Some(90));
        assert_eq!(after(&httpdate::fmt_http_date(now - Duration::from_secs(90))), Some(0));
        assert_eq!(after("18446744073709551615"), Some(24 * 3600));
        for wrong in ["", "soon", "-1", "1.5"] {
            assert_eq!(after(wrong), None, "{wrong}");
        }
    }
}
