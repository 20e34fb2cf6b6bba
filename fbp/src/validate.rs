//! What can be wrong with a graph in itself, whatever its components are.

use std::collections::HashSet;
use std::fmt;

use indexmap::IndexMap;

use crate::graph::{Export, Graph, Origin};
use crate::number;

/// Something wrong with a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What sort of thing.
    pub kind: FaultKind,
    /// Where.
    pub place: Place,
    /// A sentence; in the original parser's words where it has some.
    pub message: String,
}

/// The sorts of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// A process has no component.
    MissingComponent,
    /// Something leads to or from a process that the graph does not have.
    UndefinedProcess,
    /// A process, a port or an exported port has an empty name.
    EmptyName,
    /// The same edge twice.
    DuplicateEdge,
}

impl FaultKind {
    /// True if the original parser refuses a text for it.
    pub(crate) fn breaks_text(self) -> bool {
        matches!(self, Self::MissingComponent | Self::UndefinedProcess)
    }
}

/// A part of a graph. Displays as a path into the JSON form, such as `connections[3].tgt.process`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A process, by name.
    Process(String),
    /// An exported inport, by public name.
    Inport(String),
    /// An exported outport, by public name.
    Outport(String),
    /// The source of a connection, by index in `Graph::connections`.
    Source(usize),
    /// The target of a connection, by index in `Graph::connections`.
    Target(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(name) => write!(f, "processes{}", Key(name)),
            Self::Inport(name) => write!(f, "inports{}", Key(name)),
            Self::Outport(name) => write!(f, "outports{}", Key(name)),
            Self::Source(index) => write!(f, "connections[{index}].src"),
            Self::Target(index) => write!(f, "connections[{index}].tgt"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// A key as a step of a path: `.name`, or `["odd name"]`.
pub(crate) struct Key<'a>(pub(crate) &'a str);

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let simple = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if !self.0.is_empty() && self.0.chars().all(simple) {
            write!(f, ".{}", self.0)
        } else {
            write!(f, "[{:?}]", self.0)
        }
    }
}

impl Graph {
    /// Everything wrong with the graph in itself: processes without component, connections and
    /// exported ports that lead nowhere, empty names, duplicates. In the order processes, inports,
    /// outports, connections, each in the graph's own order; empty if all is well.
    ///
    /// An exported port with neither process nor port is one that a host adds from outside, and is
    /// no fault. Groups are not looked at: they matter to drawing only.
    pub fn validate(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (name, process) in &self.processes {
            let mut fault = |kind, message| faults.push(Fault { kind, place: Place::Process(name.clone()), message });
            if process.component.is_empty() {
                fault(FaultKind::MissingComponent, format!("Node \"{name}\" does not have a component defined"));
            }
            if name.is_empty() {
                fault(FaultKind::EmptyName, "A process has an empty name".to_owned());
            }
        }
        self.validate_exports(&self.inports, "Inport", "target", Place::Inport, &mut faults);
        self.validate_exports(&self.outports, "Outport", "source", Place::Outport, &mut faults);
        self.validate_connections(&mut faults);
        faults
    }

    fn validate_exports(
        &self,
        exports: &IndexMap<String, Export>,
        what: &str,
        end: &str,
        place: fn(String) -> Place,
        faults: &mut Vec<Fault>,
    ) {
        for (public, export) in exports {
            let mut fault = |kind, message| faults.push(Fault { kind, place: place(public.clone()), message });
            if public.is_empty() {
                fault(FaultKind::EmptyName, format!("{what} with an empty name"));
            }
            if export.process.is_empty() && export.port.is_empty() {
                continue;
            }
            let process = &export.process;
            if !self.processes.contains_key(process) {
                let message = format!("{what} \"{public}\" is connected to an undefined {end} node \"{process}\"");
                fault(FaultKind::UndefinedProcess, message);
            }
            if export.port.is_empty() {
                fault(FaultKind::EmptyName, format!("{what} \"{public}\" leads to a port with an empty name"));
            }
        }
    }

