//! Reads blobs out of a bucket: in attempts, and checked before any byte is given out.

use std::any::Any;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::primitives::ByteStream;
use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};

use super::failure::{chain, meaning, status};
use super::spool::append;
use super::{PAUSES, S3Store, no_bucket};
use crate::stored::{Sha256Digest, WHOLE};
use crate::{Blob, CacheError, Store as _, Stored};

/// Name of the objects' metadata that holds the SHA-256 of their bytes, in hexadecimal.
pub(super) const DIGEST: &str = "sha256";

/// An answer of the bucket whose body is still to come.
struct Answer {
    length: u64,
    stored_at: SystemTime,
    /// None of objects that something else uploaded, or an older version of this program.
    digest: Option<Sha256Digest>,
    tag: String,
    body: ByteStream,
}

/// Why a body is not what was stored.
enum Fault {
    /// It ended too soon.
    Cut(String),
    /// The body's digest differs from the one that was stored with it.
    Altered,
    /// It could not be put aside.
    Disk(io::Error),
}

/// SHA-256 as the metadata has it.
pub(super) fn spelled(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_digest(text: &str) -> Option<Sha256Digest> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in digest.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(digest)
}

/// Where a body goes while it is read.
enum Sink {
    Memory(BytesMut),
    File(File),
}

impl Sink {
    fn memory(length: u64) -> Sink {
        // What is announced need not come.
        Sink::Memory(BytesMut::with_capacity(length.min(1 << 20) as usize))
    }

    async fn add(self, bytes: Bytes) -> io::Result<Sink> {
        match self {
            Sink::Memory(mut all) => {
                all.extend_from_slice(&bytes);
                Ok(Sink::Memory(all))
            }
            Sink::File(file) => append(file, bytes).await.map(Sink::File),
        }
    }
}

impl Answer {
    /// Reads the body to its end. Fails unless it is whole and has the digest that was stored with it.
    async fn read(mut self, key: &str, mut sink: Sink) -> Result<Stored, Fault> {
        let (mut hash, mut count) = (Sha256::new(), 0_u64);
        while let Some(bytes) = self.body.next().await {
            let bytes = bytes.map_err(|error| Fault::Cut(chain(&error)))?;
            count += bytes.len() as u64;
            if count > self.length {
                return Err(Fault::Altered);
            }
            hash.update(&bytes);
            sink = sink.add(bytes).await.map_err(Fault::Disk)?;
        }
        if count < self.length {
            return Err(Fault::Cut(format!("{count} of {} bytes came", self.length)));
        }
        let digest = hash.finalize().into();
        if self.digest.is_some_and(|expected| expected != digest) {
            return Err(Fault::Altered);
        }
        let (length, stored_at) = (self.length, self.stored_at);
        match sink {
            Sink::Memory(bytes) => Ok(Blob { bytes: bytes.freeze(), stored_at }.into()),
            Sink::File(file) => {
                let key = key.to_owned();
                let opened = move || Stored::checked_file(file, &key, length, stored_at, digest);
                let opened = tokio::task::spawn_blocking(opened).await;
                opened.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(Fault::Disk)
            }
        }
    }
}

impl S3Store {
    /// Asks for a blob. Nothing and an emptied one are none.
    async fn ask(&self, key: &str) -> Result<Option<Answer>, CacheError> {
        let get = self.client.get_object().bucket(&self.options.bucket).key(self.object(key));
        // Until the blob begins; all of it is timed by who calls.
        let limits = self.limited(self.limits.look / 2, self.limits.look);
        let answer = match get.customize().config_override(limits).send().await {
            Ok(answer) => answer,
            Err(error) if status(&error) == Some(404) && !no_bucket(&error) => return Ok(None),
            Err(error) => return Err(self.failed("read", key, &meaning(&error))),
        };
        let Some(length) = answer.content_length.and_then(|length| u64::try_from(length).ok()) else {
            return Err(self.failed("read", key, "it does not tell the length"));
        };
        if length == 0 {
            return Ok(None);
        }
        let digest = answer.metadata.as_ref().and_then(|metadata| read_digest(metadata.get(DIGEST)?.as_str()));
        let stored_at = answer.last_modified.and_then(|time| SystemTime::try_from(time).ok());
        Ok(Some(Answer {
            length,
            stored_at: stored_at.unwrap_or_else(SystemTime::now),
            digest,
            tag: answer.e_tag.unwrap_or_default(),
            body: answer.body,
        }))
    }

    /// Has a blob read in attempts, the first of which has begun; in memory, or `aside` in a file if one can be made. One
    /// that is not what was stored is removed, and none.
    async fn attempts(&self, key: &str, first: Answer, aside: bool) -> Result<Option<Stored>, CacheError> {
        let (mut first, mut pause) = (Some(first), PAUSES.0);
        for attempt in 1.. {
            let answer = match first.take() {
                Some(answer) => answer,
                None => match self.ask(key).await? {
                    Some(answer) => answer,
                    None => return Ok(None),
                },
            };
            let file = if aside { self.spool.file() } else { None };
            let sink = file.map_or_else(|| Sink::memory(answer.length), Sink::File);
            let is_last = attempt >= self.limits.attempts;
            match answer.read(key, sink).await {
                Ok(stored) => return Ok(Some(stored)),
                Err(Fault::Disk(source)) => {
                    return Err(CacheError::Io { action: "read", key: key.to_owned(), source });
                }
                Err(Fault::Cut(reason)) if is_last => return Err(self.failed("read", key, &reason)),
                Err(Fault::Altered) if is_last => {
                    tracing::error!(key, "an object's bytes do not have its checksum; it is removed, to be made anew");
                    self.remove(key).await?;
                    return Ok(None);
                }
                Err(Fault::Cut(_) | Fault::Altered) => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(PAUSES.1);
        }
        Ok(None)
    }

    /// The blob in memory.
    pub(super) async fn read(&self, key: &str) -> Result<Option<Blob>, CacheError> {
        let Some(first) = self.ask(key).await? else { return Ok(None) };
        let read = self.attempts(key, first, false).await?;
        Ok(read.and_then(|stored| Some(Blob { bytes: stored.whole()?.clone(), stored_at: stored.stored_at() })))
    }

    /// The blob, where it is large in a file.
    pub(super) async fn read_open(&self, key: &str) -> Result<Option<Stored>, CacheError> {
        let Some(first) = self.ask(key).await? else { return Ok(None) };
        if first.length <= WHOLE {
            return self.attempts(key, first, false).await;
        }
        let place = self.spool.place(key, &first.tag);
        let read = async {
            let room = self.spool.room(first.length).await;
            let stored = self.attempts(key, first, true).await.map_err(Some)?.map(Arc::new).ok_or(None)?;
            room.map(|room| place.room.set(room));
            Ok(stored)
        };
        match place.file.get_or_try_init(|| read).await {
            Ok(stored) => {
                let place: Arc<dyn Any + Send + Sync> = Arc::clone(&place) as _;
                Ok(Some(stored.share(&place)))
            }
            Err(None) => Ok(None),
            Err(Some(error)) => Err(error),
        }
    }

    /// Gives up on what does not come in time.
    pub(super) async fn in_time<T>(
        &self,
        key: &str,
        read: impl Future<Output = Result<T, CacheError>>,
    ) -> Result<T, CacheError> {
        let limit: Duration = self.limits.transfer;
        let read = tokio::time::timeout(limit, read).await;
        read.unwrap_or_else(|_| Err(self.failed("read", key, "it does not send it in time")))
    }
}
