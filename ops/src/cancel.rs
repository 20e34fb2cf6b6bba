//! How running work is told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::OpError;

/// A flag and a deadline that long loops look at. Clones share the flag.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    flag: Arc<AtomicBool>,
    deadline: Option<Instant>,
}

impl Cancel {
    /// One that never fires unless [`Cancel::cancel`] is called.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that also fires at `deadline`.
    pub fn with_deadline(deadline: Instant) -> Self {
        Cancel { flag: Arc::default(), deadline: Some(deadline) }
    }

    /// Asks all holders of a clone to stop.
    pub fn cancel(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// When the work must be done, if it must.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// `Err` once cancelled or past the deadline. Cheap: call it once a row or a band.
    pub fn check(&self) -> Result<(), OpError> {
        if self.flag.load(Ordering::Relaxed) {
            return Err(OpError::Cancelled);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(OpError::DeadlineExceeded),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn clones_share_the_flag() {
        let cancel = Cancel::new();
        let other = cancel.clone();
        assert_eq!((cancel.check(), cancel.deadline()), (Ok(()), None));
        other.cancel();
        assert_eq!(cancel.check(), Err(OpError::Cancelled));
        assert_eq!(Cancel::new().check(), Ok(()), "another one is not touched");
    }

    #[test]
    fn a_deadline_fires_when_it_has_passed() {
        let now = Instant::now();
        let early = Cancel::with_deadline(now + Duration::from_secs(3600));
        assert_eq!((early.check(), early.deadline()), (Ok(()), Some(now + Duration::from_secs(3600))));
        let late = Cancel::with_deadline(now);
        assert_eq!(late.check(), Err(OpError::DeadlineExceeded));
        late.cancel();
        assert_eq!(late.clone().check(), Err(OpError::Cancelled), "asked to stop comes first");
    }
}
