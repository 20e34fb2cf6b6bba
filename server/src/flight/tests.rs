//! The flights of one front end.

mod lost;
mod shared;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use imgflo_cache::{CacheError, Claim, LocalClaims, LocalStore};
use imgflo_job::{Limits, Results, key, message};
use tempfile::TempDir;

use super::*;

/// What front ends share.
struct Ground {
    claims: Arc<dyn Claims>,
    store: Arc<dyn Store>,
    _folder: TempDir,
}

/// Flights, the jobs they sent, and the ids they cancelled.
struct Rig {
    flights: Arc<Flights>,
    jobs: mpsc::UnboundedReceiver<Job>,
    cancelled: mpsc::UnboundedReceiver<String>,
    stop: CancellationToken,
}

/// Nothing is looked for, and no claim ends, during a test.
const SLOW: Pace = {
    let hour = Duration::from_secs(3600);
    Pace { urgent_lease: hour, background_lease: hour, waited_for: hour, abandoned: hour, background: hour }
};
const FAST: Pace = {
    // Far apart: on a busy machine a renewal can be late.
    let (lease, period) = (Duration::from_millis(1000), Duration::from_millis(30));
    Pace { urgent_lease: lease, background_lease: lease, waited_for: period, abandoned: period, background: period }
};

impl Ground {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(LocalStore::open(folder.path(), 1 << 20).unwrap());
        Ground { claims: Arc::new(LocalClaims::default()), store, _folder: folder }
    }

    /// A front end.
    fn rig(&self, holder: &str, pace: Pace) -> Rig {
        let (sender, jobs) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let (flights, cancelled) = Flights::new(Means {
            dispatch: Arc::new(move |commission| {
                let sender = sender.clone();
                async move { sender.send(commission.job).map_err(|_| JobError::new(Category::Unavailable, "closed")) }
                    .boxed()
            }),
            claims: Arc::clone(&self.claims),
            store: Arc::clone(&self.store),
            staffed: Arc::new(|| async { true }.boxed()),
            waiting: Arc::new(|| async { None }.boxed()),
            places: Places::new(&Limits::default()),
            holder: holder.into(),
            pace,
            stop: stop.clone(),
        });
        Rig { flights, jobs, cancelled, stop }
    }

    async fn put(&self) {
        self.store.put("k.png", Bytes::from_static(b"picture"), true).await.unwrap();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A front end alone.
fn rig() -> Rig {
    Ground::new().rig("one", SLOW)
}

fn job(id: &str, urgency: Urgency) -> Job {
    let data = serde_json::json!({
        "graphspec": "crop.png", "graph": "crop", "files": {}, "iips": {}, "outtype": "png", "apikey": null,
        "token": null, "cachekey": "k.png", "query": "", "request": "/graph/crop.png", "noCache": false,
        "debugUrl": null, "runtime": "imgflo", "definition": {}
    });
    Job {
        urgency,
        kind: "process-image".into(),
        id: id.into(),
        created_at: 0,
        callback: None,
        deadline_at: None,
        from: None,
        data: serde_json::from_value(data).unwrap(),
    }
}

fn done(id: &str, urgency: Urgency, error: Option<JobError>) -> JobResult {
    let mut result: JobResult = serde_json::from_value(serde_json::to_value(job(id, urgency)).unwrap()).unwrap();
    result.results = Results { url: Some("./k.png".into()) };
    result.error = error;
    result
}

fn urgent(rig: &Rig, id: &'static str) -> Waiter {
    rig.flights.wait_for(wanted(false), 0, || job(id, Urgency::Urgent))
}

fn wanted(no_cache: bool) -> Wanted<'static> {
    Wanted { cache_key: "k.png", no_cache, looked_up: Instant::now() }
}

/// What comes of it, without a deadline.
async fn outcome(waiter: Waiter) -> Outcome {
    waiter.outcome(later(), std::future::pending()).await
}

