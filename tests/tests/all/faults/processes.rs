//! Processes of our own that die or are told to stop.

use std::time::{Duration, Instant};

use futures::future::join_all;
use imgflo_tests::fleet::Fleet;
use imgflo_tests::origin::{Answer, Gate, Origin};
use imgflo_tests::services::{shared, virtual_host};

use super::{ask, picture, thumbnail, until};

const LONG: Duration = Duration::from_secs(30);

fn fleet() -> Fleet {
    Fleet::new(&virtual_host()).with("IMGFLO_REDIS_URL", &shared("IMGFLO_TEST_REDIS"))
}

#[tokio::test(flavor = "multi_thread")]
async fn row_19_a_hundred_killed_workers_lose_no_job() {
    const KILLS: usize = 100;
    let paths: Vec<String> = (0..KILLS).map(|n| format!("/{n}.png")).collect();
    let origin = Origin::start(paths.iter().map(|path| (path.as_str(), Answer::SilentOnce("image/png", picture()))));
    let fleet = fleet();
    let front = fleet.front();
    let mut worker = fleet.worker(&["urgent"]);
    for (n, path) in paths.iter().enumerate() {
        let request = thumbnail(&origin, path);
        let (answer, ()) = futures::join!(ask(&front, &request), async {
            // It is at work on it, and waits for its input.
            until("the job is taken", LONG, async || origin.requests(path) == 1).await;
            worker.kill();
            worker = fleet.worker(&["urgent"]);
        });
        assert_eq!(answer.0, 301, "kill {n}");
        assert_eq!(origin.requests(path), 2, "kill {n}: it is done once more");
        assert_eq!(fleet.results().len(), n + 1, "one result a key");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_21_results_land_though_the_front_end_is_killed() {
    const CLIENTS: usize = 50;
    let gate = Gate::default();
    let paths: Vec<String> = (0..CLIENTS).map(|n| format!("/{n}.png")).collect();
    let behind = |path: &String| (path.clone(), Answer::Behind(gate.clone(), "image/png", picture()));
    let origin = Origin::start(paths.iter().map(behind));
    let fleet = fleet();
    let mut front = fleet.front();
    let _worker = fleet.worker(&["urgent", "--workers", "8"]);
    let requests: Vec<String> = paths.iter().map(|path| thumbnail(&origin, path)).collect();
    for request in &requests {
        let request = front.client().get(format!("{}{request}", front.url));
        tokio::spawn(async move { request.send().await.is_ok() });
    }
    until("eight are at work", LONG, async || paths.iter().map(|path| origin.requests(path)).sum::<usize>() >= 8).await;
    until("all are queued", LONG, async || {
        let ready = front.get("/readyz").await.text().await.unwrap();
        ready.contains(&format!("\"urgent\":{CLIENTS}"))
    })
    .await;
    front.process.kill();
    gate.open();
    until("all are stored", LONG, async || fleet.results().len() == CLIENTS).await;
    let front = fleet.front();
    for request in &requests {
        assert_eq!(ask(&front, request).await.0, 301);
    }
    assert!(paths.iter().all(|path| origin.requests(path) == 1), "each was made once");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_35_a_worker_that_is_told_to_stop_loses_nothing() {
    const JOBS: usize = 20;
    let gate = Gate::default();
    let paths: Vec<String> = (0..=JOBS).map(|n| format!("/{n}.png")).collect();
    let behind = |path: &String| (path.clone(), Answer::Behind(gate.clone(), "image/png", picture()));
    let origin = Origin::start(paths.iter().map(behind));
    let fleet = fleet();
    let front = fleet.front();
    let mut worker = fleet.worker(&["urgent", "--workers", "20"]);
    let requests: Vec<String> = paths[..JOBS].iter().map(|path| thumbnail(&origin, path)).collect();
    let (answers, ()) = futures::join!(join_all(requests.iter().map(|request| ask(&front, request))), async {
        let taken = async || paths[..JOBS].iter().all(|path| origin.requests(path) == 1);
        until("all are at work", LONG, taken).await;
        worker.terminate();
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(worker.runs(), "it waits for its jobs");
        let start = Instant::now();
        gate.open();
        assert_eq!(worker.wait(Duration::from_secs(25)), Some(0));
        assert!(start.elapsed() < Duration::from_secs(25));
    });
    assert!(answers.iter().all(|(status, _)| *status == 301), "{answers:?}");
    assert_eq!(fleet.results().len(), JOBS);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_35b_a_second_signal_ends_a_worker_at_once() {
    let origin = Origin::start([("/a.png", Answer::SilentOnce("image/png", picture()))]);
    let fleet = fleet();
    let front = fleet.front();
    let mut worker = fleet.worker(&["urgent"]);
    let request = thumbnail(&origin, "/a.png");
    let (answer, ()) = futures::join!(ask(&front, &request), async {
        until("it is at work", LONG, async || origin.requests("/a.png") == 1).await;
        worker.terminate();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(worker.runs());
        worker.terminate();
        assert_ne!(worker.wait(Duration::from_secs(2)), Some(0));
        worker = fleet.worker(&["urgent"]);
    });
    assert_eq!(answer.0, 301, "another does the job");
}
