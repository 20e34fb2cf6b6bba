//! What front end and worker agree on: the grammar of a request, signing, the cache key, the job
//! and result messages, limits, and the categories of errors.
//!
//! Knows no pixel, no queue and no HTTP library.

pub mod error;
pub mod limits;
pub mod message;

pub use error::{Category, Fault, JobError, Overrun};
pub use limits::Limits;
pub use message::{Files, InputFile, Job, JobData, JobResult, Results, Source, Urgency};
