//! Who waits for whom.

use std::sync::Arc;
use std::time::Duration;

use imgflo_job::{Category, JobError, Limits, Urgency};
use tokio::io::AsyncWriteExt;

use crate::rig::{Rig, Wish};

const TARGET: &str = "/graph/plain.png?input=files/a.gif";

pub async fn until(mut condition: impl FnMut() -> bool) {
    tokio::time::timeout(crate::rig::PATIENCE, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("it never came to that");
}

#[tokio::test]
async fn a_hundred_equal_requests_are_one_job() {
    let rig = Arc::new(Rig::start().await);
    let peer = rig.peer(Urgency::Urgent).await;
    let asking: Vec<_> = (0..100)
        .map(|_| {
            let rig = Arc::clone(&rig);
            tokio::spawn(async move { rig.get(TARGET).await })
        })
        .collect();
    let job = peer.take().await;
    // Most of them have joined by then; those that have not find the result.
    tokio::time::sleep(Duration::from_millis(100)).await;
    peer.finish(job).await;
    for answer in asking {
        assert_eq!(answer.await.unwrap().status, 301);
    }
    assert_eq!(rig.waiting("imgflo_urgentworker.JOB"), 0);
}

#[tokio::test]
async fn the_last_client_to_leave_cancels_the_job() {
    let rig = Arc::new(Rig::start().await);
    let peer = rig.peer(Urgency::Urgent).await;
    let request = format!("GET {TARGET} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = rig.connect().await;
        client.write_all(request.as_bytes()).await.unwrap();
        clients.push(client);
    }
    let job = peer.take().await;
    drop(clients);
    assert_eq!(peer.cancelled().await, job.id);
    // The next one is not given the cancelled job's end.
    let asking = tokio::spawn({
        let rig = Arc::clone(&rig);
        async move { rig.get(TARGET).await }
    });
    let next = peer.take().await;
    assert_ne!(next.id, job.id);
    peer.fail(job, JobError::new(Category::Cancelled, "")).await;
    peer.finish(next).await;
    assert_eq!(asking.await.unwrap().status, 301);
}

#[tokio::test]
async fn at_the_deadline_the_client_is_told_and_the_job_goes_on() {
    let limits = Limits { urgent_deadline: Duration::from_millis(200), ..Limits::default() };
    let rig = Rig::with(Wish { limits, ..Wish::default() }).await;
    let peer = rig.peer(Urgency::Urgent).await;
    let answer = rig.get(TARGET).await;
    answer.problem(504);
    assert!(answer.headers.contains_key("retry-after"));
    // Whoever asks again waits for the same job.
    rig.get(TARGET).await.problem(504);
    let job = peer.take().await;
    assert_eq!(rig.waiting("imgflo_urgentworker.JOB"), 0);
    assert_eq!(rig.waiting("imgflo_urgentworker-peer.JOBCANCEL"), 0);
    let (answer, ()) = tokio::join!(rig.get(TARGET), peer.finish(job));
    assert_eq!(answer.status, 301);
    assert_eq!(rig.get(TARGET).await.status, 301);
    assert_eq!(rig.waiting("imgflo_urgentworker.JOB"), 0);
}

#[tokio::test]
async fn an_order_is_taken_and_carried_out_once() {
    let rig = Rig::start().await;
    let peer = rig.peer(Urgency::Background).await;
    let first = rig.ask("POST", TARGET, &[]).await;
    assert_eq!((first.status, first.header("cache-control")), (202, "no-store"));
    let place = first.header("location").to_owned();
    assert_eq!(first.json()["location"], place);
    rig.get(&place).await.problem(404);
    assert_eq!(rig.ask("POST", TARGET, &[]).await.status, 202);
    let job = peer.take().await;
    assert_eq!((job.urgency, job.deadline_at), (Urgency::Background, None));
    assert_eq!(rig.waiting("imgflo_backgroundworker.JOB"), 0);
    peer.finish(job).await;
    let done = rig.ask("POST", TARGET, &[("content-length", "5")]).await;
    assert_eq!((done.status, done.header("location")), (301, place.as_str()));
    assert_eq!(rig.get(&place).await.status, 200);
}

#[tokio::test]
async fn a_background_result_answers_who_waits() {
    let rig = Rig::start().await;
    let background = rig.peer(Urgency::Background).await;
    assert_eq!(rig.ask("POST", TARGET, &[]).await.status, 202);
    let job = background.take().await;
    let finish = async {
        until(|| rig.waiting("imgflo_urgentworker.JOB") == 1).await;
        background.finish(job).await;
    };
    let (answer, ()) = tokio::join!(rig.get(TARGET), finish);
    assert_eq!(answer.status, 301);
}

#[tokio::test]
async fn an_order_keeps_the_job_of_a_client_who_leaves() {
    let rig = Rig::start().await;
    let peer = rig.peer(Urgency::Urgent).await;
    let mut client = rig.connect().await;
    client.write_all(format!("GET {TARGET} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await.unwrap();
    let job = peer.take().await;
    assert_eq!(rig.ask("POST", TARGET, &[]).await.status, 202);
    assert_eq!(rig.waiting("imgflo_backgroundworker.JOB"), 0);
    drop(client);
    // Another that leaves is cancelled meanwhile: so the first would have been, too.
    let mut other = rig.connect().await;
    other.write_all(format!("GET {TARGET}&width=3 HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await.unwrap();
    let second = peer.take().await;
    drop(other);
    assert_eq!(peer.cancelled().await, second.id);
    peer.finish(job).await;
    assert_eq!(rig.ask("POST", TARGET, &[]).await.status, 301);
}

#[tokio::test]
async fn a_full_lane_refuses() {
    let limits = Limits { max_urgent_jobs: 1, max_background_jobs: 1, ..Limits::default() };
    let rig = Arc::new(Rig::with(Wish { limits, ..Wish::default() }).await);
    let first = tokio::spawn({
        let rig = Arc::clone(&rig);
        async move { rig.get(TARGET).await }
    });
    until(|| rig.waiting("imgflo_urgentworker.JOB") == 1).await;
    let refused = rig.get(&format!("{TARGET}&width=3")).await;
    let problem = refused.problem(503);
    assert_eq!(refused.header("retry-after"), "5");
    assert_eq!(problem["overrun"]["setting"], "IMGFLO_MAX_URGENT_JOBS", "{problem}");
    assert_eq!(problem["overrun"]["limit"], 1, "{problem}");
    assert_eq!(rig.ask("POST", &format!("{TARGET}&width=4"), &[]).await.status, 202);
    let problem = rig.ask("POST", &format!("{TARGET}&width=5"), &[]).await.problem(503);
    assert_eq!(problem["overrun"]["setting"], "IMGFLO_MAX_BACKGROUND_JOBS", "{problem}");
    // The full lane is no matter for what is there, nor for who waits already.
    let peer = rig.peer(Urgency::Urgent).await;
    peer.finish(peer.take().await).await;
    assert_eq!(first.await.unwrap().status, 301);
}

#[tokio::test]
async fn a_host_has_a_share_of_the_lane_while_others_ask() {
    let limits = Limits { max_urgent_jobs: 4, max_urgent_share: 50, ..Limits::default() };
    let rig = Arc::new(Rig::with(Wish { limits, ..Wish::default() }).await);
    let ask = |host: &str, width: usize| {
        let (rig, input) =
            (Arc::clone(&rig), if host.is_empty() { "files/a.gif".into() } else { format!("http://{host}/a") });
        tokio::spawn(async move { rig.get(&format!("/graph/plain.png?input={input}&width={width}")).await })
    };
    let waiting = || rig.waiting("imgflo_urgentworker.JOB");
    let setting = |answer: crate::rig::Answer| answer.problem(503)["overrun"]["setting"].as_str().unwrap().to_owned();
    // All places are for who asks alone.
    let mut asked: Vec<_> = (1..=4).map(|width| ask("one.example", width)).collect();
    until(|| waiting() == 4).await;
    assert_eq!(setting(ask("one.example", 5).await.unwrap()), "IMGFLO_MAX_URGENT_JOBS");
    assert_eq!(setting(ask("two.example", 1).await.unwrap()), "IMGFLO_MAX_URGENT_JOBS");
    let peer = rig.peer(Urgency::Urgent).await;
    let taken = [peer.take().await, peer.take().await];
    // Two places are free, but not for the third picture of that host, as another asks as well.
    let refused = ask("one.example", 6).await.unwrap().problem(503);
    assert_eq!(refused["overrun"]["setting"], "IMGFLO_MAX_URGENT_SHARE", "{refused}");
    assert_eq!(refused["overrun"]["limit"], 2, "{refused}");
    asked.extend([ask("two.example", 2), ask("", 3)]);
    until(|| waiting() == 4).await;
    // What is with a worker has no place.
    let mut jobs = Vec::from(taken);
    for _ in 0..4 {
        jobs.push(peer.take().await);
    }
    asked.push(ask("one.example", 7));
    until(|| waiting() == 1).await;
    jobs.push(peer.take().await);
    for job in jobs {
        peer.finish(job).await;
    }
    for answer in asked {
        assert_eq!(answer.await.unwrap().status, 301);
    }
}

#[tokio::test]
async fn head_waits_like_get() {
    let rig = Rig::start().await;
    rig.busy_peer().await;
    let head = rig.ask("HEAD", TARGET, &[]).await;
    assert_eq!((head.status, head.body.len()), (301, 0));
    let place = head.header("location").to_owned();
    let (head, get) = tokio::join!(rig.ask("HEAD", &place, &[]), rig.get(&place));
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), get.body.len().to_string());
    let head = rig.ask("HEAD", "/graph/nothing", &[]).await;
    assert_eq!((head.status, head.body.len()), (404, 0));
}
