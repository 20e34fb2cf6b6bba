//! What somebody deletes under a fleet at work: exchanges, bindings and queues of the broker, the content of the bucket and
//! of Redis, the bucket itself. Requests succeed again by themselves, and no job is lost.

use std::time::{Duration, Instant};

use imgflo_msgflo::connect;
use imgflo_tests::fleet::{Fleet, Front};
use imgflo_tests::origin::{Answer, Gate, Origin};
use imgflo_tests::s3::S3;
use imgflo_tests::services::{Private, shared, virtual_host};

use super::{ask, picture, thumbnail, until};

/// Deletes something that a broker holds.
type Deletion<'a> = Box<dyn Fn() + 'a>;

const LONG: Duration = Duration::from_secs(60);
const JOBS: &str = "imgflo_urgentworker.JOB";

fn url(broker: &Private) -> String {
    format!("amqp://127.0.0.1:{}", broker.port())
}

/// An origin with so many pictures.
fn origin(pictures: usize) -> (Origin, Vec<String>) {
    let paths: Vec<String> = (0..pictures).map(|n| format!("/{n}.png")).collect();
    let origin = Origin::start(paths.iter().map(|path| (path.as_str(), Answer::Body("image/png", picture()))));
    let requests = paths.iter().map(|path| thumbnail(&origin, path)).collect();
    (origin, requests)
}

/// Runs Erlang on the broker: a call of a module about an exchange or queue of the virtual host `/`.
fn eval(broker: &Private, code: &str) {
    broker.rabbitmqctl(&["eval", code]);
}

fn delete_exchange(broker: &Private, name: &str) {
    eval(
        broker,
        &format!("rabbit_exchange:delete(rabbit_misc:r(<<\"/\">>, exchange, <<\"{name}\">>), false, <<\"x\">>)."),
    );
}

/// Removes the bindings of which an exchange is the source.
fn unbind(broker: &Private, exchange: &str) {
    eval(
        broker,
        &format!(
            "[rabbit_binding:remove(B, fun (_, _) -> ok end, <<\"x\">>) || B <- \
             rabbit_binding:list_for_source(rabbit_misc:r(<<\"/\">>, exchange, <<\"{exchange}\">>))]."
        ),
    );
}

async fn ready(front: &Front) -> serde_json::Value {
    let ready = front.get("/readyz").await.text().await.unwrap();
    serde_json::from_str(&ready).unwrap()
}

