//! Machines whose clocks are set wrong.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use futures::future::join_all;
use imgflo_tests::fleet::Fleet;
use imgflo_tests::services::virtual_host;

use super::{ask, until};

const LONG: Duration = Duration::from_secs(60);

/// Builds the library that shifts the clock of who preloads it.
fn library(folder: &Path) -> String {
    let library = folder.join("shift.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/all/faults/clocks/shift.c");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-O", "-o"]).arg(&library).arg(source).status();
    assert!(built.expect("a C compiler runs").success());
    library.to_string_lossy().into_owned()
}

/// Without Redis: claims on the same images by the fleets of the other test would be in the way.
fn fleet() -> Fleet {
    Fleet::new(&virtual_host())
}

fn request(n: usize) -> String {
    format!("/graph/passthrough?input=files/card.png&width={}", 20 + n)
}

#[tokio::test(flavor = "multi_thread")]
async fn row_27d_a_worker_whose_clock_is_a_minute_off_drops_no_urgent_job_and_is_told() {
    const REQUESTS: usize = 60;
    let folder = tempfile::tempdir().unwrap();
    let library = library(folder.path());
    for (shift, way) in [("60", "ahead of"), ("-60", "behind")] {
        let fleet = fleet();
        let front = fleet.front();
        let worker = fleet.worker_with(&[], &[("LD_PRELOAD", &library), ("CLOCK_SHIFT", shift)]);
        let requests: Vec<String> = (0..REQUESTS).map(request).collect();
        let answers = join_all(requests.iter().map(|request| ask(&front, request))).await;
        assert_eq!(answers.iter().filter(|(status, _)| *status == 301).count(), REQUESTS, "{shift}: {answers:?}");
        until("the worker says so", LONG, async || {
            let log = worker.log();
            log.contains("the clock of this worker is") && log.contains(way)
        })
        .await;
        // It says so in results, too.
        until("the front end says so", LONG, async || {
            let _ = ask(&front, &format!("{}&height={}", request(0), 5 + worker.log().len() % 1000)).await;
            let ready = front.get("/readyz").await.text().await.unwrap();
            let seconds = ["59 s", "60 s"].map(|seconds| format!("the clock of a worker is {seconds} {way}"));
            seconds.iter().any(|told| ready.contains(told))
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_27e_late_jobs_are_dropped_whatever_the_clock_of_the_worker_says() {
    const LATE: usize = 10;
    let folder = tempfile::tempdir().unwrap();
    let library = library(folder.path());
    for shift in ["60", "-60"] {
        let fleet = fleet().with("IMGFLO_URGENT_DEADLINE", "2000");
        let front = fleet.front();
        let worker = fleet.worker_with(&[], &[("LD_PRELOAD", &library), ("CLOCK_SHIFT", shift)]);
        until("it knows the time", LONG, async || worker.log().contains("the clock of this worker is")).await;
        until("it works", LONG, async || ask(&front, &request(0)).await.0 == 301).await;
        let done = || worker.log().matches("job done").count();
        let before = done();
        worker.signal("STOP");
        let requests: Vec<String> = (1..=LATE).map(request).collect();
        let answers = join_all(requests.iter().map(|request| ask(&front, request))).await;
        assert!(answers.iter().all(|(status, _)| *status == 504), "{shift}: {answers:?}");
        worker.signal("CONT");
        let late = || worker.log().matches("the image was not ready in time").count();
        until("all are dropped", LONG, async || late() == LATE).await;
        assert_eq!(done(), before, "{shift}: nobody waits for them");
        until("others are done", LONG, async || ask(&front, &request(99)).await.0 == 301).await;
    }
}
