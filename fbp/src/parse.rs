//! The `.fbp` language, as fbp 1.8.0 (npm) reads it.
//!
//! The grammar is a PEG, and files depend on its corners: a statement needs no separator, a bare
//! name with spaces after it is a port, a bare node in the middle of a chain needs both ports. So
//! the statements here are tried in the original's order, token by token.
//!
//! [`ParseOptions::extensions`] adds two readings that the original refuses or ignores.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::error::Error;
use crate::graph::{Connection, End, Export, Graph, Origin, Process};
use crate::lexer::{ComponentWord, Expect, NodeWord, PortWord, Scanner};
use crate::number;
use crate::validate::{Fault, Place};

/// How to read a `.fbp` text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseOptions {
    /// Keep the case of port names. Default false: they are folded to lower case.
    pub case_sensitive: bool,
    /// Refuse a graph with a process without component, or with a connection or exported port that
    /// leads to a process which is nowhere declared. Default true.
    pub validate: bool,
    /// Default true. Two readings beyond the original's: port names may have dashes inside
    /// (`1.5 -> STD-DEV-X blur`), tried only for a text that the original would refuse; and
    /// `# !runtime x` is read like `# @runtime x` where no `@runtime` stands. False: exactly the
    /// original.
    pub extensions: bool,
}

impl Default for ParseOptions {
    fn default() -> Self {
        Self { case_sensitive: false, validate: true, extensions: true }
    }
}

/// Reads a `.fbp` text.
///
/// Takes time in proportion to the text's length, for any text.
///
/// # Errors
///
/// [`Error::Syntax`] with the original's position, expectations and words; [`Error::Content`] if
/// the graph is not whole (the first fault, in the original's order and words), with the place
/// where the culprit stands; [`Error::Refused`] for literals nested deeper than
/// [`MAX_DEPTH`](crate::MAX_DEPTH), numbers that no double holds, halves of characters and array
/// indexes beyond `u32`.
pub fn parse(text: &str, options: &ParseOptions) -> Result<Graph, Error> {
    let plain = Parser::read(text, options, false);
    if !options.extensions || plain.graph.is_ok() {
        return plain.graph;
    }
    let dashed = Parser::read(text, options, true);
    match (&plain.graph, &dashed.graph) {
        (_, Ok(_)) => dashed.graph,
        (Err(Error::Syntax { .. }), Err(Error::Syntax { .. })) if dashed.reached > plain.reached => dashed.graph,
        (Err(Error::Syntax { .. }), Err(Error::Content { .. })) => dashed.graph,
        (Err(Error::Content { .. }), Err(Error::Content { .. })) if dashed.dash_seen => dashed.graph,
        _ => plain.graph,
    }
}

struct Reading {
    graph: Result<Graph, Error>,
    /// How far reading came, in bytes.
    reached: usize,
    /// A port name with a dash was read.
    dash_seen: bool,
}

/// What stands before an arrow.
enum Source<'t> {
    /// `[PORT] node [PORT]`: the end of one connection and the start of the next.
    Bridge { inport: Option<PortWord<'t>>, node: NodeWord<'t>, outport: Option<PortWord<'t>> },
    /// `node [PORT]`.
    Outport { node: NodeWord<'t>, port: Option<PortWord<'t>> },
    /// An IIP.
    Data(Value),
}

/// How a statement went.
enum Statement {
    Read,
    /// None starts here.
    Absent,
    /// One starts here and breaks off in a way that no other reading can mend.
    Broken,
}

struct Parser<'t> {
    scanner: Scanner<'t>,
    options: &'t ParseOptions,
    graph: Graph,
    default_inport: &'t str,
    default_outport: &'t str,
    /// How many anonymous processes a component has.
    anonymous: HashMap<String, u32>,
    /// `# @runtime` was seen.
    runtime_seen: bool,
    places: Places,
}

