//! Jobs in flight: who waits for what.
//!
//! Equal requests share one job. When the last client that waited for an urgent job leaves, the job
//! is cancelled, unless somebody asked for the result to be stored (a `POST`) or its client was told
//! that work goes on (a 504 at the deadline). A client that waits while the same image is queued in
//! the background gets an urgent job, as the background may take long; whichever is done first
//! answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, Shared};
use imgflo_job::{Category, Job, JobData, JobError, JobResult, Urgency};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// What came of a job: the URL that its result message gave, or why there is none.
pub(crate) type Outcome = Result<Option<String>, JobError>;
/// Hands a job to its lane; done when the lane has it safely.
pub(crate) type Dispatch = Arc<dyn Fn(Job) -> BoxFuture<'static, Result<(), JobError>> + Send + Sync>;

/// What makes two requests one: the cache key, and whether the cache may answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct FlightKey {
    cache_key: String,
    no_cache: bool,
}

/// A job that was handed to a lane and is not finished.
struct Flying {
    job_id: String,
    /// Since when.
    since: Instant,
    /// Whether the lane has it, known as soon as it is.
    sent: Shared<BoxFuture<'static, Result<(), JobError>>>,
}

/// All that is under way for one key.
struct Flight {
    urgent: Option<Flying>,
    background: Option<Flying>,
    /// How many clients wait.
    waiters: usize,
    /// The urgent job is not to be cancelled, though nobody may wait.
    pinned: bool,
    /// A background job that joined the urgent one, should that one be dropped as late.
    ordered: Option<Job>,
    outcome: watch::Sender<Option<Outcome>>,
}

impl Flight {
    fn new() -> Self {
        Flight {
            urgent: None,
            background: None,
            waiters: 0,
            pinned: false,
            ordered: None,
            outcome: watch::Sender::new(None),
        }
    }

    fn lane(&mut self, urgency: Urgency) -> &mut Option<Flying> {
        match urgency {
            Urgency::Urgent => &mut self.urgent,
            Urgency::Background => &mut self.background,
        }
    }

    fn is_empty(&self) -> bool {
        self.urgent.is_none() && self.background.is_none()
    }
}

#[derive(Default)]
struct Board {
    flights: HashMap<FlightKey, Flight>,
    /// Which flight a job belongs to.
    jobs: HashMap<String, FlightKey>,
    last_result: Option<Instant>,
}

impl Board {
    fn remove(&mut self, key: &FlightKey) -> Option<Flight> {
        let flight = self.flights.remove(key)?;
        for flying in [&flight.urgent, &flight.background].into_iter().flatten() {
            self.jobs.remove(&flying.job_id);
        }
        Some(flight)
    }
}

/// The jobs in flight of one front end.
pub(crate) struct Flights {
    board: Mutex<Board>,
    dispatch: Dispatch,
    /// Ids of jobs that nobody waits for any more. Bounded by the number of jobs in flight.
    cancelled: mpsc::UnboundedSender<String>,
}

/// How things are, for `/readyz`.
#[derive(Debug, PartialEq)]
pub(crate) struct Traffic {
    /// Urgent jobs without a result.
    pub(crate) urgent: usize,
    /// Background jobs without a result.
    pub(crate) background: usize,
    /// How long the oldest urgent job is under way, if no result of any job has come since it began.
    pub(crate) unanswered_for: Option<Duration>,
}

impl Flights {
    /// A board without flights, and the ids to cancel.
    pub(crate) fn new(dispatch: Dispatch) -> (Arc<Self>, mpsc::UnboundedReceiver<String>) {
        let (cancelled, ids) = mpsc::unbounded_channel();
        (Arc::new(Flights { board: Mutex::default(), dispatch, cancelled }), ids)
    }

    /// Nothing that runs under the lock can leave the board half changed, so a poisoned lock is
    /// still good.
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a result: joins the urgent job of that key, or makes one. `job` is called only if
    /// there is none.
    pub(crate) fn wait_for(self: &Arc<Self>, cache_key: &str, no_cache: bool, job: impl FnOnce() -> Job) -> Waiter {
        let key = FlightKey { cache_key: cache_key.to_owned(), no_cache };
        let mut board = self.board();
        let Board { flights, jobs, .. } = &mut *board;
        let flight = flights.entry(key.clone()).or_insert_with(Flight::new);
        flight.waiters += 1;
        if flight.urgent.is_none() {
            flight.urgent = Some(self.launch(&key, job(), jobs));
        }
        let outcome = flight.outcome.subscribe();
        drop(board);
        Waiter { flights: Arc::clone(self), key, outcome, counted: true }
    }

