//! The bytes of an input and a graph to the bytes of a picture: header, limits, plan, memory, and only then pixels.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use imgflo_job::{Background, Category, JobError, Limits, Quality, Urgency};
use imgflo_runtime::ops::codec::{self, CodecError, DecodeLimits, EncodeOptions, FileFormat, Header};
use imgflo_runtime::ops::{Cancel, OpError};
use imgflo_runtime::{
    Arguments, Catalogue, Control, Engine, ImageGraph, InputShape, Measure, Plan, PlanError, PlanLimits, RenderError,
    RenderErrorKind,
};

use crate::Error;
use crate::memory::Budget;

/// Memory of a job besides its pixels and files: tiles of the engine's threads, tables of the codecs.
const FIXED_BYTES: u64 = 8 << 20;

/// Renders.
pub(crate) struct Renderer {
    pub engine: Arc<dyn Engine>,
    pub catalogue: Arc<Catalogue>,
    pub limits: Limits,
    /// Quality of lossy results of jobs that name none, 1..=100.
    pub quality: u8,
    /// The colour behind results of jobs that name none, where the type has no alpha.
    pub background: Background,
    /// True where inputs that end early are read as far as they go.
    pub accept_cut: bool,
    pub memory: Arc<Budget>,
}

/// What to render.
pub(crate) struct Order {
    pub graph: Arc<ImageGraph>,
    pub parameters: BTreeMap<String, String>,
    /// The input file.
    pub input: Option<Bytes>,
    pub format: FileFormat,
    /// How the result is written; where it says no number, the renderer's own holds.
    pub quality: Quality,
    /// The colour behind the result where the type has no alpha; `None`: the renderer's own.
    pub background: Option<Background>,
    pub urgency: Urgency,
}

impl Order {
    /// How the result is written. `number` and `background`: quality and background where the order says none.
    fn options(&self, number: u8, background: Background) -> EncodeOptions {
        let Quality { number: said, small, progressive, .. } = self.quality;
        EncodeOptions {
            format: self.format,
            quality: said.unwrap_or(number),
            small,
            progressive,
            full_chroma: self.quality.full_chroma(number),
            background: self.background.unwrap_or(background).rgb,
        }
    }
}

/// A finished picture.
#[derive(Debug)]
pub(crate) struct Picture {
    pub bytes: Bytes,
    pub input_size: Option<(u32, u32)>,
    pub output_size: (u32, u32),
}

/// All that is known before pixels are touched.
struct Prepared {
    plan: Plan,
    header: Option<Header>,
    /// Bytes that the whole will take at its peak.
    memory: u64,
    /// True when it is rendered by this plan however much detail the input has.
    settled: bool,
}

/// Result of carrying out a plan.
enum Outcome {
    Picture(Picture),
    /// The input has too much detail for the plan: the order is handed back.
    Detailed(Box<(Order, Prepared)>),
}

impl Renderer {
    /// Renders on blocking threads; `cancel` stops it there, too, when this future is dropped.
    pub(crate) async fn render(self: &Arc<Self>, order: Order, cancel: &Cancel) -> Result<Picture, Error> {
        let this = Arc::clone(self);
        let planned = blocking(move || this.prepare(&order, None).map(|prepared| (order, prepared))).await?;
        let (mut order, mut prepared) = planned;
        loop {
            match self.admitted(order, prepared, cancel).await? {
                Outcome::Picture(picture) => return Ok(picture),
                Outcome::Detailed(given_back) => {
                    let (this, (given_back, first)) = (Arc::clone(self), *given_back);
                    (order, prepared) = blocking(move || Ok(this.for_detail(given_back, first))).await?;
                }
            }
        }
    }

    /// The plan for an input that has much detail; the first one where that would be over a limit.
    fn for_detail(&self, order: Order, first: Prepared) -> (Order, Prepared) {
        let shape = first.plan.input().map(InputShape::detailed);
        let detailed = self.prepare(&order, shape).ok();
        let allowed = |prepared: &Prepared| prepared.memory <= self.limits.max_job_memory;
        (order, detailed.filter(allowed).unwrap_or(Prepared { settled: true, ..first }))
    }

