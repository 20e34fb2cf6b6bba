//! The queues a worker takes jobs from, and those beside them.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::select_all;
use imgflo_job::message::JobsLost;
use imgflo_job::secrets::Kind;
use imgflo_job::{FleetSecrets, JobResult, Limits, network};
use imgflo_msgflo::discovery::queue_name;
use imgflo_msgflo::{
    Consumer, Definition, Delivery, Link, Network, Participant, Port, SendError, Transport, TransportError,
};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Role;
use super::gate::Gate;
use crate::Error;

/// What a worker runs, as the original calls it.
const COMPONENT: &str = "imgflo-server/ProcessImage";
/// Waits between attempts to send a result to a front end that is behind.
const SEND_AGAIN: [Duration; 3] = [Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(800)];
/// How long a slot waits for a broker that is away, to tell a result. Front ends look into the store
/// as well, and a job that was not acknowledged comes again.
const WAIT_FOR_BROKER: Duration = Duration::from_secs(3);

/// How often it is looked whether an urgent job that waits has come.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// A worker in one role: its queues, and its announcements for as long as it lives.
pub(super) struct Lane {
    role: Role,
    transport: Arc<dyn Transport>,
    participant: Participant,
    jobs: Consumer,
    cancellations: Option<Consumer>,
    secrets: FleetSecrets,
    link: watch::Receiver<Link>,
}

/// The lanes of a worker, urgent first.
#[derive(Clone)]
pub(super) struct Lanes {
    lanes: Arc<[Arc<Lane>]>,
    /// Shut while results cannot be stored: jobs that nobody waits for can wait, too.
    gate: Arc<Gate>,
}

impl Lanes {
    /// Sets up the network of roles, and opens the queues of `roles`. Waits for no broker: the queues
    /// are there when it is.
    pub(super) async fn open(
        transport: &Arc<dyn Transport>,
        roles: &[Role],
        limits: &Limits,
        gate: Arc<Gate>,
        secrets: FleetSecrets,
    ) -> Result<Lanes, Error> {
        let network = Network::from_graph(&network::graph()).map_err(|error| Error::Internal(error.to_string()))?;
        network.set_up(&**transport, &|queue| network::limit(queue, limits).map(|(limit, _)| limit)).await?;
        let mut lanes = Vec::new();
        for role in Role::ALL.into_iter().filter(|role| roles.contains(role)) {
            lanes.push(Arc::new(Lane::open(transport, &network, role, limits, secrets.clone()).await?));
        }
        Ok(Lanes { lanes: lanes.into(), gate })
    }

    /// True when urgent jobs come, and others that could keep them waiting.
    pub(super) fn are_mixed(&self) -> bool {
        self.lanes.len() > 1 && self.lanes.iter().any(|lane| lane.role == Role::Urgent)
    }

    /// Tells the front ends that jobs were lost with their queue. One lane is enough: front ends hear them all.
    pub(super) async fn tell_of_lost_jobs(&self) {
        if let Some(lane) = self.lanes.first()
            && let Err(error) = lane.send_result(&JobsLost::NOTICE).await
        {
            tracing::debug!(%error, "no front end was told that jobs are lost");
        }
    }

    /// Queues of cancellations.
    pub(super) fn cancellations(&self) -> impl Iterator<Item = Consumer> {
        self.lanes.iter().filter_map(|lane| lane.cancellations.clone())
    }

    /// The next job: an urgent one if there is one, else one of another lane if `any_lane`. Safe to drop.
    pub(super) async fn next(&self, any_lane: bool) -> (Option<Delivery>, &Arc<Lane>) {
        let (urgent, patient): (Vec<&Arc<Lane>>, Vec<&Arc<Lane>>) =
            self.lanes.iter().partition(|lane| lane.role == Role::Urgent);
        let patient = async {
            loop {
                self.gate.open().await;
                for lane in &urgent {
                    lane.empty().await;
                }
                if let Some(taken) = self.gate.while_open(first(&patient)).await {
                    return taken;
                }
            }
        };
        tokio::select! {
            biased;
            taken = first(&urgent) => taken,
            taken = patient, if any_lane => taken,
        }
    }
}

