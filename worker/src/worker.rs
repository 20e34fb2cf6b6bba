//! Takes jobs from their lanes, urgent ones first, as long as there are slots for them.

mod clocks;
mod gate;
mod lanes;
mod running;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt, poll};
use imgflo_cache::{Claims, Store};
use imgflo_job::message::Cancel;
use imgflo_job::secrets::Kind;
use imgflo_job::{
    Background, Category, Fault, FleetSecrets, Job, JobError, JobResult, Limits, Urgency, key, message, network,
};
use imgflo_msgflo::{Consumer, Delivery, Outcome, Transport, TransportError};
use imgflo_runtime::{Catalogue, Engine, Library};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use self::clocks::Clocks;
use self::gate::Gate;
use self::lanes::{Lane, Lanes};
use self::running::Running;
use crate::Error;
use crate::fetch::FetchSettings;
use crate::graphs::Graphs;
use crate::isolation::{Isolation, JobCommand, Report};
use crate::memory::Budget;
use crate::original::Originals;
use crate::process::{JobControl, Processor, Room};
use crate::render::Renderer;
use crate::slots::{Offer, Seat, Slots};
use crate::source::{Inputs, Sources};

/// For how long a job that ends its process is not tried again.
const REFUSAL: Duration = Duration::from_secs(3600);
/// One of so many fetches may be a background job's.
const PATIENT_SHARE: u64 = 4;
/// For how long after it was made a background job comes back when its result cannot be stored, ms.
const COMES_BACK_FOR: u64 = 24 * 3600 * 1000;

/// What a worker takes jobs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// `imgflo_urgentworker`.
    Urgent,
    /// `imgflo_backgroundworker`.
    Background,
    /// `imgflo_video`. No video is made yet: its jobs are answered with that.
    Video,
}

impl Role {
    /// All roles, urgent first.
    pub const ALL: [Role; 3] = [Role::Urgent, Role::Background, Role::Video];

    /// True if clients wait for the jobs of this role.
    fn urgency(self) -> Urgency {
        match self {
            Role::Urgent => Urgency::Urgent,
            Role::Background | Role::Video => Urgency::Background,
        }
    }

    /// Name of the role in a MsgFlo network.
    pub fn name(self) -> &'static str {
        match self {
            Role::Urgent => network::URGENT_WORKER,
            Role::Background => network::BACKGROUND_WORKER,
            Role::Video => network::VIDEO_WORKER,
        }
    }
}

/// What a worker is made of.
pub struct WorkerParts {
    /// Where results go.
    pub store: Arc<dyn Store>,
    /// Where it is noted that a result cannot be made.
    pub claims: Arc<dyn Claims>,
    /// The components that graphs may use.
    pub catalogue: Arc<Catalogue>,
    /// What renders.
    pub engine: Arc<dyn Engine>,
    /// What strangers may ask for.
    pub limits: Limits,
    /// How inputs are fetched.
    pub fetch: FetchSettings,
    /// Folder served under `/files/`.
    pub files: PathBuf,
    /// The graphs of jobs that name one and hold none, as those of the original's front ends; `None` = such jobs become
    /// dead letters.
    pub library: Option<Arc<Library>>,
    /// Jobs that compute at once, at least 1. Those that wait for origins are beside these, up to
    /// [`Limits::max_fetches`].
    pub slots: usize,
    /// Bytes that all jobs at work may take together; others wait.
    pub memory_budget: u64,
    /// Quality of lossy results of jobs that name none, 1..=100.
    pub quality: u8,
    /// The colour behind results of jobs that name none, where the type has no alpha.
    pub background: Background,
    /// True where inputs that end early are read as far as they go.
    pub accept_cut: bool,
    /// Signs and checks messages.
    pub secrets: FleetSecrets,
    /// Starts a process for a job that may have ended its worker ([`Worker::do_one`]). `None` = such jobs are done like
    /// others, where no other process could do them.
    pub isolation: Option<JobCommand>,
}

/// Takes jobs and does them.
pub struct Worker {
    processor: Processor,
    claims: Arc<dyn Claims>,
    limits: Limits,
    slots: usize,
    secrets: FleetSecrets,
    isolation: Option<Isolation>,
}

/// What the jobs of a running worker share.
struct Shared {
    processor: Processor,
    claims: Arc<dyn Claims>,
    limits: Limits,
    running: Running,
    gate: Arc<Gate>,
    clocks: Clocks,
    secrets: FleetSecrets,
    isolation: Option<Isolation>,
}

