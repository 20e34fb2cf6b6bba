//! Jobs that wait for origins are in nobody's way.

use std::sync::atomic::Ordering;
use std::time::Duration;

use imgflo_job::{Category, JobData, Limits, Source, key};

use super::engines::Gated;
use super::origin::{Gate, Origin, Step, head};
use super::setup::{
    BACKGROUND, Options, Setup, URGENT, ask, background, copy, key_of, one_operation, png, until, urgent,
};

/// Number of origins that drip.
const DRIPPING: usize = 200;

/// An origin that sends half of a picture, and the rest once the gate is open.
async fn dripping(gate: &Gate) -> Origin {
    let (gate, image) = (gate.clone(), png(40, 30));
    Origin::start(move |_| {
        let (first, rest) = image.split_at(image.len() / 2);
        let length = image.len().to_string();
        vec![
            head("200 OK", &[("Content-Length", &length)]),
            Step::Send(first.to_vec()),
            Step::Wait(gate.clone()),
            Step::Send(rest.to_vec()),
        ]
    })
    .await
}

fn fetched(origin: &Origin, index: usize) -> JobData {
    let source = Some(Source::Url { url: origin.url(&format!("/{index}")) });
    ask(&format!("d{index}.png"), one_operation("gegl/nop"), source)
}

fn patient() -> Limits {
    let long = Duration::from_secs(60);
    Limits { first_byte_timeout: long, fetch_timeout: long, max_urgent_jobs: 1000, ..Limits::default() }
}

#[tokio::test]
async fn cheap_jobs_are_done_while_200_origins_drip() {
    let setup = Setup::new().await;
    let (gate, limits) = (Gate::default(), patient());
    let origin = dripping(&gate).await;
    let _worker = setup.worker(Options { limits, slots: 2, ..Options::default() });
    for index in 0..DRIPPING {
        setup.send(&urgent(fetched(&origin, index))).await;
    }
    until(|| origin.requests().len() == DRIPPING).await;
    for index in 0..50 {
        let result = setup.run(&urgent(copy(&format!("c{index}.png")))).await;
        assert_eq!(result.error, None);
    }
    assert_eq!(setup.queue(URGENT).unsettled, DRIPPING, "all of them still drip");
    gate.open();
    for _ in 0..DRIPPING {
        assert_eq!(setup.result().await.error, None);
    }
    setup.until(URGENT, |queue| queue.unsettled == 0 && queue.waiting == 0).await;
}

#[tokio::test]
async fn cheap_jobs_are_done_while_200_pictures_that_came_at_once_are_rendered() {
    let setup = Setup::new().await;
    let (gate, engine) = (Gate::default(), Gated::closed());
    let origin = dripping(&gate).await;
    let _worker = setup.worker(Options { limits: patient(), engine: engine.clone(), slots: 2, ..Options::default() });
    for index in 0..DRIPPING {
        setup.send(&urgent(fetched(&origin, index))).await;
    }
    until(|| origin.requests().len() == DRIPPING).await;
    gate.open();
    until(|| engine.begun() == 2).await;
    // All but two have their pictures and no slot.
    tokio::time::sleep(Duration::from_millis(300)).await;
    for index in 0..20 {
        setup.send(&urgent(copy(&format!("c{index}.png")))).await;
    }
    engine.open();
    let mut order = Vec::new();
    for _ in 0..DRIPPING + 20 {
        let result = setup.result().await;
        assert_eq!(result.error, None);
        order.push(result.job.data.cachekey);
    }
    // They take turns: each has waited for few of the others.
    let last = order.iter().rposition(|key| key.starts_with('c')).unwrap();
    assert!(last < 100, "the last cheap one is number {last} of {}", order.len());
}

