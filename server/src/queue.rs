//! The front end as a participant: jobs and cancellations out, results in.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use imgflo_cache::{Claims, Store};
use imgflo_job::message::{CLOCK_PERIOD, JobsLost};
use imgflo_job::secrets::{Kind, Unverified};
use imgflo_job::{Cancel, Category, FleetSecrets, Job, JobError, JobResult, Limits, Urgency, key, network};
use imgflo_msgflo::discovery::queue_name;
use imgflo_msgflo::{
    Binding, Consumer, Death, Definition, Link, Network, NetworkError, Outcome, Participant, Port, SendError,
    Transport, TransportError, dead_letters_of,
};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::flight::{Commission, Flights, Means, Pace, Places};
use crate::ledger::Ledger;
use crate::strays::Strays;

/// What a front end is, as the original calls it.
const COMPONENT: &str = "imgflo-server/HttpApi";
/// How often jobs that nothing is heard of are looked for.
const SWEEP: Duration = Duration::from_secs(10);
/// For how long an image that ends workers, or is too large for its type, is not tried again.
const REFUSAL: Duration = Duration::from_secs(3600);

/// For how long it is told that the clock of a worker differs, after its last result that says so.
const CLOCK_NEWS: Duration = Duration::from_secs(60);

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

/// Messages from the workers, and what was noticed of them.
struct Messages {
    secrets: FleetSecrets,
    /// Messages that were refused, as no process of this fleet signed them.
    refused: AtomicU64,
    /// How many ms the clock of a worker was ahead of ours, and when it said so last.
    clock_ahead: Mutex<Option<(Instant, i64)>>,
}

impl Messages {
    /// Why a message is to be refused, if it is. The first one and every hundredth goes to the log.
    fn refuse(&self, kind: Kind, message: &[u8]) -> Option<String> {
        let refused = self.secrets.check(kind, message).err()?;
        if self.refused.fetch_add(1, Ordering::Relaxed).is_multiple_of(100) {
            tracing::error!(?kind, reason = %refused, "a message is refused");
        }
        Some(refused.to_string())
    }

    fn note_clock(&self, result: &JobResult) {
        if let Some(ahead) = result.clock_ahead {
            *self.clock_ahead.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), ahead));
        }
    }

    /// What an operator should know of the messages.
    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let ahead = *self.clock_ahead.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, ahead)) = ahead.filter(|(at, _)| at.elapsed() < CLOCK_NEWS) {
            let (seconds, way) = (ahead.unsigned_abs() / 1000, if ahead < 0 { "behind" } else { "ahead of" });
            warnings.push(format!(
                "the clock of a worker is {seconds} s {way} that of this front end: deadlines are corrected for it, times \
                 in results and logs are not"
            ));
        }
        let refused = self.refused.load(Ordering::Relaxed);
        if refused > 0 {
            warnings.push(format!(
                "{refused} messages were refused, as they are not signed with the fleet secret of this front end \
                 (IMGFLO_FLEET_SECRET): another fleet uses the same broker, or the secrets differ"
            ));
        }
        warnings
    }
}