    /// Renders when there is memory for it.
    async fn admitted(self: &Arc<Self>, order: Order, prepared: Prepared, cancel: &Cancel) -> Result<Outcome, Error> {
        tracing::debug!(memory = prepared.memory, cost = prepared.plan.cost(), "planned");
        let over = |limit, setting| JobError::over("bytes of memory for this job", prepared.memory, limit, setting);
        if prepared.memory > self.limits.max_job_memory {
            return Err(over(self.limits.max_job_memory, "IMGFLO_MAX_JOB_MEMORY").into());
        }
        let admission = self
            .memory
            .admit(prepared.memory, order.urgency)
            .await
            .map_err(|error| over(error.budget, "IMGFLO_MEMORY_BYTES"))?;
        let (this, cancel) = (Arc::clone(self), cancel.clone());
        blocking(move || {
            // The memory is in use for as long as this thread works, also when nobody waits for it any more.
            let _admission = admission;
            this.pixels(order, prepared, &cancel)
        })
        .await
    }

    /// `known`: the shape of the input, where more is known of it than its header says.
    fn prepare(&self, order: &Order, known: Option<InputShape>) -> Result<Prepared, Error> {
        let arguments = arguments(&order.graph, &order.parameters)?;
        let header = match &order.input {
            Some(bytes) if order.graph.takes_input() => Some(self.header(bytes)?),
            _ => None,
        };
        let shape = known.or_else(|| header.as_ref().map(InputShape::from));
        let limits =
            PlanLimits { max_output_pixels: self.limits.max_output_pixels, max_memory: self.limits.max_job_memory };
        let plan = Plan::new(&order.graph, &arguments, shape, &self.catalogue, &limits).map_err(unplanned)?;
        if order.format == FileFormat::Avif && plan.output().area() > self.limits.max_avif_pixels {
            return Err(JobError::too_large_for_avif(plan.output().area(), self.limits.max_avif_pixels).into());
        }
        self.affordable(&plan, order.urgency)?;
        let file = order.input.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let memory = memory(header.as_ref(), file, &plan, order.options(self.quality, self.background));
        Ok(Prepared { plan, header, memory, settled: false })
    }

    /// Refuses what takes too much processor time.
    fn affordable(&self, plan: &Plan, urgency: Urgency) -> Result<(), JobError> {
        let Limits { max_urgent_cpu_seconds: urgent, max_background_cpu_seconds: background, .. } = self.limits;
        let (limit, setting) = match urgency {
            Urgency::Urgent => (urgent, "IMGFLO_MAX_URGENT_CPU_SECONDS"),
            Urgency::Background => (background, "IMGFLO_MAX_BACKGROUND_CPU_SECONDS"),
        };
        let time = plan.processor_time();
        if time <= Duration::from_secs(limit) {
            return Ok(());
        }
        let seconds = time.as_secs_f64().ceil() as u64;
        let mut error = JobError::over("seconds of processor time, as predicted", seconds, limit, setting);
        if urgency == Urgency::Urgent && seconds <= background {
            error.message += "; it can be made in the background: POST to the same address, and ask again later";
        }
        Err(match plan.costliest() {
            Some(process) => error.at(process),
            None => error,
        })
    }

    /// The header of an input within limits.
    fn header(&self, bytes: &[u8]) -> Result<Header, Error> {
        let header = codec::read_header(bytes).map_err(|error| self.unreadable(error))?;
        let side = u64::from(header.width.max(header.height));
        if side > self.limits.max_input_side {
            return Err(over_side(&header, self.limits.max_input_side).into());
        }
        let pixels = u64::from(header.width) * u64::from(header.height);
        if pixels > self.limits.max_input_pixels {
            return Err(over_pixels(&header, self.limits.max_input_pixels).into());
        }
        Ok(header)
    }