/// Waits until something has become true.
async fn until(mut condition: impl FnMut() -> bool) {
    let end = later();
    while !condition() {
        assert!(Instant::now() < end, "what is waited for does not happen");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn idle(rig: &Rig) -> bool {
    let board = rig.flights.board();
    board.flights.is_empty() && board.jobs.is_empty()
}

#[tokio::test]
async fn equal_requests_share_a_job() {
    let mut rig = rig();
    let waiters: Vec<_> = ["a", "b", "c"].map(|id| urgent(&rig, id)).into();
    assert_eq!(rig.jobs.recv().await.unwrap().id, "a");
    rig.flights.settle(done("a", Urgency::Urgent, None));
    for waiter in waiters {
        assert_eq!(outcome(waiter).await, Ok("k.png".into()));
    }
    assert!(rig.jobs.try_recv().is_err());
    assert!(rig.cancelled.try_recv().is_err());
    assert!(idle(&rig));
}

#[tokio::test]
async fn the_last_one_to_leave_cancels() {
    let mut rig = rig();
    let (first, second) = (urgent(&rig, "a"), urgent(&rig, "b"));
    assert_eq!(rig.jobs.recv().await.unwrap().id, "a");
    drop(first);
    assert!(rig.cancelled.try_recv().is_err());
    drop(second);
    assert_eq!(rig.cancelled.try_recv().unwrap(), "a");
    assert!(idle(&rig));
    // Who comes then starts anew.
    let third = urgent(&rig, "c");
    assert_eq!(rig.jobs.recv().await.unwrap().id, "c");
    drop(third);
    assert_eq!(rig.cancelled.try_recv().unwrap(), "c");
    // Who leaves before the job is sent has none to cancel.
    drop(urgent(&rig, "d"));
    tokio::task::yield_now().await;
    assert!(rig.jobs.try_recv().is_err());
    assert!(rig.cancelled.try_recv().is_err());
}

#[tokio::test]
async fn a_settled_flight_does_not_disturb_the_next() {
    let mut rig = rig();
    let first = urgent(&rig, "a");
    rig.flights.settle(done("a", Urgency::Urgent, None));
    let second = urgent(&rig, "b");
    drop(first);
    assert!(rig.cancelled.try_recv().is_err());
    rig.flights.settle(done("b", Urgency::Urgent, None));
    assert!(outcome(second).await.is_ok());
}

#[tokio::test]
async fn at_the_deadline_the_job_goes_on() {
    let mut rig = rig();
    let waiter = urgent(&rig, "a");
    assert_eq!(rig.jobs.recv().await.unwrap().id, "a");
    let error = waiter.outcome(Instant::now(), std::future::pending()).await.unwrap_err();
    assert_eq!(error.category, Category::DeadlineExceeded);
    assert!(rig.cancelled.try_recv().is_err());
    // The next one joins the same job.
    let next = urgent(&rig, "b");
    rig.flights.settle(done("a", Urgency::Urgent, None));
    assert!(outcome(next).await.is_ok());
    assert!(rig.jobs.try_recv().is_err());
}

#[tokio::test]
async fn when_the_server_stops_clients_are_told_and_the_job_goes_on() {
    let mut rig = rig();
    let waiter = urgent(&rig, "a");
    assert_eq!(rig.jobs.recv().await.unwrap().id, "a");
    let error = waiter.outcome(later(), std::future::ready(())).await.unwrap_err();
    assert_eq!(error.category, Category::Unavailable);
    assert!(rig.cancelled.try_recv().is_err());
    assert!(!idle(&rig));
}

#[tokio::test]
async fn an_order_joins_what_is_in_flight_and_keeps_it() {
    let mut rig = rig();
    let waiter = urgent(&rig, "a");
    rig.flights.order(wanted(false), || job("b", Urgency::Background)).await.unwrap();
    drop(waiter);
    assert_eq!(rig.jobs.recv().await.unwrap().id, "a");
    assert!(rig.cancelled.try_recv().is_err());
    assert!(rig.jobs.try_recv().is_err());
    assert!(!idle(&rig));
}

#[tokio::test]
async fn an_order_outlives_the_urgent_job_that_it_joined() {
    let mut rig = rig();
    let waiter = urgent(&rig, "a");
    rig.flights.order(wanted(false), || job("b", Urgency::Background)).await.unwrap();
    let late = JobError::new(Category::DeadlineExceeded, "dropped as late");
    rig.flights.settle(done("a", Urgency::Urgent, Some(late)));
    assert_eq!(outcome(waiter).await.unwrap_err().category, Category::DeadlineExceeded);
    assert_eq!(rig.jobs.recv().await.unwrap().id, "a");
    assert_eq!(rig.jobs.recv().await.unwrap().id, "b");
    rig.flights.settle(done("b", Urgency::Background, None));
    assert!(idle(&rig));
}

#[tokio::test]
async fn a_background_result_answers_who_waits() {
    let mut rig = rig();
    rig.flights.order(wanted(false), || job("slow", Urgency::Background)).await.unwrap();
    let waiter = urgent(&rig, "fast");
    assert_eq!(rig.jobs.recv().await.unwrap().id, "slow");
    assert_eq!(rig.jobs.recv().await.unwrap().id, "fast");
    rig.flights.settle(done("slow", Urgency::Background, None));
    assert!(outcome(waiter).await.is_ok());
    assert!(idle(&rig));
}

#[tokio::test]
async fn a_background_failure_does_not_answer_who_waits_for_an_urgent_job() {
    let rig = rig();
    rig.flights.order(wanted(false), || job("slow", Urgency::Background)).await.unwrap();
    let waiter = urgent(&rig, "fast");
    let failure = JobError::new(Category::OriginFailed, "404");
    rig.flights.settle(done("slow", Urgency::Background, Some(failure.clone())));
    rig.flights.settle(done("fast", Urgency::Urgent, None));
    assert!(outcome(waiter).await.is_ok());

    rig.flights.order(wanted(false), || job("slow", Urgency::Background)).await.unwrap();
    let waiter = urgent(&rig, "fast");
    rig.flights.settle(done("fast", Urgency::Urgent, Some(failure.clone())));
    assert_eq!(outcome(waiter).await, Err(failure));
    assert_eq!(rig.flights.traffic().background, 1);
}

#[tokio::test]
async fn one_made_anew_answers_all_but_not_the_other_way_round() {
    let rig = rig();
    let plain = urgent(&rig, "a");
    let mut anew = rig.flights.wait_for(wanted(true), 0, || job("b", Urgency::Urgent));
    rig.flights.settle(done("a", Urgency::Urgent, None));
    assert!(outcome(plain).await.is_ok());
    assert!(anew.outcome.borrow_and_update().is_none());
    let plain = urgent(&rig, "c");
    let mut result = done("b", Urgency::Urgent, None);
    result.job.data.no_cache = true;
    rig.flights.settle(result);
    assert!(outcome(anew).await.is_ok());
    assert!(outcome(plain).await.is_ok());
}

#[tokio::test]
async fn a_lane_that_refuses_answers_all() {
    let ground = Ground::new();
    let full = || JobError::new(Category::Overloaded, "full");
    let (flights, _cancelled) = Flights::new(Means {
        dispatch: Arc::new(move |_| async move { Err(full()) }.boxed()),
        claims: Arc::clone(&ground.claims),
        store: Arc::clone(&ground.store),
        staffed: Arc::new(|| async { true }.boxed()),
        waiting: Arc::new(|| async { None }.boxed()),
        places: Places::new(&Limits::default()),
        holder: "full".into(),
        pace: SLOW,
        stop: CancellationToken::new(),
    });
    let waiters: Vec<_> = (0..3).map(|_| flights.wait_for(wanted(false), 0, || job("a", Urgency::Urgent))).collect();
    for waiter in waiters {
        assert_eq!(outcome(waiter).await.unwrap_err().category, Category::Overloaded);
    }
    let refused = flights.order(wanted(false), || job("b", Urgency::Background)).await.unwrap_err();
    assert_eq!(refused.category, Category::Overloaded);
    assert!(flights.board().flights.is_empty());
    // Another front end need not wait for the end of a claim that nobody uses.
    let mut other = ground.rig("other", FAST);
    let _waiter = urgent(&other, "c");
    assert_eq!(other.jobs.recv().await.unwrap().id, "c");
}

#[tokio::test]
async fn a_job_that_nothing_is_heard_of_is_forgotten() {
    let rig = rig();
    let waiter = urgent(&rig, "a");
    assert!(rig.flights.traffic().unanswered_for.is_some());
    rig.flights.forget(Duration::from_secs(60), Duration::ZERO);
    assert!(!idle(&rig));
    rig.flights.forget(Duration::ZERO, Duration::from_secs(60));
    assert!(idle(&rig));
    assert_eq!(outcome(waiter).await.unwrap_err().category, Category::DeadlineExceeded);
}

#[tokio::test]
async fn a_result_of_whatever_job_says_that_workers_live() {
    let rig = rig();
    let _waiter = urgent(&rig, "a");
    rig.flights.settle(done("x", Urgency::Background, Some(JobError::new(Category::Internal, ""))));
    assert_eq!(rig.flights.traffic().unanswered_for, None);
    assert_eq!(rig.flights.traffic().urgent, 1);
}

#[tokio::test]
async fn results_of_unknown_jobs_are_no_harm() {
    let rig = rig();
    rig.flights.settle(done("x", Urgency::Urgent, Some(JobError::new(Category::Cancelled, ""))));
    rig.flights.settle(done("x", Urgency::Urgent, None));
    assert!(idle(&rig));
}

#[tokio::test]
async fn who_looked_just_before_a_result_came_is_answered_at_once() {
    let mut rig = rig();
    let before = wanted(false);
    rig.flights.settle(done("x", Urgency::Urgent, None));
    let waiter = rig.flights.wait_for(before, 0, || job("a", Urgency::Urgent));
    assert_eq!(outcome(waiter).await, Ok("k.png".into()));
    rig.flights.order(before, || job("b", Urgency::Background)).await.unwrap();
    // Not so who wants it anew, or looked later and did not find it.
    let _anew = rig.flights.wait_for(Wanted { no_cache: true, ..before }, 0, || job("c", Urgency::Urgent));
    assert_eq!(rig.jobs.recv().await.unwrap().id, "c");
    let _later = urgent(&rig, "d");
    assert_eq!(rig.jobs.recv().await.unwrap().id, "d");
}

#[tokio::test]
async fn a_lost_result_is_found_in_the_store() {
    let ground = Ground::new();
    let mut rig = ground.rig("one", FAST);
    let waiters = [urgent(&rig, "a"), urgent(&rig, "b")];
    assert_eq!(rig.jobs.recv().await.unwrap().id, "a");
    ground.put().await;
    for waiter in waiters {
        assert_eq!(outcome(waiter).await, Ok("k.png".into()));
    }
    assert!(idle(&rig));
    // One that was there before does not do for who wants it anew.
    let anew = |id| Job { created_at: message::now() + 500, ..job(id, Urgency::Urgent) };
    let mut waiter = rig.flights.wait_for(wanted(true), 0, || anew("c"));
    tokio::time::sleep(FAST.waited_for * 4).await;
    assert!(waiter.outcome.borrow_and_update().is_none());
    tokio::time::sleep(Duration::from_millis(500)).await;
    ground.put().await;
    assert_eq!(outcome(waiter).await, Ok("k.png".into()));
}

#[tokio::test]
async fn all_flights_look_at_once_when_told_to() {
    let ground = Ground::new();
    let pace = Pace { waited_for: Duration::from_millis(1), ..SLOW };
    let mut rig = ground.rig("one", Pace { waited_for: SLOW.waited_for, ..pace });
    let waiter = urgent(&rig, "a");
    assert_eq!(rig.jobs.recv().await.unwrap().id, "a");
    ground.put().await;
    rig.flights.look();
    assert_eq!(outcome(waiter).await, Ok("k.png".into()));
    let mut rig = ground.rig("two", pace);
    rig.flights.order(wanted(false), || job("b", Urgency::Background)).await.unwrap();
    assert_eq!(rig.jobs.recv().await.unwrap().id, "b");
    rig.flights.look();
    until(|| idle(&rig)).await;
}

#[tokio::test]
async fn what_was_given_up_is_told_with_its_reason() {
    let ground = Ground::new();
    let mut rig = ground.rig("one", FAST);
    for urgency in [Urgency::Urgent, Urgency::Background] {
        let hour = Duration::from_secs(3600);
        ground.claims.refuse(&key::claim(urgency, "k.png"), "rendering ended its own process", hour).await.unwrap();
    }
    let expected = Err(JobError::new(Category::GivenUp, "rendering ended its own process"));
    assert_eq!(outcome(urgent(&rig, "a")).await, expected);
    let anew = rig.flights.wait_for(wanted(true), 0, || job("b", Urgency::Urgent));
    assert_eq!(outcome(anew).await, expected);
    let ordered = rig.flights.order(wanted(false), || job("c", Urgency::Background)).await;
    assert_eq!(ordered.unwrap_err().category, Category::GivenUp);
    assert!(idle(&rig));
    assert!(rig.jobs.try_recv().is_err());
}

/// Claims that nobody can make.
struct Away;

#[async_trait]
impl Claims for Away {
    async fn claim(&self, key: &str, _: &str, _: Duration) -> Result<Claim, CacheError> {
        self.allow(key).await.map(|()| Claim::Held)
    }

    async fn release(&self, key: &str, _: &str) -> Result<(), CacheError> {
        self.allow(key).await
    }

    async fn refuse(&self, key: &str, _: &str, _: Duration) -> Result<(), CacheError> {
        self.allow(key).await
    }

    async fn allow(&self, key: &str) -> Result<(), CacheError> {
        Err(CacheError::Io { action: "claim", key: key.into(), source: std::io::Error::other("it is away") })
    }
}

/// Claims that are never answered.
struct Silent;

#[async_trait]
impl Claims for Silent {
    async fn claim(&self, _: &str, _: &str, _: Duration) -> Result<Claim, CacheError> {
        std::future::pending().await
    }

    async fn release(&self, _: &str, _: &str) -> Result<(), CacheError> {
        std::future::pending().await
    }

    async fn refuse(&self, _: &str, _: &str, _: Duration) -> Result<(), CacheError> {
        std::future::pending().await
    }

    async fn allow(&self, _: &str) -> Result<(), CacheError> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn without_claims_results_are_made_all_the_same() {
    let claims: [Arc<dyn Claims>; 2] = [Arc::new(Away), Arc::new(Silent)];
    for claims in claims {
        let ground = Ground { claims, ..Ground::new() };
        let mut rig = ground.rig("one", FAST);
        let waiter = urgent(&rig, "a");
        assert_eq!(rig.jobs.recv().await.unwrap().id, "a");
        rig.flights.settle(done("a", Urgency::Urgent, None));
        assert!(outcome(waiter).await.is_ok());
    }
}
