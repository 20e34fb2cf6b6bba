//! A broker that can be made to fail.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use imgflo_msgflo::{Backlog, Consumer, InProcess, Link, QueueOptions, SendError, Transport, TransportError};
use tokio::sync::watch;

/// The in-process broker, with a link that fails when told to. Deliveries go on, as they do where a
/// broker is only blocked.
pub struct Switch {
    pub broker: Arc<InProcess>,
    link: watch::Sender<Link>,
}

impl Switch {
    pub fn new(link: Link) -> Arc<Self> {
        Arc::new(Switch { broker: InProcess::new(), link: watch::Sender::new(link) })
    }

    pub fn turn(&self, link: Link) {
        self.link.send_replace(link);
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