/// Where in the text the parts of the graph stand, as byte offsets.
#[derive(Default)]
struct Places {
    /// By index in `Graph::processes`.
    processes: Vec<usize>,
    inports: HashMap<String, usize>,
    outports: HashMap<String, usize>,
    /// Source and target, by index in `Graph::connections`.
    connections: Vec<(usize, usize)>,
}

impl<'t> Parser<'t> {
    fn read(text: &'t str, options: &'t ParseOptions, dashes: bool) -> Reading {
        let mut parser = Parser {
            scanner: Scanner::new(text, dashes),
            options,
            graph: Graph { case_sensitive: options.case_sensitive, ..Graph::default() },
            default_inport: "IN",
            default_outport: "OUT",
            anonymous: HashMap::new(),
            runtime_seen: false,
            places: Places::default(),
        };
        let error = parser.document().err();
        let Parser { scanner, graph, .. } = parser;
        Reading { graph: error.map_or(Ok(graph), Err), reached: scanner.farthest(), dash_seen: scanner.dash_seen }
    }

    fn document(&mut self) -> Result<(), Error> {
        let mut statement = Statement::Read;
        while matches!(statement, Statement::Read) {
            statement = self.statement();
            if let Some(refusal) = &self.scanner.refusal {
                let (line, column) = self.scanner.position(refusal.at);
                return Err(Error::Refused { line, column, message: refusal.message.clone() });
            }
        }
        if matches!(statement, Statement::Broken) {
            return Err(self.scanner.error());
        }
        if !self.scanner.at_end() {
            self.scanner.miss(Expect::End);
            return Err(self.scanner.error());
        }
        if self.options.validate
            && let Some(fault) = self.graph.validate().into_iter().find(|fault| fault.kind.breaks_text())
        {
            let (line, column) = self.scanner.position(self.offset_of(&fault));
            return Err(Error::Content { line, column, fault });
        }
        Ok(())
    }

    fn offset_of(&self, fault: &Fault) -> usize {
        let places = &self.places;
        let found = match &fault.place {
            Place::Process(name) => {
                self.graph.processes.get_index_of(name).and_then(|index| places.processes.get(index)).copied()
            }
            Place::Inport(name) => places.inports.get(name).copied(),
            Place::Outport(name) => places.outports.get(name).copied(),
            Place::Source(index) => places.connections.get(*index).map(|ends| ends.0),
            Place::Target(index) => places.connections.get(*index).map(|ends| ends.1),
        };
        found.unwrap_or_default()
    }

    fn statement(&mut self) -> Statement {
        let from = self.scanner.pos;
        let alternatives =
            [Self::inport, Self::outport, Self::default_in, Self::default_out, Self::annotation, Self::blank];
        for alternative in alternatives {
            if alternative(self).is_some() {
                return Statement::Read;
            }
            self.scanner.pos = from;
        }
        self.scanner.spaces();
        let statement = self.connection();
        match statement {
            Statement::Read => self.terminator(),
            _ => self.scanner.pos = from,
        }
        statement
    }

    /// Optional spaces, comma, comment and newline.
    fn terminator(&mut self) {
        self.scanner.spaces();
        self.scanner.literal(Expect::Comma);
        self.scanner.comment();
        self.scanner.newline();
    }

    fn inport(&mut self) -> Option<()> {
        let (at, public, export) = self.export(Expect::Inport)?;
        self.places.inports.insert(public.clone(), at);
        self.graph.inports.insert(public, export);
        Some(())
    }

    fn outport(&mut self) -> Option<()> {
        let (at, public, export) = self.export(Expect::Outport)?;
        self.places.outports.insert(public.clone(), at);
        self.graph.outports.insert(public, export);
        Some(())
    }

    /// `INPORT=node.port:public`; the offset is the node's.
    fn export(&mut self, keyword: Expect) -> Option<(usize, String, Export)> {
        self.scanner.spaces();
        self.scanner.literal(keyword)?;
        let node = self.scanner.node()?;
        self.scanner.literal(Expect::Dot)?;
        let port = self.scanner.port_name()?;
        self.scanner.literal(Expect::Colon)?;
        let public = self.scanner.port_name()?;
        self.terminator();
        let export = Export { process: self.declare(&node), port: self.folded(port), metadata: Map::new() };
        Some((node.at, self.folded(public), export))
    }

