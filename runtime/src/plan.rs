//! The plan: what a graph with its arguments and one input comes to, before any pixel is touched.
//!
//! [`Plan::new`] goes over the graph twice. Forwards (`values`) each process becomes passes, with
//! the box and format of what each makes, and conversions where formats differ. Backwards
//! (`steps`) the part of each that the output needs is found, neighbouring point passes are joined,
//! and the steps are put in an order in which each buffer is freed after its last reader.

mod steps;
#[cfg(test)]
mod tests;
mod values;

pub(crate) use values::{CUT, Given, Onward, RESCALE, live, scaled};

use std::fmt;
use std::time::Duration;

use imgflo_ops::codec::{Header, Part};
use imgflo_ops::{Alpha, Area, Boxes, Depth, Detail, Encoding, Format, Rect, Reducible, Split};

use crate::chain::{Chain, Stage};
use crate::{Arguments, Catalogue, ImageGraph};

/// Processor time of a unit of cost, s: the median of what `tests/cost.rs` measures.
const SECONDS_A_UNIT: f64 = 2e-9;

/// The size and format of the picture that enters a graph, known from its file's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputShape {
    /// Width, pixels.
    pub width: u32,
    /// Height, pixels.
    pub height: u32,
    /// The format its pixels will have.
    pub format: Format,
    /// When its decoder can make it smaller and leave parts out.
    pub reducible: Option<Reducible>,
}

impl InputShape {
    /// A picture that is there as a whole.
    pub fn new(width: u32, height: u32, format: Format) -> Self {
        InputShape { width, height, format, reducible: None }
    }

    /// The same, known to have much detail: read in full where it is scaled.
    pub fn detailed(self) -> Self {
        InputShape { reducible: self.reducible.map(Reducible::detailed), ..self }
    }
}

impl From<&Header> for InputShape {
    fn from(header: &Header) -> Self {
        let (width, height, format) = (header.width, header.height, header.pixel_format());
        InputShape { width, height, format, reducible: header.reducible }
    }
}

/// What is looked at of a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sight {
    /// The part of it.
    pub window: Rect,
    /// Width it is shown in, pixels.
    pub width: u32,
    /// Height it is shown in, pixels.
    pub height: u32,
}

/// What a graph comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Extent {
    /// What its output covers.
    pub output: Rect,
    /// Pixels of the largest picture on the way that has an end.
    pub largest: u64,
}

/// Limits a plan must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanLimits {
    /// Most pixels of the result, width × height.
    pub max_output_pixels: u64,
    /// Most bytes of pixel buffers held at once.
    pub max_memory: u64,
}

/// What of a plan was too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Pixels of the result, against [`PlanLimits::max_output_pixels`].
    OutputPixels,
    /// Bytes of pixel buffers, against [`PlanLimits::max_memory`].
    Memory,
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Measure::OutputPixels => "output pixels",
            Measure::Memory => "bytes of pixel buffers",
        })
    }
}

/// Why a graph cannot be planned with these arguments and this input.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// The arguments make no picture.
    #[error("process '{node}': {message}")]
    NoPicture {
        /// The process.
        node: String,
        /// What is wrong and what would be right.
        message: String,
    },
    /// Code that is not ours failed before there were pixels.
    #[error("process '{node}': {message}")]
    Failed {
        /// The process.
        node: String,
        /// What happened.
        message: String,
    },
    /// A picture without end is asked for.
    #[error("process '{node}' has no bounds; add gegl/crop, or give width and height where nothing goes in")]
    Unbounded {
        /// The process.
        node: String,
    },
    /// Over a limit.
    #[error("process '{node}': {value} {what} are more than the limit of {limit}")]
    TooLarge {
        /// The process.
        node: String,
        /// What was measured.
        what: Measure,
        /// How much it was.
        value: u64,
        /// How much it may be.
        limit: u64,
    },
    /// The graph takes an input and there is none.
    #[error("the graph needs an input image")]
    InputMissing,
    /// A graph of the noop runtime: its input is its result, there is nothing to run.
    #[error("a noop graph hands its input on and has no plan")]
    Noop,
    /// An operation broke its contract.
    #[error("process '{node}': internal error: {message}")]
    Internal {
        /// The process.
        node: String,
        /// What is wrong; for the log.
        message: String,
    },
}

