//! What evaluates plans.

use std::fmt;
use std::sync::Arc;

use imgflo_fbp::info::Component;
use imgflo_ops::{Cancel, Image, OpError};

use crate::Plan;

/// Evaluates plans.
pub trait Engine: Send + Sync {
    /// The components it can run.
    fn describe(&self) -> Vec<Component>;

    /// Renders a plan. `input` is of the shape that the plan was made for, and gone as soon as
    /// nobody reads it; `None` where the graph takes none. The result has its corner at (0, 0)
    /// and the format [`Plan::output_format`].
    ///
    /// # Errors
    /// [`RenderError`], soon after `control` says stop.
    fn render(&self, plan: &Plan, input: Option<Image>, control: &Control) -> Result<Image, RenderError>;
}

/// What is told how far the work has come, 0 to 1; never less than before.
pub type Progress = Arc<dyn Fn(f64) + Send + Sync>;

/// How running work is watched and stopped.
#[derive(Clone, Default)]
pub struct Control {
    /// Stops it, looked at before each tile.
    pub cancel: Cancel,
    /// Is called after each tile, on the thread that made it, one call at a time.
    pub progress: Option<Progress>,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let progress = self.progress.as_ref().map(|_| "..");
        f.debug_struct("Control").field("cancel", &self.cancel).field("progress", &progress).finish()
    }
}

/// Why a plan was not rendered.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}{kind}", node.as_ref().map(|node| format!("process '{node}': ")).unwrap_or_default())]
pub struct RenderError {
    /// The process it happened in.
    pub node: Option<String>,
    /// What happened.
    pub kind: RenderErrorKind,
}

/// What went wrong while rendering.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RenderErrorKind {
    /// The parameters make no picture, which only the pixels showed.
    #[error("{0}")]
    Invalid(String),
    /// The input is not of the shape that the plan was made for.
    #[error("the input is {found}, the plan was made for {expected}")]
    Input {
        /// Size and format of the input.
        found: String,
        /// Size and format in the plan.
        expected: String,
    },
    /// Code that is not ours failed: what happened to it.
    #[error("{0}")]
    Failed(String),
    /// The memory for a buffer could not be had.
    #[error("out of memory: {bytes} bytes for one buffer")]
    OutOfMemory {
        /// Size of the buffer, bytes.
        bytes: u64,
    },
    /// The work was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The work ran past its deadline.
    #[error("deadline exceeded")]
    DeadlineExceeded,
    /// An operation broke its contract, by a panic for instance; for the log.
    #[error("internal error: {0}")]
    Internal(String),
}

impl From<OpError> for RenderErrorKind {
    fn from(error: OpError) -> Self {
        match error {
            OpError::Invalid(message) => RenderErrorKind::Invalid(message),
            OpError::MissingInput(_) => RenderErrorKind::Internal(error.to_string()),
            OpError::Failed(message) => RenderErrorKind::Failed(message),
            OpError::OutOfMemory { bytes } => RenderErrorKind::OutOfMemory { bytes },
            OpError::Cancelled => RenderErrorKind::Cancelled,
            OpError::DeadlineExceeded => RenderErrorKind::DeadlineExceeded,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_process() {
        let error = RenderError { node: Some("blur".into()), kind: OpError::OutOfMemory { bytes: 7 }.into() };
        assert_eq!(error.to_string(), "process 'blur': out of memory: 7 bytes for one buffer");
        let error = RenderError { node: None, kind: RenderErrorKind::Cancelled };
        assert_eq!(error.to_string(), "cancelled");
    }
}
