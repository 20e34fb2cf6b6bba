//! Which job is done when, and what becomes of its message.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use imgflo_cache::{Blob, CacheError, Store};
use imgflo_job::{Category, Job, Limits, Urgency, message};
use imgflo_msgflo::Transport;
use imgflo_runtime::ops::OpError;
use imgflo_worker::{Error, Role};
use tokio::sync::Semaphore;

use super::engines::{Gated, Panicking};
use super::setup::{BACKGROUND, Options, Setup, URGENT, ask, background, copy, file, one_operation, until, urgent};

#[tokio::test]
async fn urgent_before_background_with_one_slot() {
    let setup = Setup::new().await;
    let engine = Gated::closed();
    let _worker = setup.worker(Options { engine: engine.clone(), slots: 1, ..Options::default() });
    setup.send(&background(copy("first.png"))).await;
    until(|| engine.begun() == 1).await;
    for key in ["b1.png", "b2.png"] {
        setup.send(&background(copy(key))).await;
    }
    for key in ["u1.png", "u2.png"] {
        setup.send(&urgent(copy(key))).await;
    }
    engine.open();
    let mut order = Vec::new();
    for _ in 0..5 {
        order.push(setup.result().await.job.data.cachekey);
    }
    assert_eq!(order, ["first.png", "u1.png", "u2.png", "b1.png", "b2.png"]);
}

#[tokio::test]
async fn an_urgent_job_never_waits_for_background_jobs() {
    let setup = Setup::new().await;
    let engine = Gated::closed();
    let _worker = setup.worker(Options { engine: engine.clone(), slots: 3, ..Options::default() });
    for key in ["b1.png", "b2.png", "b3.png"] {
        setup.send(&background(copy(key))).await;
    }
    until(|| engine.begun() == 2).await;
    setup.send(&urgent(copy("u1.png"))).await;
    until(|| engine.begun() == 3).await;
    assert_eq!((setup.queue(BACKGROUND).waiting, setup.queue(BACKGROUND).unsettled), (1, 2));
    assert_eq!((setup.queue(URGENT).waiting, setup.queue(URGENT).unsettled), (0, 1));
    engine.open();
    for _ in 0..4 {
        assert_eq!(setup.result().await.error, None);
    }
}

#[tokio::test]
async fn a_worker_takes_only_its_roles() {
    let setup = Setup::new().await;
    let _worker = setup.worker(Options { roles: &[Role::Background], ..Options::default() });
    setup.send(&urgent(copy("u.png"))).await;
    for key in ["b1.png", "b2.png"] {
        setup.send(&background(copy(key))).await;
    }
    for _ in 0..2 {
        assert_eq!(setup.result().await.job.urgency, Urgency::Background);
    }
    assert_eq!(setup.queue(URGENT).waiting, 1);
    let _other = setup.worker(Options { roles: &[Role::Urgent], ..Options::default() });
    assert_eq!(setup.result().await.job.urgency, Urgency::Urgent);
}

/// A store with a door before `put`.
struct Door {
    inner: Arc<dyn Store>,
    open: Semaphore,
    /// Attempts to write.
    knocked: AtomicUsize,
    /// Attempts to read.
    asked: AtomicUsize,
    /// It cannot be written to.
    broken: AtomicBool,
    /// It cannot be read.
    blind: AtomicBool,
}

impl Door {
    fn new(inner: &Arc<dyn Store>) -> Arc<Door> {
        Arc::new(Door {
            inner: Arc::clone(inner),
            open: Semaphore::new(0),
            knocked: AtomicUsize::new(0),
            asked: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
            blind: AtomicBool::new(false),
        })
    }
}

#[async_trait]
impl Store for Door {
    async fn contains(&self, key: &str) -> Result<bool, CacheError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.blind.load(Ordering::SeqCst) {
            let source = std::io::Error::other("it does not answer");
            return Err(CacheError::Io { action: "look up", key: key.into(), source });
        }
        self.inner.contains(key).await
    }

    async fn get(&self, key: &str) -> Result<Option<Blob>, CacheError> {
        self.inner.get(key).await
    }

    async fn put(&self, key: &str, bytes: Bytes, replace: bool) -> Result<(), CacheError> {
        self.knocked.fetch_add(1, Ordering::SeqCst);
        let _permit = self.open.acquire().await.unwrap();
        if self.broken.load(Ordering::SeqCst) {
            let source = std::io::Error::other("disk /dev/sda1 is full");
            return Err(CacheError::Io { action: "store", key: key.into(), source });
        }
        self.inner.put(key, bytes, replace).await
    }

    async fn remove(&self, key: &str) -> Result<(), CacheError> {
        self.inner.remove(key).await
    }
}

