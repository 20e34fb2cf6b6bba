//! Edits: the changes of a graph that the FBP network protocol knows, as values that can be applied,
//! sent and repeated elsewhere.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::graph::{Connection, End, Export, Graph, Group, Origin, Process};
use crate::{MAX_DEPTH, number};

/// One end of an edge, as the protocol writes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PortRef {
    /// Process.
    pub node: String,
    /// Port.
    pub port: String,
    /// Index in an array port; a text of digits is as good as a number.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "index")]
    pub index: Option<u32>,
}

/// The literal of an IIP, as the protocol writes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Literal {
    /// Its value.
    #[serde(default)]
    pub data: Value,
}

/// Metadata as sent; none is not the same as an empty one in answers.
type Metadata = Option<Map<String, Value>>;

/// A change of a graph. Serialised it is `{"command": …, "payload": …}` as in the protocol `graph`,
/// without the graph's id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", content = "payload", rename_all = "lowercase")]
#[expect(missing_docs, reason = "the fields are the protocol's own, and mean what the variant says")]
pub enum Edit {
    /// Adds a process.
    AddNode {
        id: String,
        component: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metadata: Metadata,
    },
    /// Removes a process, what is connected to it, and the ports that lead to it.
    RemoveNode { id: String },
    /// Gives a process another name.
    RenameNode { from: String, to: String },
    /// Changes metadata of a process: what is `null` goes, the rest is added or replaced.
    ChangeNode {
        id: String,
        #[serde(default)]
        metadata: Map<String, Value>,
    },
    /// Adds an edge.
    AddEdge {
        src: PortRef,
        tgt: PortRef,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metadata: Metadata,
    },
    /// Removes an edge.
    RemoveEdge { src: PortRef, tgt: PortRef },
    /// Changes metadata of an edge, as `ChangeNode`.
    ChangeEdge {
        src: PortRef,
        tgt: PortRef,
        #[serde(default)]
        metadata: Map<String, Value>,
    },
    /// Sets the literal of a port; one that is there goes first.
    AddInitial {
        src: Literal,
        tgt: PortRef,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metadata: Metadata,
    },
    /// Removes the literal of a port.
    RemoveInitial {
        tgt: PortRef,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        src: Option<Literal>,
    },
    /// Exports an inport.
    AddInport {
        public: String,
        node: String,
        port: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metadata: Metadata,
    },
    /// Takes an exported inport away.
    RemoveInport { public: String },
    /// Gives an exported inport another name.
    RenameInport { from: String, to: String },
    /// Exports an outport.
    AddOutport {
        public: String,
        node: String,
        port: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metadata: Metadata,
    },
    /// Takes an exported outport away.
    RemoveOutport { public: String },
    /// Gives an exported outport another name.
    RenameOutport { from: String, to: String },
    /// Adds a group.
    AddGroup {
        name: String,
        nodes: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metadata: Metadata,
    },
    /// Removes a group; its processes stay.
    RemoveGroup { name: String },
    /// Gives a group another name.
    RenameGroup { from: String, to: String },
    /// Changes metadata of a group, as `ChangeNode`.
    ChangeGroup {
        name: String,
        #[serde(default)]
        metadata: Map<String, Value>,
    },
}