    /// Has a result made when there is time. Joins whatever job of that key is in flight; returns
    /// when the lane has the job.
    ///
    /// # Errors
    /// The lane did not take it.
    pub(crate) async fn order(
        self: &Arc<Self>,
        cache_key: &str,
        no_cache: bool,
        job: impl FnOnce() -> Job,
    ) -> Result<(), JobError> {
        let key = FlightKey { cache_key: cache_key.to_owned(), no_cache };
        let sent = {
            let mut board = self.board();
            let Board { flights, jobs, .. } = &mut *board;
            let flight = flights.entry(key.clone()).or_insert_with(Flight::new);
            if flight.is_empty() {
                flight.background = Some(self.launch(&key, job(), jobs));
            } else if flight.background.is_none() {
                flight.pinned = true;
                flight.ordered.get_or_insert_with(job);
            }
            flight.background.as_ref().or(flight.urgent.as_ref()).map(|flying| flying.sent.clone())
        };
        match sent {
            Some(sent) => sent.await,
            None => Ok(()),
        }
    }

    /// Sends a job in a task of its own, so that it does not matter whether the client that asked
    /// first stays.
    fn launch(self: &Arc<Self>, key: &FlightKey, job: Job, jobs: &mut HashMap<String, FlightKey>) -> Flying {
        let (flights, job_id, urgency) = (Arc::clone(self), job.id.clone(), job.urgency);
        jobs.insert(job_id.clone(), key.clone());
        let sending = (self.dispatch)(job);
        let id = job_id.clone();
        let task = tokio::spawn(async move {
            let sent = sending.await;
            if let Err(error) = &sent {
                flights.fail(&id, urgency, error);
            }
            sent
        });
        let sent = async move {
            task.await.unwrap_or_else(|error| Err(JobError::new(Category::Internal, format!("sending a job: {error}"))))
        };
        Flying { job_id, since: Instant::now(), sent: sent.boxed().shared() }
    }

    /// Takes note of a finished job, of this front end or of another.
    pub(crate) fn settle(self: &Arc<Self>, result: JobResult) {
        self.board().last_result = Some(Instant::now());
        match result.error {
            Some(error) => self.fail(&result.job.id, result.job.urgency, &error),
            None => self.succeed(&result.job.data, &result.results.url),
        }
    }

    /// A result answers everybody who waits for its key, whoever made it.
    fn succeed(&self, data: &JobData, url: &Option<String>) {
        let mut board = self.board();
        // Who wants a result made anew is not served by one that the cache may have given.
        for no_cache in [false, true].into_iter().filter(|no_cache| data.no_cache || !no_cache) {
            if let Some(flight) = board.remove(&FlightKey { cache_key: data.cachekey.clone(), no_cache }) {
                flight.outcome.send_replace(Some(Ok(url.clone())));
            }
        }
    }

    /// A failure is that of one job only: another job of the same key may still succeed.
    fn fail(self: &Arc<Self>, job_id: &str, urgency: Urgency, error: &JobError) {
        let mut board = self.board();
        let Board { flights, jobs, .. } = &mut *board;
        let Some(key) = jobs.remove(job_id) else { return };
        let Some(flight) = flights.get_mut(&key) else { return };
        let lane = flight.lane(urgency);
        if lane.as_ref().is_some_and(|flying| flying.job_id == job_id) {
            *lane = None;
        }
        if urgency == Urgency::Urgent {
            flight.outcome.send_replace(Some(Err(error.clone())));
            // Those who wait are answered; a background job goes on in a flight of its own.
            let ordered = flight.ordered.take().filter(|_| error.category.retry());
            let background = flight.background.take().or_else(|| Some(self.launch(&key, ordered?, jobs)));
            if let Some(background) = background {
                let mut rest = Flight::new();
                rest.background = Some(background);
                flights.insert(key, rest);
                return;
            }
        }
        if flight.is_empty() {
            flights.remove(&key);
        }
    }

    /// Forgets jobs that nothing was heard of for so long that nothing will be: their worker or
    /// their result message is lost. Asking again makes a new job.
    pub(crate) fn forget(&self, urgent_after: Duration, background_after: Duration) {
        let mut board = self.board();
        let Board { flights, jobs, .. } = &mut *board;
        flights.retain(|_, flight| {
            for (lane, after) in [(&mut flight.urgent, urgent_after), (&mut flight.background, background_after)] {
                if let Some(flying) = lane.take_if(|flying| flying.since.elapsed() > after) {
                    tracing::warn!(job = %flying.job_id, "no result came for a job");
                    jobs.remove(&flying.job_id);
                }
            }
            if flight.is_empty() {
                flight.outcome.send_replace(Some(Err(JobError::new(Category::DeadlineExceeded, "no result came"))));
            }
            !flight.is_empty()
        });
    }

