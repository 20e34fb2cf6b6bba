//! Pictures of a graph while it is edited.
//!
//! An [`Evaluator`] remembers what each process of a graph made, by all that it depends on: the operation with its
//! revision and properties, and what it read. After an edit only what the edit touches is made anew, whatever the
//! graph is called and however it was edited to be what it is.
//!
//! A picture is looked at in some size. At first it is made from an input of about that size, with lengths such as
//! the radius of a blur scaled alike: a *draft*, which is quick and nearly right. An *exact* picture is the graph's
//! own, made smaller for the eye at the end.

mod remembered;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use imgflo_ops::codec::{self, CodecError, DecodeLimits, Header};
use imgflo_ops::{Image, Rect};
use sha2::{Digest, Sha256};

use crate::image_graph::Feed;
use crate::plan::{Extent, Onward, Sight, live, scaled};
use crate::{
    Arguments, Catalogue, Control, ImageGraph, InputShape, Measure, NativeEngine, Plan, PlanError, PlanLimits,
    RenderError, read_input,
};
use remembered::{Key, Made, Remembered};

/// How much an [`Evaluator`] may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvaluatorLimits {
    /// Limits of each plan.
    pub plan: PlanLimits,
    /// Limits of inputs.
    pub decode: DecodeLimits,
    /// Bytes of pictures that are remembered.
    pub remembered_bytes: u64,
    /// Pixels of the largest picture on the way to a draft.
    pub draft_pixels: u64,
}

/// A file that goes into graphs: read as far as its header.
#[derive(Clone, Debug)]
pub struct InputFile {
    bytes: Arc<[u8]>,
    header: Header,
    key: Key,
}

impl InputFile {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// [`CodecError`], also for a picture over the limits.
    pub fn new(bytes: impl Into<Arc<[u8]>>, limits: DecodeLimits) -> Result<InputFile, CodecError> {
        let bytes = bytes.into();
        let header = codec::read_header(&bytes)?;
        limits.check(header.width, header.height)?;
        let key = Key::of([b"file", &bytes[..]]);
        Ok(InputFile { bytes, header, key })
    }

    /// Width and height, pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.header.width, self.header.height)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }
}

/// What is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Most pixels across; 0 for no limit. Nothing is made larger than it is.
    pub width: u32,
    /// Most pixels down; 0 for no limit.
    pub height: u32,
    /// The part looked at, in pixels of the picture at its full size, from its upper left corner; all of it where
    /// there is none.
    pub window: Option<Rect>,
}

/// A picture as it is looked at.
#[derive(Clone, Debug)]
pub struct Seen {
    /// 8 bits a channel.
    pub image: Arc<Image>,
    /// Width and height of the whole at its full size, pixels; for a picture without end, of the part that is shown.
    pub full: (u32, u32),
    /// False for a draft that an exact picture can differ from.
    pub exact: bool,
}

/// Why there is no picture.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The input cannot be read.
    #[error("the input: {0}")]
    Input(String),
    /// The graph cannot be planned.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// It cannot be rendered.
    #[error(transparent)]
    Render(#[from] RenderError),
}

impl EvaluateError {
    /// The process it happened in.
    pub fn node(&self) -> Option<&str> {
        match self {
            EvaluateError::Input(_) => None,
            EvaluateError::Plan(error) => error.node(),
            EvaluateError::Render(error) => error.node.as_deref(),
        }
    }
}

impl From<CodecError> for EvaluateError {
    fn from(error: CodecError) -> Self {
        match error {
            CodecError::Operation(error) => RenderError { node: None, kind: error.into() }.into(),
            error => EvaluateError::Input(error.to_string()),
        }
    }
}

/// Sizes of drafts' inputs are powers of this, so that a picture that changes its size a little under an edit does
/// not want another input each time.
const STEP: f64 = 0.840_896_415_253_714_5; // 2^(-1/4)

/// Side of what is shown of a picture without end where nothing else says a size, pixels.
const ENDLESS: u32 = 300;

/// Makes pictures of graphs and remembers what they are made of. Shared by threads.
#[derive(Debug)]
pub struct Evaluator {
    engine: Arc<NativeEngine>,
    /// Threads of their own for exact pictures, which may be paused.
    exact_engine: NativeEngine,
    catalogue: Arc<Catalogue>,
    limits: EvaluatorLimits,
    /// What makes inputs smaller.
    handing_on: ImageGraph,
    remembered: Mutex<Remembered>,
    renders: AtomicU64,
}

/// What a draft is made of.
#[derive(Clone, Copy)]
struct Draft<'a> {
    engine: &'a NativeEngine,
    graph: &'a ImageGraph,
    arguments: &'a Arguments,
    scale: f64,
    /// What the output covers at its full size.
    bounds: Rect,
    sight: Sight,
}

