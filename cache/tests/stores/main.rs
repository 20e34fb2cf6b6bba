//! Stores, the index and claims, with the services behind them.

mod behaviour;
mod claims;
mod faults;
mod index;
mod kill;
mod own_redis;
mod s3;
mod s3_faults;
mod server;

use std::sync::Arc;

use imgflo_cache::RedisLink;

/// The Redis that scripts/test started.
fn redis() -> Arc<RedisLink> {
    RedisLink::open(&redis_url()).unwrap()
}

fn redis_url() -> String {
    let url = std::env::var("IMGFLO_TEST_REDIS");
    url.expect("IMGFLO_TEST_REDIS: run scripts/test, or start the services with scripts/services")
}

/// A key that no other test has.
fn key(suffix: &str) -> String {
    let mut random = [0; 32];
    let (a, b) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    random[..16].copy_from_slice(a.as_bytes());
    random[16..].copy_from_slice(b.as_bytes());
    format!("{}.{suffix}", hex::encode(random))
}
