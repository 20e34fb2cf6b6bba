//! What differs between two graphs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use imgflo_fbp::{End, Export, Graph, Origin};

/// A difference between two graphs, as a line for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Only the second has it.
    Added(String),
    /// Only the first has it.
    Removed(String),
    /// Both have it, not the same.
    Changed {
        /// What.
        what: String,
        /// In the first.
        from: String,
        /// In the second.
        to: String,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Added(what) => write!(f, "+ {what}"),
            Change::Removed(what) => write!(f, "- {what}"),
            Change::Changed { what, from, to } => write!(f, "~ {what}: {from} -> {to}"),
        }
    }
}

/// What differs between the graphs `a` and `b`: their runtime, processes, values, edges and exported
/// ports, in this order. What is for people only (names, descriptions, positions, groups) counts for nothing.
/// A process of another name is another process.
pub fn changes(a: &Graph, b: &Graph) -> Vec<Change> {
    let mut changes = Vec::new();
    compare(&runtime(a), &runtime(b), "runtime", &mut changes);
    compare(&processes(a), &processes(b), "process", &mut changes);
    compare(&values(a), &values(b), "value", &mut changes);
    compare(&edges(a), &edges(b), "edge", &mut changes);
    compare(&exports(a, &a.inports), &exports(b, &b.inports), "inport", &mut changes);
    compare(&exports(a, &a.outports), &exports(b, &b.outports), "outport", &mut changes);
    changes
}

/// Parts of a graph: what each is called, and what it is there; nothing where its being there is all.
type Parts = BTreeMap<String, String>;

fn compare(a: &Parts, b: &Parts, kind: &str, changes: &mut Vec<Change>) {
    let shown = |name: &str, value: &str| match value {
        "" => format!("{kind} {name}"),
        value => format!("{kind} {name}: {value}"),
    };
    for name in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
        match (a.get(name), b.get(name)) {
            (Some(from), None) => changes.push(Change::Removed(shown(name, from))),
            (None, Some(to)) => changes.push(Change::Added(shown(name, to))),
            (Some(from), Some(to)) if from != to => {
                changes.push(Change::Changed { what: format!("{kind} {name}"), from: from.clone(), to: to.clone() });
            }
            _ => {}
        }
    }
}

fn runtime(graph: &Graph) -> Parts {
    let runtime = graph.runtime().filter(|runtime| *runtime != "imgflo");
    runtime.map(|runtime| (runtime.to_owned(), String::new())).into_iter().collect()
}

fn processes(graph: &Graph) -> Parts {
    graph.processes.iter().map(|(name, process)| (name.clone(), process.component.clone())).collect()
}

fn place(graph: &Graph, end: &End) -> String {
    let index = end.index.map(|index| format!("[{index}]")).unwrap_or_default();
    format!("{}.{}{index}", end.process, graph.port_name(&end.port))
}

/// The literals; of several to one port the last counts.
fn values(graph: &Graph) -> Parts {
    let values = graph.connections.iter().filter_map(|connection| match &connection.src {
        Origin::Data(data) => Some((place(graph, &connection.tgt), data.to_string())),
        Origin::Process(_) => None,
    });
    values.collect()
}

fn edges(graph: &Graph) -> Parts {
    let edges = graph.connections.iter().filter_map(|connection| match &connection.src {
        Origin::Process(end) => Some(format!("{} -> {}", place(graph, end), place(graph, &connection.tgt))),
        Origin::Data(_) => None,
    });
    edges.map(|edge| (edge, String::new())).collect()
}

/// Exported ports, with what decides on what a request may say.
fn exports<'g>(graph: &Graph, exports: impl IntoIterator<Item = (&'g String, &'g Export)>) -> Parts {
    let shown = |export: &Export| {
        let mut text = format!("{}.{}", export.process, graph.port_name(&export.port));
        for key in ["type", "default", "minimum", "maximum", "values"] {
            if let Some(value) = export.metadata.get(key) {
                text += &format!(", {key} {value}");
            }
        }
        text
    };
    exports.into_iter().map(|(name, export)| (graph.port_name(name).into_owned(), shown(export))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::graph;

    const SOFT: &str = "INPORT=blur.INPUT:INPUT\nINPORT=blur.STD-DEV-X:X\nOUTPORT=tone.OUTPUT:OUTPUT\n\
        4 -> STD-DEV-Y blur(gegl/gaussian-blur)\nblur OUTPUT -> INPUT tone(gegl/invert)\n";

    fn told(a: &str, b: &str) -> Vec<String> {
        let graph = |text: &str| graph(&text.replace("STD-DEV-", "STD"));
        changes(&graph(a), &graph(b)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn equal_graphs_differ_in_nothing() {
        assert_eq!(told(SOFT, SOFT), [""; 0]);
        let mut moved = graph(&SOFT.replace("STD-DEV-", "STD"));
        moved.processes["blur"].metadata.insert("x".into(), 7.into());
        moved.properties.insert("name".into(), "other".into());
        moved.connections.reverse();
        assert_eq!(changes(&moved, &graph(&SOFT.replace("STD-DEV-", "STD"))), []);
    }

    #[test]
    fn each_kind_of_change_is_told() {
        let other = SOFT.replace("4 ->", "5 ->").replace("(gegl/invert)", "(gegl/gray) OUTPUT -> INPUT end(gegl/nop)");
        let other = other.replace("OUTPORT=tone", "OUTPORT=end").replace("INPORT=blur.STD-DEV-X:X\n", "");
        assert_eq!(
            told(SOFT, &other),
            [
                "+ process end: gegl/nop",
                "~ process tone: gegl/invert -> gegl/gray",
                "~ value blur.stdy: 4 -> 5",
                "+ edge tone.output -> end.input",
                "- inport x: blur.stdx",
                "~ outport output: tone.output -> end.output",
            ]
        );
        assert_eq!(told(SOFT, &format!("# @runtime noop\n{SOFT}")), ["+ runtime noop"]);
    }
}