impl PlanError {
    /// The process it happened in.
    pub fn node(&self) -> Option<&str> {
        match self {
            PlanError::NoPicture { node, .. }
            | PlanError::Failed { node, .. }
            | PlanError::Unbounded { node }
            | PlanError::TooLarge { node, .. }
            | PlanError::Internal { node, .. } => Some(node),
            PlanError::InputMissing | PlanError::Noop => None,
        }
    }
}

/// A process as messages name it.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    pub process: String,
    pub component: String,
}

/// A picture in memory while a plan runs; only the part that someone reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buffer {
    /// The part in memory.
    pub rect: Rect,
    /// What the whole would cover.
    pub bounds: Rect,
    pub format: Format,
}

impl Buffer {
    pub fn bytes(&self) -> u64 {
        self.rect.area().saturating_mul(self.format.bytes_per_pixel() as u64)
    }
}

/// How an area pass reads an input pad.
#[derive(Debug)]
pub(crate) struct Read {
    pub source: Source,
    /// What the whole input covers.
    pub bounds: Rect,
    pub format: Format,
}

/// Where the pixels of an input pad are.
#[derive(Debug)]
pub(crate) enum Source {
    /// None is needed.
    Nothing,
    /// In a buffer.
    Buffer(usize),
    /// Nowhere yet: each tile makes the part it needs.
    Tile(Box<Task>),
}

/// What makes pixels.
#[derive(Debug)]
pub(crate) enum Work {
    /// An area pass.
    Area {
        area: Box<dyn Area>,
        boxes: Vec<Option<Rect>>,
        origin: Option<Rect>,
        reads: Vec<Option<Read>>,
        /// What comes out of the pass, before the task's chain.
        format: Format,
    },
    /// The pixels of a buffer, in the same place.
    Map(usize),
}

/// An area pass or a read of a buffer, and a chain of point passes and conversions after it: what
/// runs on a band of pixels in one go.
#[derive(Debug)]
pub(crate) struct Task {
    pub node: usize,
    pub work: Work,
    pub chain: Chain,
}

impl Task {
    /// Bytes that an area pass takes beside its buffers. One that is done on the fly is cut into
    /// tiles.
    pub(crate) fn working_memory(&self) -> u64 {
        match &self.work {
            Work::Map(_) => 0,
            Work::Area { area, boxes: rects, origin, .. } => area.working_memory(boxes(rects, *origin)),
        }
    }
}

/// One pass over a picture.
#[derive(Debug)]
pub(crate) struct Step {
    pub task: Task,
    pub split: Split,
    pub output: usize,
    /// True when the output takes the place of the buffer that the task reads.
    pub in_place: bool,
    /// Pixels × weight.
    pub cost: f64,
    /// Buffers that nobody reads after this step.
    pub frees: Vec<usize>,
}

/// What is to be done for one picture: immutable, shared by threads, made without touching a pixel.
///
/// The last step leaves 8-bit pixels, converted while they are still in the cache: all that the
/// encoders write.
#[derive(Debug)]
pub struct Plan {
    pub(crate) graph: String,
    pub(crate) nodes: Vec<Name>,
    pub(crate) input: Option<InputShape>,
    /// Eighths of the input's size that it is read at.
    pub(crate) eighths: u32,
    /// The detail that may be left out then.
    pub(crate) detail: Option<Detail>,
    /// Where the input goes, when anything of it is needed.
    pub(crate) input_buffer: Option<usize>,
    /// Where pictures go that are there already, of which anything is needed.
    pub(crate) given: Vec<Option<usize>>,
    pub(crate) buffers: Vec<Buffer>,
    pub(crate) steps: Vec<Step>,
    pub(crate) result: usize,
    /// The box of the picture at the start of the result's chain of `input` pads.
    pub(crate) origin: Option<Rect>,
    pub(crate) cost: f64,
    pub(crate) peak_memory: u64,
}

impl Plan {
    /// Plans `graph` with `arguments` on an input of the shape `input`.
    ///
    /// `input` is ignored where the graph takes none. `catalogue` holds the operations behind the
    /// `width` and `height` that a host adds: `imgflo/resize` before the graph, or
    /// `gegl/crop` after a graph without input.
    ///
    /// # Errors
    /// [`PlanError`]; limits are checked here, so nothing large has been allocated by then.
    pub fn new(
        graph: &ImageGraph,
        arguments: &Arguments,
        input: Option<InputShape>,
        catalogue: &Catalogue,
        limits: &PlanLimits,
    ) -> Result<Plan, PlanError> {
        Plan::looked_at(graph, arguments, input, None, catalogue, limits)
    }

