//! Front ends and workers as processes of their own.

use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use imgflo_msgflo::connect;
use imgflo_tests::fleet::{Fleet, Process};
use imgflo_tests::origin::{Answer, Origin};
use imgflo_tests::services::{shared, virtual_host};
use imgflo_tests::{program, sample};

use crate::origins;

fn picture() -> Vec<u8> {
    std::fs::read(sample("card.png")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_identical_misses_at_two_front_ends_are_one_job() {
    let origin = Origin::start([("/a.png", Answer::Body("image/png", picture()))]);
    let fleet = Fleet::new(&virtual_host()).with("IMGFLO_REDIS_URL", &shared("IMGFLO_TEST_REDIS"));
    let fronts = [fleet.front(), fleet.front()];
    let workers = [fleet.worker(&[]), fleet.worker(&[])];
    let path = format!("/graph/gaussianblur?input={}&std-dev-x=7", origin.input("/a.png"));
    let answers = join_all((0..1000).map(|n| fronts[n % 2].get(&path))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status() == 301).count(), 1000);
    assert_eq!(origin.requests("/a.png"), 1);
    let done: usize = workers.iter().map(|worker| worker.log().matches("job done").count()).sum();
    assert_eq!(done, 1);
    assert_eq!(fleet.results().len(), 1);
}

// The only test with a fleet on this broker, which has one space of topics.
#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_over_mqtt() {
    let origin = Origin::start([("/a.png", Answer::Body("image/png", picture()))]);
    let mut fleet = Fleet::new(&shared("IMGFLO_TEST_MQTT")).with("IMGFLO_REDIS_URL", &shared("IMGFLO_TEST_REDIS"));
    for (name, value) in origins::PATIENT {
        fleet = fleet.with(name, value);
    }
    let fronts = [fleet.front(), fleet.front()];
    let mut workers = [fleet.worker(&[]), fleet.worker(&["urgent"]), fleet.worker(&["background"])];
    let input = origin.input("/a.png");
    let path = |n: usize| format!("/graph/crop.png?input={input}&width=30&height={}", 10 + n / 4);
    // Each is asked for four times, at both.
    let paths: Vec<String> = (0..80).map(path).collect();
    let answers = join_all(paths.iter().enumerate().map(|(n, path)| fronts[n % 2].get(path))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status() == 301).count(), 80);
    for n in 0..10 {
        assert_eq!(fronts[n % 2].post(&path(200 + 4 * n)).await.status(), 202);
    }
    for _ in 0..200 {
        if fleet.results().len() == 30 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(fleet.results().len(), 30);
    let done = |process: &Process| process.log().matches("job done").count();
    assert_eq!(workers.iter().map(done).sum::<usize>(), 30);
    assert!(workers.iter().all(|worker| done(worker) > 0), "{:?}", workers.each_ref().map(done));
    origins::cheap_ones_come_first(|path| async { fronts[0].get(&{ path }).await }.boxed()).await;
    for worker in &mut workers {
        worker.terminate();
        assert_eq!(worker.wait(Duration::from_secs(25)), Some(0));
    }
    let mut refused = program::command();
    refused.args(["deadletters", "list"]).env("IMGFLO_BROKER_URL", shared("IMGFLO_TEST_MQTT"));
    assert!(!refused.output().unwrap().status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_told_with_its_setting_while_cached_images_are_served() {
    let fleet = Fleet::new(&virtual_host()).with("IMGFLO_MAX_URGENT_JOBS", "5").with("IMGFLO_MAX_BACKGROUND_JOBS", "5");
    let front = fleet.front();
    let cached = "/graph/passthrough?input=files/card.png&width=31";
    {
        let _worker = fleet.worker(&[]);
        assert_eq!(front.get(cached).await.status(), 301);
    }
    let path = |n: usize| format!("/graph/passthrough?input=files/card.png&width={}", 40 + n);
    let posts = join_all((0..20).map(|n| front.client().post(format!("{}{}", front.url, path(n))).send())).await;
    let statuses: Vec<u16> = posts.into_iter().map(|answer| answer.unwrap().status().as_u16()).collect();
    assert!(statuses.iter().all(|status| matches!(status, 202 | 503)), "{statuses:?}");
    let refused = front.post(&path(30)).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert!(front.process.log().contains("IMGFLO_MAX_BACKGROUND_JOBS"), "the operator is told which limit");
    assert_eq!(front.get(cached).await.status(), 301);
    // A worker makes room.
    let _worker = fleet.worker(&["background"]);
    for _ in 0..100 {
        if front.post(&path(31)).await.status() != 503 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the queue stays full");
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_looked_at_tried_again_and_dropped() {
    let broker = virtual_host();
    let fleet = Fleet::new(&broker).with("IMGFLO_FLEET_SECRET", "");
    let front = fleet.front();
    let transport = connect(&broker, "test").await.unwrap();
    let mut worker = fleet.worker(&[]);
    for n in 0..3 {
        let junk = format!("{{\"id\":\"junk-{n}\",\"data\":{{\"graph\":\"none\"}}}}");
        transport.send_to_queue("imgflo_urgentworker.JOB", junk.into()).await.unwrap();
    }
    for _ in 0..200 {
        if transport.backlog("imgflo_deadletters.JOB").await.is_ok_and(|backlog| backlog.waiting == 3) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Not killed, for what it had not acknowledged would come again.
    worker.terminate();
    assert_eq!(worker.wait(Duration::from_secs(25)), Some(0));
    let run = |arguments: &[&str]| {
        let output =
            program::command().arg("deadletters").args(arguments).args(["--broker", &broker]).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    // To look at them changes nothing.
    for _ in 0..4 {
        let (ok, list) = run(&["list"]);
        assert!(ok && list.lines().count() == 3, "{list}");
        assert!(list.lines().all(|line| line.contains("imgflo_urgentworker.JOB") && line.contains("no job")), "{list}");
    }
    let (ok, shown) = run(&["show", "junk-1"]);
    assert!(ok && shown.contains("\"reason\"") && shown.contains("junk-1"), "{shown}");
    assert!(!run(&["show", "junk"]).0, "which one?");
    assert!(!run(&["drop", "none"]).0);
    assert_eq!(run(&["replay", "junk-1"]), (true, "1 put back into their queues\n".into()));
    assert_eq!(transport.backlog("imgflo_urgentworker.JOB").await.unwrap().waiting, 1);
    assert_eq!(run(&["drop", "junk-2"]), (true, "1 dropped\n".into()));
    let (_, left) = run(&["list", "--json"]);
    let left: serde_json::Value = serde_json::from_str(&left).unwrap();
    assert_eq!((left.as_array().unwrap().len(), left[0]["id"].as_str()), (1, Some("junk-0")));
    assert_eq!(run(&["drop", "--all"]), (true, "1 dropped\n".into()));
    assert_eq!(run(&["list"]), (true, String::new()));
    let empty = program::command().args(["deadletters", "list", "--broker", &broker]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&empty.stderr), "there are no dead letters\n");
    transport.close().await;
    drop(front);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_is_set_up_from_its_graph() {
    let broker = virtual_host();
    let output = program::command().args(["setup", "--broker", &broker]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listing = String::from_utf8(output.stdout).unwrap();
    assert!(listing.contains("ROUNDROBIN:\t imgflo_api.URGENTJOB -> imgflo_urgentworker.JOB"), "{listing}");
    let transport = connect(&broker, "test").await.unwrap();
    transport.send("imgflo_api.BACKGROUNDJOB", "{}".into()).await.unwrap();
    assert_eq!(transport.backlog("imgflo_backgroundworker.JOB").await.unwrap().waiting, 1);
    transport.close().await;
    let nobody = program::command().args(["setup", "--broker", "mongodb://localhost"]).output().unwrap();
    assert!(!nobody.status.success());
    let alone = program::command().arg("worker").output().unwrap();
    assert!(String::from_utf8_lossy(&alone.stderr).contains("IMGFLO_BROKER_URL"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_a_role_takes_urgent_jobs_first() {
    let broker = virtual_host();
    let fleet = Fleet::new(&broker);
    let front = fleet.front();
    for n in 0..10 {
        assert_eq!(front.post(&format!("/graph/desaturate?input=files/card.png&width={}", 50 + n)).await.status(), 202);
    }
    let urgent: Vec<String> =
        (0..5).map(|n| format!("/graph/passthrough?input=files/card.png&width={}", 50 + n)).collect();
    let transport = connect(&broker, "test").await.unwrap();
    let (answers, worker) = futures::join!(join_all(urgent.iter().map(|path| front.get(path))), async {
        while transport.backlog("imgflo_urgentworker.JOB").await.unwrap().waiting < 5 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        fleet.worker(&["--workers", "1"])
    });
    assert!(answers.iter().all(|answer| answer.status() == 301));
    while worker.log().matches("job done").count() < 15 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let log = worker.log();
    let graphs: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("job done"))
        .filter_map(|line| ["desaturate", "passthrough"].into_iter().find(|graph| line.contains(graph)))
        .collect();
    assert_eq!(graphs, [["passthrough"; 5].as_slice(), &["desaturate"; 10]].concat());
    transport.close().await;
}
