//! The front end as a participant: jobs and cancellations out, results in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use imgflo_job::{Cancel, Category, Job, JobError, JobResult, Limits, Urgency};
use imgflo_msgflo::{
    Consumer, Definition, Outcome, Participant, Port, QueueOptions, SendError, Transport, TransportError,
};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::flight::Flights;

/// Our role. Outports are `imgflo_api.<PORT>`; the names are the original's.
const ROLE: &str = "imgflo_api";
/// Lanes: our outport, the queue of the workers, the outport they answer on.
const LANES: [(&str, &str, &str); 2] = [
    ("imgflo_api.URGENTJOB", "imgflo_urgentworker.JOB", "imgflo_urgentworker.JOBRESULT"),
    ("imgflo_api.BACKGROUNDJOB", "imgflo_backgroundworker.JOB", "imgflo_backgroundworker.JOBRESULT"),
];
/// How often jobs that nothing is heard of are looked for.
const SWEEP: Duration = Duration::from_secs(10);

/// Why the queues could not be set up.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct QueueError(#[from] TransportError);

/// The connection to the workers.
pub(crate) struct Queue {
    flights: Arc<Flights>,
    connected: Arc<AtomicBool>,
    /// Ends the tasks with the front end.
    _stop: DropGuard,
}

impl Queue {
    /// Declares our ports and the workers' queues, binds them, and starts to listen for results.
    /// The order in which front ends and workers start does not matter.
    pub(crate) async fn start(transport: Arc<dyn Transport>, limits: &Limits) -> Result<Self, QueueError> {
        let mut definition = Definition::new(ROLE, "imgflo-server/HttpApi").label("HTTP front end");
        // Each front end has its own queue of results, and hears all of them.
        let results = format!("{}.JOBRESULT", definition.id);
        definition = definition
            .inport(Port::new("jobresult").of_type("object").queue(&results).temporary())
            .outport(Port::new("urgentjob").of_type("object"))
            .outport(Port::new("backgroundjob").of_type("object"))
            .outport(Port::new("jobcancel").of_type("object"));
        let participant = Arc::new(Participant::start(definition, Arc::clone(&transport)).await?);
        let sizes = [limits.max_urgent_jobs, limits.max_background_jobs];
        for ((jobs, queue, answers), size) in LANES.into_iter().zip(sizes) {
            let limit = usize::try_from(size).unwrap_or(usize::MAX);
            transport.declare_inport(queue, QueueOptions { limit: Some(limit), temporary: false }).await?;
            transport.bind(jobs, queue).await?;
            transport.declare_outport(answers).await?;
            transport.bind(answers, &results).await?;
        }
        let consumer = participant.consume("jobresult").await?;
        let sender = Arc::clone(&participant);
        let (flights, cancelled) = Flights::new(Arc::new(move |job| send(Arc::clone(&sender), job).boxed()));
        let connected = Arc::new(AtomicBool::new(true));
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(listen(
            consumer,
            Arc::clone(&flights),
            Arc::clone(&connected),
        )));
        tokio::spawn(stop.clone().run_until_cancelled_owned(sweep(Arc::clone(&flights), limits.clone())));
        tokio::spawn(stop.clone().run_until_cancelled_owned(cancel(cancelled, participant)));
        Ok(Queue { flights, connected, _stop: stop.drop_guard() })
    }

    /// The jobs in flight.
    pub(crate) fn flights(&self) -> &Arc<Flights> {
        &self.flights
    }

    /// False once no results can come any more.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }
}

async fn send(participant: Arc<Participant>, job: Job) -> Result<(), JobError> {
    let port = match job.urgency {
        Urgency::Urgent => "urgentjob",
        Urgency::Background => "backgroundjob",
    };
    participant.send(port, &job).await.map_err(|error| {
        let category = match error {
            SendError::Full { .. } => Category::Overloaded,
            _ => Category::Unavailable,
        };
        JobError::new(category, error.to_string())
    })
}

async fn listen(consumer: Consumer, flights: Arc<Flights>, connected: Arc<AtomicBool>) {
    while let Some(delivery) = consumer.next().await {
        match serde_json::from_slice::<JobResult>(&delivery.message) {
            Ok(result) => {
                log(&result);
                flights.settle(result);
                delivery.settle(Outcome::Done);
            }
            Err(error) => {
                tracing::warn!(%error, "a result cannot be read");
                delivery.settle(Outcome::Rejected(error.to_string()));
            }
        }
    }
    connected.store(false, Ordering::Release);
    tracing::error!("no more results come: the transport is closed");
}

fn log(result: &JobResult) {
    let (job, graph) = (&result.job.id, &result.job.data.graph);
    match &result.error {
        Some(error) => tracing::info!(job, graph, %error, "a job failed"),
        None => {
            let ms = result.completed_at.map(|end| end.saturating_sub(result.job.created_at));
            tracing::info!(job, graph, ms, output_bytes = result.output_bytes, "a job is done");
        }
    }
}

/// Forgets lost jobs. An urgent job may go on after its client's deadline, and a background job may
/// wait for its turn, both for as long as a background job may take.
async fn sweep(flights: Arc<Flights>, limits: Limits) {
    let mut ticks = tokio::time::interval(SWEEP);
    loop {
        ticks.tick().await;
        flights.forget(limits.urgent_deadline + limits.background_deadline, limits.background_deadline * 2);
    }
}

async fn cancel(mut cancelled: mpsc::UnboundedReceiver<String>, participant: Arc<Participant>) {
    while let Some(id) = cancelled.recv().await {
        tracing::info!(job = id, "nobody waits for a job any more");
        match participant.send("jobcancel", &Cancel { id }).await {
            // Nobody listens: the job is done in vain, which does no harm.
            Ok(()) | Err(SendError::Unroutable(_)) => {}
            Err(error) => tracing::warn!(%error, "a job could not be cancelled"),
        }
    }
}