    fn validate_connections(&self, faults: &mut Vec<Fault>) {
        let mut seen = HashSet::new();
        for (index, connection) in self.connections.iter().enumerate() {
            let tgt = &connection.tgt;
            let mut fault = |kind, place, message| faults.push(Fault { kind, place, message });
            if !self.processes.contains_key(&tgt.process) {
                let message = match &connection.src {
                    Origin::Data(data) => format!(
                        "IIP containing \"{}\" is connected to an undefined target node \"{}\"",
                        number::script_text(data),
                        tgt.process
                    ),
                    Origin::Process(src) => format!(
                        "Edge from \"{}\" port \"{}\" is connected to an undefined target node \"{}\"",
                        src.process, src.port, tgt.process
                    ),
                };
                fault(FaultKind::UndefinedProcess, Place::Target(index), message);
            }
            if tgt.port.is_empty() {
                let message = "A connection leads to a port with an empty name".to_owned();
                fault(FaultKind::EmptyName, Place::Target(index), message);
            }
            let Origin::Process(src) = &connection.src else { continue };
            if !self.processes.contains_key(&src.process) {
                let message = format!(
                    "Edge to \"{}\" port \"{}\" is connected to an undefined source node \"{}\"",
                    tgt.process, tgt.port, src.process
                );
                fault(FaultKind::UndefinedProcess, Place::Source(index), message);
            }
            if src.port.is_empty() {
                let message = "A connection comes from a port with an empty name".to_owned();
                fault(FaultKind::EmptyName, Place::Source(index), message);
            }
            if !seen.insert((src, tgt)) {
                let message = format!(
                    "Edge from \"{}\" port \"{}\" to \"{}\" port \"{}\" is there twice",
                    src.process, src.port, tgt.process, tgt.port
                );
                fault(FaultKind::DuplicateEdge, Place::Source(index), message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults(json: &serde_json::Value) -> Vec<(FaultKind, String)> {
        let graph = Graph::from_json(json).unwrap();
        graph.validate().into_iter().map(|fault| (fault.kind, fault.to_string())).collect()
    }

    #[test]
    fn a_whole_graph_has_no_faults() {
        let json = json!({
            "inports": {"in": {"process": "a", "port": "in"}, "host": {}},
            "processes": {"a": {"component": "A"}},
            "groups": [{"name": "g", "nodes": ["gone"]}],
            "connections": [{"src": {"process": "a", "port": "out"}, "tgt": {"process": "a", "port": "in"}},
                            {"data": 1, "tgt": {"process": "a", "port": "n"}},
                            {"data": 1, "tgt": {"process": "a", "port": "n"}}]
        });
        assert_eq!(faults(&json), []);
    }

    #[test]
    fn every_fault_is_named_with_its_place() {
        let end = |process: &str, port: &str| json!({"process": process, "port": port});
        let json = json!({
            "inports": {"in": end("zz", "in")},
            "outports": {"out": end("zz", "out"), "b": end("a", "")},
            "processes": {"a": {"component": "A"}, "b c": {"component": ""}, "": {"component": "A"}},
            "connections": [
                {"data": 0, "tgt": end("n", "in")},
                {"src": end("a", "out"), "tgt": end("b", "in")},
                {"src": end("c", "out"), "tgt": end("a", "in")},
                {"src": end("a", ""), "tgt": end("a", "")},
                {"src": end("a", "x"), "tgt": end("a", "y")},
                {"src": end("a", "x"), "tgt": end("a", "y")},
            ]
        });
        use FaultKind::{DuplicateEdge, EmptyName, MissingComponent, UndefinedProcess};
        let expected = [
            (MissingComponent, r#"processes["b c"]: Node "b c" does not have a component defined"#),
            (EmptyName, r#"processes[""]: A process has an empty name"#),
            (UndefinedProcess, r#"inports.in: Inport "in" is connected to an undefined target node "zz""#),
            (UndefinedProcess, r#"outports.out: Outport "out" is connected to an undefined source node "zz""#),
            (EmptyName, r#"outports.b: Outport "b" leads to a port with an empty name"#),
            (
                UndefinedProcess,
                r#"connections[0].tgt: IIP containing "0" is connected to an undefined target node "n""#,
            ),
            (
                UndefinedProcess,
                r#"connections[1].tgt: Edge from "a" port "out" is connected to an undefined target node "b""#,
            ),
            (
                UndefinedProcess,
                r#"connections[2].src: Edge to "a" port "in" is connected to an undefined source node "c""#,
            ),
            (EmptyName, "connections[3].tgt: A connection leads to a port with an empty name"),
            (EmptyName, "connections[3].src: A connection comes from a port with an empty name"),
            (DuplicateEdge, r#"connections[5].src: Edge from "a" port "x" to "a" port "y" is there twice"#),
        ];
        assert_eq!(faults(&json), expected.map(|(kind, text)| (kind, text.to_owned())));
    }
}
