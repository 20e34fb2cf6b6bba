//! Forwards through the graph: passes, and the box and format of what each makes.

use std::collections::HashMap;

use imgflo_ops::{
    self as ops, Area, Depth, Detail, Format, Kind, OpError, Operand, Operation, Pass, Point, Properties, Rect,
    Reducible,
};
use serde_json::Value as Json;

use super::{InputShape, Name, PlanError, Sight, boxes};
use crate::gegl::Picture;
use crate::image_graph::{Feed, Node};
use crate::{Arguments, Catalogue, ImageGraph, RuntimeKind};

/// Index of a value; values only read values of smaller index.
pub(super) type Id = usize;

/// A picture somewhere in the graph.
#[derive(Debug)]
pub(super) struct Value {
    /// The process that makes it, an index of [`Expansion::nodes`].
    pub node: usize,
    /// What it covers.
    pub bounds: Rect,
    /// The box of the picture at the start of its chain of `input` pads.
    pub origin: Option<Rect>,
    pub format: Format,
    pub definition: Definition,
}

/// What makes a picture.
#[derive(Debug)]
pub(super) enum Definition {
    Input,
    /// Made before.
    Given,
    Convert {
        input: Id,
    },
    /// A part of another picture; its pixels unchanged.
    Window {
        input: Id,
    },
    Point {
        input: Id,
        point: Box<dyn Point>,
    },
    Area {
        area: Box<dyn Area>,
        inputs: Vec<Option<Id>>,
        boxes: Vec<Option<Rect>>,
        origin: Option<Rect>,
    },
}

/// A graph as pictures made from pictures.
#[derive(Debug)]
pub(super) struct Expansion {
    pub nodes: Vec<Name>,
    pub values: Vec<Value>,
    pub input: Option<(InputShape, Id)>,
    /// The input at its own size. Nothing reads its pixels where the input is read smaller.
    pub whole: Option<Id>,
    /// Pictures that are there already, in the order they were given in.
    pub given: Vec<Id>,
    /// Eighths of the input's size that it is read at, and the detail that may be left out then.
    pub eighths: u32,
    pub detail: Option<Detail>,
    pub output: Id,
    /// The process the output comes from, for messages.
    pub output_node: String,
}

impl Expansion {
    /// True when the pixels of that value are part of the output or are read by another value.
    fn reads(&self, id: Id) -> bool {
        let read = |value: &Value| match &value.definition {
            Definition::Input | Definition::Given => false,
            Definition::Convert { input } | Definition::Window { input } | Definition::Point { input, .. } => {
                *input == id
            }
            Definition::Area { inputs, .. } => inputs.contains(&Some(id)),
        };
        self.output == id || self.values.iter().any(read)
    }
}

#[derive(Default)]
struct Builder {
    nodes: Vec<Name>,
    values: Vec<Value>,
    converted: HashMap<(Id, Format), Id>,
    /// Set where the decoder can make the input smaller.
    reducible: Option<Reducible>,
    /// The input at its own size.
    whole: Option<Id>,
    /// The input as its decoder makes it smaller.
    reduced: Option<Smaller>,
    /// What is looked at of the output.
    sight: Option<Sight>,
}

/// An input that its decoder makes smaller.
#[derive(Clone, Copy)]
struct Smaller {
    /// The value that stands for it.
    id: Id,
    /// Eighths of its size.
    eighths: u32,
    /// The detail that may be left out then.
    detail: Option<Detail>,
}

/// The component that `width` and `height` scale an input with.
pub(crate) const RESCALE: &str = "imgflo/resize";
/// The component that `width` and `height` cut the output of a graph without input with.
pub(crate) const CUT: &str = "gegl/crop";

/// Makes the values of `graph` that its output depends on.
///
/// A file is decoded once, at one size. The first operation that can do with a smaller input gets one; where the
/// values that come of it show that something reads the pixels of the whole input as well, all are made again of that.
/// Only the values tell, because operations that change nothing hand the input on to their readers.
pub(super) fn expand(
    graph: &ImageGraph,
    arguments: &Arguments,
    input: Option<InputShape>,
    sight: Option<Sight>,
    catalogue: &Catalogue,
) -> Result<Expansion, PlanError> {
    if graph.runtime() == RuntimeKind::Noop {
        return Err(PlanError::Noop);
    }
    let reducible = input.and_then(|input| input.reducible);
    let mut expansion = expand_with(reducible, graph, arguments, input, sight, catalogue)?;
    if expansion.eighths < 8 && expansion.whole.is_some_and(|whole| expansion.reads(whole)) {
        expansion = expand_with(None, graph, arguments, input, sight, catalogue)?;
    }
    Ok(expansion)
}