/// The next job of several lanes; never, of none.
async fn first<'a>(lanes: &[&'a Arc<Lane>]) -> (Option<Delivery>, &'a Arc<Lane>) {
    if lanes.is_empty() {
        return std::future::pending().await;
    }
    select_all(lanes.iter().map(|lane| async { (lane.jobs.next().await, *lane) }.boxed())).await.0
}

impl Lane {
    /// Returns when no job waits in the queue. A broker elsewhere takes a moment to deliver one that does, and it is not
    /// to lose the race against a background job.
    async fn empty(&self) {
        while self
            .transport
            .backlog(&queue_name(self.role.name(), "job"))
            .await
            .is_ok_and(|backlog| backlog.waiting > 0)
        {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn open(
        transport: &Arc<dyn Transport>,
        network: &Network,
        role: Role,
        limits: &Limits,
        secrets: FleetSecrets,
    ) -> Result<Lane, TransportError> {
        let mut definition = Definition::new(role.name(), COMPONENT).label("Makes images");
        let mut jobs = Port::new("job").of_type("object");
        jobs.limit = network::limit(&format!("{}.JOB", role.name()), limits).map(|(limit, _)| limit);
        definition = definition.inport(jobs).outport(Port::new("jobresult").of_type("object"));
        // Each worker hears all cancellations, so the queue is its own.
        let sources = network.sources(role.name(), "jobcancel");
        let queue = format!("{}.JOBCANCEL", definition.id);
        let port = Port::new("jobcancel").of_type("object").queue(&queue).temporary();
        let listening = if sources.is_empty() { None } else { Some(definition.clone().inport(port)) };
        let (participant, cancellations) = match listening {
            None => (Participant::start(definition, Arc::clone(transport)).await?, None),
            Some(listening) => match Participant::start(listening, Arc::clone(transport)).await {
                Ok(participant) => {
                    for source in sources {
                        transport.bind(source, &queue).await?;
                    }
                    let cancellations = participant.consume("jobcancel").await?;
                    (participant, Some(cancellations))
                }
                Err(TransportError::Refused(reason)) => {
                    let role = role.name();
                    tracing::warn!(
                        reason,
                        "cancellations are not heard: the account at the broker may not declare queues whose names begin with '{role}-'"
                    );
                    (Participant::start(definition, Arc::clone(transport)).await?, None)
                }
                Err(error) => return Err(error),
            },
        };
        let jobs = participant.consume("job").await?;
        Ok(Lane {
            role,
            transport: Arc::clone(transport),
            participant,
            jobs,
            cancellations,
            secrets,
            link: transport.link(),
        })
    }

    /// Sends a signed message where results go.
    async fn send_result(&self, message: &impl Serialize) -> Result<(), SendError> {
        let message =
            self.secrets.write(Kind::Result, message).map_err(|error| SendError::NotJson(error.to_string()))?;
        self.participant.send_bytes("jobresult", message.into()).await
    }

    /// Tells a result to all who listen, as far as that can be done in a few seconds; false when the
    /// transport is closed.
    pub(super) async fn tell(&self, result: &JobResult) -> bool {
        let end = Instant::now() + WAIT_FOR_BROKER;
        let mut waits = SEND_AGAIN.into_iter();
        loop {
            let error = match self.send_result(result).await {
                Ok(()) => return true,
                Err(SendError::Closed) => return false,
                Err(error @ SendError::Unroutable(_)) => {
                    tracing::debug!(%error, "nobody listens for results");
                    return true;
                }
                Err(error) => error,
            };
            let again = match &error {
                SendError::Full { .. } => match waits.next() {
                    Some(wait) => {
                        tokio::time::sleep(wait).await;
                        true
                    }
                    None => false,
                },
                SendError::Unreachable(_) | SendError::Blocked => self.is_up_before(end).await,
                _ => false,
            };
            if !again {
                tracing::warn!(%error, "a result was not told");
                return true;
            }
        }
    }

    /// Waits until messages flow; false when `end` comes first.
    async fn is_up_before(&self, end: Instant) -> bool {
        // Not at once: what the link says may be behind what happened to the message.
        tokio::time::sleep(SEND_AGAIN[0]).await;
        let mut link = self.link.clone();
        matches!(tokio::time::timeout_at(end, link.wait_for(|link| *link == Link::Up)).await, Ok(Ok(_)))
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }
}
