//! Graphs written in the `.fbp` language, so that the original parser reads the same graph.

use std::fmt::Write as _;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::MAX_DEPTH;
use crate::error::{Error, Unwritable};
use crate::graph::{End, Export, Graph, Origin, Process};
use crate::number;
use crate::validate::{Key, Place};

/// The graph as a `.fbp` text. [`parse`](crate::parse()) makes the same graph of it, orders
/// included, and so does the original parser.
///
/// # Errors
///
/// [`Error::Unwritable`] with everything in the graph that the language has no words for: groups,
/// metadata of connections and exported ports, dashes in port names, positions that are no whole
/// numbers from 0, case sensitivity, and more. [`Graph::without_drawing`] removes what matters to
/// drawing only.
pub fn to_fbp(graph: &Graph) -> Result<String, Error> {
    let faults = unwritable(graph, Ports::Plain);
    if faults.is_empty() { Ok(written(graph)) } else { Err(Error::Unwritable(faults)) }
}

/// The graph as a `.fbp` text with all that the language has words for, and the list of what it lost.
///
/// Descriptions, ranges and defaults of exported ports, groups, and what matters to drawing can be
/// lost. Processes, connections, literals and names of ports cannot: [`parse`](crate::parse()) makes
/// a graph of the text that computes the same. Port names keep their dashes, which the original
/// parser does not read; the list says so.
///
/// # Errors
///
/// [`Error::Unwritable`] with what would change the result of the graph if it were left out.
pub fn to_fbp_lossy(graph: &Graph) -> Result<(String, Vec<Unwritable>), Error> {
    let less = graph.writable();
    let faults = unwritable(&less, Ports::Dashed);
    if faults.is_empty() {
        Ok((written(&less), unwritable(graph, Ports::Plain)))
    } else {
        Err(Error::Unwritable(faults))
    }
}

fn written(graph: &Graph) -> String {
    let mut writer = Writer { graph, text: String::new(), declared: 0 };
    writer.header();
    for connection in &graph.connections {
        writer.connection(&connection.src, &connection.tgt);
    }
    writer.declare_below(graph.processes.len());
    writer.text
}

impl Graph {
    /// The graph without what matters to drawing only: groups, metadata of processes and
    /// connections, and of exported ports the position and route.
    #[must_use]
    pub fn without_drawing(&self) -> Self {
        let mut graph = self.clone();
        graph.groups.clear();
        graph.processes.values_mut().for_each(|process| process.metadata.clear());
        graph.connections.iter_mut().for_each(|connection| connection.metadata.clear());
        for export in graph.inports.values_mut().chain(graph.outports.values_mut()) {
            export.metadata.retain(|key, _| !matches!(key.as_str(), "x" | "y" | "width" | "height" | "route"));
        }
        graph
    }

    /// The graph without those properties and metadata that the `.fbp` form cannot hold, and
    /// without groups.
    pub(crate) fn writable(&self) -> Self {
        let mut graph = self.clone();
        graph.groups.clear();
        if let Some(Value::Object(environment)) = graph.properties.get_mut("environment") {
            environment.retain(|key, _| key == "type");
        }
        graph.properties.retain(|key, value| property_fault(key, value).is_none());
        for export in graph.inports.values_mut().chain(graph.outports.values_mut()) {
            export.metadata.clear();
        }
        for process in graph.processes.values_mut() {
            process.metadata.retain(|key, value| metadata_fault(key, value).is_none());
        }
        graph.connections.iter_mut().for_each(|connection| connection.metadata.clear());
        graph
    }
}

struct Writer<'g> {
    graph: &'g Graph,
    text: String,
    /// So many processes, from the first, are declared in the text.
    declared: usize,
}

