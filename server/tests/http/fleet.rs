//! Several front ends, a broker that fails, and messages that are lost.

use std::time::Duration;

use axum::body::Body;
use http::Request;
use imgflo_job::{Category, JobError, JobResult, Urgency, key};
use imgflo_msgflo::Link;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower::ServiceExt;

use crate::rig::{Rig, Wish};
use crate::switch::Switch;
use crate::waiting::until;

const TARGET: &str = "/graph/plain.png?input=files/a.gif";
const QUEUE: &str = "imgflo_urgentworker.JOB";

#[tokio::test]
async fn a_thousand_equal_requests_at_two_front_ends_are_one_job() {
    let one = Rig::start().await;
    let two = one.another(Wish::default()).await;
    let peer = one.peer(Urgency::Urgent).await;
    let mut asking = JoinSet::new();
    for _ in 0..500 {
        for rig in [&one, &two] {
            let request = Request::get(TARGET).header("host", "localhost").body(Body::empty()).unwrap();
            asking.spawn(rig.router.clone().oneshot(request));
        }
    }
    let job = peer.take().await;
    // While some wait and others still look into the store.
    peer.finish(job).await;
    let mut answers = 0;
    for answer in asking.join_all().await {
        assert_eq!(answer.unwrap().status(), 301);
        answers += 1;
    }
    assert_eq!((answers, one.waiting(QUEUE)), (1000, 0));
}

#[tokio::test]
async fn a_failure_answers_at_all_front_ends() {
    let one = Rig::start().await;
    let two = one.another(Wish::default()).await;
    let peer = one.peer(Urgency::Urgent).await;
    // The host is that of the input, too, so the keys are the same.
    let ask = |rig: &Rig| {
        let request = Request::get(TARGET).header("host", "localhost").body(Body::empty()).unwrap();
        tokio::spawn(rig.router.clone().oneshot(request))
    };
    let first = ask(&one);
    let job = peer.take().await;
    let second = ask(&two);
    // It waits for the other's job; a moment later so it does for sure.
    tokio::time::sleep(Duration::from_millis(100)).await;
    peer.fail(job, JobError::new(Category::OriginFailed, "no such host")).await;
    for asking in [first, second] {
        assert_eq!(asking.await.unwrap().unwrap().status(), 502);
    }
    assert_eq!(one.waiting(QUEUE), 0);
}

#[tokio::test]
async fn the_claim_of_a_front_end_that_died_ends() {
    let rig = Rig::start().await;
    let peer = rig.peer(Urgency::Urgent).await;
    let (answer, job) = tokio::join!(rig.get(TARGET), async {
        let job = peer.take().await;
        peer.fail(job.clone(), JobError::new(Category::OriginFailed, "gone for now")).await;
        job
    });
    answer.problem(502);
    let name = key::claim(Urgency::Urgent, &job.data.cachekey);
    // Given up with the job; then another front end has it, and is never heard of again.
    until_released(&rig, &name).await;
    let lease = Duration::from_millis(1500);
    rig.claims.claim(&name, "dead", lease).await.unwrap();
    let began = Instant::now();
    let (answer, waited) = tokio::join!(rig.get(TARGET), async {
        let job = peer.take().await;
        let waited = began.elapsed();
        peer.finish(job).await;
        waited
    });
    assert_eq!(answer.status, 301);
    assert!(waited >= lease - Duration::from_millis(100), "{waited:?}: the claim counted for nothing");
}

