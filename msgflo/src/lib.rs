//! MsgFlo: participants with ports on queues, their discovery, and the transports that carry them.
//!
//! Knows no image. A [`Transport`] is a broker as participants see it; the in-process one needs no
//! set-up.

pub mod transport;

pub use transport::{Consumer, Delivery, Outcome, QueueOptions, SendError, Transport, TransportError};