impl Worker {
    /// A worker that is not running yet.
    pub fn new(parts: WorkerParts) -> Self {
        let WorkerParts {
            store,
            claims,
            catalogue,
            engine,
            limits,
            fetch,
            files,
            library,
            slots,
            memory_budget,
            quality,
            background,
            accept_cut,
            secrets,
            isolation,
        } = parts;
        let memory = Budget::new(memory_budget);
        let isolation = isolation.map(|command| Isolation::new(command, Arc::clone(&memory), memory_budget, slots));
        let processor = Processor {
            sources: Sources { inputs: Inputs::new(fetch, limits.clone(), files), store: Arc::clone(&store) },
            originals: Originals::new(library, limits.clone()),
            graphs: Graphs::new(Arc::clone(&catalogue), &limits),
            renderer: Arc::new(Renderer {
                engine,
                catalogue,
                limits: limits.clone(),
                quality,
                background,
                accept_cut,
                memory,
            }),
            store,
            storing: Room::new(limits.max_storing_bytes),
            limits: limits.clone(),
        };
        Worker { processor, claims, limits, slots: slots.max(1), secrets, isolation }
    }

    /// Does one job and nothing else, as a process does that was started for it ([`WorkerParts::isolation`]).
    pub async fn do_one(&self, job: Job) -> Report {
        let slots = Slots::new(1, false, 1);
        let seat = slots.offer().await.seat(job.urgency, true);
        // Its worker looks at the time.
        let control = JobControl::of(&job, 0, &self.limits);
        let mut result = JobResult::of(job);
        let work = AssertUnwindSafe(self.processor.run(&mut result, &control, &seat)).catch_unwind();
        let done = work.await.unwrap_or_else(|panic| Err(panicked(&*panic)));
        Report::new(result, done)
    }

    /// Takes jobs in `roles` until `shutdown`; then the jobs at work are finished and their results sent, which takes
    /// as long as it takes: who cannot wait that long drops the future. Jobs that are at work when it is dropped are
    /// stopped and go back to their queues.
    ///
    /// A free slot takes an urgent job when there is one. With two slots or more one of them takes urgent jobs only, so
    /// that these never wait for others to end. A job that waits for an origin leaves its slot to the next one, unless
    /// it ended a worker before: then few others may be at risk beside it.
    ///
    /// A broker that is away is waited for.
    ///
    /// # Errors
    /// [`Error::Transport`] when the queues cannot be set up, or are closed without `shutdown`.
    pub async fn run(
        self,
        transport: Arc<dyn Transport>,
        roles: &[Role],
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        let gate = Arc::new(Gate::default());
        let lanes = Lanes::open(&transport, roles, &self.limits, Arc::clone(&gate), self.secrets.clone()).await?;
        let Worker { processor, claims, limits, secrets, isolation, .. } = self;
        let shared = Arc::new(Shared {
            processor,
            claims,
            limits,
            running: Running::default(),
            gate,
            clocks: Clocks::default(),
            secrets,
            isolation,
        });
        // Ends when dropped, that is with this function: cancellations count during the drain, too.
        let mut listeners = JoinSet::new();
        for cancellations in lanes.cancellations() {
            let shared = Arc::clone(&shared);
            listeners.spawn(async move { shared.listen(cancellations).await });
        }
        let mut losses = transport.losses();
        let telling = lanes.clone();
        listeners.spawn(async move {
            while losses.changed().await.is_ok() {
                telling.tell_of_lost_jobs().await;
            }
        });
        let names: Vec<_> = roles.iter().map(|role| role.name()).collect();
        tracing::info!(slots = self.slots, roles = names.join(" "), "worker started");
        let most_fetches = shared.limits.max_fetches;
        let patient = usize::try_from(most_fetches / PATIENT_SHARE).unwrap_or(usize::MAX).max(1);
        let slots = Slots::new(self.slots, lanes.are_mixed(), patient);
        let most = usize::try_from(most_fetches).unwrap_or(usize::MAX).saturating_add(self.slots);
        let mut jobs = JoinSet::new();
        let mut taking = FuturesUnordered::new();
        let ended = loop {
            let takes = jobs.len() < most;
            slots.take_jobs(takes);
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break Ok(()),
                Some(taken) = taking.next() => match taken {
                    Taken::Job(delivery, lane, offer) => {
                        let urgency = lane.role().urgency();
                        let seat = offer.seat(urgency, delivery.crashes == 0);
                        let (shared, lane) = (Arc::clone(&shared), Arc::clone(lane));
                        jobs.spawn(async move { shared.handle(delivery, &lane, &seat).await });
                    }
                    Taken::Withdrawn => {}
                    Taken::Closed if shutdown.is_cancelled() => break Ok(()),
                    Taken::Closed => break Err(TransportError::Closed.into()),
                },
                Some(done) = jobs.join_next() => {
                    // Its delivery goes back, and counts a crash.
                    if let Err(error) = done {
                        tracing::error!(%error, "a job ended its task");
                    }
                }
                offer = slots.offer(), if takes => taking.push(take(&lanes, offer)),
            }
        };
        drop(taking);
        slots.take_jobs(false);
        while jobs.join_next().await.is_some() {}
        tracing::info!("worker stopped");
        ended
    }
}

