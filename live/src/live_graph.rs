//! One graph that is edited: what it is, whether it runs, and the part of it behind one process.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use imgflo_fbp::{Connection, End, Export, Graph, Origin};
use imgflo_runtime::{Library, PROCESSOR};
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, watch};

/// A graph that is edited.
#[derive(Debug)]
pub(crate) struct LiveGraph {
    pub graph: Graph,
    /// The name it is saved under; none for one that was never saved.
    pub file: Option<String>,
    /// The content of that file when it was opened or saved; `None` where that is not known.
    pub over: Option<String>,
    /// Set anew by each edit; larger than that of any earlier edit of any graph.
    pub version: u64,
    /// The version that its last edit made.
    pub edited: u64,
    /// The version that was saved last.
    pub saved: u64,
    /// Its size as JSON when it was measured last, bytes.
    pub bytes: usize,
    /// Bytes that edits and packets brought since.
    pub added: usize,
    /// When its network was started; none where it is stopped.
    pub started: Option<SystemTime>,
    /// Pictures of it that are being made.
    pub busy: usize,
    /// What packets set, by process and port: it holds over literals.
    pub values: BTreeMap<(String, String), Value>,
    /// The address of the picture that goes in.
    pub input: Option<String>,
    /// Literals that were taken away a moment ago, with the version of the graph since: pictures go on with their
    /// values until it is clear that no other takes their place.
    pub held: BTreeMap<(String, String), u64>,
    /// What went wrong and was told, by process.
    pub faults: BTreeMap<String, String>,
    /// What is known to be wrong as it is drawn, and was told, by process.
    pub marks: BTreeMap<String, String>,
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

/// The last part of an id: `main` of `default/main`.
fn last(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

impl LiveGraph {
    pub fn new(graph: Graph, file: Option<String>, version: u64) -> Self {
        LiveGraph {
            graph,
            file,
            over: None,
            version,
            edited: version,
            saved: version,
            bytes: 0,
            added: 0,
            started: None,
            busy: 0,
            values: BTreeMap::new(),
            input: None,
            held: BTreeMap::new(),
            faults: BTreeMap::new(),
            marks: BTreeMap::new(),
            wake: Arc::default(),
            changed: watch::Sender::new(version),
        }
    }

    /// Takes notice of an edit or a packet of so many bytes, unless the graph is too large already. It is measured
    /// only now and then; what is small is taken in any case, so that a graph can be made smaller.
    pub fn take(&mut self, bytes: usize, most: usize) -> Result<(), String> {
        self.added += bytes;
        if self.added > most / 16 {
            let values = self.values.values().map(|value| value.to_string().len()).sum::<usize>();
            self.bytes = self.graph.to_json().to_string().len() + values;
            self.added = bytes;
        }
        if self.bytes + self.added > most && bytes > 1000 {
            return Err(format!("the graph would be larger than the limit of {most} bytes"));
        }
        Ok(())
    }

    /// True when what is drawn is not saved as it is: it was edited since, or never saved.
    pub fn is_to_save(&self) -> bool {
        match self.file {
            Some(_) => self.edited > self.saved,
            None => self.has_processes(),
        }
    }

    /// True when there is a process that [`LiveGraph::to_save`] keeps.
    pub fn has_processes(&self) -> bool {
        self.graph.processes.values().any(|process| process.component != PROCESSOR)
    }

    /// The name that the graph is saved under: that of its file, else the one it was given, else the last part of
    /// its id.
    pub fn file_name<'n>(&'n self, id: &'n str) -> &'n str {
        let given = || self.graph.properties.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
        self.file.as_deref().or_else(given).unwrap_or_else(|| last(id))
    }

    /// Forgets the file where the graph is emptied under another name: what is drawn then is another graph. An
    /// editor may name the graph `default/main` of the file `soft` either way.
    pub fn rename(&mut self, id: &str, name: Option<&str>) {
        let Some(name) = name else { return };
        let known = self.graph.properties.get("name").and_then(Value::as_str);
        if name != last(id) && known != Some(name) && self.file.as_deref() != Some(name) {
            (self.file, self.over) = (None, None);
        }
    }

    /// Says that its pictures are others from now on.
    pub fn touch(&mut self, version: u64) {
        self.version = version;
        self.changed.send_replace(version);
        self.wake.notify_one();
    }

    /// What `network:status` says, and the begin of what `started` and `stopped` say. A network of packets is done
    /// when its packets are; one of pictures follows edits until it is stopped.
    pub fn status(&self, id: &str) -> Value {
        let done = !self.graph.processes.is_empty() && self.graph.processes.keys().all(|name| self.is_plain(name));
        let started = self.started.is_some();
        json!({ "graph": id, "running": self.busy > 0 || (started && !done), "started": started })
    }

    /// Drops what packets set, and what was held and told.
    pub fn forget(&mut self) {
        self.values.clear();
        self.held.clear();
        self.faults.clear();
    }

    /// Looks anew at what is wrong with processes as they are drawn; what was not known before, by process.
    pub fn mark(
        &mut self,
        processes: impl IntoIterator<Item = String>,
        library: &Library,
        name_bytes: usize,
    ) -> Vec<(String, String)> {
        let mut new = Vec::new();
        for process in processes {
            match crate::marks::mark(&self.graph, &process, library, name_bytes) {
                Some(message) => {
                    if self.marks.insert(process.clone(), message.clone()).as_ref() != Some(&message) {
                        new.push((process, message));
                    }
                }
                None => drop(self.marks.remove(&process)),
            }
        }
        new
    }

    /// The process whose picture `node` shows: its own, or for a `Processor` that of what is connected to it.
    pub fn shown_by(&self, node: &str) -> Option<End> {
        imgflo_runtime::shown_by(&self.graph, node)
    }

    /// The part of the graph that the picture at `end` depends on. What packets set is in it as literals.
    pub fn behind(&self, end: &End, library: &Library) -> Part {
        let mut known: HashMap<&str, bool> = HashMap::new();
        let mut makes_pictures = |name: &str| {
            let component = self.graph.processes.get(name).map_or("", |process| process.component.as_str());
            *known.entry(component).or_insert_with(|| library.component(component).is_some())
        };
        let kept = imgflo_runtime::depends_on(&self.graph, [end.process.as_str()], |_, src| makes_pictures(src));
        let mut graph = Graph { case_sensitive: self.graph.case_sensitive, ..Graph::default() };
        let environment = json!({ "type": "imgflo" });
        graph.properties.insert("environment".into(), environment);
        for (name, process) in self.graph.processes.iter().filter(|(name, _)| kept.contains(name.as_str())) {
            graph.processes.insert(name.clone(), process.clone());
        }
        let set = |tgt: &End| self.values.contains_key(&(tgt.process.clone(), tgt.port.clone()));
        for connection in
            self.graph.connections.iter().filter(|connection| kept.contains(connection.tgt.process.as_str()))
        {
            let stays = match &connection.src {
                Origin::Process(src) => kept.contains(src.process.as_str()),
                Origin::Data(_) => !set(&connection.tgt),
            };
            if stays {
                graph.connections.push(connection.clone());
            }
        }
        for ((process, port), value) in self.values.iter().filter(|((process, _), _)| kept.contains(process.as_str())) {
            let tgt = End { process: process.clone(), port: port.clone(), index: None };
            graph.connections.push(Connection { src: Origin::Data(value.clone()), tgt, metadata: Map::new() });
        }
        for (public, export) in &self.graph.inports {
            if public == "input" && kept.contains(export.process.as_str()) {
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
