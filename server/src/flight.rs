//! Jobs in flight: who waits for what.
//!
//! Equal requests share one job. When the last client that waited for an urgent job leaves, the job
//! is cancelled, unless somebody asked for the result to be stored (a `POST`) or its client was told
//! that work goes on (a 504 at the deadline). A client that waits while the same image is queued in
//! the background gets an urgent job, as the background may take long; whichever is done first
//! answers.
//!
//! Several front ends share one job, too: each has a [`drive`]r for what it wants made, which claims
//! the key and sends a job, or waits for the one of another front end.

mod drive;
mod share;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use imgflo_apps::Reservation;
use imgflo_cache::{Claims, Store};
use imgflo_job::{Category, Job, JobError, JobResult, Source, Urgency};
use lru::LruCache;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::drive::Driver;
pub(crate) use self::drive::Pace;
use self::share::Asking;
pub(crate) use self::share::Places;

/// What came of a job: the key under which its result is said to be stored, or why there is none.
pub(crate) type Outcome = Result<String, JobError>;
/// Hands a job to its lane; done when the lane has it safely.
pub(crate) type Dispatch = Arc<dyn Fn(Commission) -> BoxFuture<'static, Result<(), JobError>> + Send + Sync>;
/// Asks whether there are workers.
pub(crate) type Staffed = Arc<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;
/// Asks how many jobs wait in the urgent lane; `None` when nobody can say.
pub(crate) type Waiting = Arc<dyn Fn() -> BoxFuture<'static, Option<usize>> + Send + Sync>;

/// A job, and what its application has set aside for it.
#[derive(Debug)]
pub(crate) struct Commission {
    pub(crate) job: Job,
    pub(crate) reservation: Option<Reservation>,
}

impl From<Job> for Commission {
    /// A job that is not counted.
    fn from(job: Job) -> Self {
        Commission { job, reservation: None }
    }
}

/// Whether somebody has a job safely: its lane, or another front end. None as long as that is open.
type Accepted = Option<Result<(), JobError>>;

/// Results that have come lately, remembered for who looked into the store just before they came.
const LANDINGS: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// What flights need of the rest of the system.
pub(crate) struct Means {
    pub(crate) dispatch: Dispatch,
    /// Which front end has a result made.
    pub(crate) claims: Arc<dyn Claims>,
    /// Where results are.
    pub(crate) store: Arc<dyn Store>,
    /// True unless it is certain that no worker is there to take urgent jobs.
    pub(crate) staffed: Staffed,
    pub(crate) waiting: Waiting,
    pub(crate) places: Places,
    /// Who we are, for claims.
    pub(crate) holder: String,
    pub(crate) pace: Pace,
    /// Ends all flights, with the front end.
    pub(crate) stop: CancellationToken,
}

/// What makes two requests one: the cache key, and whether the cache may answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct FlightKey {
    cache_key: String,
    no_cache: bool,
}

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) cache_key: &'a str,
    /// True: a stored result does not do.
    pub(crate) no_cache: bool,
    /// When the store was asked for it, in vain: a result that came since then does.
    pub(crate) looked_up: Instant,
}

impl Wanted<'_> {
    fn key(&self) -> FlightKey {
        FlightKey { cache_key: self.cache_key.to_owned(), no_cache: self.no_cache }
    }
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    /// Its key is being claimed.
    Claiming,
    /// Another front end makes the result.
    Held,
    /// It was handed to its lane.
    Sent,
}

/// A job that is not finished.
struct Flying {
    job_id: String,
    /// Host that its input comes from; `None` = this server.
    host: Option<String>,
    /// Since when.
    since: Instant,
    stage: Stage,
    accepted: watch::Receiver<Accepted>,
    /// Has its driver look at once.
    wake: Arc<Notify>,
    /// Set when its message was lost on the broker: its driver sends it again.
    lost: Arc<AtomicBool>,
    /// Ends its driver.
    _stop: DropGuard,
}

/// All that is under way for one key.
struct Flight {
    urgent: Option<Flying>,
    background: Option<Flying>,
    /// How many clients wait.
    waiters: usize,
    /// Until when the last of them waits, ms since 1970.
    deadline_at: u64,
    /// The urgent job is not to be cancelled, though nobody may wait.
    pinned: bool,
    /// A background job that joined the urgent one, should that one be dropped as late.
    ordered: Option<Box<Commission>>,
    outcome: watch::Sender<Option<Outcome>>,
}

