//! Slots that take jobs from their lanes, urgent ones first.

mod lanes;
mod running;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use imgflo_cache::Store;
use imgflo_job::{Category, Fault, Job, JobError, JobResult, Limits, Urgency, message};
use imgflo_msgflo::{Delivery, Outcome, SendError, Transport, TransportError};
use imgflo_runtime::{Catalogue, Engine};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use self::lanes::{Lane, Lanes};
use self::running::Running;
use crate::Error;
use crate::fetch::{FetchSettings, Fetcher};
use crate::graphs::Graphs;
use crate::memory::Budget;
use crate::process::{JobControl, Processor};
use crate::render::Renderer;
use crate::source::Sources;

/// Waits between attempts to send a result to a front end that is behind.
const SEND_AGAIN: [Duration; 3] = [Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(800)];

/// What a worker takes jobs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// `imgflo_urgentworker`.
    Urgent,
    /// `imgflo_backgroundworker`.
    Background,
}

impl Role {
    /// Name of the role in a MsgFlo network.
    pub fn name(self) -> &'static str {
        match self {
            Role::Urgent => "imgflo_urgentworker",
            Role::Background => "imgflo_backgroundworker",
        }
    }
}

/// What a worker is made of.
pub struct WorkerParts {
    /// Where results go.
    pub store: Arc<dyn Store>,
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
    /// Jobs at once, at least 1.
    pub slots: usize,
    /// Bytes that all jobs at work may take together; others wait.
    pub memory_budget: u64,
    /// Quality of lossy results of jobs that name none, 1..=100.
    pub quality: u8,
}

/// Takes jobs and does them.
pub struct Worker {
    processor: Processor,
    limits: Limits,
    slots: usize,
}

/// What the slots of a running worker share.
struct Shared {
    processor: Processor,
    limits: Limits,
    running: Running,
}

impl Worker {
    /// A worker that is not running yet.
    pub fn new(parts: WorkerParts) -> Self {
        let WorkerParts { store, catalogue, engine, limits, fetch, files, slots, memory_budget, quality } = parts;
        let processor = Processor {
            sources: Sources {
                fetcher: Fetcher::new(fetch, limits.clone()),
                store: Arc::clone(&store),
                files,
                max_data_url_bytes: limits.max_data_url_bytes,
            },
            graphs: Graphs::new(Arc::clone(&catalogue), &limits),
            renderer: Arc::new(Renderer {
                engine,
                catalogue,
                limits: limits.clone(),
                quality,
                memory: Budget::new(memory_budget),
            }),
            store,
            limits: limits.clone(),
        };
        Worker { processor, limits, slots: slots.max(1) }
    }

    /// Takes jobs in `roles` until `shutdown`; then the jobs at work are finished and their results sent, which takes
    /// as long as it takes: who cannot wait that long drops the future. Jobs that are at work when it is dropped are
    /// stopped and go back to their queues.
    ///
    /// A free slot takes an urgent job when there is one. With two slots or more one of them takes no background jobs,
    /// so that an urgent job never waits for a background one to end.
    ///
    /// # Errors
    /// [`Error::Transport`] when the queues cannot be set up, or are closed without `shutdown`.
    pub async fn run(
        self,
        transport: Arc<dyn Transport>,
        roles: &[Role],
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        let lanes = Lanes::open(&transport, roles, &self.limits).await?;
        let shared = Arc::new(Shared { processor: self.processor, limits: self.limits, running: Running::default() });
        // Ends when dropped, that is with this function: cancellations count during the drain, too.
        let mut listeners = JoinSet::new();
        for cancellations in lanes.cancellations() {
            let shared = Arc::clone(&shared);
            listeners.spawn(async move { shared.running.listen(cancellations).await });
        }
        let mut slots = JoinSet::new();
        for slot in 0..self.slots {
            let (shared, lanes, shutdown) = (Arc::clone(&shared), lanes.clone(), shutdown.clone());
            let any_lane = lanes.only_background() || self.slots == 1 || slot > 0;
            slots.spawn(async move { shared.slot(&lanes, any_lane, &shutdown).await });
        }
        let names: Vec<_> = roles.iter().map(|role| role.name()).collect();
        tracing::info!(slots = self.slots, roles = names.join(" "), "worker started");
        let mut ended = Ok(());
        while let Some(slot) = slots.join_next().await {
            match slot {
                Ok(Ok(())) => {}
                Ok(Err(error)) => ended = Err(error),
                Err(error) => ended = Err(Error::Internal(error.to_string())),
            }
        }
        tracing::info!("worker stopped");
        ended
    }
}

