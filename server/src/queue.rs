//! The front end as a participant: jobs and cancellations out, results in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use imgflo_cache::{Claims, Store};
use imgflo_job::{Cancel, Category, JobError, JobResult, Limits, Urgency, key, network};
use imgflo_msgflo::{
    Consumer, Definition, Link, Network, NetworkError, Outcome, Participant, Port, SendError, Transport, TransportError,
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::flight::{Commission, Flights, Means, Pace};
use crate::ledger::Ledger;

/// What a front end is, as the original calls it.
const COMPONENT: &str = "imgflo-server/HttpApi";
/// How often jobs that nothing is heard of are looked for.
const SWEEP: Duration = Duration::from_secs(10);
/// A broker that has not taken a job in this time counts as away: clients are told within a second.
const SEND_TIMEOUT: Duration = Duration::from_millis(750);
/// For how long an image that ends workers, or is too large for its type, is not tried again.
const REFUSAL: Duration = Duration::from_secs(3600);

/// Why the queues could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The transport is closed.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The graph of the roles is none.
    #[error("the graph of the roles: {0}")]
    Network(#[from] NetworkError),
}

/// The connection to the workers.
pub(crate) struct Queue {
    flights: Arc<Flights>,
    connected: Arc<AtomicBool>,
    link: watch::Receiver<Link>,
    /// Ends the tasks with the front end.
    _stop: DropGuard,
}

impl Queue {
    /// Sets up the network of roles and our own ports, and starts to listen for results. The order
    /// in which front ends and workers start does not matter, and the broker may be away.
    pub(crate) async fn start(
        transport: Arc<dyn Transport>,
        claims: Arc<dyn Claims>,
        store: Arc<dyn Store>,
        limits: &Limits,
    ) -> Result<Self, QueueError> {
        let roles = Network::from_graph(&network::graph())?;
        roles.set_up(&*transport, &|queue| network::limit(queue, limits).map(|(limit, _)| limit)).await?;
        let mut definition = Definition::new(network::API, COMPONENT).label("HTTP front end");
        // Each front end has its own queue of results, and hears all of them.
        let results = format!("{}.JOBRESULT", definition.id);
        definition = definition.inport(Port::new("jobresult").of_type("object").queue(&results).temporary());
        for port in ["urgentjob", "backgroundjob", "videojob", "jobcancel"] {
            definition = definition.outport(Port::new(port).of_type("object"));
        }
        let holder = definition.id.clone();
        let participant = Arc::new(Participant::start(definition, Arc::clone(&transport)).await?);
        for source in roles.sources(network::API, "jobresult") {
            transport.bind(source, &results).await?;
        }
        let consumer = participant.consume("jobresult").await?;

        let stop = CancellationToken::new();
        let sender = Arc::clone(&participant);
        let sizes = Arc::new(limits.clone());
        let ledger = Arc::new(Ledger::default());
        let opened = Arc::clone(&ledger);
        let (flights, cancelled) = Flights::new(Means {
            dispatch: Arc::new(move |commission| {
                send(Arc::clone(&sender), Arc::clone(&sizes), Arc::clone(&opened), commission).boxed()
            }),
            claims: Arc::clone(&claims),
            store,
            holder,
            pace: Pace::new(limits.background_deadline),
            stop: stop.clone(),
        });
        let connected = Arc::new(AtomicBool::new(true));
        let run = |task: futures::future::BoxFuture<'static, ()>| {
            tokio::spawn(stop.clone().run_until_cancelled_owned(task));
        };
        let hearing = listen(consumer, Arc::clone(&flights), Arc::clone(&ledger), claims, Arc::clone(&connected));
        run(hearing.boxed());
        run(sweep(Arc::clone(&flights), ledger, limits.clone()).boxed());
        run(cancel(cancelled, participant).boxed());
        run(watch_link(transport.link(), Arc::clone(&flights)).boxed());
        Ok(Queue { flights, connected, link: transport.link(), _stop: stop.drop_guard() })
    }

    /// The jobs in flight.
    pub(crate) fn flights(&self) -> &Arc<Flights> {
        &self.flights
    }

    /// False once no results can come any more.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    /// How the transport stands.
    pub(crate) fn link(&self) -> Link {
        *self.link.borrow()
    }
}

async fn send(
    participant: Arc<Participant>,
    limits: Arc<Limits>,
    ledger: Arc<Ledger>,
    commission: Commission,
) -> Result<(), JobError> {
    let Commission { job, reservation } = commission;
    // Before it is sent: the result may be there at once.
    if let Some(reservation) = reservation {
        ledger.open(&job.id, reservation);
    }
    let port = match job.urgency {
        Urgency::Urgent => "urgentjob",
        Urgency::Background => "backgroundjob",
    };
    let sent = tokio::time::timeout(SEND_TIMEOUT, participant.send(port, &job)).await;
    sent.unwrap_or_else(|_| Err(SendError::Unreachable("it does not answer".into())))
        .map_err(|error| refused(&error, &limits))
        .inspect_err(|_| ledger.cancel(&job.id))?;
    tracing::info!(job = job.id, port, graph = job.data.graph, key = job.data.cachekey, "a job is sent");
    Ok(())
}