impl Writer<'_> {
    fn header(&mut self) {
        for (key, value) in &self.graph.properties {
            let (key, value) = match value {
                Value::Object(environment) => ("runtime", environment.get("type")),
                other => (key.as_str(), Some(other)),
            };
            self.line(format_args!("# @{key} {}", value.and_then(Value::as_str).unwrap_or_default()));
        }
        for (keyword, exports) in [("INPORT", &self.graph.inports), ("OUTPORT", &self.graph.outports)] {
            for (public, Export { process, port, .. }) in exports {
                self.line(format_args!("{keyword}={process}.{}:{}", upper(port), upper(public)));
            }
        }
        if !self.text.is_empty() {
            self.text.push('\n');
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{line}");
    }

    fn connection(&mut self, src: &Origin, tgt: &End) {
        // What the graph's order puts before the processes of this line is declared on lines before it.
        let target_index = self.graph.processes.get_index_of(&tgt.process).unwrap_or_default();
        let mut inline = 0;
        if let Origin::Process(end) = src {
            let index = self.graph.processes.get_index_of(&end.process).unwrap_or_default();
            self.declare_below(index);
            inline = usize::from(index >= self.declared);
        }
        if target_index > self.declared + inline {
            self.declare_below(target_index);
        }
        let source = match src {
            Origin::Data(data) => literal(data),
            Origin::Process(end) => format!("{} {}", self.mention(&end.process), port(end)),
        };
        let target = format!("{} {}", port(tgt), self.mention(&tgt.process));
        self.line(format_args!("{source} -> {target}"));
    }

    /// A process's name, with its component if this is the first time.
    fn mention(&mut self, name: &str) -> String {
        match self.graph.processes.get_full(name) {
            Some((index, _, process)) if index >= self.declared => {
                self.declared = index + 1;
                declaration(name, process)
            }
            _ => name.to_owned(),
        }
    }

    fn declare_below(&mut self, end: usize) {
        for index in self.declared..end {
            if let Some((name, process)) = self.graph.processes.get_index(index) {
                self.line(format_args!("{}", declaration(name, process)));
            }
        }
        self.declared = self.declared.max(end);
    }
}

fn upper(port: &str) -> String {
    port.to_ascii_uppercase()
}

fn port(end: &End) -> String {
    match end.index {
        Some(index) => format!("{}[{index}]", upper(&end.port)),
        None => upper(&end.port),
    }
}

fn declaration(name: &str, process: &Process) -> String {
    let meta: Vec<String> = process
        .metadata
        .iter()
        .map(|(key, value)| match value {
            Value::String(text) => format!("{key}={text}"),
            // What the parsers make of a position that is no number.
            Value::Null => format!("{key}="),
            other => format!("{key}={other}"),
        })
        .collect();
    let colon = if meta.is_empty() { "" } else { ":" };
    format!("{name}({}{colon}{})", process.component, meta.join(","))
}

fn literal(data: &Value) -> String {
    match data {
        // Bare, these three read as names of nodes; after a TAB only JSON can stand.
        Value::Null | Value::Bool(_) => format!("\t{data}"),
        Value::String(text) if !text.contains(|c: char| c == '\\' || c.is_control()) => {
            format!("'{}'", text.replace('\'', "\\'"))
        }
        other => other.to_string(),
    }
}

/// Everything that the language cannot hold.
fn unwritable(graph: &Graph, ports: Ports) -> Vec<Unwritable> {
    let mut check = Check { ports, faults: Vec::new() };
    if graph.case_sensitive {
        check.fault(&"caseSensitive", "the form cannot say that ports are case sensitive");
    }
    if !graph.groups.is_empty() {
        check.fault(&"groups", "the form has no groups");
    }
    for fault in graph.validate().iter().filter(|fault| fault.kind.breaks_text()) {
        check.fault(&fault.place, &fault.message);
    }
    check.properties(&graph.properties);
    check.exports(&graph.inports, Place::Inport);
    check.exports(&graph.outports, Place::Outport);
    for (name, process) in &graph.processes {
        check.process(name, process);
    }
    for (index, connection) in graph.connections.iter().enumerate() {
        match &connection.src {
            Origin::Process(end) => check.port(&Place::Source(index), ".port", &end.port),
            Origin::Data(data) => check.literal(index, data),
        }
        check.port(&Place::Target(index), ".port", &connection.tgt.port);
        if !connection.metadata.is_empty() {
            check.fault(&format_args!("connections[{index}].metadata"), "the form has no metadata of connections");
        }
    }
    check.faults
}

