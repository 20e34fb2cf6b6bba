//! Scripts built as GEGL graphs, measured and rendered.

use imgflo_host::{Fault, Shared};
use serde_json::Value as Json;

use crate::denied::denied;
use crate::ffi::{Gegl, Graph, Held, Node, Spec, Value};
use crate::message::{Box, Depth, Link, Process, Script};

/// The boxes that the processes cover.
pub(crate) fn measure(gegl: &Gegl, script: &Script, inputs: &[Box]) -> Result<Vec<Box>, Fault> {
    let graph = gegl.graph();
    let empty = |rect: &Box| graph.add_empty(*rect, Depth::Rgba8).ok_or_else(no_source);
    let sources = inputs.iter().map(empty).collect::<Result<Vec<_>, _>>()?;
    let nodes = build(&graph, script, &sources)?;
    Ok(nodes.into_iter().map(|node| graph.bounds(node)).collect())
}

/// Renders a part of the result into the shared memory.
pub(crate) fn render(
    gegl: &Gegl,
    script: &Script,
    inputs: &[Box],
    depths: &[Depth],
    region: Box,
    output: Depth,
    shared: &Shared,
) -> Result<(), Fault> {
    let mut pictures = Vec::new();
    let mut at = 0;
    for (rect, depth) in inputs.iter().zip(depths) {
        let mut pixels = vec![0; (rect.area() * depth.bytes() as u64) as usize];
        shared.read(&mut pixels, at)?;
        at += pixels.len() as u64;
        pictures.push((pixels, *rect, *depth));
    }
    let graph = gegl.graph();
    let sources = pictures
        .iter()
        .map(|(pixels, rect, depth)| graph.add_picture(pixels, *rect, *depth).ok_or_else(no_source))
        .collect::<Result<Vec<_>, _>>()?;
    let mut nodes = build(&graph, script, &sources)?;
    colour(&graph, script, &mut nodes)?;
    let output_node = *nodes.get(script.output).ok_or_else(|| Fault::failed("the script has no such output"))?;
    if output == Depth::Rgba8 && !graph.has_alpha(output_node) {
        let opaque = graph.render(output_node, region, Depth::Rgb8);
        let pixels = opaque.as_chunks().0.iter().flat_map(|[r, g, b]| [*r, *g, *b, 255]).collect::<Vec<_>>();
        return shared.write(&pixels, 0);
    }
    shared.write(&graph.render(output_node, region, output), 0)
}

fn no_source() -> Fault {
    Fault::failed("GEGL has no gegl:buffer-source")
}

fn build(graph: &Graph<'_>, script: &Script, sources: &[Node]) -> Result<Vec<Node>, Fault> {
    let mut nodes: Vec<Node> = Vec::with_capacity(script.processes.len());
    for process in &script.processes {
        let node = built(graph, process, sources, &nodes);
        nodes.push(node.map_err(|fault| Fault { node: Some(process.name.clone()), ..fault })?);
    }
    Ok(nodes)
}

/// Has all pictures be in colour: a blend takes the kind of its first input on GEGL, so that a grey one makes the
/// whole grey. `nodes` are those that give out the pictures then.
fn colour(graph: &Graph<'_>, script: &Script, nodes: &mut [Node]) -> Result<(), Fault> {
    let Some(output) = nodes.get(script.output) else { return Ok(()) };
    // Formats are chosen when boxes are.
    graph.bounds(*output);
    let greys = nodes.iter().map(|node| graph.add_colour(*node)).collect::<Vec<_>>();
    for (process, node) in script.processes.iter().zip(nodes.iter()) {
        for (pad, from) in &process.inputs {
            if let Link::Process(index) = from
                && let Some(Some(colour)) = greys.get(*index)
            {
                link(graph, *colour, *node, pad)?;
            }
        }
    }
    for (node, colour) in nodes.iter_mut().zip(greys) {
        *node = colour.unwrap_or(*node);
    }
    Ok(())
}

fn built(graph: &Graph<'_>, process: &Process, sources: &[Node], before: &[Node]) -> Result<Node, Fault> {
    if let Some(reason) = denied(&process.operation) {
        return Err(Fault::invalid(format!("{} is not offered: it {reason}", process.operation)));
    }
    let node = add(graph, &process.operation)?;
    for (name, value) in &process.properties {
        set(graph, node, name, value)?;
    }
    for (pad, from) in &process.inputs {
        let from = match from {
            Link::Input(index) => sources.get(*index),
            Link::Process(index) => before.get(*index),
        };
        link(graph, *from.ok_or_else(|| Fault::failed("reads what is not there"))?, node, pad)?;
    }
    Ok(node)
}

fn add(graph: &Graph<'_>, operation: &str) -> Result<Node, Fault> {
    graph.add(operation).ok_or_else(|| Fault::invalid(format!("GEGL has no operation {operation}")))
}

fn link(graph: &Graph<'_>, from: Node, to: Node, pad: &str) -> Result<(), Fault> {
    if graph.connect(from, to, pad) { Ok(()) } else { Err(Fault::invalid(format!("GEGL knows no input '{pad}'"))) }
}

fn set(graph: &Graph<'_>, node: Node, name: &str, json: &Json) -> Result<(), Fault> {
    let spec = graph.property(node, name).ok_or_else(|| Fault::invalid(format!("GEGL knows no property '{name}'")))?;
    let fits = value(spec, json).is_some_and(|value| graph.set(node, spec, &value));
    if fits { Ok(()) } else { Err(Fault::invalid(format!("{json} is no value of the property '{name}'"))) }
}

/// Colours are arrays of linear red, green, blue and alpha.
fn value(spec: Spec<'_>, json: &Json) -> Option<Value> {
    Some(match spec.held() {
        Held::Double | Held::Float => Value::Number(json.as_f64()?),
        Held::Int | Held::UInt => Value::Int(json.as_i64().or_else(|| json.as_f64().map(|number| number as i64))?),
        Held::Boolean => Value::Boolean(json.as_bool()?),
        Held::Enum | Held::Text | Held::Path | Held::Curve => Value::Text(json.as_str()?.to_owned()),
        Held::Color => {
            let parts = json.as_array()?.iter().map(Json::as_f64).collect::<Option<Vec<_>>>()?;
            Value::Color(parts.try_into().ok()?)
        }
        Held::Other => return None,
    })
}
