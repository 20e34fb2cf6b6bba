//! One graph that is edited: what it is, whether it runs, and the part of it behind one process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use imgflo_fbp::{Connection, End, Export, Graph, Origin};
use imgflo_runtime::Library;
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, watch};

/// The component that shows what is connected to it.
pub(crate) const PROCESSOR: &str = "Processor";

/// A graph that is edited.
#[derive(Debug)]
pub(crate) struct LiveGraph {
    pub graph: Graph,
    /// The name it is saved under; none for one that was never saved.
    pub file: Option<String>,
    /// Set anew by each edit; larger than that of any earlier edit of any graph.
    pub version: u64,
    /// The version that was saved last.
    pub saved: u64,
    /// When its network was started; none where it is stopped.
    pub started: Option<SystemTime>,
    /// Pictures of it that are being made.
    pub busy: usize,
    /// What packets set, by process and port: it holds over literals.
    pub values: BTreeMap<(String, String), Value>,
    /// The address of the picture that goes in.
    pub input: Option<String>,
    /// What went wrong and was told, by process.
    pub faults: BTreeMap<String, String>,
    /// Wakes who tells of pictures.
    pub wake: Arc<Notify>,
    /// Stops work on what is no longer so.
    pub changed: watch::Sender<u64>,
}

/// A picture in a graph, ready to be made.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part {
    /// The processes that it depends on, with its own output as `output`.
    pub graph: Graph,
    /// The address of what goes in.
    pub input: Option<String>,
    /// The graph's version.
    pub version: u64,
}

impl LiveGraph {
    pub fn new(graph: Graph, file: Option<String>, version: u64) -> Self {
        LiveGraph {
            graph,
            file,
            version,
            saved: version,
            started: None,
            busy: 0,
            values: BTreeMap::new(),
            input: None,
            faults: BTreeMap::new(),
            wake: Arc::default(),
            changed: watch::Sender::new(version),
        }
    }

    /// Says that its pictures are others from now on.
    pub fn touch(&mut self, version: u64) {
        self.version = version;
        self.changed.send_replace(version);
        self.wake.notify_one();
    }

    /// What `network:status` says, and the begin of what `started` and `stopped` say.
    pub fn status(&self, id: &str) -> Value {
        json!({ "graph": id, "running": self.busy > 0, "started": self.started.is_some() })
    }

    /// The process whose picture `node` shows: its own, or for a `Processor` that of what is connected to it.
    pub fn shown_by(&self, node: &str) -> Option<End> {
        let process = self.graph.processes.get(node)?;
        if process.component != PROCESSOR {
            return Some(End { process: node.into(), port: "output".into(), index: None });
        }
        self.graph.connections.iter().find_map(|Connection { src, tgt, .. }| match src {
            Origin::Process(end) if tgt.process == node => Some(end.clone()),
            _ => None,
        })
    }

    /// The part of the graph that the picture at `end` depends on. What packets set is in it as literals.
    pub fn behind(&self, end: &End, library: &Library) -> Part {
        let makes_pictures = |name: &str| {
            self.graph.processes.get(name).is_some_and(|process| library.component(&process.component).is_some())
        };
        let mut kept = BTreeSet::from([end.process.clone()]);
        let mut open = vec![end.process.clone()];
        while let Some(process) = open.pop() {
            for connection in self.graph.connections.iter().filter(|connection| connection.tgt.process == process) {
                if let Origin::Process(src) = &connection.src
                    && makes_pictures(&src.process)
                    && kept.insert(src.process.clone())
                {
                    open.push(src.process.clone());
                }
            }
        }
        let mut graph = Graph { case_sensitive: self.graph.case_sensitive, ..Graph::default() };
        let environment = json!({ "type": "imgflo" });
        graph.properties.insert("environment".into(), environment);
        for (name, process) in self.graph.processes.iter().filter(|(name, _)| kept.contains(*name)) {
            graph.processes.insert(name.clone(), process.clone());
        }
        let set = |tgt: &End| self.values.contains_key(&(tgt.process.clone(), tgt.port.clone()));
        for connection in self.graph.connections.iter().filter(|connection| kept.contains(&connection.tgt.process)) {
            let stays = match &connection.src {
                Origin::Process(src) => kept.contains(&src.process),
                Origin::Data(_) => !set(&connection.tgt),
            };
            if stays {
                graph.connections.push(connection.clone());
            }
        }
        for ((process, port), value) in self.values.iter().filter(|((process, _), _)| kept.contains(process)) {
            let tgt = End { process: process.clone(), port: port.clone(), index: None };
            graph.connections.push(Connection { src: Origin::Data(value.clone()), tgt, metadata: Map::new() });
        }
        for (public, export) in &self.graph.inports {
            if public == "input" && kept.contains(&export.process) {
                graph.inports.insert(public.clone(), export.clone());
            }
        }
        let output = Export { process: end.process.clone(), port: end.port.clone(), metadata: Map::new() };
        graph.outports.insert("output".into(), output);
        Part { graph, input: self.input.clone(), version: self.version }
    }

    /// The graph as it is saved: without what exists in an editor only.
    pub fn to_save(&self) -> Graph {
        let mut graph = self.graph.clone();
        let shows = |name: &str| self.graph.processes.get(name).is_some_and(|p| p.component == PROCESSOR);
        graph.processes.retain(|name, _| !shows(name));
        graph.connections.retain(|connection| {
            let from = matches!(&connection.src, Origin::Process(end) if shows(&end.process));
            !from && !shows(&connection.tgt.process)
        });
        graph.groups.iter_mut().for_each(|group| group.nodes.retain(|node| !shows(node)));
        graph
    }
}
