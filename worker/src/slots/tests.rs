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
    let mut fetch = Box::pin(fetching.fetch("a", arrives));
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
    let mut fetch = pin!(failing.fetch("a", fails));
    assert!(poll!(&mut fetch).is_pending());
    let _busy = seat(&slots, Urgency::Urgent).await;
    drop(fail);
    assert!(fetch.await.is_err());
}

#[tokio::test]
async fn who_may_not_leave_keeps_the_slot() {
    let slots = Slots::new(1, true, MANY);
    let stays = slots.offer().await.seat(Urgency::Urgent, false);
    let mut fetch = Box::pin(stays.fetch("a", std::future::pending::<Result<(), ()>>()));
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
        let mut fetch = Box::pin(async move { seat.fetch("a", std::future::pending::<Result<(), ()>>()).await });
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
        let mut given_up = pin!(slots.wait(Urgency::Urgent, "a"));
        assert!(poll!(&mut given_up).is_pending());
        drop(busy);
        assert_eq!(slots.state().used(), 1, "given, though it has not looked");
    }
    assert_eq!(slots.state().used(), 0);
    drop(slots.offer().await);
    assert!(slots.state().offers.is_empty());
}

/// Jobs that have their input, one from each of `hosts`, whose slots are told in the order in which they are given.
async fn come_back(
    slots: &Arc<Slots>,
    hosts: &'static [&'static str],
) -> tokio::sync::mpsc::UnboundedReceiver<(&'static str, Slot)> {
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    for host in hosts {
        let (slots, tell) = (Arc::clone(slots), tell.clone());
        let mut wait = Box::pin(async move {
            let slot = slots.wait(Urgency::Urgent, host).await;
            let _ = tell.send((*host, slot));
        });
        assert!(poll!(&mut wait).is_pending());
        tokio::spawn(wait);
    }
    told
}

#[tokio::test]
async fn hosts_take_turns() {
    let slots = Slots::new(1, true, MANY);
    let busy = seat(&slots, Urgency::Urgent).await;
    let mut told = come_back(&slots, &["a", "a", "a", "b"]).await;
    drop(busy);
    for next in ["a", "b", "a", "a"] {
        assert_eq!(told.recv().await.unwrap().0, next);
    }
}

#[tokio::test]
async fn the_queue_has_its_turn_beside_jobs_that_came_back() {
    let slots = Slots::new(1, true, MANY);
    slots.take_jobs(true);
    let busy = seat(&slots, Urgency::Urgent).await;
    let mut told = come_back(&slots, &["a"; 4]).await;
    drop(busy);
    let (_, first) = told.recv().await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    drop(first);
    let offer = slots.offer().await;
    assert!(offer.prompt && !offer.any_lane);
    let queued = offer.seat(Urgency::Urgent, true);
    tokio::time::sleep(Duration::from_millis(60)).await;
    drop(queued);
    let (_, second) = told.recv().await.unwrap();
    tokio::time::sleep(Duration::from_millis(60)).await;
    drop(second);
    // The queue has nothing this time, and misses its turns for a while.
    let offer = slots.offer().await;
    assert!(offer.prompt);
    offer.withdrawn().await;
    drop(offer);
    let (_, third) = told.recv().await.unwrap();
    drop(third);
    told.recv().await.unwrap();
    assert!(!slots.offer().await.prompt);
}

#[tokio::test]
async fn a_worker_that_takes_no_jobs_leaves_no_turn_to_the_queue() {
    let slots = Slots::new(1, true, MANY);
    slots.take_jobs(true);
    let busy = seat(&slots, Urgency::Urgent).await;
    let mut told = come_back(&slots, &["a"; 2]).await;
    drop(busy);
    let (_, first) = told.recv().await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    drop(first);
    assert!(poll!(Box::pin(told.recv())).is_pending(), "it is the turn of the queue");
    slots.take_jobs(false);
    told.recv().await.unwrap();
}

#[tokio::test]
async fn a_slot_that_is_given_away_is_free() {
    let slots = Slots::new(1, true, MANY);
    let stored = seat(&slots, Urgency::Urgent).await;
    stored.give_away();
    let stays = slots.offer().await.seat(Urgency::Urgent, false);
    stays.give_away();
    assert!(poll!(pin!(slots.offer())).is_pending());
}
