//! Graphs as components: a process whose component is a graph gives way to the processes of that
//! graph.
//!
//! What comes out is one graph of operations that stands alone. Plan, cache key and jobs know no
//! other. The process `blur` of the graph behind the process `soft` becomes `soft/blur`; an exported
//! port of the inner graph is the port that it leads to. A value from outside takes the place of the
//! inner graph's own.
//!
//! The ports `width` and `height` that a host adds scale what enters a graph, here as there: where
//! one is used, `soft` itself becomes the operation that does so.

use std::collections::{BTreeMap, HashSet};

use imgflo_fbp::{Connection, End, Export, Graph, Origin, Place, Process};
use serde_json::{Map, Value as Json};

use crate::components::{Components, Found};
use crate::image_graph::{HOST_NAMES, cut, no_port};
use crate::parameters::Port;
use crate::plan::RESCALE;
use crate::{GraphFault, ImageGraph, LibraryLimits, RuntimeKind};

/// How many levels of graphs a graph may be made of.
pub(crate) const MAX_LEVELS: usize = 16;

/// A graph of operations.
pub(crate) struct Flat {
    /// With the connections of the graph as written first, in their order: an index means the same
    /// in both. Ends and processes whose faults have been told of are left empty.
    pub graph: Graph,
    /// Levels of graphs it was made of; 0 for operations alone.
    pub levels: usize,
    pub faults: Vec<GraphFault>,
}

/// Replaces the graphs in `written` by their processes.
///
/// # Errors
/// What is over a limit.
pub(crate) fn flatten(written: &Graph, components: Components<'_>, limits: &LibraryLimits) -> Result<Flat, GraphFault> {
    let mut flattener = Flattener {
        written,
        parts: BTreeMap::new(),
        flat: Graph {
            case_sensitive: written.case_sensitive,
            properties: written.properties.clone(),
            ..Graph::default()
        },
        replaced: HashSet::new(),
        faults: Vec::new(),
    };
    let faulty = flattener.find_parts(components);
    let levels = flattener.levels()?;
    flattener.check_count(limits)?;
    if flattener.parts.is_empty() && faulty.is_empty() {
        return Ok(Flat { graph: written.clone(), levels, faults: Vec::new() });
    }
    flattener.processes(&faulty);
    flattener.connections();
    flattener.exports();
    flattener.insides();
    let Flattener { flat: graph, faults, .. } = flattener;
    let bytes = graph.to_json().to_string().len() as u64;
    if faults.is_empty() && bytes > limits.max_bytes {
        let message = format!(
            "with the graphs in it, it has {bytes} bytes, more than the limit of {} for a graph (IMGFLO_MAX_GRAPH_BYTES)",
            limits.max_bytes
        );
        return Err(GraphFault { place: "processes".into(), message });
    }
    Ok(Flat { graph, levels, faults })
}

/// A process whose component is a graph.
struct Part<'a> {
    component: &'a str,
    graph: &'a ImageGraph,
    /// True when what enters it is scaled first.
    scaled: bool,
}

/// Where an inport of a part leads.
enum Inlet<'p> {
    Picture(End),
    Value { end: End, port: &'p Port, metadata: &'p Map<String, Json> },
}

struct Flattener<'a> {
    written: &'a Graph,
    parts: BTreeMap<&'a str, Part<'a>>,
    flat: Graph,
    /// Inner ports, by process and name, whose values come from outside.
    replaced: HashSet<(String, String)>,
    faults: Vec<GraphFault>,
}

impl<'a> Flattener<'a> {
    fn fault(&mut self, place: &Place, message: String) {
        self.faults.push(GraphFault { place: place.to_string(), message });
    }