impl Shared {
    /// One job after the other.
    async fn slot(&self, lanes: &Lanes, any_lane: bool, shutdown: &CancellationToken) -> Result<(), Error> {
        loop {
            let (delivery, lane) = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                taken = lanes.next(any_lane) => taken,
            };
            match delivery {
                Some(delivery) => self.handle(delivery, lane).await,
                None if shutdown.is_cancelled() => return Ok(()),
                None => return Err(TransportError::Closed.into()),
            }
        }
    }

    /// Does a delivered job and settles the delivery when everything is safe.
    async fn handle(&self, delivery: Delivery, lane: &Lane) {
        let job: Job = match serde_json::from_slice(&delivery.message) {
            Ok(job) => job,
            Err(error) => {
                tracing::error!(role = lane.role().name(), %error, "a message that is no job");
                delivery.settle(Outcome::Rejected(format!("no job: {error}")));
                return;
            }
        };
        let span = tracing::info_span!("job", id = job.id, graph = job.data.graph, key = job.data.cachekey);
        self.work(job, delivery, lane).instrument(span).await;
    }

    async fn work(&self, job: Job, delivery: Delivery, lane: &Lane) {
        let began = Instant::now();
        let control = JobControl::of(&job, &self.limits);
        let id = job.id.clone();
        let urgency = job.urgency;
        let mut result = JobResult::of(job);
        let done = {
            let _at_work = self.running.start(&id, &control, urgency == Urgency::Urgent);
            let work = AssertUnwindSafe(self.processor.run(&mut result, &control)).catch_unwind();
            work.await
                .unwrap_or_else(|panic| Err(Error::Internal(format!("panic: {}", crate::error::panic_text(&*panic)))))
        };
        if result.completed_at.is_none() {
            result.completed_at = Some(message::now());
        }
        result.error = done.as_ref().err().map(Error::report);
        let ms = began.elapsed().as_millis() as u64;
        log(&result, done.as_ref().err(), ms);
        if !self.tell(&result, lane).await {
            // The queues are closed: the delivery goes back, and the stored result answers the next attempt.
            return;
        }
        delivery.settle(match done {
            Err(error) if error.is_dead_letter() => Outcome::Rejected(error.to_string()),
            _ => Outcome::Done,
        });
    }

    /// Sends a result; false when the transport is closed.
    async fn tell(&self, result: &JobResult, lane: &Lane) -> bool {
        let mut waits = SEND_AGAIN.into_iter();
        loop {
            match lane.tell(result).await {
                Ok(()) => return true,
                Err(SendError::Closed) => return false,
                Err(error @ SendError::Unroutable(_)) => {
                    tracing::debug!(%error, "nobody listens for results");
                    return true;
                }
                Err(error) => match waits.next() {
                    Some(wait) if matches!(error, SendError::Full { .. }) => tokio::time::sleep(wait).await,
                    _ => {
                        tracing::warn!(%error, "a result was not told");
                        return true;
                    }
                },
            }
        }
    }
}

/// One line a job.
fn log(result: &JobResult, error: Option<&Error>, ms: u64) {
    match error {
        None => tracing::info!(ms, cached = result.processed_at.is_none(), bytes = result.output_bytes, "job done"),
        Some(error) => {
            let JobError { category, node, .. } = error.report();
            let node = node.as_deref();
            match category.fault() {
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