#[tokio::test]
async fn a_result_is_stored_without_a_slot_while_there_is_room() {
    for (max_storing_bytes, at_once) in [(1 << 20, 3), (0, 1)] {
        let setup = Setup::new().await;
        let door = Door::new(&setup.store);
        let limits = Limits { max_storing_bytes, ..Limits::default() };
        let _worker = setup.worker(Options { store: Some(door.clone()), slots: 1, limits, ..Options::default() });
        for index in 0..3 {
            setup.send(&urgent(copy(&format!("{index}.png")))).await;
        }
        until(|| door.knocked.load(Ordering::SeqCst) == at_once).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(door.knocked.load(Ordering::SeqCst), at_once);
        door.open.add_permits(1);
        for _ in 0..3 {
            assert_eq!(setup.result().await.error, None);
        }
    }
}

#[tokio::test]
async fn a_message_is_acknowledged_when_its_result_is_stored_and_told() {
    let setup = Setup::new().await;
    let door = Door::new(&setup.store);
    let _worker = setup.worker(Options { store: Some(door.clone()), ..Options::default() });
    setup.send(&urgent(copy("6f95.png"))).await;
    until(|| door.knocked.load(Ordering::SeqCst) == 1).await;
    assert_eq!(setup.queue(URGENT).unsettled, 1);
    assert_eq!(setup.queue("results").waiting, 0);
    assert_eq!(setup.stored("6f95.png").await, None);
    door.open.add_permits(1);
    assert_eq!(setup.result().await.error, None);
    assert!(setup.stored("6f95.png").await.is_some());
    setup.until(URGENT, |queue| queue.unsettled == 0 && queue.waiting == 0).await;
}

#[tokio::test]
async fn a_background_job_whose_result_cannot_be_stored_comes_again() {
    let setup = Setup::new().await;
    let door = Door::new(&setup.store);
    door.broken.store(true, Ordering::SeqCst);
    door.open.add_permits(100);
    let _worker = setup.worker(Options { store: Some(door.clone()), ..Options::default() });
    let job = background(copy("6f95.png"));
    setup.send(&job).await;
    until(|| door.knocked.load(Ordering::SeqCst) == 4).await;
    setup.until(BACKGROUND, |queue| queue.waiting == 1 && queue.unsettled == 0).await;
    assert_eq!(door.knocked.load(Ordering::SeqCst), 4);
    assert_eq!(setup.queue("results").waiting, 0, "it is not over");
    // Urgent jobs do not come again: their clients are told to.
    let error = setup.run(&urgent(copy("u.png"))).await.error.unwrap();
    assert_eq!(error.category, Category::Unavailable);
    assert!(error.category.retry() && !error.to_string().contains("sda1"), "{error}");
    door.broken.store(false, Ordering::SeqCst);
    let result = setup.result().await;
    assert_eq!((result.job.id, result.error), (job.id, None));
    for queue in [URGENT, BACKGROUND] {
        setup.until(queue, |queue| queue.unsettled == 0).await;
        assert_eq!((setup.queue(queue).waiting, setup.queue(queue).dead_letters), (0, 0));
    }
}

#[tokio::test]
async fn a_job_that_could_not_be_stored_for_a_day_is_a_dead_letter() {
    let setup = Setup::new().await;
    let door = Door::new(&setup.store);
    door.broken.store(true, Ordering::SeqCst);
    door.open.add_permits(100);
    let _worker = setup.worker(Options { store: Some(door.clone()), ..Options::default() });
    let job = Job { created_at: message::now() - 25 * 3600 * 1000, ..background(copy("6f95.png")) };
    let error = setup.run(&job).await.error.unwrap();
    assert_eq!(error.category, Category::Unavailable);
    assert!(!error.to_string().contains("sda1"), "{error}");
    setup.until(BACKGROUND, |queue| queue.dead_letters == 1).await;
    let dead = setup.broker.dead_letters(BACKGROUND).unwrap();
    assert_eq!(serde_json::from_slice::<Job>(&dead[0].message).unwrap(), job);
    assert!(dead[0].death.reason.contains("sda1"), "{}", dead[0].death.reason);
    // Somebody puts it back when the store is mended.
    door.broken.store(false, Ordering::SeqCst);
    assert_eq!(setup.run(&job).await.error, None);
}

