//! Places of processes and exported ports on the canvas of an editor.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::{Graph, Origin};

/// Place of the first process, in units of editors.
const FIRST: (i64, i64) = (100, 100);
/// Distances of a process from the one before it, and from the one beside it.
const STEP: (i64, i64) = (180, 100);
/// Distances of an exported port from its process, and from the next port of that process.
const BESIDE: (i64, i64) = (216, 72);
/// Width that an editor draws a process with, and some room.
const SIZE: i64 = 100;

/// Returns where something stands, if it has a place.
fn place(metadata: &Map<String, Value>) -> Option<(f64, f64)> {
    let side = |key: &str| metadata.get(key).and_then(Value::as_f64);
    side("x").zip(side("y"))
}

/// Gives a place to everything that has none: processes stand in columns, each behind those that it depends on, and
/// exported ports beside their processes. The places are whole numbers, as the protocol takes no others.
pub fn lay_out(graph: &mut Graph) {
    let columns = columns(graph);
    let mut taken: BTreeSet<(i64, i64)> = BTreeSet::new();
    for process in graph.processes.values() {
        taken.extend(place(&process.metadata).map(|(x, y)| (x.round() as i64, y.round() as i64)));
    }
    for (name, process) in graph.processes.iter_mut().filter(|(_, process)| place(&process.metadata).is_none()) {
        let x = FIRST.0 + STEP.0 * columns.get(name).copied().unwrap_or(0) as i64;
        let (x, y) = free(&taken, (x, FIRST.1), STEP.1, STEP);
        taken.insert((x, y));
        put(&mut process.metadata, x, y);
    }
    let places = graph.processes.iter().filter_map(|(name, process)| Some((name.clone(), place(&process.metadata)?)));
    let places: BTreeMap<String, (f64, f64)> = places.collect();
    let exports = graph.inports.values().chain(graph.outports.values()).map(|export| &export.metadata);
    taken.extend(exports.filter_map(place).map(|(x, y)| (x.round() as i64, y.round() as i64)));
    for (exports, beside) in [(&mut graph.inports, -BESIDE.0), (&mut graph.outports, BESIDE.0)] {
        for export in exports.values_mut().filter(|export| place(&export.metadata).is_none()) {
            let (x, y) = places.get(&export.process).copied().unwrap_or_default();
            let at = (x.round() as i64 + beside, y.round() as i64);
            let (x, y) = free(&taken, at, BESIDE.1, (SIZE, BESIDE.1));
            taken.insert((x, y));
            put(&mut export.metadata, x, y);
        }
    }
}

/// Returns the first place at or below `at`, in steps of `down`, that has nothing within `room` of it.
fn free(taken: &BTreeSet<(i64, i64)>, (x, y): (i64, i64), down: i64, room: (i64, i64)) -> (i64, i64) {
    let is_free = |y: i64| !taken.iter().any(|(tx, ty)| (tx - x).abs() < room.0 && (ty - y).abs() < room.1);
    // Each thing is in the way of at most two places.
    let rows = 2 * taken.len() as i64 + 1;
    (x, (0..rows).map(|row| y.saturating_add(down * row)).find(|y| is_free(*y)).unwrap_or(y))
}

fn put(metadata: &mut Map<String, Value>, x: i64, y: i64) {
    metadata.insert("x".into(), x.into());
    metadata.insert("y".into(), y.into());
}

/// Returns the column of each process: the number of edges on the longest way to it. A circle ends somewhere.
fn columns(graph: &Graph) -> BTreeMap<String, usize> {
    let mut columns: BTreeMap<&str, usize> = graph.processes.keys().map(|name| (name.as_str(), 0)).collect();
    let last = columns.len().saturating_sub(1);
    // Each round settles one column more.
    for _ in 0..last {
        let mut moved = false;
        for connection in &graph.connections {
            let Origin::Process(src) = &connection.src else { continue };
            let Some(before) = columns.get(src.process.as_str()).copied() else { continue };
            if let Some(column) = columns.get_mut(connection.tgt.process.as_str())
                && *column <= before
                && before < last
            {
                (*column, moved) = (before + 1, true);
            }
        }
        if !moved {
            break;
        }
    }
    columns.into_iter().map(|(name, column)| (name.to_owned(), column)).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    fn edge(src: &str, tgt: &str) -> Value {
        json!({ "src": { "process": src, "port": "output" }, "tgt": { "process": tgt, "port": "input" } })
    }

    #[test]
    fn processes_stand_behind_what_they_depend_on() {
        let graph = json!({
            "processes": {"d": {"component": "X"}, "a": {"component": "X"}, "b": {"component": "X"}, "c": {"component": "X"},
                "own": {"component": "X", "metadata": {"x": 100, "y": 110.5}}},
            "connections": [edge("a", "b"), edge("b", "d"), edge("a", "c"), edge("c", "d"), edge("a", "d")],
            "inports": {"input": {"process": "a", "port": "input"}, "more": {"process": "a", "port": "more"},
                "late": {"process": "b", "port": "more"}},
            "outports": {"output": {"process": "d", "port": "output", "metadata": {"x": 1, "y": 2}}}
        });
        let mut graph = Graph::from_json(&graph).expect("is a graph");
        lay_out(&mut graph);
        let at = |name: &str| place(&graph.processes[name].metadata).expect("a place");
        assert_eq!(
            [at("a"), at("b"), at("c"), at("d")],
            [(100.0, 300.0), (280.0, 100.0), (280.0, 200.0), (460.0, 100.0)]
        );
        assert_eq!(at("own"), (100.0, 110.5));
        // Beside its process it would be on another one.
        assert_eq!(place(&graph.inports["late"].metadata), Some((64.0, 388.0)));
        assert_eq!(place(&graph.inports["input"].metadata), Some((-116.0, 300.0)));
        assert_eq!(place(&graph.inports["more"].metadata), Some((-116.0, 372.0)));
        assert_eq!(place(&graph.outports["output"].metadata), Some((1.0, 2.0)));
        let once = graph.to_json();
        lay_out(&mut graph);
        assert_eq!(graph.to_json(), once);
    }

    #[test]
    fn circles_and_loose_ends_have_places() {
        let graph = json!({
            "processes": {"a": {"component": "X"}, "b": {"component": "X"}},
            "connections": [edge("a", "b"), edge("b", "a"), edge("a", "a")],
            "inports": {"loose": {"process": "", "port": ""}}
        });
        let mut graph = Graph::from_json(&graph).expect("is a graph");
        lay_out(&mut graph);
        assert!(graph.processes.values().all(|process| place(&process.metadata).is_some()));
        assert!(place(&graph.inports["loose"].metadata).is_some());
    }

    /// The files hold the places that the layout gives. `IMGFLO_BLESS=1` writes them.
    #[test]
    fn shipped_graphs_have_places() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../graphs");
        let mut files = 0;
        for entry in std::fs::read_dir(folder).expect("the folder of graphs") {
            let path = entry.expect("a file").path();
            // The language of .fbp files has no places.
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            files += 1;
            let graph = Graph::from_json_str(&std::fs::read_to_string(&path).expect("a text")).expect("a graph");
            let mut placed = graph.clone();
            lay_out(&mut placed);
            if std::env::var_os("IMGFLO_BLESS").is_some() {
                std::fs::write(&path, format!("{:#}\n", placed.to_json())).expect("written");
            } else {
                assert_eq!(graph.to_json(), placed.to_json(), "{}", path.display());
            }
        }
        assert_eq!(files, 20);
    }
}
