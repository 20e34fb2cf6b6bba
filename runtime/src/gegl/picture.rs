//! A whole graph on GEGL, as one pass of a plan.

use std::sync::{Arc, Mutex, PoisonError};

use imgflo_gegl::{Answer, Box, Depth, Link, Process, Reply, Request, Script};
use imgflo_host::{HostError, Lease, Pool};
use imgflo_ops::{self as ops, Area, Boxes, Cancel, Format, Formats, OpError, Rect, Split, Tile, Value, View};
use serde_json::Value as Json;

use super::Gegl;
use crate::c_operations::{MOST_LOADED, Module};
use crate::image_graph::Feed;
use crate::plan::scaled;
use crate::{Arguments, ImageGraph};

/// Memory that a child takes for itself, bytes.
const CHILD: u64 = 64 << 20;
/// Work a pixel of each process, where copying one is 1: between GEGL's fast and its slow operations.
const WEIGHT: f32 = 60.0;

/// The boxes of a script whose input covers the first.
type Measured = (Option<Rect>, Result<Vec<Box>, OpError>);

/// A graph on GEGL; its one input is what enters the graph.
#[derive(Debug)]
pub(crate) struct Picture {
    gegl: Arc<Gegl>,
    /// Operations in C that are in it.
    modules: Vec<Arc<Module>>,
    script: Script,
    measured: Mutex<Option<Measured>>,
}

impl Picture {
    /// `processes` are those of `graph` that its output depends on, each after those it reads; lengths are those
    /// of a picture `scale` times as large.
    pub fn new(gegl: &Arc<Gegl>, graph: &ImageGraph, arguments: &Arguments, processes: &[usize], scale: f64) -> Self {
        let place = |index: usize| processes.iter().position(|process| *process == index).unwrap_or(usize::MAX);
        let process = |index: &usize| {
            let node = &graph.nodes()[*index];
            let info = node.operation.info();
            let values = scaled(node, arguments, scale);
            // Defaults and properties of native operations may be others than GEGL's.
            let known = match &node.module {
                Some(_) => info.properties,
                None => gegl.operation(info.name).map_or(&[][..], |operation| operation.info().properties),
            };
            let set = known.iter().filter_map(|property| {
                let (_, value) = values.iter().find(|(name, _)| *name == property.name)?;
                (*value != property.kind.default()).then(|| (property.name.to_owned(), json(value)))
            });
            let reads = info.inputs.iter().zip(&node.inputs).filter_map(|(pad, feed)| {
                let link = match (*feed)? {
                    Feed::Graph => Link::Input(0),
                    Feed::Process(index) => Link::Process(place(index)),
                };
                Some((pad.name.to_owned(), link))
            });
            Process {
                name: node.name.clone(),
                operation: match &node.module {
                    Some(module) => module.operation().to_owned(),
                    None => info.name.replacen('/', ":", 1),
                },
                properties: set.collect(),
                inputs: reads.collect(),
            }
        };
        let modules = processes.iter().filter_map(|index| graph.nodes()[*index].module.clone()).collect::<Vec<_>>();
        let script = Script {
            modules: modules.iter().map(|module| module.loaded()).collect(),
            processes: processes.iter().map(process).collect(),
            output: place(graph.output()),
        };
        Picture { gegl: Arc::clone(gegl), modules, script, measured: Mutex::new(None) }
    }

    /// Whose children render it: none with foreign code in it works on graphs without, and none with a stranger's on
    /// those of the operator.
    fn pool(&self) -> &Pool {
        let live = self.modules.iter().find(|module| module.is_live());
        live.or(self.modules.first()).map_or(&self.gegl.pool, |module| module.children())
    }

    /// The boxes of the processes.
    fn measure(&self, boxes: Boxes<'_>) -> Result<Vec<Box>, OpError> {
        let input = boxes.inputs.first().copied().flatten();
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, result)) = &*measured
            && *of == input
        {
            return result.clone();
        }
        let never = || false;
        let request = Request::Measure { script: self.script.clone(), inputs: input.map(to_box).into_iter().collect() };
        let answer = self.pool().lease(&never).and_then(|mut child| ask(&mut child, &request, &[], &never));
        let result = match answer {
            Ok(Answer::Boxes(found)) if found.len() == self.script.processes.len() => Ok(found),
            Ok(_) => Err(OpError::Failed("GEGL answered something else than boxes".into())),
            Err(error) => Err(failed(error, &Cancel::new())),
        };
        *measured = Some((input, result.clone()));
        result
    }
}

