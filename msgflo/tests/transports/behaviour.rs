//! What every transport must do. Each behaviour gets a broker that others may use at the same time:
//! it names its queues and outports through [`Broker::name`].

use std::collections::HashMap;
use std::future::{Future, ready};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use imgflo_msgflo::{Consumer, Delivery, Outcome, QueueOptions, SendError, Transport, TransportError};
use tokio::task::JoinSet;

/// Behaviours, as tests of a transport.
macro_rules! tests {
    ($transport:ident, $broker:expr, [$($behaviour:ident),+ $(,)?]) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $behaviour() {
                super::within(super::$behaviour(super::Broker::of($broker, stringify!($transport)))).await;
            }
        )+
    };
}

/// The behaviours that all transports have, and those that this one has besides.
macro_rules! behaviours {
    ($transport:ident, $broker:expr, $more:tt) => {
        mod $transport {
            tests!(
                $transport,
                $broker,
                [
                    messages_come_in_order,
                    messages_come_in_order_to_who_pauses,
                    every_bound_queue_gets_each_message,
                    consumers_share_a_queue,
                    a_dropped_delivery_comes_back_first,
                    a_delivery_outlives_its_task,
                    a_returned_message_comes_back_as_often_as_it_takes,
                    rejected_messages_go_to_the_dead_letters,
                    what_no_queue_takes_is_refused,
                    an_unknown_queue_cannot_be_consumed,
                    declaring_again_keeps_messages,
                    a_temporary_queue_goes_with_its_consumers,
                    closing_wakes_consumers,
                    a_chosen_consumer_that_leaves_passes_the_message_on,
                    ten_thousand_messages_eight_consumers,
                    next_can_be_cancelled_at_any_time,
                ]
            );
            behaviours!(@more $transport, $broker, $more);
        }
    };
    (@more $transport:ident, $broker:expr, []) => {};
    (@more $transport:ident, $broker:expr, $more:tt) => {
        tests!($transport, $broker, $more);
    };
}

behaviours!(
    in_process,
    imgflo_msgflo::InProcess::new(),
    [
        a_full_queue_refuses_for_all,
        unknown_names_cannot_be_bound,
        messages_wait_in_a_queue_for_its_consumer,
        urgent_goes_first_and_nothing_is_held_back,
    ]
);

// Urgent before background is kept by who consumes both: messages are on their way for a while.
behaviours!(
    amqp,
    super::amqp_broker().await,
    [a_full_queue_refuses_for_all, unknown_names_cannot_be_bound, messages_wait_in_a_queue_for_its_consumer]
);

// A queue of MQTT is there while it is consumed: see what `imgflo_msgflo::mqtt` cannot promise.
behaviours!(mqtt, super::mqtt_broker().await, []);

async fn mqtt_broker() -> Arc<dyn Transport> {
    imgflo_msgflo::connect(&crate::mqtt_url(), "behaviour").await.unwrap()
}

async fn amqp_broker() -> Arc<dyn Transport> {
    imgflo_msgflo::connect(&crate::amqp_url(), "behaviour").await.unwrap()
}

/// A hang is a failure.
async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("it hangs")
}

struct Broker {
    transport: Arc<dyn Transport>,
    prefix: String,
    /// Messages while consumers come and go all the time: each costs a broker elsewhere several
    /// round trips.
    cancels: usize,
}

impl Broker {
    fn of(transport: Arc<dyn Transport>, kind: &str) -> Self {
        let cancels = if kind == "in_process" { 10_000 } else { 200 };
        Broker { transport, prefix: uuid::Uuid::new_v4().to_string(), cancels }
    }

