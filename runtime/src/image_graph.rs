//! A graph that makes pictures: checked against the catalogue, ready to be planned.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use imgflo_fbp::{End, Export, Graph, Origin, Place, info};
use imgflo_ops::{Operation, Properties};
use serde_json::{Map, Value as Json};

use crate::c_operations::{self, Module, Revision};
use crate::components::Components;
use crate::flatten::{Flat, flatten};
use crate::leftovers;
use crate::parameters::{self, Port, literal};
use crate::plan::{CUT, RESCALE};
use crate::{ArgumentFault, Arguments, Catalogue, EngineChoice, Gegl, LibraryLimits, Parameter, nearest};

/// What runs a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeKind {
    /// An image engine.
    Imgflo,
    /// Nothing: the input file is the result, byte for byte.
    Noop,
}

/// Something that keeps a graph from being served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphFault {
    /// Where, as a path into the JSON form: `processes.cut`, `connections[3].tgt`.
    pub place: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for GraphFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// A process with its operation.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub name: String,
    pub operation: Arc<dyn Operation>,
    /// What GEGL has to load for it.
    pub module: Option<Arc<Module>>,
    /// Defaults, and the IIPs over them.
    pub properties: Properties,
    /// What each input pad reads.
    pub inputs: Vec<Option<Feed>>,
}

/// What an input pad reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feed {
    /// The picture that enters the graph.
    Graph,
    /// The output of the process of that index.
    Process(usize),
}

/// A graph that makes pictures.
#[derive(Clone, Debug)]
pub struct ImageGraph {
    name: String,
    runtime: RuntimeKind,
    flat: Graph,
    levels: usize,
    definition: Graph,
    passed_over: Vec<GraphFault>,
    content: String,
    takes_input: bool,
    parameters: Vec<Parameter>,
    ports: Vec<Port>,
    nodes: Vec<Node>,
    output: usize,
    gegl: Option<Arc<Gegl>>,
}

/// Raised when the ports that a host adds (`width`, `height`) come to mean something else.
const HOST_PORTS: &str = "host-ports@1";

/// Raised when GEGL is given other pixels of the same picture.
const GEGL_INPUT: &str = "input@2";

/// Raised when plans of equal graphs come to make other pixels.
const PLANS: &str = "plans@3";

/// The inports that a host adds.
pub(crate) const HOST_NAMES: [&str; 2] = ["height", "width"];

impl ImageGraph {
    /// Checks a graph of operations: components and ports that exist, values that parse, no cycles,
    /// one edge an input pad, nothing required left open, and an outport `output`. A graph with
    /// graphs in it needs a library: [`Library::assemble`](crate::Library::assemble).
    ///
    /// The inports `width` and `height` are added to an imgflo graph (its own of that name are
    /// replaced, as in the original). They scale what enters at `input`, before the graph; a graph
    /// without `input` makes pictures of its own, and they cut those to (0, 0, width, height).
    ///
    /// # Errors
    /// All faults found.
    pub fn new(
        name: impl Into<String>,
        graph: Graph,
        catalogue: &Catalogue,
        limits: &LibraryLimits,
    ) -> Result<ImageGraph, Vec<GraphFault>> {
        ImageGraph::of(name.into(), graph, Components::operations(catalogue), limits)
    }

    /// As [`ImageGraph::new`], with graphs among the components.
    pub(crate) fn of(
        name: String,
        graph: Graph,
        components: Components<'_>,
        limits: &LibraryLimits,
    ) -> Result<ImageGraph, Vec<GraphFault>> {
        let fault = |place: &str, message: String| Err(vec![GraphFault { place: place.into(), message }]);
        let runtime = match graph.runtime() {
            None | Some("imgflo") => RuntimeKind::Imgflo,
            Some("noop") => RuntimeKind::Noop,
            Some(other) => {
                let message = format!("'{}' is no runtime for pictures: imgflo or noop", cut(other));
                return fault("properties.environment.type", message);
            }
        };
        if runtime == RuntimeKind::Noop {
            if !graph.processes.is_empty() {
                return fault("processes", "a noop graph has none".into());
            }
            return Ok(ImageGraph::noop(name, graph));
        }
        let cleared = leftovers::clear(&graph, components);
        let placed =
            |faults: Vec<GraphFault>| faults.into_iter().map(|fault| cleared.placed(fault)).collect::<Vec<_>>();
        let flat = flatten(&cleared.graph, components, limits).map_err(|fault| placed(vec![fault]))?;
        let checked = Checker::run(&cleared.graph, &flat, components).map_err(placed)?;
        let mut passed_over = cleared.passed_over;
        passed_over.extend(checked.passed_over);
        let gegl = gegl(&checked.nodes, components.catalogue())?;
        let mut ports = checked.ports;
        ports.push(Port::height());
        ports.push(Port::width());
        let mut definition = graph;
        info::enrich(&mut definition, |component| components.component(component));
        add_host_ports(&mut definition, &ports, checked.takes_input);
        let Flat { graph: flat, levels, .. } = flat;
        Ok(ImageGraph {
            name,
            runtime,
            content: content(&flat, &checked.nodes, checked.takes_input, components.catalogue(), gegl.as_deref()),
            flat,
            levels,
            definition,
            passed_over,
            takes_input: checked.takes_input,
            parameters: ports.iter().map(|port| port.parameter.clone()).collect(),
            ports,
            nodes: checked.nodes,
            output: checked.output,
            gegl,
        })
    }

