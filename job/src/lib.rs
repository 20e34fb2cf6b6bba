//! What front end and worker agree on: the grammar of a request, signing, what an input is, the
//! cache key, the job and result messages, limits, and the categories of errors.
//!
//! Knows no pixel, no queue and no HTTP library.
//!
//! ```
//! use imgflo_job::{Limits, request, sign};
//!
//! let request = request::parse("crop.png", Some("width=10&input=files%2Fa.jpg"), &Limits::default())?;
//! assert_eq!(request.graph, "crop");
//! assert_eq!(request.input.as_deref(), Some("files/a.jpg"));
//! assert_eq!(request.parameters["width"], "10");
//!
//! let token = sign::token("secret", &request.graphspec, &request.query);
//! assert!(sign::verify("secret", false, &request.graphspec, &request.query, &token));
//! # Ok::<(), imgflo_job::JobError>(())
//! ```
#![forbid(unsafe_code)]

pub mod background;
pub mod error;
pub mod input;
pub mod key;
pub mod limits;
pub mod message;
pub mod network;
mod percent;
pub mod quality;
pub mod request;
pub mod secrets;
pub mod served;
pub mod sign;
pub mod url;

pub use background::Background;
pub use error::{Category, Fault, JobError, Overrun};
pub use input::{Input, OwnOrigins};
pub use limits::{LimitSetting, Limits};
pub use message::{Cancel, FileVersion, Files, InputFile, Job, JobData, JobResult, Results, Source, Urgency};
pub use quality::{Chroma, Quality};
pub use request::Request;
pub use secrets::FleetSecrets;