    fn default_in(&mut self) -> Option<()> {
        self.default_inport = self.default_port(Expect::DefaultInport)?;
        Some(())
    }

    fn default_out(&mut self) -> Option<()> {
        self.default_outport = self.default_port(Expect::DefaultOutport)?;
        Some(())
    }

    fn default_port(&mut self, keyword: Expect) -> Option<&'t str> {
        self.scanner.spaces();
        self.scanner.literal(keyword)?;
        let name = self.scanner.port_name()?;
        self.terminator();
        Some(name)
    }

    fn annotation(&mut self) -> Option<()> {
        let (key, value) = self.scanner.annotation(self.options.extensions)?;
        self.scanner.newline()?;
        let properties = &mut self.graph.properties;
        let environment = || Value::Object(Map::from_iter([("type".to_owned(), Value::from(value))]));
        match key {
            "runtime" => {
                self.runtime_seen = true;
                properties.insert("environment".to_owned(), environment());
            }
            "!runtime" => {
                if !self.runtime_seen {
                    properties.insert("environment".to_owned(), environment());
                }
            }
            _ => {
                properties.insert(key.to_owned(), Value::from(value));
            }
        }
        Some(())
    }

    /// A comment or an empty line.
    fn blank(&mut self) -> Option<()> {
        if self.scanner.comment().is_some() {
            self.scanner.newline();
            return Some(());
        }
        self.scanner.spaces();
        self.scanner.newline()
    }

    /// `source -> source -> ... -> [PORT] node`.
    fn connection(&mut self) -> Statement {
        let mut sources = Vec::new();
        let (target_port, target) = loop {
            let from = self.scanner.pos;
            if let Some(source) = self.source() {
                let at = from;
                self.scanner.spaces();
                if self.scanner.literal(Expect::Arrow).is_some() {
                    self.scanner.spaces();
                    sources.push((at, source));
                    continue;
                }
            }
            self.scanner.pos = from;
            match self.destination() {
                Some(destination) => break destination,
                None if sources.is_empty() => return Statement::Absent,
                // Whatever shorter statement fits, the arrow that led here stands after it, and
                // nothing but a connection can take an arrow.
                None => return Statement::Broken,
            }
        };
        self.connect(sources, target_port, &target);
        Statement::Read
    }

    fn source(&mut self) -> Option<Source<'t>> {
        let from = self.scanner.pos;
        if let Some(bridge) = self.bridge() {
            return Some(bridge);
        }
        self.scanner.pos = from;
        if let Some(node) = self.scanner.node() {
            return Some(Source::Outport { node, port: self.scanner.port_after() });
        }
        self.scanner.pos = from;
        self.scanner.iip().map(Source::Data)
    }

    /// `PORT node PORT` or `[PORT] node(Component) [PORT]`.
    fn bridge(&mut self) -> Option<Source<'t>> {
        let from = self.scanner.pos;
        if let Some(inport) = self.scanner.port_before()
            && let Some(node) = self.scanner.node()
            && let Some(outport) = self.scanner.port_after()
        {
            return Some(Source::Bridge { inport: Some(inport), node, outport: Some(outport) });
        }
        self.scanner.pos = from;
        let inport = self.scanner.port_before();
        let node = self.scanner.node_with_component()?;
        Some(Source::Bridge { inport, node, outport: self.scanner.port_after() })
    }

    /// `[PORT] node`. The original has `bridge` as a second choice here, which adds nothing but
    /// its expectations.
    fn destination(&mut self) -> Option<(Option<PortWord<'t>>, NodeWord<'t>)> {
        let from = self.scanner.pos;
        let port = self.scanner.port_before();
        if let Some(node) = self.scanner.node() {
            return Some((port, node));
        }
        self.scanner.pos = from;
        None
    }

    /// Adds what a statement says to the graph.
    fn connect(&mut self, sources: Vec<(usize, Source<'t>)>, target_port: Option<PortWord<'t>>, target: &NodeWord<'t>) {
        // As in the original an origin reaches the very next target only: a second origin after it
        // replaces it, and a target without an origin before it makes nothing.
        let mut open: Option<(usize, Origin)> = None;
        for (at, source) in sources {
            match source {
                Source::Bridge { inport, node, outport } => {
                    let process = self.declare(&node);
                    let end = self.end(process.clone(), inport, self.default_inport);
                    self.finish(open.take(), end, node.at);
                    let start = self.end(process, outport, self.default_outport);
                    open = Some((node.at, Origin::Process(start)));
                }
                Source::Outport { node, port } => {
                    let process = self.declare(&node);
                    open = Some((node.at, Origin::Process(self.end(process, port, self.default_outport))));
                }
                Source::Data(value) => open = Some((at, Origin::Data(value))),
            }
        }
        let process = self.declare(target);
        let end = self.end(process, target_port, self.default_inport);
        self.finish(open, end, target.at);
    }

    fn finish(&mut self, open: Option<(usize, Origin)>, tgt: End, target_at: usize) {
        if let Some((source_at, src)) = open {
            self.places.connections.push((source_at, target_at));
            self.graph.connections.push(Connection { src, tgt, metadata: Map::new() });
        }
    }

    fn end(&self, process: String, port: Option<PortWord<'_>>, default: &str) -> End {
        let name = port.map_or(default, |port| port.name);
        End { process, port: self.folded(name), index: port.and_then(|port| port.index) }
    }

    fn folded(&self, port: &str) -> String {
        self.graph.port_name(port).into_owned()
    }

    /// The name of a node; a node with a component is declared by it.
    fn declare(&mut self, node: &NodeWord<'t>) -> String {
        let name = match (node.name, &node.component) {
            (Some(name), _) => name.to_owned(),
            (None, component) => self.anonymous_name(component.map_or("", |component| component.name)),
        };
        if let Some(component) = &node.component {
            self.add_process(&name, component, node.at);
        }
        name
    }

    fn anonymous_name(&mut self, component: &str) -> String {
        let word = first_gap_joined(component);
        let count = self.anonymous.entry(word.clone()).or_default();
        *count += 1;
        format!("_{word}_{count}")
    }

    fn add_process(&mut self, name: &str, component: &ComponentWord<'t>, at: usize) {
        if !self.graph.processes.contains_key(name) {
            self.places.processes.push(at);
            self.graph.processes.insert(name.to_owned(), Process::default());
        }
        let Some(process) = self.graph.processes.get_mut(name) else { return };
        if !component.name.is_empty() {
            component.name.clone_into(&mut process.component);
        }
        if let Some(meta) = component.meta {
            process.metadata = meta.split(',').map(meta_item).collect();
        }
    }
}