fn refused(error: &SendError, limits: &Limits) -> JobError {
    match error {
        SendError::Full { queue, limit } => {
            let setting = network::limit(queue, limits).map_or("", |(_, setting)| setting);
            let over = JobError::over(&format!("jobs in '{queue}'"), *limit as u64, *limit as u64, setting);
            let message = format!("'{queue}' is full: {limit} jobs wait ({setting})");
            JobError { category: Category::Overloaded, message, ..over }
        }
        SendError::TooLarge { size, limit } => {
            JobError::over("bytes of a job", *size as u64, *limit as u64, "another broker: over AMQP there is no limit")
        }
        error => JobError::new(Category::Unavailable, error.to_string()),
    }
}

async fn listen(
    consumer: Consumer,
    flights: Arc<Flights>,
    ledger: Arc<Ledger>,
    claims: Arc<dyn Claims>,
    connected: Arc<AtomicBool>,
) {
    while let Some(delivery) = consumer.next().await {
        match serde_json::from_slice::<JobResult>(&delivery.message) {
            Ok(result) => {
                log(&result);
                let not_again =
                    |error: &&JobError| error.category == Category::GivenUp || error.is_too_large_for_avif();
                if let Some(error) = result.error.as_ref().filter(not_again) {
                    tokio::spawn(refuse(Arc::clone(&claims), result.job.data.cachekey.clone(), error.message.clone()));
                }
                // First: whoever is answered finds it counted.
                ledger.settle(&result);
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

/// Notes that a result is not to be tried again: its worker did so, too, but where claims are not
/// shared, each process has its own.
async fn refuse(claims: Arc<dyn Claims>, cache_key: String, reason: String) {
    for urgency in [Urgency::Urgent, Urgency::Background] {
        if let Err(error) = claims.refuse(&key::claim(urgency, &cache_key), &reason, REFUSAL).await {
            tracing::warn!(%error, key = cache_key, "an image that ends workers could not be refused");
        }
    }
}

/// The worker says more, at a higher level; its log may be another's.
fn log(result: &JobResult) {
    let (job, graph) = (&result.job.id, &result.job.data.graph);
    match &result.error {
        Some(error) => tracing::debug!(job, graph, %error, "a job failed"),
        None => {
            let ms = result.completed_at.map(|end| end.saturating_sub(result.job.created_at));
            tracing::debug!(job, graph, ms, output_bytes = result.output_bytes, "a job is done");
        }
    }
}

/// Results that came while the broker was away were told to nobody.
async fn watch_link(mut link: watch::Receiver<Link>, flights: Arc<Flights>) {
    link.mark_unchanged();
    while link.changed().await.is_ok() {
        match *link.borrow_and_update() {
            Link::Up => {
                tracing::info!("the broker is there");
                flights.look();
            }
            Link::Blocked => tracing::warn!("the broker takes no messages: only stored images are served"),
            Link::Down => tracing::warn!("the broker is away: only stored images are served"),
        }
    }
}

/// Forgets lost jobs. An urgent job may go on after its client's deadline, and a background job may
/// wait for its turn, both for as long as a background job may take.
async fn sweep(flights: Arc<Flights>, ledger: Arc<Ledger>, limits: Limits) {
    let mut ticks = tokio::time::interval(SWEEP);
    loop {
        ticks.tick().await;
        let (urgent, background) =
            (limits.urgent_deadline + limits.background_deadline, limits.background_deadline * 2);
        flights.forget(urgent, background);
        ledger.forget(urgent.max(background));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_is_told_with_the_setting() {
        let limits = Limits::default();
        let full = |queue: &str| refused(&SendError::Full { queue: queue.into(), limit: 64 }, &limits);
        for (queue, setting) in [
            ("imgflo_urgentworker.JOB", "IMGFLO_MAX_URGENT_JOBS"),
            ("imgflo_backgroundworker.JOB", "IMGFLO_MAX_BACKGROUND_JOBS"),
        ] {
            let error = full(queue);
            assert_eq!(error.category, Category::Overloaded);
            assert_eq!(error.message, format!("'{queue}' is full: 64 jobs wait ({setting})"));
            let over = error.overrun.unwrap();
            assert_eq!((over.limit, over.setting.as_str()), (64, setting));
        }
        let large = refused(&SendError::TooLarge { size: 300, limit: 256 }, &limits);
        assert_eq!(large.category, Category::TooLarge);
        assert!(large.message.contains("300") && large.message.contains("256"), "{}", large.message);
        for error in [SendError::Blocked, SendError::Unreachable("gone".into()), SendError::Closed] {
            assert_eq!(refused(&error, &limits).category, Category::Unavailable, "{error}");
        }
    }
}
