//! The native engine: plans rendered in this process, on all cores.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use imgflo_fbp::info::Component;
use imgflo_ops::{Area, Boxes, Format, Image, OpError, Rect, Tile, View};
use rayon::prelude::*;

use crate::chain::{Runner, renamed};
use crate::plan::{Read, Source, Step, Task, Work, boxes, format_name};
use crate::{Catalogue, Control, Engine, Plan, RenderError, RenderErrorKind, tiles};

/// Renders plans in this process.
///
/// The steps of a plan run one after another; the output of each is cut into tiles, which its
/// threads share.
#[derive(Debug)]
pub struct NativeEngine {
    catalogue: Catalogue,
    /// `None` when the system gives no threads: then the caller's does all.
    pool: Option<rayon::ThreadPool>,
    threads: usize,
    tile_bytes: u64,
}

/// What a rendering took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Passes over pixels.
    pub steps: usize,
    /// Buffers allocated, the input not counted.
    pub buffers: usize,
    /// Most bytes of buffers held at once, the input and what passes say that they need included.
    pub peak_memory: u64,
}

impl NativeEngine {
    /// An engine with that many threads; 0 is one for each core.
    pub fn new(threads: usize) -> Self {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("render-{index}"))
            .build()
            .inspect_err(|error| tracing::warn!(%error, "no threads to render with; rendering goes on without"))
            .ok();
        let threads = pool.as_ref().map_or(1, rayon::ThreadPool::current_num_threads);
        NativeEngine { catalogue: Catalogue::native(), pool, threads, tile_bytes: tiles::TILE_BYTES }
    }

    /// Threads that it renders with.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// As [`Engine::render`]; says what it took as well.
    ///
    /// # Errors
    /// As [`Engine::render`].
    pub fn render_measured(
        &self,
        plan: &Plan,
        input: Option<Image>,
        control: &Control,
    ) -> Result<(Image, Statistics), RenderError> {
        let input = admitted(plan, input)?;
        let (image, statistics) = self.run(plan, input, &[], control)?;
        // Nobody else has it: what stays with its givers is in plans of another kind.
        let image = Arc::into_inner(image).ok_or_else(|| internal("the result is not ours"))?;
        Ok((image.moved_to(0, 0), statistics))
    }

    /// Renders a plan that begins with pictures that are there already, in its order. The result stays where it
    /// is; it is one of them where nothing is to be done to it.
    pub(crate) fn render_given(
        &self,
        plan: &Plan,
        given: &[Arc<Image>],
        control: &Control,
    ) -> Result<Arc<Image>, RenderError> {
        self.run(plan, None, given, control).map(|(image, _)| image)
    }

    fn run(
        &self,
        plan: &Plan,
        input: Option<Image>,
        given: &[Arc<Image>],
        control: &Control,
    ) -> Result<(Arc<Image>, Statistics), RenderError> {
        let mut slots: Vec<Option<Arc<Image>>> = (0..plan.buffers.len()).map(|_| None).collect();
        if let Some(buffer) = plan.input_buffer {
            slots[buffer] = input.map(Arc::new);
        }
        for (buffer, image) in plan.given.iter().zip(given) {
            if let Some(buffer) = *buffer {
                slots[buffer] = Some(Arc::clone(image));
            }
        }
        let mut memory = Memory::default();
        memory.hold(slots.iter().flatten().map(|image| bytes(image)).sum());
        let meter = Meter::new(plan, control);
        for step in &plan.steps {
            let failed = |error: OpError| RenderError { node: Some(name(plan, step.task.node)), kind: error.into() };
            control.cancel.check().map_err(failed)?;
            let buffer = plan.buffers[step.output];
            let mut output = match &step.task.work {
                Work::Map(source) if step.in_place => {
                    slots[*source].take().and_then(Arc::into_inner).ok_or_else(|| missing(plan, step))?
                }
                _ => {
                    let image = Image::new(buffer.rect, buffer.format).map_err(failed)?;
                    memory.hold(bytes(&image));
                    memory.statistics.buffers += 1;
                    image
                }
            };
            let beside = step.task.working_memory();
            memory.hold(beside);
            let work = StepWork { plan, step, slots: &slots, control, meter: &meter };
            match &self.pool {
                Some(pool) => pool.install(|| work.run(&mut output, self.threads, self.tile_bytes))?,
                None => work.run(&mut output, 1, self.tile_bytes)?,
            }
            memory.free(beside);
            if output.format() != buffer.format {
                output = renamed(output, buffer.format);
            }
            slots[step.output] = Some(Arc::new(output));
            for freed in &step.frees {
                memory.free(slots[*freed].take().map_or(0, |image| bytes(&image)));
            }
            memory.statistics.steps += 1;
        }
        let result = slots[plan.result].take().ok_or_else(|| internal("the result is not there"))?;
        meter.finish();
        Ok((result, memory.statistics))
    }
}

