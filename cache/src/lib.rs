//! Where results live: blobs by key, immutable once stored.
//!
//! [`LocalStore`] keeps them in a folder. Knows no HTTP.

#![forbid(unsafe_code)]

pub mod claims;
mod index;
pub mod key;
pub mod local;
pub mod store;

pub use claims::{Claim, Claims};
pub use local::LocalStore;
pub use store::{Address, Blob, CacheError, Store};
