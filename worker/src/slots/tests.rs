use std::pin::pin;

use futures::poll;

use super::*;

const MANY: usize = 100;

async fn seat(slots: &Arc<Slots>, urgency: Urgency) -> Seat {
    slots.offer().await.seat(urgency, true)
}

#[tokio::test]
async fn no_job_is_taken_without_a_slot() {
    let slots = Slots::new(2, true, MANY);
    let first = seat(&slots, Urgency::Urgent).await;
    let _second = seat(&slots, Urgency::Urgent).await;
    let mut third = pin!(slots.offer());
    assert!(poll!(&mut third).is_pending());
    drop(first);
    third.await;
}

#[tokio::test]
async fn a_job_that_fetches_leaves_its_slot_and_comes_back_before_the_queue() {
    let slots = Slots::new(1, true, MANY);
    let fetching = seat(&slots, Urgency::Urgent).await;
    let (arrive, arrives) = oneshot::channel::<()>();
    let mut fetch = Box::pin(fetching.fetch(arrives));
    assert!(poll!(&mut fetch).is_pending());
    // Two cheap jobs pass by meanwhile.
    for _ in 0..2 {
        drop(seat(&slots, Urgency::Urgent).await);
    }
    let offer = slots.offer().await;
    arrive.send(()).unwrap();
    fetch.as_mut().await.unwrap();
    drop(fetch);
    offer.withdrawn().await;
    assert!(poll!(pin!(slots.offer())).is_pending());
    // A job that came for the withdrawn offer in that moment waits for its turn.
    let raced = offer.seat(Urgency::Urgent, true);
    let mut turn = pin!(raced.take());
    assert!(poll!(&mut turn).is_pending());
    drop(fetching);
    turn.await;
}

#[tokio::test]
async fn a_failed_fetch_needs_no_slot() {
    let slots = Slots::new(1, true, MANY);
    let failing = seat(&slots, Urgency::Urgent).await;
    let (fail, fails) = oneshot::channel::<()>();
    let mut fetch = pin!(failing.fetch(fails));
    assert!(poll!(&mut fetch).is_pending());
    let _busy = seat(&slots, Urgency::Urgent).await;
    drop(fail);
    assert!(fetch.await.is_err());
}

#[tokio::test]
async fn who_may_not_leave_keeps_the_slot() {
    let slots = Slots::new(1, true, MANY);
    let stays = slots.offer().await.seat(Urgency::Urgent, false);
    let mut fetch = Box::pin(stays.fetch(std::future::pending::<Result<(), ()>>()));
    assert!(poll!(&mut fetch).is_pending());
    assert!(poll!(pin!(slots.offer())).is_pending());
    drop(fetch);
    // But not while it waits for itself, at work here already.
    let mut again = pin!(stays.leave(std::future::pending::<()>()));
    assert!(poll!(&mut again).is_pending());
    slots.offer().await;
}

#[tokio::test]
async fn patient_jobs_leave_a_slot_to_urgent_ones() {
    let slots = Slots::new(2, true, MANY);
    let any = slots.offer().await;
    let urgent = slots.offer().await;
    assert!(any.any_lane && !urgent.any_lane);
    let patient = any.seat(Urgency::Background, true);
    // The one that is left stays for urgent jobs, until the patient one is done.
    assert!(poll!(pin!(urgent.withdrawn())).is_pending());
    drop(patient);
    let again = slots.offer().await;
    assert!(again.any_lane);
    drop((again, urgent));
    // Of two that come back at once, the urgent one is first.
    let (a, b) = (seat(&slots, Urgency::Background).await, seat(&slots, Urgency::Urgent).await);
    let (mut back_a, mut back_b) = (pin!(a.leave(async {})), pin!(b.leave(async {})));
    assert!(poll!(&mut back_a).is_ready() && poll!(&mut back_b).is_ready());
    let one = Slots::new(1, true, MANY);
    assert!(one.offer().await.any_lane, "one slot takes both");
}

#[tokio::test]
async fn few_patient_jobs_wait_for_origins() {
    let slots = Slots::new(1, false, 2);
    let mut away = Vec::new();
    for _ in 0..2 {
        let offer = slots.offer().await;
        assert!(offer.any_lane);
        let seat = offer.seat(Urgency::Background, true);
        let mut fetch = Box::pin(async move { seat.fetch(std::future::pending::<Result<(), ()>>()).await });
        assert!(poll!(&mut fetch).is_pending());
        away.push(fetch);
    }
    let offer = slots.offer().await;
    assert!(!offer.any_lane);
    away.pop();
    offer.withdrawn().await;
    assert!(slots.offer().await.any_lane);
}

#[tokio::test]
async fn who_stops_waiting_takes_nothing() {
    let slots = Slots::new(1, true, MANY);
    let busy = seat(&slots, Urgency::Urgent).await;
    {
        let mut given_up = pin!(slots.wait(Urgency::Urgent));
        assert!(poll!(&mut given_up).is_pending());
        drop(busy);
        assert_eq!(slots.state().used(), 1, "given, though it has not looked");
    }
    assert_eq!(slots.state().used(), 0);
    drop(slots.offer().await);
    assert!(slots.state().offers.is_empty());
}