    /// As [`Plan::new`], of what is looked at of the result.
    pub(crate) fn looked_at(
        graph: &ImageGraph,
        arguments: &Arguments,
        input: Option<InputShape>,
        sight: Option<Sight>,
        catalogue: &Catalogue,
        limits: &PlanLimits,
    ) -> Result<Plan, PlanError> {
        let expansion = values::expand(graph, arguments, input, sight, catalogue)?;
        let mut plan = Plan::of(expansion, limits)?;
        plan.graph = graph.name().to_owned();
        Ok(plan)
    }

    /// Plans the way on from pictures that are there already.
    pub(crate) fn onward(onward: &Onward<'_>, catalogue: &Catalogue, limits: &PlanLimits) -> Result<Plan, PlanError> {
        let mut plan = Plan::of(values::expand_onward(onward, catalogue)?, limits)?;
        plan.graph = onward.graph.name().to_owned();
        Ok(plan)
    }

    /// Plans what is looked at of a picture that is there already.
    pub(crate) fn sight(
        picture: &Given,
        sight: Sight,
        catalogue: &Catalogue,
        limits: &PlanLimits,
    ) -> Result<Plan, PlanError> {
        Plan::of(values::expand_sight(picture, sight, catalogue)?, limits)
    }

    fn of(expansion: values::Expansion, limits: &PlanLimits) -> Result<Plan, PlanError> {
        let bounds = expansion.values[expansion.output].bounds;
        let node = || expansion.output_node.clone();
        if bounds.is_infinite() {
            return Err(PlanError::Unbounded { node: node() });
        }
        if bounds.area() > limits.max_output_pixels {
            return Err(PlanError::TooLarge {
                node: node(),
                what: Measure::OutputPixels,
                value: bounds.area(),
                limit: limits.max_output_pixels,
            });
        }
        let origin = expansion.values[expansion.output].origin;
        let mut plan = steps::schedule(expansion, limits)?;
        plan.origin = origin;
        Ok(plan)
    }

    /// What a graph comes to on an input of that shape, without a plan.
    pub(crate) fn extent(
        graph: &ImageGraph,
        arguments: &Arguments,
        input: Option<InputShape>,
        catalogue: &Catalogue,
    ) -> Result<Extent, PlanError> {
        let expansion = values::expand(graph, arguments, input, None, catalogue)?;
        let finite = expansion.values.iter().map(|value| value.bounds).filter(|bounds| !bounds.is_infinite());
        let largest = finite.map(|bounds| bounds.area()).max().unwrap_or(0);
        Ok(Extent { output: expansion.values[expansion.output].bounds, largest })
    }

    /// The box of the result; its corner is at (0, 0).
    pub fn output(&self) -> Rect {
        let rect = self.buffers[self.result].rect;
        Rect::sized(rect.width, rect.height)
    }

    /// The format of the result: [`Format::RGB8`] or [`Format::RGBA8`].
    pub fn output_format(&self) -> Format {
        self.buffers[self.result].format
    }

    /// The shape of the input it was made for; `None` where the graph takes none.
    pub fn input(&self) -> Option<InputShape> {
        self.input
    }

    /// What of the input's file is to be decoded: the picture that the engine takes. `None` where
    /// nothing of it is needed.
    pub fn part(&self) -> Option<Part> {
        Some(Part { eighths: self.eighths, window: self.buffers[self.input_buffer?].rect })
    }

    /// The detail that the input may leave out when it is read as small as the plan says; where it leaves out more, a plan
    /// for the [detailed](InputShape::detailed) input is needed. `None` where that makes no difference.
    pub fn detail(&self) -> Option<Detail> {
        self.detail.filter(|_| self.input_buffer.is_some())
    }

    /// True when the result is the input, as it is.
    pub fn hands_on_the_input(&self) -> bool {
        self.steps.is_empty()
            && self.input_buffer == Some(self.result)
            && self.eighths == 8
            && self.buffers[self.result].rect == self.buffers[self.result].bounds
    }

    /// Work, in pixels × weight of what is done to each; copying a pixel is 1.
    pub fn cost(&self) -> f64 {
        self.cost
    }

    /// Processor time that rendering takes, of all threads together, as predicted: within a factor of four or so, on a
    /// processor like those of `docs/PERFORMANCE.md`. Reading the input and writing the result are not counted.
    pub fn processor_time(&self) -> Duration {
        Duration::try_from_secs_f64(self.cost * SECONDS_A_UNIT).unwrap_or(Duration::MAX)
    }

