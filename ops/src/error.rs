//! What can go wrong in an operation.

/// Why an operation could not be prepared or run.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OpError {
    /// The property values, or the boxes they lead to, make no picture.
    #[error("{0}")]
    Invalid(String),
    /// A required input pad is not connected.
    #[error("input '{0}' is not connected")]
    MissingInput(&'static str),
    /// The memory for a buffer could not be had.
    #[error("out of memory: {bytes} bytes for one buffer")]
    OutOfMemory {
        /// Size of the buffer, bytes.
        bytes: u64,
    },
    /// Code that is not ours, behind the operation, failed: what happened to it.
    #[error("{0}")]
    Failed(String),
    /// The work was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The work ran past its deadline.
    #[error("deadline exceeded")]
    DeadlineExceeded,
}