    fn name(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    async fn queue(&self, name: &str) -> String {
        self.queue_with(name, QueueOptions::default()).await
    }

    async fn queue_with(&self, name: &str, options: QueueOptions) -> String {
        let name = self.name(name);
        self.transport.declare_inport(&name, options).await.unwrap();
        name
    }

    /// An outport bound to these queues.
    async fn outport(&self, name: &str, queues: &[&String]) -> String {
        let name = self.name(name);
        self.transport.declare_outport(&name).await.unwrap();
        for queue in queues {
            self.transport.bind(&name, queue).await.unwrap();
        }
        name
    }

    async fn send(&self, outport: &str, message: impl ToString) {
        self.try_send(outport, message).await.unwrap();
    }

    async fn try_send(&self, outport: &str, message: impl ToString) -> Result<(), SendError> {
        self.transport.send(outport, message.to_string().into()).await
    }

    async fn consume(&self, queue: &str) -> Consumer {
        self.transport.consume(queue).await.unwrap()
    }
}

fn number(delivery: &Delivery) -> usize {
    std::str::from_utf8(&delivery.message).unwrap().parse().unwrap()
}

/// The next message, done.
async fn take(consumer: &Consumer) -> Bytes {
    let delivery = consumer.next().await.unwrap();
    let message = delivery.message.clone();
    delivery.settle(Outcome::Done);
    message
}

/// The next message, done; with a hint if none is there now.
async fn take_waiting(consumer: &Consumer) -> Bytes {
    tokio::time::timeout(Duration::from_secs(10), take(consumer)).await.expect("no message waits")
}

async fn messages_come_in_order(broker: Broker) {
    let queue = broker.queue("in").await;
    let out = broker.outport("out", &[&queue]).await;
    let consumer = broker.consume(&queue).await;
    for n in 0..100 {
        broker.send(&out, n).await;
    }
    for n in 0..100 {
        let delivery = consumer.next().await.unwrap();
        assert_eq!((number(&delivery), delivery.redelivered), (n, false));
        delivery.settle(Outcome::Done);
    }
}

/// Subscriptions come and go while messages arrive: each pause is about as long as one outlives its caller.
async fn messages_come_in_order_to_who_pauses(broker: Broker) {
    let queue = broker.queue("in").await;
    let out = broker.outport("out", &[&queue]).await;
    let consumer = broker.consume(&queue).await;
    let sending = async {
        for n in 0..500 {
            broker.send(&out, n).await;
        }
    };
    let taking = async {
        for n in 0..500 {
            let delivery = consumer.next().await.unwrap();
            assert_eq!((number(&delivery), delivery.redelivered), (n, false));
            delivery.settle(Outcome::Done);
            tokio::time::sleep(Duration::from_micros(n as u64 * 37 % 4000)).await;
        }
    };
    tokio::join!(sending, taking);
}

async fn every_bound_queue_gets_each_message(broker: Broker) {
    let (one, other) = (broker.queue("one").await, broker.queue("other").await);
    let out = broker.outport("out", &[&one, &other]).await;
    // Bound twice is bound once.
    broker.transport.bind(&out, &one).await.unwrap();
    let (at_one, at_other) = (broker.consume(&one).await, broker.consume(&other).await);
    broker.send(&out, "a").await;
    assert_eq!([take(&at_one).await, take(&at_other).await], ["a", "a"]);
    broker.transport.unbind(&out, &other).await.unwrap();
    broker.transport.unbind(&out, &other).await.unwrap();
    broker.send(&out, "b").await;
    assert_eq!(take(&at_one).await, "b");
    broker.transport.send_to_queue(&one, "end".into()).await.unwrap();
    broker.transport.send_to_queue(&other, "end".into()).await.unwrap();
    assert_eq!([take(&at_one).await, take(&at_other).await], ["end", "end"]);
}

async fn consumers_share_a_queue(broker: Broker) {
    let queue = broker.queue("in").await;
    let out = broker.outport("out", &[&queue]).await;
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let consumer = broker.consume(&queue).await;
        tasks.spawn(async move { (consumer.next().await.unwrap(), consumer) });
    }
    for n in 0..4 {
        broker.send(&out, n).await;
    }
    // None is settled before each has one.
    let mut deliveries: Vec<_> = tasks.join_all().await;
    deliveries.sort_by_key(|(delivery, _)| number(delivery));
    assert_eq!(deliveries.iter().map(|(delivery, _)| number(delivery)).collect::<Vec<_>>(), [0, 1, 2, 3]);
}