/// Makes the values, with a smaller input for one operation where `reducible` allows it.
fn expand_with(
    reducible: Option<Reducible>,
    graph: &ImageGraph,
    arguments: &Arguments,
    input: Option<InputShape>,
    sight: Option<Sight>,
    catalogue: &Catalogue,
) -> Result<Expansion, PlanError> {
    let mut builder = Builder { reducible, sight, ..Builder::default() };
    let mut given = None;
    let mut entering = None;
    if graph.takes_input() {
        let shape = input.ok_or(PlanError::InputMissing)?;
        let id = builder.input(shape)?;
        given = Some((shape, id));
        entering = Some(builder.rescale(id, arguments, catalogue)?);
    }
    let order = live(graph, graph.output(), |_| false);
    if let Some(gegl) = graph.gegl() {
        let pass = Pass::Area(Box::new(Picture::new(gegl, graph, arguments, &order, 1.0)));
        let output_node = graph.nodes()[graph.output()].name.clone();
        let node = builder.name(&output_node, "GEGL");
        let output = builder.passes(node, vec![pass], &[entering])?;
        return builder.finish(graph, arguments, catalogue, given, output, output_node);
    }
    let mut made: Vec<Option<Id>> = vec![None; graph.nodes().len()];
    for index in order {
        let node = &graph.nodes()[index];
        let inputs = node
            .inputs
            .iter()
            .map(|feed| match feed {
                Some(Feed::Graph) => entering,
                Some(Feed::Process(index)) => made[*index],
                None => None,
            })
            .collect::<Vec<_>>();
        let properties = arguments.apply(&node.name, node.properties.clone());
        let name = builder.name(&node.name, node.operation.info().name);
        made[index] = Some(builder.operation(name, node.operation.as_ref(), &properties, inputs)?);
    }
    let output_node = graph.nodes()[graph.output()].name.clone();
    let output = made[graph.output()].ok_or_else(|| PlanError::Internal {
        node: output_node.clone(),
        message: "the output was not planned".into(),
    })?;
    builder.finish(graph, arguments, catalogue, given, output, output_node)
}

/// A picture that is there already: what it covers, and what is in memory of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given {
    pub rect: Rect,
    /// The box of the picture that its chain of `input` pads starts from.
    pub origin: Option<Rect>,
    pub format: Format,
}

/// The way on from pictures that are there already to the output of a process.
#[derive(Clone, Copy)]
pub(crate) struct Onward<'a> {
    pub graph: &'a ImageGraph,
    pub arguments: &'a Arguments,
    /// What is there.
    pub given: &'a [(Feed, Given)],
    /// The process.
    pub output: usize,
    /// How much larger than what the graph was written for the pictures are: lengths are scaled alike.
    pub scale: f64,
    /// What is looked at of the output; where there is none, it stays as its reader wants it.
    pub sight: Option<Sight>,
}