/// Why an edit was not applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// It is about something that is not there.
    #[error("there is no {what} '{name}'")]
    Missing {
        /// `node`, `inport`, `edge` and so on.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// What it would make is there already.
    #[error("there is {what} '{name}' already")]
    Exists {
        /// `a node`, `an edge` and so on.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A name without a letter.
    #[error("{0} needs a name")]
    Nameless(&'static str),
    /// A name that is too long.
    #[error("a name has {bytes} bytes, more than the limit of {limit}")]
    LongName {
        /// Number that it has.
        bytes: usize,
        /// Number that it may have.
        limit: usize,
    },
    /// A literal or metadata nested too deeply.
    #[error("nested too deeply: at most {MAX_DEPTH} levels")]
    TooDeep,
    /// The graph would become too large.
    #[error("the graph would have more than {limit} {what}")]
    TooMany {
        /// Of what: `nodes`, `connections`, `ports`, `groups`.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
}

/// How large a graph may become by edits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EditLimits {
    /// Most processes.
    pub nodes: usize,
    /// Most edges and IIPs together; also most exported ports on a side, and most groups.
    pub connections: usize,
    /// Longest name of a process, component, port or group, bytes.
    pub name_bytes: usize,
}

impl Default for EditLimits {
    fn default() -> Self {
        EditLimits { nodes: 1000, connections: 10_000, name_bytes: 500 }
    }
}

impl Edit {
    /// The name of the command in the protocol.
    pub fn command(&self) -> &'static str {
        match self {
            Edit::AddNode { .. } => "addnode",
            Edit::RemoveNode { .. } => "removenode",
            Edit::RenameNode { .. } => "renamenode",
            Edit::ChangeNode { .. } => "changenode",
            Edit::AddEdge { .. } => "addedge",
            Edit::RemoveEdge { .. } => "removeedge",
            Edit::ChangeEdge { .. } => "changeedge",
            Edit::AddInitial { .. } => "addinitial",
            Edit::RemoveInitial { .. } => "removeinitial",
            Edit::AddInport { .. } => "addinport",
            Edit::RemoveInport { .. } => "removeinport",
            Edit::RenameInport { .. } => "renameinport",
            Edit::AddOutport { .. } => "addoutport",
            Edit::RemoveOutport { .. } => "removeoutport",
            Edit::RenameOutport { .. } => "renameoutport",
            Edit::AddGroup { .. } => "addgroup",
            Edit::RemoveGroup { .. } => "removegroup",
            Edit::RenameGroup { .. } => "renamegroup",
            Edit::ChangeGroup { .. } => "changegroup",
        }
    }

    /// The names that it would bring into a graph.
    fn new_names(&self) -> Vec<&str> {
        let names: &[&String] = match self {
            Edit::AddNode { id, component, .. } => &[id, component],
            Edit::RenameNode { to, .. }
            | Edit::RenameInport { to, .. }
            | Edit::RenameOutport { to, .. }
            | Edit::RenameGroup { to, .. } => &[to],
            Edit::AddEdge { src, tgt, .. } => &[&src.port, &tgt.port],
            Edit::AddInitial { tgt, .. } => &[&tgt.port],
            Edit::AddInport { public, port, .. } | Edit::AddOutport { public, port, .. } => &[public, port],
            Edit::AddGroup { name, .. } => &[name],
            _ => &[],
        };
        names.iter().map(|name| name.as_str()).collect()
    }

    /// The processes that it is about.
    pub fn processes(&self) -> Vec<&str> {
        let processes: &[&String] = match self {
            Edit::AddNode { id, .. } | Edit::RemoveNode { id } | Edit::ChangeNode { id, .. } => &[id],
            Edit::RenameNode { from, to } => &[from, to],
            Edit::AddEdge { src, tgt, .. } | Edit::RemoveEdge { src, tgt } | Edit::ChangeEdge { src, tgt, .. } => {
                &[&src.node, &tgt.node]
            }
            Edit::AddInitial { tgt, .. } | Edit::RemoveInitial { tgt, .. } => &[&tgt.node],
            Edit::AddInport { node, .. } | Edit::AddOutport { node, .. } => &[node],
            _ => &[],
        };
        processes.iter().map(|process| process.as_str()).collect()
    }

    /// True when it changes what the graph makes; false for what only drawing looks at.
    pub fn changes_the_result(&self) -> bool {
        !matches!(
            self,
            Edit::ChangeNode { .. }
                | Edit::ChangeEdge { .. }
                | Edit::AddGroup { .. }
                | Edit::RemoveGroup { .. }
                | Edit::RenameGroup { .. }
                | Edit::ChangeGroup { .. }
        )
    }

    /// True when it changes the exported ports.
    pub fn changes_ports(&self) -> bool {
        matches!(
            self,
            Edit::AddInport { .. }
                | Edit::RemoveInport { .. }
                | Edit::RenameInport { .. }
                | Edit::AddOutport { .. }
                | Edit::RemoveOutport { .. }
                | Edit::RenameOutport { .. }
        )
    }
}

impl Graph {
    /// Applies an edit, and tells what it came to, in order: whoever repeats these on an equal graph has an
    /// equal graph. A removed process takes its edges, IIPs and exported ports with it, each of which is told
    /// before; changed metadata is told whole; names of ports are told as the graph stores them.
    ///
    /// # Errors
    /// [`EditError`]; then the graph is as it was.
    pub fn edit(&mut self, edit: Edit, limits: &EditLimits) -> Result<Vec<Edit>, EditError> {
        if let Some(long) = edit.new_names().into_iter().find(|name| name.len() > limits.name_bytes) {
            return Err(EditError::LongName { bytes: long.len(), limit: limits.name_bytes });
        }
        let edit = self.normalised(edit)?;
        match edit {
            Edit::AddNode { id, component, metadata } => {
                let metadata = self.add_node(id.clone(), component.clone(), metadata, limits)?;
                Ok(vec![Edit::AddNode { id, component, metadata }])
            }
            Edit::RemoveNode { id } => self.remove_node(id),
            Edit::RenameNode { from, to } => {
                self.rename_node(&from, &to)?;
                Ok(vec![Edit::RenameNode { from, to }])
            }
            Edit::ChangeNode { id, metadata } => {
                let process = self.processes.get_mut(&id).ok_or_else(|| missing("node", &id))?;
                let metadata = merge(&mut process.metadata, metadata);
                Ok(vec![Edit::ChangeNode { id, metadata }])
            }
            Edit::AddEdge { src, tgt, metadata } => {
                self.known(&src)?;
                self.known(&tgt)?;
                if self.edge(&src, &tgt).is_some() {
                    return Err(EditError::Exists { what: "an edge", name: edge_name(&src, &tgt) });
                }
                room(self.connections.len(), limits.connections, "connections")?;
                let connection = Connection {
                    src: Origin::Process(src.clone().into()),
                    tgt: tgt.clone().into(),
                    metadata: metadata.clone().unwrap_or_default(),
                };
                self.connections.push(connection);
                Ok(vec![Edit::AddEdge { src, tgt, metadata }])
            }
            Edit::RemoveEdge { src, tgt } => {
                let at = self.edge(&src, &tgt).ok_or_else(|| missing("edge", &edge_name(&src, &tgt)))?;
                self.connections.remove(at);
                Ok(vec![Edit::RemoveEdge { src, tgt }])
            }
            Edit::ChangeEdge { src, tgt, metadata } => {
                let at = self.edge(&src, &tgt).ok_or_else(|| missing("edge", &edge_name(&src, &tgt)))?;
                let metadata = merge(&mut self.connections[at].metadata, metadata);
                Ok(vec![Edit::ChangeEdge { src, tgt, metadata }])
            }
            Edit::AddInitial { src, tgt, metadata } => self.add_initial(src, tgt, metadata, limits),
            Edit::RemoveInitial { tgt, .. } => match self.take_initial(&tgt) {
                Some(data) => Ok(vec![Edit::RemoveInitial { tgt, src: Some(Literal { data }) }]),
                None => Err(missing("initial packet on", &port_name(&tgt))),
            },
            Edit::AddInport { public, node, port, metadata } => {
                self.export(true, &public, &node, &port, metadata.as_ref(), limits)?;
                Ok(vec![Edit::AddInport { public, node, port, metadata }])
            }
            Edit::AddOutport { public, node, port, metadata } => {
                self.export(false, &public, &node, &port, metadata.as_ref(), limits)?;
                Ok(vec![Edit::AddOutport { public, node, port, metadata }])
            }
            Edit::RemoveInport { public } => {
                self.inports.shift_remove(&public).ok_or_else(|| missing("inport", &public))?;
                Ok(vec![Edit::RemoveInport { public }])
            }
            Edit::RemoveOutport { public } => {
                self.outports.shift_remove(&public).ok_or_else(|| missing("outport", &public))?;
                Ok(vec![Edit::RemoveOutport { public }])
            }
            Edit::RenameInport { from, to } => {
                rename(&mut self.inports, &from, &to, ["inport", "an inport"])?;
                Ok(vec![Edit::RenameInport { from, to }])
            }
            Edit::RenameOutport { from, to } => {
                rename(&mut self.outports, &from, &to, ["outport", "an outport"])?;
                Ok(vec![Edit::RenameOutport { from, to }])
            }
            Edit::AddGroup { name, nodes, metadata } => {
                named(&name, "a group")?;
                if self.groups.iter().any(|group| group.name == name) {
                    return Err(EditError::Exists { what: "a group", name });
                }
                room(self.groups.len(), limits.connections, "groups")?;
                if let Some(unknown) = nodes.iter().find(|node| !self.processes.contains_key(*node)) {
                    return Err(missing("node", unknown));
                }
                let group =
                    Group { name: name.clone(), nodes: nodes.clone(), metadata: metadata.clone().unwrap_or_default() };
                self.groups.push(group);
                Ok(vec![Edit::AddGroup { name, nodes, metadata }])
            }
            Edit::RemoveGroup { name } => {
                let at = self.groups.iter().position(|group| group.name == name);
                self.groups.remove(at.ok_or_else(|| missing("group", &name))?);
                Ok(vec![Edit::RemoveGroup { name }])
            }
            Edit::RenameGroup { from, to } => {
                named(&to, "a group")?;
                if from != to && self.groups.iter().any(|group| group.name == to) {
                    return Err(EditError::Exists { what: "a group", name: to });
                }
                let group = self.groups.iter_mut().find(|group| group.name == from);
                group.ok_or_else(|| missing("group", &from))?.name.clone_from(&to);
                Ok(vec![Edit::RenameGroup { from, to }])
            }
            Edit::ChangeGroup { name, metadata } => {
                let group = self.groups.iter_mut().find(|group| group.name == name);
                let metadata = merge(&mut group.ok_or_else(|| missing("group", &name))?.metadata, metadata);
                Ok(vec![Edit::ChangeGroup { name, metadata }])
            }
        }
    }

    /// The edits that draw this graph where there is none: processes, edges and literals, exported ports, groups.
    pub fn edits(&self) -> Vec<Edit> {
        let some = |metadata: &Map<String, Value>| (!metadata.is_empty()).then(|| metadata.clone());
        let mut edits = Vec::new();
        for (id, process) in &self.processes {
            let (component, metadata) = (process.component.clone(), some(&process.metadata));
            edits.push(Edit::AddNode { id: id.clone(), component, metadata });
        }
        for Connection { src, tgt, metadata } in &self.connections {
            let (tgt, metadata) = (PortRef::from(tgt), some(metadata));
            edits.push(match src {
                Origin::Process(src) => Edit::AddEdge { src: src.into(), tgt, metadata },
                Origin::Data(data) => Edit::AddInitial { src: Literal { data: data.clone() }, tgt, metadata },
            });
        }
        for (public, export) in &self.inports {
            let (public, node, port) = (public.clone(), export.process.clone(), export.port.clone());
            edits.push(Edit::AddInport { public, node, port, metadata: some(&export.metadata) });
        }
        for (public, export) in &self.outports {
            let (public, node, port) = (public.clone(), export.process.clone(), export.port.clone());
            edits.push(Edit::AddOutport { public, node, port, metadata: some(&export.metadata) });
        }
        for Group { name, nodes, metadata } in &self.groups {
            let (name, nodes) = (name.clone(), nodes.clone());
            edits.push(Edit::AddGroup { name, nodes, metadata: some(metadata) });
        }
        edits
    }

    /// With names of ports as this graph stores them, and numbers as in JavaScript.
    fn normalised(&self, mut edit: Edit) -> Result<Edit, EditError> {
        let fold = |name: &mut String| *name = self.port_name(name).into_owned();
        let metadata = |metadata: &mut Metadata| metadata.as_mut().map_or(Ok(()), normal);
        match &mut edit {
            Edit::AddEdge { src, tgt, metadata: m } => {
                fold(&mut src.port);
                fold(&mut tgt.port);
                metadata(m)?;
            }
            Edit::RemoveEdge { src, tgt } => {
                fold(&mut src.port);
                fold(&mut tgt.port);
            }
            Edit::ChangeEdge { src, tgt, metadata } => {
                fold(&mut src.port);
                fold(&mut tgt.port);
                normal(metadata)?;
            }
            Edit::AddInitial { src, tgt, metadata: m } => {
                fold(&mut tgt.port);
                metadata(m)?;
                if !number::depth_within(&src.data, MAX_DEPTH) {
                    return Err(EditError::TooDeep);
                }
                src.data = number::normalised(&src.data);
            }
            Edit::RemoveInitial { tgt, .. } => fold(&mut tgt.port),
            Edit::AddInport { public, port, metadata: m, .. } | Edit::AddOutport { public, port, metadata: m, .. } => {
                fold(public);
                fold(port);
                metadata(m)?;
            }
            Edit::RemoveInport { public } | Edit::RemoveOutport { public } => fold(public),
            Edit::RenameInport { from, to } | Edit::RenameOutport { from, to } => {
                fold(from);
                fold(to);
            }
            Edit::AddNode { metadata: m, .. } | Edit::AddGroup { metadata: m, .. } => metadata(m)?,
            Edit::ChangeNode { metadata, .. } | Edit::ChangeGroup { metadata, .. } => normal(metadata)?,
            Edit::RemoveNode { .. } | Edit::RenameNode { .. } | Edit::RemoveGroup { .. } | Edit::RenameGroup { .. } => {
            }
        }
        Ok(edit)
    }

    fn add_node(
        &mut self,
        id: String,
        component: String,
        metadata: Metadata,
        limits: &EditLimits,
    ) -> Result<Metadata, EditError> {
        named(&id, "a node")?;
        if self.processes.contains_key(&id) {
            return Err(EditError::Exists { what: "a node", name: id });
        }
        room(self.processes.len(), limits.nodes, "nodes")?;
        self.processes.insert(id, Process { component, metadata: metadata.clone().unwrap_or_default() });
        Ok(metadata)
    }

    fn remove_node(&mut self, id: String) -> Result<Vec<Edit>, EditError> {
        if self.processes.shift_remove(&id).is_none() {
            return Err(missing("node", &id));
        }
        let mut told = Vec::new();
        self.connections.retain(|Connection { src, tgt, .. }| {
            let to = tgt.process == id;
            match src {
                Origin::Process(end) if to || end.process == id => {
                    told.push(Edit::RemoveEdge { src: end.into(), tgt: tgt.into() });
                    false
                }
                Origin::Data(data) if to => {
                    told.push(Edit::RemoveInitial { tgt: tgt.into(), src: Some(Literal { data: data.clone() }) });
                    false
                }
                _ => true,
            }
        });
        self.inports.retain(|public, export| {
            let stays = export.process != id;
            told.extend((!stays).then(|| Edit::RemoveInport { public: public.clone() }));
            stays
        });
        self.outports.retain(|public, export| {
            let stays = export.process != id;
            told.extend((!stays).then(|| Edit::RemoveOutport { public: public.clone() }));
            stays
        });
        self.groups.iter_mut().for_each(|group| group.nodes.retain(|node| *node != id));
        told.push(Edit::RemoveNode { id });
        Ok(told)
    }

    fn rename_node(&mut self, from: &str, to: &str) -> Result<(), EditError> {
        rename(&mut self.processes, from, to, ["node", "a node"])?;
        let follow = |name: &mut String| {
            if name == from {
                to.clone_into(name);
            }
        };
        for connection in &mut self.connections {
            follow(&mut connection.tgt.process);
            if let Origin::Process(end) = &mut connection.src {
                follow(&mut end.process);
            }
        }
        let exports = self.inports.values_mut().chain(self.outports.values_mut());
        exports.for_each(|export| follow(&mut export.process));
        self.groups.iter_mut().flat_map(|group| &mut group.nodes).for_each(follow);
        Ok(())
    }

    fn add_initial(
        &mut self,
        src: Literal,
        tgt: PortRef,
        metadata: Metadata,
        limits: &EditLimits,
    ) -> Result<Vec<Edit>, EditError> {
        self.known(&tgt)?;
        let before = self.take_initial(&tgt);
        let mut told = Vec::new();
        match before {
            Some(data) => told.push(Edit::RemoveInitial { tgt: tgt.clone(), src: Some(Literal { data }) }),
            None => room(self.connections.len(), limits.connections, "connections")?,
        }
        let connection = Connection {
            src: Origin::Data(src.data.clone()),
            tgt: tgt.clone().into(),
            metadata: metadata.clone().unwrap_or_default(),
        };
        self.connections.push(connection);
        told.push(Edit::AddInitial { src, tgt, metadata });
        Ok(told)
    }

    /// Takes all literals of a port away; the first.
    fn take_initial(&mut self, tgt: &PortRef) -> Option<Value> {
        let end = End::from(tgt.clone());
        let mut first = None;
        self.connections.retain(|connection| match &connection.src {
            Origin::Data(data) if connection.tgt == end => {
                first.get_or_insert_with(|| data.clone());
                false
            }
            _ => true,
        });
        first
    }

    fn export(
        &mut self,
        inwards: bool,
        public: &str,
        node: &str,
        port: &str,
        metadata: Option<&Map<String, Value>>,
        limits: &EditLimits,
    ) -> Result<(), EditError> {
        named(public, "an exported port")?;
        named(port, "a port")?;
        if !self.processes.contains_key(node) {
            return Err(missing("node", node));
        }
        let (exports, what) =
            if inwards { (&mut self.inports, "an inport") } else { (&mut self.outports, "an outport") };
        if exports.contains_key(public) {
            return Err(EditError::Exists { what, name: public.into() });
        }
        room(exports.len(), limits.connections, "exported ports")?;
        let metadata = metadata.cloned().unwrap_or_default();
        exports.insert(public.into(), Export { process: node.into(), port: port.into(), metadata });
        Ok(())
    }

    fn known(&self, end: &PortRef) -> Result<(), EditError> {
        named(&end.port, "a port")?;
        if self.processes.contains_key(&end.node) { Ok(()) } else { Err(missing("node", &end.node)) }
    }

    fn edge(&self, src: &PortRef, tgt: &PortRef) -> Option<usize> {
        let (src, tgt) = (Origin::Process(src.clone().into()), End::from(tgt.clone()));
        self.connections.iter().position(|connection| connection.tgt == tgt && connection.src == src)
    }
}

impl From<PortRef> for End {
    fn from(end: PortRef) -> Self {
        End { process: end.node, port: end.port, index: end.index }
    }
}

impl From<&End> for PortRef {
    fn from(end: &End) -> Self {
        PortRef { node: end.process.clone(), port: end.port.clone(), index: end.index }
    }
}

fn missing(what: &'static str, name: &str) -> EditError {
    EditError::Missing { what, name: name.chars().take(200).collect() }
}

fn named(name: &str, what: &'static str) -> Result<(), EditError> {
    if name.is_empty() { Err(EditError::Nameless(what)) } else { Ok(()) }
}

fn room(count: usize, limit: usize, what: &'static str) -> Result<(), EditError> {
    if count < limit { Ok(()) } else { Err(EditError::TooMany { what, limit }) }
}

fn port_name(end: &PortRef) -> String {
    format!("{} {}", end.node, end.port)
}

fn edge_name(src: &PortRef, tgt: &PortRef) -> String {
    format!("{} {} -> {} {}", src.node, src.port, tgt.port, tgt.node)
}

/// Gives an entry another name at the same place.
fn rename<T>(
    map: &mut indexmap::IndexMap<String, T>,
    from: &str,
    to: &str,
    [what, one]: [&'static str; 2],
) -> Result<(), EditError> {
    named(to, one)?;
    let at = map.get_index_of(from).ok_or_else(|| missing(what, from))?;
    if from != to && map.contains_key(to) {
        return Err(EditError::Exists { what: one, name: to.into() });
    }
    let (_, value) = map.shift_remove_index(at).ok_or_else(|| missing(what, from))?;
    map.shift_insert(at, to.to_owned(), value);
    Ok(())
}

/// Merges changes into metadata; what is then there.
fn merge(metadata: &mut Map<String, Value>, changes: Map<String, Value>) -> Map<String, Value> {
    for (key, value) in changes {
        if value.is_null() {
            metadata.shift_remove(&key);
        } else {
            metadata.insert(key, value);
        }
    }
    metadata.clone()
}

fn normal(metadata: &mut Map<String, Value>) -> Result<(), EditError> {
    for value in metadata.values_mut() {
        if !number::depth_within(value, MAX_DEPTH) {
            return Err(EditError::TooDeep);
        }
        *value = number::normalised(value);
    }
    Ok(())
}

fn index<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let wrong = |value: &Value| serde::de::Error::custom(format!("index must be a whole number, is {value}"));
    let value = Value::deserialize(deserializer)?;
    match &value {
        Value::Null => Ok(None),
        Value::String(text) if text.is_empty() => Ok(None),
        Value::String(text) => text.parse().map(Some).map_err(|_| wrong(&value)),
        Value::Number(found) => {
            let whole = number::normal(found).as_u64().and_then(|whole| u32::try_from(whole).ok());
            whole.map(Some).ok_or_else(|| wrong(&value))
        }
        _ => Err(wrong(&value)),
    }
}

#[cfg(test)]
mod tests;
