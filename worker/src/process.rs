//! One job, from its message to its result.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use imgflo_cache::{CacheError, Store};
use imgflo_job::key;
use imgflo_job::{Category, Job, JobData, JobError, JobResult, Limits, Source, Urgency, message};
use imgflo_runtime::RuntimeKind;
use imgflo_runtime::ops::codec::FileFormat;
use imgflo_runtime::ops::{Cancel, OpError};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::fetch::{Fetched, recognise};
use crate::graphs::Graphs;
use crate::keys;
use crate::original::Originals;
use crate::render::{Order, Picture, Renderer, stopped};
use crate::slots::Seat;
use crate::source::{Sources, wanted};

/// Waits between attempts to store a result.
const STORE_AGAIN: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(1600)];

/// How a job is stopped.
#[derive(Clone, Debug)]
pub(crate) struct JobControl {
    /// Set when nobody waits any more.
    pub token: CancellationToken,
    /// When it must be over.
    pub deadline: Instant,
    /// True when it came too late to be started.
    pub late: bool,
}

impl JobControl {
    /// For a job that a worker has just taken. `now`: the time at its front end, ms since 1970. A job whose own deadline
    /// has passed is not begun. One that has begun may work on past it, for as long as the work of an urgent job may take:
    /// its client is told to ask again, and shall find the result.
    pub(crate) fn of(job: &Job, now: u64, limits: &Limits) -> Self {
        let late = job.urgency == Urgency::Urgent && job.deadline_at.is_some_and(|deadline| deadline <= now);
        let time = match job.urgency {
            Urgency::Urgent => limits.longest_urgent_work(),
            Urgency::Background => limits.background_deadline,
        };
        JobControl { token: CancellationToken::new(), deadline: Instant::now() + time, late }
    }
}

/// Makes results of jobs.
pub(crate) struct Processor {
    pub sources: Sources,
    pub originals: Originals,
    pub graphs: Graphs,
    pub renderer: Arc<Renderer>,
    pub store: Arc<dyn Store>,
    /// Room for results that are being stored while other jobs have the slots.
    pub storing: Room,
    pub limits: Limits,
}

/// Room for a number of bytes.
pub(crate) struct Room(Semaphore);

impl Room {
    /// `bytes` of it, rounded down to KiB.
    pub(crate) fn new(bytes: u64) -> Self {
        Room(Semaphore::new(usize::try_from(bytes / 1024).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)))
    }

    /// Takes room for `bytes` if there is as much; free again when dropped.
    fn take(&self, bytes: usize) -> Option<SemaphorePermit<'_>> {
        self.0.try_acquire_many(u32::try_from(bytes.div_ceil(1024)).ok()?).ok()
    }
}

/// Tells the blocking threads of a job to stop when the job itself is dropped.
struct StopOnDrop(Cancel);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// The bytes of a result, and whether only the client may keep them.
struct Made {
    bytes: Bytes,
    private: bool,
}

/// What one level of a job needs to know.
#[derive(Clone, Copy)]
struct Level<'a> {
    urgency: Urgency,
    cancel: &'a Cancel,
    /// The job's slot.
    seat: &'a Seat,
    /// 0 for the job itself, one more for each `/graph` URL inside an input.
    depth: u64,
    /// Pixels of the images made so far, on all levels: of each the larger one of input and output.
    pixels: &'a AtomicU64,
}

impl Processor {
    /// Does a job, and notes in `result` when what happened. The result is stored when this returns `Ok`.
    pub(crate) async fn run(&self, result: &mut JobResult, control: &JobControl, seat: &Seat) -> Result<(), Error> {
        result.started_at = Some(message::now());
        let stop = StopOnDrop(Cancel::with_deadline(control.deadline.into_std()));
        let mut data = result.job.data.clone();
        let is_original = data.definition.is_null();
        let completed = self.originals.complete(&mut data);
        let pixels = AtomicU64::new(0);
        let level = Level { urgency: result.job.urgency, cancel: &stop.0, seat, depth: 0, pixels: &pixels };
        let done = tokio::select! {
            biased;
            () = async {}, if control.late => Err(stopped(OpError::DeadlineExceeded)),
            () = control.token.cancelled() => Err(stopped(OpError::Cancelled)),
            () = tokio::time::sleep_until(control.deadline) => Err(stopped(OpError::DeadlineExceeded)),
            done = async {
                completed?;
                keys::check(&data, is_original, &self.graphs, &self.limits)?;
                self.serve(&data, level, result).await
            } => done,
        };
        // What was made counts, even if more could not be.
        result.pixels = Some(pixels.into_inner()).filter(|pixels| *pixels > 0);
        result.completed_at = Some(message::now());
        let key = done?;
        result.results.url = Some(format!("./{key}"));
        Ok(())
    }

