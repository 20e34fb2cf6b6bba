//! Leftovers of visual editors in graph files: processes that are no part of the picture.
//!
//! Flowhub wrote graphs as they stood on its canvas: with a `Processor` that showed a picture, with a `gegl/load` of a
//! sample file before the port that is exported as `input`, and with processes that led nowhere. Such a file means the
//! picture that the editor showed. Editing and serving read it with this module, so that they agree.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use imgflo_fbp::{Connection, End, Export, Graph, Origin, Place};

use crate::GraphFault;
use crate::components::{Components, Found};
use crate::image_graph::cut;

/// The component of editors that shows what is connected to it.
pub const PROCESSOR: &str = "Processor";

/// The output whose picture `process` shows: its own, or for a [`PROCESSOR`] that of the process connected to it. `None`
/// where there is no such process, or nothing is connected to it.
pub fn shown_by(graph: &Graph, process: &str) -> Option<End> {
    let mut at = process;
    // One Processor may show another; a circle of them shows nothing.
    for _ in 0..=graph.processes.len() {
        if graph.processes.get(at)?.component != PROCESSOR {
            return Some(End { process: at.into(), port: "output".into(), index: None });
        }
        let shown = graph.connections.iter().find_map(|Connection { src, tgt, .. }| match src {
            Origin::Process(end) if tgt.process == at => Some(end),
            _ => None,
        })?;
        if graph.processes.get(&shown.process)?.component != PROCESSOR {
            return Some(shown.clone());
        }
        at = &shown.process;
    }
    None
}

/// Returns the processes that those of `starts` depend on, with these. An edge is not followed where `follows`, which is
/// given its place among the connections and the process that it comes from, says so.
pub fn depends_on<'g>(
    graph: &'g Graph,
    starts: impl IntoIterator<Item = &'g str>,
    mut follows: impl FnMut(usize, &'g str) -> bool,
) -> HashSet<&'g str> {
    let mut sources: HashMap<&str, Vec<(usize, &str)>> = HashMap::new();
    for (index, Connection { src, tgt, .. }) in graph.connections.iter().enumerate() {
        if let Origin::Process(src) = src {
            sources.entry(&tgt.process).or_default().push((index, &src.process));
        }
    }
    let mut open: Vec<&str> = starts.into_iter().collect();
    let mut found = HashSet::new();
    while let Some(process) = open.pop() {
        if found.insert(process) {
            let before = sources.get(process).into_iter().flatten();
            open.extend(before.filter(|(index, src)| follows(*index, src)).map(|(_, src)| src));
        }
    }
    found
}

/// True for the components that read a picture from a file. A server takes it from `input` instead.
fn is_loader(component: &str) -> bool {
    component.strip_prefix("gegl/").is_some_and(|name| name == "load" || name.ends_with("-load"))
}

/// A graph without its leftovers.
pub(crate) struct Cleared<'g> {
    pub graph: Cow<'g, Graph>,
    /// What was left out, and why.
    pub passed_over: Vec<GraphFault>,
    /// Where the connections that stayed are in the graph as written.
    places: Vec<usize>,
}

impl Cleared<'_> {
    /// A fault with its place in the graph as written.
    pub fn placed(&self, fault: GraphFault) -> GraphFault {
        let written = || {
            let (index, rest) = fault.place.strip_prefix("connections[")?.split_once(']')?;
            let index = self.places.get(index.parse::<usize>().ok()?)?;
            Some(format!("connections[{index}]{rest}"))
        };
        match written() {
            Some(place) => GraphFault { place, ..fault },
            None => fault,
        }
    }
}

