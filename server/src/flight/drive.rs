//! What has one result made: claims its key, sends the job or waits for that of another front end,
//! and looks into the store now and then, as the message that tells of a result may be lost.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use imgflo_cache::Claim;
use imgflo_job::{Category, Job, JobError, Source, Urgency, key, message};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{Accepted, Commission, FlightKey, Flights, Stage};
use crate::stored::STORE_TIMEOUT;

/// Claims that are not answered in this time are done without: at worst a result is made twice.
const CLAIM_TIMEOUT: Duration = Duration::from_millis(200);

/// Looks in a row, each after [`Pace::waited_for`], that must find no worker before a client is told.
const UNSTAFFED: u32 = 2;

/// How often things are done. All but the leases are spread by a third either way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// How long the claim of an urgent job holds without being renewed.
    pub(crate) urgent_lease: Duration,
    /// The same of a background job.
    pub(crate) background_lease: Duration,
    /// Between looks into the store for what a client waits for.
    pub(crate) waited_for: Duration,
    /// Between looks for the result of an urgent job that nobody waits for any more.
    pub(crate) abandoned: Duration,
    /// Between looks for the result of a background job.
    pub(crate) background: Duration,
}

impl Pace {
    /// For background jobs that work up to `background`.
    pub(crate) fn new(background: Duration) -> Self {
        let background_lease = background.max(Duration::from_secs(60));
        Pace {
            urgent_lease: Duration::from_secs(15),
            background_lease,
            waited_for: Duration::from_millis(1500),
            abandoned: Duration::from_secs(6),
            background: background_lease / 4,
        }
    }
}

/// Of one job.
pub(super) struct Driver {
    flights: Arc<Flights>,
    key: FlightKey,
    id: String,
    urgency: Urgency,
    /// When the job was made, ms since 1970.
    created_at: u64,
    /// The job until it is sent: thousands may wait for their results.
    job: Option<Box<Commission>>,
    /// The job as JSON, which takes less memory, once it is sent: it may have to be sent again.
    sent: Option<Bytes>,
    accept: watch::Sender<Accepted>,
    wake: Arc<Notify>,
    /// Set when the message of the job was lost on the broker.
    lost: Arc<AtomicBool>,
    /// Looks in a row that found no worker.
    unstaffed: u32,
    look: watch::Receiver<()>,
    began: Instant,
    /// True while we hold the claim, as far as we know.
    ours: bool,
}

impl Driver {
    pub(super) fn new(
        flights: Arc<Flights>,
        key: FlightKey,
        commission: Commission,
        accept: watch::Sender<Accepted>,
        (wake, lost): (Arc<Notify>, Arc<AtomicBool>),
    ) -> Self {
        let look = flights.look.subscribe();
        Driver {
            flights,
            key,
            id: commission.job.id.clone(),
            urgency: commission.job.urgency,
            created_at: commission.job.created_at,
            job: Some(Box::new(commission)),
            sent: None,
            accept,
            wake,
            lost,
            unstaffed: 0,
            look,
            began: Instant::now(),
            ours: false,
        }
    }

