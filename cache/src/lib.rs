//! Where results live: blobs by key, immutable once stored.
//!
//! [`LocalStore`] keeps them in a folder. Knows no HTTP.

#![forbid(unsafe_code)]

mod index;
pub mod key;
pub mod local;
pub mod store;

pub use local::LocalStore;
pub use store::{Blob, CacheError, Store};
