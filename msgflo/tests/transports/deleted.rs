//! What somebody deletes on RabbitMQ while we are connected.

use std::time::Duration;

use imgflo_msgflo::{Outcome, QueueOptions, SendError, Transport, connect};
use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::types::FieldTable;

use crate::line::{name, within};

/// A connection of somebody else, who may delete.
async fn operator() -> lapin::Channel {
    let runtime = lapin::runtime::default_runtime().unwrap();
    let url = crate::amqp_url();
    let connection = lapin::Connection::connect_with_runtime(&url, Default::default(), runtime);
    connection.await.unwrap().create_channel().await.unwrap()
}

/// Jobs of `out` go round robin to `queue`, and what is rejected to `grave`.
struct Set {
    transport: std::sync::Arc<dyn Transport>,
    operator: lapin::Channel,
    out: String,
    queue: String,
    grave: String,
}

impl Set {
    async fn up() -> Set {
        let transport = connect(&crate::amqp_url(), "deleted test").await.unwrap();
        let (out, queue, grave) = (name("out"), name("in"), name("grave"));
        transport.declare_outport(&out).await.unwrap();
        for queue in [&queue, &grave] {
            transport.declare_inport(queue, QueueOptions::default()).await.unwrap();
        }
        transport.bind_round_robin(&out, &queue, Some(&grave)).await.unwrap();
        Set { transport, operator: operator().await, out, queue, grave }
    }

    async fn delete_exchange(&self, exchange: &str) {
        self.operator.exchange_delete(exchange.into(), ExchangeDeleteOptions::default()).await.unwrap();
    }

    async fn delete_queue(&self, queue: &str) {
        self.operator.queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap();
    }

    /// Sends a message, which is taken.
    async fn works(&self, after: &str) {
        self.transport
            .send(&self.out, after.to_owned().into())
            .await
            .unwrap_or_else(|error| panic!("{after}: {error}"));
        let delivery = within(self.transport.consume(&self.queue).await.unwrap().next()).await.unwrap();
        assert_eq!(delivery.message, after);
        delivery.settle(Outcome::Done);
        assert_eq!(self.transport.faults(), [""; 0], "{after}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_message_after_a_deletion_arrives() {
    let set = Set::up().await;
    set.works("before").await;
    set.delete_exchange(&set.out).await;
    set.works("the exchange of the outport").await;
    set.delete_exchange(&format!("out-{}", set.out)).await;
    set.works("the exchange of the round robin").await;
    let shared = format!("out-{}", set.out);
    let (queue, exchange) = (set.queue.as_str().into(), shared.as_str().into());
    set.operator.queue_unbind(queue, exchange, "".into(), FieldTable::default()).await.unwrap();
    set.works("the binding").await;
    assert_eq!(*set.transport.losses().borrow(), 0);
    set.delete_queue(&set.queue).await;
    set.works("the queue").await;
    assert_eq!(*set.transport.losses().borrow(), 1);
    // By its name, too.
    set.delete_queue(&set.queue).await;
    set.transport.send_to_queue(&set.queue, "direct".into()).await.unwrap();
    assert_eq!(set.transport.backlog(&set.queue).await.unwrap().waiting, 1);
    set.transport.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_send_at_once_all_arrive() {
    let set = Set::up().await;
    for round in 0..5 {
        set.delete_exchange(&set.out).await;
        let sent = (0..50).map(|n| set.transport.send(&set.out, n.to_string().into()));
        for sent in futures::future::join_all(sent).await {
            sent.unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
        // At least once: one whose confirmation was lost with the channel is sent again.
        let waiting = set.transport.backlog(&set.queue).await.unwrap().waiting;
        assert!(waiting >= 50 * (round + 1), "round {round}: {waiting}");
    }
    set.transport.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_the_broker_cancels_goes_on() {
    let set = Set::up().await;
    let jobs = set.transport.consume(&set.queue).await.unwrap();
    let waiting = tokio::spawn({
        let jobs = jobs.clone();
        async move { within(jobs.next()).await.unwrap() }
    });
    within(async {
        while set.transport.backlog(&set.queue).await.unwrap().consumers == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    set.delete_queue(&set.queue).await;
    // Nobody sends with this transport: the consumer alone has the queue made again.
    let mut losses = set.transport.losses();
    within(losses.wait_for(|losses| *losses == 1)).await.unwrap();
    let other = connect(&crate::amqp_url(), "other").await.unwrap();
    other.send(&set.out, "job".into()).await.unwrap();
    let delivery = waiting.await.unwrap();
    assert_eq!(delivery.message, "job");
    delivery.settle(Outcome::Done);
    other.close().await;
    set.transport.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_go_to_their_queue_though_it_was_deleted() {
    let set = Set::up().await;
    let jobs = set.transport.consume(&set.queue).await.unwrap();
    let dead = format!("dead-{}", set.queue);
    // Somebody who only listens.
    let listener = name("listener");
    let temporary = QueueOptions { temporary: true, limit: None };
    set.transport.declare_inport(&listener, temporary).await.unwrap();
    set.transport.bind(&dead, &listener).await.unwrap();
    let heard = set.transport.consume(&listener).await.unwrap();
    for (n, deleted) in ["queue", "exchange", "binding"].into_iter().enumerate() {
        match deleted {
            "queue" => set.delete_queue(&set.grave).await,
            "exchange" => set.delete_exchange(&dead).await,
            _ => {
                let (queue, exchange) = (set.grave.as_str().into(), dead.as_str().into());
                set.operator.queue_unbind(queue, exchange, "".into(), FieldTable::default()).await.unwrap();
            }
        }
        set.transport.send(&set.out, deleted.into()).await.unwrap();
        within(jobs.next()).await.unwrap().settle(Outcome::Rejected("no way".into()));
        within(async {
            while set.transport.backlog(&set.grave).await.map_or(0, |backlog| backlog.waiting) != n + 1 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        let delivery = within(heard.next()).await.unwrap();
        assert_eq!(delivery.message, deleted);
        delivery.settle(Outcome::Done);
    }
    set.transport.close().await;
}

/// A queue that only listens gives no sign when its binding is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_was_unbound_hears_again() {
    let set = Set::up().await;
    let listener = name("listener");
    set.transport.declare_inport(&listener, QueueOptions { temporary: true, limit: None }).await.unwrap();
    set.transport.bind(&set.out, &listener).await.unwrap();
    let heard = set.transport.consume(&listener).await.unwrap();
    let (queue, exchange) = (listener.as_str().into(), set.out.as_str().into());
    set.operator.queue_unbind(queue, exchange, "".into(), FieldTable::default()).await.unwrap();
    let sending = async {
        loop {
            set.transport.send(&set.out, "news".into()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::select! {
        delivery = within(heard.next()) => delivery.unwrap().settle(Outcome::Done),
        () = sending => {}
    }
    set.transport.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unbound_by_us_and_what_nobody_bound_stays_so() {
    let set = Set::up().await;
    let (free, lonely) = (name("free"), name("lonely"));
    set.transport.declare_inport(&free, QueueOptions::default()).await.unwrap();
    set.transport.declare_outport(&lonely).await.unwrap();
    set.transport.bind(&lonely, &free).await.unwrap();
    set.transport.unbind(&lonely, &free).await.unwrap();
    for _ in 0..3 {
        let refused = set.transport.send(&lonely, "job".into()).await;
        assert_eq!(refused, Err(SendError::Unroutable(lonely.clone())));
        set.delete_exchange(&lonely).await;
    }
    assert_eq!(set.transport.faults(), [""; 0]);
    set.transport.close().await;
}
