//! What claims promise, in memory and in Redis.

use std::sync::Arc;
use std::time::Duration;

use imgflo_cache::{Claim, Claims, LocalClaims, RedisClaims, RedisLink};
use tokio::task::JoinSet;

const LEASE: Duration = Duration::from_secs(20);

macro_rules! behaviours {
    ($($claims:ident: [$($behaviour:ident),+ $(,)?])+) => {
        $(mod $claims {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $behaviour() {
                    super::$behaviour(super::$claims()).await;
                }
            )+
        })+
    };
}

behaviours! {
    local: [one_of_a_thousand_gets_it, a_lease_ends, a_holder_renews, only_the_holder_releases, a_refusal_goes_before_claims]
    redis: [one_of_a_thousand_gets_it, a_lease_ends, a_holder_renews, only_the_holder_releases, a_refusal_goes_before_claims]
}

fn local() -> Arc<dyn Claims> {
    Arc::new(LocalClaims::default())
}

fn redis() -> Arc<dyn Claims> {
    Arc::new(RedisClaims::new(crate::redis(), "imgflo_test_"))
}

/// Claims for a holder. Redis has a moment for each answer, which a busy machine may take up with others:
/// the same holder asks again.
async fn claim(claims: &Arc<dyn Claims>, key: &str, holder: &str, lease: Duration) -> Claim {
    for _ in 0..100 {
        match claims.claim(key, holder, lease).await {
            Ok(claim) => return claim,
            Err(error) => eprintln!("{holder} asks again: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no answer to {holder}")
}

async fn one_of_a_thousand_gets_it(claims: Arc<dyn Claims>) {
    let key = crate::key("png");
    let mut all = JoinSet::new();
    for n in 0..1000 {
        let (claims, key) = (claims.clone(), key.clone());
        all.spawn(async move { claim(&claims, &key, &n.to_string(), LEASE).await });
    }
    let answers = all.join_all().await;
    assert_eq!(answers.iter().filter(|claim| **claim == Claim::Ours).count(), 1);
    assert_eq!(answers.iter().filter(|claim| **claim == Claim::Held).count(), 999);
}

async fn a_lease_ends(claims: Arc<dyn Claims>) {
    let key = crate::key("png");
    let short = Duration::from_millis(150);
    assert_eq!(claim(&claims, &key, "one", short).await, Claim::Ours);
    assert_eq!(claim(&claims, &key, "other", LEASE).await, Claim::Held);
    tokio::time::sleep(short * 2).await;
    assert_eq!(claim(&claims, &key, "other", LEASE).await, Claim::Ours);
}

async fn a_holder_renews(claims: Arc<dyn Claims>) {
    let key = crate::key("png");
    let short = Duration::from_millis(500);
    for _ in 0..4 {
        assert_eq!(claim(&claims, &key, "one", short).await, Claim::Ours);
        tokio::time::sleep(short / 2).await;
        assert_eq!(claim(&claims, &key, "other", LEASE).await, Claim::Held);
    }
}

async fn only_the_holder_releases(claims: Arc<dyn Claims>) {
    let key = crate::key("png");
    assert_eq!(claim(&claims, &key, "one", LEASE).await, Claim::Ours);
    claims.release(&key, "other").await.unwrap();
    assert_eq!(claim(&claims, &key, "other", LEASE).await, Claim::Held);
    claims.release(&key, "one").await.unwrap();
    claims.release(&key, "one").await.unwrap();
    assert_eq!(claim(&claims, &key, "other", LEASE).await, Claim::Ours);
}

async fn a_refusal_goes_before_claims(claims: Arc<dyn Claims>) {
    let key = crate::key("png");
    let refused = Claim::Refused("it ended its worker".into());
    assert_eq!(claim(&claims, &key, "one", LEASE).await, Claim::Ours);
    claims.refuse(&key, "it ended its worker", LEASE).await.unwrap();
    for holder in ["one", "other"] {
        assert_eq!(claims.claim(&key, holder, LEASE).await.unwrap(), refused);
    }
    claims.allow(&key).await.unwrap();
    assert_eq!(claim(&claims, &key, "other", LEASE).await, Claim::Ours);
    // A claim is no refusal.
    claims.allow(&key).await.unwrap();
    assert_eq!(claim(&claims, &key, "one", LEASE).await, Claim::Held);
    claims.refuse(&key, "for a moment", Duration::from_millis(100)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(claim(&claims, &key, "one", LEASE).await, Claim::Ours);
}

#[tokio::test]
async fn redis_that_is_down_is_an_error_and_no_claim() {
    let claims = RedisClaims::new(RedisLink::open("redis://127.0.0.1:9/").unwrap(), "imgflo_test_");
    assert!(claims.claim("k", "one", LEASE).await.is_err());
    assert!(claims.release("k", "one").await.is_err());
}
