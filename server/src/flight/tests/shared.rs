//! Several front ends that share claims and a store.

use super::*;

#[tokio::test]
async fn front_ends_share_a_job() {
    let ground = Ground::new();
    let (mut one, mut two) = (ground.rig("one", SLOW), ground.rig("two", SLOW));
    let first = urgent(&one, "a");
    assert_eq!(one.jobs.recv().await.unwrap().id, "a");
    let second = urgent(&two, "b");
    let held = |rig: &Rig| {
        let board = rig.flights.board();
        board.flights.values().any(|flight| flight.urgent.as_ref().is_some_and(|job| job.stage == Stage::Held))
    };
    until(|| held(&two)).await;
    for rig in [&one, &two] {
        rig.flights.settle(done("a", Urgency::Urgent, None));
    }
    assert!(outcome(first).await.is_ok() && outcome(second).await.is_ok());
    assert!(two.jobs.try_recv().is_err());

    // A failure answers all, too.
    let first = urgent(&one, "c");
    assert_eq!(one.jobs.recv().await.unwrap().id, "c");
    let second = urgent(&two, "d");
    until(|| held(&two)).await;
    let failure = JobError::new(Category::OriginFailed, "404");
    for rig in [&one, &two] {
        rig.flights.settle(done("c", Urgency::Urgent, Some(failure.clone())));
    }
    assert_eq!((outcome(first).await, outcome(second).await), (Err(failure.clone()), Err(failure)));

    // When the clients of the one leave, those of the other do not wait for the end of a claim.
    let first = urgent(&one, "e");
    assert_eq!(one.jobs.recv().await.unwrap().id, "e");
    let second = urgent(&two, "f");
    until(|| held(&two)).await;
    drop(first);
    assert_eq!(one.cancelled.recv().await.unwrap(), "e");
    // The claim is given up by then, as the worker needs longer to hear of it.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let cancelled = JobError::new(Category::Cancelled, "nobody waits");
    two.flights.settle(done("e", Urgency::Urgent, Some(cancelled)));
    assert_eq!(two.jobs.recv().await.unwrap().id, "f");
    two.flights.settle(done("f", Urgency::Urgent, None));
    assert!(outcome(second).await.is_ok());
    assert!(two.cancelled.try_recv().is_err());
}

#[tokio::test]
async fn a_front_end_that_waits_for_another_has_no_job_to_cancel() {
    let ground = Ground::new();
    let (mut one, mut two) = (ground.rig("one", SLOW), ground.rig("two", SLOW));
    let _first = urgent(&one, "a");
    assert_eq!(one.jobs.recv().await.unwrap().id, "a");
    drop(urgent(&two, "b"));
    assert!(two.cancelled.try_recv().is_err());
    assert!(idle(&two));
}

#[tokio::test]
async fn who_dies_loses_its_claim() {
    let ground = Ground::new();
    let (mut one, mut two) = (ground.rig("one", FAST), ground.rig("two", FAST));
    let _first = urgent(&one, "a");
    assert_eq!(one.jobs.recv().await.unwrap().id, "a");
    let second = urgent(&two, "b");
    // For as long as the first lives, it keeps its claim.
    tokio::time::sleep(FAST.urgent_lease * 3 / 2).await;
    assert!(two.jobs.try_recv().is_err());
    drop(one);
    assert_eq!(two.jobs.recv().await.unwrap().id, "b");
    ground.put().await;
    assert_eq!(outcome(second).await, Ok("k.png".into()));
}

#[tokio::test]
async fn a_client_is_not_held_up_by_a_background_job_elsewhere() {
    let ground = Ground::new();
    let (mut one, mut two) = (ground.rig("one", SLOW), ground.rig("two", SLOW));
    one.flights.order(wanted(false), || job("slow", Urgency::Background)).await.unwrap();
    assert_eq!(one.jobs.recv().await.unwrap().id, "slow");
    let waiter = urgent(&two, "fast");
    assert_eq!(two.jobs.recv().await.unwrap().id, "fast");
    two.flights.settle(done("slow", Urgency::Background, None));
    assert!(outcome(waiter).await.is_ok());
}

#[tokio::test]
async fn an_order_that_another_front_end_has_is_carried_out_for_sure() {
    let ground = Ground::new();
    let (mut one, mut two) = (ground.rig("one", FAST), ground.rig("two", FAST));
    one.flights.order(wanted(false), || job("a", Urgency::Background)).await.unwrap();
    assert_eq!(one.jobs.recv().await.unwrap().id, "a");
    two.flights.order(wanted(false), || job("b", Urgency::Background)).await.unwrap();
    assert!(two.jobs.try_recv().is_err());
    drop(one);
    assert_eq!(two.jobs.recv().await.unwrap().id, "b");
}

#[tokio::test]
async fn later_clients_move_the_deadline_of_a_job_that_was_not_sent() {
    let ground = Ground::new();
    let mut rig = ground.rig("one", FAST);
    ground.claims.claim("k.png", "another", Duration::from_millis(200)).await.unwrap();
    let now = message::now();
    let job = || Job { deadline_at: Some(now + 1), ..job("a", Urgency::Urgent) };
    let _first = rig.flights.wait_for(wanted(false), now + 1, job);
    let _second = rig.flights.wait_for(wanted(false), now + 60_000, job);
    assert_eq!(rig.jobs.recv().await.unwrap().deadline_at, Some(now + 60_000));

    // A job whose time is over is not sent at all.
    let ground = Ground::new();
    let mut rig = ground.rig("two", FAST);
    ground.claims.claim("k.png", "another", Duration::from_millis(50)).await.unwrap();
    let late = rig.flights.wait_for(wanted(false), now + 1, job);
    assert_eq!(outcome(late).await.unwrap_err().category, Category::DeadlineExceeded);
    assert!(rig.jobs.try_recv().is_err());
}
