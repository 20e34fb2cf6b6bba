//! The graph model.

use std::borrow::Cow;

use indexmap::IndexMap;
use serde_json::{Map, Value};

/// A graph: processes, what connects them, and the ports it shows to the outside.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// False: port names are compared and stored in lower case.
    pub case_sensitive: bool,
    /// Free-form; known are `name`, `description`, `icon`, `environment`.
    pub properties: Map<String, Value>,
    /// Exported inports by public name.
    pub inports: IndexMap<String, Export>,
    /// Exported outports by public name.
    pub outports: IndexMap<String, Export>,
    /// Groups; they matter to drawing only.
    pub groups: Vec<Group>,
    /// Processes by name.
    pub processes: IndexMap<String, Process>,
    /// Edges and IIPs, in order.
    pub connections: Vec<Connection>,
}

/// A process: a node of a graph.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Process {
    /// Component name; `library/name`.
    pub component: String,
    /// Free-form; known are `x`, `y`, `width`, `height`, `label`.
    pub metadata: Map<String, Value>,
}

/// An exported port.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Export {
    /// The process it leads to; empty in ports that a host adds from outside.
    pub process: String,
    /// The port of that process.
    pub port: String,
    /// Position, and graph information: `type`, `description`, `default`, `minimum`, `maximum`,
    /// `values`.
    pub metadata: Map<String, Value>,
}

/// A group of processes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Group {
    /// Name.
    pub name: String,
    /// Names of its processes.
    pub nodes: Vec<String>,
    /// Free-form; known is `description`.
    pub metadata: Map<String, Value>,
}

/// One end of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct End {
    /// Process.
    pub process: String,
    /// Port.
    pub port: String,
    /// Index in an array port.
    pub index: Option<u32>,
}

/// Where the packets of a connection come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// An outport of a process.
    Process(End),
    /// An initial information packet: a literal, `null` and `false` included.
    Data(Value),
}

/// An edge or an IIP.
#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    /// Where packets come from.
    pub src: Origin,
    /// The inport they go to.
    pub tgt: End,
    /// Free-form; known are `route`, `schema`, `secure`.
    pub metadata: Map<String, Value>,
}

impl Graph {
    /// The runtime the graph is for: `properties.environment.type`.
    pub fn runtime(&self) -> Option<&str> {
        self.properties.get("environment")?.get("type")?.as_str()
    }

    /// A port name as this graph compares and stores it: in lower case unless it is case sensitive.
    pub fn port_name<'a>(&self, name: &'a str) -> Cow<'a, str> {
        if self.case_sensitive || !name.chars().any(|c| c.is_ascii_uppercase() || !c.is_ascii()) {
            Cow::Borrowed(name)
        } else {
            Cow::Owned(name.to_lowercase())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_runtime_is_the_environments_type() {
        let mut graph = Graph::default();
        assert_eq!(graph.runtime(), None);
        graph.properties.insert("environment".into(), json!({"type": "noop"}));
        assert_eq!(graph.runtime(), Some("noop"));
        graph.properties.insert("environment".into(), json!("noop"));
        assert_eq!(graph.runtime(), None);
    }

    #[test]
    fn port_names_fold_unless_the_graph_is_case_sensitive() {
        let mut graph = Graph::default();
        assert_eq!(graph.port_name("Std-Dev-\u{c9}"), "std-dev-\u{e9}");
        graph.case_sensitive = true;
        assert_eq!(graph.port_name("IN"), "IN");
    }
}