/// Asks until the answer is 301; how many asked in vain, and how long that took.
async fn again(front: &Front, path: &str) -> (usize, Duration) {
    let start = Instant::now();
    let mut refused = 0;
    while ask(front, path).await.0 != 301 {
        refused += 1;
        assert!(start.elapsed() < LONG, "{path}: still not");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (refused, start.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_a_binding_and_a_queue_come_back_with_the_next_request() {
    let (_origin, requests) = origin(10);
    let mut requests = requests.iter();
    let mut request = || requests.next().unwrap();
    let broker = Private::start("rabbitmq");
    let fleet = Fleet::new(&url(&broker)).with("IMGFLO_REDIS_URL", &shared("IMGFLO_TEST_REDIS"));
    let (front, worker) = (fleet.front(), fleet.worker(&[]));
    assert_eq!(ask(&front, request()).await.0, 301);
    let deletions: [(&str, Deletion); 7] = [
        ("exchange of jobs", Box::new(|| delete_exchange(&broker, "imgflo_api.URGENTJOB"))),
        ("exchange of the round robin", Box::new(|| delete_exchange(&broker, "out-imgflo_api.URGENTJOB"))),
        ("exchange of results", Box::new(|| delete_exchange(&broker, "imgflo_urgentworker.JOBRESULT"))),
        ("bindings of jobs", Box::new(|| unbind(&broker, "imgflo_api.URGENTJOB"))),
        ("bindings of the round robin", Box::new(|| unbind(&broker, "out-imgflo_api.URGENTJOB"))),
        ("bindings of results", Box::new(|| unbind(&broker, "imgflo_urgentworker.JOBRESULT"))),
        ("queue of jobs", Box::new(|| _ = broker.rabbitmqctl(&["delete_queue", JOBS]))),
    ];
    for (what, delete) in deletions {
        delete();
        let (refused, took) = again(&front, request()).await;
        println!("{what} deleted: {refused} requests refused, 301 after {:.2} s", took.as_secs_f64());
        assert_eq!(refused, 0, "{what}");
        assert_eq!(ready(&front).await["warnings"], serde_json::json!([]), "{what}");
    }
    assert!(!worker.log().contains("ERROR"), "{}", worker.log());
    assert!(!front.process.log().contains("ERROR"), "{}", front.process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_waited_in_a_deleted_queue_are_sent_again() {
    const COUNT: usize = 12;
    let gate = Gate::default();
    let paths: Vec<String> = (0..COUNT).map(|n| format!("/{n}.png")).collect();
    let behind = |path: &String| (path.clone(), Answer::Behind(gate.clone(), "image/png", picture()));
    let origin = Origin::start(paths.iter().map(behind));
    let broker = Private::start("rabbitmq");
    let fleet = Fleet::new(&url(&broker)).with("IMGFLO_REDIS_URL", &shared("IMGFLO_TEST_REDIS"));
    let fronts = [fleet.front(), fleet.front()];
    // One slot, so that the others wait in the queue.
    let _worker = fleet.worker(&["--workers", "1"]);
    for (n, path) in paths.iter().enumerate() {
        assert_eq!(fronts[n % 2].post(&thumbnail(&origin, path)).await.status(), 202, "{path}");
    }
    until("one is at work", LONG, async || paths.iter().any(|path| origin.requests(path) > 0)).await;
    broker.rabbitmqctl(&["delete_queue", "imgflo_backgroundworker.JOB"]);
    let start = Instant::now();
    gate.open();
    until("all are made", LONG, async || fleet.results().len() == COUNT).await;
    println!("queue deleted with {} jobs: all made after {:.1} s", COUNT - 1, start.elapsed().as_secs_f64());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_a_policy_drops_is_told_at_once() {
    let (_origin, requests) = origin(3);
    let broker = Private::start("rabbitmq");
    let fleet = Fleet::new(&url(&broker));
    let front = fleet.front();
    let transport = connect(&url(&broker), "test").await.unwrap();
    // No worker is there: a job waits until its time is over.
    broker.rabbitmqctl(&["set_policy", "short", "^imgflo_.*JOB$", "{\"message-ttl\":200}", "--apply-to", "queues"]);
    let answer = front.get(&requests[0]).await;
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    assert!(front.process.log().contains("waited in 'imgflo_urgentworker.JOB' longer than a policy allows"));
    // The newest stay where a queue has a length: the older one is told.
    broker.rabbitmqctl(&["set_policy", "short", "^imgflo_.*JOB$", "{\"max-length\":1}", "--apply-to", "queues"]);
    let (first, _) = futures::join!(front.get(&requests[1]), async {
        until("the first waits", LONG, async || transport.backlog(JOBS).await.unwrap().waiting == 1).await;
        front.get(&requests[2]).await
    });
    assert_eq!(first.status(), 503);
    assert!(front.process.log().contains("'imgflo_urgentworker.JOB' is at the length limit of a policy"));
    transport.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_where_no_worker_is_hears_so() {
    let (origin, requests) = origin(2);
    let broker = virtual_host();
    let fleet = Fleet::new(&broker).with("IMGFLO_URGENT_DEADLINE", "60000");
    let front = fleet.front();
    let start = Instant::now();
    let answer = front.get(&requests[0]).await;
    assert_eq!(answer.status(), 503);
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    assert!(front.process.log().contains("no worker is connected"), "{}", front.process.log());
    // One that has its hands full is there.
    let _worker = fleet.worker(&["--workers", "1"]);
    assert_eq!(ask(&front, &requests[1]).await.0, 301);
    drop(origin);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_worker_is_a_worker() {
    let gate = Gate::default();
    let origin = Origin::start([
        ("/held.png", Answer::Behind(gate.clone(), "image/png", picture())),
        ("/next.png", Answer::Body("image/png", picture())),
    ]);
    let fleet = Fleet::new(&virtual_host());
    let (front, _worker) = (fleet.front(), fleet.worker(&["--workers", "1"]));
    let (held, next) = (thumbnail(&origin, "/held.png"), thumbnail(&origin, "/next.png"));
    let answers = async { futures::join!(ask(&front, &held), ask(&front, &next)) };
    let (answers, ()) = futures::join!(answers, async {
        tokio::time::sleep(Duration::from_secs(7)).await;
        gate.open();
    });
    assert_eq!((answers.0.0, answers.1.0), (301, 301));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_may_not_declare_works_where_all_is_there() {
    let (_origin, requests) = origin(3);
    let broker = Private::start("rabbitmq");
    let whole = Fleet::new(&url(&broker));
    // Everything is declared by somebody who may.
    {
        let (front, _worker) = (whole.front(), whole.worker(&[]));
        assert_eq!(ask(&front, &requests[0]).await.0, 301);
    }
    for (user, configure) in [("own", "^imgflo_.*-.*"), ("none", "^$")] {
        broker.rabbitmqctl(&["add_user", user, "secret"]);
        broker.rabbitmqctl(&["set_permissions", user, configure, ".*", ".*"]);
    }
    let port = broker.port();
    let fleet = Fleet::new(&format!("amqp://own:secret@127.0.0.1:{port}"));
    {
        let (front, worker) = (fleet.front(), fleet.worker(&[]));
        assert_eq!(ask(&front, &requests[1]).await.0, 301);
        // Failures are heard, too.
        assert_eq!(ask(&front, "/graph/crop?input=files/none.png&width=10&height=10").await.0, 404);
        assert_eq!(ready(&front).await["warnings"], serde_json::json!([]));
        for log in [front.process.log(), worker.log()] {
            // The fleet shares a folder, and is told that it has to.
            let mut lines = log.lines().filter(|line| !line.contains("results are kept in a folder"));
            assert!(lines.all(|line| !line.contains("ERROR") && !line.contains("WARN")), "{log}");
        }
    }
    let fleet = Fleet::new(&format!("amqp://none:secret@127.0.0.1:{port}"));
    let (front, worker) = (fleet.front(), fleet.worker(&[]));
    assert_eq!(ask(&front, &requests[2]).await.0, 301);
    let warnings = ready(&front).await["warnings"].to_string();
    assert!(warnings.contains("results are not heard"), "{warnings}");
    assert!(worker.log().contains("cancellations are not heard"), "{}", worker.log());
    // What it may not make again is told until it is there.
    delete_exchange(&broker, "imgflo_api.URGENTJOB");
    let other = "/graph/passthrough?input=files/card.png&width=33";
    assert_eq!(ask(&front, other).await.0, 503);
    let warnings = ready(&front).await["warnings"].to_string();
    assert!(warnings.contains("imgflo_api.URGENTJOB"), "{warnings}");
    {
        let _front = whole.front();
        let (_, took) = again(&front, other).await;
        println!("made by another: 301 after {:.2} s", took.as_secs_f64());
    }
    let warnings = ready(&front).await["warnings"].to_string();
    assert!(!warnings.contains("imgflo_api.URGENTJOB"), "{warnings}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_emptied_leads_nobody_to_nothing() {
    const COUNT: usize = 5;
    let (origin, requests) = origin(COUNT);
    let redis = Private::start("redis");
    let s3 = S3::start();
    let fleet = Fleet::new(&virtual_host())
        .with_s3(s3.port())
        .with("IMGFLO_REDIS_URL", &format!("redis://127.0.0.1:{}", redis.port()));
    let (fronts, _worker) = ([fleet.front(), fleet.front()], fleet.worker(&[]));
    let follow = async |front: &Front, request: &str| {
        let answer = front.get(request).await;
        assert_eq!(answer.status(), 301, "{request}");
        let place = answer.headers()["location"].to_str().unwrap().to_owned();
        front.get(&place).await.status().as_u16()
    };
    for request in &requests {
        for front in &fronts {
            assert_eq!(follow(front, request).await, 200);
        }
    }
    // Entries that were compared with the bucket a second ago are believed.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    s3.empty();
    let start = Instant::now();
    for request in &requests {
        for front in &fronts {
            assert_eq!(follow(front, request).await, 200, "{request}");
        }
    }
    println!("bucket emptied: all {COUNT} right after {:.2} s, no 404", start.elapsed().as_secs_f64());
    for n in 0..COUNT {
        assert_eq!(origin.requests(&format!("/{n}.png")), 2, "made again once");
    }
    redis.flush();
    for request in &requests {
        for front in &fronts {
            assert_eq!(follow(front, request).await, 200, "{request}");
        }
    }
    for n in 0..COUNT {
        assert_eq!(origin.requests(&format!("/{n}.png")), 2, "a flushed index makes nothing anew");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_deleted_is_told_and_used_again_when_it_is_there() {
    let (_origin, requests) = origin(4);
    let s3 = S3::start();
    let fleet = Fleet::new(&virtual_host()).with_s3(s3.port());
    let (front, _worker) = (fleet.front(), fleet.worker(&[]));
    assert_eq!(ask(&front, &requests[0]).await.0, 301);
    s3.delete();
    assert_eq!(ask(&front, &requests[0]).await.0, 503);
    let unready = ready(&front).await;
    assert_eq!(unready["ready"], false, "{unready}");
    assert_eq!(front.post(&requests[1]).await.status(), 202);
    s3.create();
    let start = Instant::now();
    let (_, took) = again(&front, &requests[0]).await;
    println!("bucket there again: 301 after {:.2} s", took.as_secs_f64());
    assert_eq!(ready(&front).await["ready"], true);
    // The job that nobody waits for is not lost.
    until("it is made", LONG, async || s3.objects().len() == 2).await;
    println!("the job in the background: after {:.1} s", start.elapsed().as_secs_f64());
}