async fn a_dropped_delivery_comes_back_first(broker: Broker) {
    let queue = broker.queue("in").await;
    let out = broker.outport("out", &[&queue]).await;
    let consumer = broker.consume(&queue).await;
    for n in 0..4 {
        broker.send(&out, n).await;
    }
    let (zero, one) = (consumer.next().await.unwrap(), consumer.next().await.unwrap());
    // In whatever order they come back, they are the oldest.
    drop(zero);
    drop(one);
    for (n, redelivered) in [(0, true), (1, true), (2, false), (3, false)] {
        let delivery = consumer.next().await.unwrap();
        assert_eq!((number(&delivery), delivery.redelivered), (n, redelivered));
        delivery.settle(Outcome::Done);
    }
}

async fn a_delivery_outlives_its_task(broker: Broker) {
    let queue = broker.queue("in").await;
    let out = broker.outport("out", &[&queue]).await;
    let (mine, other) = (broker.consume(&queue).await, broker.consume(&queue).await);
    broker.send(&out, "job").await;
    let died = tokio::spawn(async move {
        let _delivery = mine.next().await;
        // Not a panic, whose text would stand in the output of a test that passes.
        std::panic::resume_unwind(Box::new("died"));
    });
    assert!(died.await.unwrap_err().is_panic());
    let delivery = other.next().await.unwrap();
    assert_eq!((&delivery.message[..], delivery.redelivered), (&b"job"[..], true));
    delivery.settle(Outcome::Done);
}

async fn a_returned_message_comes_back_as_often_as_it_takes(broker: Broker) {
    let queue = broker.queue("in").await;
    let out = broker.outport("out", &[&queue]).await;
    let consumer = broker.consume(&queue).await;
    broker.send(&out, "job").await;
    for n in 0..50 {
        let delivery = consumer.next().await.unwrap();
        assert_eq!(delivery.redelivered, n > 0);
        delivery.settle(Outcome::Returned);
    }
    assert_eq!(take(&consumer).await, "job");
}

async fn rejected_messages_go_to_the_dead_letters(broker: Broker) {
    let (queue, grave) = (broker.queue("in").await, broker.queue("grave").await);
    let out = broker.outport("out", &[&queue]).await;
    broker.transport.bind(&format!("dead-{queue}"), &grave).await.unwrap();
    let (consumer, grave) = (broker.consume(&queue).await, broker.consume(&grave).await);
    broker.send(&out, "bad").await;
    broker.send(&out, "good").await;
    consumer.next().await.unwrap().settle(Outcome::Rejected("it is bad".into()));
    // It does not come again.
    assert_eq!(take(&consumer).await, "good");
    assert_eq!(take(&grave).await, "bad");
}

async fn a_full_queue_refuses_for_all(broker: Broker) {
    let small = broker.queue_with("small", QueueOptions { limit: Some(2), temporary: false }).await;
    let large = broker.queue("large").await;
    // Whichever is asked first.
    let out = broker.outport("out", &[&large, &small]).await;
    let back = broker.outport("back", &[&small, &large]).await;
    broker.send(&out, 0).await;
    broker.send(&out, 1).await;
    let full = SendError::Full { queue: small.clone(), limit: 2 };
    assert_eq!(broker.try_send(&out, 2).await, Err(full.clone()));
    assert_eq!(broker.try_send(&back, 2).await, Err(full.clone()));
    assert_eq!(broker.transport.send_to_queue(&small, "2".into()).await, Err(full.clone()));
    // A delivered message waits no more, though it is not settled yet; it may always come back.
    let consumer = broker.consume(&small).await;
    let zero = consumer.next().await.unwrap();
    broker.send(&out, 3).await;
    zero.settle(Outcome::Returned);
    assert_eq!(broker.try_send(&out, 4).await, Err(full));
    assert_eq!([take(&consumer).await, take(&consumer).await, take(&consumer).await], ["0", "1", "3"]);
    broker.send(&out, 5).await;
    assert_eq!(take(&consumer).await, "5");
    let large = broker.consume(&large).await;
    for expected in ["0", "1", "3", "5"] {
        assert_eq!(take_waiting(&large).await, expected);
    }
}