/// Makes the values on that way.
pub(super) fn expand_onward(onward: &Onward<'_>, catalogue: &Catalogue) -> Result<Expansion, PlanError> {
    let Onward { graph, arguments, given, output, scale, sight } = *onward;
    let mut builder = Builder { sight, ..Builder::default() };
    let mut entering = None;
    let mut made: Vec<Option<Id>> = vec![None; graph.nodes().len()];
    let mut ids = Vec::with_capacity(given.len());
    for (feed, picture) in given {
        let name = match feed {
            Feed::Graph => "input",
            Feed::Process(index) => &graph.nodes()[*index].name,
        };
        let node = builder.name(name, "input");
        let id = builder.given(node, picture);
        ids.push(id);
        match feed {
            Feed::Graph => entering = Some(id),
            Feed::Process(index) => made[*index] = Some(id),
        }
    }
    let order = live(graph, output, |index| made[index].is_some());
    let output_node = graph.nodes()[output].name.clone();
    if let Some(gegl) = graph.gegl() {
        let pass = Pass::Area(Box::new(Picture::new(gegl, graph, arguments, &order, scale)));
        let node = builder.name(&output_node, "GEGL");
        let output = builder.passes(node, vec![pass], &[entering])?;
        let output = builder.looked_at(output, catalogue)?;
        let output = if sight.is_some() { builder.shown(output) } else { output };
        return Ok(builder.onward(ids, output, output_node));
    }
    for index in order {
        let node = &graph.nodes()[index];
        let inputs = node.inputs.iter().map(|feed| match feed {
            Some(Feed::Graph) => entering,
            Some(Feed::Process(index)) => made[*index],
            None => None,
        });
        let inputs = inputs.collect::<Vec<_>>();
        let properties = scaled(node, arguments, scale);
        let name = builder.name(&node.name, node.operation.info().name);
        made[index] = Some(builder.operation(name, node.operation.as_ref(), &properties, inputs)?);
    }
    let output = made[output].unwrap_or_default();
    let output = builder.looked_at(output, catalogue)?;
    let output = if sight.is_some() { builder.shown(output) } else { output };
    Ok(builder.onward(ids, output, output_node))
}

/// The values of what is looked at of a picture that is there already.
pub(super) fn expand_sight(picture: &Given, sight: Sight, catalogue: &Catalogue) -> Result<Expansion, PlanError> {
    let mut builder = Builder { sight: Some(sight), ..Builder::default() };
    let node = builder.name("input", "input");
    let given = builder.given(node, picture);
    let output = builder.looked_at(given, catalogue)?;
    let output = builder.shown(output);
    Ok(builder.onward(vec![given], output, "view".into()))
}

/// The properties of a process, for a picture `scale` times as large as the one they were written for.
pub(crate) fn scaled(node: &Node, arguments: &Arguments, scale: f64) -> Properties {
    let mut properties = arguments.apply(&node.name, node.properties.clone());
    let lengths = if scale == 1.0 { &[] } else { node.operation.lengths() };
    for property in node.operation.info().properties.iter().filter(|property| lengths.contains(&property.name)) {
        let value = properties.iter().find(|(name, _)| *name == property.name).map(|(_, value)| value.clone());
        let value = match (value, property.kind) {
            (Some(ops::Value::Int(value)), Kind::Int { minimum, maximum, .. }) => {
                // What is something stays something.
                let least = value.signum();
                let value = (value as f64 * scale).round() as i64;
                ops::Value::Int(if value == 0 { least } else { value }.clamp(minimum, maximum))
            }
            (Some(ops::Value::Number(value)), Kind::Number { minimum, maximum, .. }) => {
                ops::Value::Number((value * scale).clamp(minimum, maximum))
            }
            _ => continue,
        };
        properties.set(property.name, value);
    }
    properties
}

/// The processes that `output` depends on, it included, each after those it reads; what is `there`
/// already is not gone into. A walk in depth from the output, so that a branch is done before the
/// next begins and few buffers live at once.
pub(crate) fn live(graph: &ImageGraph, output: usize, there: impl Fn(usize) -> bool) -> Vec<usize> {
    let nodes = graph.nodes();
    let mut order = Vec::new();
    let mut entered = vec![false; nodes.len()];
    entered[output] = true;
    let mut path = vec![(output, 0)];
    while let Some((index, pad)) = path.last_mut() {
        let Some(feed) = nodes[*index].inputs.get(*pad) else {
            order.push(*index);
            path.pop();
            continue;
        };
        *pad += 1;
        if let Some(Feed::Process(next)) = feed
            && !entered[*next]
            && !there(*next)
        {
            entered[*next] = true;
            path.push((*next, 0));
        }
    }
    order
}

impl Builder {
    fn name(&mut self, process: &str, component: &str) -> usize {
        self.nodes.push(Name { process: process.into(), component: component.into() });
        self.nodes.len() - 1
    }

    fn push(&mut self, value: Value) -> Id {
        self.values.push(value);
        self.values.len() - 1
    }