    fn noop(name: String, graph: Graph) -> Self {
        ImageGraph {
            name,
            runtime: RuntimeKind::Noop,
            content: format!("{}\nnoop", graph.canonical()),
            definition: graph.clone(),
            flat: graph,
            levels: 0,
            passed_over: Vec::new(),
            takes_input: true,
            parameters: Vec::new(),
            ports: Vec::new(),
            nodes: Vec::new(),
            output: 0,
            gegl: None,
        }
    }

    /// A graph that does nothing to its input.
    pub(crate) fn handing_on(catalogue: &Catalogue) -> Self {
        let text = r#"{"inports": {"input": {"process": "input", "port": "input"}},
            "outports": {"output": {"process": "input", "port": "output"}},
            "processes": {"input": {"component": "gegl/nop"}}, "connections": []}"#;
        let graph = Graph::from_json_str(text).expect("is a graph");
        ImageGraph::new("input", graph, catalogue, &LibraryLimits { max_nodes: 1, max_bytes: 10_000 })
            .expect("gegl/nop is there")
    }

    /// The name it is served by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What runs it.
    pub fn runtime(&self) -> RuntimeKind {
        self.runtime
    }

    /// The graph as written, with graph information in its exported ports, and the ports that a
    /// host adds.
    pub fn definition(&self) -> &Graph {
        &self.definition
    }

    /// What of the graph as written is no part of the picture, such as leftovers of a visual editor, and why.
    pub fn passed_over(&self) -> &[GraphFault] {
        &self.passed_over
    }

    /// The graph as it runs: as written, but for graphs in it, in whose place are their processes.
    /// It stands alone: [`ImageGraph::new`] makes the same of it, with the same content.
    pub fn flat(&self) -> &Graph {
        &self.flat
    }

    /// As [`ImageGraph::flat`], but with the revision of each operation in C in its component's name: what a
    /// job carries, so that it is done by the code that [`ImageGraph::content`] tells of.
    pub fn pinned(&self) -> Graph {
        let mut graph = self.flat.clone();
        for node in &self.nodes {
            if let (Some(name), Some(process)) =
                (c_operations::pinned(node.operation.as_ref()), graph.processes.get_mut(&node.name))
            {
                process.component = name;
            }
        }
        graph
    }

    /// True when operations in C are in it: their files stay for as long as it does.
    pub fn holds_files(&self) -> bool {
        self.nodes.iter().any(|node| c_operations::is_in_c(node.operation.info().name))
    }

    /// All that decides on pixels beside parameters and input, as one text for the cache key: the
    /// graph as it runs without what is for people, and the revision of each operation that it runs. The same
    /// from the `.fbp` and the JSON form.
    pub fn content(&self) -> &str {
        &self.content
    }

    /// True when it works on a picture; a noop graph does on any file.
    pub fn takes_input(&self) -> bool {
        self.takes_input
    }

    /// What a request may set: the graph's own in its order, then `height` and `width`.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Reads the values of a request, by parameter name. An empty text is "not given", as are a
    /// width or height of 0 and -1. Where several parameters lead to one port, the last in
    /// [`ImageGraph::parameters`] holds.
    ///
    /// # Errors
    /// All faults at once, by parameter.
    pub fn arguments(&self, given: &BTreeMap<String, String>) -> Result<Arguments, Vec<ArgumentFault>> {
        parameters::read(&self.ports, given)
    }

    /// GEGL, where it renders this graph.
    pub fn gegl(&self) -> Option<&Arc<Gegl>> {
        self.gegl.as_ref()
    }

    /// What [`ImageGraph::parameters`] describes, in the same order.
    pub(crate) fn ports(&self) -> &[Port] {
        &self.ports
    }

    /// Levels of graphs it is made of; 0 for operations alone.
    pub(crate) fn levels(&self) -> usize {
        self.levels
    }

    /// True when it has that inport as a component of another graph. The host's are for what
    /// enters.
    pub(crate) fn is_inport(&self, name: &str) -> bool {
        match name {
            "input" => self.takes_input,
            _ if HOST_NAMES.contains(&name) => self.takes_input,
            _ => self.ports.iter().any(|port| port.parameter.name == name && !port.does_nothing()),
        }
    }

    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The process behind the outport `output`.
    pub(crate) fn output(&self) -> usize {
        self.output
    }
}

