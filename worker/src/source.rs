//! The bytes of an input, wherever it comes from. Inputs that are graphs are made by [`crate::process`].

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use data_url::{DataUrl, DataUrlError};
use imgflo_cache::{CacheError, Store};
use imgflo_job::input::{self, Input, OwnOrigins};
use imgflo_job::key::{self, Keeping};
use imgflo_job::message::Source;
use imgflo_job::{Category, JobError, Limits, Urgency, served};

use crate::fetch::{Fetched, Fetcher, Wanted};
use crate::{Error, FetchSettings};

/// Where inputs come from.
pub(crate) struct Sources {
    pub inputs: Inputs,
    pub store: Arc<dyn Store>,
}

/// Where inputs come from that were never ours: other servers, `data:` URLs, and the folder of files.
#[derive(Debug)]
pub struct Inputs {
    fetcher: Fetcher,
    /// Folder served under `/files/`.
    files: PathBuf,
    limits: Limits,
}

/// What a job may fetch.
pub(crate) fn wanted(limits: &Limits, urgency: Urgency, any_type: bool, anew: bool) -> Wanted {
    let (max_bytes, setting) = match urgency {
        Urgency::Urgent => (limits.max_input_bytes, "IMGFLO_MAX_INPUT_BYTES"),
        Urgency::Background => (limits.max_background_input_bytes, "IMGFLO_MAX_BACKGROUND_INPUT_BYTES"),
    };
    Wanted { max_bytes, setting, any_type, urgency, anew }
}

impl Inputs {
    /// Inputs within limits; those under `/files/` from the folder `files`.
    pub fn new(fetch: FetchSettings, limits: Limits, files: PathBuf) -> Inputs {
        Inputs { fetcher: Fetcher::new(fetch, limits.clone()), files, limits }
    }

    /// The bytes of an input, as a request may name it: `https://...`, `data:...`, `files/photo.jpg`.
    ///
    /// # Errors
    /// A [`JobError`]; also for pictures that are results themselves.
    pub async fn get(&self, address: &str) -> Result<Bytes, JobError> {
        let wanted = wanted(&self.limits, Urgency::Urgent, false, false);
        let fetched = match input::read(address, &OwnOrigins::default(), &self.limits)? {
            Input::Source(Source::Url { url }) => self.url(&url, wanted).await,
            Input::Source(Source::Data { url }) => self.data(&url),
            Input::Source(Source::File { path, .. }) => self.file(&path, wanted).await,
            Input::Source(Source::Stored { .. } | Source::Graph { .. }) | Input::Graph { .. } => {
                let message = "input: results cannot go in here; name the picture itself";
                return Err(JobError::new(Category::Forbidden, message));
            }
        };
        fetched.map(|fetched| fetched.bytes).map_err(|error| match error {
            Error::Job(error) => error,
            error => {
                tracing::error!(%error, "an input could not be read");
                JobError::new(Category::Internal, "the input could not be read")
            }
        })
    }

    /// Fetches an http or https URL.
    pub(crate) async fn url(&self, url: &str, wanted: Wanted) -> Result<Fetched, Error> {
        Ok(self.fetcher.fetch(url, wanted).await?)
    }

    /// Reads a `data:` URL (RFC 2397).
    pub(crate) fn data(&self, url: &str) -> Result<Fetched, Error> {
        let size = url.len() as u64;
        if size > self.limits.max_data_url_bytes {
            let what = "bytes of the data: URL";
            return Err(JobError::over(what, size, self.limits.max_data_url_bytes, "IMGFLO_MAX_DATA_URL_BYTES").into());
        }
        let malformed = |what: &str| JobError::new(Category::Malformed, format!("input: the data: URL {what}"));
        let parsed = DataUrl::process(url).map_err(|error| match error {
            DataUrlError::NotADataUrl => malformed("does not start with data:"),
            DataUrlError::NoComma => malformed("has no comma before its data"),
        })?;
        let (bytes, _fragment) = parsed.decode_to_vec().map_err(|_| malformed("is not valid base64"))?;
        let media_type = Some(parsed.mime_type().to_string());
        filled(Fetched { bytes: bytes.into(), media_type, private: false }, "the data: URL")
    }

    /// Reads a file below the folder of files.
    pub(crate) async fn file(&self, path: &str, wanted: Wanted) -> Result<Fetched, Error> {
        let (root, owned) = (self.files.clone(), path.to_owned());
        let read = tokio::task::spawn_blocking(move || read_below(&root, &owned, wanted.max_bytes)).await;
        let bytes = match read.map_err(|error| Error::Internal(error.to_string()))? {
            Ok(FileRead::Whole(bytes)) => bytes,
            Ok(FileRead::TooLarge(size)) => {
                return Err(JobError::over("input bytes", size, wanted.max_bytes, wanted.setting).into());
            }
            Ok(FileRead::None) => {
                let message = format!("input: there is no file '{path}' under /files/");
                return Err(JobError::new(Category::NotFound, message).into());
            }
            Err(error) => return Err(Error::Internal(format!("file '{path}': {error}"))),
        };
        filled(Fetched { bytes: bytes.into(), media_type: None, private: false }, "the file")
    }
}

impl Sources {
    /// The stored result of a key, if there is one.
    pub(crate) async fn look_up(&self, key: &str) -> Result<Option<Fetched>, CacheError> {
        let fetched =
            |bytes, key: &str| Fetched { bytes, media_type: None, private: Keeping::of(key) == Keeping::Private };
        if let Some(blob) = self.store.get(key).await? {
            return Ok(Some(fetched(blob.bytes, key)));
        }
        let Some(private) = key::private(key) else { return Ok(None) };
        Ok(self.store.get(&private).await?.map(|blob| fetched(blob.bytes, &private)))
    }

    /// A stored result.
    pub(crate) async fn stored(&self, key: &str) -> Result<Fetched, Error> {
        match self.look_up(key).await {
            Ok(Some(stored)) => filled(stored, "the stored result"),
            Ok(None) | Err(CacheError::BadKey(_)) => {
                let key: String = key.chars().take(100).collect();
                let message = format!("input: there is no stored result '{key}'; ask for it by its /graph URL");
                Err(JobError::new(Category::NotFound, message).into())
            }
            Err(error) => Err(Error::Store(error)),
        }
    }
}

fn filled(fetched: Fetched, what: &str) -> Result<Fetched, Error> {
    if fetched.bytes.is_empty() {
        return Err(JobError::new(Category::BrokenInput, format!("input: {what} is empty")).into());
    }
    Ok(fetched)
}

enum FileRead {
    Whole(Vec<u8>),
    TooLarge(u64),
    /// Not there, or not served: the client need not know which.
    None,
}

/// Reads the file that is served under `path`.
fn read_below(root: &Path, path: &str, max_bytes: u64) -> io::Result<FileRead> {
    use io::Read;
    // Opening anything but a file (a pipe, a device) could block for ever.
    let Some(full) = served::find(root, path)? else { return Ok(FileRead::None) };
    let file = std::fs::File::open(&full)?;
    let size = file.metadata()?.len();
    if size > max_bytes {
        return Ok(FileRead::TooLarge(size));
    }
    let mut bytes = Vec::with_capacity(size as usize);
    // It may be growing.
    file.take(max_bytes).read_to_end(&mut bytes)?;
    Ok(FileRead::Whole(bytes))
}

#[cfg(test)]
mod tests;