    /// Makes sure that the result of the job itself is stored; returns the key under which it is.
    async fn serve(&self, data: &JobData, level: Level<'_>, notes: &mut JobResult) -> Result<String, Error> {
        level.seat.take().await;
        if !data.no_cache {
            match self.stored(&data.cachekey).await {
                Ok(Some(key)) => return Ok(key),
                Ok(None) => {}
                // Nobody waits: rather later than in vain.
                Err(error) if level.urgency == Urgency::Background => return Err(Error::Store(error)),
                // A store that cannot be read may still be written to.
                Err(error) => tracing::debug!(%error, "the store could not be asked"),
            }
        }
        let made = self.make(data, level, Some(&mut *notes)).await?;
        // Storing is waiting, too.
        let room = self.storing.take(made.bytes.len());
        if room.is_some() {
            level.seat.give_away();
        }
        let key = self.keep(data, &made).await?;
        notes.uploaded_at = Some(message::now());
        Ok(key)
    }

    /// The key under which the result of a key is stored, if it is.
    pub(crate) async fn stored(&self, key: &str) -> Result<Option<String>, CacheError> {
        // An index may still list a result that the store has lost.
        if self.store.holds(key).await? {
            return Ok(Some(key.to_owned()));
        }
        match key::private(key) {
            Some(private) if self.store.holds(&private).await? => Ok(Some(private)),
            _ => Ok(None),
        }
    }

