//! Quotas as clients see them: headers, and refusals.

use http::{HeaderMap, HeaderName, HeaderValue};
use imgflo_apps::{Allowance, Refusal};
use imgflo_job::{Category, JobError};

const LIMIT: HeaderName = HeaderName::from_static("x-quota-limit");
const USED: HeaderName = HeaderName::from_static("x-quota-used");
const REMAINING: HeaderName = HeaderName::from_static("x-quota-remaining");
const RESET: HeaderName = HeaderName::from_static("x-quota-reset");

/// Tells a client what is left of its quota: megapixels, and seconds until the next day.
pub(crate) fn tell(allowance: &Allowance, headers: &mut HeaderMap) {
    for (name, text) in [
        (LIMIT, megapixels(allowance.limit)),
        (USED, megapixels(allowance.used)),
        (REMAINING, megapixels(allowance.remaining)),
        (RESET, seconds(allowance).to_string()),
    ] {
        // Digits and a point fit any header.
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    }
}

/// Why nothing is made for an application any more.
pub(crate) fn refused(refusal: &Refusal) -> JobError {
    let exceeded =
        |message, retry_after: u64| JobError::new(Category::QuotaExceeded, message).with("retry_after", retry_after);
    match refusal {
        Refusal::CachedOnly => JobError::new(
            Category::Forbidden,
            "this application gets cached results only: its quota is 0, and this result is not stored",
        ),
        Refusal::UsedUp(allowance) => exceeded(
            format!(
                "the quota of this application, {} megapixels a day, is used up: it had {} made today; the next day \
                 begins at midnight UTC, in {} s. Results that are stored are served",
                megapixels(allowance.limit),
                megapixels(allowance.used),
                seconds(allowance)
            ),
            seconds(allowance),
        ),
        Refusal::SpokenFor { allowance, retry } => exceeded(
            format!(
                "the images that this application has under way will use its quota up: {} of {} megapixels are left \
                 today. Ask again when they are done",
                megapixels(allowance.remaining),
                megapixels(allowance.limit)
            ),
            retry.as_secs().max(1),
        ),
    }
}

/// Never 0, so that who asks again then is served.
fn seconds(allowance: &Allowance) -> u64 {
    allowance.reset.as_millis().div_ceil(1000) as u64
}

/// Pixels as megapixels, exactly: `2.5`.
fn megapixels(pixels: u64) -> String {
    let (whole, rest) = (pixels / 1_000_000, pixels % 1_000_000);
    let text = format!("{whole}.{rest:06}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ALLOWANCE: Allowance = Allowance {
        limit: 10_000_000,
        used: 2_480_000,
        remaining: 7_520_000,
        reset: Duration::from_millis(41_000_001),
    };

    #[test]
    fn megapixels_are_exact() {
        for (pixels, text) in [(0, "0"), (1, "0.000001"), (2_500_000, "2.5"), (30_000_000, "30"), (100, "0.0001")] {
            assert_eq!(megapixels(pixels), text);
        }
    }

    #[test]
    fn headers() {
        let mut headers = HeaderMap::new();
        tell(&ALLOWANCE, &mut headers);
        for (name, text) in [("limit", "10"), ("used", "2.48"), ("remaining", "7.52"), ("reset", "41001")] {
            assert_eq!(headers[format!("x-quota-{name}")], text);
        }
    }

    #[test]
    fn refusals() {
        assert_eq!(refused(&Refusal::CachedOnly).category, Category::Forbidden);
        let used_up = refused(&Refusal::UsedUp(ALLOWANCE));
        assert_eq!((used_up.category, &used_up.details["retry_after"]), (Category::QuotaExceeded, &41_001.into()));
        assert!(used_up.message.contains("10 megapixels a day"), "{used_up}");
        let busy = refused(&Refusal::SpokenFor { allowance: ALLOWANCE, retry: Duration::from_millis(10) });
        assert_eq!((busy.category, &busy.details["retry_after"]), (Category::QuotaExceeded, &1.into()));
    }
}