    fn input(&mut self, shape: InputShape) -> Result<Id, PlanError> {
        let node = self.name("input", "input");
        let bounds = Rect::sized(shape.width, shape.height);
        if bounds.is_empty() || bounds.is_infinite() {
            let message = format!("an input of {} x {} pixels is no picture", shape.width, shape.height);
            return Err(PlanError::NoPicture { node: "input".into(), message });
        }
        let (origin, format) = (Some(bounds), shape.format);
        let whole = self.push(Value { node, bounds, origin, format, definition: Definition::Input });
        self.whole = Some(whole);
        Ok(whole)
    }

    /// Scales what enters the graph to the width and height asked for.
    fn rescale(&mut self, input: Id, arguments: &Arguments, catalogue: &Catalogue) -> Result<Id, PlanError> {
        if arguments.width().is_none() && arguments.height().is_none() {
            return Ok(input);
        }
        let node = self.name("rescale", RESCALE);
        let operation = injected("rescale", RESCALE, catalogue)?;
        let mut properties = Properties::defaults(operation.info().properties);
        let side = |side: Option<u32>| f64::from(side.unwrap_or(0));
        set(&mut properties, operation, "rescale", "width", side(arguments.width()))?;
        set(&mut properties, operation, "rescale", "height", side(arguments.height()))?;
        self.operation(node, operation, &properties, vec![Some(input)])
    }

    /// Cuts the output of a graph without input to the width and height asked for; the side that
    /// was not given stays.
    fn cut(
        &mut self,
        output: Id,
        output_node: &str,
        arguments: &Arguments,
        catalogue: &Catalogue,
    ) -> Result<Id, PlanError> {
        if arguments.width().is_none() && arguments.height().is_none() {
            return Ok(output);
        }
        let bounds = self.values[output].bounds;
        if bounds.is_infinite() && (arguments.width().is_none() || arguments.height().is_none()) {
            let message = "has no bounds: give both width and height".into();
            return Err(PlanError::NoPicture { node: output_node.into(), message });
        }
        let node = self.name("crop", CUT);
        let operation = injected("crop", CUT, catalogue)?;
        let mut properties = Properties::defaults(operation.info().properties);
        let (x, width) = arguments.width().map_or((bounds.x, bounds.width), |width| (0, width));
        let (y, height) = arguments.height().map_or((bounds.y, bounds.height), |height| (0, height));
        for (name, value) in
            [("x", f64::from(x)), ("y", f64::from(y)), ("width", f64::from(width)), ("height", f64::from(height))]
        {
            set(&mut properties, operation, "crop", name, value)?;
        }
        self.operation(node, operation, &properties, vec![Some(output)])
    }

    /// The whole, once the output of the graph is there: cut to the size asked for, in 8 bits.
    fn finish(
        mut self,
        graph: &ImageGraph,
        arguments: &Arguments,
        catalogue: &Catalogue,
        input: Option<(InputShape, Id)>,
        mut output: Id,
        output_node: String,
    ) -> Result<Expansion, PlanError> {
        if !graph.takes_input() {
            output = self.cut(output, &output_node, arguments, catalogue)?;
        }
        let output = self.looked_at(output, catalogue)?;
        let output = self.shown(output);
        let Builder { nodes, values, whole, reduced, .. } = self;
        let (input, eighths, detail) = match (input, reduced) {
            (Some((shape, _)), Some(Smaller { id, eighths, detail })) => (Some((shape, id)), eighths, detail),
            (input, _) => (input, 8, None),
        };
        Ok(Expansion { nodes, values, input, whole, given: Vec::new(), eighths, detail, output, output_node })
    }

    /// What is looked at of a picture, at the size it is looked at in.
    fn looked_at(&mut self, picture: Id, catalogue: &Catalogue) -> Result<Id, PlanError> {
        let Some(Sight { window, width, height }) = self.sight else { return Ok(picture) };
        let node = self.name("view", CUT);
        let crop = injected("view", CUT, catalogue)?;
        let mut properties = Properties::defaults(crop.info().properties);
        let sides = [("x", window.x.into()), ("y", window.y.into())];
        for (name, value) in sides.into_iter().chain([("width", window.width.into()), ("height", window.height.into())])
        {
            set(&mut properties, crop, "view", name, value)?;
        }
        let picture = self.operation(node, crop, &properties, vec![Some(picture)])?;
        let node = self.name("view", RESCALE);
        let resize = injected("view", RESCALE, catalogue)?;
        let mut properties = Properties::defaults(resize.info().properties);
        set(&mut properties, resize, "view", "width", width.into())?;
        set(&mut properties, resize, "view", "height", height.into())?;
        self.operation(node, resize, &properties, vec![Some(picture)])
    }

