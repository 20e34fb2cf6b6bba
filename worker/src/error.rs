//! What can go wrong in a worker.

use imgflo_cache::CacheError;
use imgflo_job::{Category, JobError};
use imgflo_msgflo::TransportError;

/// Why a job failed, or a worker could not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client's, the origin's or time's fault: all that is to be said is in it.
    #[error(transparent)]
    Job(#[from] JobError),
    /// The store failed.
    #[error("store: {0}")]
    Store(#[source] CacheError),
    /// A fault of ours, a panic for instance; for the log.
    #[error("{0}")]
    Internal(String),
    /// The queues could not be set up, or went away.
    #[error("queues: {0}")]
    Transport(#[from] TransportError),
}

impl Error {
    /// What the client is told.
    pub fn report(&self) -> JobError {
        match self {
            Error::Job(error) => error.clone(),
            Error::Store(_) => JobError::new(Category::Unavailable, "results cannot be stored at the moment"),
            Error::Transport(_) => JobError::new(Category::Unavailable, "jobs cannot be queued at the moment"),
            Error::Internal(_) => {
                JobError::new(Category::Internal, "the image could not be made; the log of the server has the cause")
            }
        }
    }

    /// True when the job belongs to the dead letters: the fault is in this system, not in the job, so that somebody
    /// should look, and the job may succeed once the fault is mended. A store that fails is not the job's to wait for:
    /// it depends on the job whether it comes again.
    pub fn is_dead_letter(&self) -> bool {
        match self {
            Error::Job(error) => {
                matches!(
                    error.category,
                    Category::Internal | Category::OperationFailed | Category::Unavailable | Category::GivenUp
                )
            }
            Error::Internal(_) | Error::Transport(_) => true,
            Error::Store(_) => false,
        }
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_faults_tell_the_client_nothing_of_our_insides() {
        let source = std::io::Error::other("/secret/path");
        let error = Error::Store(CacheError::Io { action: "store", key: "k".into(), source });
        assert!(error.to_string().contains("/secret/path"), "the log needs it");
        assert!(!error.report().to_string().contains("secret"));
        assert!(error.report().category.retry());
        let error = Error::Internal("index out of bounds in blur.rs".into());
        assert!(!error.report().to_string().contains("blur.rs"));
        assert_eq!(error.report().category, Category::Internal);
        assert!(error.is_dead_letter());
    }

    #[test]
    fn what_the_job_itself_causes_is_no_dead_letter() {
        for category in Category::ALL {
            let dead = matches!(
                category,
                Category::Internal | Category::OperationFailed | Category::Unavailable | Category::GivenUp
            );
            assert_eq!(Error::Job(JobError::new(category, "x")).is_dead_letter(), dead, "{category:?}");
        }
    }
}
