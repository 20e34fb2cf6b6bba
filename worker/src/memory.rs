//! Which jobs may hold memory together.
//!
//! Jobs say how much they will need before they allocate it, and wait until that much of the budget is free. Urgent jobs
//! come first; within a lane nobody overtakes, so a large job is not starved by small ones. Background jobs leave a
//! quarter of the budget to urgent ones, unless nothing else runs.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imgflo_job::Urgency;
use tokio::sync::oneshot;

/// More than the whole budget was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{wanted} bytes are more than the whole budget of {budget}")]
pub struct OverBudget {
    /// Bytes asked for.
    pub wanted: u64,
    /// Bytes there are for all jobs together.
    pub budget: u64,
}

/// Bytes that all running jobs share.
#[derive(Debug)]
pub struct Budget {
    total: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    free: u64,
    running: usize,
    urgent: VecDeque<Waiting>,
    background: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    bytes: u64,
    admit: oneshot::Sender<Admission>,
}

/// A share of the budget; given back when dropped.
#[derive(Debug)]
pub struct Admission {
    /// Taken out when the share was never handed over.
    budget: Option<Arc<Budget>>,
    bytes: u64,
}

impl Budget {
    /// A budget of `bytes`.
    pub fn new(bytes: u64) -> Arc<Self> {
        let state = State { free: bytes, running: 0, urgent: VecDeque::new(), background: VecDeque::new() };
        Arc::new(Budget { total: bytes, state: Mutex::new(state) })
    }

    /// Waits until `bytes` are free. Stops waiting when dropped.
    ///
    /// # Errors
    /// [`OverBudget`] at once, when no waiting would help.
    pub async fn admit(self: &Arc<Self>, bytes: u64, urgency: Urgency) -> Result<Admission, OverBudget> {
        let over = OverBudget { wanted: bytes, budget: self.total };
        if bytes > self.total {
            return Err(over);
        }
        let (admit, admitted) = oneshot::channel();
        {
            let mut state = self.state();
            let lane = match urgency {
                Urgency::Urgent => &mut state.urgent,
                Urgency::Background => &mut state.background,
            };
            lane.push_back(Waiting { bytes, admit });
            self.serve(&mut state);
        }
        // The sender lies in a queue of the budget, which `self` keeps alive.
        admitted.await.map_err(|_| over)
    }

    /// Bytes that nobody holds.
    pub fn free(&self) -> u64 {
        self.state().free
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits who is next, while there is room.
    fn serve(self: &Arc<Self>, state: &mut State) {
        loop {
            // Who stopped waiting must not hold up the others.
            state.urgent.retain(|waiting| !waiting.admit.is_closed());
            state.background.retain(|waiting| !waiting.admit.is_closed());
            let (lane, reserve) = if state.urgent.is_empty() {
                (&mut state.background, if state.running == 0 { 0 } else { self.total / 4 })
            } else {
                (&mut state.urgent, 0)
            };
            let fits = lane.front().is_some_and(|next| next.bytes.saturating_add(reserve) <= state.free);
            let next = if fits { lane.pop_front() } else { None };
            let Some(next) = next else { return };
            let admission = Admission { budget: Some(Arc::clone(self)), bytes: next.bytes };
            match next.admit.send(admission) {
                Ok(()) => {
                    state.free -= next.bytes;
                    state.running += 1;
                }
                // Nobody waits any more; dropping it must not give back what was not taken.
                Err(mut admission) => admission.budget = None,
            }
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some(budget) = self.budget.take() {
            let mut state = budget.state();
            state.free += self.bytes;
            state.running -= 1;
            budget.serve(&mut state);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::poll;

    use super::*;

    #[tokio::test]
    async fn the_budget_is_never_exceeded() {
        let budget = Budget::new(100);
        let first = budget.admit(60, Urgency::Urgent).await.unwrap();
        let mut second = pin!(budget.admit(60, Urgency::Urgent));
        assert!(poll!(&mut second).is_pending());
        assert_eq!(budget.free(), 40);
        drop(first);
        let second = second.await.unwrap();
        assert_eq!(budget.free(), 40);
        drop(second);
        assert_eq!(budget.free(), 100);
    }

    #[tokio::test]
    async fn what_can_never_fit_is_refused_at_once() {
        let budget = Budget::new(100);
        let error = budget.admit(101, Urgency::Urgent).await.unwrap_err();
        assert_eq!(error, OverBudget { wanted: 101, budget: 100 });
        assert!(budget.admit(100, Urgency::Background).await.is_ok());
    }

    #[tokio::test]
    async fn urgent_before_background_and_no_overtaking_in_a_lane() {
        let budget = Budget::new(100);
        let running = budget.admit(90, Urgency::Urgent).await.unwrap();
        let mut background = pin!(budget.admit(5, Urgency::Background));
        let mut large = pin!(budget.admit(50, Urgency::Urgent));
        let mut small = pin!(budget.admit(5, Urgency::Urgent));
        assert!(poll!(&mut background).is_pending(), "five more would take from the reserve");
        assert!(poll!(&mut large).is_pending());
        assert!(poll!(&mut small).is_pending(), "the large one came first");
        drop(running);
        let large = large.await.unwrap();
        let small = small.await.unwrap();
        let background = background.await.unwrap();
        assert_eq!(budget.free(), 40);
        drop((large, small, background));
    }

    #[tokio::test]
    async fn background_leaves_room_unless_it_is_alone() {
        let budget = Budget::new(100);
        let alone = budget.admit(90, Urgency::Background).await.unwrap();
        let mut second = pin!(budget.admit(10, Urgency::Background));
        assert!(poll!(&mut second).is_pending());
        let urgent = budget.admit(10, Urgency::Urgent).await.unwrap();
        drop(alone);
        assert!(second.await.is_ok());
        drop(urgent);
    }

    #[tokio::test]
    async fn who_stops_waiting_holds_nobody_up_and_takes_nothing() {
        let budget = Budget::new(100);
        let running = budget.admit(60, Urgency::Urgent).await.unwrap();
        {
            let mut given_up = pin!(budget.admit(100, Urgency::Urgent));
            assert!(poll!(&mut given_up).is_pending());
        }
        let small = budget.admit(30, Urgency::Urgent).await.unwrap();
        {
            let mut unclaimed = pin!(budget.admit(70, Urgency::Urgent));
            assert!(poll!(&mut unclaimed).is_pending());
            drop(running);
            assert_eq!(budget.free(), 0, "admitted, though it has not looked");
        }
        assert_eq!(budget.free(), 70);
        drop(small);
        assert_eq!(budget.free(), 100);
    }
}
