//! Errors that cross from worker to front end to client.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What kind of failure it is. Statuses, acknowledgements and retries follow from this alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Category {
    /// The request cannot be read at all.
    Malformed,
    /// Key, token, quota 0, or an input address that may not be fetched.
    Forbidden,
    /// No such graph, cache key or file, or the input's host has none (404, 410).
    NotFound,
    /// An input or output type that is not supported.
    UnsupportedType,
    /// A parameter is missing, unknown, ill-typed or out of range, or the graph makes no picture
    /// with these parameters.
    InvalidParameter,
    /// Over one of [`crate::Limits`].
    TooLarge,
    /// The input is an image of a supported type, but broken.
    BrokenInput,
    /// The application's quota is used up.
    QuotaExceeded,
    /// The input's host answered with an error, or could not be reached.
    OriginFailed,
    /// The input's host answered that it is busy (429, 503); the detail `retry_after` tells seconds, if the host did.
    OriginBusy,
    /// The input's host did not answer in time.
    OriginTimeout,
    /// Our own deadline passed.
    DeadlineExceeded,
    /// Too much is queued.
    Overloaded,
    /// A part of the system is down.
    Unavailable,
    /// Nobody waits for the result any more.
    Cancelled,
    /// Every attempt ended the worker that made it: it is not tried again for a while.
    GivenUp,
    /// Code that is not ours, behind an operation of the graph, failed.
    OperationFailed,
    /// A fault of ours.
    Internal,
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Who asked.
    Client,
    /// The host that the input comes from.
    Origin,
    /// We.
    Us,
}

impl Category {
    /// All categories.
    pub const ALL: [Category; 18] = [
        Category::Malformed,
        Category::Forbidden,
        Category::NotFound,
        Category::UnsupportedType,
        Category::InvalidParameter,
        Category::TooLarge,
        Category::BrokenInput,
        Category::QuotaExceeded,
        Category::OriginFailed,
        Category::OriginBusy,
        Category::OriginTimeout,
        Category::DeadlineExceeded,
        Category::Overloaded,
        Category::Unavailable,
        Category::Cancelled,
        Category::GivenUp,
        Category::OperationFailed,
        Category::Internal,
    ];

    /// Name in JSON: `quota-exceeded`.
    pub fn name(self) -> &'static str {
        match self {
            Category::Malformed => "malformed",
            Category::Forbidden => "forbidden",
            Category::NotFound => "not-found",
            Category::UnsupportedType => "unsupported-type",
            Category::InvalidParameter => "invalid-parameter",
            Category::TooLarge => "too-large",
            Category::BrokenInput => "broken-input",
            Category::QuotaExceeded => "quota-exceeded",
            Category::OriginFailed => "origin-failed",
            Category::OriginBusy => "origin-busy",
            Category::OriginTimeout => "origin-timeout",
            Category::DeadlineExceeded => "deadline-exceeded",
            Category::Overloaded => "overloaded",
            Category::Unavailable => "unavailable",
            Category::Cancelled => "cancelled",
            Category::GivenUp => "given-up",
            Category::OperationFailed => "operation-failed",
            Category::Internal => "internal",
        }
    }

    /// Whose fault it is.
    pub fn fault(self) -> Fault {
        match self {
            Category::OriginFailed | Category::OriginBusy | Category::OriginTimeout => Fault::Origin,
            Category::DeadlineExceeded
            | Category::Overloaded
            | Category::Unavailable
            | Category::Cancelled
            | Category::OperationFailed
            | Category::Internal => Fault::Us,
            _ => Fault::Client,
        }
    }

    /// True when the same request may succeed later.
    pub fn retry(self) -> bool {
        matches!(
            self,
            Category::QuotaExceeded
                | Category::OriginFailed
                | Category::OriginBusy
                | Category::OriginTimeout
                | Category::DeadlineExceeded
                | Category::Overloaded
                | Category::Unavailable
                | Category::Cancelled
        )
    }

    /// A short title for people, the same for all errors of the category.
    pub fn title(self) -> &'static str {
        match self {
            Category::Malformed => "The request cannot be read",
            Category::Forbidden => "Not allowed",
            Category::NotFound => "Not found",
            Category::UnsupportedType => "Unsupported image type",
            Category::InvalidParameter => "A parameter is not right",
            Category::TooLarge => "Too large",
            Category::BrokenInput => "The input image is broken",
            Category::QuotaExceeded => "The quota is used up",
            Category::OriginFailed => "The input could not be fetched",
            Category::OriginBusy => "The input's host is busy",
            Category::OriginTimeout => "The input's host did not answer in time",
            Category::DeadlineExceeded => "The image took too long",
            Category::Overloaded => "Too busy",
            Category::Unavailable => "Temporarily unavailable",
            Category::Cancelled => "Cancelled",
            Category::GivenUp => "This image was given up",
            Category::OperationFailed => "An operation failed",
            Category::Internal => "Internal error",
        }
    }
}

/// A limit that was passed: the figures a client needs to understand the refusal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overrun {
    /// What was measured: "input pixels", "URL bytes".
    pub what: String,
    /// How much it was.
    pub value: u64,
    /// How much it may be.
    pub limit: u64,
    /// The setting that moves the limit: `IMGFLO_MAX_INPUT_PIXELS`.
    pub setting: String,
}

