//! Participants of the original's library for Node.js (npm `msgflo-nodejs`) and ours in one
//! network.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use imgflo_msgflo::{
    Consumer, Definition, Delivery, Outcome, Participant, Port, QueueOptions, Transport, connect, discovery,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Long enough for a Node.js process to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A participant of the original; it ends with the test.
async fn node(role: &str, url: &str) -> Child {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/npm");
    let program = folder.join("node_modules/.bin/msgflo-nodejs");
    assert!(program.exists(), "{} is missing: run scripts/test, or npm ci in its folder", program.display());
    let mut child = Command::new(program)
        .args(["--name", role, "--broker", url, "./repeat.js"])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("it starts").unwrap();
    assert!(line.is_some_and(|line| line.contains("connected")), "{role} did not connect");
    child
}

async fn next(consumer: &Consumer) -> Delivery {
    tokio::time::timeout(PATIENCE, consumer.next()).await.expect("a message comes").expect("the transport is open")
}

async fn next_json(consumer: &Consumer) -> Value {
    let delivery = next(consumer).await;
    let value = serde_json::from_slice(&delivery.message).unwrap();
    delivery.settle(Outcome::Done);
    value
}

fn name(what: &str) -> String {
    format!("{what}{}", uuid::Uuid::new_v4().simple())
}

/// Waits for the announcement of a role; those of others go back.
async fn announced(announcements: &Consumer, role: &str) -> Definition {
    loop {
        let delivery = next(announcements).await;
        let definition = discovery::read(&delivery.message).unwrap();
        delivery.settle(Outcome::Done);
        if definition.role == role {
            return definition;
        }
    }
}

async fn broker(url: &str) -> Arc<dyn Transport> {
    connect(url, "nodejs test").await.unwrap()
}

fn queue<'a>(ports: &'a [Port], id: &str) -> &'a str {
    ports.iter().find(|port| port.id == id).and_then(|port| port.queue.as_deref()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_both_ways_over_amqp() {
    messages_go_both_ways(&crate::amqp_url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_both_ways_over_mqtt() {
    messages_go_both_ways(&crate::mqtt_url()).await;
}

async fn messages_go_both_ways(url: &str) {
    let (transport, theirs, ours) = (broker(url).await, name("theirs"), name("ours"));
    let announcements = transport.discover().await.unwrap();
    let _node = node(&theirs, url).await;
    let definition = announced(&announcements, &theirs).await;
    assert_eq!((definition.component.as_str(), definition.id.starts_with(&theirs)), ("Repeat", true));
    let (input, output) = (queue(&definition.inports, "in"), queue(&definition.outports, "out"));

    let sink = Definition::new(&ours, "Sink").inport(Port::new("in")).outport(Port::new("out"));
    let sink = Participant::start(sink, transport.clone()).await.unwrap();
    transport.bind(output, queue(&sink.definition().inports, "in")).await.unwrap();
    transport.bind(queue(&sink.definition().outports, "out"), input).await.unwrap();
    let heard = sink.consume("in").await.unwrap();

    // By our outport, and straight to its queue.
    sink.send("out", &json!({"n": 1})).await.unwrap();
    assert_eq!(next_json(&heard).await, json!({"repeated": {"n": 1}}));
    transport.send_to_queue(input, json!({"é": [2]}).to_string().into()).await.unwrap();
    assert_eq!(next_json(&heard).await, json!({"repeated": {"é": [2]}}));
    transport.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_can_be_declared_by_either_first() {
    let (transport, ours_first, theirs_first) = (broker(&crate::amqp_url()).await, name("first"), name("first"));
    let inport = |role: &str| discovery::queue_name(role, "in");
    // Were the arguments other than theirs, the second to come would be refused (406).
    transport.declare_inport(&inport(&ours_first), QueueOptions::default()).await.unwrap();
    let _one = node(&ours_first, &crate::amqp_url()).await;
    let _other = node(&theirs_first, &crate::amqp_url()).await;
    transport.declare_inport(&inport(&theirs_first), QueueOptions::default()).await.unwrap();
    for role in [&ours_first, &theirs_first] {
        let out = discovery::queue_name(role, "out");
        transport.declare_outport(&out).await.unwrap();
        let answers = name("answers");
        transport.declare_inport(&answers, QueueOptions::default()).await.unwrap();
        transport.bind(&out, &answers).await.unwrap();
        transport.send_to_queue(&inport(role), "7".into()).await.unwrap();
        assert_eq!(next_json(&transport.consume(&answers).await.unwrap()).await, json!({"repeated": 7}));
    }
    transport.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_theirs_rejects_is_among_our_dead_letters() {
    let (transport, role) = (broker(&crate::amqp_url()).await, name("failing"));
    let _node = node(&role, &crate::amqp_url()).await;
    let (input, grave) = (discovery::queue_name(&role, "in"), name("grave"));
    transport.declare_inport(&input, QueueOptions::default()).await.unwrap();
    transport.declare_inport(&grave, QueueOptions::default()).await.unwrap();
    transport.bind(&format!("dead-{input}"), &grave).await.unwrap();
    transport.send_to_queue(&input, json!({"fail": true}).to_string().into()).await.unwrap();
    let dead = next(&transport.consume(&grave).await.unwrap()).await;
    let death = dead.death.clone().expect("the broker says how it died");
    assert_eq!((death.queue, death.reason.as_str()), (input, "rejected"));
    dead.settle(Outcome::Done);
    transport.close().await;
}