    fn pixels(&self, order: Order, prepared: Prepared, cancel: &Cancel) -> Result<Outcome, Error> {
        cancel.check().map_err(stopped)?;
        let options = order.options(self.quality, self.background);
        let input_size = prepared.header.map(|header| (header.width, header.height));
        let side = u32::try_from(self.limits.max_input_side).unwrap_or(u32::MAX);
        let limits =
            DecodeLimits { accept_cut: self.accept_cut, ..DecodeLimits::new(self.limits.max_input_pixels, side) };
        if let (Some(bytes), true) = (&order.input, prepared.plan.hands_on_the_input()) {
            let recoded = codec::recode(bytes, options, limits, cancel).map_err(|error| self.unreadable(error))?;
            if let (Some(bytes), Some(size)) = (recoded, input_size) {
                return Ok(Outcome::Picture(Picture { bytes: bytes.into(), input_size, output_size: size }));
            }
        }
        let image = match (&order.input, prepared.header) {
            // One of which nothing is needed is read all the same: a broken one is a fault.
            (Some(bytes), Some(_)) => {
                let part = prepared.plan.part();
                let image = match prepared.plan.detail().filter(|_| !prepared.settled) {
                    Some(detail) => codec::decode_smooth(bytes, part, detail, limits, cancel),
                    None => codec::decode_part(bytes, part, limits, cancel).map(Some),
                };
                let Some(image) = image.map_err(|error| self.unreadable(error))? else {
                    return Ok(Outcome::Detailed(Box::new((order, prepared))));
                };
                Some(image)
            }
            _ => None,
        };
        // No longer needed as soon as it is decoded: it may be larger than the pictures.
        drop(order.input);
        let control = Control { cancel: cancel.clone(), progress: None };
        let image = self.engine.render(&prepared.plan, image, &control).map_err(unrendered)?;
        let bytes = codec::encode(&image, options, cancel).map_err(unwritten)?;
        let rect = image.rect();
        let output_size = (rect.width, rect.height);
        Ok(Outcome::Picture(Picture { bytes: bytes.into(), input_size, output_size }))
    }

    fn unreadable(&self, error: CodecError) -> Error {
        let job = match error {
            CodecError::Unrecognised => return crate::fetch::recognise::unsupported(&[], None).into(),
            CodecError::Broken { format, reason } => JobError::new(
                Category::BrokenInput,
                format!("the input is a broken {} file: {reason}", format.extension()),
            ),
            CodecError::Cut { format, bytes, reason } => JobError::new(
                Category::BrokenInput,
                format!(
                    "the input is a broken {} file: the file ends early, after {bytes} bytes ({reason}); \
                     IMGFLO_ACCEPT_CUT_INPUTS=true takes what is there",
                    format.extension()
                ),
            ),
            CodecError::Unsupported { format, reason } => JobError::new(
                Category::UnsupportedType,
                format!("the input is a {} file of an unsupported kind: {reason}", format.extension()),
            ),
            CodecError::TooManyPixels { width, height, limit } => {
                let pixels = u64::from(width) * u64::from(height);
                JobError::over("input pixels", pixels, limit, "IMGFLO_MAX_INPUT_PIXELS")
            }
            CodecError::SideTooLong { width, height, limit } => JobError::over(
                "longest side of the input",
                width.max(height).into(),
                limit.into(),
                "IMGFLO_MAX_INPUT_SIDE",
            ),
            CodecError::Operation(error) => return stopped(error),
        };
        job.into()
    }
}

/// Parameters as the graph takes them; all faults at once.
fn arguments(graph: &ImageGraph, parameters: &BTreeMap<String, String>) -> Result<Arguments, JobError> {
    graph.arguments(parameters).map_err(|faults| {
        let message = faults.iter().map(|fault| format!("{}: {}", fault.parameter, fault.message)).collect::<Vec<_>>();
        JobError::new(Category::InvalidParameter, message.join("; "))
    })
}

/// Bytes that a job takes at its peak. Decoding holds the file, the pixels and what the decoder itself needs; rendering
/// holds the plan's buffers; encoding holds the result and what the encoder needs, the new file included.
/// What codecs need was measured at 24 megapixels, for the costliest kind of each format; AVIF at 2.
fn memory(header: Option<&Header>, file: u64, plan: &Plan, written: EncodeOptions) -> u64 {
    let in_scans = written.small || written.progressive;
    let recoding = header.and_then(|header| header.recoding_memory).filter(|_| plan.hands_on_the_input());
    if let (Some(recoding), FileFormat::Jpeg, false) = (recoding, written.format, in_scans) {
        return file.saturating_add(recoding).saturating_add(FIXED_BYTES);
    }
    let decoding = header.map_or(0, |header| {
        let whole = u64::from(header.width) * u64::from(header.height);
        let pixels = plan.part().map_or(whole, |part| part.window.area());
        pixels * header.pixel_format().bytes_per_pixel() as u64 + header.working_memory
    });
    let area = plan.output().area();
    let own = match written.format {
        FileFormat::Jpeg if in_scans => area * if written.full_chroma { 12 } else { 8 },
        // The file alone, which is written to a buffer that grows.
        FileFormat::Jpeg => area * if written.quality <= 90 { 2 } else { 5 } * if written.full_chroma { 2 } else { 1 },
        FileFormat::Png => area * 5,
        // What is written without loss takes more.
        FileFormat::Webp => (area * 6).max(area.min(codec::LOSSLESS_WEBP_PIXELS) * 20),
        FileFormat::Gif => 0,
        FileFormat::Avif => area * if written.full_chroma { 60 } else { 40 },
    };
    let encoding = area * plan.output_format().bytes_per_pixel() as u64 + own;
    file.saturating_add(decoding).max(plan.peak_memory()).max(encoding).saturating_add(FIXED_BYTES)
}