/// GEGL, where a graph of these processes is to run there: it runs the whole of it.
fn gegl(nodes: &[Node], catalogue: &Catalogue) -> Result<Option<Arc<Gegl>>, Vec<GraphFault>> {
    let name = |node: &Node| node.operation.info().name;
    let in_c = |node: &Node| node.module.is_none() && c_operations::is_in_c(name(node));
    let foreign = nodes.iter().find(|node| !in_c(node) && catalogue.registry().get(name(node)).is_none());
    let why = foreign.map_or_else(
        || "graphs run on GEGL alone here (IMGFLO_ENGINE)".to_owned(),
        |node| format!("'{}' makes the graph run on GEGL", name(node)),
    );
    let gegl = catalogue.gegl().filter(|_| foreign.is_some() || catalogue.engine() == EngineChoice::Gegl);
    let lacking = |node: &Node| match gegl {
        None => node
            .module
            .as_ref()
            .map(|_| format!("'{}' runs on GEGL, and graphs run natively alone here (IMGFLO_ENGINE)", name(node))),
        Some(gegl) => match gegl.version() {
            Err(error) => Some(error.to_owned()),
            Ok(_) if in_c(node) => Some(format!("GEGL cannot run operations in C ('{}'), and {why}", name(node))),
            Ok(_) if node.module.is_some() || gegl.has(name(node)) => None,
            Ok(_) => Some(format!("GEGL has no '{}', and {why}", name(node))),
        },
    };
    let fault = |node: &Node| {
        let place = format!("processes.{}", node.name);
        lacking(node).map(|message| GraphFault { place, message })
    };
    let faults = nodes.iter().filter_map(fault).collect::<Vec<_>>();
    if faults.is_empty() { Ok(gegl.cloned()) } else { Err(faults) }
}

fn content(graph: &Graph, nodes: &[Node], takes_input: bool, catalogue: &Catalogue, gegl: Option<&Gegl>) -> String {
    let host = catalogue.registry().get(if takes_input { RESCALE } else { CUT });
    let operations = nodes.iter().map(|node| &node.operation).chain(host);
    let revisions = operations
        .map(|operation| format!("{}@{}", operation.info().name, operation.revision()))
        .collect::<BTreeSet<_>>();
    let mut text = without_pins(graph, nodes).canonical();
    let gegl = gegl.and_then(|gegl| gegl.version().ok()).map(|version| format!("gegl@{version} {GEGL_INPUT}"));
    for line in revisions.iter().map(String::as_str).chain([HOST_PORTS, PLANS]).chain(gegl.as_deref()) {
        text.push('\n');
        text.push_str(line);
    }
    text
}

/// The graph with operations in C by their plain names, as [`ImageGraph::pinned`] found it: their revisions are told apart
/// from it, and a graph and what a job carries of it are one content.
fn without_pins<'a>(graph: &'a Graph, nodes: &[Node]) -> Cow<'a, Graph> {
    let mut graph = Cow::Borrowed(graph);
    for node in nodes.iter().filter(|node| c_operations::is_in_c(node.operation.info().name)) {
        let name = node.operation.info().name;
        if graph.processes.get(&node.name).is_some_and(|process| process.component != name)
            && let Some(process) = graph.to_mut().processes.get_mut(&node.name)
        {
            process.component = name.to_owned();
        }
    }
    graph
}