    /// Finds the processes that are graphs; those that cannot be used are returned.
    fn find_parts(&mut self, components: Components<'a>) -> HashSet<&'a str> {
        let mut faulty = HashSet::new();
        for (name, process) in &self.written.processes {
            let component = process.component.as_str();
            let message = match components.graph(component) {
                Found::Graph(graph) if graph.runtime() == RuntimeKind::Imgflo => {
                    self.parts.insert(name, Part { component, graph, scaled: false });
                    continue;
                }
                Found::Graph(graph) => {
                    format!("the noop graph '{}' makes no picture; gegl/nop hands one on", graph.name())
                }
                Found::Faulty(graph) => format!("the graph '{graph}' has faults of its own"),
                Found::None => continue,
            };
            self.fault(&Place::Process(name.clone()), message);
            faulty.insert(name.as_str());
        }
        let written = self.written;
        let inlets = written.connections.iter().map(|connection| (&connection.tgt.process, &connection.tgt.port));
        let exports = own_inports(written).map(|(_, export)| (&export.process, &export.port));
        for (process, port) in inlets.chain(exports) {
            if let Some(part) = self.parts.get_mut(process.as_str()) {
                part.scaled |= part.graph.takes_input() && HOST_NAMES.contains(&&*written.port_name(port));
            }
        }
        faulty
    }

    fn levels(&self) -> Result<usize, GraphFault> {
        let deepest = self.parts.iter().max_by_key(|(_, part)| part.graph.levels());
        let Some((process, part)) = deepest else { return Ok(0) };
        let levels = part.graph.levels() + 1;
        if levels > MAX_LEVELS {
            let place = Place::Process((*process).to_owned()).to_string();
            let message = format!("graphs in graphs, {levels} levels deep; at most {MAX_LEVELS} are possible");
            return Err(GraphFault { place, message });
        }
        Ok(levels)
    }

    fn check_count(&self, limits: &LibraryLimits) -> Result<(), GraphFault> {
        let inner = self.parts.values().map(|part| part.graph.flat().processes.len() + usize::from(part.scaled));
        let count = (self.written.processes.len() - self.parts.len() + inner.sum::<usize>()) as u64;
        if count <= limits.max_nodes {
            return Ok(());
        }
        let inner = if self.parts.is_empty() { "" } else { ", those of the graphs in it among them," };
        let message = format!(
            "{count} processes{inner} are more than the limit of {} in a graph (IMGFLO_MAX_GRAPH_NODES)",
            limits.max_nodes
        );
        Err(GraphFault { place: "processes".into(), message })
    }

    fn processes(&mut self, faulty: &HashSet<&str>) {
        for (name, process) in &self.written.processes {
            let Some(part) = self.parts.get(name.as_str()) else {
                let component = if faulty.contains(name.as_str()) { "" } else { &process.component };
                self.process(name, name.clone(), Process { component: component.to_owned(), ..process.clone() });
                continue;
            };
            let graph = part.graph;
            if part.scaled {
                self.process(name, name.clone(), Process { component: RESCALE.into(), metadata: Map::new() });
            }
            for (inner, Process { component, .. }) in &graph.flat().processes {
                let process = Process { component: component.clone(), metadata: Map::new() };
                self.process(name, inside(name, inner), process);
            }
        }
    }

    /// Adds a process that comes of the process `of` of the graph as written.
    fn process(&mut self, of: &str, name: String, process: Process) {
        let message = format!("'{}' is the name of another process in the graphs of this one", cut(&name));
        if self.flat.processes.insert(name, process).is_some() {
            self.fault(&Place::Process(of.to_owned()), message);
        }
    }

    fn connections(&mut self) {
        for (index, Connection { src, tgt, metadata }) in self.written.connections.iter().enumerate() {
            let src = match src {
                Origin::Process(End { process, port, index: element }) => {
                    let outlet = self.outlet(process, port, &Place::Source(index)).unwrap_or_default();
                    Origin::Process(End { index: *element, ..outlet })
                }
                Origin::Data(data) => Origin::Data(data.clone()),
            };
            let (src, inlet) = self.target(src, tgt, &Place::Target(index));
            let tgt = End { index: tgt.index, ..inlet };
            self.flat.connections.push(Connection { src, tgt, metadata: metadata.clone() });
        }
    }

    /// Where a connection leads, and what comes from there then.
    fn target(&mut self, src: Origin, tgt: &End, place: &Place) -> (Origin, End) {
        if !self.parts.contains_key(tgt.process.as_str()) {
            return (src, tgt.clone());
        }
        let Some(inlet) = self.inlet(&tgt.process, &tgt.port) else {
            self.no_inport(&tgt.process, &tgt.port, place);
            return (src, End::default());
        };
        let port = cut(&tgt.port);
        let entered = match (inlet, &src) {
            (Inlet::Picture(end), Origin::Process(_)) => return (src, end),
            (Inlet::Picture(_), Origin::Data(_)) => Err(format!("port '{port}' takes a picture, not a value")),
            (Inlet::Value { .. }, Origin::Process(_)) => {
                Err(format!("port '{port}' takes a value, and a picture is sent to it"))
            }
            (Inlet::Value { end, port: inner, .. }, Origin::Data(data)) => {
                inner.literal(data).map(|data| (data, end)).map_err(|fault| format!("port '{port}': {fault}"))
            }
        };
        match entered {
            Ok((data, end)) => {
                self.replaced.insert((end.process.clone(), end.port.clone()));
                (Origin::Data(data), end)
            }
            Err(message) => {
                self.fault(place, message);
                (src, End::default())
            }
        }
    }

    fn exports(&mut self) {
        let written = self.written;
        for (name, export) in own_inports(written) {
            let place = Place::Inport(name.clone());
            if !self.parts.contains_key(export.process.as_str()) {
                self.flat.inports.insert(name.clone(), export.clone());
                continue;
            }
            let exported = match self.inlet(&export.process, &export.port) {
                Some(Inlet::Picture(end)) => Ok((end, export.metadata.clone())),
                Some(Inlet::Value { end, port, metadata }) => {
                    narrowed(&export.metadata, metadata, port).map(|metadata| (end, metadata))
                }
                None => {
                    self.no_inport(&export.process, &export.port, &place);
                    continue;
                }
            };
            match exported {
                Ok((End { process, port, .. }, metadata)) => {
                    self.flat.inports.insert(name.clone(), Export { process, port, metadata });
                }
                Err(message) => self.fault(&place, message),
            }
        }
        for (name, export) in &written.outports {
            if let Some(end) = self.outlet(&export.process, &export.port, &Place::Outport(name.clone())) {
                let export = Export { process: end.process, port: end.port, metadata: export.metadata.clone() };
                self.flat.outports.insert(name.clone(), export);
            }
        }
    }

    /// The connections inside of the parts.
    fn insides(&mut self) {
        for (name, part) in &self.parts {
            let inner = part.graph.flat();
            let end = |end: &End| End { process: inside(name, &end.process), ..end.clone() };
            for connection in &inner.connections {
                let tgt = end(&connection.tgt);
                let src = match &connection.src {
                    Origin::Process(src) => Origin::Process(end(src)),
                    Origin::Data(_) if self.replaced.contains(&(tgt.process.clone(), tgt.port.clone())) => continue,
                    Origin::Data(data) => Origin::Data(data.clone()),
                };
                self.flat.connections.push(Connection { src, tgt, metadata: Map::new() });
            }
            if part.scaled
                && let Some(export) = inner.inports.get("input")
            {
                let src = Origin::Process(port_of((*name).to_owned(), "output"));
                let tgt = port_of(inside(name, &export.process), &export.port);
                self.flat.connections.push(Connection { src, tgt, metadata: Map::new() });
            }
        }
    }

    /// Where the outport `port` of a process is; a fault where a part has none of that name.
    fn outlet(&mut self, process: &str, port: &str, place: &Place) -> Option<End> {
        let Some(part) = self.parts.get(process) else {
            return Some(port_of(process.to_owned(), port));
        };
        let outports = &part.graph.flat().outports;
        let found = outports.iter().find(|(name, _)| self.same(name, port));
        if let Some((_, Export { process: inner, port, .. })) = found {
            return Some(port_of(inside(process, inner), port));
        }
        if !port.is_empty() {
            let message = no_port(part.component, "outport", port, outports.keys().map(String::as_str));
            self.fault(place, message);
        }
        None
    }

    /// Where the inport `port` of a part leads.
    fn inlet(&self, process: &str, port: &str) -> Option<Inlet<'a>> {
        let part = self.parts.get(process)?;
        let graph = part.graph;
        let flat = graph.flat();
        let own = |name: &str| {
            let export = flat.inports.get(name)?;
            Some((port_of(inside(process, &export.process), &export.port), &export.metadata))
        };
        if graph.takes_input() && self.same("input", port) {
            let end = if part.scaled { port_of(process.to_owned(), "input") } else { own("input")?.0 };
            return Some(Inlet::Picture(end));
        }
        let port = graph.ports().iter().find(|own| self.same(&own.parameter.name, port))?;
        let name = port.parameter.name.as_str();
        if !graph.is_inport(name) {
            return None;
        }
        let (end, metadata) = if HOST_NAMES.contains(&name) {
            (port_of(process.to_owned(), name), &graph.definition().inports.get(name)?.metadata)
        } else {
            own(name)?
        };
        Some(Inlet::Value { end, port, metadata })
    }