impl Evaluator {
    /// One that remembers nothing yet.
    pub fn new(engine: Arc<NativeEngine>, catalogue: Arc<Catalogue>, limits: EvaluatorLimits) -> Self {
        let remembered = Mutex::new(Remembered::new(limits.remembered_bytes));
        let handing_on = ImageGraph::handing_on(&Catalogue::native());
        let exact_engine = NativeEngine::new(engine.threads());
        Evaluator { engine, exact_engine, catalogue, limits, handing_on, remembered, renders: AtomicU64::new(0) }
    }

    /// Bytes of pictures that are remembered.
    pub fn remembered_bytes(&self) -> u64 {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner).bytes()
    }

    /// How many pictures of processes were made for drafts, and not remembered, since the start.
    pub fn renders(&self) -> u64 {
        self.renders.load(Ordering::Relaxed)
    }

    /// What a picture of the graph is made of, as a text: the same for the same pixels at any size.
    pub fn key(&self, graph: &ImageGraph, arguments: &Arguments, input: Option<&InputFile>) -> String {
        let entering = input.filter(|_| graph.takes_input()).map(|input| input.key);
        let keys = keys(graph, arguments, entering, 1.0);
        keys[graph.output()].map(|key| key.to_string()).unwrap_or_default()
    }

    /// Whether the graph makes a picture, as far as that is known before pixels are made.
    ///
    /// # Errors
    /// [`EvaluateError`].
    pub fn check(
        &self,
        graph: &ImageGraph,
        arguments: &Arguments,
        input: Option<&InputFile>,
    ) -> Result<(), EvaluateError> {
        self.extent(graph, arguments, input.filter(|_| graph.takes_input())).map(|_| ())
    }

    /// A draft of the output of `graph`: exact where that costs no more.
    ///
    /// # Errors
    /// [`EvaluateError`], soon after `control` says stop as well.
    pub fn draft(
        &self,
        graph: &ImageGraph,
        arguments: &Arguments,
        input: Option<&InputFile>,
        look: Look,
        control: &Control,
    ) -> Result<Seen, EvaluateError> {
        self.draft_on(&self.engine, graph, arguments, input, look, control)
    }

    fn draft_on(
        &self,
        engine: &NativeEngine,
        graph: &ImageGraph,
        arguments: &Arguments,
        input: Option<&InputFile>,
        look: Look,
        control: &Control,
    ) -> Result<Seen, EvaluateError> {
        let input = input.filter(|_| graph.takes_input());
        let extent = self.extent(graph, arguments, input)?;
        let (window, width, height) = look.at(extent.output, input);
        let scale = self.scale(&extent, window, width, height);
        let entering = input.map(|input| self.entering(engine, input, scale, control)).transpose()?;
        let sight = Sight { window, width, height };
        let draft = Draft { engine, graph, arguments, scale, bounds: extent.output, sight };
        let image = self.settle(&draft, entering, control)?;
        let full = if extent.output.is_infinite() { window } else { extent.output };
        Ok(Seen { image, full: (full.width, full.height), exact: scale == 1.0 })
    }

    /// The output of `graph` as it is at its full size, made smaller for the eye at the end. It is made on threads of
    /// its own: drafts go on while `control`'s progress holds them.
    ///
    /// # Errors
    /// As [`Evaluator::draft`].
    pub fn exact(
        &self,
        graph: &ImageGraph,
        arguments: &Arguments,
        input: Option<&InputFile>,
        look: Look,
        control: &Control,
    ) -> Result<Seen, EvaluateError> {
        let input = input.filter(|_| graph.takes_input());
        let extent = self.extent(graph, arguments, input)?;
        let (window, width, height) = look.at(extent.output, input);
        let full = if extent.output.is_infinite() { window } else { extent.output };
        let full = (full.width, full.height);
        if extent.largest <= self.limits.draft_pixels {
            let seen = self.draft_on(&self.exact_engine, graph, arguments, input, look, control)?;
            return Ok(Seen { exact: true, full, ..seen });
        }
        let shape = input.map(|input| InputShape::from(&input.header));
        let sight = Some(Sight { window, width, height });
        let plan = Plan::looked_at(graph, arguments, shape, sight, &self.catalogue, &self.limits.plan)?;
        let again =
            |shape| Plan::looked_at(graph, arguments, Some(shape), sight, &self.catalogue, &self.limits.plan).ok();
        let (plan, image) = match input {
            Some(input) => {
                let read = read_input(plan, &input.bytes, self.limits.decode, &control.cancel, again)?;
                (read.0, Some(read.1))
            }
            None => (plan, None),
        };
        let (image, _) = self.exact_engine.render_measured(&plan, image, control)?;
        Ok(Seen { image: Arc::new(image), full, exact: true })
    }

    fn extent(
        &self,
        graph: &ImageGraph,
        arguments: &Arguments,
        input: Option<&InputFile>,
    ) -> Result<Extent, EvaluateError> {
        let shape = input.map(|input| InputShape::from(&input.header));
        Ok(Plan::extent(graph, arguments, shape, &self.catalogue)?)
    }

    /// How large a draft is made, as a part of the full size: large enough for what is looked at, unless that is
    /// too much work.
    fn scale(&self, extent: &Extent, window: Rect, width: u32, height: u32) -> f64 {
        if extent.largest <= self.limits.draft_pixels || extent.output.is_infinite() {
            return 1.0;
        }
        let wanted = (f64::from(width) / f64::from(window.width)).max(f64::from(height) / f64::from(window.height));
        let most = (self.limits.draft_pixels as f64 / extent.largest as f64).sqrt();
        // A power that is off by the last bit is that power still.
        let steps = (wanted.ln() / STEP.ln() + 1e-6).floor().max(0.0);
        let fewest = (most.ln() / STEP.ln() - 1e-6).ceil();
        STEP.powf(steps.max(fewest))
    }

    /// The input at a scale.
    fn entering(
        &self,
        engine: &NativeEngine,
        input: &InputFile,
        scale: f64,
        control: &Control,
    ) -> Result<(Key, Made), EvaluateError> {
        let (width, height) = input.size();
        let side = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
        let (width, height) = (side(width), side(height));
        let key = Key::of([&input.key.0[..], &width.to_le_bytes(), &height.to_le_bytes()]);
        if let Some(made) = self.recall(key) {
            return Ok((key, made));
        }
        let sight = Sight { window: Rect::sized(input.header.width, input.header.height), width, height };
        let shape = InputShape::from(&input.header);
        let arguments = Arguments::default();
        let made = |shape| {
            let (graph, limits) = (&self.handing_on, &self.limits.plan);
            Plan::looked_at(graph, &arguments, Some(shape), Some(sight), &self.catalogue, limits)
        };
        let again = |shape| made(shape).ok();
        let (plan, image) = read_input(made(shape)?, &input.bytes, self.limits.decode, &control.cancel, again)?;
        let (image, _) = engine.render_measured(&plan, Some(image), control)?;
        let made = Made { origin: Some(image.rect()), image: Arc::new(image) };
        self.remember(key, made.clone());
        Ok((key, made))
    }

    /// Makes what is not remembered of the way to the output, and shows that.
    fn settle(
        &self,
        draft: &Draft<'_>,
        entering: Option<(Key, Made)>,
        control: &Control,
    ) -> Result<Arc<Image>, EvaluateError> {
        let Draft { engine, graph, arguments, scale, bounds, sight } = *draft;
        let (catalogue, limits) = (&self.catalogue, &self.limits.plan);
        let output = graph.output();
        let keys = keys(graph, arguments, entering.as_ref().map(|(key, _)| *key), scale);
        // GEGL runs a graph as a whole: what it made on the way is no way to begin from.
        let whole = graph.gegl().is_some();
        let known = |(index, key): (usize, &Option<Key>)| self.recall((*key).filter(|_| !whole || index == output)?);
        let mut made: Vec<Option<Made>> = keys.iter().enumerate().map(known).collect();
        let mut there: Vec<(Feed, Made)> = entering.into_iter().map(|(_, made)| (Feed::Graph, made)).collect();
        there.extend(made.iter().enumerate().filter_map(|(at, found)| Some((Feed::Process(at), found.clone()?))));
        let order = if whole { vec![output] } else { live(graph, output, |index| made[index].is_some()) };
        let mut readers = vec![0; graph.nodes().len()];
        for index in &order {
            processes(graph, *index).for_each(|read| readers[read] += 1);
        }
        for index in order {
            if made[index].is_some() {
                continue;
            }
            let last = index == output;
            let sight = (last && bounds.is_infinite()).then_some(sight);
            let given = there.iter().map(|(feed, made)| (*feed, made.given())).collect::<Vec<_>>();
            let onward = Onward { graph, arguments, given: &given, output: index, scale, sight };
            let plan = match Plan::onward(&onward, catalogue, limits) {
                Ok(plan) => plan,
                // A picture without end is made by those who read a part of it.
                Err(PlanError::Unbounded { .. }) if !last => continue,
                Err(error) => return Err(error.into()),
            };
            let images = there.iter().map(|(_, made)| Arc::clone(&made.image)).collect::<Vec<_>>();
            let image = engine.render_given(&plan, &images, control)?;
            self.renders.fetch_add(1, Ordering::Relaxed);
            if sight.is_some() {
                return Ok(image);
            }
            let fresh = Made { image, origin: plan.origin };
            if let Some(key) = keys[index] {
                self.remember(key, fresh.clone());
            }
            there.push((Feed::Process(index), fresh.clone()));
            made[index] = Some(fresh);
            // What nobody reads any more is held by nobody but those who remember it.
            for read in processes(graph, index) {
                readers[read] -= 1;
                if readers[read] == 0 && read != output {
                    there.retain(|(feed, _)| *feed != Feed::Process(read));
                    made[read] = None;
                }
            }
            let held = there.iter().map(|(_, made)| made.bytes()).sum::<u64>();
            if held > limits.max_memory {
                let (node, limit) = (graph.nodes()[index].name.clone(), limits.max_memory);
                return Err(PlanError::TooLarge { node, what: Measure::Memory, value: held, limit }.into());
            }
        }
        let node = || graph.nodes()[output].name.clone();
        let result = made[output].take().ok_or_else(|| PlanError::Unbounded { node: node() })?;
        let window = shrunk(sight.window, bounds, result.image.rect());
        let plan = Plan::sight(&result.given(), Sight { window, ..sight }, catalogue, limits)?;
        Ok(engine.render_given(&plan, &[result.image], control)?)
    }

    fn recall(&self, key: Key) -> Option<Made> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner).get(key)
    }

    fn remember(&self, key: Key, made: Made) {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner).put(key, made);
    }
}