/// Adds `height` and `width`. They lead to the process `rescale` that a host puts before the
/// graph; in a graph without input they lead to no process of its own.
fn add_host_ports(definition: &mut Graph, ports: &[Port], takes_input: bool) {
    for (name, inner) in [("height", "y"), ("width", "x")] {
        let Some(Parameter { type_name, description, .. }) =
            ports.iter().map(|port| &port.parameter).find(|parameter| parameter.name == name)
        else {
            continue;
        };
        let metadata = [
            ("type", Json::from(type_name.as_str())),
            ("description", Json::from(description.as_str())),
            ("minimum", Json::from(0)),
            ("maximum", Json::from(parameters::LARGEST_SIDE)),
        ];
        let metadata = metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>();
        let (process, port) = if takes_input { ("rescale", inner) } else { ("", "") };
        definition.inports.insert(name.into(), Export { process: process.into(), port: port.into(), metadata });
    }
}

pub(crate) fn cut(text: &str) -> String {
    text.chars().take(100).collect()
}

/// What is said of a port that a component does not have; `kind` is `inport` or `outport`.
pub(crate) fn no_port<'n>(component: &str, kind: &str, port: &str, names: impl Iterator<Item = &'n str>) -> String {
    let names = names.collect::<Vec<_>>();
    let meant = nearest(port, names.iter().copied()).map(|meant| format!("; did you mean '{meant}'?"));
    let listed = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    format!("{component} has no {kind} '{}'{} (there are: {listed})", cut(port), meant.unwrap_or_default())
}

/// Names in a circle, from the first back to it.
pub(crate) fn circle(names: &[&str]) -> String {
    let first = names.first().copied();
    let shown = names.iter().take(10).copied().chain((names.len() > 10).then_some("..")).chain(first);
    shown.collect::<Vec<_>>().join(" -> ")
}

/// What checking a graph makes.
struct Checked {
    nodes: Vec<Node>,
    passed_over: Vec<GraphFault>,
    output: usize,
    takes_input: bool,
    ports: Vec<Port>,
}

/// Where in an operation a port name leads.
enum Inner {
    Pad(usize),
    Property(usize),
}

struct Checker<'g> {
    /// A graph of operations.
    graph: &'g Graph,
    components: Components<'g>,
    faults: Vec<GraphFault>,
    passed_over: Vec<GraphFault>,
    nodes: Vec<Node>,
    index: HashMap<&'g str, usize>,
}

impl<'g> Checker<'g> {
    /// Checks `written` by what it comes to.
    fn run(written: &Graph, flat: &'g Flat, components: Components<'g>) -> Result<Checked, Vec<GraphFault>> {
        let graph = &flat.graph;
        let mut checker = Checker {
            graph,
            components,
            faults: Vec::new(),
            passed_over: Vec::new(),
            nodes: Vec::new(),
            index: HashMap::new(),
        };
        for fault in written.validate() {
            checker.fault(&fault.place, fault.message);
        }
        checker.faults.extend(flat.faults.iter().cloned());
        checker.processes();
        checker.connections();
        let (takes_input, ports) = checker.inports();
        checker.required();
        checker.cycles();
        let output = checker.output();
        match output {
            Some(output) if checker.faults.is_empty() => {
                let Checker { nodes, passed_over, .. } = checker;
                Ok(Checked { nodes, passed_over, output, takes_input, ports })
            }
            _ => Err(checker.faults),
        }
    }

    fn fault(&mut self, place: &Place, message: String) {
        self.faults.push(GraphFault { place: place.to_string(), message });
    }

    fn processes(&mut self) {
        for (name, process) in &self.graph.processes {
            let component = &process.component;
            if let Some(Revision { operation, module }) = self.components.catalogue().revision(component) {
                let info = operation.info();
                self.index.insert(name, self.nodes.len());
                self.nodes.push(Node {
                    name: name.clone(),
                    operation,
                    module,
                    properties: Properties::defaults(info.properties),
                    inputs: vec![None; info.inputs.len()],
                });
            } else if !component.is_empty() {
                let meant = self.components.nearest(component).map(|meant| format!("; did you mean '{meant}'?"));
                let message = format!("unknown component '{}'{}", cut(component), meant.unwrap_or_default());
                self.fault(&Place::Process(name.clone()), message);
            }
        }
    }