/// What came of an offer.
enum Taken<'a> {
    Job(Delivery, &'a Arc<Lane>, Offer),
    /// A job that is here needs the slot of the offer.
    Withdrawn,
    /// The queues are closed.
    Closed,
}

/// Takes a job for a free slot.
async fn take(lanes: &Lanes, offer: Offer) -> Taken<'_> {
    tokio::select! {
        biased;
        () = offer.withdrawn() => Taken::Withdrawn,
        (delivery, lane) = lanes.next(offer.any_lane) => match delivery {
            Some(delivery) => Taken::Job(delivery, lane, offer),
            None => Taken::Closed,
        },
    }
}

impl Shared {
    /// Does a delivered job and settles the delivery when everything is safe.
    async fn handle(&self, delivery: Delivery, lane: &Lane, seat: &Seat) {
        if let Err(refused) = self.secrets.check(Kind::Job, &delivery.message) {
            tracing::error!(role = lane.role().name(), reason = %refused, "a job is refused");
            delivery.settle(Outcome::Rejected(refused.to_string()));
            return;
        }
        let job: Job = match serde_json::from_slice(&delivery.message) {
            Ok(job) => job,
            Err(error) => {
                tracing::error!(role = lane.role().name(), %error, "a message that is no job");
                delivery.settle(Outcome::Rejected(format!("no job: {error}")));
                return;
            }
        };
        let span = tracing::info_span!("job", id = job.id, graph = job.data.graph, key = job.data.cachekey);
        self.work(job, delivery, lane, seat).instrument(span).await;
    }

    /// Takes cancellations, and the time at front ends, from a queue until it closes.
    async fn listen(&self, cancellations: Consumer) {
        while let Some(delivery) = cancellations.next().await {
            let checked = self.secrets.check(Kind::Cancel, &delivery.message).map_err(|refused| refused.to_string());
            let read = checked.and_then(|()| {
                serde_json::from_slice::<Cancel>(&delivery.message).map_err(|error| format!("no cancellation: {error}"))
            });
            match read {
                Ok(Cancel { id, from, sent_at }) => {
                    if let Some((from, sent_at)) = from.zip(sent_at) {
                        self.clocks.heard(&from, sent_at);
                    }
                    if !id.is_empty() {
                        self.running.cancel(&id);
                    }
                    delivery.settle(Outcome::Done);
                }
                Err(reason) => {
                    tracing::error!(reason, "a cancellation is refused");
                    delivery.settle(Outcome::Rejected(reason));
                }
            }
        }
    }

    async fn work(&self, job: Job, delivery: Delivery, lane: &Lane, seat: &Seat) {
        let began = Instant::now();
        self.clocks.met(&job);
        let control = JobControl::of(&job, self.clocks.now_at_front_of(&job), &self.limits);
        let (id, urgency) = (job.id.clone(), job.urgency);
        let mut result = JobResult::of(job);
        let done = {
            let mut start = pin!(self.running.start(&id, &control, urgency == Urgency::Urgent));
            let _at_work = match poll!(start.as_mut()) {
                Poll::Ready(at_work) => at_work,
                // The same job, at work here already, may need the slot.
                Poll::Pending => seat.leave(start).await,
            };
            let work = AssertUnwindSafe(self.attempt(&mut result, &control, &delivery, lane, seat)).catch_unwind();
            work.await.unwrap_or_else(|panic| Err(panicked(&*panic)))
        };
        if result.completed_at.is_none() {
            result.completed_at = Some(message::now());
        }
        result.error = done.as_ref().err().map(Error::report);
        result.clock_ahead = self.clocks.ahead_of_front_of(&result.job);
        log(&result, done.as_ref().err(), began.elapsed().as_millis() as u64);
        let outcome = self.outcome(&result.job, &done);
        if outcome == Outcome::Returned {
            // It is not over.
            return delivery.settle(outcome);
        }
        if !lane.tell(&result).await {
            // The queues are closed: the delivery goes back, and the stored result answers the next attempt.
            return;
        }
        delivery.settle(outcome);
    }