impl Flight {
    fn new() -> Self {
        Flight {
            urgent: None,
            background: None,
            waiters: 0,
            deadline_at: 0,
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

struct Board {
    flights: HashMap<FlightKey, Flight>,
    /// Which flight a job belongs to.
    jobs: HashMap<String, FlightKey>,
    /// When results came, and the keys that they are stored under, by cache key.
    landings: LruCache<String, (Instant, String)>,
    last_result: Option<Instant>,
    /// Hosts whose pictures are asked for.
    asking: Asking,
}

impl Board {
    fn remove(&mut self, key: &FlightKey) -> Option<Flight> {
        let flight = self.flights.remove(key)?;
        for flying in [&flight.urgent, &flight.background].into_iter().flatten() {
            self.jobs.remove(&flying.job_id);
        }
        Some(flight)
    }

    /// The key under which a result is stored that came since `then`.
    fn landed_since(&self, cache_key: &str, then: Instant) -> Option<String> {
        self.landings.peek(cache_key).filter(|(at, _)| *at >= then).map(|(_, stored)| stored.clone())
    }

    /// The flight of a job that is not finished, and the job's place in it.
    fn flight_of(&mut self, job_id: &str, urgency: Urgency) -> Option<&mut Flight> {
        let flight = self.flights.get_mut(self.jobs.get(job_id)?)?;
        let flies = flight.lane(urgency).as_ref().is_some_and(|flying| flying.job_id == job_id);
        flies.then_some(flight)
    }
}

/// The jobs in flight of one front end.
pub(crate) struct Flights {
    board: Mutex<Board>,
    means: Means,
    /// Ids of jobs that nobody waits for any more. Bounded by the number of jobs in flight.
    cancelled: mpsc::UnboundedSender<String>,
    /// Has all drivers look into the store.
    look: watch::Sender<()>,
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
    pub(crate) fn new(means: Means) -> (Arc<Self>, mpsc::UnboundedReceiver<String>) {
        let (cancelled, ids) = mpsc::unbounded_channel();
        let board = Board {
            flights: HashMap::new(),
            jobs: HashMap::new(),
            landings: LruCache::new(LANDINGS),
            last_result: None,
            asking: Asking::default(),
        };
        let look = watch::Sender::new(());
        (Arc::new(Flights { board: Mutex::new(board), means, cancelled, look }), ids)
    }

    /// Nothing that runs under the lock can leave the board half changed, so a poisoned lock is
    /// still good.
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a result until `deadline_at` (ms since 1970): joins the urgent job of that key, or
    /// makes one. `job` is called only if there is none.
    pub(crate) fn wait_for<J: Into<Commission>>(
        self: &Arc<Self>,
        wanted: Wanted<'_>,
        deadline_at: u64,
        job: impl FnOnce() -> J,
    ) -> Waiter {
        let key = wanted.key();
        let mut board = self.board();
        if !wanted.no_cache
            && let Some(stored) = board.landed_since(wanted.cache_key, wanted.looked_up)
        {
            let outcome = watch::channel(Some(Ok(stored))).1;
            drop(board);
            return Waiter { flights: Arc::clone(self), key, outcome, counted: false };
        }
        let Board { flights, jobs, .. } = &mut *board;
        let flight = flights.entry(key.clone()).or_insert_with(Flight::new);
        flight.waiters += 1;
        flight.deadline_at = flight.deadline_at.max(deadline_at);
        if flight.urgent.is_none() {
            flight.urgent = Some(self.launch(&key, job().into(), jobs));
        }
        let outcome = flight.outcome.subscribe();
        drop(board);
        Waiter { flights: Arc::clone(self), key, outcome, counted: true }
    }

    /// Has a result made when there is time. Joins whatever job of that key is in flight; returns
    /// when somebody has the job safely.
    ///
    /// # Errors
    /// The lane did not take it, or the result cannot be made.
    pub(crate) async fn order<J: Into<Commission>>(
        self: &Arc<Self>,
        wanted: Wanted<'_>,
        job: impl FnOnce() -> J,
    ) -> Result<(), JobError> {
        let key = wanted.key();
        let accepted = {
            let mut board = self.board();
            if !wanted.no_cache && board.landed_since(wanted.cache_key, wanted.looked_up).is_some() {
                return Ok(());
            }
            let Board { flights, jobs, .. } = &mut *board;
            let flight = flights.entry(key.clone()).or_insert_with(Flight::new);
            if flight.is_empty() {
                flight.background = Some(self.launch(&key, job().into(), jobs));
            } else if flight.background.is_none() {
                flight.pinned = true;
                flight.ordered.get_or_insert_with(|| Box::new(job().into()));
            }
            flight.background.as_ref().or(flight.urgent.as_ref()).map(|flying| flying.accepted.clone())
        };
        let Some(mut accepted) = accepted else { return Ok(()) };
        match accepted.wait_for(Option::is_some).await {
            Ok(accepted) => accepted.clone().unwrap_or(Ok(())),
            // Its driver ended before: the result came meanwhile.
            Err(_) => Ok(()),
        }
    }

    /// Drives a job in a task of its own, so that it does not matter whether the client that asked
    /// first stays.
    fn launch(
        self: &Arc<Self>,
        key: &FlightKey,
        commission: Commission,
        jobs: &mut HashMap<String, FlightKey>,
    ) -> Flying {
        let job_id = commission.job.id.clone();
        let host = commission.job.data.source.as_ref().and_then(Source::host);
        jobs.insert(job_id.clone(), key.clone());
        let (accept, accepted) = watch::channel(None);
        let (stop, wake, lost) = (self.means.stop.child_token(), Arc::default(), Arc::default());
        let signs = (Arc::clone(&wake), Arc::clone(&lost));
        let driver = Driver::new(Arc::clone(self), key.clone(), commission, accept, signs);
        tokio::spawn(driver.run(stop.clone()));
        Flying {
            job_id,
            host,
            since: Instant::now(),
            stage: Stage::Claiming,
            accepted,
            wake,
            lost,
            _stop: stop.drop_guard(),
        }
    }

    /// Takes note of a finished job, of this front end or of another.
    pub(crate) fn settle(self: &Arc<Self>, result: JobResult) {
        let mut board = self.board();
        board.last_result = Some(Instant::now());
        let stored = result.key();
        let JobResult { job: Job { id, urgency, data, .. }, error, .. } = result;
        let Some(error) = error else { return land(&mut board, &data.cachekey, data.no_cache, &stored) };
        if let Some(key) = board.jobs.get(&id).cloned() {
            return self.fail_in(&mut board, &key, &id, urgency, &error);
        }
        // The job of another front end; we may wait for the same result.
        let key = FlightKey { cache_key: data.cachekey, no_cache: false };
        let flying = board.flights.get_mut(&key).and_then(|flight| flight.lane(urgency).as_ref());
        let Some(flying) = flying.filter(|flying| flying.stage == Stage::Held) else { return };
        if matches!(error.category, Category::Cancelled | Category::DeadlineExceeded) {
            // Nobody waits there any more, but here somebody does.
            flying.wake.notify_one();
        } else {
            let id = flying.job_id.clone();
            self.fail_in(&mut board, &key, &id, urgency, &error);
        }
    }

    /// Answers all who wait for a key: its result is stored under `stored`. `anew`: it was made just now.
    fn found(&self, cache_key: &str, anew: bool, stored: &str) {
        land(&mut self.board(), cache_key, anew, stored);
    }

    /// Ends a job of ours without result.
    fn fail(self: &Arc<Self>, job_id: &str, urgency: Urgency, error: &JobError) {
        let mut board = self.board();
        let Some(key) = board.jobs.get(job_id).cloned() else { return };
        self.fail_in(&mut board, &key, job_id, urgency, error);
    }

    /// A failure is that of one job only: another job of the same key may still succeed.
    fn fail_in(self: &Arc<Self>, board: &mut Board, key: &FlightKey, job_id: &str, urgency: Urgency, error: &JobError) {
        let Board { flights, jobs, .. } = board;
        jobs.remove(job_id);
        let Some(flight) = flights.get_mut(key) else { return };
        let lane = flight.lane(urgency);
        if lane.as_ref().is_some_and(|flying| flying.job_id == job_id) {
            *lane = None;
        }
        if urgency == Urgency::Urgent {
            flight.outcome.send_replace(Some(Err(error.clone())));
            // Those who wait are answered; a background job goes on in a flight of its own.
            let ordered = flight.ordered.take().filter(|_| error.category.retry());
            let background = flight.background.take().or_else(|| Some(self.launch(key, *ordered?, jobs)));
            if let Some(background) = background {
                let mut rest = Flight::new();
                rest.background = Some(background);
                flights.insert(key.clone(), rest);
                return;
            }
        }
        if flight.is_empty() {
            flights.remove(key);
        }
    }

    /// Has every job sent again whose result is not stored: messages that waited on the broker were lost.
    pub(crate) fn send_again(&self) {
        let board = self.board();
        let flying = board.flights.values().flat_map(|flight| [&flight.urgent, &flight.background]).flatten();
        for flying in flying.filter(|flying| flying.stage == Stage::Sent) {
            flying.lost.store(true, Ordering::Release);
            flying.wake.notify_one();
        }
    }

    /// Ends the flight of a job that became a dead letter. Returns false when no client here waits for that job.
    pub(crate) fn died(self: &Arc<Self>, job_id: &str, error: &JobError) -> bool {
        let mut ended = false;
        for urgency in [Urgency::Urgent, Urgency::Background] {
            let is_ours = self.board().flight_of(job_id, urgency).is_some();
            if is_ours {
                tracing::warn!(job = job_id, %error, "a job became a dead letter");
                self.fail(job_id, urgency, error);
                ended = true;
            }
        }
        ended
    }

    /// Has every flight look for its result in the store: messages may have been lost.
    pub(crate) fn look(&self) {
        self.look.send_replace(());
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

    /// True for a job of ours that is not finished.
    pub(crate) fn is_ours(&self, job_id: &str) -> bool {
        self.board().jobs.contains_key(job_id)
    }

    /// The store of results.
    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.means.store
    }

    /// False when it is certain that no worker is there to take urgent jobs.
    pub(crate) async fn is_staffed(&self) -> bool {
        (self.means.staffed)().await
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
        if urgent.stage == Stage::Sent {
            // The receiver lives as long as the front end.
            let _ = self.cancelled.send(urgent.job_id);
        }
    }
}

/// A result answers everybody who waits for its key, whoever made it.
fn land(board: &mut Board, cache_key: &str, anew: bool, stored: &str) {
    board.landings.put(cache_key.to_owned(), (Instant::now(), stored.to_owned()));
    // Who wants a result made anew is not served by one that the cache may have given.
    for no_cache in [false, true].into_iter().filter(|no_cache| anew || !no_cache) {
        if let Some(flight) = board.remove(&FlightKey { cache_key: cache_key.to_owned(), no_cache }) {
            flight.outcome.send_replace(Some(Ok(stored.to_owned())));
        }
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
    /// The outcome, or at `deadline`, or when `stopping` is over, a failure while the job goes on.
    ///
    /// # Errors
    /// Those of the job; [`Category::DeadlineExceeded`]; [`Category::Unavailable`] when we stop.
    pub(crate) async fn outcome(mut self, deadline: Instant, stopping: impl Future<Output = ()>) -> Outcome {
        let settled = tokio::select! {
            settled = tokio::time::timeout_at(deadline, self.outcome.wait_for(Option::is_some)) => {
                settled.map_err(|_| JobError::new(Category::DeadlineExceeded, "the client's deadline passed"))
                    .map(|settled| settled.ok().and_then(|outcome| outcome.clone()))
            }
            () = stopping => Err(JobError::new(Category::Unavailable, "the server stops")),
        };
        match settled {
            Ok(Some(outcome)) => outcome,
            Ok(None) => Err(JobError::new(Category::Internal, "a flight ended without an outcome")),
            Err(error) => {
                if std::mem::take(&mut self.counted) {
                    self.flights.leave(&self.key, &self.outcome, true);
                }
                Err(error)
            }
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if self.counted {
            self.flights.leave(&self.key, &self.outcome, false);
        }
    }
}
