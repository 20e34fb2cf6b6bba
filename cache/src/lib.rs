//! Where results live: blobs by key, immutable once stored.
//!
//! Knows no HTTP.

pub mod store;

pub use store::{Blob, CacheError, Store};