impl Engine for NativeEngine {
    fn describe(&self) -> Vec<Component> {
        self.catalogue.components()
    }

    fn render(&self, plan: &Plan, input: Option<Image>, control: &Control) -> Result<Image, RenderError> {
        self.render_measured(plan, input, control).map(|(image, _)| image)
    }
}

/// The input, if it is what the plan was made for. Where the graph takes none it is dropped.
fn admitted(plan: &Plan, input: Option<Image>) -> Result<Option<Image>, RenderError> {
    let Some(shape) = plan.input else { return Ok(None) };
    let describe = |width, height, format: Format| format!("{width} x {height} {}", format_name(format));
    let whole = Rect::sized(shape.width, shape.height);
    let part = plan.part().map_or(whole, |part| part.window);
    let expected = describe(part.width, part.height, shape.format);
    let wrong =
        |found: String| RenderError { node: None, kind: RenderErrorKind::Input { found, expected: expected.clone() } };
    let input = input.ok_or_else(|| wrong("missing".into()))?;
    let rect = input.rect();
    if (rect.width, rect.height, input.format()) != (part.width, part.height, shape.format) {
        return Err(wrong(describe(rect.width, rect.height, input.format())));
    }
    Ok(Some(input.moved_to(part.x, part.y)))
}

fn name(plan: &Plan, node: usize) -> String {
    plan.nodes[node].process.clone()
}

fn missing(plan: &Plan, step: &Step) -> RenderError {
    let kind = RenderErrorKind::Internal("a buffer is not there".into());
    RenderError { node: Some(name(plan, step.task.node)), kind }
}

fn internal(message: &str) -> RenderError {
    RenderError { node: None, kind: RenderErrorKind::Internal(message.into()) }
}

fn bytes(image: &Image) -> u64 {
    image.rect().area() * image.format().bytes_per_pixel() as u64
}

/// Bytes held by buffers.
#[derive(Default)]
struct Memory {
    held: u64,
    statistics: Statistics,
}

impl Memory {
    fn hold(&mut self, bytes: u64) {
        self.held += bytes;
        self.statistics.peak_memory = self.statistics.peak_memory.max(self.held);
    }

    fn free(&mut self, bytes: u64) {
        self.held -= bytes;
    }
}

/// Adds up what is done and tells the progress.
struct Meter<'r> {
    control: &'r Control,
    total: f64,
    done: Mutex<f64>,
}

impl<'r> Meter<'r> {
    fn new(plan: &Plan, control: &'r Control) -> Self {
        Meter { control, total: plan.cost.max(f64::MIN_POSITIVE), done: Mutex::new(0.0) }
    }

    fn add(&self, cost: f64) {
        if let Some(progress) = &self.control.progress {
            // A panic of an earlier callback is no reason to lose count.
            let mut done = self.done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *done += cost;
            progress((*done / self.total).min(1.0));
        }
    }

    fn finish(&self) {
        if let Some(progress) = &self.control.progress {
            progress(1.0);
        }
    }
}

/// One step at work.
struct StepWork<'r> {
    plan: &'r Plan,
    step: &'r Step,
    slots: &'r [Option<Arc<Image>>],
    control: &'r Control,
    meter: &'r Meter<'r>,
}