    /// Runs until the job is over, or `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(self.drive()).await;
        self.release().await;
    }

    async fn drive(&mut self) {
        loop {
            let sent = self.job.is_none();
            match self.claim().await {
                Some(Claim::Refused(reason)) => {
                    return self.fail(&JobError::new(Category::GivenUp, reason));
                }
                // A result that is to be made anew is made here, whoever else makes it.
                Some(Claim::Held) if !sent && !self.key.no_cache => {
                    if !self.at(Stage::Held) {
                        return;
                    }
                    self.accept.send_replace(Some(Ok(())));
                    // It may have come just before we looked.
                    if Box::pin(self.look_into_store()).await {
                        return;
                    }
                }
                _ => {
                    // On the heap for this moment: what waits afterwards, by the thousand, stays small.
                    if let Some(job) = self.job.take() {
                        self.sent = serde_json::to_vec(&job.job).ok().map(Bytes::from);
                        if let Err(error) = Box::pin(self.send(*job)).await {
                            return self.fail(&error);
                        }
                    }
                }
            }
            let waited_for = self.pause().await;
            if Box::pin(self.look_into_store()).await {
                return;
            }
            if self.lost.swap(false, Ordering::AcqRel) {
                Box::pin(self.send_again()).await;
            }
            if waited_for && self.sent.is_some() && Box::pin(self.has_no_worker()).await {
                let reason = "no worker is connected to the broker, so nobody makes the image";
                tracing::warn!(job = self.id, "{reason}; start one: imgflo worker");
                return self.fail(&JobError::new(Category::Unavailable, reason));
            }
        }
    }

    /// Claims the key, or renews the claim; none when nobody can say.
    async fn claim(&mut self) -> Option<Claim> {
        let means = &self.flights.means;
        let lease = match self.urgency {
            Urgency::Urgent => means.pace.urgent_lease,
            Urgency::Background => means.pace.background_lease,
        };
        let name = key::claim(self.urgency, &self.key.cache_key);
        let claim = match timeout(CLAIM_TIMEOUT, means.claims.claim(&name, &means.holder, lease)).await {
            Ok(Ok(claim)) => Some(claim),
            Ok(Err(error)) => {
                tracing::debug!(key = self.key.cache_key, %error, "the key could not be claimed");
                None
            }
            Err(_) => {
                tracing::debug!(key = self.key.cache_key, "claims are not answered");
                None
            }
        };
        self.ours = claim == Some(Claim::Ours);
        claim
    }

    /// Gives the claim up, so that others need not wait for its end. Who has a result keeps it: who
    /// looked into the store just before that result came finds it claimed, and looks again. A job
    /// that goes on without us keeps it as well.
    async fn release(&self) {
        let urgency = self.urgency;
        if !self.ours || self.flights.means.stop.is_cancelled() {
            return;
        }
        {
            let mut board = self.flights.board();
            let again = board.flights.get_mut(&self.key).is_some_and(|flight| flight.lane(urgency).is_some());
            if again || board.landed_since(&self.key.cache_key, self.began).is_some() {
                return;
            }
        }
        let means = &self.flights.means;
        let name = key::claim(urgency, &self.key.cache_key);
        if !matches!(timeout(CLAIM_TIMEOUT, means.claims.release(&name, &means.holder)).await, Ok(Ok(()))) {
            tracing::debug!(key = self.key.cache_key, "a claim could not be given up; it ends by itself");
        }
    }

    /// Notes how far the job is; false when it is not wanted any more.
    fn at(&self, stage: Stage) -> bool {
        let mut board = self.flights.board();
        let Some(flight) = board.flight_of(&self.id, self.urgency) else { return false };
        match flight.lane(self.urgency) {
            Some(flying) => {
                flying.stage = stage;
                true
            }
            None => false,
        }
    }

    /// Hands the job to its lane.
    async fn send(&self, mut commission: Commission) -> Result<(), JobError> {
        let deadline_at = {
            let mut board = self.flights.board();
            board.flight_of(&self.id, self.urgency).map(|flight| flight.deadline_at)
        };
        if !self.at(Stage::Sent) {
            return Err(JobError::new(Category::Cancelled, "nobody waits for it any more"));
        }
        let job = &mut commission.job;
        if self.urgency == Urgency::Urgent && job.deadline_at.is_some() {
            // Later clients may have joined while another front end had the key.
            job.deadline_at = job.deadline_at.max(deadline_at);
            if job.deadline_at.is_some_and(|deadline| deadline <= message::now()) {
                return Err(JobError::new(Category::DeadlineExceeded, "nobody waits for it any more"));
            }
        }
        if self.urgency == Urgency::Urgent {
            self.flights.admit(&job.data.source.as_ref().and_then(Source::host)).await?;
        }
        // In a task of its own: a message that is half sent helps nobody.
        let sending = tokio::spawn((self.flights.means.dispatch)(commission));
        let sent = sending
            .await
            .unwrap_or_else(|error| Err(JobError::new(Category::Internal, format!("sending a job: {error}"))));
        if sent.is_ok() {
            self.accept.send_replace(Some(Ok(())));
        }
        sent
    }

    /// Sends a job again whose message was lost.
    async fn send_again(&self) {
        let job: Option<Job> = self.sent.as_deref().and_then(|sent| serde_json::from_slice(sent).ok());
        let Some(job) = job.filter(|job| job.deadline_at.is_none_or(|deadline| deadline > message::now())) else {
            return;
        };
        tracing::warn!(job = self.id, key = self.key.cache_key, "a job was lost on the broker and is sent again");
        if let Err(error) = (self.flights.means.dispatch)(job.into()).await {
            tracing::warn!(job = self.id, %error, "a lost job could not be sent again yet");
            self.lost.store(true, Ordering::Release);
        }
    }

    /// True when several looks in a row found no worker: one may be starting anew.
    async fn has_no_worker(&mut self) -> bool {
        let staffed = (self.flights.means.staffed)().await;
        self.unstaffed = if staffed { 0 } else { self.unstaffed + 1 };
        self.unstaffed >= UNSTAFFED
    }

    fn fail(&self, error: &JobError) {
        self.accept.send_replace(Some(Err(error.clone())));
        self.flights.fail(&self.id, self.urgency, error);
    }

    /// Waits until it is time to look, or there is reason to. True when a client waits.
    async fn pause(&mut self) -> bool {
        let urgency = self.urgency;
        let waiters = {
            let mut board = self.flights.board();
            board.flight_of(&self.id, urgency).map_or(0, |flight| flight.waiters)
        };
        let pace = self.flights.means.pace;
        let period = match urgency {
            Urgency::Urgent if waiters > 0 => pace.waited_for,
            Urgency::Urgent => pace.abandoned,
            Urgency::Background => pace.background,
        };
        tokio::select! {
            () = tokio::time::sleep(spread(period)) => {}
            () = self.wake.notified() => {}
            changed = self.look.changed() => {
                // Thousands of background jobs need not ask the store in the same moment.
                if changed.is_ok() && urgency == Urgency::Background {
                    tokio::time::sleep(pace.waited_for.mul_f64(8.0 * random())).await;
                }
            }
        }
        waiters > 0
    }

    /// True when the result is stored; then those who wait for it are answered.
    async fn look_into_store(&self) -> bool {
        let cache_key = &self.key.cache_key;
        let keys = [Some(cache_key.clone()), key::private(cache_key)];
        for stored in keys.into_iter().flatten() {
            if self.is_stored(&stored).await {
                tracing::debug!(key = stored, job = self.id, "a result was found in the store");
                self.flights.found(cache_key, self.key.no_cache, &stored);
                return true;
            }
        }
        false
    }

    async fn is_stored(&self, cache_key: &str) -> bool {
        let store = &self.flights.means.store;
        let asked = async {
            if self.key.no_cache {
                // Only one that was made since will do. Clocks differ, so this is rather late than wrong.
                let made = UNIX_EPOCH + Duration::from_millis(self.created_at);
                store.get(cache_key).await.map(|blob| blob.is_some_and(|blob| blob.stored_at > made))
            } else {
                store.contains(cache_key).await
            }
        };
        match timeout(STORE_TIMEOUT, asked).await {
            Ok(Ok(stored)) => stored,
            Ok(Err(error)) => {
                tracing::debug!(key = cache_key, %error, "the store could not be asked");
                false
            }
            Err(_) => false,
        }
    }
}

/// Something between two thirds and four thirds of a period, so that what began together does not
/// go on together.
fn spread(period: Duration) -> Duration {
    period.mul_f64((2.0 + 2.0 * random()) / 3.0)
}

/// Something between 0 and 1.
fn random() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_spread_and_shorter_than_leases() {
        let pace = Pace::new(Duration::from_secs(600));
        for _ in 0..1000 {
            let period = spread(pace.waited_for);
            assert!((Duration::from_secs(1)..=Duration::from_secs(2)).contains(&period), "{period:?}");
            assert!(spread(pace.abandoned) < pace.urgent_lease);
            assert!(spread(pace.background) < pace.background_lease);
        }
        assert_ne!(spread(pace.background), spread(pace.background));
    }
}