#[tokio::test]
async fn no_background_job_is_begun_while_the_store_cannot_be_asked() {
    let setup = Setup::new().await;
    let engine = Gated::closed();
    engine.open();
    let door = Door::new(&setup.store);
    door.blind.store(true, Ordering::SeqCst);
    door.open.add_permits(100);
    let _worker = setup.worker(Options { engine: engine.clone(), store: Some(door.clone()), ..Options::default() });
    setup.send(&background(copy("6f95.png"))).await;
    until(|| door.asked.load(Ordering::SeqCst) >= 2).await;
    assert_eq!((engine.begun(), setup.queue("results").waiting), (0, 0));
    // It may be that such a store can be written to.
    assert_eq!(setup.run(&urgent(copy("u.png"))).await.error, None);
    door.blind.store(false, Ordering::SeqCst);
    assert_eq!(setup.result().await.error, None);
}

#[tokio::test]
async fn a_job_that_came_back_is_no_harm_when_its_result_is_stored() {
    let setup = Setup::new().await;
    let job = background(copy("6f95.png"));
    setup.send(&job).await;
    for _ in 0..2 {
        drop(setup.broker.consume(BACKGROUND).await.unwrap().next().await.unwrap());
    }
    setup.store.put("6f95.png", Bytes::from_static(b"done"), false).await.unwrap();
    let _worker = setup.worker(Options::default());
    assert_eq!(setup.result().await.error, None);
    setup.until(BACKGROUND, |queue| queue.unsettled == 0 && queue.dead_letters == 0).await;
}

#[tokio::test]
async fn video_is_not_made_yet() {
    let setup = Setup::new().await;
    let _worker = setup.worker(Options { roles: &[Role::Video], ..Options::default() });
    // As a front end of the original sends it: without the graph itself.
    let mut data = copy("6f95.mp4");
    data.definition = serde_json::Value::Null;
    setup.send_video(&urgent(data)).await;
    let error = setup.result().await.error.unwrap();
    assert_eq!(error.category, Category::UnsupportedType);
    assert!(error.message.contains("'mp4' is not supported; supported are jpg, png, webp"), "{error}");
    setup.until("imgflo_video.JOB", |queue| queue.unsettled == 0 && queue.dead_letters == 0).await;
}

#[tokio::test]
async fn a_store_that_fails_for_a_moment_is_tried_again() {
    let setup = Setup::new().await;
    let door = Door::new(&setup.store);
    door.broken.store(true, Ordering::SeqCst);
    door.open.add_permits(1);
    let _worker = setup.worker(Options { store: Some(door.clone()), ..Options::default() });
    setup.send(&urgent(copy("6f95.png"))).await;
    until(|| door.knocked.load(Ordering::SeqCst) == 2).await;
    door.broken.store(false, Ordering::SeqCst);
    door.open.add_permits(1);
    assert_eq!(setup.result().await.error, None);
}

#[tokio::test]
async fn the_job_of_a_worker_that_dies_is_done_by_another() {
    let setup = Setup::new().await;
    let engine = Gated::closed();
    let first = setup.worker(Options { engine: engine.clone(), ..Options::default() });
    let job = background(copy("6f95.png"));
    setup.send(&job).await;
    until(|| engine.begun() == 1).await;
    first.die().await;
    setup.until(BACKGROUND, |queue| queue.waiting == 1 && queue.unsettled == 0).await;
    // What it was doing stops as well.
    until(|| *engine.stopped.lock().unwrap() == [OpError::Cancelled]).await;
    assert_eq!(setup.stored("6f95.png").await, None);
    let _second = setup.worker(Options::default());
    let result = setup.result().await;
    assert_eq!((result.job.id, result.error), (job.id, None));
    assert!(setup.stored("6f95.png").await.is_some());
}

