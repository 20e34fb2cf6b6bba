//! Jobs that may have ended their worker.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use imgflo_cache::Claim;
use imgflo_job::{Category, Urgency, key};
use imgflo_msgflo::Transport;
use imgflo_worker::JobCommand;

use super::setup::{BACKGROUND, Options, Setup, URGENT, copy, urgent};

/// A process that ends as a shell says, after it has read its job. Each that begins leaves a line in `begun`.
fn process(folder: &Path, script: &str) -> JobCommand {
    let script = format!("read -r job; echo begun; echo >> begun; {script}");
    let folder = folder.to_owned();
    Arc::new(move || {
        let mut command = tokio::process::Command::new("sh");
        command.args(["-c", &script]).current_dir(&folder);
        command
    })
}

fn begun(folder: &Path) -> usize {
    std::fs::read_to_string(folder.join("begun")).unwrap_or_default().len()
}

/// Sends a job that is taken by a consumer that dies, so many times.
async fn sent_and_dropped(setup: &Setup, key: &str, times: usize) {
    setup.send(&urgent(copy(key))).await;
    for _ in 0..times {
        drop(setup.broker.consume(URGENT).await.unwrap().next().await.unwrap());
    }
}

#[tokio::test]
async fn a_job_whose_own_process_crashes_twice_is_given_up() {
    for (script, deaths) in [("kill -SEGV $$", 2), ("kill -ABRT $$", 2), ("exit 3", 2), ("kill -KILL $$", 3)] {
        let setup = Setup::new().await;
        let isolation = Some(process(setup.folder.path(), script));
        sent_and_dropped(&setup, "6f95.png", 1).await;
        let _worker = setup.worker(Options { isolation, ..Options::default() });
        let error = setup.result().await.error.unwrap();
        assert_eq!(error.category, Category::GivenUp, "{script}: {error}");
        assert!(error.message.starts_with("rendering ended its own process 2 times in a row"), "{script}: {error}");
        assert_eq!(begun(setup.folder.path()), deaths, "{script}: what others may have killed counts alone only");
        setup.until(URGENT, |queue| queue.dead_letters == 1).await;
        assert_eq!(setup.broker.dead_letters(URGENT).unwrap()[0].death.reason, error.message);
        for urgency in [Urgency::Urgent, Urgency::Background] {
            let claim = setup.claims.claim(&key::claim(urgency, "6f95.png"), "me", Duration::from_secs(1)).await;
            assert_eq!(claim.unwrap(), Claim::Refused(error.message.clone()), "{script}");
        }
        assert_eq!(setup.run(&urgent(copy("7f95.png"))).await.error, None, "{script}: others are done");
    }
}

#[tokio::test]
async fn deaths_of_workers_are_not_held_against_a_job() {
    let setup = Setup::new().await;
    sent_and_dropped(&setup, "6f95.png", 20).await;
    // No process can be started: it is done like others.
    let isolation: JobCommand = Arc::new(|| tokio::process::Command::new("false"));
    let worker = setup.worker(Options { isolation: Some(isolation), ..Options::default() });
    assert_eq!(setup.result().await.error, None);
    drop(worker);
    sent_and_dropped(&setup, "7f95.png", 20).await;
    let _worker = setup.worker(Options::default());
    assert_eq!(setup.result().await.error, None);
    setup.until(URGENT, |queue| queue.unsettled == 0 && queue.dead_letters == 0).await;
}

#[tokio::test]
async fn a_job_that_came_back_needs_no_process_when_its_result_is_stored() {
    let setup = Setup::new().await;
    let isolation = Some(process(setup.folder.path(), "kill -SEGV $$"));
    setup.store.put("6f95.png", bytes::Bytes::from_static(b"done"), false).await.unwrap();
    sent_and_dropped(&setup, "6f95.png", 2).await;
    let _worker = setup.worker(Options { isolation, ..Options::default() });
    assert_eq!(setup.result().await.error, None);
    assert_eq!(begun(setup.folder.path()), 0);
    setup.until(BACKGROUND, |queue| queue.unsettled == 0 && queue.dead_letters == 0).await;
}

#[tokio::test]
async fn a_suspected_job_is_cancelled_and_dropped_as_late_like_others() {
    let setup = Setup::new().await;
    let isolation = Some(process(setup.folder.path(), "exec sleep 60"));
    let job = urgent(copy("6f95.png"));
    let late = imgflo_job::Job { deadline_at: Some(1), ..urgent(copy("7f95.png")) };
    for job in [&late, &job] {
        setup.send(job).await;
    }
    let held = setup.broker.consume(URGENT).await.unwrap();
    drop([held.next().await.unwrap(), held.next().await.unwrap()]);
    drop(held);
    let _worker = setup.worker(Options { isolation, ..Options::default() });
    let result = setup.result().await;
    assert_eq!((result.job.id, result.error.unwrap().category), (late.id, Category::DeadlineExceeded));
    super::setup::until(|| begun(setup.folder.path()) == 1).await;
    setup.cancel(&job).await;
    assert_eq!(setup.result().await.error.unwrap().category, Category::Cancelled);
    assert_eq!(begun(setup.folder.path()), 1);
}
