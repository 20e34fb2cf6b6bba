//! What addresses ask for, remembered: most requests are for what was asked for before, and to
//! parse, check and hash them anew costs more than all the rest of a redirect.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::HOST;
use http::{HeaderMap, HeaderValue, Uri};
use imgflo_job::request::Request;
use imgflo_job::{Category, JobData, JobError};
use imgflo_runtime::Library;
use lru::LruCache;
use tokio::time::Instant;

use crate::resolve::{Resolved, file_version};

/// Addresses that are remembered, and how long they may be, with the host's name.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4096).unwrap();
const MAX_ADDRESS: usize = 1024;
/// How long files count as unchanged without being looked at.
const TRUST_FILES: Duration = Duration::from_secs(1);

/// What an address asks for.
pub(crate) struct Asked {
    resolved: Resolved,
    /// Where we hand the result out.
    place: HeaderValue,
    /// The same in a type that is made more quickly.
    instead: Option<Box<Asked>>,
    /// When the versions of files were last right.
    looked: Mutex<Instant>,
}

impl Asked {
    /// `place_of`: where we hand out the result with a key.
    ///
    /// # Errors
    /// The place fits no header.
    pub(crate) fn new(mut resolved: Resolved, place_of: &impl Fn(&str) -> String) -> Result<Self, JobError> {
        let place = place_of(&resolved.data.cachekey);
        let place = HeaderValue::from_str(&place)
            .map_err(|error| JobError::new(Category::Internal, format!("the result's address {place:?}: {error}")))?;
        let instead = resolved.instead.take().map(|data| {
            let library = Arc::clone(&resolved.library);
            // Whoever asks for one of the two is allowed to, and sees the same files, with the other.
            let other = Resolved { data, instead: None, requests: Vec::new(), files: Vec::new(), library };
            Asked::new(other, place_of).map(Box::new)
        });
        Ok(Asked { resolved, place, instead: instead.transpose()?, looked: Mutex::new(Instant::now()) })
    }

    /// The same in a type that is made more quickly; none where the type itself is.
    pub(crate) fn instead(&self) -> Option<&Asked> {
        self.instead.as_deref()
    }

    /// The job, without definitions.
    pub(crate) fn data(&self) -> &JobData {
        self.resolved.data()
    }

    /// The whole job.
    pub(crate) fn job_data(&self) -> JobData {
        self.resolved.job_data()
    }

    /// Where we hand the result out.
    pub(crate) fn place(&self) -> &HeaderValue {
        &self.place
    }

    /// The graphs that it was resolved with.
    pub(crate) fn library(&self) -> &Arc<Library> {
        &self.resolved.library
    }

    /// The request, and those inside its input.
    pub(crate) fn requests(&self) -> impl Iterator<Item = &Request> {
        self.resolved.requests.iter()
    }

    /// True when the files that it works on, below `folder`, are still the same.
    pub(crate) async fn is_fresh(&self, folder: &Path) -> bool {
        if self.resolved.files.is_empty() || lock(&self.looked).elapsed() < TRUST_FILES {
            return true;
        }
        let now = Instant::now();
        let (folder, files): (PathBuf, _) = (folder.to_owned(), self.resolved.files.clone());
        let unchanged = move || files.iter().all(|(path, version)| file_version(&folder, path) == *version);
        let fresh = tokio::task::spawn_blocking(unchanged).await.unwrap_or(false);
        if fresh {
            *lock(&self.looked) = now;
        }
        fresh
    }
}

/// The addresses asked for lately.
pub(crate) struct Memory(Mutex<LruCache<Box<str>, Arc<Asked>>>);

impl Default for Memory {
    fn default() -> Self {
        Memory(Mutex::new(LruCache::new(REMEMBERED)))
    }
}

impl Memory {
    pub(crate) fn get(&self, uri: &Uri, headers: &HeaderMap) -> Option<Arc<Asked>> {
        lock(&self.0).get(name(uri, headers)?.as_str()).cloned()
    }

    /// Frees what belongs to graphs that are not served any more.
    pub(crate) fn clear(&self) {
        lock(&self.0).clear();
    }

    pub(crate) fn put(&self, uri: &Uri, headers: &HeaderMap, asked: &Arc<Asked>) {
        if let Some(name) = name(uri, headers) {
            lock(&self.0).put(name.into(), Arc::clone(asked));
        }
    }
}

/// All that the meaning of an address depends on: the host, too, as it may be ours. None for what
/// is too long to be kept.
fn name(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let host = headers.get(HOST).map_or(&b""[..], HeaderValue::as_bytes);
    let target = uri.path_and_query()?.as_str();
    if host.len() + target.len() > MAX_ADDRESS {
        return None;
    }
    let mut name = String::with_capacity(host.len() + 1 + target.len());
    name.push_str(std::str::from_utf8(host).ok()?);
    name.push('\n');
    name.push_str(target);
    Some(name)
}

/// Nothing that runs under these locks can leave them half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(host: &'static str, target: &str) -> Option<String> {
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]);
        name(&target.parse().unwrap(), &headers)
    }

    #[test]
    fn names_tell_all_apart() {
        let one = of("a", "/graph/crop?width=1").unwrap();
        for (host, target) in [("b", "/graph/crop?width=1"), ("a", "/graph/crop?width=2"), ("a", "/graph/crop")] {
            assert_ne!(of(host, target).unwrap(), one);
        }
        assert_eq!(of("a", "/graph/crop?width=1").unwrap(), one);
        assert_eq!(name(&"/graph/crop?width=1".parse().unwrap(), &HeaderMap::new()).unwrap(), one[1..]);
    }

    #[test]
    fn long_addresses_are_not_kept() {
        assert!(of("a", &format!("/{}", "a".repeat(MAX_ADDRESS - 2))).is_some());
        assert!(of("a", &format!("/{}", "a".repeat(MAX_ADDRESS - 1))).is_none());
    }
}