    fn same(&self, known: &str, given: &str) -> bool {
        known == given || (!self.graph.case_sensitive && known.to_lowercase() == given.to_lowercase())
    }

    /// Where `port` of the node leads.
    fn find(&self, node: usize, port: &str) -> Option<Inner> {
        let info = self.nodes[node].operation.info();
        if let Some(pad) = info.inputs.iter().position(|pad| self.same(pad.name, port)) {
            return Some(Inner::Pad(pad));
        }
        info.properties.iter().position(|property| self.same(property.name, port)).map(Inner::Property)
    }

    /// What is said where `port` of the node leads nowhere.
    fn lacks(&self, node: usize, port: &str) -> String {
        let info = self.nodes[node].operation.info();
        let names = info.inputs.iter().map(|pad| pad.name).chain(info.properties.iter().map(|p| p.name));
        no_port(info.name, "inport", port, names)
    }

    /// Where `port` of the node leads; a fault when nowhere.
    fn inner(&mut self, node: usize, port: &str, place: &Place) -> Option<Inner> {
        let found = self.find(node, port);
        if found.is_none() && !port.is_empty() {
            let message = self.lacks(node, port);
            self.fault(place, message);
        }
        found
    }

    fn connections(&mut self) {
        let mut set = BTreeSet::new();
        for (index, connection) in self.graph.connections.iter().enumerate() {
            let place = Place::Target(index);
            let End { process, port, index: element } = &connection.tgt;
            if element.is_some() {
                self.fault(&place, format!("port '{}' is no array: leave its index away", cut(port)));
            }
            let target = self.index.get(process.as_str()).copied();
            match &connection.src {
                Origin::Process(end) => {
                    let source = self.output_of(end, &Place::Source(index));
                    let Some(target) = target else { continue };
                    match self.inner(target, port, &place) {
                        Some(Inner::Pad(pad)) => self.feed(target, pad, source.map(Feed::Process), &place),
                        Some(Inner::Property(_)) => {
                            let message = format!("port '{}' takes a value, and a picture is sent to it", cut(port));
                            self.fault(&place, message);
                        }
                        None => {}
                    }
                }
                Origin::Data(data) => {
                    let Some(target) = target else { continue };
                    match self.inner(target, port, &place) {
                        Some(Inner::Property(property)) => {
                            if !set.insert((target, property)) {
                                self.fault(&place, format!("a second value for port '{}'", cut(port)));
                            }
                            let property = &self.nodes[target].operation.info().properties[property];
                            match literal(&property.kind, data) {
                                Ok(value) => self.nodes[target].properties.set(property.name, value),
                                Err(fault) => self.fault(&place, format!("port '{}': {fault}", property.name)),
                            }
                        }
                        Some(Inner::Pad(_)) => {
                            self.fault(&place, format!("port '{}' takes a picture, not a value", cut(port)));
                        }
                        None => {}
                    }
                }
            }
        }
    }

    /// The node whose picture leaves at `end`.
    fn output_of(&mut self, end: &End, place: &Place) -> Option<usize> {
        let node = self.index.get(end.process.as_str()).copied()?;
        if end.index.is_some() {
            self.fault(place, format!("port '{}' is no array: leave its index away", cut(&end.port)));
        }
        if !self.same("output", &end.port) {
            let component = self.nodes[node].operation.info().name;
            self.fault(place, format!("{component} has no outport '{}', only 'output'", cut(&end.port)));
        }
        Some(node)
    }

    fn feed(&mut self, node: usize, pad: usize, feed: Option<Feed>, place: &Place) {
        let Node { inputs, operation, .. } = &mut self.nodes[node];
        if inputs[pad].is_some() {
            let message = format!("a second picture for port '{}', which takes one", operation.info().inputs[pad].name);
            self.fault(place, message);
        } else {
            inputs[pad] = feed;
        }
    }

