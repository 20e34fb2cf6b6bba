//! A Redis that dies, hangs, forgets and comes back under a running program.

use std::sync::Arc;
use std::time::{Duration, Instant};

use imgflo_cache::{Claim, Claims, RedisClaims, RedisLink, Store};
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinSet;

use crate::index::Rig;
use crate::own_redis::OwnRedis;

const LEASE: Duration = Duration::from_secs(20);

/// Waits until the link is as it should be.
async fn until(link: &RedisLink, up: bool) {
    let start = Instant::now();
    while link.is_up() != up {
        assert!(start.elapsed() < Duration::from_secs(20), "it is not {}", if up { "up" } else { "down" });
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn redis_killed_and_started_again() {
    let mut redis = OwnRedis::start().await;
    let link = RedisLink::open(&redis.url()).unwrap();
    let rig = Rig::new();
    let indexed = rig.indexed(&link, Duration::ZERO);
    let key = crate::key("png");
    indexed.put(&key, "x".into(), false).await.unwrap();
    assert!(indexed.contains(&key).await.unwrap());
    assert_eq!((rig.asked(), link.failures()), (0, 0));

    redis.kill();
    let start = Instant::now();
    for _ in 0..200 {
        assert!(indexed.contains(&key).await.unwrap());
    }
    assert_eq!(rig.asked(), 200);
    assert!(link.failures() >= 200, "{}", link.failures());
    assert!(!link.is_up());
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());

    redis.start_again().await;
    until(&link, true).await;
    let failures = link.failures();
    for _ in 0..10 {
        assert!(indexed.contains(&key).await.unwrap());
    }
    assert_eq!(rig.asked(), 201, "the first fills the empty index again");
    assert_eq!(link.failures(), failures);
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_that_hangs_is_waited_for_once_and_then_left_alone() {
    let redis = OwnRedis::start().await;
    let link = RedisLink::open(&redis.url()).unwrap();
    let rig = Rig::new();
    let indexed = Arc::new(rig.indexed(&link, Duration::ZERO));
    let claims = RedisClaims::new(link.clone(), "imgflo_test_");
    let key = crate::key("png");
    indexed.put(&key, "x".into(), false).await.unwrap();
    assert!(link.is_up());

    redis.hang();
    let start = Instant::now();
    let mut many = JoinSet::new();
    for _ in 0..100 {
        let (indexed, key) = (indexed.clone(), key.clone());
        many.spawn(async move { indexed.contains(&key).await.unwrap() });
    }
    assert!(many.join_all().await.into_iter().all(|stored| stored));
    for _ in 0..100 {
        assert!(indexed.contains(&key).await.unwrap());
        assert!(claims.claim(&key, "one", LEASE).await.is_err());
    }
    // Waiting for each in turn would take 20 s.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(rig.asked(), 200);
    assert!(!link.is_up());
    let failures = link.failures();
    assert!(failures >= 300, "{failures}");

    redis.go_on();
    until(&link, true).await;
    assert!(indexed.contains(&key).await.unwrap());
    assert_eq!(claims.claim(&key, "one", LEASE).await.unwrap(), Claim::Ours);
    assert_eq!((rig.asked(), link.failures()), (200, failures));
}

#[tokio::test]
async fn a_connection_that_was_closed_costs_no_answer() {
    let redis = OwnRedis::start().await;
    let link = RedisLink::open(&redis.url()).unwrap();
    let claims = RedisClaims::new(link.clone(), "imgflo_test_");
    let key = crate::key("png");
    assert_eq!(claims.claim(&key, "one", LEASE).await.unwrap(), Claim::Ours);
    // Ends all connections but its own.
    redis.run("CLIENT KILL TYPE normal SKIPME yes").await;
    assert_eq!(claims.claim(&key, "other", LEASE).await.unwrap(), Claim::Held);
    assert_eq!(link.failures(), 0);
}

#[tokio::test]
async fn redis_wiped_has_forgotten_scripts_and_claims_and_works() {
    let redis = OwnRedis::start().await;
    let link = RedisLink::open(&redis.url()).unwrap();
    let claims = RedisClaims::new(link.clone(), "imgflo_test_");
    let rig = Rig::new();
    let indexed = rig.indexed(&link, Duration::ZERO);
    let key = crate::key("png");
    indexed.put(&key, "x".into(), false).await.unwrap();
    assert_eq!(claims.claim(&key, "one", LEASE).await.unwrap(), Claim::Ours);
    redis.run("FLUSHALL").await;
    redis.run("SCRIPT FLUSH").await;
    assert!(indexed.contains(&key).await.unwrap());
    assert!(indexed.contains(&key).await.unwrap());
    assert_eq!(rig.asked(), 1);
    assert_eq!(claims.claim(&key, "other", LEASE).await.unwrap(), Claim::Ours);
    assert_eq!(claims.claim(&key, "one", LEASE).await.unwrap(), Claim::Held);
    assert_eq!(link.failures(), 0);
}

#[tokio::test]
async fn an_entry_of_another_type_is_no_failure_of_the_others() {
    let redis = OwnRedis::start().await;
    let link = RedisLink::open(&redis.url()).unwrap();
    let rig = Rig::new();
    let indexed = rig.indexed(&link, Duration::ZERO);
    let (key, other) = (crate::key("png"), crate::key("png"));
    for key in [&key, &other] {
        indexed.put(key, "x".into(), false).await.unwrap();
    }
    redis.run(&format!("DEL imgflo_cache/url/{key}")).await;
    redis.run(&format!("LPUSH imgflo_cache/url/{key} garbage")).await;
    assert!(indexed.contains(&key).await.unwrap());
    assert!(link.is_up(), "it answered");
    assert!(indexed.contains(&other).await.unwrap());
    assert!(indexed.contains(&key).await.unwrap());
    assert_eq!(rig.asked(), 1, "the entry was mended");
}

#[tokio::test]
async fn a_full_redis_is_no_error() {
    let redis = OwnRedis::start().await;
    let link = RedisLink::open(&redis.url()).unwrap();
    let rig = Rig::new();
    let indexed = rig.indexed(&link, Duration::ZERO);
    let key = crate::key("png");
    redis.run("CONFIG SET maxmemory 1").await;
    indexed.put(&key, "x".into(), false).await.unwrap();
    assert!(indexed.contains(&key).await.unwrap());
    assert!(link.failures() > 0);
    redis.run("CONFIG SET maxmemory 0").await;
    assert!(indexed.contains(&key).await.unwrap());
    let asked = rig.asked();
    assert!(indexed.contains(&key).await.unwrap());
    assert_eq!(rig.asked(), asked);
}

#[tokio::test]
async fn passwords_and_databases_are_those_of_the_address() {
    let redis = OwnRedis::with(&["--requirepass", "hush"]).await;
    let claims = |credentials: &str, database: u8| {
        let url = redis.url().replace("//", &format!("//{credentials}"));
        let link = RedisLink::open(&format!("{url}{database}")).unwrap();
        (RedisClaims::new(link.clone(), "imgflo_test_"), link)
    };
    let key = crate::key("png");
    for (credentials, database) in [(":hush@", 0), ("default:hush@", 3)] {
        let (claims, _) = claims(credentials, database);
        // Another database has other claims.
        assert_eq!(claims.claim(&key, credentials, LEASE).await.unwrap(), Claim::Ours, "{credentials}");
    }
    for credentials in [":wrong@", ""] {
        let (claims, link) = claims(credentials, 0);
        let error = claims.claim(&key, "one", LEASE).await.unwrap_err().to_string();
        assert!(!error.contains("wrong"), "{error}");
        assert!(!link.is_up());
    }
}

#[tokio::test]
async fn rediss_speaks_tls() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let link = RedisLink::open(&format!("rediss://{}/", listener.local_addr().unwrap())).unwrap();
    let (mut socket, _) = listener.accept().await.unwrap();
    // A handshake, TLS 1.x, which begins with a hello.
    let mut hello = [0; 6];
    socket.read_exact(&mut hello).await.unwrap();
    assert_eq!((hello[0], hello[1], hello[5]), (22, 3, 1));
    assert!(!link.is_up());
}