/// Characters that port names may have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ports {
    /// Those that the original parser reads.
    Plain,
    /// Dashes inside, too: an extension of [`ParseOptions`](crate::ParseOptions).
    Dashed,
}

/// Collects what cannot be written.
struct Check {
    ports: Ports,
    faults: Vec<Unwritable>,
}

impl Check {
    fn fault(&mut self, place: &dyn ToString, reason: &str) {
        self.faults.push(Unwritable { place: place.to_string(), reason: reason.to_owned() });
    }

    fn properties(&mut self, properties: &Map<String, Value>) {
        for (key, value) in properties {
            if let Some(reason) = property_fault(key, value) {
                self.fault(&format_args!("properties{}", Key(key)), reason);
            }
        }
    }

    fn exports(&mut self, exports: &IndexMap<String, Export>, place: fn(String) -> Place) {
        for (public, export) in exports {
            let place = place(public.clone());
            if export.process.is_empty() {
                self.fault(&place, "an exported port must lead to a process");
            }
            self.port(&place, "", public);
            self.port(&place, ".port", &export.port);
            if !export.metadata.is_empty() {
                let keys = export.metadata.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                let reason = format!("the form has no metadata of exported ports: {keys}");
                self.fault(&format_args!("{place}.metadata"), &reason);
            }
        }
    }

    fn port(&mut self, place: &Place, step: &str, name: &str) {
        let is_read = |name: &str| starts_name(name) && written_with(name, "._") && name != "__proto__";
        // A dash stands inside: each piece but the first may begin with a digit.
        let is_dashed = |name: &str| {
            let mut pieces = name.split('-');
            pieces.next().is_some_and(is_read) && pieces.all(|piece| written_with(piece, "._"))
        };
        if is_read(name) || (self.ports == Ports::Dashed && is_dashed(name)) {
            return;
        }
        let reason = if is_dashed(name) {
            format!("the original form has no dash in ports, only imgflo reads {name:?}")
        } else {
            format!("the form cannot write the port {name:?}: it must be of letters, digits, '.' and '_'")
        };
        self.fault(&format_args!("{place}{step}"), &reason);
    }

    fn process(&mut self, name: &str, process: &Process) {
        let place = Place::Process(name.to_owned());
        if !starts_name(name) || !written_with(name, "_-") {
            self.fault(&place, "the name must be of letters, digits, '_' and '-', and begin with a letter or '_'");
        }
        if inherited(name) {
            self.fault(&place, "the original parser does not take this name");
        }
        if !process.component.is_empty() && !written_with(&process.component, "/-_") {
            self.fault(&format_args!("{place}.component"), "the name must be of letters, digits, '/', '-' and '_'");
        }
        for (key, value) in &process.metadata {
            if let Some(reason) = metadata_fault(key, value) {
                self.fault(&format_args!("{place}.metadata{}", Key(key)), reason);
            }
        }
    }

    fn literal(&mut self, index: usize, data: &Value) {
        let place = format!("connections[{index}].data");
        if !number::depth_within(data, MAX_DEPTH) {
            self.fault(&place, &format!("the literal is nested too deeply: at most {MAX_DEPTH} levels"));
            return;
        }
        let mut open = vec![data];
        while let Some(value) = open.pop() {
            match value {
                Value::Array(items) => open.extend(items),
                Value::Object(map) => {
                    if map.contains_key("__proto__") {
                        self.fault(&place, "the original parser does not take the key \"__proto__\"");
                        return;
                    }
                    open.extend(map.values());
                }
                _ => {}
            }
        }
    }
}