    fn inports(&mut self) -> (bool, Vec<Port>) {
        let mut ports = Vec::new();
        let mut takes_input = false;
        for (name, Export { process, port, metadata }) in &self.graph.inports {
            let place = Place::Inport(name.clone());
            if HOST_NAMES.contains(&name.as_str()) {
                // The host's own come in their place.
                continue;
            }
            let Some(node) = self.index.get(process.as_str()).copied() else { continue };
            if name != "input" && !port.is_empty() && self.find(node, port).is_none() {
                // Old addresses give it a value still.
                let message = format!("does nothing: {}", self.lacks(node, port));
                self.passed_over.push(GraphFault { place: place.to_string(), message });
                ports.push(Port::nothing(name, metadata));
                continue;
            }
            match (self.inner(node, port, &place), name.as_str()) {
                (Some(Inner::Pad(pad)), "input") => {
                    takes_input = true;
                    self.feed(node, pad, Some(Feed::Graph), &place);
                }
                (Some(Inner::Pad(_)), _) => {
                    self.fault(&place, "leads to a port for pictures; only the inport 'input' may".into());
                }
                (Some(Inner::Property(_)), "input") => {
                    self.fault(&place, format!("leads to '{}', which takes no picture", cut(port)));
                }
                (Some(Inner::Property(property)), _) => {
                    let property = &self.nodes[node].operation.info().properties[property];
                    let set = self.nodes[node].properties.iter().find(|(name, _)| *name == property.name);
                    let default = set.map_or_else(|| property.kind.default(), |(_, value)| value.clone());
                    match Port::exported(name, process, property, default, metadata) {
                        Ok(port) => ports.push(port),
                        Err(message) => self.fault(&place, message),
                    }
                }
                (None, _) => {}
            }
        }
        (takes_input, ports)
    }

    fn required(&mut self) {
        let open = self.nodes.iter().flat_map(|node| {
            let pads = node.operation.info().inputs.iter().zip(&node.inputs);
            pads.filter(|(pad, feed)| pad.required && feed.is_none()).map(|(pad, _)| (node.name.clone(), pad.name))
        });
        for (process, pad) in open.collect::<Vec<_>>() {
            // An edge that is faulty itself has been told of.
            let connected =
                self.graph.connections.iter().any(|c| c.tgt.process == process && self.same(pad, &c.tgt.port));
            if !connected {
                let message = format!("nothing is connected to its port '{pad}', and it is not exported as 'input'");
                self.fault(&Place::Process(process), message);
            }
        }
    }

    /// Takes away nodes that read nothing left, again and again; what stays is in a cycle or
    /// behind one.
    fn cycles(&mut self) {
        let mut readers: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        let mut reads = vec![0usize; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            for feed in node.inputs.iter().flatten() {
                if let Feed::Process(source) = feed {
                    readers[*source].push(index);
                    reads[index] += 1;
                }
            }
        }
        let mut free = (0..self.nodes.len()).filter(|index| reads[*index] == 0).collect::<Vec<_>>();
        while let Some(index) = free.pop() {
            for reader in &readers[index] {
                reads[*reader] -= 1;
                if reads[*reader] == 0 {
                    free.push(*reader);
                }
            }
        }
        let Some(start) = reads.iter().position(|reads| *reads > 0) else { return };
        // Each that stays reads one that stays: going back from any ends in a cycle.
        let mut seen = vec![None; self.nodes.len()];
        let mut path = Vec::new();
        let mut at = start;
        while seen[at].is_none() {
            seen[at] = Some(path.len());
            path.push(at);
            let sources = self.nodes[at].inputs.iter().flatten();
            let stays = sources.filter_map(|feed| match feed {
                Feed::Process(source) if reads[*source] > 0 => Some(*source),
                _ => None,
            });
            let Some(next) = { stays }.next() else { return };
            at = next;
        }
        // Told in the direction of the edges, from the first in the graph's order.
        let mut cycle = path[seen[at].unwrap_or(0)..].to_vec();
        cycle.reverse();
        let first = cycle.iter().enumerate().min_by_key(|(_, node)| **node).map_or(0, |(place, _)| place);
        cycle.rotate_left(first);
        let names = cycle.iter().map(|index| self.nodes[*index].name.as_str()).collect::<Vec<_>>();
        let first = names[0].to_owned();
        let message = format!("a cycle: {}", circle(&names));
        self.fault(&Place::Process(first.clone()), message);
    }

    fn output(&mut self) -> Option<usize> {
        let place = Place::Outport("output".into());
        let Some(export) = self.graph.outports.get("output") else {
            self.fault(&place, "an image graph exports the picture it makes as 'output'".into());
            return None;
        };
        let end = End { process: export.process.clone(), port: export.port.clone(), index: None };
        let output = self.output_of(&end, &place);
        if end.process.is_empty() {
            self.fault(&place, "leads to no process".into());
        }
        output
    }
}

#[cfg(test)]
mod tests;