impl Area for Picture {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        // What has more than 8 bits keeps them: what is subtracted or divided later shows the difference.
        let input = match inputs.first().copied().flatten() {
            Some(format) => match (format.depth, format.has_alpha()) {
                (ops::Depth::F32, true) => Format::GAM,
                (ops::Depth::F32, false) => Format::GAM_OPAQUE,
                (ops::Depth::U8, true) => Format::RGBA8,
                (ops::Depth::U8, false) => Format::RGB8,
            },
            None => Format::RGBA8,
        };
        Formats { inputs: [input; 2], output: Format::RGBA8 }
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        let found = self.measure(boxes)?;
        found
            .get(self.script.output)
            .map(|found| to_rect(*found))
            .ok_or_else(|| OpError::Failed("the graph has no output".into()))
    }

    fn needed(&self, _pad: usize, _region: Rect, boxes: Boxes<'_>) -> Rect {
        boxes.inputs.first().copied().flatten().unwrap_or_default()
    }

    fn split(&self) -> Split {
        Split::Whole
    }

    /// Each process keeps a float picture of what it made.
    fn working_memory(&self, boxes: Boxes<'_>) -> u64 {
        let made = self.measure(boxes).unwrap_or_default();
        let pixels = made.into_iter().map(to_rect).filter(|rect| !rect.is_infinite()).map(|rect| rect.area());
        CHILD + pixels.sum::<u64>().saturating_mul(Depth::Float.bytes() as u64)
    }

    fn weight(&self) -> f32 {
        WEIGHT * self.script.processes.len() as f32
    }

    fn render(
        &self,
        inputs: &[Option<View<'_>>],
        _boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        cancel: &Cancel,
    ) -> Result<(), OpError> {
        let (mut rects, mut depths, mut pixels) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(view) = inputs.first().copied().flatten() {
            let rect = view.rect();
            let format = view.format();
            let depth = match (format.depth, format.has_alpha()) {
                (ops::Depth::F32, true) => Depth::Rgba,
                (ops::Depth::F32, false) => Depth::Rgb,
                (ops::Depth::U8, true) => Depth::Rgba8,
                (ops::Depth::U8, false) => Depth::Rgb8,
            };
            for y in rows(rect) {
                match depth {
                    Depth::Rgb8 => pixels.extend_from_slice(view.row_rgb8(y).as_flattened()),
                    Depth::Rgba8 => pixels.extend_from_slice(view.row_rgba8(y).as_flattened()),
                    Depth::Rgb => {
                        let channels = view.row(y).iter().flat_map(|[r, g, b, _]| [*r, *g, *b]);
                        pixels.extend(channels.flat_map(f32::to_ne_bytes));
                    }
                    Depth::Rgba | Depth::Float => pixels.extend_from_slice(bytemuck::cast_slice(view.row(y))),
                }
            }
            rects.push(to_box(rect));
            depths.push(depth);
        }
        let stop = || cancel.check().is_err();
        let rect = output.rect();
        let request = Request::Render {
            script: self.script.clone(),
            inputs: rects,
            depths,
            region: to_box(rect),
            output: Depth::Rgba8,
        };
        let mut child = self.pool().lease(&stop).map_err(|error| failed(error, cancel))?;
        let answer = ask(&mut child, &request, &[&pixels], &stop).map_err(|error| failed(error, cancel))?;
        if !matches!(answer, Answer::Rendered) {
            return Err(OpError::Failed("GEGL answered something else than pixels".into()));
        }
        let mut at = 0;
        for y in rows(rect) {
            let row = output.row_rgba8_mut(y).as_flattened_mut();
            child.read(row, at).map_err(|error| failed(error, cancel))?;
            at += row.len() as u64;
        }
        Ok(())
    }
}

/// Asks a child. One with many modules ends with the lease.
fn ask(
    child: &mut Lease<'_>,
    request: &Request,
    pixels: &[&[u8]],
    stop: &dyn Fn() -> bool,
) -> Result<Answer, HostError> {
    let Reply { modules, answer } = child.call(request, pixels, stop)?;
    if modules > MOST_LOADED {
        child.retire();
    }
    Ok(answer)
}

fn rows(rect: Rect) -> impl Iterator<Item = i32> {
    (i64::from(rect.y)..rect.bottom()).map(|y| y as i32)
}

fn to_box(rect: Rect) -> Box {
    let side = |side: u32| i32::try_from(side).unwrap_or(i32::MAX);
    Box { x: rect.x, y: rect.y, width: side(rect.width), height: side(rect.height) }
}

/// What GEGL takes for endless is so here, too.
fn to_rect(found: Box) -> Rect {
    let side = |side: i32| u32::try_from(side).unwrap_or(0);
    let rect = Rect::new(found.x, found.y, side(found.width), side(found.height));
    if rect.is_infinite() { Rect::INFINITE } else { rect }
}

fn failed(error: HostError, cancel: &Cancel) -> OpError {
    match error {
        HostError::Fault(fault) => {
            let node = fault.node.as_ref().map(|node| format!("process '{node}': ")).unwrap_or_default();
            let message = format!("{node}{fault}");
            if fault.invalid { OpError::Invalid(message) } else { OpError::Failed(message) }
        }
        HostError::Stopped => cancel.check().err().unwrap_or(OpError::Cancelled),
        error => OpError::Failed(format!("GEGL {error}")),
    }
}

/// A value as a child reads it: colours are linear.
fn json(value: &Value) -> Json {
    match value {
        Value::Color(color) => Json::from(color.linear().map(f64::from).to_vec()),
        other => other.to_json(),
    }
}
