//! What only happens with a broker elsewhere: other programs' queues, connections that break.

use std::sync::Arc;
use std::time::Duration;

use imgflo_msgflo::{Link, MAX_CRASHES, Outcome, QueueOptions, SendError, Transport, TransportError, connect};
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;

use crate::line::{Line, becomes, name, send_again, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_made_again_with_all_that_was_declared() {
    let line = Line::lay(&crate::amqp_url()).await;
    let transport = connect(&line.url(), "reconnect test").await.unwrap();
    let (out, durable, temporary) = (name("out"), name("durable"), name("temporary"));
    transport.declare_outport(&out).await.unwrap();
    transport.declare_inport(&durable, QueueOptions::default()).await.unwrap();
    transport.declare_inport(&temporary, QueueOptions { temporary: true, limit: None }).await.unwrap();
    for queue in [&durable, &temporary] {
        transport.bind(&out, queue).await.unwrap();
    }
    let (jobs, results) = (transport.consume(&durable).await.unwrap(), transport.consume(&temporary).await.unwrap());
    transport.send(&out, "before".into()).await.unwrap();
    for consumer in [&jobs, &results] {
        within(consumer.next()).await.unwrap().settle(Outcome::Done);
    }
    for _ in 0..3 {
        line.cut();
        becomes(&*transport, Link::Down).await;
        let start = std::time::Instant::now();
        let refused = transport.send(&out, "meanwhile".into()).await;
        assert!(matches!(refused, Err(SendError::Unreachable(_))), "{refused:?}");
        assert!(start.elapsed() < Duration::from_secs(1));
        line.mend();
        becomes(&*transport, Link::Up).await;
        send_again(&*transport, &out, "after").await;
        // The consumers of before go on, and the temporary queue, which went away, is bound again.
        for consumer in [&jobs, &results] {
            loop {
                let delivery = within(consumer.next()).await.unwrap();
                let message = delivery.message.clone();
                // One whose settling did not reach the broker in time comes again.
                assert!(message == "after" || delivery.redelivered, "{delivery:?}");
                delivery.settle(Outcome::Done);
                if message == "after" {
                    break;
                }
            }
        }
    }
    transport.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_on_its_way_when_the_connection_is_lost_goes_over_the_next() {
    let line = Line::lay(&crate::amqp_url()).await;
    let transport = connect(&line.url(), "on its way").await.unwrap();
    let (out, queue) = (name("out"), name("queue"));
    transport.declare_outport(&out).await.unwrap();
    transport.declare_inport(&queue, QueueOptions::default()).await.unwrap();
    transport.bind(&out, &queue).await.unwrap();
    transport.send(&out, "before".into()).await.unwrap();
    line.hold(true);
    let losing = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        line.cut();
        becomes(&*transport, Link::Down).await;
        line.hold(false);
        line.mend();
    };
    let (sent, ()) = tokio::join!(within(transport.send(&out, "on its way".into())), losing);
    sent.unwrap();
    assert_eq!(transport.backlog(&queue).await.unwrap().waiting, 2);
    transport.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_held_when_the_connection_is_lost_comes_again_and_is_counted() {
    let line = Line::lay(&crate::amqp_url()).await;
    let transport = connect(&line.url(), "held test").await.unwrap();
    let (queue, grave) = (name("in"), name("grave"));
    for queue in [&queue, &grave] {
        transport.declare_inport(queue, QueueOptions::default()).await.unwrap();
    }
    transport.bind(&format!("dead-{queue}"), &grave).await.unwrap();
    let consumer = transport.consume(&queue).await.unwrap();
    transport.send_to_queue(&queue, "job".into()).await.unwrap();
    for crashes in 0..3 {
        let delivery = within(consumer.next()).await.unwrap();
        assert_eq!((delivery.crashes, delivery.redelivered), (crashes, crashes > 0));
        line.cut();
        becomes(&*transport, Link::Down).await;
        // Too late: the broker does not hear it.
        delivery.settle(Outcome::Done);
        line.mend();
        becomes(&*transport, Link::Up).await;
    }
    for crashes in 3..MAX_CRASHES {
        let delivery = within(consumer.next()).await.unwrap();
        assert_eq!((delivery.crashes, delivery.redelivered), (crashes, true));
        drop(delivery);
    }
    // So many are too many: who asks next does not get it.
    let grave = transport.consume(&grave).await.unwrap();
    let dead = within(async {
        tokio::select! {
            dead = grave.next() => dead.unwrap(),
            alive = consumer.next() => panic!("{alive:?}"),
        }
    })
    .await;
    assert_eq!((&dead.message[..], dead.death.clone().unwrap().queue), (&b"job"[..], queue));
    dead.settle(Outcome::Done);
    transport.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_was_declared_otherwise_is_used_as_it_is() {
    let queue = name("foreign");
    let runtime = lapin::runtime::default_runtime().unwrap();
    let url = crate::amqp_url();
    let foreign = lapin::Connection::connect_with_runtime(&url, Default::default(), runtime).await.unwrap();
    let channel = foreign.create_channel().await.unwrap();
    // As MsgFlo's library for Rust declares it: without dead letters.
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(queue.as_str().into(), options, FieldTable::default()).await.unwrap();
    let transport = connect(&crate::amqp_url(), "foreign test").await.unwrap();
    transport.declare_inport(&queue, QueueOptions::default()).await.unwrap();
    transport.send_to_queue(&queue, "job".into()).await.unwrap();
    let consumer = transport.consume(&queue).await.unwrap();
    // Its dead letters are kept all the same, in a queue that is made when there is none.
    within(consumer.next()).await.unwrap().settle(Outcome::Rejected("no way".into()));
    let grave = format!("dead-{queue}");
    within(async {
        while transport.backlog(&grave).await.map_or(0, |backlog| backlog.waiting) == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let dead = within(transport.consume(&grave).await.unwrap().next()).await.unwrap();
    assert_eq!(dead.death.clone().unwrap().reason, "no way");
    dead.settle(Outcome::Done);
    transport.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_settled_before_closing_is_settled() {
    let queue = name("in");
    let first = connect(&crate::amqp_url(), "first").await.unwrap();
    first.declare_inport(&queue, QueueOptions::default()).await.unwrap();
    let consumer = first.consume(&queue).await.unwrap();
    for n in 0..50 {
        first.send_to_queue(&queue, n.to_string().into()).await.unwrap();
    }
    for _ in 0..25 {
        within(consumer.next()).await.unwrap().settle(Outcome::Done);
    }
    first.close().await;
    let second = connect(&crate::amqp_url(), "second").await.unwrap();
    let consumer = second.consume(&queue).await.unwrap();
    let mut left = Vec::new();
    for _ in 25..50 {
        let delivery = within(consumer.next()).await.unwrap();
        assert_eq!(delivery.crashes, 0);
        left.push(delivery.message.clone());
        delivery.settle(Outcome::Done);
    }
    // One that was on its way to the first is behind the others now.
    left.sort();
    assert_eq!(left, (25..50).map(|n| n.to_string()).collect::<Vec<_>>());
    second.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_closed_has_left_the_broker() {
    let second = connect(&crate::amqp_url(), "second").await.unwrap();
    for round in 0..5 {
        let queue = name("in");
        second.declare_inport(&queue, QueueOptions::default()).await.unwrap();
        second.send_to_queue(&queue, "held".into()).await.unwrap();
        let first = connect(&crate::amqp_url(), "first").await.unwrap();
        let held = within(first.consume(&queue).await.unwrap().next()).await.unwrap();
        assert_eq!(second.backlog(&queue).await.unwrap().waiting, 0);
        first.close().await;
        // The broker has heard all that was said: at this moment the process may end.
        assert_eq!(second.backlog(&queue).await.unwrap().waiting, 1, "round {round}");
        drop(held);
    }
    second.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_password_is_an_error_at_once() {
    let url = crate::amqp_url().replace("amqp://", "amqp://guest:hush@");
    let refused = connect(&url, "refused test").await.map(|_: Arc<dyn Transport>| ());
    let Err(error @ TransportError::Refused(_)) = refused else { panic!("{refused:?}") };
    assert!(!error.to_string().contains("hush"), "{error}");
}