    /// A picture in 8 bits.
    fn shown(&mut self, picture: Id) -> Id {
        let Value { node, format, .. } = self.values[picture];
        match (format.depth, format.has_alpha()) {
            (Depth::U8, _) => picture,
            (Depth::F32, true) => self.convert(node, picture, Format::RGBA8),
            (Depth::F32, false) => self.convert(node, picture, Format::RGB8),
        }
    }

    fn onward(self, given: Vec<Id>, output: Id, output_node: String) -> Expansion {
        let Builder { nodes, values, .. } = self;
        let (input, whole) = (None, None);
        Expansion { nodes, values, input, whole, given, eighths: 8, detail: None, output, output_node }
    }

    /// A picture that is there already.
    fn given(&mut self, node: usize, picture: &Given) -> Id {
        let Given { rect, origin, format } = *picture;
        self.push(Value { node, bounds: rect, origin, format, definition: Definition::Given })
    }

    /// The value `input` in the format `to`, made once however many ask.
    fn convert(&mut self, node: usize, input: Id, to: Format) -> Id {
        let value = &self.values[input];
        if value.format == to {
            return input;
        }
        if let Some(&id) = self.converted.get(&(input, to)) {
            return id;
        }
        let (bounds, origin) = (value.bounds, value.origin);
        let definition = Definition::Convert { input };
        let id = self.push(Value { node, bounds, origin, format: to, definition });
        self.converted.insert((input, to), id);
        id
    }

    /// Passes of an operation that can do with a smaller input, and reads it in place of the whole one in `inputs`.
    /// `None` where the operation reads something else, or needs all, or another has the smaller input.
    fn reduce(
        &mut self,
        operation: &dyn Operation,
        properties: &Properties,
        inputs: &mut [Option<Id>],
    ) -> Option<Vec<Pass>> {
        let input = inputs.first().copied().flatten()?;
        if self.reduced.is_some() || self.whole != Some(input) {
            return None;
        }
        let (reduced, passes) = operation.prepare_reduced(properties, self.reducible?)?;
        let Value { node, origin, format, .. } = self.values[input];
        let definition = Definition::Input;
        let id = self.push(Value { node, bounds: reduced.rect(), origin, format, definition });
        self.reduced = Some(Smaller { id, eighths: reduced.eighths(), detail: reduced.detail() });
        inputs[0] = Some(id);
        Some(passes)
    }

    fn operation(
        &mut self,
        node: usize,
        operation: &dyn Operation,
        properties: &Properties,
        inputs: Vec<Option<Id>>,
    ) -> Result<Id, PlanError> {
        let given = inputs.first().copied().flatten();
        let mut inputs = inputs;
        let passes = match self.reduce(operation, properties, &mut inputs) {
            Some(passes) => passes,
            None => operation.prepare(properties).map_err(|error| refused(&self.nodes[node].process, &error))?,
        };
        inputs.resize(operation.info().inputs.len(), None);
        let id = self.passes(node, passes, &inputs)?;
        let entering = matches!(self.values[id].definition, Definition::Input);
        if operation.info().name == RESCALE && (entering || Some(id) != given) {
            // What enters a graph is the scaled picture: an unconfigured crop means its box.
            self.values[id].origin = Some(self.values[id].bounds);
        }
        Ok(id)
    }

