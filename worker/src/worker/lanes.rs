//! The queues a worker takes jobs from, and those beside them.

use std::sync::Arc;

use imgflo_job::{JobResult, Limits};
use imgflo_msgflo::{Consumer, Definition, Delivery, Participant, Port, SendError, Transport, TransportError};

use super::Role;

/// What a worker runs, as the original calls it.
const COMPONENT: &str = "imgflo-server/ProcessImage";
/// Outport of the front ends that says which jobs nobody waits for.
const CANCELLATIONS: &str = "imgflo_api.JOBCANCEL";

/// A worker in one role: its queues, and its announcements for as long as it lives.
pub(super) struct Lane {
    role: Role,
    participant: Participant,
    jobs: Consumer,
    cancellations: Option<Consumer>,
}

/// The lanes of a worker, urgent first.
#[derive(Clone)]
pub(super) struct Lanes(Arc<[Lane]>);

impl Lanes {
    /// Declares and opens the queues of `roles`.
    pub(super) async fn open(
        transport: &Arc<dyn Transport>,
        roles: &[Role],
        limits: &Limits,
    ) -> Result<Lanes, TransportError> {
        let mut lanes = Vec::new();
        for role in [Role::Urgent, Role::Background].into_iter().filter(|role| roles.contains(role)) {
            lanes.push(Lane::open(transport, role, limits).await?);
        }
        Ok(Lanes(lanes.into()))
    }

    pub(super) fn only_background(&self) -> bool {
        self.0.iter().all(|lane| lane.role == Role::Background)
    }

    /// Queues of cancellations.
    pub(super) fn cancellations(&self) -> impl Iterator<Item = Consumer> {
        self.0.iter().filter_map(|lane| lane.cancellations.clone())
    }

    /// The next job: an urgent one if there is one, else one of another lane if `any_lane`. Safe to drop.
    pub(super) async fn next(&self, any_lane: bool) -> (Option<Delivery>, &Lane) {
        match &self.0[..] {
            [first, second] if any_lane => tokio::select! {
                biased;
                delivery = first.jobs.next() => (delivery, first),
                delivery = second.jobs.next() => (delivery, second),
            },
            [lane, ..] => (lane.jobs.next().await, lane),
            // No role at all: nothing ever comes.
            [] => std::future::pending().await,
        }
    }
}

impl Lane {
    async fn open(transport: &Arc<dyn Transport>, role: Role, limits: &Limits) -> Result<Lane, TransportError> {
        let limit = match role {
            Role::Urgent => limits.max_urgent_jobs,
            Role::Background => limits.max_background_jobs,
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut definition = Definition::new(role.name(), COMPONENT)
            .label("Makes images")
            .inport(Port::new("job").of_type("object").limit(limit))
            .outport(Port::new("jobresult").of_type("object"));
        // Background jobs are never cancelled. Each worker hears all cancellations, so the queue is its own.
        let cancellations = (role == Role::Urgent).then(|| format!("{}.JOBCANCEL", definition.id));
        if let Some(queue) = &cancellations {
            definition = definition.inport(Port::new("jobcancel").of_type("object").queue(queue).temporary());
        }
        let participant = Participant::start(definition, Arc::clone(transport)).await?;
        let cancellations = match &cancellations {
            Some(queue) => {
                transport.declare_outport(CANCELLATIONS).await?;
                transport.bind(CANCELLATIONS, queue).await?;
                Some(participant.consume("jobcancel").await?)
            }
            None => None,
        };
        let jobs = participant.consume("job").await?;
        Ok(Lane { role, participant, jobs, cancellations })
    }

    /// Tells a result to all who listen.
    pub(super) async fn tell(&self, result: &JobResult) -> Result<(), SendError> {
        self.participant.send("jobresult", result).await
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }
}
