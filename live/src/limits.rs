//! What strangers may take of the runtime.

use std::time::Duration;

use imgflo_fbp::EditLimits;

/// Limits of the live runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveLimits {
    /// Largest message, bytes. Default 2 MiB: sources of operations are messages.
    pub message_bytes: usize,
    /// Messages a second that one client may send for long; it is slowed down to that. Default 1,000.
    pub messages_per_second: u32,
    /// Most clients at a time. Default 200.
    pub clients: usize,
    /// Most connections at a time, requests for pictures included. Default 1,024.
    pub connections: usize,
    /// Most bytes of messages that wait for a client; one that does not take them is disconnected. Default 16 MiB.
    pub waiting_bytes: usize,
    /// Most graphs. Default 200. A stopped one that nobody edited for longest makes room.
    pub graphs: usize,
    /// How large a graph may become.
    pub edits: EditLimits,
    /// Largest graph as JSON, with what packets set, bytes. Default 16 MiB.
    pub graph_bytes: usize,
    /// Most bytes of packets that one packet, or the start of a network, may make. Default 64 MiB.
    pub packet_bytes: usize,
    /// Largest file that goes into a graph, bytes. Default 50 MiB.
    pub input_bytes: usize,
    /// Most steps that one packet may take through a network, so that a circle ends. Default 10,000.
    pub hops: usize,
    /// Largest side of a picture that is looked at, pixels. Default 4,096.
    pub side: u32,
    /// Largest source of an operation in C, bytes. Default 256 KiB.
    pub source_bytes: usize,
    /// Time within which a client must be heard of; it is asked at a third of that. Default 60 s.
    pub silence: Duration,
    /// Time that a picture may take. Default 60 s.
    pub picture: Duration,
}

impl Default for LiveLimits {
    fn default() -> Self {
        LiveLimits {
            message_bytes: 2 << 20,
            messages_per_second: 1000,
            clients: 200,
            connections: 1024,
            waiting_bytes: 16 << 20,
            graphs: 200,
            edits: EditLimits::default(),
            graph_bytes: 16 << 20,
            packet_bytes: 64 << 20,
            input_bytes: 50 << 20,
            hops: 10_000,
            side: 4096,
            source_bytes: 256 << 10,
            silence: Duration::from_secs(60),
            picture: Duration::from_secs(60),
        }
    }
}
