//! MsgFlo: participants with ports on queues, their discovery, and the transports that carry them.
//!
//! Knows no image. A [`Transport`] is a broker as participants see it; [`InProcess`] needs no
//! set-up. A [`Participant`] declares its ports on one and announces itself.
//!
//! ```
//! # use std::sync::Arc;
//! # use imgflo_msgflo::{Definition, InProcess, Outcome, Participant, Port, Transport};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let broker = InProcess::new();
//! let sink = Definition::new("sink", "Repeat").inport(Port::new("in"));
//! let sink = Participant::start(sink, broker.clone()).await?;
//! let source = Definition::new("source", "Count").outport(Port::new("out"));
//! let source = Participant::start(source, broker.clone()).await?;
//! broker.bind("source.OUT", "sink.IN").await?;
//!
//! source.send("out", &[1, 2, 3]).await?;
//! let delivery = sink.consume("in").await?.next().await.expect("the broker is open");
//! assert_eq!(delivery.message, "[1,2,3]");
//! delivery.settle(Outcome::Done);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod amqp;
pub mod connect;
pub mod discovery;
pub mod in_process;
pub mod mqtt;
pub mod network;
pub mod participant;
mod reconnect;
pub mod transport;

pub use amqp::Amqp;
pub use connect::{connect, connect_with};
pub use discovery::{Definition, DiscoveryError, Port};
pub use in_process::{DeadLetter, InProcess, QueueStatus};
pub use mqtt::Mqtt;
pub use network::{Binding, Network, NetworkError};
pub use participant::Participant;
pub use transport::{
    Backlog, CONFIRM, Consumer, Death, Delivery, Inbox, Link, MAX_CRASHES, Outcome, QueueOptions, SendError, Transport,
    TransportError, dead_letters_of,
};
