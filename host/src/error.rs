//! What goes wrong around a child.

use serde::{Deserialize, Serialize};

/// What a child answers in place of a reply; it goes on living.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What was wrong, and what would be right.
    pub message: String,
    /// The part of the request that it is about: a process of the graph.
    pub node: Option<String>,
    /// True when the request was at fault, not the code behind it.
    pub invalid: bool,
}

impl Fault {
    /// The request makes no sense.
    pub fn invalid(message: impl Into<String>) -> Self {
        Fault { message: message.into(), node: None, invalid: true }
    }

    /// The code behind the request failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Fault { message: message.into(), node: None, invalid: false }
    }
}

/// Why a call brought no reply.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The child said so.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The child ended in the middle: "crashed (SIGSEGV)", "exited with status 3".
    #[error("{0}")]
    Ended(String),
    /// The child went over a limit and was ended.
    #[error("used more than {limit} ({setting})")]
    Limit {
        /// The limit with its unit.
        limit: String,
        /// The setting that moves it.
        setting: &'static str,
    },
    /// The child wrote what is no reply, and was ended.
    #[error("answered with something that is no reply: {0}")]
    Garbage(String),
    /// Told to stop; the child was ended, since nothing else stops foreign code.
    #[error("stopped")]
    Stopped,
    /// No child could be had.
    #[error("could not be started: {0}")]
    Start(String),
}