    /// The passes of one process, one after another; `pads` are what goes into it.
    fn passes(&mut self, node: usize, passes: Vec<Pass>, pads: &[Option<Id>]) -> Result<Id, PlanError> {
        let process = self.nodes[node].process.clone();
        let internal = |message: &str| PlanError::Internal { node: process.clone(), message: message.into() };
        let mut inputs = pads.to_vec();
        let mut results = Vec::new();
        for pass in passes {
            let area = match pass {
                Pass::Point(point) => Err(point),
                Pass::Area(area) => Ok(area),
                Pass::Wired { area, inputs: operands } => {
                    let picture = |operand| match operand {
                        Operand::Input(pad) => pads.get(pad).copied(),
                        Operand::Pass(earlier) => results.get(earlier).copied().map(Some),
                    };
                    let pictures = operands.into_iter().map(picture).collect::<Option<Vec<_>>>();
                    inputs = pictures.ok_or_else(|| internal("reads what is not there"))?;
                    Ok(area)
                }
            };
            let id = match area {
                Err(point) => {
                    let input = inputs.first().copied().flatten();
                    let input = input.ok_or_else(|| internal("a point pass without input"))?;
                    let format = point.format(self.values[input].format);
                    if format.depth != Depth::F32 {
                        return Err(internal("a point pass in 8 bits"));
                    }
                    let input = self.convert(node, input, format);
                    let Value { bounds, origin, .. } = self.values[input];
                    self.push(Value { node, bounds, origin, format, definition: Definition::Point { input, point } })
                }
                Ok(area) => {
                    let rects = inputs.iter().map(|id| id.map(|id| self.values[id].bounds)).collect::<Vec<_>>();
                    let start = inputs.iter().flatten().next();
                    let origin = start.and_then(|id| self.values[*id].origin);
                    if let Some(pad) = area.passthrough(boxes(&rects, origin)) {
                        let id = inputs.get(pad).copied().flatten();
                        id.ok_or_else(|| internal("passes through an input that is not there"))?
                    } else {
                        let bounds = area.bounds(boxes(&rects, origin)).map_err(|error| refused(&process, &error))?;
                        if bounds.is_empty() {
                            let message = "makes an empty picture with these parameters".into();
                            return Err(PlanError::NoPicture { node: process, message });
                        }
                        let first = inputs.first().copied().flatten();
                        if let Some(input) = first.filter(|_| area.window(boxes(&rects, origin))) {
                            let Value { origin, format, .. } = self.values[input];
                            let definition = Definition::Window { input };
                            self.push(Value { node, bounds, origin, format, definition })
                        } else {
                            let formats = inputs.iter().map(|id| id.map(|id| self.values[id].format));
                            let formats = area.formats(&formats.collect::<Vec<_>>());
                            for (pad, format) in inputs.iter_mut().zip(formats.inputs) {
                                *pad = pad.map(|id| self.convert(node, id, format));
                            }
                            let definition = Definition::Area { area, inputs: inputs.clone(), boxes: rects, origin };
                            let origin = if inputs.is_empty() { Some(bounds) } else { origin };
                            self.push(Value { node, bounds, origin, format: formats.output, definition })
                        }
                    }
                }
            };
            results.push(id);
            inputs = vec![Some(id)];
        }
        inputs.first().copied().flatten().ok_or_else(|| internal("hands on an input that is not there"))
    }
}

fn injected<'c>(process: &str, component: &str, catalogue: &'c Catalogue) -> Result<&'c dyn Operation, PlanError> {
    let operation = catalogue.registry().get(component).map(AsRef::as_ref);
    operation.ok_or_else(|| PlanError::Internal {
        node: process.into(),
        message: format!("width and height need {component}, which the catalogue lacks"),
    })
}

fn set(
    properties: &mut Properties,
    operation: &dyn Operation,
    process: &str,
    name: &str,
    value: f64,
) -> Result<(), PlanError> {
    let internal = |message: String| PlanError::Internal { node: process.into(), message };
    let property = operation.info().properties.iter().find(|property| property.name == name);
    let property = property.ok_or_else(|| internal(format!("no property '{name}'")))?;
    let value = property
        .kind
        .parse(&Json::from(value))
        .map_err(|fault| PlanError::NoPicture { node: process.into(), message: format!("{name}: {fault}") })?;
    properties.set(property.name, value);
    Ok(())
}

fn refused(process: &str, error: &OpError) -> PlanError {
    let (node, message) = (process.into(), error.to_string());
    if matches!(error, OpError::Failed(_)) {
        return PlanError::Failed { node, message };
    }
    PlanError::NoPicture { node, message }
}
