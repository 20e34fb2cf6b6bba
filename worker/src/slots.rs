//! Slots: how many jobs of a worker may compute at once.
//!
//! A job has a slot from the moment it is taken from its queue, except while it waits for an origin. A worker takes a
//! job only if it has a slot for it, so it holds no job that another worker could render. A job that has its input
//! gets a slot that was offered to a queue in vain. When both want slots, they take turns: [`turns`].
//!
//! Patient jobs (background, video) leave one slot to urgent jobs where there are several.

mod turns;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use imgflo_job::Urgency;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use self::turns::{Side, Times, Turns};

/// Time that the queue has to deliver a job for a slot that jobs with their input want, too.
const PROMPT: Duration = Duration::from_millis(5);
/// Time for which a queue that delivered none misses its turns.
const PASSED_OVER: Duration = Duration::from_millis(50);

/// The slots of one worker.
#[derive(Debug)]
pub(crate) struct Slots {
    total: usize,
    /// Most slots that patient jobs have together.
    patient: usize,
    /// Most patient jobs that wait for an origin at a time; more stay in their queues.
    patient_away: usize,
    state: Mutex<State>,
    /// Notified when a slot may have become free.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Slots in use, by lane.
    urgent: usize,
    patient: usize,
    /// Patient jobs without a slot.
    patient_away: usize,
    /// Slots that wait for a job from a queue.
    offers: Vec<Open>,
    next_offer: u64,
    urgent_waits: Turns<oneshot::Sender<Slot>>,
    patient_waits: Turns<oneshot::Sender<Slot>>,
    /// How long urgent jobs of the queue, and those that came back, have had slots.
    times: Times,
    /// True while the worker takes jobs from its queues.
    takes: bool,
    /// Until when the queue misses its turns.
    passed_over_until: Option<Instant>,
}

/// An offer that no job has taken yet.
#[derive(Debug)]
struct Open {
    id: u64,
    any_lane: bool,
    /// True if jobs that came back wait for the same slot.
    prompt: bool,
    withdrawn: CancellationToken,
}

impl State {
    fn used(&self) -> usize {
        self.urgent + self.patient
    }

    /// Slots in use, and those that jobs that came back leave to the queue for a moment.
    fn spoken_for(&self) -> usize {
        self.used() + self.offers.iter().filter(|offer| offer.prompt).count()
    }

    /// True if the next free slot is offered to the queue although jobs that came back wait for one. While a slot is
    /// offered already, the queue is known to deliver nothing.
    fn is_turn_of_queue(&self) -> bool {
        let now = Instant::now();
        self.takes
            && self.offers.is_empty()
            && self.passed_over_until.is_none_or(|until| until <= now)
            && self.times.queue_is_next(now)
    }

    fn open_offers(&self) -> usize {
        self.offers.iter().filter(|offer| offer.any_lane).count()
    }

    fn used_by(&mut self, urgency: Urgency) -> &mut usize {
        match urgency {
            Urgency::Urgent => &mut self.urgent,
            Urgency::Background => &mut self.patient,
        }
    }

    fn give_back(&mut self, slot: &Slot) {
        *self.used_by(slot.urgency) -= 1;
        self.times.end(slot.timed, Instant::now());
    }
}

/// A slot in use; free again when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Taken out of a slot that was never handed over.
    slots: Option<Arc<Slots>>,
    urgency: Urgency,
    /// Its number in the times; 0 for patient jobs.
    timed: u64,
}

/// A free slot, for the next job of a queue.
pub(crate) struct Offer {
    slots: Arc<Slots>,
    id: u64,
    /// Cancelled when a job that has its input took the slot, or when the slot may go to another lane.
    withdrawn: CancellationToken,
    /// True if the offer holds for [`PROMPT`] only.
    prompt: bool,
    /// False if the slot is for urgent jobs only.
    pub(crate) any_lane: bool,
}

/// A job's right to compute, which it gives away while it waits for others.
#[derive(Debug)]
pub(crate) struct Seat {
    slots: Arc<Slots>,
    urgency: Urgency,
    slot: Mutex<Option<Slot>>,
    /// True if the job may wait for an origin without its slot.
    leaves: bool,
}

