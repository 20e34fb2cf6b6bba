//! What MQTT does in its own way, and connections to it that break.

use std::sync::Arc;
use std::time::Duration;

use imgflo_msgflo::{
    Consumer, Delivery, Link, MAX_CRASHES, Outcome, QueueOptions, SendError, Transport, TransportError, connect,
};

use crate::line::{Line, becomes, name, send_again, within};
use crate::mqtt_url;

async fn broker(name: &str) -> Arc<dyn Transport> {
    connect(&mqtt_url(), name).await.unwrap()
}

/// A queue that two processes consume.
async fn declared(transport: &dyn Transport, queue: &str, limit: Option<usize>) {
    transport.declare_inport(queue, QueueOptions { limit, temporary: false }).await.unwrap();
}

/// Message `n`, after those before it that came again: a message whose confirmation was lost with
/// the connection is carried over a second time.
async fn new(consumer: &Consumer, n: usize) -> Delivery {
    loop {
        let delivery = within(consumer.next()).await.unwrap();
        let number: usize = std::str::from_utf8(&delivery.message).unwrap().parse().unwrap();
        if number == n {
            return delivery;
        }
        assert!(number < n, "{number} came before {n}");
        delivery.settle(Outcome::Done);
    }
}

/// An UNSUBSCRIBE of MQTT 5.
fn unsubscribe(filter: &str) -> Vec<u8> {
    let mut rest = vec![0xff, 0xfe, 0];
    rest.extend(u16::try_from(filter.len()).unwrap().to_be_bytes());
    rest.extend(filter.as_bytes());
    let mut packet = vec![0xa2, u8::try_from(rest.len()).unwrap()];
    assert!(rest.len() < 128);
    packet.append(&mut rest);
    packet
}