async fn what_no_queue_takes_is_refused(broker: Broker) {
    let queue = broker.queue("in").await;
    let out = broker.outport("out", &[]).await;
    assert_eq!(broker.try_send(&out, 1).await, Err(SendError::Unroutable(out.clone())));
    broker.transport.bind(&out, &queue).await.unwrap();
    broker.send(&out, 2).await;
    broker.transport.unbind(&out, &queue).await.unwrap();
    assert_eq!(broker.try_send(&out, 3).await, Err(SendError::Unroutable(out)));
    let none = broker.name("none");
    assert_eq!(broker.try_send(&none, 4).await, Err(SendError::Unroutable(none.clone())));
    assert_eq!(broker.transport.send_to_queue(&none, "5".into()).await, Err(SendError::Unroutable(none)));
    assert_eq!(take(&broker.consume(&queue).await).await, "2");
}

async fn an_unknown_queue_cannot_be_consumed(broker: Broker) {
    let none = broker.name("none");
    assert_eq!(broker.transport.consume(&none).await.unwrap_err(), TransportError::Unknown(none));
}

async fn unknown_names_cannot_be_bound(broker: Broker) {
    let queue = broker.queue("in").await;
    let out = broker.outport("out", &[]).await;
    let none = broker.name("none");
    let unknown = || TransportError::Unknown(none.clone());
    assert_eq!(broker.transport.bind(&out, &none).await, Err(unknown()));
    assert_eq!(broker.transport.bind(&none, &queue).await, Err(unknown()));
    assert_eq!(broker.transport.unbind(&out, &none).await, Err(unknown()));
}

async fn messages_wait_in_a_queue_for_its_consumer(broker: Broker) {
    let queue = broker.queue("in").await;
    for n in 0..3 {
        broker.transport.send_to_queue(&queue, n.to_string().into()).await.unwrap();
    }
    let consumer = broker.consume(&queue).await;
    assert_eq!([take(&consumer).await, take(&consumer).await, take(&consumer).await], ["0", "1", "2"]);
}

async fn declaring_again_keeps_messages(broker: Broker) {
    let queue = broker.queue("in").await;
    let out = broker.outport("out", &[&queue]).await;
    broker.send(&out, 1).await;
    broker.queue("in").await;
    broker.outport("out", &[]).await;
    broker.send(&out, 2).await;
    let consumer = broker.consume(&queue).await;
    // Over MQTT, one that was offered before there was a consumer may come after one that was not.
    let mut kept = [take(&consumer).await, take(&consumer).await];
    kept.sort();
    assert_eq!(kept, ["1", "2"]);
}

async fn a_temporary_queue_goes_with_its_consumers(broker: Broker) {
    let options = QueueOptions { limit: None, temporary: true };
    let queue = broker.queue_with("mine", options.clone()).await;
    let out = broker.outport("out", &[&queue]).await;
    // Not before it has had one.
    broker.send(&out, 1).await;
    let (first, second) = (broker.consume(&queue).await, broker.consume(&queue).await);
    let clone = first.clone();
    drop(first);
    drop(second);
    broker.send(&out, 2).await;
    assert_eq!([take(&clone).await, take(&clone).await], ["1", "2"]);
    let late = {
        broker.send(&out, 3).await;
        clone.next().await.unwrap()
    };
    drop(clone);
    // A broker elsewhere may need a moment.
    while broker.try_send(&out, 4).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(broker.try_send(&out, 4).await, Err(SendError::Unroutable(out.clone())));
    assert!(broker.transport.consume(&queue).await.is_err());
    // Nobody minds what becomes of its last message.
    drop(late);
    // A new one of the name starts empty.
    broker.queue_with("mine", options).await;
    broker.transport.bind(&out, &queue).await.unwrap();
    broker.send(&out, 5).await;
    assert_eq!(take(&broker.consume(&queue).await).await, "5");
}