impl Look {
    /// What part of a picture that covers `bounds` is shown, and in which width and height.
    fn at(&self, bounds: Rect, input: Option<&InputFile>) -> (Rect, u32, u32) {
        let side = |asked: u32| if asked == 0 { ENDLESS } else { asked };
        let whole = match input {
            _ if !bounds.is_infinite() => bounds,
            Some(input) => Rect::sized(input.header.width, input.header.height),
            None => Rect::sized(side(self.width), side(self.height)),
        };
        let window = self.window.map(|window| {
            let x = whole.x.saturating_add(window.x);
            let y = whole.y.saturating_add(window.y);
            Rect::new(x, y, window.width, window.height).intersect(&whole)
        });
        let window = window.filter(|window| !window.is_empty()).unwrap_or(whole);
        let fit = |most: u32, side: u32| if most == 0 { 1.0 } else { f64::from(most) / f64::from(side) };
        let ratio = fit(self.width, window.width).min(fit(self.height, window.height)).min(1.0);
        let side = |side: u32| ((f64::from(side) * ratio).round() as u32).max(1);
        (window, side(window.width), side(window.height))
    }
}

/// The processes that a process reads.
fn processes(graph: &ImageGraph, index: usize) -> impl Iterator<Item = usize> {
    graph.nodes()[index].inputs.iter().filter_map(|feed| match feed {
        Some(Feed::Process(read)) => Some(*read),
        _ => None,
    })
}