/// The connection to the workers.
pub(crate) struct Queue {
    flights: Arc<Flights>,
    messages: Arc<Messages>,
    connected: Arc<AtomicBool>,
    /// True where the broker gives us no queue for results.
    deaf: bool,
    link: watch::Receiver<Link>,
    transport: Arc<dyn Transport>,
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
        strays: Option<Arc<Strays>>,
        limits: &Limits,
        secrets: FleetSecrets,
    ) -> Result<Self, QueueError> {
        let roles = Network::from_graph(&network::graph())?;
        roles.set_up(&*transport, &|queue| network::limit(queue, limits).map(|(limit, _)| limit)).await?;
        let mut definition = Definition::new(network::API, COMPONENT).label("HTTP front end");
        for port in ["urgentjob", "backgroundjob", "videojob", "jobcancel"] {
            definition = definition.outport(Port::new(port).of_type("object"));
        }
        let holder = definition.id.clone();
        let (participant, ears) = join(definition, &roles, &transport).await?;
        let sender = Sender { participant: Arc::new(participant), secrets: secrets.clone() };
        let messages = Arc::new(Messages { secrets, refused: AtomicU64::new(0), clock_ahead: Mutex::default() });
        let deaf = ears.is_none();
        // Workers in this process have its clock.
        let from = strays.is_some().then(|| holder.clone());

        let stop = CancellationToken::new();
        let ledger = Arc::new(Ledger::default());
        let dispatcher = Arc::new(Dispatcher {
            sender: sender.clone(),
            limits: limits.clone(),
            ledger: Arc::clone(&ledger),
            from: from.clone(),
        });
        let (asker, broker) = (sender.clone(), Arc::clone(&transport));
        let counter = Arc::clone(&transport);
        let (flights, cancelled) = Flights::new(Means {
            dispatch: Arc::new(move |commission| {
                let dispatcher = Arc::clone(&dispatcher);
                async move { dispatcher.send(commission).await }.boxed()
            }),
            claims: Arc::clone(&claims),
            store,
            // An account that may not listen may be that of the workers, too: then nobody can tell.
            staffed: Arc::new(move || match deaf {
                true => async { true }.boxed(),
                false => staffed(asker.clone(), Arc::clone(&broker)).boxed(),
            }),
            waiting: Arc::new(move || waiting(Arc::clone(&counter)).boxed()),
            places: Places::new(limits),
            holder,
            pace: Pace::new(limits.background_deadline),
            stop: stop.clone(),
        });
        let connected = Arc::new(AtomicBool::new(true));
        let run = |task: futures::future::BoxFuture<'static, ()>| {
            tokio::spawn(stop.clone().run_until_cancelled_owned(task));
        };
        if let Some(Ears { results, dead_letters }) = ears {
            let (told, settled) = (Arc::clone(&flights), Arc::clone(&ledger));
            let hearing = listen(results, told, settled, claims, strays, Arc::clone(&connected), Arc::clone(&messages));
            run(hearing.boxed());
            run(mourn(dead_letters, Arc::clone(&flights), Arc::clone(&messages)).boxed());
        }
        let others = roles.sources(network::API, "jobresult").into_iter().next().map(str::to_owned);
        run(watch_losses(others, Arc::clone(&transport), Arc::clone(&flights), messages.secrets.clone()).boxed());
        run(sweep(Arc::clone(&flights), ledger, limits.clone()).boxed());
        run(cancel(cancelled, sender.clone()).boxed());
        if let Some(from) = from {
            run(tell_time(from, sender, transport.link()).boxed());
        }
        run(watch_link(transport.link(), Arc::clone(&flights)).boxed());
        Ok(Queue { flights, messages, connected, deaf, link: transport.link(), transport, _stop: stop.drop_guard() })
    }

    /// The jobs in flight.
    pub(crate) fn flights(&self) -> &Arc<Flights> {
        &self.flights
    }

    /// False once no results can come any more.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    /// True where the broker gives us no queue to hear results on.
    pub(crate) fn is_deaf(&self) -> bool {
        self.deaf
    }

    /// What is broken at the broker while the link is up, for people.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = self.transport.faults();
        if self.deaf {
            faults.push(format!("results are not heard, only found in the store: {NO_OWN_QUEUE}"));
        }
        faults
    }

    /// What an operator should know of the messages of workers.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.messages.warnings()
    }

    /// True if messages are refused that are not signed with a secret of the fleet.
    pub(crate) fn refuses_strangers(&self) -> bool {
        self.messages.secrets.refuses()
    }

    /// How the transport stands.
    pub(crate) fn link(&self) -> Link {
        *self.link.borrow()
    }
}

/// Why a front end hears no results.
const NO_OWN_QUEUE: &str = "the account at the broker may not declare queues whose names begin with 'imgflo_api-'";

/// The queues that a front end listens to. Each front end has its own, and hears all results and dead letters.
struct Ears {
    results: Consumer,
    dead_letters: Consumer,
}

/// Joins the network. Without [`Ears`] where the broker refuses the queues for them.
async fn join(
    definition: Definition,
    roles: &Network,
    transport: &Arc<dyn Transport>,
) -> Result<(Participant, Option<Ears>), TransportError> {
    let results = format!("{}.JOBRESULT", definition.id);
    let dead_letters = format!("{}.DEADLETTER", definition.id);
    let own = |port: &str, queue: &str| Port::new(port).of_type("object").queue(queue).temporary();
    let listening = definition.clone().inport(own("jobresult", &results)).inport(own("deadletter", &dead_letters));
    let participant = match Participant::start(listening, Arc::clone(transport)).await {
        Ok(participant) => participant,
        Err(TransportError::Refused(reason)) => {
            tracing::warn!(reason, "no result is heard, only found in the store: {NO_OWN_QUEUE}");
            return Ok((Participant::start(definition, Arc::clone(transport)).await?, None));
        }
        Err(error) => return Err(error),
    };
    for source in roles.sources(network::API, "jobresult") {
        transport.bind(source, &results).await?;
    }
    for binding in roles.bindings() {
        if let Binding::RoundRobin { queue, .. } = binding {
            transport.bind(&dead_letters_of(queue), &dead_letters).await?;
        }
    }
    let ears = Ears {
        results: participant.consume("jobresult").await?,
        dead_letters: participant.consume("deadletter").await?,
    };
    Ok((participant, Some(ears)))
}