impl Slots {
    /// `total` slots, at least 1. `mixed`: urgent jobs come as well as patient ones. At most `patient_away` patient
    /// jobs wait for origins at a time.
    pub(crate) fn new(total: usize, mixed: bool, patient_away: usize) -> Arc<Self> {
        let total = total.max(1);
        let patient = if mixed && total > 1 { total - 1 } else { total };
        Arc::new(Slots { total, patient, patient_away, state: Mutex::default(), changed: Notify::new() })
    }

    /// Tells whether the worker asks for offers. Until it does, no slot that a job waits for is left to the queues.
    pub(crate) fn take_jobs(self: &Arc<Self>, takes: bool) {
        let mut state = self.state();
        if state.takes != takes {
            state.takes = takes;
            self.serve(&mut state);
        }
    }

    /// Waits until a slot is free that no job wants which is here already, or until it is the queue's turn. Safe to
    /// drop.
    pub(crate) async fn offer(self: &Arc<Self>) -> Offer {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let mut state = self.state();
                self.serve(&mut state);
                let prompt = !state.urgent_waits.is_empty();
                let is_free = state.used() + state.offers.len() < self.total;
                if is_free && (!prompt || state.is_turn_of_queue()) {
                    let any_lane = !prompt && state.patient_waits.is_empty() && self.takes_patient(&state);
                    let (id, withdrawn) = (state.next_offer, CancellationToken::new());
                    state.next_offer += 1;
                    state.offers.push(Open { id, any_lane, prompt, withdrawn: withdrawn.clone() });
                    // What else is free is not for the queue.
                    self.serve(&mut state);
                    return Offer { slots: Arc::clone(self), id, withdrawn, prompt, any_lane };
                }
            }
            changed.await;
        }
    }

    /// True if one more slot may be offered to patient jobs.
    fn takes_patient(&self, state: &State) -> bool {
        let open = state.open_offers();
        state.patient + open < self.patient && state.patient_away + open < self.patient_away
    }

    /// Waits for a slot, in the turn of `host`, which delivered the input; empty for no host. Stops waiting when dropped.
    async fn wait(self: &Arc<Self>, urgency: Urgency, host: &str) -> Slot {
        let slot = {
            let (give, slot) = oneshot::channel();
            let mut state = self.state();
            match urgency {
                Urgency::Urgent => state.urgent_waits.push(host, give),
                Urgency::Background => state.patient_waits.push(host, give),
            }
            self.serve(&mut state);
            slot
        };
        match slot.await {
            Ok(slot) => slot,
            // The sender lies in a queue of the slots, which `self` keeps alive.
            Err(_) => std::future::pending().await,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives slots to jobs that wait, urgent ones first, and withdraws offers where these need them.
    fn serve(self: &Arc<Self>, state: &mut State) {
        state.urgent_waits.retain(|job| !job.is_closed());
        state.patient_waits.retain(|job| !job.is_closed());
        state.times.contend(!state.urgent_waits.is_empty(), Instant::now());
        while state.spoken_for() < self.total {
            if !state.urgent_waits.is_empty() && state.is_turn_of_queue() {
                self.changed.notify_waiters();
                break;
            }
            let (job, urgency) = if let Some(job) = state.urgent_waits.pop() {
                (job, Urgency::Urgent)
            } else if state.patient < self.patient
                && let Some(job) = state.patient_waits.pop()
            {
                (job, Urgency::Background)
            } else {
                break;
            };
            if let Err(mut slot) = job.send(self.slot(state, urgency, Side::Host)) {
                // Nobody waits any more. Dropping the slot would lock the state again.
                slot.slots = None;
                state.give_back(&slot);
            }
        }
        state.times.contend(!state.urgent_waits.is_empty(), Instant::now());
        let over = state.patient + state.open_offers() > self.patient;
        // An offer for urgent jobs only is made again where patient ones may come now.
        let narrow = state.patient_waits.is_empty() && self.takes_patient(state);
        if (over || narrow)
            && let Some(offer) = state.offers.iter().rposition(|offer| offer.any_lane == over && !offer.prompt)
        {
            state.offers.remove(offer).withdrawn.cancel();
        }
        while state.used() + state.offers.len() > self.total
            && let Some(offer) = state.offers.pop()
        {
            offer.withdrawn.cancel();
        }
    }

    /// A slot that is in use from now on.
    fn slot(self: &Arc<Self>, state: &mut State, urgency: Urgency, side: Side) -> Slot {
        *state.used_by(urgency) += 1;
        let timed = if urgency == Urgency::Urgent { state.times.start(side, Instant::now()) } else { 0 };
        Slot { slots: Some(Arc::clone(self)), urgency, timed }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(slots) = self.slots.take() {
            let mut state = slots.state();
            state.give_back(self);
            slots.serve(&mut state);
            drop(state);
            slots.changed.notify_waiters();
        }
    }
}

impl Offer {
    /// Returns when the offer does not hold any more.
    pub(crate) async fn withdrawn(&self) {
        if !self.prompt {
            return self.withdrawn.cancelled().await;
        }
        if tokio::time::timeout(PROMPT, self.withdrawn.cancelled()).await.is_err() {
            self.slots.state().passed_over_until = Some(Instant::now() + PASSED_OVER);
        }
    }

    /// The seat of the job that was taken for the slot. `leaves`: the job gives its slot away while it waits for an
    /// origin.
    pub(crate) fn seat(self, urgency: Urgency, leaves: bool) -> Seat {
        let slots = Arc::clone(&self.slots);
        let slot = {
            let mut state = slots.state();
            // An offer that was withdrawn meanwhile is not there: the job waits like others that are here.
            state.offers.iter().position(|offer| offer.id == self.id).map(|offer| {
                state.offers.remove(offer);
                state.passed_over_until = None;
                slots.slot(&mut state, urgency, Side::Queue)
            })
        };
        Seat { slots, urgency, slot: Mutex::new(slot), leaves }
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        let mut state = self.slots.state();
        state.offers.retain(|offer| offer.id != self.id);
        self.slots.serve(&mut state);
        drop(state);
        self.slots.changed.notify_waiters();
    }
}

impl Seat {
    /// Waits for the slot, if the job has none.
    pub(crate) async fn take(&self) {
        if self.slot().is_none() {
            self.take_turn("").await;
        }
    }

    async fn take_turn(&self, host: &str) {
        let slot = self.slots.wait(self.urgency, host).await;
        *self.slot() = Some(slot);
    }

    /// Gives the slot away for good, if the job may leave it.
    pub(crate) fn give_away(&self) {
        if self.leaves {
            drop(self.slot().take());
        }
    }

    /// Waits for `work`, which needs no slot, and then for a slot.
    pub(crate) async fn leave<T>(&self, work: impl Future<Output = T>) -> T {
        let _away = Away::new(&self.slots, self.urgency);
        drop(self.slot().take());
        let done = work.await;
        self.take().await;
        done
    }

    /// Waits for an origin on `host`, without a slot if the job may leave it. A job that failed gets no slot again.
    pub(crate) async fn fetch<T, E>(&self, host: &str, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        if !self.leaves {
            return work.await;
        }
        let _away = Away::new(&self.slots, self.urgency);
        drop(self.slot().take());
        let done = work.await?;
        self.take_turn(host).await;
        Ok(done)
    }

    fn slot(&self) -> MutexGuard<'_, Option<Slot>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a job without a slot.
struct Away<'a>(&'a Arc<Slots>, Urgency);

impl<'a> Away<'a> {
    fn new(slots: &'a Arc<Slots>, urgency: Urgency) -> Self {
        if urgency == Urgency::Background {
            slots.state().patient_away += 1;
        }
        Away(slots, urgency)
    }
}

impl Drop for Away<'_> {
    fn drop(&mut self) {
        if self.1 == Urgency::Background {
            let mut state = self.0.state();
            state.patient_away -= 1;
            self.0.serve(&mut state);
            drop(state);
            self.0.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests;
