//! Slots: how many jobs of a worker may compute at once.
//!
//! A job has a slot from the moment it is taken from its queue, except while it waits for an origin. A worker takes a
//! job only if it has a slot for it, so it holds no job that another worker could render. A job that has its input
//! comes before jobs that are still queued: it gets the slot that was offered to a queue.
//!
//! Patient jobs (background, video) leave one slot to urgent jobs where there are several.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imgflo_job::Urgency;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

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
    urgent_waits: VecDeque<oneshot::Sender<Slot>>,
    patient_waits: VecDeque<oneshot::Sender<Slot>>,
}

/// An offer that no job has taken yet.
#[derive(Debug)]
struct Open {
    id: u64,
    any_lane: bool,
    withdrawn: CancellationToken,
}

impl State {
    fn used(&self) -> usize {
        self.urgent + self.patient
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
}

/// A slot in use; free again when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Taken out of a slot that was never handed over.
    slots: Option<Arc<Slots>>,
    urgency: Urgency,
}

/// A free slot, for the next job of a queue.
pub(crate) struct Offer {
    slots: Arc<Slots>,
    id: u64,
    /// Cancelled when a job that has its input took the slot, or when the slot may go to another lane.
    withdrawn: CancellationToken,
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

    /// Waits until a slot is free that no job wants which is here already. Safe to drop.
    pub(crate) async fn offer(self: &Arc<Self>) -> Offer {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let mut state = self.state();
                self.serve(&mut state);
                if state.urgent_waits.is_empty() && state.used() + state.offers.len() < self.total {
                    let any_lane = state.patient_waits.is_empty() && self.takes_patient(&state);
                    let (id, withdrawn) = (state.next_offer, CancellationToken::new());
                    state.next_offer += 1;
                    state.offers.push(Open { id, any_lane, withdrawn: withdrawn.clone() });
                    return Offer { slots: Arc::clone(self), id, withdrawn, any_lane };
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

    /// Waits for a slot. Stops waiting when dropped.
    async fn wait(self: &Arc<Self>, urgency: Urgency) -> Slot {
        let slot = {
            let (give, slot) = oneshot::channel();
            let mut state = self.state();
            match urgency {
                Urgency::Urgent => state.urgent_waits.push_back(give),
                Urgency::Background => state.patient_waits.push_back(give),
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
        while state.used() < self.total {
            let (job, urgency) = if let Some(job) = state.urgent_waits.pop_front() {
                (job, Urgency::Urgent)
            } else if state.patient < self.patient
                && let Some(job) = state.patient_waits.pop_front()
            {
                (job, Urgency::Background)
            } else {
                break;
            };
            match job.send(Slot { slots: Some(Arc::clone(self)), urgency }) {
                Ok(()) => *state.used_by(urgency) += 1,
                // Nobody waits any more; dropping it must not give back what was not taken.
                Err(mut slot) => slot.slots = None,
            }
        }
        let over = state.patient + state.open_offers() > self.patient;
        // An offer for urgent jobs only is made again where patient ones may come now.
        let narrow = state.patient_waits.is_empty() && self.takes_patient(state);
        if (over || narrow)
            && let Some(offer) = state.offers.iter().rposition(|offer| offer.any_lane == over)
        {
            state.offers.remove(offer).withdrawn.cancel();
        }
        while state.used() + state.offers.len() > self.total
            && let Some(offer) = state.offers.pop()
        {
            offer.withdrawn.cancel();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(slots) = self.slots.take() {
            let mut state = slots.state();
            *state.used_by(self.urgency) -= 1;
            slots.serve(&mut state);
            drop(state);
            slots.changed.notify_waiters();
        }
    }
}

impl Offer {
    /// Returns when the offer does not hold any more.
    pub(crate) async fn withdrawn(&self) {
        self.withdrawn.cancelled().await;
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
                *state.used_by(urgency) += 1;
                Slot { slots: Some(Arc::clone(&slots)), urgency }
            })
        };
        Seat { slots, urgency, slot: Mutex::new(slot), leaves }
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        self.slots.state().offers.retain(|offer| offer.id != self.id);
        self.slots.changed.notify_waiters();
    }
}

impl Seat {
    /// Waits for the slot, if the job has none.
    pub(crate) async fn take(&self) {
        if self.slot().is_none() {
            let slot = self.slots.wait(self.urgency).await;
            *self.slot() = Some(slot);
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

    /// Waits for an origin, without a slot if the job may leave it. A job that failed gets no slot again.
    pub(crate) async fn fetch<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        if !self.leaves {
            return work.await;
        }
        let _away = Away::new(&self.slots, self.urgency);
        drop(self.slot().take());
        let done = work.await?;
        self.take().await;
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