#[tokio::test]
async fn a_cancelled_job_stops_and_a_queued_one_is_not_begun() {
    let setup = Setup::new().await;
    let engine = Gated::closed();
    let _worker = setup.worker(Options { engine: engine.clone(), slots: 1, ..Options::default() });
    let jobs = ["a.png", "b.png", "c.png"].map(|key| urgent(copy(key)));
    for job in &jobs {
        setup.send(job).await;
    }
    until(|| engine.begun() == 1).await;
    setup.cancel(&jobs[1]).await;
    setup.cancel(&jobs[0]).await;
    let first = setup.result().await;
    assert_eq!((first.job.id.as_str(), first.error.unwrap().category), (jobs[0].id.as_str(), Category::Cancelled));
    until(|| *engine.stopped.lock().unwrap() == [OpError::Cancelled]).await;
    let second = setup.result().await;
    assert_eq!((second.job.id.as_str(), second.error.unwrap().category), (jobs[1].id.as_str(), Category::Cancelled));
    engine.open();
    assert_eq!(setup.result().await.error, None);
    assert_eq!(engine.begun(), 2, "the second was never begun");
    setup.until(URGENT, |queue| queue.unsettled == 0).await;
    assert_eq!(setup.queue(URGENT).dead_letters, 0);
}

#[tokio::test]
async fn background_jobs_are_never_cancelled() {
    let setup = Setup::new().await;
    let engine = Gated::closed();
    let _worker = setup.worker(Options { engine: engine.clone(), ..Options::default() });
    let job = background(copy("6f95.png"));
    setup.send(&job).await;
    until(|| engine.begun() == 1).await;
    setup.cancel(&job).await;
    let heard = |setup: &Setup| {
        let queues = setup.broker.queues();
        let queue = queues.iter().find(|queue| queue.name.ends_with(".JOBCANCEL")).unwrap();
        queue.waiting == 0 && queue.unsettled == 0
    };
    until(|| heard(&setup)).await;
    engine.open();
    assert_eq!(setup.result().await.error, None);
}

#[tokio::test]
async fn a_job_past_its_deadline_is_dropped_before_any_work() {
    let setup = Setup::new().await;
    let engine = Gated::closed();
    engine.open();
    let _worker = setup.worker(Options { engine: engine.clone(), ..Options::default() });
    let late = Job { deadline_at: Some(message::now() - 1), ..urgent(copy("6f95.png")) };
    let error = setup.run(&late).await.error.unwrap();
    assert_eq!(error.category, Category::DeadlineExceeded);
    assert_eq!(engine.begun(), 0);
    setup.until(URGENT, |queue| queue.unsettled == 0 && queue.dead_letters == 0).await;
}

#[tokio::test]
async fn a_job_that_was_begun_goes_on_past_its_deadline() {
    let setup = Setup::new().await;
    let engine = Gated::closed();
    let _worker = setup.worker(Options { engine: engine.clone(), ..Options::default() });
    let job = Job { deadline_at: Some(message::now() + 500), ..urgent(copy("6f95.png")) };
    setup.send(&job).await;
    until(|| engine.begun() == 1).await;
    until(|| message::now() > job.deadline_at.unwrap() + 20).await;
    engine.open();
    assert_eq!(setup.result().await.error, None);
}

#[tokio::test]
async fn the_engine_stops_at_the_end_of_a_jobs_time() {
    let setup = Setup::new().await;
    let engine = Gated::closed();
    let limits = Limits { background_deadline: Duration::from_millis(200), ..Limits::default() };
    let _worker = setup.worker(Options { engine: engine.clone(), limits, ..Options::default() });
    let error = setup.run(&background(copy("6f95.png"))).await.error.unwrap();
    assert_eq!(error.category, Category::DeadlineExceeded);
    until(|| engine.stopped.lock().unwrap().len() == engine.begun()).await;
}

