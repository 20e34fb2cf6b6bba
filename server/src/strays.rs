//! Results that workers stored elsewhere than where this front end looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use imgflo_cache::Store;

use crate::around::within;
use crate::stored::STORE_TIMEOUT;

/// Says why results of workers are not found, and which settings help.
pub(crate) const REASON: &str = "a worker stored a result, and it is not in the store of this front end: front ends and \
                                 workers must share one; give all of them the same IMGFLO_S3_BUCKET, or an \
                                 IMGFLO_DATA_DIR on a file system that they share";

/// Remembers whether the last result that was looked for was there.
#[derive(Debug, Default)]
pub(crate) struct Strays {
    seen: AtomicBool,
    looking: AtomicBool,
}

impl Strays {
    /// True when the last result was not in the store.
    pub(crate) fn are_there(&self) -> bool {
        self.seen.load(Ordering::Relaxed)
    }

    /// Looks for the result of a worker. The first one that is missing goes to the log.
    ///
    /// Returns false when it is certainly not in the store.
    pub(crate) async fn find(&self, store: &dyn Store, key: &str) -> bool {
        let Some(Ok(is_stored)) = within(STORE_TIMEOUT, store.contains(key)).await else { return true };
        if !self.seen.swap(!is_stored, Ordering::Relaxed) && !is_stored {
            tracing::error!(key, "{REASON}");
        }
        is_stored
    }

    /// Looks for a result that nobody waits for, unless another one is looked for.
    pub(crate) fn look(self: &Arc<Self>, store: Arc<dyn Store>, key: String) {
        if self.looking.swap(true, Ordering::Acquire) {
            return;
        }
        let strays = Arc::clone(self);
        tokio::spawn(async move {
            strays.find(&*store, &key).await;
            strays.looking.store(false, Ordering::Release);
        });
    }
}
