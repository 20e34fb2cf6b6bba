//! A broker that cannot be reached.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use imgflo_msgflo::{Backlog, Consumer, InProcess, Link, QueueOptions, SendError, Transport, TransportError};
use tokio::sync::watch;

use super::setup::{Options, Setup, URGENT, copy, until, urgent};

/// The in-process broker, with a link for what is sent that fails when told to.
struct Switch {
    broker: Arc<InProcess>,
    link: watch::Sender<Link>,
}

impl Switch {
    fn new(setup: &Setup, link: Link) -> Arc<Self> {
        Arc::new(Switch { broker: setup.broker.clone(), link: watch::Sender::new(link) })
    }

    fn pass(&self) -> Result<(), SendError> {
        match *self.link.borrow() {
            Link::Up => Ok(()),
            Link::Blocked => Err(SendError::Blocked),
            Link::Down => Err(SendError::Unreachable("connection refused".into())),
        }
    }
}

#[async_trait]
impl Transport for Switch {
    async fn declare_inport(&self, queue: &str, options: QueueOptions) -> Result<(), TransportError> {
        self.broker.declare_inport(queue, options).await
    }

    async fn backlog(&self, queue: &str) -> Result<Backlog, TransportError> {
        self.broker.backlog(queue).await
    }

    async fn declare_outport(&self, outport: &str) -> Result<(), TransportError> {
        self.broker.declare_outport(outport).await
    }

    async fn bind(&self, outport: &str, queue: &str) -> Result<(), TransportError> {
        self.broker.bind(outport, queue).await
    }

    async fn unbind(&self, outport: &str, queue: &str) -> Result<(), TransportError> {
        self.broker.unbind(outport, queue).await
    }

    async fn send(&self, outport: &str, message: Bytes) -> Result<(), SendError> {
        self.pass()?;
        self.broker.send(outport, message).await
    }

    async fn send_to_queue(&self, queue: &str, message: Bytes) -> Result<(), SendError> {
        self.pass()?;
        self.broker.send_to_queue(queue, message).await
    }

    async fn consume(&self, queue: &str) -> Result<Consumer, TransportError> {
        self.broker.consume(queue).await
    }

    async fn bind_round_robin(
        &self,
        outport: &str,
        queue: &str,
        dead_letters: Option<&str>,
    ) -> Result<(), TransportError> {
        self.broker.bind_round_robin(outport, queue, dead_letters).await
    }

    async fn announce(&self, message: Bytes, lifetime: Duration) -> Result<(), SendError> {
        self.pass()?;
        self.broker.announce(message, lifetime).await
    }

    async fn discover(&self) -> Result<Consumer, TransportError> {
        self.broker.discover().await
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.link.subscribe()
    }

    async fn close(&self) {
        self.broker.close().await;
    }
}

async fn the_slot_goes_on(link: Link) {
    let setup = Setup::new().await;
    let switch = Switch::new(&setup, link);
    let _worker = setup.worker(Options { slots: 1, transport: Some(switch.clone()), ..Options::default() });
    setup.send(&urgent(copy("a.png"))).await;
    setup.until(URGENT, |queue| queue.waiting == 0 && queue.unsettled == 1).await;
    setup.until(URGENT, |queue| queue.unsettled == 0).await;
    assert!(setup.stored("a.png").await.is_some());
    assert_eq!(setup.queue("results").waiting, 0);
    switch.link.send_replace(Link::Up);
    assert_eq!(setup.run(&urgent(copy("b.png"))).await.error, None);
}

#[tokio::test]
async fn a_result_that_an_absent_broker_is_not_told_does_not_keep_its_slot() {
    the_slot_goes_on(Link::Down).await;
}

#[tokio::test]
async fn a_result_that_a_blocked_broker_is_not_told_does_not_keep_its_slot() {
    the_slot_goes_on(Link::Blocked).await;
}

#[tokio::test]
async fn a_result_is_told_when_the_broker_comes_back_soon() {
    let setup = Setup::new().await;
    let switch = Switch::new(&setup, Link::Down);
    let _worker = setup.worker(Options { transport: Some(switch.clone()), ..Options::default() });
    let job = urgent(copy("6f95.png"));
    setup.send(&job).await;
    until(|| setup.queue(URGENT).unsettled == 1).await;
    while setup.stored("6f95.png").await.is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    switch.link.send_replace(Link::Up);
    let result = setup.result().await;
    assert_eq!((result.job.id, result.error), (job.id, None));
}

#[tokio::test]
async fn a_worker_waits_for_a_broker_that_is_away() {
    let setup = Setup::new().await;
    // A port of nobody: it was ours a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let transport = imgflo_msgflo::connect(&format!("amqp://127.0.0.1:{port}"), "test").await.unwrap();
    let worker = setup.worker(Options { transport: Some(transport.clone()), ..Options::default() });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!worker.task.is_finished());
    worker.shutdown.cancel();
    worker.ended().await.unwrap();
    transport.close().await;
}