/// Leaves out what is no part of the picture at the outport `output` and could not be run: a `Processor`, processes of
/// unknown components, and those with a required port open. An edge from a loader that is not offered here gives way
/// where the port is exported as `input`. What the picture depends on stays, faults and all.
pub(crate) fn clear<'g>(written: &'g Graph, components: Components<'_>) -> Cleared<'g> {
    let mut passed_over = Vec::new();
    let mut note = |place: Place, message: String| passed_over.push(GraphFault { place: place.to_string(), message });
    let usable = |component: &str| match components.graph(component) {
        Found::Graph(_) | Found::Faulty(_) => true,
        Found::None => components.catalogue().operation(component).is_some(),
    };
    let component = |process: &str| written.processes.get(process).map_or("", |process| process.component.as_str());

    let output = written.outports.get("output");
    let shown = output.filter(|export| component(&export.process) == PROCESSOR);
    let shown = shown.and_then(|export| shown_by(written, &export.process));
    if let (Some(export), Some(end)) = (output, &shown) {
        let message = format!("passed over: '{}' shows the picture of '{}'", cut(&export.process), cut(&end.process));
        note(Place::Outport("output".into()), message);
    }

    let input = written.inports.get("input");
    let enters = |end: &End| {
        let same = |export: &Export| {
            export.process == end.process && written.port_name(&export.port) == written.port_name(&end.port)
        };
        input.is_some_and(same)
    };
    let mut gone = HashSet::new();
    for (index, Connection { src, tgt, .. }) in written.connections.iter().enumerate() {
        let Origin::Process(src) = src else { continue };
        let loader = component(&src.process);
        if enters(tgt) && is_loader(loader) && !usable(loader) {
            let message = format!("passed over: the graph's input comes in place of '{}'", cut(loader));
            note(Place::Source(index), message);
            gone.insert(index);
        }
    }

    // The processes that the output depends on. Where `input` leads stays, so that nobody takes a graph that lost its
    // way for one without input.
    let Some(start) = shown.as_ref().map(|end| &end.process).or(output.map(|export| &export.process)) else {
        return Cleared::whole(written);
    };
    let starts = [Some(start), input.map(|export| &export.process)].into_iter().flatten().map(String::as_str);
    let needed = depends_on(written, starts, |index, _| !gone.contains(&index));

    let mut left_out: HashSet<&str> = HashSet::new();
    let fed = |left_out: &HashSet<&str>, process: &str, pad: &str| {
        let edges = written.connections.iter().any(|Connection { src, tgt, .. }| {
            let Origin::Process(src) = src else { return false };
            tgt.process == process
                && written.port_name(&tgt.port) == written.port_name(pad)
                && !left_out.contains(src.process.as_str())
        });
        edges || enters(&End { process: process.into(), port: pad.into(), index: None })
    };
    loop {
        let found = written.processes.iter().find_map(|(name, process)| {
            if needed.contains(name.as_str()) || left_out.contains(name.as_str()) {
                return None;
            }
            let component = process.component.as_str();
            let why = match components.graph(component) {
                _ if component == PROCESSOR => "shows a picture in an editor".to_owned(),
                Found::Graph(graph) if graph.takes_input() && !fed(&left_out, name, "input") => {
                    "has nothing connected to its port 'input'".to_owned()
                }
                Found::Graph(_) | Found::Faulty(_) => return None,
                Found::None => match components.catalogue().operation(component) {
                    None => format!("is of the unknown component '{}'", cut(component)),
                    Some(operation) => {
                        let pads = operation.info().inputs.iter().filter(|pad| pad.required);
                        let pad = { pads }.find(|pad| !fed(&left_out, name, pad.name))?.name;
                        format!("has nothing connected to its port '{pad}'")
                    }
                },
            };
            Some((name, why))
        });
        let Some((name, why)) = found else { break };
        left_out.insert(name);
        note(Place::Process(name.clone()), format!("passed over: {why}, and the output does not depend on it"));
    }
    for name in written.processes.keys().map(String::as_str).filter(|name| !left_out.contains(name)) {
        if !needed.contains(name) {
            note(Place::Process(name.into()), "does nothing: the output does not depend on it".into());
        }
    }
    for (name, export) in &written.inports {
        if left_out.contains(export.process.as_str()) {
            note(Place::Inport(name.clone()), "passed over: leads to a process that is passed over".into());
        }
    }
    if gone.is_empty() && left_out.is_empty() && shown.is_none() {
        return Cleared { passed_over, ..Cleared::whole(written) };
    }
    let stays = |(index, connection): &(usize, &Connection)| {
        let from = matches!(&connection.src, Origin::Process(src) if left_out.contains(src.process.as_str()));
        !gone.contains(index) && !from && !left_out.contains(connection.tgt.process.as_str())
    };
    let (places, connections) =
        written.connections.iter().enumerate().filter(stays).map(|(index, edge)| (index, edge.clone())).unzip();
    let mut graph = Graph { connections, ..written.clone() };
    graph.processes.retain(|name, _| !left_out.contains(name.as_str()));
    graph.inports.retain(|_, export| !left_out.contains(export.process.as_str()));
    graph.outports.retain(|_, export| !left_out.contains(export.process.as_str()));
    graph.groups.iter_mut().for_each(|group| group.nodes.retain(|node| !left_out.contains(node.as_str())));
    if let (Some(export), Some(End { process, port, .. })) = (output, shown) {
        let metadata = export.metadata.clone();
        graph.outports.insert("output".into(), Export { process, port, metadata });
    }
    Cleared { graph: Cow::Owned(graph), passed_over, places }
}

impl<'g> Cleared<'g> {
    /// A graph of which all stays.
    fn whole(written: &'g Graph) -> Self {
        let places = (0..written.connections.len()).collect();
        Cleared { graph: Cow::Borrowed(written), passed_over: Vec::new(), places }
    }
}

#[cfg(test)]
mod tests;