    /// How things are.
    pub(crate) fn traffic(&self) -> Traffic {
        let board = self.board();
        let urgent = || board.flights.values().filter_map(|flight| flight.urgent.as_ref());
        let oldest = urgent().map(|flying| flying.since).min();
        Traffic {
            urgent: urgent().count(),
            background: board.flights.values().filter(|flight| flight.background.is_some()).count(),
            unanswered_for: oldest
                .filter(|since| board.last_result.is_none_or(|last| last < *since))
                .map(|since| since.elapsed()),
        }
    }

    fn leave(&self, key: &FlightKey, outcome: &watch::Receiver<Option<Outcome>>, pin: bool) {
        let mut board = self.board();
        let Some(flight) = board.flights.get_mut(key) else { return };
        if !flight.outcome.subscribe().same_channel(outcome) {
            // That flight is settled; the one of the same key is another.
            return;
        }
        flight.waiters -= 1;
        flight.pinned |= pin;
        if flight.waiters > 0 || flight.pinned {
            return;
        }
        let Some(urgent) = flight.urgent.take() else { return };
        if flight.is_empty() {
            board.flights.remove(key);
        }
        board.jobs.remove(&urgent.job_id);
        // The receiver lives as long as the front end.
        let _ = self.cancelled.send(urgent.job_id);
    }
}

/// A client that waits. Dropping it says that the client left.
pub(crate) struct Waiter {
    flights: Arc<Flights>,
    key: FlightKey,
    outcome: watch::Receiver<Option<Outcome>>,
    /// False once the flight does not count this client any more.
    counted: bool,
}