/// Waits until a claim was given up.
async fn until_released(rig: &Rig, name: &str) {
    let end = Instant::now() + crate::rig::PATIENCE;
    while rig.claims.claim(name, "test", Duration::from_secs(60)).await.unwrap() != imgflo_cache::Claim::Ours {
        assert!(Instant::now() < end, "it is not given up");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    rig.claims.release(name, "test").await.unwrap();
}

#[tokio::test]
async fn a_result_whose_message_is_lost_is_found() {
    let rig = Rig::start().await;
    let peer = rig.peer(Urgency::Urgent).await;
    let (answer, ()) = tokio::join!(rig.get(TARGET), async {
        let job = peer.take().await;
        peer.store(&job).await;
    });
    assert_eq!(answer.status, 301);
}

#[tokio::test]
async fn what_ends_workers_is_422_with_the_reason_and_not_sent_again() {
    let rig = Rig::start().await;
    let peer = rig.peer(Urgency::Urgent).await;
    let (answer, ()) = tokio::join!(rig.get(TARGET), async {
        let job = peer.take().await;
        peer.fail(job, JobError::new(Category::GivenUp, "it ended its worker 2 times")).await;
    });
    let check = |problem: serde_json::Value| {
        assert_eq!(problem["detail"], "it ended its worker 2 times");
        assert_eq!((&problem["retry"], &problem["category"]), (&false.into(), &"given-up".into()), "{problem}");
    };
    check(answer.problem(422));
    // The front end notes it in a task of its own.
    tokio::time::sleep(Duration::from_millis(50)).await;
    for method in ["GET", "POST"] {
        check(rig.ask(method, TARGET, &[]).await.problem(422));
    }
    assert_eq!((rig.waiting(QUEUE), rig.waiting("imgflo_backgroundworker.JOB")), (0, 0));
}

#[tokio::test]
async fn while_the_broker_fails_stored_images_are_served_and_others_refused() {
    for link in [Link::Down, Link::Blocked] {
        // It fails from the start on.
        let switch = Switch::new(link);
        let rig = Rig::with(Wish { switch: Some(switch.clone()), ..Wish::default() }).await;
        let refused = async |method: &str, target: &str| {
            let began = Instant::now();
            let answer = rig.ask(method, target, &[]).await;
            assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
            let problem = answer.problem(503);
            assert_eq!((answer.header("retry-after"), &problem["category"]), ("5", &"unavailable".into()));
            assert!(!problem.to_string().contains("refused"), "{problem}");
        };
        refused("GET", TARGET).await;
        refused("POST", TARGET).await;

        switch.turn(Link::Up);
        rig.busy_peer().await;
        let place = rig.get(TARGET).await;
        assert_eq!(place.status, 301);
        let ready = rig.get("/readyz").await;
        assert_eq!((ready.status, &ready.json()["link"]), (200, &"up".into()));

        switch.turn(link);
        assert_eq!(rig.get(TARGET).await.header("location"), place.header("location"));
        assert_eq!(rig.get(place.header("location")).await.status, 200);
        refused("GET", &format!("{TARGET}&width=3")).await;
        // It is told, but no reason to take the front end out of service.
        let ready = rig.get("/readyz").await;
        let report = ready.json();
        let expected = if link == Link::Down { "down" } else { "blocked" };
        assert_eq!((ready.status, &report["link"]), (200, &expected.into()), "{report}");
        assert!(report["warnings"][0].as_str().unwrap().contains("broker"), "{report}");
        assert_eq!(report["index"]["failures"], 3, "{report}");
    }
}

#[tokio::test]
async fn a_front_end_starts_without_its_broker() {
    // A port of nobody: it was ours a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let transport = imgflo_msgflo::connect(&format!("amqp://127.0.0.1:{port}"), "test").await.unwrap();
    let rig = Rig::with(Wish { transport: Some(transport.clone()), ..Wish::default() }).await;
    for method in ["GET", "POST"] {
        let began = Instant::now();
        let answer = rig.ask(method, TARGET, &[]).await;
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        answer.problem(503);
    }
    let ready = rig.get("/readyz").await;
    assert_eq!((ready.status, &ready.json()["link"]), (200, &"down".into()));
    transport.close().await;
}

#[tokio::test]
async fn a_result_that_came_while_the_broker_was_away_is_found() {
    let switch = Switch::new(Link::Up);
    let rig = Rig::with(Wish { switch: Some(switch.clone()), ..Wish::default() }).await;
    let peer = rig.peer(Urgency::Urgent).await;
    let (answer, ()) = tokio::join!(rig.get(TARGET), async {
        let job = peer.take().await;
        switch.turn(Link::Down);
        peer.store(&job).await;
        switch.turn(Link::Up);
    });
    assert_eq!(answer.status, 301);
    until(|| rig.waiting(QUEUE) == 0).await;
}

#[tokio::test]
async fn clients_that_wait_when_the_server_stops_are_told_in_time() {
    let rig = Rig::with(Wish { drain: Some(Duration::from_millis(300)), ..Wish::default() }).await;
    let peer = rig.peer(Urgency::Urgent).await;
    let (answer, ()) = tokio::join!(rig.get(TARGET), async {
        peer.take().await;
        rig.shutdown.cancel();
    });
    answer.problem(503);
    assert_eq!(answer.header("retry-after"), "5");
    // The job goes on: somebody will ask again.
    assert_eq!(rig.waiting("imgflo_urgentworker-peer.JOBCANCEL"), 0);
}

#[tokio::test]
async fn a_result_in_another_store_is_no_redirect_to_nothing() {
    let rig = Rig::with(Wish { workers_elsewhere: true, ..Wish::default() }).await;
    let peer = rig.peer(Urgency::Urgent).await;
    let background = rig.peer(Urgency::Background).await;
    // The worker has a folder of its own, so the result is not where this front end looks.
    let (answer, ()) = tokio::join!(rig.get(TARGET), async {
        let job = peer.take().await;
        let url = format!("./{}", job.data.cachekey);
        let mut result = JobResult::of(job);
        result.results.url = Some(url);
        peer.report(&result).await;
    });
    answer.problem(503);
    let ready = rig.get("/readyz").await;
    let warnings = ready.json()["warnings"].to_string();
    assert!(ready.status == 200 && warnings.contains("IMGFLO_S3_BUCKET"), "{warnings}");
    // So is a result that nobody waits for, after one that was there.
    let order = async |target: &str, stored: bool| {
        let (answer, ()) = tokio::join!(rig.ask("POST", target, &[]), async {
            let job = background.take().await;
            if stored {
                background.store(&job).await;
            }
            background.report(&JobResult::of(job)).await;
        });
        assert_eq!(answer.status, 202);
        let end = Instant::now() + crate::rig::PATIENCE;
        while rig.get("/readyz").await.json()["warnings"].to_string().contains("IMGFLO_S3_BUCKET") == stored {
            assert!(Instant::now() < end, "{target}: it does not show");
        }
    };
    order("/graph/plain?input=files/a.gif&width=11", true).await;
    order("/graph/plain?input=files/a.gif&width=12", false).await;
    // The next one is there.
    let (answer, ()) = tokio::join!(rig.get("/graph/plain?input=files/sub/b%20c.gif"), async {
        peer.finish(peer.take().await).await;
    });
    assert_eq!(answer.status, 301);
    assert_eq!(rig.get("/readyz").await.json()["warnings"], serde_json::json!([]));
}

#[tokio::test]
async fn no_worker_shows_before_anyone_asks() {
    let rig = Rig::start().await;
    let ready = rig.get("/readyz").await;
    let warnings = ready.json()["warnings"].to_string();
    assert!(ready.status == 200 && warnings.contains("no worker is connected"), "{warnings}");
    let _peer = rig.peer(Urgency::Urgent).await;
    assert_eq!(rig.get("/readyz").await.json()["warnings"], serde_json::json!([]));
}
