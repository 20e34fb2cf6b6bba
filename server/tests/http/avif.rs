//! AVIF takes long: who waits gets WebP, until it is there or where it cannot be made.

use std::time::Duration;

use imgflo_job::{Job, JobError, Quality, Urgency, key};

use crate::rig::{Answer, Peer, Rig, Wish};

const TARGET: &str = "/graph/plain.avif?input=files%2Fa.gif&quality=60,small";

/// Asks, while a peer does what it is asked for.
async fn answered(rig: &Rig, target: &str, peer: &Peer) -> (Answer, Job) {
    tokio::join!(rig.get(target), async {
        let job = peer.take().await;
        peer.finish(job.clone()).await;
        job
    })
}

#[track_caller]
fn leads(answer: &Answer, status: u16, keep: &str, job: &Job) {
    assert_eq!((answer.status, answer.header("cache-control")), (status, keep), "{answer:?}");
    assert_eq!(answer.header("location"), format!("/cache/{}", job.data.cachekey));
}

const FOR_NOW: &str = "public, max-age=60";
const LASTING: &str = "public, max-age=3600";

#[tokio::test]
async fn it_is_made_in_the_background_and_webp_answers_until_then() {
    let rig = Rig::start().await;
    let (urgent, background) = (rig.peer(Urgency::Urgent).await, rig.peer(Urgency::Background).await);
    let (answer, webp) = answered(&rig, TARGET, &urgent).await;
    leads(&answer, 302, FOR_NOW, &webp);
    assert_eq!(webp.data.outtype.as_deref(), Some("webp"));
    // It is the same result as that of who asks for WebP.
    leads(&rig.get(&TARGET.replace("avif", "webp")).await, 301, LASTING, &webp);
    // Nothing is made twice.
    leads(&rig.get(TARGET).await, 302, FOR_NOW, &webp);
    let avif = background.take().await;
    assert_eq!((avif.data.outtype.as_deref(), avif.urgency), (Some("avif"), Urgency::Background));
    assert_eq!((avif.data.quality, webp.data.quality), (avif.data.quality, Quality { small: true, ..Quality::of(60) }));
    assert_eq!((rig.waiting("imgflo_urgentworker.JOB"), rig.waiting("imgflo_backgroundworker.JOB")), (0, 0));
    background.finish(avif.clone()).await;
    tokio::time::timeout(crate::rig::PATIENCE, async {
        while rig.get(TARGET).await.status != 301 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("AVIF is there");
    leads(&rig.get(TARGET).await, 301, LASTING, &avif);
}

#[tokio::test]
async fn what_is_too_large_stays_webp_and_is_not_tried_again() {
    let rig = Rig::start().await;
    let (urgent, background) = (rig.peer(Urgency::Urgent).await, rig.peer(Urgency::Background).await);
    let (_, webp) = answered(&rig, TARGET, &urgent).await;
    let avif = background.take().await;
    let cache_key = avif.data.cachekey.clone();
    background.fail(avif, JobError::too_large_for_avif(3_000_000, 2_000_000)).await;
    // The front end notes it a moment later.
    tokio::time::timeout(crate::rig::PATIENCE, async {
        let claim = key::claim(Urgency::Background, &cache_key);
        let refused = async || {
            matches!(rig.claims.claim(&claim, "test", Duration::ZERO).await, Ok(imgflo_cache::Claim::Refused(_)))
        };
        while !refused().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("noted");
    leads(&rig.get(TARGET).await, 302, FOR_NOW, &webp);
    leads(&rig.ask("POST", TARGET, &[]).await, 302, FOR_NOW, &webp);
    assert_eq!((rig.waiting("imgflo_urgentworker.JOB"), rig.waiting("imgflo_backgroundworker.JOB")), (0, 0));
}

#[tokio::test]
async fn who_wants_to_wait_for_it_may_be_let() {
    let rig = Rig::with(Wish { urgent_avif: true, ..Wish::default() }).await;
    let urgent = rig.peer(Urgency::Urgent).await;
    let (answer, avif) = answered(&rig, TARGET, &urgent).await;
    assert_eq!(avif.data.outtype.as_deref(), Some("avif"));
    leads(&answer, 301, LASTING, &avif);
    // Too large.
    let larger = format!("{TARGET}&width=3000");
    let (answer, webp) = tokio::join!(rig.get(&larger), async {
        let avif = urgent.take().await;
        urgent.fail(avif, JobError::too_large_for_avif(3_000_000, 2_000_000)).await;
        let webp = urgent.take().await;
        urgent.finish(webp.clone()).await;
        webp
    });
    assert_eq!(webp.data.outtype.as_deref(), Some("webp"));
    leads(&answer, 302, FOR_NOW, &webp);
}

#[tokio::test]
async fn other_faults_are_told_and_nothing_is_ordered() {
    let rig = Rig::start().await;
    let urgent = rig.peer(Urgency::Urgent).await;
    let (answer, ()) = tokio::join!(rig.get(TARGET), async {
        let job = urgent.take().await;
        urgent.fail(job, JobError::new(imgflo_job::Category::BrokenInput, "cut")).await;
    });
    answer.problem(422);
    assert_eq!(rig.waiting("imgflo_backgroundworker.JOB"), 0);
    // It is not read, so it is no input of another graph.
    rig.get("/graph/plain.png?input=%2Fgraph%2Fplain.avif%3Finput%3Dfiles%252Fa.gif").await.problem(415);
    assert_eq!(rig.get("/graphs").await.json()["formats"], serde_json::json!(["jpg", "png", "webp", "avif"]));
}