    /// The bytes of the result of a graph inside an input: stored, or made now, here.
    fn nested<'a>(&'a self, data: &'a JobData, level: Level<'a>) -> BoxFuture<'a, Result<Fetched, Error>> {
        async move {
            if level.depth > self.limits.max_nested {
                let what = "graphs inside the input of graphs";
                return Err(JobError::over(what, level.depth, self.limits.max_nested, "IMGFLO_MAX_NESTED").into());
            }
            if !data.no_cache
                && let Ok(Some(stored)) = self.sources.look_up(&data.cachekey).await
            {
                return Ok(stored);
            }
            let made = self.make(data, level, None).await?;
            if let Err(error) = self.keep(data, &made).await {
                // The job goes on without; its own result will meet the same trouble and report it.
                tracing::debug!(key = data.cachekey, %error, "the result of a nested graph was not stored");
            }
            Ok(Fetched { bytes: made.bytes, media_type: None, private: made.private })
        }
        .boxed()
    }

    /// Gets the input and renders.
    async fn make(&self, data: &JobData, level: Level<'_>, mut notes: Option<&mut JobResult>) -> Result<Made, Error> {
        let graph = self.graphs.of(data)?;
        let noop = graph.runtime() == RuntimeKind::Noop;
        let format = if noop { None } else { Some(output_format(data)?) };
        let input = match &data.source {
            Some(source) => Some(self.input(source, level, noop, data.no_cache).await?),
            None if graph.takes_input() || noop => {
                let message = "the graph needs an input image; name it with input=";
                return Err(JobError::new(Category::InvalidParameter, message).into());
            }
            None => None,
        };
        if let (Some(notes), Some(input)) = (notes.as_deref_mut(), &input) {
            notes.downloaded_at = Some(message::now());
            notes.input_bytes = Some(input.bytes.len() as u64);
            note_type(notes, input);
        }
        let private = input.as_ref().is_some_and(|input| input.private);
        let Some(format) = format else {
            let bytes = input.map(|input| input.bytes).unwrap_or_default();
            if let Some(notes) = notes {
                notes.processed_at = Some(message::now());
                notes.output_bytes = Some(bytes.len() as u64);
            }
            return Ok(Made { bytes, private });
        };
        let input = input.map(|input| input.bytes);
        let parameters = data.iips.clone();
        let (quality, background) = (data.quality, data.background);
        let order = Order { graph, parameters, input, format, quality, background, urgency: level.urgency };
        let Picture { bytes, input_size, output_size } = self.renderer.render(order, level.cancel).await?;
        let area = |(width, height): (u32, u32)| u64::from(width) * u64::from(height);
        let larger = area(output_size).max(input_size.map_or(0, area));
        level.pixels.fetch_add(larger, Ordering::Relaxed);
        if let Some(notes) = notes {
            let now = Some(message::now());
            (notes.processed_at, notes.stated_at) = (now, now);
            (notes.input_width, notes.input_height) = input_size.unzip();
            (notes.output_width, notes.output_height) = (Some(output_size.0), Some(output_size.1));
            notes.output_bytes = Some(bytes.len() as u64);
        }
        Ok(Made { bytes, private })
    }

    async fn input(&self, source: &Source, level: Level<'_>, any_type: bool, anew: bool) -> Result<Fetched, Error> {
        let wanted = wanted(&self.limits, level.urgency, any_type, anew);
        let input = match source {
            Source::Url { url } => {
                let host = source.host().unwrap_or_default();
                level.seat.fetch(&host, self.sources.inputs.url(url, wanted)).await?
            }
            Source::Data { url } => self.sources.inputs.data(url)?,
            Source::File { path, .. } => self.sources.inputs.file(path, wanted).await?,
            Source::Stored { key } => self.sources.stored(key).await?,
            Source::Graph { job } => self.nested(job, Level { depth: level.depth + 1, ..level }).await?,
        };
        if !any_type {
            recognise::supported(&input.bytes, input.media_type.as_deref())?;
        }
        Ok(input)
    }

    /// Stores a result, and returns the key under which it is; tries again while the store has trouble.
    async fn keep(&self, data: &JobData, made: &Made) -> Result<String, Error> {
        let private = key::private(&data.cachekey);
        let (key, other) = match (private, made.private) {
            (Some(private), true) => (private, Some(data.cachekey.clone())),
            (other, _) => (data.cachekey.clone(), other),
        };
        let mut waits = STORE_AGAIN.into_iter();
        loop {
            let error = match self.store.put(&key, made.bytes.clone(), data.no_cache).await {
                Ok(()) => {
                    // Its origin may have changed its mind.
                    if let Some(other) = other.filter(|_| data.no_cache)
                        && let Err(error) = self.store.remove(&other).await
                    {
                        tracing::warn!(key = other, %error, "an outdated result was not removed");
                    }
                    return Ok(key);
                }
                Err(CacheError::TooLarge { bytes, limit }) => {
                    return Err(JobError::over("bytes of the result", bytes, limit, "IMGFLO_CACHE_BYTES").into());
                }
                Err(error) => error,
            };
            match waits.next() {
                Some(wait) if !matches!(error, CacheError::BadKey(_)) => {
                    tracing::debug!(key, %error, "storing again soon");
                    tokio::time::sleep(wait).await;
                }
                _ => return Err(Error::Store(error)),
            }
        }
    }
}

/// The format to write, `jpg` unless the job says otherwise.
fn output_format(data: &JobData) -> Result<FileFormat, JobError> {
    let asked = data.outtype.as_deref().unwrap_or("jpg");
    FileFormat::from_extension(asked).filter(|format| format.can_encode()).ok_or_else(|| {
        let supported = written_types();
        let asked: String = asked.chars().take(20).collect();
        let message = format!("images are not written as '{asked}'; supported: {}", supported.join(", "));
        JobError::new(Category::UnsupportedType, message).with("supported", supported)
    })
}

/// Types that results are written in.
pub(crate) fn written_types() -> Vec<&'static str> {
    FileFormat::ALL.into_iter().filter(|format| format.can_encode()).map(FileFormat::extension).collect()
}

/// Notes what the input turned out to be.
fn note_type(notes: &mut JobResult, input: &Fetched) {
    let Some(file) = &mut notes.job.data.files.input else { return };
    file.media_type = match FileFormat::sniff(&input.bytes) {
        Some(format) => Some(format.media_type().to_owned()),
        None => input.media_type.clone(),
    };
    if file.extension.is_empty()
        && let Some(extension) = recognise::extension(&input.bytes, input.media_type.as_deref())
    {
        file.extension = format!(".{extension}");
    }
}
