//! Errors that cross from worker to front end to client.

use serde::{Deserialize, Serialize};

/// What kind of failure it is. Statuses, acknowledgements and retries follow from this alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Category {
    /// The request cannot be read at all.
    Malformed,
    /// Key, token, quota 0, or an input address that may not be fetched.
    Forbidden,
    /// No such graph or cache key.
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
    pub const ALL: [Category; 15] = [
        Category::Malformed,
        Category::Forbidden,
        Category::NotFound,
        Category::UnsupportedType,
        Category::InvalidParameter,
        Category::TooLarge,
        Category::BrokenInput,
        Category::QuotaExceeded,
        Category::OriginFailed,
        Category::OriginTimeout,
        Category::DeadlineExceeded,
        Category::Overloaded,
        Category::Unavailable,
        Category::Cancelled,
        Category::Internal,
    ];

    /// Whose fault it is.
    pub fn fault(self) -> Fault {
        match self {
            Category::OriginFailed | Category::OriginTimeout => Fault::Origin,
            Category::DeadlineExceeded
            | Category::Overloaded
            | Category::Unavailable
            | Category::Cancelled
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
            Category::OriginTimeout => "The input's host did not answer in time",
            Category::DeadlineExceeded => "The image took too long",
            Category::Overloaded => "Too busy",
            Category::Unavailable => "Temporarily unavailable",
            Category::Cancelled => "Cancelled",
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
    pub overrun: Option<Overrun>,
    /// Further members of the problem body: `supported`, `parameters`.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub details: serde_json::Map<String, serde_json::Value>,
}

impl JobError {
    /// An error with nothing but its text.
    pub fn new(category: Category, message: impl Into<String>) -> Self {
        JobError { category, message: message.into(), node: None, overrun: None, details: Default::default() }
    }

    /// A passed limit; the text names value, limit and setting.
    pub fn over(what: &str, value: u64, limit: u64, setting: &str) -> Self {
        let message = format!("{what}: {value} is more than the limit of {limit} ({setting})");
        JobError {
            overrun: Some(Overrun { what: what.into(), value, limit, setting: setting.into() }),
            ..JobError::new(Category::TooLarge, message)
        }
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
