//! A job from queue to stored result: fetch the input, render, store, report.
//!
//! A [`Worker`] takes jobs as long as it has slots for them. One job passes through these, each a file:
//!
//! | | |
//! |---|---|
//! | [`worker`] | takes a job from its lane, watches for cancellation, acknowledges it when all is done |
//! | `slots` | how many jobs compute at once; a job that waits for an origin has no slot |
//! | `process` | one job: looks into the store, gets the input, renders, stores, tells how it went |
//! | `source` | the bytes of an input: fetched, inline, a file of ours, a stored result |
//! | [`fetch`] | an http or https URL, bounded and guarded |
//! | `graphs` | the graph of a job, built once |
//! | `original` | jobs that hold no graph, completed from a folder |
//! | `render` | bytes of an input and a graph to bytes of a picture, within limits |
//! | [`memory`] | which jobs may hold memory together |

#![forbid(unsafe_code)]

pub mod error;
pub mod fetch;
mod graphs;
pub mod isolation;
mod keys;
pub mod memory;
mod original;
mod process;
mod render;
mod slots;
mod source;
pub mod worker;

pub use error::Error;
pub use fetch::FetchSettings;
pub use isolation::{JobCommand, Report};
pub use source::Inputs;
pub use worker::{Role, Worker, WorkerParts};