/// Why a request or a job failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{}: {message}", category.title())]
pub struct JobError {
    /// What kind of failure.
    pub category: Category,
    /// For the client: what was wrong and what would be right. For our own faults a text that says
    /// nothing of our insides; the cause goes to the log.
    pub message: String,
    /// The process of the graph it happened in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The limit that was passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overrun: Option<Box<Overrun>>,
    /// Further members of the problem body: `supported`, `parameters`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, serde_json::Value>,
}

/// The setting that bounds AVIF.
const MAX_AVIF_PIXELS: &str = "IMGFLO_MAX_AVIF_PIXELS";

impl JobError {
    /// An error with nothing but its text.
    pub fn new(category: Category, message: impl Into<String>) -> Self {
        JobError { category, message: message.into(), node: None, overrun: None, details: BTreeMap::new() }
    }

    /// A fault of ours, with a text that tells nothing; log the cause where it is known.
    pub fn internal() -> Self {
        JobError::new(Category::Internal, "something went wrong on our side; it has been logged")
    }

    /// A type that is not supported, with those that are as `supported` in the details.
    pub fn unsupported_type(given: &str, supported: &[&str]) -> Self {
        let message = format!("'{}' is not supported; supported are {}", shown(given), supported.join(", "));
        JobError::new(Category::UnsupportedType, message).with("supported", supported.to_vec())
    }

    /// A passed limit; the text names value, limit and setting.
    pub fn over(what: &str, value: u64, limit: u64, setting: &str) -> Self {
        let message = format!("{what}: {value} is more than the limit of {limit} ({setting})");
        JobError {
            overrun: Some(Box::new(Overrun { what: what.into(), value, limit, setting: setting.into() })),
            ..JobError::new(Category::TooLarge, message)
        }
    }

    /// A result that cannot be AVIF, as it has more than [`Limits::max_avif_pixels`](crate::Limits).
    pub fn too_large_for_avif(pixels: u64, limit: u64) -> Self {
        JobError::over("pixels of an AVIF", pixels, limit, MAX_AVIF_PIXELS)
    }

    /// True for [`JobError::too_large_for_avif`]: the result can be made as another type.
    pub fn is_too_large_for_avif(&self) -> bool {
        self.overrun.as_ref().is_some_and(|overrun| overrun.setting == MAX_AVIF_PIXELS)
    }

    /// With the process it happened in.
    pub fn at(mut self, node: impl Into<String>) -> Self {
        self.node = Some(node.into());
        self
    }

    /// With a further member of the problem body.
    pub fn with(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.details.insert(name.into(), value.into());
        self
    }
}

/// A text of a stranger as it may stand in an error: control characters escaped, no longer than
/// about 100 characters.
pub fn shown(text: &str) -> String {
    const MOST: usize = 100;
    let mut shown: String = text
        .chars()
        .take(MOST)
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
        .collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn categories_are_complete() {
        let names: HashSet<&str> = Category::ALL.iter().map(|category| category.name()).collect();
        let titles: HashSet<&str> = Category::ALL.iter().map(|category| category.title()).collect();
        assert_eq!((names.len(), titles.len()), (Category::ALL.len(), Category::ALL.len()));
        for category in Category::ALL {
            assert_eq!(serde_json::to_value(category).unwrap(), category.name());
            // What the client did wrong stays wrong, but for a quota, which fills up again.
            if category.fault() == Fault::Client {
                assert_eq!(category.retry(), category == Category::QuotaExceeded, "{category:?}");
            }
        }
        assert!(!Category::Internal.retry());
    }

    #[test]
    fn an_overrun_in_json() {
        let error = JobError::over("input pixels", 60, 50, "IMGFLO_MAX_INPUT_PIXELS").at("load");
        assert_eq!(
            serde_json::to_value(&error).unwrap(),
            json!({
                "category": "too-large",
                "message": "input pixels: 60 is more than the limit of 50 (IMGFLO_MAX_INPUT_PIXELS)",
                "node": "load",
                "overrun": {"what": "input pixels", "value": 60, "limit": 50, "setting": "IMGFLO_MAX_INPUT_PIXELS"},
            })
        );
        let back: JobError = serde_json::from_str(&serde_json::to_string(&error).unwrap()).unwrap();
        assert_eq!(back, error);
    }

    #[test]
    fn details_travel() {
        let error = JobError::unsupported_type("svg", &["jpg", "png"]);
        assert_eq!(error.to_string(), "Unsupported image type: 'svg' is not supported; supported are jpg, png");
        let back: JobError = serde_json::from_str(&serde_json::to_string(&error).unwrap()).unwrap();
        assert_eq!(back.details["supported"], json!(["jpg", "png"]));
    }

    #[test]
    fn strangers_texts_are_tamed() {
        assert_eq!(shown("a\nb\u{1b}é"), "a\\nb\\u{1b}é");
        assert_eq!(shown(&"é".repeat(100)), "é".repeat(100));
        assert_eq!(shown(&"é".repeat(101)), format!("{}…", "é".repeat(100)));
    }
}