/// A client that was told to ask again finds the result, unless its work takes much longer than was predicted.
#[tokio::test]
async fn an_urgent_job_is_stopped_long_before_a_background_job() {
    let setup = Setup::new().await;
    let engine = Gated::closed();
    let limits = Limits {
        urgent_deadline: Duration::from_millis(200),
        max_urgent_cpu_seconds: 1,
        background_deadline: Duration::from_secs(3600),
        ..Limits::default()
    };
    let _worker = setup.worker(Options { engine: engine.clone(), limits, ..Options::default() });
    let error = setup.run(&urgent(copy("6f95.png"))).await.error.unwrap();
    assert_eq!(error.category, Category::DeadlineExceeded);
    until(|| engine.stopped.lock().unwrap().len() == engine.begun()).await;
}

#[tokio::test]
async fn a_panic_is_reported_kept_as_a_dead_letter_and_survived() {
    let setup = Setup::new().await;
    let _worker = setup.worker(Options { engine: Panicking::once(), slots: 1, ..Options::default() });
    let error = setup.run(&urgent(copy("6f95.png"))).await.error.unwrap();
    assert_eq!(error.category, Category::Internal);
    assert!(!error.to_string().contains("inner/path"), "{error}");
    setup.until(URGENT, |queue| queue.dead_letters == 1).await;
    assert!(setup.broker.dead_letters(URGENT).unwrap()[0].death.reason.contains("inner/path"));
    assert_eq!(setup.run(&urgent(copy("6f95.png"))).await.error, None);
}

#[tokio::test]
async fn what_is_no_job_goes_to_the_dead_letters() {
    let setup = Setup::new().await;
    let _worker = setup.worker(Options { slots: 1, ..Options::default() });
    for message in ["{", "[]", "{\"id\": 3}"] {
        setup.broker.send("imgflo_api.URGENTJOB", message.into()).await.unwrap();
    }
    setup.until(URGENT, |queue| queue.dead_letters == 3).await;
    assert!(setup.broker.dead_letters(URGENT).unwrap()[0].death.reason.starts_with("no job:"));
    assert_eq!(setup.run(&urgent(copy("6f95.png"))).await.error, None);
}

#[tokio::test]
async fn a_graph_that_this_worker_does_not_know_is_reported_and_kept() {
    let setup = Setup::new().await;
    let _worker = setup.worker(Options::default());
    let job = urgent(ask("6f95.png", one_operation("gegl/from-the-future"), file("in.png")));
    let error = setup.run(&job).await.error.unwrap();
    assert_eq!(error.category, Category::Unavailable);
    assert!(error.message.contains("gegl/from-the-future"), "{error}");
    setup.until(URGENT, |queue| queue.dead_letters == 1).await;
}

#[tokio::test]
async fn shutdown_finishes_what_was_begun_and_takes_no_more() {
    let setup = Setup::new().await;
    let engine = Gated::closed();
    let worker = setup.worker(Options { engine: engine.clone(), slots: 1, ..Options::default() });
    setup.send(&urgent(copy("begun.png"))).await;
    until(|| engine.begun() == 1).await;
    setup.send(&urgent(copy("queued.png"))).await;
    worker.shutdown.cancel();
    engine.open();
    worker.ended().await.unwrap();
    assert_eq!(setup.result().await.job.data.cachekey, "begun.png");
    assert_eq!((setup.queue(URGENT).waiting, setup.queue(URGENT).unsettled), (1, 0));
}

#[tokio::test]
async fn a_closed_transport_ends_the_worker_with_an_error() {
    let setup = Setup::new().await;
    let worker = setup.worker(Options::default());
    setup.run(&urgent(copy("6f95.png"))).await;
    setup.broker.close().await;
    assert!(matches!(worker.ended().await, Err(Error::Transport(_))));
}

#[tokio::test]
async fn jobs_together_keep_the_memory_budget() {
    let setup = Setup::new().await;
    let engine = Gated::closed();
    // Each job needs a little more than 8 MiB.
    let options = Options { engine: engine.clone(), slots: 4, memory_budget: 20 << 20, ..Options::default() };
    let _worker = setup.worker(options);
    for key in ["a.png", "b.png", "c.png", "d.png"] {
        setup.send(&urgent(copy(key))).await;
    }
    until(|| engine.begun() == 2).await;
    setup.until(URGENT, |queue| queue.unsettled == 4).await;
    engine.open();
    for _ in 0..4 {
        assert_eq!(setup.result().await.error, None);
    }
    assert_eq!(engine.most_at_once.load(Ordering::SeqCst), 2);
}