async fn closing_wakes_consumers(broker: Broker) {
    let queue = broker.queue("in").await;
    let out = broker.outport("out", &[&queue]).await;
    let consumer = broker.consume(&queue).await;
    broker.send(&out, 1).await;
    let held = consumer.next().await.unwrap();
    let mut waiting = JoinSet::new();
    for _ in 0..3 {
        let (same, another) = (consumer.clone(), broker.consume(&queue).await);
        waiting.spawn(async move { same.next().await.is_none() });
        waiting.spawn(async move { another.next().await.is_none() });
    }
    tokio::task::yield_now().await;
    broker.transport.close().await;
    assert_eq!(waiting.join_all().await, [true; 6]);
    assert!(consumer.next().await.is_none());
    held.settle(Outcome::Done);
    assert_eq!(broker.try_send(&out, 2).await, Err(SendError::Closed));
    assert_eq!(broker.transport.send_to_queue(&queue, "2".into()).await, Err(SendError::Closed));
    assert_eq!(broker.transport.consume(&queue).await.unwrap_err(), TransportError::Closed);
    assert_eq!(broker.transport.bind(&out, &queue).await, Err(TransportError::Closed));
    assert_eq!(broker.transport.declare_inport(&queue, QueueOptions::default()).await, Err(TransportError::Closed));
    assert_eq!(broker.transport.declare_outport(&out).await, Err(TransportError::Closed));
}

async fn a_chosen_consumer_that_leaves_passes_the_message_on(broker: Broker) {
    let queue = broker.queue("in").await;
    let out = broker.outport("out", &[&queue]).await;
    let (first, second) = (broker.consume(&queue).await, broker.consume(&queue).await);
    let mut chosen = Box::pin(first.next());
    tokio::select! {
        biased;
        _ = &mut chosen => panic!("nothing was sent yet"),
        () = ready(()) => {}
    }
    let waiting = tokio::spawn(async move { take(&second).await });
    broker.send(&out, "job").await;
    drop(chosen);
    assert_eq!(waiting.await.unwrap(), "job");
}

async fn urgent_goes_first_and_nothing_is_held_back(broker: Broker) {
    let (urgent, background) = (broker.queue("urgent").await, broker.queue("background").await);
    let urgent_out = broker.outport("urgent-out", &[&urgent]).await;
    let background_out = broker.outport("background-out", &[&background]).await;
    let (urgent, mine) = (broker.consume(&urgent).await, broker.consume(&background).await);
    let other = broker.consume(&background).await;
    for n in 0..100 {
        broker.send(&background_out, n).await;
        broker.send(&urgent_out, n).await;
    }
    for n in 0..100 {
        tokio::select! {
            biased;
            delivery = urgent.next() => {
                let delivery = delivery.unwrap();
                assert_eq!(number(&delivery), n);
                delivery.settle(Outcome::Done);
            }
            _ = mine.next() => panic!("a background job went before urgent job {n}"),
        }
    }
    // While one consumer waits for both and then takes an urgent one, it holds no background one.
    for n in 0..100 {
        let delivery = other.next().await.unwrap();
        assert_eq!((number(&delivery), delivery.redelivered), (n, false));
        delivery.settle(Outcome::Done);
        let mut both = Box::pin(async {
            tokio::select! {
                biased;
                delivery = urgent.next() => delivery.unwrap(),
                delivery = mine.next() => delivery.unwrap(),
            }
        });
        if n == 99 {
            tokio::select! {
                biased;
                _ = &mut both => panic!("nothing waits"),
                () = ready(()) => {}
            }
            broker.send(&background_out, "later").await;
            broker.send(&urgent_out, "now").await;
            let delivery = both.await;
            assert_eq!(delivery.message, "now");
            delivery.settle(Outcome::Done);
        }
    }
    let delivery = other.next().await.unwrap();
    assert_eq!((&delivery.message[..], delivery.redelivered), (&b"later"[..], false));
    delivery.settle(Outcome::Done);
}

/// Which numbers were done, how often.
#[derive(Clone, Default)]
struct Done {
    times: Arc<Mutex<HashMap<usize, usize>>>,
    count: Arc<AtomicUsize>,
}

