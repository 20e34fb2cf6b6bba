//! A broker that dies, is away, or takes no messages.

use std::time::{Duration, Instant};

use imgflo_msgflo::connect;
use imgflo_tests::fleet::Fleet;
use imgflo_tests::origin::{Answer, Gate, Origin};
use imgflo_tests::services::{Private, shared};

use super::{ask, assert_refused, picture, thumbnail, until};

const LONG: Duration = Duration::from_secs(60);
/// How long the broker is away. A minute says no more than this, as the longest wait between
/// attempts to connect is 10 s; it is tried where the variable asks for it.
const OUTAGE: Duration = Duration::from_secs(8);

fn outage() -> Duration {
    if std::env::var_os("IMGFLO_TEST_LONG").is_some() { Duration::from_secs(60) } else { OUTAGE }
}

fn fleet(broker: &Private) -> Fleet {
    let url = format!("amqp://127.0.0.1:{}", broker.port());
    Fleet::new(&url).with("IMGFLO_REDIS_URL", &shared("IMGFLO_TEST_REDIS"))
}

#[tokio::test(flavor = "multi_thread")]
async fn row_22_no_job_is_lost_with_the_broker() {
    const JOBS: usize = 40;
    let gate = Gate::default();
    let paths: Vec<String> = (0..JOBS).map(|n| format!("/{n}.png")).collect();
    let mut answers: Vec<(String, Answer)> =
        paths.iter().map(|path| (path.clone(), Answer::Behind(gate.clone(), "image/png", picture()))).collect();
    answers.push(("/now.png".into(), Answer::Body("image/png", picture())));
    answers.push(("/later.png".into(), Answer::Body("image/png", picture())));
    let origin = Origin::start(answers);
    let broker = Private::start("rabbitmq");
    let fleet = fleet(&broker);
    let (front, worker) = (fleet.front(), fleet.worker(&[]));
    let cached = thumbnail(&origin, "/now.png");
    assert_eq!(ask(&front, &cached).await.0, 301);
    for path in &paths {
        assert_eq!(front.post(&thumbnail(&origin, path)).await.status(), 202, "{path}");
    }
    until("some are at work", LONG, async || paths.iter().any(|path| origin.requests(path) > 0)).await;
    broker.kill();
    let later = thumbnail(&origin, "/later.png");
    until("it is noticed", LONG, async || ask(&front, &later).await.0 == 503).await;
    gate.open();
    let start = Instant::now();
    while start.elapsed() < outage() {
        assert_eq!(ask(&front, &cached).await.0, 301, "stored images are served all the time");
        assert_refused(&front, &later).await;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    broker.start_again();
    until("all are made", LONG, async || fleet.results().len() == JOBS + 1).await;
    until("new ones are made", LONG, async || ask(&front, &later).await.0 == 301).await;
    // Nothing is stuck: not with the workers, not in the queues.
    let url = format!("amqp://127.0.0.1:{}", broker.port());
    let transport = connect(&url, "test").await.unwrap();
    until("the queues are empty", LONG, async || {
        let backlog = async |queue| transport.backlog(queue).await.unwrap().waiting;
        backlog("imgflo_backgroundworker.JOB").await == 0 && backlog("imgflo_urgentworker.JOB").await == 0
    })
    .await;
    assert_eq!(transport.backlog("imgflo_deadletters.JOB").await.unwrap().waiting, 0);
    transport.close().await;
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_23_a_broker_that_takes_no_messages_is_told_at_once() {
    let gate = Gate::default();
    let origin = Origin::start([
        ("/now.png", Answer::Body("image/png", picture())),
        ("/held.png", Answer::Behind(gate.clone(), "image/png", picture())),
        ("/later.png", Answer::Body("image/png", picture())),
    ]);
    let broker = Private::start("rabbitmq");
    let fleet = fleet(&broker);
    let (front, _worker) = (fleet.front(), fleet.worker(&[]));
    let (cached, held) = (thumbnail(&origin, "/now.png"), thumbnail(&origin, "/held.png"));
    assert_eq!(ask(&front, &cached).await.0, 301);
    assert_eq!(front.post(&held).await.status(), 202);
    until("the job is at work", LONG, async || origin.requests("/held.png") == 1).await;
    broker.rabbitmqctl(&["set_vm_memory_high_watermark", "absolute", "1000000"]);
    let later = thumbnail(&origin, "/later.png");
    for _ in 0..10 {
        assert_refused(&front, &later).await;
        let start = Instant::now();
        let answer = front.post(&later).await;
        assert_eq!(answer.status(), 503);
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        assert_eq!(ask(&front, &cached).await.0, 301);
    }
    // What was delivered is finished and acknowledged.
    gate.open();
    until("the job is done", LONG, async || fleet.results().len() == 2).await;
    until("it is acknowledged", LONG, async || {
        let list = broker.rabbitmqctl(&["list_queues", "name", "messages"]);
        list.lines().any(|line| line.split_whitespace().eq(["imgflo_backgroundworker.JOB", "0"]))
    })
    .await;
    broker.rabbitmqctl(&["set_vm_memory_high_watermark", "0.4"]);
    until("messages are taken again", LONG, async || ask(&front, &later).await.0 == 301).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_28_a_dead_letter_is_kept_though_its_queue_is_missing() {
    let broker = Private::start("rabbitmq");
    let fleet = fleet(&broker);
    let worker = fleet.worker(&[]);
    let url = format!("amqp://127.0.0.1:{}", broker.port());
    let transport = connect(&url, "test").await.unwrap();
    let (jobs, dead) = ("imgflo_urgentworker.JOB", "imgflo_deadletters.JOB");
    until("the worker is there", LONG, async || transport.backlog(jobs).await.is_ok_and(|b| b.consumers > 0)).await;
    // Somebody only listens, and keeps nothing.
    let front = fleet.front();
    broker.rabbitmqctl(&["delete_queue", dead]);
    transport.send_to_queue(jobs, "this is no job".into()).await.unwrap();
    until("it is kept", LONG, async || transport.backlog(dead).await.is_ok_and(|b| b.waiting == 1)).await;
    drop((front, worker));
    transport.close().await;
}