/// False when it is certain that no worker is there for urgent jobs. A worker that is busy consumes no jobs, but always
/// listens to cancellations; another program's worker always consumes.
async fn staffed(sender: Sender, transport: Arc<dyn Transport>) -> bool {
    let jobs = queue_name(network::URGENT_WORKER, "job");
    if transport.backlog(&jobs).await.map_or(true, |backlog| backlog.consumers > 0) {
        return true;
    }
    // An id that no job has.
    !matches!(sender.send("jobcancel", Kind::Cancel, &Cancel::default()).await, Err(SendError::Unroutable(_)))
}

/// Jobs that wait in the urgent lane; `None` when the broker does not say.
async fn waiting(transport: Arc<dyn Transport>) -> Option<usize> {
    let jobs = queue_name(network::URGENT_WORKER, "job");
    transport.backlog(&jobs).await.ok().map(|backlog| backlog.waiting)
}

/// Sends signed messages.
#[derive(Clone)]
struct Sender {
    participant: Arc<Participant>,
    secrets: FleetSecrets,
}

impl Sender {
    async fn send(&self, port: &str, kind: Kind, message: &impl Serialize) -> Result<(), SendError> {
        let message = self.secrets.write(kind, message).map_err(|error| SendError::NotJson(error.to_string()))?;
        self.participant.send_bytes(port, message.into()).await
    }
}

/// Sends jobs to their lanes.
struct Dispatcher {
    sender: Sender,
    limits: Limits,
    ledger: Arc<Ledger>,
    /// Who we are to workers elsewhere.
    from: Option<String>,
}

impl Dispatcher {
    async fn send(&self, commission: Commission) -> Result<(), JobError> {
        let Commission { mut job, reservation } = commission;
        // Before it is sent: the result may be there at once.
        if let Some(reservation) = reservation {
            self.ledger.open(&job.id, reservation);
        }
        job.from.clone_from(&self.from);
        let port = match job.urgency {
            Urgency::Urgent => "urgentjob",
            Urgency::Background => "backgroundjob",
        };
        let sent = self.sender.send(port, Kind::Job, &job).await;
        sent.map_err(|error| refused(&error, &self.limits)).inspect_err(|_| self.ledger.cancel(&job.id))?;
        tracing::info!(job = job.id, port, graph = job.data.graph, key = job.data.cachekey, "a job is sent");
        Ok(())
    }
}

