//! Forwards through the graph: passes, and the box and format of what each makes.

use std::collections::HashMap;

use imgflo_ops::{Area, Depth, Format, OpError, Operand, Operation, Pass, Point, Properties, Rect, Reducible};
use serde_json::Value as Json;

use super::{InputShape, Name, PlanError, boxes};
use crate::gegl::Picture;
use crate::image_graph::Feed;
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
    /// Eighths of the input's size that it is read at.
    pub eighths: u32,
    pub output: Id,
    /// The process the output comes from, for messages.
    pub output_node: String,
}

struct Builder {
    nodes: Vec<Name>,
    values: Vec<Value>,
    converted: HashMap<(Id, Format), Id>,
    reducible: Option<Reducible>,
    /// True when several read the input itself.
    shared_input: bool,
    eighths: u32,
}

/// The component that `width` and `height` scale an input with.
pub(crate) const RESCALE: &str = "imgflo/resize";
/// The component that `width` and `height` cut the output of a graph without input with.
pub(crate) const CUT: &str = "gegl/crop";

/// Makes the values of `graph` that its output depends on.
pub(super) fn expand(
    graph: &ImageGraph,
    arguments: &Arguments,
    input: Option<InputShape>,
    catalogue: &Catalogue,
) -> Result<Expansion, PlanError> {
    if graph.runtime() == RuntimeKind::Noop {
        return Err(PlanError::Noop);
    }
    let mut builder = Builder {
        nodes: Vec::new(),
        values: Vec::new(),
        converted: HashMap::new(),
        reducible: input.and_then(|input| input.reducible),
        shared_input: false,
        eighths: 8,
    };
    let mut given = None;
    let mut entering = None;
    if graph.takes_input() {
        let shape = input.ok_or(PlanError::InputMissing)?;
        let id = builder.input(shape)?;
        given = Some((shape, id));
        entering = Some(builder.rescale(id, arguments, catalogue)?);
    }
    let order = live(graph);
    if let Some(gegl) = graph.gegl() {
        let pass = Pass::Area(Box::new(Picture::new(gegl, graph, arguments, &order)));
        let output_node = graph.nodes()[graph.output()].name.clone();
        let node = builder.name(&output_node, "GEGL");
        let output = builder.passes(node, vec![pass], &[entering])?;
        return builder.finish(graph, arguments, catalogue, given, output, output_node);
    }
    builder.shared_input = entering == given.map(|(_, id)| id) && readers(graph, &order) > 1;
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

/// How many pads of these processes the input of the graph goes to.
fn readers(graph: &ImageGraph, processes: &[usize]) -> usize {
    let feeds = processes.iter().flat_map(|index| &graph.nodes()[*index].inputs);
    feeds.filter(|feed| matches!(feed, Some(Feed::Graph))).count()
}

/// The processes that the output depends on, each after those it reads. A walk in depth from the
/// output, so that a branch is done before the next begins and few buffers live at once.
fn live(graph: &ImageGraph) -> Vec<usize> {
    let nodes = graph.nodes();
    let mut order = Vec::new();
    let mut entered = vec![false; nodes.len()];
    entered[graph.output()] = true;
    let mut path = vec![(graph.output(), 0)];
    while let Some((index, pad)) = path.last_mut() {
        let Some(feed) = nodes[*index].inputs.get(*pad) else {
            order.push(*index);
            path.pop();
            continue;
        };
        *pad += 1;
        if let Some(Feed::Process(next)) = feed
            && !entered[*next]
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
        Ok(self.push(Value { node, bounds, origin: Some(bounds), format: shape.format, definition: Definition::Input }))
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
        let format = self.values[output].format;
        if format.depth == Depth::F32 {
            let node = self.values[output].node;
            let to = if format.has_alpha() { Format::RGBA8 } else { Format::RGB8 };
            output = self.convert(node, output, to);
        }
        let Builder { nodes, values, eighths, .. } = self;
        Ok(Expansion { nodes, values, input, eighths, output, output_node })
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

    /// Has the input made smaller by its decoder, where this operation alone reads it and can do
    /// with less; its passes then.
    fn reduce(
        &mut self,
        operation: &dyn Operation,
        properties: &Properties,
        inputs: &[Option<Id>],
    ) -> Option<Vec<Pass>> {
        let input = inputs.first().copied().flatten()?;
        if self.shared_input || !matches!(self.values[input].definition, Definition::Input) {
            return None;
        }
        let (reduced, passes) = operation.prepare_reduced(properties, self.reducible?)?;
        self.values[input].bounds = reduced.rect();
        self.eighths = reduced.eighths();
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
        let passes = match self.reduce(operation, properties, &inputs) {
            Some(passes) => passes,
            None => operation.prepare(properties).map_err(|error| refused(&self.nodes[node].process, &error))?,
        };
        let mut inputs = inputs;
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