/// Where `window` of `full` is in a picture that covers `small`.
fn shrunk(window: Rect, full: Rect, small: Rect) -> Rect {
    let place = |at: i64, from: i64, length: u32, to: i32, side: u32| {
        i64::from(to) + ((at - from) as f64 * f64::from(side) / f64::from(length.max(1))).round() as i64
    };
    let x = |at: i64| place(at, full.x.into(), full.width, small.x, small.width);
    let y = |at: i64| place(at, full.y.into(), full.height, small.y, small.height);
    let (left, top) = (x(window.x.into()), y(window.y.into()));
    let (right, bottom) = (x(window.right()).max(left + 1), y(window.bottom()).max(top + 1));
    let found = Rect::from_edges(left, top, right, bottom).intersect(&small);
    if found.is_empty() { small } else { found }
}

/// What tells the picture of each process from others: none of those that the output does not depend on.
fn keys(graph: &ImageGraph, arguments: &Arguments, entering: Option<Key>, scale: f64) -> Vec<Option<Key>> {
    let mut keys: Vec<Option<Key>> = vec![None; graph.nodes().len()];
    for index in live(graph, graph.output(), |_| false) {
        let node = &graph.nodes()[index];
        let mut hash = Sha256::new();
        let mut add = |text: &[u8]| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        add(node.operation.info().name.as_bytes());
        add(node.operation.revision().as_bytes());
        add(if graph.gegl().is_some() { b"gegl" } else { b"" });
        add(&scale.to_le_bytes());
        add(format!("{:?}", scaled(node, arguments, scale)).as_bytes());
        for feed in &node.inputs {
            let read = match feed {
                Some(Feed::Graph) => entering,
                Some(Feed::Process(index)) => keys[*index],
                None => None,
            };
            add(read.as_ref().map_or(&[], |key| &key.0[..]));
        }
        keys[index] = Some(Key(hash.finalize().into()));
    }
    keys
}
