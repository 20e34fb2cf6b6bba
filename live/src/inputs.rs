//! The pictures that go into graphs: fetched once, and kept while they are used.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::future::BoxFuture;
use imgflo_runtime::InputFile;
use imgflo_runtime::ops::codec::DecodeLimits;
use lru::LruCache;
use tokio::sync::OnceCell;
use uuid::Uuid;

/// The bytes of a file, or why there are none, for people.
pub type Fetched = Result<Bytes, String>;

/// Fetches the file at an address: `https://...`, `data:...`, `files/photo.jpg`.
pub type Fetch = Box<dyn Fn(String) -> BoxFuture<'static, Fetched> + Send + Sync>;

/// Files that are kept.
const KEPT: NonZeroUsize = NonZeroUsize::new(16).unwrap();
/// Files from pages that are kept.
const UPLOADS: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// What addresses of files begin with that a page sent.
const UPLOADED: &str = "upload:";

type Cell = Arc<OnceCell<Result<InputFile, String>>>;

/// Gets files, each once for all who want it.
pub(crate) struct Inputs {
    fetch: Fetch,
    decode: DecodeLimits,
    most_bytes: usize,
    kept: Mutex<LruCache<String, Cell>>,
    uploads: Mutex<LruCache<String, InputFile>>,
}

impl Inputs {
    pub fn new(fetch: Fetch, decode: DecodeLimits, most_bytes: usize) -> Self {
        let (kept, uploads) = (Mutex::new(LruCache::new(KEPT)), Mutex::new(LruCache::new(UPLOADS)));
        Inputs { fetch, decode, most_bytes, kept, uploads }
    }

    /// The file at an address. One that could not be had is tried again next time.
    pub async fn get(&self, address: &str) -> Result<InputFile, String> {
        if address.starts_with(UPLOADED) {
            let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
            return uploads.get(address).cloned().ok_or_else(|| "this file is not kept any more; send it again".into());
        }
        let cell = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(kept.get_or_insert(address.to_owned(), Cell::default))
        };
        let file = cell.get_or_init(|| async { self.read(&(self.fetch)(address.to_owned()).await?) }).await.clone();
        if file.is_err() {
            self.forget(address);
        }
        file
    }

    /// Has the file fetched anew when it is wanted next.
    pub fn forget(&self, address: &str) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop(address);
    }

    /// Keeps a file that a page sent; its address.
    pub fn upload(&self, bytes: &Bytes) -> Result<String, String> {
        let file = self.read(bytes)?;
        let address = format!("{UPLOADED}{}", Uuid::new_v4());
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner).put(address.clone(), file);
        Ok(address)
    }

    fn read(&self, bytes: &Bytes) -> Result<InputFile, String> {
        if bytes.len() > self.most_bytes {
            return Err(format!("{} bytes are more than the limit of {} for an input", bytes.len(), self.most_bytes));
        }
        InputFile::new(&bytes[..], self.decode).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const GIF: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x01D\x00;";
    const DECODE: DecodeLimits = DecodeLimits::new(100, 100);

    #[tokio::test]
    async fn a_file_is_fetched_once_and_a_failure_again() {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let fetch: Fetch = Box::new(move |address| {
            let before = counted.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                match address.as_str() {
                    "flaky" if before == 0 => Err("away".into()),
                    _ => Ok(Bytes::from_static(GIF)),
                }
            })
        });
        let inputs = Inputs::new(fetch, DECODE, 1000);
        assert_eq!(inputs.get("flaky").await.map(|file| file.size()), Err("away".into()));
        for _ in 0..3 {
            assert_eq!(inputs.get("flaky").await.map(|file| file.size()), Ok((1, 1)));
        }
        assert_eq!(count.load(Ordering::SeqCst), 2);
        inputs.forget("flaky");
        inputs.get("flaky").await.expect("there");
        assert_eq!(count.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn uploads_are_kept_within_limits() {
        let inputs = Inputs::new(Box::new(|_| Box::pin(async { Err("nothing is fetched".into()) })), DECODE, 50);
        let address = inputs.upload(&Bytes::from_static(GIF)).expect("a picture");
        assert_eq!(inputs.get(&address).await.map(|file| file.size()), Ok((1, 1)));
        assert!(inputs.upload(&Bytes::from_static(b"hello")).is_err());
        let large = inputs.upload(&Bytes::from(vec![0; 51])).expect_err("too large");
        assert_eq!(large, "51 bytes are more than the limit of 50 for an input");
        for _ in 0..UPLOADS.get() {
            inputs.upload(&Bytes::from_static(GIF)).expect("a picture");
        }
        assert!(inputs.get(&address).await.expect_err("gone").contains("send it again"));
    }
}
