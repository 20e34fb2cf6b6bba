//! Messages of others on the same broker.

use std::time::Duration;

use imgflo_msgflo::{Outcome, QueueOptions, connect};
use imgflo_tests::fleet::{Fleet, Front};
use imgflo_tests::services::virtual_host;
use serde_json::Value;

use super::{ask, until};

const LONG: Duration = Duration::from_secs(60);

async fn ready(front: &Front) -> Value {
    serde_json::from_str(&front.get("/readyz").await.text().await.unwrap()).unwrap()
}

fn request(width: usize) -> String {
    format!("/graph/passthrough?input=files/card.png&width={width}")
}

#[tokio::test(flavor = "multi_thread")]
async fn row_36_forged_results_and_jobs_are_refused_and_told() {
    let broker = virtual_host();
    let fleet = Fleet::new(&broker);
    let front = fleet.front();
    assert_eq!(ready(&front).await["messages"], "signed");
    let stranger = connect(&broker, "stranger").await.unwrap();
    stranger.declare_inport("stranger.JOB", QueueOptions::default()).await.unwrap();
    stranger.bind("imgflo_api.URGENTJOB", "stranger.JOB").await.unwrap();
    let heard = stranger.consume("stranger.JOB").await.unwrap();
    let (target, victim) = (request(41), request(42));
    let (answer, (job, _worker)) = futures::join!(front.get(&target), async {
        let delivery = heard.next().await.unwrap();
        let job: Value = serde_json::from_slice(&delivery.message).unwrap();
        delivery.settle(Outcome::Done);
        // A result that leads elsewhere, with the signature of the job and without.
        let mut forged = job.clone();
        forged["results"] = serde_json::json!({"url": "javascript:alert(1)"});
        for signed in [true, false] {
            if !signed {
                forged.as_object_mut().unwrap().remove("signature");
            }
            stranger.send("imgflo_urgentworker.JOBRESULT", forged.to_string().into()).await.unwrap();
        }
        until("both are refused", LONG, async || {
            ready(&front).await["warnings"].to_string().contains("2 messages were refused")
        })
        .await;
        (job, fleet.worker(&[]))
    });
    let place = answer.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!((answer.status().as_u16(), place.starts_with("/cache/")), (301, true), "{place}");
    assert_eq!(front.get(&place).await.status(), 200);
    // A job that would store this picture as another.
    let dead = stranger.backlog("imgflo_deadletters.JOB").await.unwrap().waiting;
    let mut forged = job;
    forged["data"]["iips"]["width"] = "43".into();
    stranger.send_to_queue("imgflo_urgentworker.JOB", forged.to_string().into()).await.unwrap();
    until("it is a dead letter", LONG, async || {
        stranger.backlog("imgflo_deadletters.JOB").await.unwrap().waiting == dead + 1
    })
    .await;
    assert_eq!(fleet.results().len(), 1);
    assert_eq!(ask(&front, &victim).await.0, 301, "others are done");
    stranger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_37_two_fleets_on_one_broker_are_told_and_serve_nothing_of_each_other() {
    let broker = virtual_host();
    let fleet = |secret: &str| Fleet::new(&broker).with("IMGFLO_FLEET_SECRET", secret);
    let (one, other) = (fleet("the secret of the first fleet"), fleet("the secret of the second one"));
    let (front, worker) = (one.front(), other.worker(&[]));
    let answer = front.get(&request(41)).await;
    assert_eq!((answer.status().as_u16(), answer.headers()["cache-control"].to_str().unwrap()), (503, "no-store"));
    assert!(front.process.log().contains("another fleet uses the same broker"), "{}", front.process.log());
    assert!(worker.log().contains("another fleet uses the same broker"), "{}", worker.log());
    assert!(one.results().is_empty() && other.results().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn row_38_a_secret_is_replaced_and_old_participants_join_without_a_break() {
    let broker = virtual_host();
    let (old, new) = ("the old secret of the fleet", "the new secret of the fleet");
    let fleet = Fleet::new(&broker).with("IMGFLO_FLEET_SECRET", &format!("{new},{old}"));
    let front = fleet.front();
    for (n, (secret, unsigned)) in
        [(&*format!("{old},{new}"), "false"), (new, "false"), (&*format!("{old}, {new}"), "true")]
            .into_iter()
            .enumerate()
    {
        let variables = [("IMGFLO_FLEET_ACCEPT_UNSIGNED", unsigned)];
        let like = fleet.like().with("IMGFLO_FLEET_SECRET", secret);
        let worker = like.worker_with(&[], &variables);
        assert_eq!(ask(&front, &request(41 + n)).await.0, 301, "{secret}");
        assert_eq!(worker.log().contains("messages are not checked"), unsigned == "true", "{}", worker.log());
    }
    let warnings = ready(&front).await["warnings"].to_string();
    assert!(!warnings.contains("refused"), "{warnings}");
}