/// `name` with its first run of characters other than letters and digits made one `_`.
fn first_gap_joined(name: &str) -> String {
    let Some(from) = name.find(|c: char| !c.is_ascii_alphanumeric()) else { return name.to_owned() };
    let rest = name[from..].trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    format!("{}_{rest}", &name[..from])
}

/// `key=value`, or a bare word, which is a value of `routes`.
fn meta_item(item: &str) -> (String, Value) {
    let mut parts = item.split('=');
    let first = parts.next().unwrap_or_default();
    match parts.next() {
        None => ("routes".to_owned(), Value::from(first)),
        Some(value) if matches!(first, "x" | "y") => (first.to_owned(), leading_number(value)),
        Some(value) => (first.to_owned(), Value::from(value)),
    }
}

/// `parseFloat` over the characters that metadata can have; `null` where it gives no finite number,
/// as JSON has none.
fn leading_number(text: &str) -> Value {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut end = digits(text);
    if end > 0 && text[end..].starts_with(['e', 'E']) {
        let power = digits(&text[end + 1..]);
        end += if power > 0 { 1 + power } else { 0 };
    }
    text[..end].parse().ok().and_then(number::from_f64).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Graph {
        parse(text, &ParseOptions::default()).unwrap_or_else(|error| panic!("{text:?}: {error}"))
    }

    fn fault(text: &str) -> String {
        parse(text, &ParseOptions::default()).expect_err(text).to_string()
    }

    /// Connections as `a.out[0]>b.in`, with JSON for IIPs.
    fn wires(text: &str) -> Vec<String> {
        let end = |end: &End| {
            let index = end.index.map(|index| format!("[{index}]")).unwrap_or_default();
            format!("{}.{}{index}", end.process, end.port)
        };
        let wire = |connection: Connection| match &connection.src {
            Origin::Process(src) => format!("{}>{}", end(src), end(&connection.tgt)),
            Origin::Data(data) => format!("{data}>{}", end(&connection.tgt)),
        };
        read(text).connections.into_iter().map(wire).collect()
    }

    #[test]
    fn chains_make_edges_in_order() {
        assert_eq!(wires("a(A) OUT -> IN b(B) O[1] -> I[02] c(C)"), ["a.out>b.in", "b.o[1]>c.i[2]"]);
        assert_eq!(wires("a(A)->b(B),b ->c(C)"), ["a.out>b.in", "b.out>c.in"]);
        assert_eq!(wires("300 -> WIDTH a(X)\n'300' -> H a OUT"), ["300>a.width", "\"300\">a.h"]);
        assert_eq!(
            wires("(g/x) -> (g/x) -> (imgflo/a-b-c)"),
            ["_g_x_1.out>_g_x_2.in", "_g_x_2.out>_imgflo_a-b-c_1.in"]
        );
        assert_eq!(wires("a(A) b(B)\nDEFAULT_OUTPORT=Z\nDEFAULT_INPORT=Y\na -> b"), ["a.z>b.y"]);
    }

    #[test]
    fn a_bare_node_inside_a_chain_needs_both_ports() {
        assert_eq!(wires("a(A) -> b -> c(C) b(B)"), ["b.out>c.in"]);
        assert_eq!(wires("a(A) -> IN b OUT -> c(C) b(B)"), ["a.out>b.in", "b.out>c.in"]);
        assert_eq!(wires("1 -> 2 -> IN a(A)"), ["2>a.in"]);
    }

    #[test]
    fn declarations() {
        let graph = read("a(A:x=1,y=2e1,l=q,word)\na(:x=z)\nb(B:main) a()");
        assert_eq!(graph.processes["a"].component, "A");
        assert_eq!(Value::Object(graph.processes["a"].metadata.clone()), json!({"x": null}));
        assert_eq!(Value::Object(graph.processes["b"].metadata.clone()), json!({"routes": "main"}));
        let graph = read("b(B:x=1,y=2e1,l=q,word)");
        let expected = json!({"x": 1, "y": 20, "l": "q", "routes": "word"});
        assert_eq!(Value::Object(graph.processes["b"].metadata.clone()), expected);
    }

    #[test]
    fn exports_and_annotations() {
        let graph = read("# @runtime imgflo\n# @name A b.c \nINPORT=a(A).In.x:Pub.y\nOUTPORT=a.OUT:OUT # @k v\n");
        assert_eq!(graph.inports["pub.y"], Export { process: "a".into(), port: "in.x".into(), ..Export::default() });
        assert_eq!(graph.outports["out"].port, "out");
        assert_eq!(Value::Object(graph.properties), json!({"environment": {"type": "imgflo"}, "name": "A b.c "}));
        assert!(read("# @runtime x").properties.is_empty());
    }

    #[test]
    fn case_is_kept_on_request() {
        let options = ParseOptions { case_sensitive: true, ..ParseOptions::default() };
        let graph = parse("INPORT=a.In:Pub\na(A) -> B[0] a", &options).unwrap();
        assert!(graph.case_sensitive);
        assert_eq!((&*graph.inports["Pub"].port, &*graph.connections[0].tgt.port), ("In", "B"));
        assert_eq!(
            graph.connections[0].src,
            Origin::Process(End { process: "a".into(), port: "OUT".into(), index: None })
        );
    }

    #[test]
    fn dashes_in_ports_are_read_where_nothing_else_makes_sense() {
        assert_eq!(wires("1.5 -> STD-DEV-X blur(gegl/gaussian-blur)"), ["1.5>blur.std-dev-x"]);
        assert_eq!(wires("a(A) out-x->in-y b(B)"), ["a.out-x>b.in-y"]);
        assert_eq!(read("INPORT=a.in-x:pub-x\na(A)").inports["pub-x"].port, "in-x");
        // The original reads this one, and so it stays: `in-y` is a node here.
        assert_eq!(wires("a(A) -> in-y b(B)\nin-y(C)"), ["a.out>in-y.in"]);
        let strict = ParseOptions { extensions: false, ..ParseOptions::default() };
        assert!(parse("1.5 -> STD-DEV-X blur(B)", &strict).is_err());
        assert!(parse("INPORT=a.in-x:p\na(A)", &strict).is_err());
    }

    #[test]
    fn an_old_runtime_comment_counts_unless_there_is_a_new_one() {
        assert_eq!(read("# !runtime msgflo\n").runtime(), Some("msgflo"));
        assert_eq!(read("# @runtime a\n# !runtime b\n").runtime(), Some("a"));
        assert_eq!(read("# !runtime b\n# @runtime a\n").runtime(), Some("a"));
        assert_eq!(read("# !runtime b").runtime(), None);
        assert_eq!(read("# !other b\n").runtime(), None);
        let strict = ParseOptions { extensions: false, ..ParseOptions::default() };
        assert!(parse("# !runtime msgflo\n", &strict).unwrap().properties.is_empty());
    }

    #[test]
    fn content_errors_have_the_originals_words_and_a_place() {
        for (text, expected) in [
            ("b(B)\n  a()", "line 2, column 3: Node \"a\" does not have a component defined"),
            ("INPORT=zz.in:IN", "line 1, column 8: Inport \"in\" is connected to an undefined target node \"zz\""),
            (" OUTPORT=zz.in:IN", "line 1, column 10: Outport \"in\" is connected to an undefined source node \"zz\""),
            ("'x' -> IN n", "line 1, column 11: IIP containing \"x\" is connected to an undefined target node \"n\""),
            (
                "a(A)\r\na -> IN b",
                "line 2, column 9: Edge from \"a\" port \"out\" is connected to an undefined target node \"b\"",
            ),
            (
                "a -> IN b(B)",
                "line 1, column 1: Edge to \"b\" port \"in\" is connected to an undefined source node \"a\"",
            ),
        ] {
            assert_eq!(fault(text), expected, "{text:?}");
        }
        let loose = ParseOptions { validate: false, ..ParseOptions::default() };
        assert_eq!(parse("a -> b", &loose).unwrap().connections.len(), 1);
    }

    #[test]
    fn syntax_errors_are_placed() {
        assert_eq!(fault("a(A"), "line 1, column 4: Expected \")\", \":\" or [a-zA-Z/\\-0-9_] but end of input found.");
        let error = parse("a(A) OUT\t-> IN b(B)", &ParseOptions::default()).unwrap_err();
        assert_eq!((error.line(), error.column(), error.found()), (Some(1), Some(10), Some('-')));
        // The reading that came farther explains the error.
        let error = parse("1 -> STD-DEV blur(B\n", &ParseOptions::default()).unwrap_err();
        assert_eq!((error.column(), error.found()), (Some(20), Some('\n')));
        assert!(fault("1 -> STD-DEV blur").contains("undefined target node \"blur\""));
    }

    #[test]
    fn limits_are_named_with_the_place() {
        assert!(fault("\n 1e999 -> IN a(A)").starts_with("line 2, column 2: the number is out of range"));
        assert!(fault("a(A) -> IN[4294967296] a").starts_with("line 1, column 11: the array index is too large"));
    }
}