    fn no_inport(&mut self, process: &str, port: &str, place: &Place) {
        let Some(part) = self.parts.get(process).filter(|_| !port.is_empty()) else { return };
        let names = part.graph.definition().inports.keys().map(String::as_str);
        let message = no_port(part.component, "inport", port, names.filter(|name| part.graph.is_inport(name)));
        self.fault(place, message);
    }

    fn same(&self, known: &str, given: &str) -> bool {
        self.written.port_name(known) == self.written.port_name(given)
    }
}

/// The inports that are the graph's own: the host's come in place of others of their names.
fn own_inports(graph: &Graph) -> impl Iterator<Item = (&String, &Export)> {
    graph.inports.iter().filter(|(name, _)| !HOST_NAMES.contains(&name.as_str()))
}

fn port_of(process: String, port: &str) -> End {
    End { process, port: port.to_owned(), index: None }
}

fn inside(process: &str, inner: &str) -> String {
    format!("{process}/{inner}")
}

/// The metadata of an export of an inner graph's export: the outer's before the inner's, and the
/// narrower of two ranges. What only an editor looks at stays inside, and so does the default, in
/// whose place another value may have come.
fn narrowed(outer: &Map<String, Json>, inner: &Map<String, Json>, port: &Port) -> Result<Map<String, Json>, String> {
    if let Some(Json::Array(values)) = outer.get("values") {
        for value in values {
            port.literal(value).map_err(|fault| format!("one of its values: {fault}"))?;
        }
    }
    let mut metadata = outer.clone();
    for (key, inner) in inner {
        if matches!(key.as_str(), "x" | "y" | "width" | "height" | "route" | "default") {
            continue;
        }
        let narrower = match (key.as_str(), outer.get(key).and_then(Json::as_f64), inner.as_f64()) {
            (_, None, _) => outer.get(key).is_none_or(Json::is_null),
            ("minimum", Some(outer), Some(inner)) => inner > outer,
            ("maximum", Some(outer), Some(inner)) => inner < outer,
            _ => false,
        };
        if narrower {
            metadata.insert(key.clone(), inner.clone());
        }
    }
    Ok(metadata)
}

#[cfg(test)]
mod tests;