/// Tells workers the time here, by which the deadlines of jobs are.
async fn tell_time(from: String, sender: Sender, link: watch::Receiver<Link>) {
    let mut ticks = tokio::time::interval(CLOCK_PERIOD);
    loop {
        ticks.tick().await;
        if *link.borrow() == Link::Up
            && let Err(error) = sender.send("jobcancel", Kind::Cancel, &Cancel::clock(&from)).await
        {
            tracing::debug!(%error, "no worker is told the time");
        }
    }
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
    strays: Option<Arc<Strays>>,
    connected: Arc<AtomicBool>,
    messages: Arc<Messages>,
) {
    while let Some(delivery) = consumer.next().await {
        if let Some(reason) = messages.refuse(Kind::Result, &delivery.message) {
            delivery.settle(Outcome::Rejected(reason));
            continue;
        }
        match serde_json::from_slice::<JobResult>(&delivery.message) {
            Ok(result) => {
                log(&result);
                messages.note_clock(&result);
                let not_again =
                    |error: &&JobError| error.category == Category::GivenUp || error.is_too_large_for_avif();
                if let Some(error) = result.error.as_ref().filter(not_again) {
                    tokio::spawn(refuse(Arc::clone(&claims), result.job.data.cachekey.clone(), error.message.clone()));
                }
                if let Some(strays) = &strays {
                    look_for(strays, &flights, &result);
                }
                // First: whoever is answered finds it counted.
                ledger.settle(&result);
                flights.settle(result);
                delivery.settle(Outcome::Done);
            }
            Err(_) if serde_json::from_slice::<JobsLost>(&delivery.message).is_ok() => {
                flights.send_again();
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

/// Looks for the result of a background job of ours. Clients that wait for an urgent one look themselves.
fn look_for(strays: &Arc<Strays>, flights: &Flights, result: &JobResult) {
    let Job { id, urgency, .. } = &result.job;
    if *urgency == Urgency::Background && result.error.is_none() && flights.is_ours(id) {
        strays.look(Arc::clone(flights.store()), result.key());
    }
}

/// Time that the result of a rejected job has to arrive. The worker sends a result and rejects the job, and the two
/// messages come by different queues.
const RESULT_AFTER_REJECTION: Duration = Duration::from_secs(2);

/// Ends the flights of jobs that became dead letters and whose clients would wait in vain.
async fn mourn(dead_letters: Consumer, flights: Arc<Flights>, messages: Arc<Messages>) {
    #[derive(Deserialize)]
    struct Named {
        id: String,
    }
    while let Some(delivery) = dead_letters.next().await {
        if let Some(reason) = messages.refuse(Kind::Job, &delivery.message) {
            delivery.settle(Outcome::Rejected(reason));
            continue;
        }
        if let (Ok(Named { id }), Some(death)) = (serde_json::from_slice(&delivery.message), delivery.death.clone()) {
            if let Some(error) = dropped_by_policy(&death).or_else(|| of_another_fleet(&death)) {
                if flights.died(&id, &error) {
                    tracing::error!(job = id, queue = death.queue, reason = death.reason, "a job is not done");
                }
            } else {
                let flights = Arc::clone(&flights);
                tokio::spawn(async move {
                    tokio::time::sleep(RESULT_AFTER_REJECTION).await;
                    if flights.died(&id, &JobError::internal()) {
                        tracing::error!(job = id, queue = death.queue, reason = death.reason, "a job cannot be done");
                    }
                });
            }
        }
        delivery.settle(Outcome::Done);
    }
}

/// Returns the error for clients of a job that a policy of RabbitMQ dropped, and `None` for a job that was rejected.
fn dropped_by_policy(death: &Death) -> Option<JobError> {
    let queue = &death.queue;
    let reason = match death.reason.as_str() {
        "maxlen" => format!("the broker dropped the job: '{queue}' is at the length limit of a policy"),
        "expired" => format!("the broker dropped the job: it waited in '{queue}' longer than a policy allows"),
        _ => return None,
    };
    Some(JobError::new(Category::Overloaded, reason))
}

/// Returns the error for clients of a job that a worker refused, since it has another fleet secret.
fn of_another_fleet(death: &Death) -> Option<JobError> {
    let refused =
        [Unverified::Unsigned, Unverified::WrongSignature].iter().any(|refused| refused.to_string() == death.reason);
    refused.then(|| JobError::new(Category::Unavailable, "a worker of another fleet refused the job"))
}

/// Jobs that waited in a queue which somebody deleted are lost. All front ends are told, as each knows its own.
async fn watch_losses(
    others: Option<String>,
    transport: Arc<dyn Transport>,
    flights: Arc<Flights>,
    secrets: FleetSecrets,
) {
    let mut losses = transport.losses();
    while losses.changed().await.is_ok() {
        let notice = secrets.write(Kind::Result, &JobsLost::NOTICE).unwrap_or_default();
        let told = match &others {
            Some(outport) => transport.send(outport, notice.into()).await.is_ok(),
            None => false,
        };
        // Else it comes back to us as well.
        if !told {
            flights.send_again();
        }
    }
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

/// Forgets lost jobs. An urgent job may begin at its client's deadline, and a background job may wait for its turn for
/// as long as one may take.
async fn sweep(flights: Arc<Flights>, ledger: Arc<Ledger>, limits: Limits) {
    let mut ticks = tokio::time::interval(SWEEP);
    loop {
        ticks.tick().await;
        let (urgent, background) =
            (limits.urgent_deadline + limits.longest_urgent_work(), limits.background_deadline * 2);
        flights.forget(urgent, background);
        ledger.forget(urgent.max(background));
    }
}

async fn cancel(mut cancelled: mpsc::UnboundedReceiver<String>, sender: Sender) {
    while let Some(id) = cancelled.recv().await {
        tracing::info!(job = id, "nobody waits for a job any more");
        match sender.send("jobcancel", Kind::Cancel, &Cancel::of(id)).await {
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
