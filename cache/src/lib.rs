//! Where results live: blobs by key, immutable once stored. No blob is empty: one that is was lost, and is a miss.
//!
//! [`LocalStore`] keeps them in a folder, [`S3Store`] in a bucket; [`IndexedStore`] puts an index in Redis before a store.
//! [`Claims`] say who makes which result. Knows no HTTP.

#![forbid(unsafe_code)]

pub mod claims;
mod index;
pub mod indexed;
pub mod key;
pub mod local;
mod media_type;
pub mod redis_link;
pub mod s3;
pub mod store;
mod stored;

pub use claims::local::LocalClaims;
pub use claims::redis::RedisClaims;
pub use claims::{Claim, Claims};
pub use indexed::{IndexOptions, IndexedStore};
pub use local::LocalStore;
pub use redis_link::RedisLink;
pub use s3::{Delivery, S3Limits, S3Options, S3Store};
pub use store::{Address, Blob, CacheError, NO_KEY, Store};
pub use stored::{Sha256Digest, Stored};
