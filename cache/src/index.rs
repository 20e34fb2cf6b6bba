//! What is stored and when each blob was last used: the memory of a [`crate::LocalStore`]. The folder is the truth; the
//! index only decides what goes first when space is needed.

use std::time::{Duration, SystemTime};

use lru::LruCache;

/// How old the use time on disk may be before a use is written down again.
const TOUCH_EVERY: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Entry {
    bytes: u64,
    /// Use time as it stands on disk.
    touched: SystemTime,
}

/// Sizes by key, least recently used first.
#[derive(Debug)]
pub(crate) struct Index {
    entries: LruCache<String, Entry>,
    stored: u64,
    /// Bytes of blobs that are being written.
    reserved: u64,
    limit: u64,
}

impl Index {
    pub(crate) fn new(limit: u64) -> Self {
        Index { entries: LruCache::unbounded(), stored: 0, reserved: 0, limit }
    }

    /// Bytes of all blobs together.
    pub(crate) fn stored(&self) -> u64 {
        self.stored
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Notes a blob as the most recently used; one noted before under this key is replaced.
    pub(crate) fn insert(&mut self, key: &str, bytes: u64, touched: SystemTime) {
        if let Some(old) = self.entries.put(key.to_owned(), Entry { bytes, touched }) {
            self.stored -= old.bytes;
        }
        self.stored += bytes;
    }

    /// Notes a use; true when the use time on disk is so old that it should be written again.
    pub(crate) fn used(&mut self, key: &str, bytes: u64, now: SystemTime) -> bool {
        match self.entries.get_mut(key) {
            Some(entry) if entry.bytes == bytes => {
                // A time in the future (the clock was set back) counts as old.
                let old = now.duration_since(entry.touched).is_ok_and(|age| age < TOUCH_EVERY);
                if !old {
                    entry.touched = now;
                }
                !old
            }
            // Another process stored it, or stored it anew.
            _ => {
                self.insert(key, bytes, now);
                true
            }
        }
    }

    /// Forgets a blob.
    pub(crate) fn remove(&mut self, key: &str) {
        if let Some(entry) = self.entries.pop(key) {
            self.stored -= entry.bytes;
        }
    }

    /// Sets space aside for a blob about to be written.
    pub(crate) fn reserve(&mut self, bytes: u64) {
        self.reserved += bytes;
    }

    /// Gives back what [`Index::reserve`] took.
    pub(crate) fn release(&mut self, bytes: u64) {
        self.reserved -= bytes;
    }

    /// Takes out the least recently used blob while the blobs together (and those being written, when `reserved`) are
    /// over the limit.
    pub(crate) fn surplus(&mut self, reserved: bool) -> Option<String> {
        let total = self.stored + if reserved { self.reserved } else { 0 };
        if total <= self.limit {
            return None;
        }
        self.oldest().map(|(key, _)| key)
    }

    /// Takes out the least recently used blob, whatever the limit.
    pub(crate) fn oldest(&mut self) -> Option<(String, u64)> {
        let (key, entry) = self.entries.pop_lru()?;
        self.stored -= entry.bytes;
        Some((key, entry.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut index = Index::new(10);
        index.insert("a", 4, at(0));
        index.insert("b", 4, at(0));
        index.used("a", 4, at(1));
        index.insert("c", 4, at(2));
        assert_eq!(index.surplus(false).as_deref(), Some("b"));
        assert_eq!(index.surplus(false), None);
        assert_eq!(index.stored(), 8);
    }

    #[test]
    fn reserved_space_counts() {
        let mut index = Index::new(10);
        index.insert("a", 4, at(0));
        index.reserve(7);
        assert_eq!(index.surplus(false), None);
        assert_eq!(index.surplus(true).as_deref(), Some("a"));
        index.release(7);
        assert_eq!(index.surplus(true), None);
    }

    #[test]
    fn a_use_is_written_once_a_minute() {
        let mut index = Index::new(10);
        index.insert("a", 4, at(100));
        assert!(!index.used("a", 4, at(159)));
        assert!(index.used("a", 4, at(160)));
        assert!(!index.used("a", 4, at(161)));
        assert!(index.used("a", 4, at(5)), "the clock was set back");
    }

    #[test]
    fn replacing_counts_once() {
        let mut index = Index::new(10);
        index.insert("a", 4, at(0));
        index.insert("a", 9, at(1));
        assert_eq!((index.stored(), index.len()), (9, 1));
        index.used("a", 3, at(2));
        assert_eq!((index.stored(), index.len()), (3, 1));
        index.remove("a");
        index.remove("a");
        assert_eq!((index.stored(), index.len()), (0, 0));
    }
}