/// Why a property of the graph cannot be written; `None` if it can.
fn property_fault(key: &str, value: &Value) -> Option<&'static str> {
    let text = match (key, value) {
        ("environment", Value::Object(environment)) => {
            if environment.len() != 1 {
                return Some("the form holds the type of an environment, and only that");
            }
            environment.get("type").and_then(Value::as_str)
        }
        ("runtime", _) => return Some("the form takes this name for the type of the environment"),
        (_, value) => value.as_str(),
    };
    match text {
        _ if !written_with(key, "-_") || key == "__proto__" => Some("a name must be of letters, digits, - and _"),
        None => Some("a property must be a string"),
        Some(text) if !written_with(text, "-_ .") || text.starts_with(' ') => {
            Some("a value must be of letters, digits, spaces, '.', '-' and '_', and not empty")
        }
        Some(_) => None,
    }
}

/// Why metadata of a process cannot be written; `None` if it can.
fn metadata_fault(key: &str, value: &Value) -> Option<&'static str> {
    if !(key.is_empty() || written_with(key, "/_")) || key == "__proto__" {
        return Some("a name must be of letters, digits, '/' and '_'");
    }
    match (key, value) {
        ("x" | "y", Value::Number(number)) if position(number).is_some() => None,
        ("x" | "y", Value::Null) => None,
        ("x" | "y", _) => Some("a position must be a whole number from 0 to 2^53"),
        (_, Value::String(text)) if text.is_empty() || written_with(text, "/_") => None,
        _ => Some("a value must be a string of letters, digits, '/' and '_'"),
    }
}

fn position(number: &serde_json::Number) -> Option<u64> {
    number.as_u64().filter(|position| *position <= 1 << 53)
}

fn starts_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// True if `text` is not empty and of ASCII letters, digits and the characters of `also`.
fn written_with(text: &str, also: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
}

