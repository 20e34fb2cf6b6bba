//! Jobs that are lost on the broker, dropped by it, or taken by nobody.

use super::*;

#[tokio::test]
async fn lost_jobs_are_sent_again_until_their_result_is_there() {
    let ground = Ground::new();
    let mut rig = ground.rig("one", SLOW);
    let waiter = urgent(&rig, "a");
    let first = rig.jobs.recv().await.unwrap();
    for _ in 0..3 {
        rig.flights.send_again();
        assert_eq!(rig.jobs.recv().await.unwrap(), first);
    }
    // One whose result is stored is not lost.
    ground.put().await;
    rig.flights.send_again();
    assert!(outcome(waiter).await.is_ok());
    assert!(rig.jobs.try_recv().is_err());
}

#[tokio::test]
async fn a_lost_job_whose_time_is_over_is_not_sent_again() {
    let mut rig = rig();
    let late = Job { deadline_at: Some(message::now() + 300), ..job("a", Urgency::Urgent) };
    let _waiter = rig.flights.wait_for(wanted(false), 0, || late);
    rig.jobs.recv().await.unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    rig.flights.send_again();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(rig.jobs.try_recv().is_err());
}

#[tokio::test]
async fn a_dead_letter_answers_who_waits_for_it_only() {
    let mut rig = rig();
    let waiter = urgent(&rig, "a");
    rig.jobs.recv().await.unwrap();
    let dropped = JobError::new(Category::Overloaded, "the broker dropped the job");
    assert!(!rig.flights.died("b", &dropped));
    assert!(!idle(&rig));
    assert!(rig.flights.died("a", &dropped));
    assert_eq!(outcome(waiter).await.unwrap_err().category, Category::Overloaded);
    assert!(idle(&rig));
}

#[tokio::test]
async fn who_waits_hears_that_no_worker_is_there() {
    let (sender, _jobs) = mpsc::unbounded_channel();
    let ground = Ground::new();
    let (flights, _cancelled) = Flights::new(Means {
        dispatch: Arc::new(move |commission: Commission| {
            let sent = sender.send(commission.job);
            async move { sent.map_err(|_| JobError::new(Category::Unavailable, "closed")) }.boxed()
        }),
        claims: Arc::clone(&ground.claims),
        store: Arc::clone(&ground.store),
        staffed: Arc::new(|| async { false }.boxed()),
        waiting: Arc::new(|| async { None }.boxed()),
        places: Places::new(&Limits::default()),
        holder: "alone".into(),
        pace: FAST,
        stop: CancellationToken::new(),
    });
    // A job that nobody waits for can wait for a worker.
    flights.order(wanted(true), || job("b", Urgency::Background)).await.unwrap();
    let waiter = flights.wait_for(wanted(false), 0, || job("a", Urgency::Urgent));
    let error = outcome(waiter).await.unwrap_err();
    assert_eq!(error.category, Category::Unavailable);
    assert!(error.message.contains("no worker"), "{error}");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(flights.traffic().background, 1);
}