impl StepWork<'_> {
    /// Fills `output` tile by tile.
    fn run(&self, output: &mut Image, threads: usize, tile_bytes: u64) -> Result<(), RenderError> {
        let rect = output.rect();
        // Tiles are as large as what is worked on. Chains work in float rows, whatever they leave, as do passes that
        // leave bytes themselves.
        let (format, fewest) = match &self.step.task.work {
            Work::Area { area, format, .. } if area.leaves(*format) => (Format::LINP, area.fewest_rows()),
            Work::Area { area, format, .. } => (*format, area.fewest_rows()),
            Work::Map(_) => (Format::LINP, tiles::FEWEST_ROWS),
        };
        let (width, height) = tiles::size(rect, format, self.step.split, fewest, threads, tile_bytes);
        let share = self.step.cost / rect.area().max(1) as f64;
        output.tiles(width, height).into_par_iter().try_for_each(|mut tile| {
            let area = tile.rect().area();
            let at = Cell::new(self.step.task.node);
            let done = catch_unwind(AssertUnwindSafe(|| {
                self.control.cancel.check()?;
                if self.step.in_place {
                    let output = self.plan.buffers[self.step.output].format;
                    Runner::new(&self.step.task.chain, tile.format(), output, &at).run_in_place(&mut tile);
                } else {
                    self.task(&self.step.task, &mut tile, &at)?;
                }
                self.meter.add(share * area as f64);
                Ok::<(), OpError>(())
            }));
            let kind = match done {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => RenderErrorKind::from(error),
                Err(panic) => RenderErrorKind::Internal(panic_text(panic.as_ref())),
            };
            Err(RenderError { node: Some(name(self.plan, at.get())), kind })
        })
    }

    /// Fills a tile with what a task makes there.
    fn task(&self, task: &Task, tile: &mut Tile<'_>, at: &Cell<usize>) -> Result<(), OpError> {
        match &task.work {
            Work::Map(buffer) => {
                let view = self.view(*buffer, self.plan.buffers[*buffer].bounds);
                Runner::new(&task.chain, view.format(), tile.format(), at).run(&view, tile);
            }
            Work::Area { area, boxes: rects, origin, reads, format } => {
                let pass = AreaWork { node: task.node, area: area.as_ref(), boxes: boxes(rects, *origin), reads };
                if task.chain.stages.is_empty() {
                    return self.area(&pass, tile, at);
                }
                // The pass leaves its pixels in the cache; the chain takes them on from there.
                let mut scratch = Image::new(tile.rect(), *format)?;
                for mut scratch in scratch.tiles(tile.rect().width, tile.rect().height) {
                    self.area(&pass, &mut scratch, at)?;
                }
                let view = scratch.view(tile.rect());
                Runner::new(&task.chain, *format, tile.format(), at).run(&view, tile);
            }
        }
        Ok(())
    }

    /// Runs an area pass, having made what it reads where no buffer holds it.
    fn area(&self, pass: &AreaWork<'_>, tile: &mut Tile<'_>, at: &Cell<usize>) -> Result<(), OpError> {
        let mut parts: Vec<Option<Image>> = Vec::with_capacity(pass.reads.len());
        for (pad, read) in pass.reads.iter().enumerate() {
            let Some(Read { source, bounds, format }) = read else {
                parts.push(None);
                continue;
            };
            parts.push(match source {
                Source::Buffer(_) => None,
                Source::Nothing => Some(Image::new(Rect::new(bounds.x, bounds.y, 0, 0), *format)?),
                Source::Tile(task) => {
                    let region = pass.area.needed(pad, tile.rect(), pass.boxes).intersect(bounds);
                    let mut part = Image::new(region, *format)?;
                    for mut part in part.tiles(region.width, region.height) {
                        self.task(task, &mut part, at)?;
                    }
                    Some(part)
                }
            });
        }
        let view = |(part, read): (_, &Option<Read>)| {
            let Read { source, bounds, .. } = read.as_ref()?;
            match (part, source) {
                (_, Source::Buffer(buffer)) => Some(self.view(*buffer, *bounds)),
                (part, _) => Option::<&Image>::map(part, |part| part.view(*bounds)),
            }
        };
        let views = parts.iter().map(Option::as_ref).zip(pass.reads).map(view).collect::<Vec<_>>();
        at.set(pass.node);
        pass.area.render(&views, pass.boxes, tile, &self.control.cancel)
    }

    fn view(&self, buffer: usize, bounds: Rect) -> View<'_> {
        let image = self.slots[buffer].as_ref();
        image.unwrap_or_else(|| panic!("buffer #{buffer} is not there")).view(bounds)
    }
}

/// An area pass and what it reads.
struct AreaWork<'r> {
    node: usize,
    area: &'r dyn Area,
    boxes: Boxes<'r>,
    reads: &'r [Option<Read>],
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or("without a text"))
}

#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;