fn over_pixels(header: &Header, limit: u64) -> JobError {
    let (width, height) = (header.width, header.height);
    let pixels = u64::from(width) * u64::from(height);
    let what = format!("input pixels ({width} x {height})");
    JobError::over(&what, pixels, limit, "IMGFLO_MAX_INPUT_PIXELS")
}

fn over_side(header: &Header, limit: u64) -> JobError {
    let (width, height) = (header.width, header.height);
    let what = format!("longest side of the input ({width} x {height})");
    JobError::over(&what, width.max(height).into(), limit, "IMGFLO_MAX_INPUT_SIDE")
}

fn unplanned(error: PlanError) -> Error {
    let node = error.node().map(str::to_owned);
    let job = match error {
        PlanError::TooLarge { what: Measure::OutputPixels, value, limit, .. } => {
            JobError::over("output pixels", value, limit, "IMGFLO_MAX_OUTPUT_PIXELS")
        }
        PlanError::TooLarge { what: Measure::Memory, value, limit, .. } => {
            JobError::over("bytes of memory for this job", value, limit, "IMGFLO_MAX_JOB_MEMORY")
        }
        PlanError::NoPicture { message, .. } => JobError::new(Category::InvalidParameter, message),
        PlanError::Failed { message, .. } => JobError::new(Category::OperationFailed, message),
        PlanError::Unbounded { .. } => JobError::new(
            Category::InvalidParameter,
            "the picture has no bounds: give width and height, or crop it in the graph",
        ),
        PlanError::InputMissing => JobError::new(Category::InvalidParameter, "the graph needs an input image"),
        PlanError::Noop | PlanError::Internal { .. } => return Error::Internal(format!("plan: {error}")),
    };
    match node {
        Some(node) => job.at(node).into(),
        None => job.into(),
    }
}

fn unrendered(error: RenderError) -> Error {
    let job = match error.kind {
        RenderErrorKind::Invalid(message) => JobError::new(Category::InvalidParameter, message),
        RenderErrorKind::Failed(message) => JobError::new(Category::OperationFailed, message),
        RenderErrorKind::OutOfMemory { bytes } => return stopped(OpError::OutOfMemory { bytes }),
        RenderErrorKind::Cancelled => return stopped(OpError::Cancelled),
        RenderErrorKind::DeadlineExceeded => return stopped(OpError::DeadlineExceeded),
        RenderErrorKind::Input { .. } | RenderErrorKind::Internal(_) => {
            return Error::Internal(format!("render: {error}"));
        }
    };
    match error.node {
        Some(node) => job.at(node).into(),
        None => job.into(),
    }
}

fn unwritten(error: CodecError) -> Error {
    match error {
        CodecError::Unsupported { format, reason } => {
            let message = format!("the result cannot be written as {}: {reason}", format.extension());
            JobError::new(Category::InvalidParameter, message).into()
        }
        CodecError::Operation(error) => stopped(error),
        error => Error::Internal(format!("encode: {error}")),
    }
}

/// What stops work in the middle.
pub(crate) fn stopped(error: OpError) -> Error {
    match error {
        OpError::Cancelled => JobError::new(Category::Cancelled, "nobody waits for this image any more").into(),
        OpError::DeadlineExceeded => {
            JobError::new(Category::DeadlineExceeded, "the image was not ready in time; ask for it with POST").into()
        }
        OpError::OutOfMemory { bytes } => {
            tracing::error!(bytes, "out of memory");
            JobError::new(Category::Overloaded, "there is not enough memory for this image at the moment").into()
        }
        OpError::Invalid(message) => JobError::new(Category::InvalidParameter, message).into(),
        OpError::Failed(message) => JobError::new(Category::OperationFailed, message).into(),
        OpError::MissingInput(_) => Error::Internal(error.to_string()),
    }
}

/// Runs `work` on a blocking thread; a panic there is an error here.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work)).await.unwrap_or_else(|error| {
        Err(Error::Internal(match error.try_into_panic() {
            Ok(panic) => format!("panic: {}", crate::error::panic_text(&*panic)),
            Err(error) => error.to_string(),
        }))
    })
}

#[cfg(test)]
mod tests;