/// The broker is made to forget subscriptions of a connection that stays up.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_forgot_subscriptions_is_told_them_again() {
    let line = Line::lay(&mqtt_url()).await;
    let transport = connect(&line.url(), "forgotten test").await.unwrap();
    let id = uuid::Uuid::new_v4().simple().to_string();
    let (out, queue) = (format!("o-{id}"), format!("q-{id}"));
    declared(&*transport, &queue, None).await;
    transport.bind(&out, &queue).await.unwrap();
    let jobs = transport.consume(&queue).await.unwrap();
    let forget = async |filter: &str| {
        tokio::time::sleep(Duration::from_millis(1200)).await;
        line.say(&unsubscribe(filter));
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    // That of who carries messages over, and that of who takes them, so that nobody is there.
    for (n, topic) in [&out, &queue].into_iter().enumerate() {
        forget(&format!("$share/{queue}/{topic}")).await;
        transport.send(&out, n.to_string().into()).await.unwrap();
        new(&jobs, n).await.settle(Outcome::Done);
    }
    // Who only listens has no sign of it.
    forget(&format!("$share/{queue}/{out}")).await;
    let other = broker("other").await;
    send_again(&*other, &out, "2").await;
    new(&jobs, 2).await.settle(Outcome::Done);
    assert_eq!(*transport.link().borrow(), Link::Up, "the connection stayed");
    other.close().await;
    transport.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_made_again_with_all_subscriptions() {
    let line = Line::lay(&mqtt_url()).await;
    let transport = connect(&line.url(), "reconnect test").await.unwrap();
    let (out, durable, temporary) = (name("out"), name("durable"), name("temporary"));
    declared(&*transport, &durable, None).await;
    transport.declare_inport(&temporary, QueueOptions { temporary: true, limit: None }).await.unwrap();
    for queue in [&durable, &temporary] {
        transport.bind(&out, queue).await.unwrap();
    }
    let (jobs, results) = (transport.consume(&durable).await.unwrap(), transport.consume(&temporary).await.unwrap());
    for n in 0..3 {
        transport.send(&out, n.to_string().into()).await.unwrap();
        for consumer in [&jobs, &results] {
            let delivery = new(consumer, n).await;
            assert!(!delivery.redelivered);
            // What is held here is not the broker's any more.
            line.cut();
            becomes(&*transport, Link::Down).await;
            delivery.settle(Outcome::Done);
            line.mend();
            becomes(&*transport, Link::Up).await;
        }
    }
    line.cut();
    becomes(&*transport, Link::Down).await;
    let start = std::time::Instant::now();
    let refused = transport.send(&out, "meanwhile".into()).await;
    assert!(matches!(refused, Err(SendError::Unreachable(_))), "{refused:?}");
    assert!(start.elapsed() < Duration::from_secs(1));
    transport.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_share_a_queue_and_a_binding() {
    let (queue, out) = (name("a/queue"), name("out"));
    let mut processes = Vec::new();
    for n in 0..3 {
        let transport = broker(&format!("process {n}")).await;
        declared(&*transport, &queue, None).await;
        // Each of them binds, as each imgflo does; every message is carried over once.
        transport.bind(&out, &queue).await.unwrap();
        let consumer = transport.consume(&queue).await.unwrap();
        processes.push((transport, consumer));
    }
    const MESSAGES: usize = 300;
    for n in 0..MESSAGES {
        processes[n % 3].0.send(&out, n.to_string().into()).await.unwrap();
    }
    let (done, mut seen) = tokio::sync::mpsc::unbounded_channel();
    for (process, (_, consumer)) in processes.iter().enumerate() {
        let (consumer, done) = (consumer.clone(), done.clone());
        tokio::spawn(async move {
            while let Some(delivery) = consumer.next().await {
                done.send((process, delivery.message.clone())).unwrap();
                delivery.settle(Outcome::Done);
            }
        });
    }
    let (mut shares, mut messages) = ([0; 3], std::collections::BTreeSet::new());
    for _ in 0..MESSAGES {
        let (process, message) = within(seen.recv()).await.unwrap();
        shares[process] += 1;
        assert!(messages.insert(message.clone()), "{message:?} came twice");
    }
    assert!(shares.iter().all(|share| *share > MESSAGES / 10), "{shares:?}");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(seen.try_recv().is_err());
    for (transport, _) in processes {
        transport.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_hands_over_what_waits() {
    let queue = name("in");
    let (first, second) = (broker("first").await, broker("second").await);
    declared(&*first, &queue, None).await;
    declared(&*second, &queue, None).await;
    let mine = first.consume(&queue).await.unwrap();
    for n in 0..20 {
        first.send_to_queue(&queue, n.to_string().into()).await.unwrap();
    }
    let held = within(mine.next()).await.unwrap();
    let theirs = second.consume(&queue).await.unwrap();
    first.close().await;
    let mut messages = Vec::new();
    for _ in 1..20 {
        let delivery = within(theirs.next()).await.unwrap();
        messages.push(delivery.message.clone());
        delivery.settle(Outcome::Done);
    }
    assert_eq!(messages, (1..20).map(|n| n.to_string().into()).collect::<Vec<bytes::Bytes>>());
    held.settle(Outcome::Done);
    // A consumer that leaves without its process does so too.
    second.send_to_queue(&queue, "last".into()).await.unwrap();
    let third = broker("third").await;
    declared(&*third, &queue, None).await;
    let other = third.consume(&queue).await.unwrap();
    drop(theirs);
    let delivery = within(other.next()).await.unwrap();
    assert_eq!(delivery.message, "last");
    delivery.settle(Outcome::Done);
    second.close().await;
    third.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_limit_who_sends_is_told_that_nobody_takes_it() {
    let (transport, queue, out) = (broker("limit test").await, name("in"), name("out"));
    declared(&*transport, &queue, Some(10)).await;
    transport.bind(&out, &queue).await.unwrap();
    let mut sent = 0;
    let fill = async |sent: &mut usize| loop {
        match within(transport.send(&out, sent.to_string().into())).await {
            Ok(()) => *sent += 1,
            Err(error) => return assert_eq!(error, SendError::Unroutable(out.clone())),
        }
        assert!(*sent < 1000, "there is no limit");
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    // Nobody consumes: they wait where they were bound.
    fill(&mut sent).await;
    let consumer = transport.consume(&queue).await.unwrap();
    for n in 0..sent {
        let delivery = within(consumer.next()).await.unwrap();
        assert_eq!(delivery.message, n.to_string());
        delivery.settle(Outcome::Done);
    }
    send_again(&*transport, &out, "again").await;
    within(consumer.next()).await.unwrap().settle(Outcome::Done);
    // Who consumes, but is slow, takes no more either.
    let mut more = 0;
    fill(&mut more).await;
    assert!(more >= 20, "{more}: the queue's and the binding's");
    transport.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_say_why() {
    let (transport, queue, grave) = (broker("dead test").await, name("in"), name("grave"));
    declared(&*transport, &queue, None).await;
    declared(&*transport, &grave, None).await;
    transport.bind_round_robin(&name("out"), &queue, Some(&grave)).await.unwrap();
    let (consumer, dead) = (transport.consume(&queue).await.unwrap(), transport.consume(&grave).await.unwrap());
    transport.send_to_queue(&queue, "bad".into()).await.unwrap();
    within(consumer.next()).await.unwrap().settle(Outcome::Rejected("it is bad".into()));
    let letter = within(dead.next()).await.unwrap();
    let death = letter.death.clone().unwrap();
    assert_eq!((&letter.message[..], death.queue, death.reason.as_str()), (&b"bad"[..], queue.clone(), "it is bad"));
    assert!(death.at.elapsed().unwrap() < Duration::from_secs(60));
    letter.settle(Outcome::Done);
    // One that takes down its consumers is given up, too.
    transport.send_to_queue(&queue, "poison".into()).await.unwrap();
    for crashes in 0..MAX_CRASHES {
        let delivery = within(consumer.next()).await.unwrap();
        assert_eq!(delivery.crashes, crashes);
        drop(delivery);
    }
    let letter = within(dead.next()).await.unwrap();
    assert_eq!((&letter.message[..], letter.death.clone().unwrap().queue), (&b"poison"[..], queue));
    transport.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused() {
    let transport = broker("size test").await;
    let queue = name("in");
    declared(&*transport, &queue, None).await;
    let consumer = transport.consume(&queue).await.unwrap();
    let limit = 256 * 1024;
    let refused = transport.send_to_queue(&queue, vec![b'a'; limit + 1].into()).await;
    assert_eq!(refused, Err(SendError::TooLarge { size: limit + 1, limit }));
    transport.send_to_queue(&queue, vec![b'a'; limit].into()).await.unwrap();
    assert_eq!(within(consumer.next()).await.unwrap().message.len(), limit);
    for wrong in ["", "a/+", "#", "$SYS/a", "nul\0"] {
        let refused = transport.declare_inport(wrong, QueueOptions::default()).await;
        assert!(matches!(refused, Err(TransportError::Refused(_))), "{wrong}: {refused:?}");
        assert!(transport.declare_outport(wrong).await.is_err() && transport.bind(wrong, &queue).await.is_err());
        let unsent = transport.send(wrong, "1".into()).await;
        assert_eq!(unsent, Err(SendError::Unroutable(wrong.to_owned())));
    }
    transport.close().await;
}
