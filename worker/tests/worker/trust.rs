//! Messages that are not what they say.

use imgflo_job::key::is_key;
use imgflo_job::secrets::Kind;
use imgflo_job::{Cancel, Category, FileVersion, FleetSecrets, Job, JobData, Source, message};
use imgflo_msgflo::{Outcome, Transport};

use super::setup::{Options, Setup, URGENT, ask, copy, file, key_of, one_operation, until, urgent};

/// A job under its own key.
fn honest(width: u32) -> JobData {
    let mut data = copy("x.png");
    data.iips = [("width".to_owned(), width.to_string())].into();
    data.cachekey = key_of(&data);
    assert!(is_key(&data.cachekey));
    data
}

#[tokio::test]
async fn a_job_under_anothers_key_is_refused() {
    let setup = Setup::new().await;
    let _worker = setup.worker(Options::default());
    let data = honest(20);
    assert_eq!(setup.run(&urgent(data.clone())).await.error, None);
    assert!(setup.stored(&data.cachekey).await.is_some());
    let (victim, other) = (honest(21), honest(22));
    let version = Some(FileVersion { bytes: 1, modified_ns: 2 });
    let outer = |job: JobData| {
        let mut data = ask("x.png", one_operation("gegl/nop"), Some(Source::Graph { job: Box::new(job) }));
        data.cachekey = key_of(&data);
        data
    };
    let forged = [
        JobData { cachekey: victim.cachekey.clone(), ..other.clone() },
        JobData { source: file("other.png"), ..victim.clone() },
        JobData { source: Some(Source::File { path: "in.png".into(), version }), ..victim.clone() },
        JobData { definition: one_operation("gegl/invert-linear"), ..victim.clone() },
        JobData { quality: "small".parse().unwrap(), ..victim.clone() },
        JobData { outtype: Some("jpg".into()), ..victim.clone() },
        JobData { definition: serde_json::Value::Null, ..victim.clone() },
        // Inside the input of a job that is honest itself.
        outer(JobData { cachekey: victim.cachekey.clone(), ..other.clone() }),
    ];
    let count = forged.len();
    for (n, data) in forged.into_iter().enumerate() {
        let error = setup.run(&urgent(data)).await.error.unwrap_or_else(|| panic!("forgery {n} is done"));
        assert_eq!(error.category, Category::Unavailable, "forgery {n}: {error}");
    }
    setup.until(URGENT, |queue| queue.dead_letters == count as u64).await;
    assert_eq!(setup.stored(&victim.cachekey).await, None);
    let nested = outer(victim.clone());
    assert_eq!(setup.run(&urgent(nested)).await.error, None);
    assert!(setup.stored(&victim.cachekey).await.is_some(), "what is honest inside is stored, too");
}

#[tokio::test]
async fn only_jobs_and_cancellations_of_the_fleet_are_heeded() {
    let setup = Setup::new().await;
    let secrets = |secret: &str| FleetSecrets::new([secret.to_owned()], false);
    let (ours, theirs) = (secrets("the secret of the fleet"), secrets("the secret of others"));
    let _worker = setup.worker(Options { secrets: ours.clone(), ..Options::default() });
    let send = async |secrets: &FleetSecrets, kind: Kind, job: &Job| {
        setup.broker.send("imgflo_api.URGENTJOB", secrets.write(kind, job).unwrap().into()).await.unwrap();
    };
    let job = urgent(copy("6f95.png"));
    for (secrets, kind) in [(&FleetSecrets::default(), Kind::Job), (&theirs, Kind::Job), (&ours, Kind::Result)] {
        send(secrets, kind, &job).await;
    }
    setup.until(URGENT, |queue| queue.dead_letters == 3).await;
    for letter in setup.broker.dead_letters(URGENT).unwrap() {
        assert!(letter.death.reason.contains("IMGFLO_FLEET_SECRET"), "{}", letter.death.reason);
    }
    assert_eq!(setup.stored("6f95.png").await, None);
    let cancel = |secrets: &FleetSecrets| secrets.write(Kind::Cancel, &Cancel::of(job.id.as_str())).unwrap();
    for message in [cancel(&FleetSecrets::default()), cancel(&theirs)] {
        setup.broker.send("imgflo_api.JOBCANCEL", message.into()).await.unwrap();
    }
    // Results are signed as well.
    setup.broker.declare_inport("listener", Default::default()).await.unwrap();
    setup.broker.bind("imgflo_urgentworker.JOBRESULT", "listener").await.unwrap();
    send(&ours, Kind::Job, &job).await;
    assert_eq!(setup.result().await.error, None);
    let result = setup.broker_consumer("listener").await.next().await.unwrap();
    assert_eq!(ours.check(Kind::Result, &result.message), Ok(()));
    assert!(theirs.check(Kind::Result, &result.message).is_err());
    result.settle(Outcome::Done);
}

#[tokio::test]
async fn deadlines_are_by_the_clock_of_the_front_end() {
    let setup = Setup::new().await;
    let _worker = setup.worker(Options::default());
    assert_eq!(setup.run(&urgent(copy("first.png"))).await.error, None, "it listens");
    for (n, ahead) in [0, 60_000, -60_000, 3_600_000].into_iter().enumerate() {
        // The time at the front end.
        let now = || (message::now() as i64 - ahead) as u64;
        let from = Some(format!("imgflo_api-{n}"));
        for _ in 0..2 {
            let clock = Cancel { id: String::new(), from: from.clone(), sent_at: Some(now()) };
            let clock = serde_json::to_vec(&clock).unwrap();
            setup.broker.send("imgflo_api.JOBCANCEL", clock.into()).await.unwrap();
        }
        until(|| {
            let queues = setup.broker.queues();
            let heard = queues.iter().filter(|queue| queue.name.ends_with(".JOBCANCEL"));
            heard.map(|queue| queue.waiting + queue.unsettled).sum::<usize>() == 0
        })
        .await;
        let job = |key: String, age: u64, left: i64| Job {
            from: from.clone(),
            created_at: now() - age,
            deadline_at: Some((now() as i64 + left) as u64),
            ..urgent(copy(&key))
        };
        let result = setup.run(&job(format!("a{n}.png"), 0, 10_000)).await;
        assert_eq!(result.error, None, "{ahead}: it has ten seconds left");
        match result.clock_ahead {
            None => assert_eq!(ahead, 0),
            Some(told) => assert!((told - ahead).abs() < 3000, "{told} of {ahead}"),
        }
        let error = setup.run(&job(format!("b{n}.png"), 30_000, -5_000)).await.error;
        assert_eq!(error.map(|error| error.category), Some(Category::DeadlineExceeded), "{ahead}: it is late");
    }
}