/// True for the names that every JavaScript object has already: the original parser keeps its
/// processes in one.
fn inherited(name: &str) -> bool {
    const NAMES: [&str; 12] = [
        "__defineGetter__",
        "__defineSetter__",
        "__lookupGetter__",
        "__lookupSetter__",
        "__proto__",
        "constructor",
        "hasOwnProperty",
        "isPrototypeOf",
        "propertyIsEnumerable",
        "toLocaleString",
        "toString",
        "valueOf",
    ];
    NAMES.contains(&name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{ParseOptions, parse};

    /// Writes, reads back and compares, orders included.
    fn written(json: &Value) -> String {
        let graph = Graph::from_json(json).unwrap();
        let text = to_fbp(&graph).unwrap();
        let options = ParseOptions { extensions: false, ..ParseOptions::default() };
        let back = parse(&text, &options).unwrap_or_else(|error| panic!("{text}\n{error}"));
        assert_eq!(back, graph, "{text}");
        assert_eq!(back.to_json().to_string(), graph.to_json().to_string());
        assert_eq!(back.canonical(), graph.canonical());
        text
    }

    #[test]
    fn a_graph_reads_well() {
        let end = |process: &str, port: &str| json!({"process": process, "port": port});
        let json = json!({
            "properties": {"name": "tiny", "environment": {"type": "imgflo"}, "a-b": "1.0 x "},
            "inports": {"input": end("cut", "input")},
            "outports": {"output": end("end", "output")},
            "processes": {"lone": {"component": "x/Y"},
                          "cut": {"component": "gegl/crop", "metadata": {"x": 10, "label": "", "routes": "a/b"}},
                          "end": {"component": "gegl/nop"}, "last": {"component": "L"}},
            "connections": [
                {"data": 64, "tgt": end("end", "width")},
                {"src": {"process": "end", "port": "o.x", "index": 3}, "tgt": {"process": "cut", "port": "in", "index": 0}},
                {"data": "it's", "tgt": end("cut", "s")},
            ]
        });
        let expected = "\
# @name tiny
# @runtime imgflo
# @a-b 1.0 x\u{20}
INPORT=cut.INPUT:INPUT
OUTPORT=end.OUTPUT:OUTPUT

lone(x/Y)
cut(gegl/crop:x=10,label=,routes=a/b)
64 -> WIDTH end(gegl/nop)
end O.X[3] -> IN[0] cut
'it\\'s' -> S cut
last(L)
";
        let graph = Graph::from_json(&json).unwrap();
        assert_eq!(to_fbp(&graph).unwrap(), expected);
        let back = parse(expected, &ParseOptions::default()).unwrap();
        assert_eq!(back, graph);
        assert!(back.processes.keys().eq(graph.processes.keys()));
    }

    #[test]
    fn every_literal_survives() {
        for data in [
            json!(null),
            json!(true),
            json!(false),
            json!(0),
            json!(-1.5),
            json!(1e300),
            json!(1e-7),
            json!(u64::MAX),
            json!(""),
            json!("'"),
            json!("\\"),
            json!("a\\"),
            json!("\\'"),
            json!("a\nb\r\n\t\u{1}\u{7f}"),
            json!("# -> ,"),
            json!("\u{2028}\u{1f600}\"\u{e9}"),
            json!([]),
            json!({}),
            json!([null, {"a'b": [true, "\u{0}"]}]),
        ] {
            written(&json!({"processes": {"a": {"component": "A"}},
                "connections": [{"data": data, "tgt": {"process": "a", "port": "in"}}]}));
        }
    }

    #[test]
    fn processes_keep_their_order() {
        let edge =
            |src: &str, tgt: &str| json!({"src": {"process": src, "port": "o"}, "tgt": {"process": tgt, "port": "i"}});
        let processes = json!({"a": {"component": "A"}, "b": {"component": "B"}, "c": {"component": "C"}});
        let text = |connections: Value| {
            let graph = Graph::from_json(&json!({"processes": processes, "connections": connections})).unwrap();
            let text = to_fbp(&graph).unwrap();
            let back = parse(&text, &ParseOptions::default()).unwrap();
            assert!(back.processes.keys().eq(graph.processes.keys()), "{text}");
            text
        };
        assert_eq!(text(json!([edge("a", "b"), edge("b", "c")])), "a(A) O -> I b(B)\nb O -> I c(C)\n");
        assert_eq!(text(json!([edge("a", "c")])), "a(A)\nb(B)\na O -> I c(C)\n");
        assert_eq!(text(json!([edge("b", "a")])), "a(A)\nb(B) O -> I a\nc(C)\n");
        assert_eq!(text(json!([edge("b", "b"), edge("c", "c")])), "a(A)\nb(B) O -> I b\nc(C) O -> I c\n");
    }

    #[test]
    fn the_empty_graph_is_the_empty_text() {
        assert_eq!(written(&json!({})), "");
    }

    #[test]
    fn what_the_form_cannot_hold_is_listed_with_its_place() {
        let places = |json: &Value| -> Vec<String> {
            match to_fbp(&Graph::from_json(json).unwrap()) {
                Err(Error::Unwritable(parts)) => parts.into_iter().map(|part| part.place).collect(),
                other => panic!("{other:?}"),
            }
        };
        let json = json!({
            "caseSensitive": true,
            "groups": [{"name": "g", "nodes": []}],
            "properties": {"environment": {"type": "x", "content": "y"}, "runtime": "x", "a b": "c", "n": 1, "e": "",
                           "c": "a,b", "s": " a", "__proto__": "x"},
            "inports": {"a-b": {"process": "a", "port": "in"}, "i": {"process": "a", "port": "0", "metadata": {"x": 1}},
                        "host": {}},
            "outports": {"o": {"process": "gone", "port": "out"}},
            "processes": {
                "a": {"component": "A", "metadata": {"x": 1.5, "y": -1, "label": "a b", "width": 72, "k k": "v"}},
                "a/b": {"component": "A b"}, "toString": {"component": "A"}, "0": {"component": ""}},
            "connections": [
                {"src": {"process": "a", "port": "std-dev"}, "tgt": {"process": "a", "port": ""}},
                {"data": [{"__proto__": 1}], "tgt": {"process": "a", "port": "in"}, "metadata": {"route": 1}}]
        });
        let expected = [
            "caseSensitive",
            "groups",
            "processes.0",
            "outports.o",
            "properties.environment",
            "properties.runtime",
            "properties[\"a b\"]",
            "properties.n",
            "properties.e",
            "properties.c",
            "properties.s",
            "properties.__proto__",
            "inports.a-b",
            "inports.i.port",
            "inports.i.metadata",
            "inports.host",
            "inports.host.port",
            "processes.a.metadata.x",
            "processes.a.metadata.y",
            "processes.a.metadata.label",
            "processes.a.metadata.width",
            "processes.a.metadata[\"k k\"]",
            "processes[\"a/b\"]",
            "processes[\"a/b\"].component",
            "processes.toString",
            "processes.0",
            "connections[0].src.port",
            "connections[0].tgt.port",
            "connections[1].data",
            "connections[1].metadata",
        ];
        assert_eq!(places(&json), expected);
    }

    #[test]
    fn what_is_lost_is_told_and_the_graph_computes_the_same() {
        let json = json!({
            "groups": [{"name": "g", "nodes": ["a"]}],
            "properties": {"name": "n", "description": "Soft, and more", "environment": {"type": "imgflo", "content": "x"}},
            "inports": {"std-dev-x": {"process": "a", "port": "std-dev-x", "metadata": {"maximum": 5, "description": "d"}}},
            "processes": {"a": {"component": "A", "metadata": {"x": -1.5, "y": 3, "label": "An A"}}},
            "connections": [{"data": 1.5, "tgt": {"process": "a", "port": "r-2"}, "metadata": {"route": 1}}]
        });
        let graph = Graph::from_json(&json).unwrap();
        let (text, lost) = to_fbp_lossy(&graph).unwrap();
        let expected = "# @name n\n# @runtime imgflo\nINPORT=a.STD-DEV-X:STD-DEV-X\n\n1.5 -> R-2 a(A:y=3)\n";
        assert_eq!(text, expected);
        assert_eq!(Err(Error::Unwritable(lost.clone())), to_fbp(&graph));
        assert_eq!(parse(&text, &ParseOptions::default()).unwrap(), graph.writable());
        let lost = lost.iter().map(ToString::to_string).collect::<Vec<_>>();
        for told in [
            "groups: the form has no groups",
            "inports.std-dev-x.metadata: the form has no metadata of exported ports: maximum, description",
            "connections[0].tgt.port: the original form has no dash in ports, only imgflo reads \"r-2\"",
        ] {
            assert!(lost.iter().any(|line| line == told), "{told}: {lost:#?}");
        }
        assert_eq!(lost.len(), 10, "{lost:#?}");
        // Parts that would change the result are never left out.
        for json in [
            json!({"processes": {"a b": {"component": "A"}}}),
            json!({"caseSensitive": true, "processes": {"a": {"component": "A"}}}),
            json!({"processes": {"a": {"component": "A"}},
                "connections": [{"data": 1, "tgt": {"process": "a", "port": "r-"}}]}),
        ] {
            assert!(to_fbp_lossy(&Graph::from_json(&json).unwrap()).is_err(), "{json}");
        }
    }

    #[test]
    fn a_graph_without_its_drawing_can_be_written() {
        let json = json!({
            "groups": [{"name": "g", "nodes": ["a"]}],
            "inports": {"i": {"process": "a", "port": "in", "metadata": {"x": 1, "y": -2}}},
            "processes": {"a": {"component": "A", "metadata": {"x": -1.5, "label": "An A"}}},
            "connections": [{"data": 1, "tgt": {"process": "a", "port": "in"}, "metadata": {"route": 1}}]
        });
        let graph = Graph::from_json(&json).unwrap();
        assert!(to_fbp(&graph).is_err());
        let bare = graph.without_drawing();
        assert_eq!(to_fbp(&bare).unwrap(), "INPORT=a.IN:I\n\n1 -> IN a(A)\n");
        assert_eq!(bare.canonical(), graph.canonical());
    }
}