impl Done {
    fn add(&self, number: usize) {
        *self.times.lock().unwrap().entry(number).or_default() += 1;
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Each of `0..messages` exactly once.
    fn check(&self, messages: usize) {
        let times = self.times.lock().unwrap();
        assert_eq!(times.len(), messages);
        assert_eq!(times.iter().filter(|(number, times)| **number >= messages || **times != 1).count(), 0);
    }
}

/// Sends `0..messages` from four tasks.
fn send_all(broker: &Broker, out: &str, messages: usize) -> JoinSet<()> {
    let mut senders = JoinSet::new();
    for part in 0..4 {
        let (transport, out) = (broker.transport.clone(), out.to_owned());
        senders.spawn(async move {
            for n in (part..messages).step_by(4) {
                transport.send(&out, n.to_string().into()).await.unwrap();
                if n % 16 == part {
                    tokio::task::yield_now().await;
                }
            }
        });
    }
    senders
}

async fn ten_thousand_messages_eight_consumers(broker: Broker) {
    const MESSAGES: usize = 10_000;
    let queue = broker.queue("in").await;
    let out = broker.outport("out", &[&queue]).await;
    let done = Done::default();
    let mut consumers = JoinSet::new();
    for _ in 0..8 {
        let (consumer, done) = (broker.consume(&queue).await, done.clone());
        consumers.spawn(async move {
            let mut taken = 0;
            while let Some(delivery) = consumer.next().await {
                taken += 1;
                let n = number(&delivery);
                match n % 10 {
                    3 if !delivery.redelivered => drop(delivery),
                    7 if !delivery.redelivered => delivery.settle(Outcome::Returned),
                    _ => {
                        done.add(n);
                        delivery.settle(Outcome::Done);
                    }
                }
            }
            taken
        });
    }
    send_all(&broker, &out, MESSAGES).join_all().await;
    while done.count() < MESSAGES {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    broker.transport.close().await;
    // A fifth of them came twice.
    assert_eq!(consumers.join_all().await.into_iter().sum::<usize>(), MESSAGES + MESSAGES / 5);
    done.check(MESSAGES);
}

async fn next_can_be_cancelled_at_any_time(broker: Broker) {
    let messages = broker.cancels;
    let (urgent, background) = (broker.queue("urgent").await, broker.queue("background").await);
    let out = broker.outport("out", &[&urgent]).await;
    let slow = broker.outport("slow", &[&background]).await;
    let (done, slow_done) = (Done::default(), Done::default());
    let finished = {
        let (done, slow_done) = (done.clone(), slow_done.clone());
        move || done.count() + slow_done.count() >= 2 * messages
    };
    let mut consumers = JoinSet::new();
    for task in 0..8_u32 {
        let (urgent, background) = (broker.consume(&urgent).await, broker.consume(&background).await);
        let (done, slow_done, finished) = (done.clone(), slow_done.clone(), finished.clone());
        consumers.spawn(async move {
            let mut cancelled = 0_usize;
            let mut round = task;
            while !finished() {
                round = round.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let (done, delivery) = tokio::select! {
                    biased;
                    delivery = urgent.next() => (&done, delivery),
                    delivery = background.next() => (&slow_done, delivery),
                    // Sometimes at once, sometimes after having been woken a few times.
                    () = give_up(round >> 30) => {
                        cancelled += 1;
                        continue;
                    }
                };
                let delivery = delivery.unwrap();
                assert!(!delivery.redelivered);
                done.add(number(&delivery));
                delivery.settle(Outcome::Done);
                if round >> 28 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            cancelled
        });
    }
    let senders = (send_all(&broker, &out, messages), send_all(&broker, &slow, messages));
    senders.0.join_all().await;
    senders.1.join_all().await;
    let cancelled: usize = consumers.join_all().await.into_iter().sum();
    assert!(cancelled > 0);
    done.check(messages);
    slow_done.check(messages);
}

async fn give_up(yields: u32) {
    for _ in 0..yields {
        tokio::task::yield_now().await;
    }
}