impl Waiter {
    /// The outcome, or at `deadline` a failure while the job goes on.
    ///
    /// # Errors
    /// Those of the job; [`Category::DeadlineExceeded`].
    pub(crate) async fn outcome(mut self, deadline: Instant) -> Outcome {
        let settled = tokio::time::timeout_at(deadline, self.outcome.wait_for(Option::is_some)).await;
        let outcome = settled.map(|settled| settled.ok().and_then(|outcome| outcome.clone()));
        let Ok(outcome) = outcome else {
            self.flights.leave(&self.key, &self.outcome, true);
            self.counted = false;
            return Err(JobError::new(Category::DeadlineExceeded, "the client's deadline passed"));
        };
        outcome.unwrap_or_else(|| Err(JobError::new(Category::Internal, "a flight ended without an outcome")))
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if self.counted {
            self.flights.leave(&self.key, &self.outcome, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use imgflo_job::Results;

    use super::*;

    /// Flights, the jobs they sent, and the ids they cancelled.
    struct Rig {
        flights: Arc<Flights>,
        jobs: mpsc::UnboundedReceiver<Job>,
        cancelled: mpsc::UnboundedReceiver<String>,
    }

    fn rig() -> Rig {
        let (sender, jobs) = mpsc::unbounded_channel();
        let (flights, cancelled) = Flights::new(Arc::new(move |job| {
            let sender = sender.clone();
            async move { sender.send(job).map_err(|_| JobError::new(Category::Unavailable, "closed")) }.boxed()
        }));
        Rig { flights, jobs, cancelled }
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
        rig.flights.wait_for("k.png", false, || job(id, Urgency::Urgent))
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
            assert_eq!(waiter.outcome(later()).await, Ok(Some("./k.png".into())));
        }
        assert!(rig.jobs.try_recv().is_err());
        assert!(rig.cancelled.try_recv().is_err());
        assert!(idle(&rig));
    }

    #[tokio::test]
    async fn the_last_one_to_leave_cancels() {
        let mut rig = rig();
        let (first, second) = (urgent(&rig, "a"), urgent(&rig, "b"));
        drop(first);
        assert!(rig.cancelled.try_recv().is_err());
        drop(second);
        assert_eq!(rig.cancelled.try_recv().unwrap(), "a");
        assert!(idle(&rig));
        // Who comes then starts anew.
        let _third = urgent(&rig, "c");
        assert_eq!(rig.jobs.recv().await.unwrap().id, "a");
        assert_eq!(rig.jobs.recv().await.unwrap().id, "c");
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
        assert!(second.outcome(later()).await.is_ok());
    }

    #[tokio::test]
    async fn at_the_deadline_the_job_goes_on() {
        let mut rig = rig();
        let error = urgent(&rig, "a").outcome(Instant::now()).await.unwrap_err();
        assert_eq!(error.category, Category::DeadlineExceeded);
        assert!(rig.cancelled.try_recv().is_err());
        // The next one joins the same job.
        let next = urgent(&rig, "b");
        rig.flights.settle(done("a", Urgency::Urgent, None));
        assert!(next.outcome(later()).await.is_ok());
        assert_eq!(rig.jobs.recv().await.unwrap().id, "a");
        assert!(rig.jobs.try_recv().is_err());
    }

    #[tokio::test]
    async fn an_order_joins_what_is_in_flight_and_keeps_it() {
        let mut rig = rig();
        let waiter = urgent(&rig, "a");
        rig.flights.order("k.png", false, || job("b", Urgency::Background)).await.unwrap();
        drop(waiter);
        assert!(rig.cancelled.try_recv().is_err());
        assert_eq!(rig.jobs.recv().await.unwrap().id, "a");
        assert!(rig.jobs.try_recv().is_err());
    }

    #[tokio::test]
    async fn an_order_outlives_the_urgent_job_that_it_joined() {
        let mut rig = rig();
        let waiter = urgent(&rig, "a");
        rig.flights.order("k.png", false, || job("b", Urgency::Background)).await.unwrap();
        let late = JobError::new(Category::DeadlineExceeded, "dropped as late");
        rig.flights.settle(done("a", Urgency::Urgent, Some(late)));
        assert_eq!(waiter.outcome(later()).await.unwrap_err().category, Category::DeadlineExceeded);
        assert_eq!(rig.jobs.recv().await.unwrap().id, "a");
        assert_eq!(rig.jobs.recv().await.unwrap().id, "b");
        rig.flights.settle(done("b", Urgency::Background, None));
        assert!(idle(&rig));
    }

    #[tokio::test]
    async fn a_background_result_answers_who_waits() {
        let mut rig = rig();
        rig.flights.order("k.png", false, || job("slow", Urgency::Background)).await.unwrap();
        let waiter = urgent(&rig, "fast");
        assert_eq!(rig.jobs.recv().await.unwrap().id, "slow");
        assert_eq!(rig.jobs.recv().await.unwrap().id, "fast");
        rig.flights.settle(done("slow", Urgency::Background, None));
        assert!(waiter.outcome(later()).await.is_ok());
        assert!(idle(&rig));
    }

    #[tokio::test]
    async fn a_background_failure_does_not_answer_who_waits_for_an_urgent_job() {
        let rig = rig();
        rig.flights.order("k.png", false, || job("slow", Urgency::Background)).await.unwrap();
        let waiter = urgent(&rig, "fast");
        let failure = JobError::new(Category::OriginFailed, "404");
        rig.flights.settle(done("slow", Urgency::Background, Some(failure.clone())));
        rig.flights.settle(done("fast", Urgency::Urgent, None));
        assert!(waiter.outcome(later()).await.is_ok());

        rig.flights.order("k.png", false, || job("slow", Urgency::Background)).await.unwrap();
        let waiter = urgent(&rig, "fast");
        rig.flights.settle(done("fast", Urgency::Urgent, Some(failure.clone())));
        assert_eq!(waiter.outcome(later()).await, Err(failure));
        assert_eq!(rig.flights.traffic().background, 1);
    }

    #[tokio::test]
    async fn one_made_anew_answers_all_but_not_the_other_way_round() {
        let rig = rig();
        let plain = urgent(&rig, "a");
        let mut anew = rig.flights.wait_for("k.png", true, || job("b", Urgency::Urgent));
        rig.flights.settle(done("a", Urgency::Urgent, None));
        assert!(plain.outcome(later()).await.is_ok());
        assert!(anew.outcome.borrow_and_update().is_none());
        let plain = urgent(&rig, "c");
        let mut result = done("b", Urgency::Urgent, None);
        result.job.data.no_cache = true;
        rig.flights.settle(result);
        assert!(anew.outcome(later()).await.is_ok());
        assert!(plain.outcome(later()).await.is_ok());
    }

    #[tokio::test]
    async fn a_lane_that_refuses_answers_all() {
        let (flights, _cancelled) =
            Flights::new(Arc::new(|_| async { Err(JobError::new(Category::Overloaded, "full")) }.boxed()));
        let waiters: Vec<_> = (0..3).map(|_| flights.wait_for("k", false, || job("a", Urgency::Urgent))).collect();
        for waiter in waiters {
            assert_eq!(waiter.outcome(later()).await.unwrap_err().category, Category::Overloaded);
        }
        let refused = flights.order("k", false, || job("b", Urgency::Background)).await.unwrap_err();
        assert_eq!(refused.category, Category::Overloaded);
        assert!(flights.board().flights.is_empty());
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
        assert_eq!(waiter.outcome(later()).await.unwrap_err().category, Category::DeadlineExceeded);
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
}