    /// Does a job, unless it cannot be done or should not be tried again.
    async fn attempt(
        &self,
        result: &mut JobResult,
        control: &JobControl,
        delivery: &Delivery,
        lane: &Lane,
        seat: &Seat,
    ) -> Result<(), Error> {
        result.started_at = Some(message::now());
        let data = &result.job.data;
        if lane.role() == Role::Video {
            let asked = data.outtype.as_deref().unwrap_or("video");
            return Err(JobError::unsupported_type(asked, &crate::process::written_types()).into());
        }
        let done = match &self.isolation {
            Some(isolation) if delivery.crashes > 0 && (data.no_cache || !self.is_stored(&data.cachekey).await?) => {
                isolation.run(result, control).await
            }
            _ => None,
        };
        let done = match done {
            Some(done) => done,
            None => self.processor.run(result, control, seat).await,
        };
        if let Err(Error::Job(error)) = &done
            && (error.is_too_large_for_avif() || error.category == Category::GivenUp)
        {
            self.refuse(&result.job.data.cachekey, &error.message).await;
        }
        done
    }

    async fn is_stored(&self, cache_key: &str) -> Result<bool, Error> {
        Ok(self.processor.stored(cache_key).await.map_err(Error::Store)?.is_some())
    }

    /// Notes in both lanes that a result is not to be tried again for a while.
    async fn refuse(&self, cache_key: &str, reason: &str) {
        for urgency in [Urgency::Urgent, Urgency::Background] {
            if let Err(error) = self.claims.refuse(&key::claim(urgency, cache_key), reason, REFUSAL).await {
                tracing::warn!(%error, "a job that cannot be done may be sent again");
            }
        }
    }

    /// What becomes of the message of a job.
    fn outcome(&self, job: &Job, done: &Result<(), Error>) -> Outcome {
        match done {
            Ok(()) => {
                self.gate.unlock();
                Outcome::Done
            }
            // A client is told to ask again; a job that nobody waits for is not to be lost.
            Err(Error::Store(_)) if job.urgency == Urgency::Urgent => Outcome::Done,
            Err(Error::Store(_))
                if self.clocks.now_at_front_of(job).saturating_sub(job.created_at) < COMES_BACK_FOR =>
            {
                self.gate.shut();
                Outcome::Returned
            }
            Err(error @ Error::Store(_)) => Outcome::Rejected(error.to_string()),
            Err(Error::Job(error)) if error.category == Category::GivenUp => Outcome::Rejected(error.message.clone()),
            Err(error) if error.is_dead_letter() => Outcome::Rejected(error.to_string()),
            Err(_) => Outcome::Done,
        }
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    Error::Internal(format!("panic: {}", crate::error::panic_text(panic)))
}

/// One line a job.
fn log(result: &JobResult, error: Option<&Error>, ms: u64) {
    match error {
        None => tracing::info!(ms, cached = result.processed_at.is_none(), bytes = result.output_bytes, "job done"),
        Some(error) => {
            let JobError { category, node, .. } = error.report();
            let node = node.as_deref();
            match category.fault() {
                Fault::Client if category == Category::GivenUp => tracing::error!(%error, "job given up"),
                Fault::Client | Fault::Origin => tracing::info!(ms, ?category, node, %error, "job failed"),
                Fault::Us if category == Category::Cancelled => tracing::info!(ms, "job cancelled"),
                Fault::Us if category == Category::DeadlineExceeded => {
                    tracing::warn!(ms, ?category, node, %error, "job failed");
                }
                Fault::Us => tracing::error!(ms, ?category, node, %error, "job failed"),
            }
        }
    }
}
