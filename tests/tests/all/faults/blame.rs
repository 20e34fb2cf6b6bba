//! Workers that die, and the jobs that they had: who is to blame.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use imgflo_tests::fleet::{Fleet, Front, Process, signal};
use imgflo_tests::origin::{Answer, Origin};
use imgflo_tests::services::{shared, virtual_host};

use super::{ask, picture, thumbnail, until};

const LONG: Duration = Duration::from_secs(60);

fn fleet() -> Fleet {
    Fleet::new(&virtual_host()).with("IMGFLO_REDIS_URL", &shared("IMGFLO_TEST_REDIS"))
}

/// The process that a worker started for a suspected job.
async fn own_process(worker: &Process) -> u32 {
    until("it has a process", LONG, async || !worker.children().is_empty()).await;
    let children = worker.children();
    assert_eq!(children.len(), 1, "{children:?}");
    children[0]
}

#[tokio::test(flavor = "multi_thread")]
async fn row_20b_a_job_that_ends_its_own_process_is_given_up_and_takes_no_other_along() {
    const INNOCENT: usize = 10;
    let paths: Vec<String> = (0..INNOCENT).map(|n| format!("/{n}.png")).collect();
    let slow_once = |path: &String| (path.clone(), Answer::SilentOnce("image/png", picture()));
    let answers = paths.iter().map(slow_once).chain([("/bad.png".to_owned(), Answer::Silent)]);
    let origin = Origin::start(answers);
    let fleet = fleet();
    let (front, other) = (fleet.front(), fleet.front());
    let request = thumbnail(&origin, "/bad.png");
    let innocent: Vec<String> = paths.iter().map(|path| thumbnail(&origin, path)).collect();
    let (answer, answers, mut worker) =
        futures::join!(front.get(&request), join_all(innocent.iter().map(|request| ask(&front, request))), async {
            // All are at work when it ends its worker: all are suspected.
            let mut first = fleet.worker(&["urgent", "--workers", "4"]);
            let at_work =
                async || origin.requests("/bad.png") == 1 && paths.iter().all(|path| origin.requests(path) == 1);
            until("all are at work", LONG, at_work).await;
            first.kill();
            let worker = fleet.worker(&["urgent", "--workers", "4"]);
            // Then it ends its own process twice.
            for attempt in 2..=3 {
                until("it is tried", LONG, async || origin.requests("/bad.png") == attempt).await;
                // The others are done meanwhile: none of them begins later.
                let others = || paths.iter().all(|path| origin.requests(path) >= 2);
                until("it is alone", LONG, async || others() && worker.children().len() == 1).await;
                assert!(signal("ABRT", own_process(&worker).await));
            }
            worker
        });
    assert_eq!(answer.status(), 422);
    let text = answer.text().await.unwrap();
    assert!(text.contains("ended its own process 2 times in a row") && text.contains("signal: 6"), "{text}");
    assert!(answers.iter().all(|(status, _)| *status == 301), "{answers:?}");
    // Everywhere, and without another attempt.
    let (status, took) = ask(&other, &request).await;
    assert_eq!(status, 422);
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(origin.requests("/bad.png"), 3);
    assert!(worker.runs(), "it is the worker that was started second");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_20c_a_process_ends_with_its_worker_and_its_job_is_not_blamed() {
    let origin = Origin::start([("/a.png", Answer::Silent)]);
    let fleet = fleet();
    let front = fleet.front();
    let request = thumbnail(&origin, "/a.png");
    let asking = tokio::spawn(front.client().get(format!("{}{request}", front.url)).send());
    let mut worker = fleet.worker(&["urgent"]);
    for attempt in 1..=4 {
        until("it is at work", LONG, async || origin.requests("/a.png") == attempt).await;
        let process = if attempt > 1 { Some(own_process(&worker).await) } else { None };
        worker.kill();
        if let Some(process) = process {
            until("its process ends", LONG, async || !signal("0", process)).await;
        }
        worker = fleet.worker(&["urgent"]);
    }
    until("it is tried once more", LONG, async || origin.requests("/a.png") == 5).await;
    asking.abort();
}

/// Asks until there is an answer that says more than to ask again; its status.
async fn answer(front: &Front, request: &str) -> u16 {
    for _ in 0..200 {
        let status = ask(front, request).await.0;
        if !matches!(status, 503 | 504) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("{request}: nobody makes it");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_19b_of_jobs_whose_workers_are_killed_every_moment_none_is_refused() {
    // More by hand: 1,000 of them.
    let jobs = std::env::var("IMGFLO_TEST_KILLED_JOBS").ok().map_or(60, |jobs| jobs.parse().unwrap());
    let fleet = fleet();
    let front = fleet.front();
    let over = AtomicBool::new(false);
    let requests: Vec<String> = (0..jobs)
        .map(|n| format!("/graph/gaussianblur?input=files/marbles.jpg&std-dev-x=9&width={}", 800 + n))
        .collect();
    let killing = async {
        let (mut kills, mut suspected) = (0, 0);
        while !over.load(Ordering::SeqCst) {
            let mut worker = fleet.worker(&["urgent", "--workers", "2"]);
            tokio::time::sleep(Duration::from_millis(600)).await;
            worker.kill();
            kills += 1;
            suspected += worker.log().matches("done in a process of its own").count();
        }
        (kills, suspected)
    };
    let asking = async {
        let mut statuses = Vec::new();
        // As many at a time as a page has.
        for some in requests.chunks(10) {
            statuses.extend(join_all(some.iter().map(|request| answer(&front, request))).await);
        }
        over.store(true, Ordering::SeqCst);
        statuses
    };
    let (statuses, (kills, suspected)) = futures::join!(asking, killing);
    println!("{jobs} jobs, {kills} workers killed, {suspected} attempts in processes of their own");
    assert_eq!(statuses.iter().filter(|status| **status == 301).count(), jobs, "{statuses:?}");
    assert!(kills > 2 && suspected > 0, "{kills} kills, {suspected} suspected");
    assert_eq!(fleet.results().len(), jobs);
}