#[tokio::test]
async fn no_more_pictures_are_rendered_at_once_than_there_are_slots() {
    let setup = Setup::new().await;
    let (gate, engine) = (Gate::default(), Gated::closed());
    let origin = dripping(&gate).await;
    let _worker = setup.worker(Options { limits: patient(), engine: engine.clone(), slots: 2, ..Options::default() });
    for index in 0..20 {
        setup.send(&urgent(fetched(&origin, index))).await;
    }
    until(|| origin.requests().len() == 20).await;
    gate.open();
    until(|| engine.begun() == 2).await;
    // Its slots are taken: this one is another worker's.
    setup.send(&urgent(copy("cheap.png"))).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((engine.begun(), setup.queue(URGENT).waiting, setup.queue(URGENT).unsettled), (2, 1, 20));
    let _other = setup.worker(Options::default());
    assert_eq!(setup.result().await.job.data.cachekey, "cheap.png");
    engine.open();
    for _ in 0..20 {
        assert_eq!(setup.result().await.error, None);
    }
    assert_eq!(engine.most_at_once.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_job_that_waits_for_its_origin_is_cancelled() {
    let setup = Setup::new().await;
    let origin = dripping(&Gate::default()).await;
    let _worker = setup.worker(Options { limits: patient(), slots: 1, ..Options::default() });
    let job = urgent(fetched(&origin, 0));
    setup.send(&job).await;
    until(|| origin.requests().len() == 1).await;
    setup.cancel(&job).await;
    assert_eq!(setup.result().await.error.unwrap().category, Category::Cancelled);
    assert_eq!(setup.run(&urgent(copy("next.png"))).await.error, None);
    setup.until(URGENT, |queue| queue.unsettled == 0).await;
}

#[tokio::test]
async fn background_jobs_take_a_part_of_the_fetches_and_come_back_when_their_worker_dies() {
    let setup = Setup::new().await;
    let gate = Gate::default();
    let origin = dripping(&gate).await;
    // A quarter is theirs.
    let limits = Limits { max_fetches: 40, ..patient() };
    let worker = setup.worker(Options { limits: limits.clone(), slots: 2, ..Options::default() });
    for index in 0..15 {
        setup.send(&background(fetched(&origin, index))).await;
    }
    until(|| origin.requests().len() == 10).await;
    assert_eq!(setup.run(&urgent(copy("urgent.png"))).await.error, None);
    assert_eq!((setup.queue(BACKGROUND).unsettled, setup.queue(BACKGROUND).waiting), (10, 5));
    worker.die().await;
    setup.until(BACKGROUND, |queue| queue.unsettled == 0 && queue.waiting == 15).await;
    gate.open();
    let _second = setup.worker(Options { limits, slots: 2, ..Options::default() });
    for _ in 0..15 {
        assert_eq!(setup.result().await.error, None);
    }
    setup.until(BACKGROUND, |queue| queue.unsettled == 0 && queue.dead_letters == 0).await;
}

#[tokio::test]
async fn a_job_that_lost_a_worker_keeps_its_slot_while_it_fetches() {
    let setup = Setup::new().await;
    let gate = Gate::default();
    let origin = dripping(&gate).await;
    for index in 0..3 {
        setup.send(&urgent(fetched(&origin, index))).await;
    }
    let held = setup.broker_consumer(URGENT).await;
    let mut taken = Vec::new();
    for _ in 0..3 {
        taken.push(held.next().await.unwrap());
    }
    drop((taken, held));
    let _worker = setup.worker(Options { limits: patient(), slots: 2, ..Options::default() });
    until(|| origin.requests().len() == 2).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!((setup.queue(URGENT).waiting, origin.requests().len()), (1, 2), "few are at risk beside it");
    gate.open();
    for _ in 0..3 {
        assert_eq!(setup.result().await.error, None);
    }
}

#[tokio::test]
async fn what_its_origin_keeps_to_itself_is_stored_under_a_key_of_its_own() {
    let setup = Setup::new().await;
    let image = png(40, 30);
    let origin =
        Origin::start(move |_| super::origin::answer("200 OK", &[("Cache-Control", "no-store")], &image)).await;
    let _worker = setup.worker(Options::default());
    let data = ask("x.png", one_operation("gegl/nop"), Some(Source::Url { url: origin.url("/") }));
    let public = key_of(&data);
    let private = key::private(&public).expect("its origin may forbid to keep it");
    let data = |anew| JobData { no_cache: anew, cachekey: public.clone(), ..data.clone() };
    for requests in [1, 1] {
        let result = setup.run(&urgent(data(false))).await;
        assert_eq!((result.error, result.results.url), (None, Some(format!("./{private}"))));
        assert_eq!(origin.requests().len(), requests);
        assert!(setup.stored(&private).await.is_some() && setup.stored(&public).await.is_none());
    }
    // What was public before is not served any more.
    setup.store.put(&public, bytes::Bytes::from_static(b"old"), false).await.unwrap();
    assert_eq!(setup.run(&urgent(data(true))).await.results.url, Some(format!("./{private}")));
    assert_eq!(setup.stored(&public).await, None);
    // What is made of it is private, too.
    for source in [Source::Stored { key: public.clone() }, Source::Graph { job: Box::new(data(false)) }] {
        let mut data = JobData { no_cache: true, ..ask("x.png", one_operation("gegl/nop"), Some(source)) };
        data.cachekey = key_of(&data);
        let private = key::private(&data.cachekey).expect("so is that of what it is made of");
        assert_eq!(setup.run(&urgent(data)).await.results.url, Some(format!("./{private}")));
    }
}