    /// The process that most of the work is done in.
    pub fn costliest(&self) -> Option<&str> {
        let step = self.steps.iter().max_by(|a, b| a.cost.total_cmp(&b.cost))?;
        Some(&self.nodes[step.task.node].process)
    }

    /// Most bytes of pixel buffers held at once, the input and what passes need beside included. The
    /// tiles in work come on top:
    /// some 200 kB a thread for each area pass and each input that one step makes on the fly, and
    /// a few MB where a picture has sides of more than 10 000 pixels.
    pub fn peak_memory(&self) -> u64 {
        self.peak_memory
    }
}

pub(crate) fn boxes(inputs: &[Option<Rect>], origin: Option<Rect>) -> Boxes<'_> {
    Boxes { inputs, origin }
}

/// The name the documentation uses for a format.
pub(crate) fn format_name(format: Format) -> &'static str {
    match (format.depth, format.encoding, format.alpha) {
        (Depth::U8, _, Alpha::None) => "RGB8",
        (Depth::U8, _, _) => "RGBA8",
        (Depth::F32, Encoding::Linear, Alpha::None) => "linear RGB",
        (Depth::F32, Encoding::Linear, Alpha::Straight) => "linear RGBA",
        (Depth::F32, Encoding::Linear, Alpha::Premultiplied) => "linear RGBA premultiplied",
        (Depth::F32, Encoding::Coded, Alpha::None) => "coded RGB",
        (Depth::F32, Encoding::Coded, Alpha::Straight) => "coded RGBA",
        (Depth::F32, Encoding::Coded, Alpha::Premultiplied) => "coded RGBA premultiplied",
    }
}

fn size(rect: Rect) -> String {
    if rect.is_infinite() {
        return "unbounded".into();
    }
    format!("{}x{}{:+}{:+}", rect.width, rect.height, rect.x, rect.y)
}

impl Plan {
    fn describe(&self, task: &Task, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &task.work {
            Work::Area { reads, format, .. } => {
                let Name { process, component } = &self.nodes[task.node];
                write!(f, "{process} ({component}) in {}", format_name(*format))?;
                for read in reads.iter().flatten() {
                    match &read.source {
                        Source::Nothing => write!(f, ", from nothing")?,
                        Source::Buffer(buffer) => write!(f, ", from #{buffer}")?,
                        Source::Tile(task) => {
                            write!(f, ", from [")?;
                            self.describe(task, f)?;
                            write!(f, "]")?;
                        }
                    }
                }
            }
            Work::Map(buffer) => write!(f, "#{buffer}")?,
        }
        for (index, stage) in task.chain.stages.iter().enumerate() {
            f.write_str(if index == 0 { ", then " } else { ", " })?;
            match stage {
                Stage::Convert { to, .. } => write!(f, "to {}", format_name(*to))?,
                Stage::Point { node, .. } => write!(f, "{}", self.nodes[*node].process)?,
            }
        }
        Ok(())
    }
}

/// One line a step: the box and format it makes, from which processes and buffers. What is in
/// brackets is made by each tile for itself.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "plan of {}", self.graph)?;
        if let Some(input) = self.input {
            write!(f, "  input {}x{} {}", input.width, input.height, format_name(input.format))?;
            match self.input_buffer {
                Some(buffer) => {
                    if self.eighths < 8 {
                        write!(f, ", read at {}/8", self.eighths)?;
                    }
                    if self.buffers[buffer].rect != self.buffers[buffer].bounds {
                        write!(f, ", of it {}", size(self.buffers[buffer].rect))?;
                    }
                    writeln!(f, " = #{buffer}")?;
                }
                None => writeln!(f, ", not read")?,
            }
        }
        for step in &self.steps {
            let output = &self.buffers[step.output];
            write!(f, "  #{} {} {}: ", step.output, size(output.rect), format_name(output.format))?;
            self.describe(&step.task, f)?;
            match step.split {
                Split::Free => {}
                Split::Rows => write!(f, "; in rows")?,
                Split::Columns => write!(f, "; in columns")?,
                Split::Whole => write!(f, "; in one")?,
            }
            if step.in_place {
                write!(f, "; in place")?;
            }
            for freed in &step.frees {
                write!(f, "; frees #{freed}")?;
            }
            writeln!(f)?;
        }
        writeln!(
            f,
            "  result #{}: {}x{} {}, cost {:.1} M, peak memory {:.1} MB",
            self.result,
            self.output().width,
            self.output().height,
            format_name(self.output_format()),
            self.cost / 1e6,
            self.peak_memory as f64 / 1e6
        )
    }
}
