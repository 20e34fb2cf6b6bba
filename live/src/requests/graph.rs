//! Edits of graphs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use imgflo_fbp::{Edit, EditError, Graph, PortRef};
use serde_json::{Map, Value, json};

use super::{Payload, graph_id, optional_text, text};
use crate::components::{self, takes_picture};
use crate::flow::{Budget, Event, Overflow};
use crate::live_graph::LiveGraph;
use crate::requests::network;
use crate::workspace::{Asker, State, Workspace};

/// The commands that are edits.
pub(super) const COMMANDS: [&str; 19] = [
    "addnode",
    "removenode",
    "renamenode",
    "changenode",
    "addedge",
    "removeedge",
    "changeedge",
    "addinitial",
    "removeinitial",
    "addinport",
    "removeinport",
    "renameinport",
    "addoutport",
    "removeoutport",
    "renameoutport",
    "addgroup",
    "removegroup",
    "renamegroup",
    "changegroup",
];

/// Time for which pictures go on with a literal that was taken away: editors replace one by taking it away and adding
/// another.
const HOLD: Duration = Duration::from_millis(150);
/// Longest description, name and the like of a graph, bytes.
const LONGEST_TEXT: usize = 10_000;

pub(super) fn handle(
    workspace: &Arc<Workspace>,
    asker: &Asker,
    command: &str,
    mut payload: Payload,
) -> Result<(), String> {
    if command == "clear" {
        return clear(workspace, asker, &payload);
    }
    let id = graph_id(&payload)?.to_owned();
    payload.remove("graph");
    let library = workspace.library();
    let mut state = workspace.state();
    state.graph(&id)?;
    let payload_bytes = Value::from(payload.clone()).to_string().len();
    let edit = serde_json::from_value::<Edit>(json!({ "command": command, "payload": payload }))
        .map_err(|error| format!("{command}: {error}"))?;
    let live = state.graph(&id)?;
    live.take(payload_bytes, workspace.parts.limits.graph_bytes)?;
    let told = live.graph.edit(edit, &workspace.parts.limits.edits).map_err(|error| refused(&error))?;
    let mut events = Ok(Vec::new());
    for edit in &told {
        follow(live, edit);
        if let Edit::AddInitial { src, tgt, .. } = edit
            && live.started.is_some()
        {
            let budget = Budget::new(&workspace.parts.limits);
            events = sent(live, &src.data, &tgt.clone().into(), budget, &|component, port| {
                takes_picture(&library, component, port)
            });
        }
    }
    let (results, ports) = (told.iter().any(Edit::changes_the_result), told.iter().any(Edit::changes_ports));
    let version = state.tick();
    let live = state.graph(&id)?;
    live.edited = version;
    let held = match &told[..] {
        [Edit::RemoveInitial { tgt, src: Some(src) }] if live.started.is_some() => hold(live, tgt, &src.data, version),
        _ => None,
    };
    if results && held.is_none() {
        live.touch(version);
    } else {
        live.version = version;
    }
    let about = told.iter().flat_map(Edit::processes).map(str::to_owned).chain(live.marks.keys().cloned());
    let about = about.collect::<BTreeSet<_>>();
    let marks = live.mark(about, &library, workspace.parts.limits.edits.name_bytes);
    for edit in &told {
        let mut echo = serde_json::to_value(edit).unwrap_or_default()["payload"].take();
        echo["graph"] = id.as_str().into();
        // The one asked for is the answer; others came of it.
        let answers = edit.command() == command;
        if answers {
            state.tell(Some(asker), "graph", edit.command(), &echo);
        } else {
            state.tell(None, "graph", edit.command(), &echo);
        }
    }
    state.tell_marks(&id, marks);
    network::tell(&mut state, &id, events);
    if let Some(port) = held {
        let workspace = Arc::downgrade(workspace);
        let id = id.clone();
        tokio::spawn(async move {
            tokio::time::sleep(HOLD).await;
            if let Some(workspace) = workspace.upgrade() {
                let_go(&mut workspace.state(), &id, &port, version);
            }
        });
    }
    if ports && state.main.as_deref() == Some(&id) {
        let payload = ports_payload(&mut state, &id, &library)?;
        state.tell(None, "runtime", "ports", &payload);
    }
    Ok(())
}

/// Why an edit is refused, with the setting where it is a limit with one.
pub(super) fn refused(error: &EditError) -> String {
    match error {
        EditError::LongName { .. } => format!("{error} (IMGFLO_MAX_NAME_BYTES)"),
        EditError::TooMany { what: "nodes", .. } => format!("{error} (IMGFLO_MAX_LIVE_NODES)"),
        EditError::TooMany { .. } => format!("{error} (IMGFLO_MAX_LIVE_CONNECTIONS)"),
        _ => error.to_string(),
    }
}

/// Has pictures go on with a literal that was taken away at `version`, unless packets do not let it.
fn hold(live: &mut LiveGraph, tgt: &PortRef, data: &Value, version: u64) -> Option<(String, String)> {
    let port = (tgt.node.clone(), tgt.port.clone());
    if live.is_plain(&tgt.node) {
        return None;
    }
    live.values.insert(port.clone(), data.clone());
    live.held.insert(port.clone(), version);
    Some(port)
}

/// Ends that, unless the port has another literal or value by now.
fn let_go(state: &mut State, id: &str, port: &(String, String), version: u64) {
    let now = state.tick();
    let Ok(live) = state.graph(id) else { return };
    if live.held.get(port) == Some(&version) {
        live.held.remove(port);
        live.values.remove(port);
        live.touch(now);
    }
}

/// The payload of `runtime:ports`.
pub(super) fn ports_payload(state: &mut State, id: &str, library: &imgflo_runtime::Library) -> Result<Value, String> {
    let (inports, outports) = components::ports(&state.graph(id)?.graph, library);
    Ok(json!({ "graph": id, "inPorts": inports, "outPorts": outports }))
}

/// A literal that is added to a network that runs is a packet.
fn sent(
    live: &mut LiveGraph,
    data: &Value,
    tgt: &imgflo_fbp::End,
    budget: Budget,
    is_picture: &dyn Fn(&str, &str) -> bool,
) -> Result<Vec<Event>, Overflow> {
    let added = live.graph.connections.iter().rev().find(|connection| connection.tgt == *tgt).cloned();
    let mut events = added.iter().map(|connection| crate::flow::passing(connection, data)).collect::<Vec<_>>();
    if live.is_plain(&tgt.process) {
        events.extend(live.send(tgt, data, budget, is_picture)?);
    }
    Ok(events)
}

/// What packets set goes with what it was set on.
fn follow(live: &mut LiveGraph, edit: &Edit) {
    match edit {
        Edit::AddInitial { tgt, .. } | Edit::RemoveInitial { tgt, .. } => {
            let port = (tgt.node.clone(), tgt.port.clone());
            live.held.remove(&port);
            live.values.remove(&port);
        }
        Edit::RemoveNode { id } => {
            live.held.retain(|(process, _), _| process != id);
            live.values.retain(|(process, _), _| process != id);
        }
        Edit::RenameNode { from, to } => {
            // What is held under the old name is not let go: it goes now.
            for port in std::mem::take(&mut live.held).into_keys() {
                live.values.remove(&port);
            }
            let values = std::mem::take(&mut live.values);
            let renamed = values.into_iter().map(|((process, port), value)| {
                let process = if process == *from { to.clone() } else { process };
                ((process, port), value)
            });
            live.values = renamed.collect();
        }
        _ => {}
    }
}

/// Makes a graph, or empties it.
fn clear(workspace: &Arc<Workspace>, asker: &Asker, payload: &Payload) -> Result<(), String> {
    let id = text(payload, "id")?;
    let longest = workspace.parts.limits.edits.name_bytes;
    if id.is_empty() || id.len() > longest {
        return Err(format!("a graph needs an id of 1 to {longest} bytes, got {} (IMGFLO_MAX_NAME_BYTES)", id.len()));
    }
    let main = match payload.get("main") {
        None | Some(Value::Null) => None,
        Some(Value::Bool(main)) => Some(*main),
        Some(_) => return Err("'main' must be true or false".into()),
    };
    let mut echo = Map::from_iter([("id".to_owned(), Value::from(id))]);
    let mut graph = Graph::default();
    graph.properties.insert("environment".into(), json!({ "type": "imgflo" }));
    for key in ["name", "library", "icon", "description"] {
        if let Some(value) = optional_text(payload, key)? {
            if value.len() > LONGEST_TEXT {
                return Err(format!("'{key}' is longer than the limit of {LONGEST_TEXT} bytes"));
            }
            echo.insert(key.into(), value.into());
            if !value.is_empty() {
                graph.properties.insert(key.into(), value.into());
            }
        }
    }
    echo.extend(main.map(|main| ("main".to_owned(), main.into())));
    let mut state = workspace.state();
    let version = state.tick();
    if let Ok(live) = state.graph(id) {
        live.rename(id, graph.properties.get("name").and_then(Value::as_str));
        live.graph = graph;
        live.started = None;
        live.forget();
        live.marks.clear();
        live.input = None;
        (live.edited, live.bytes, live.added) = (version, 0, 0);
        live.touch(version);
    } else {
        state.make_room(workspace.parts.limits.graphs)?;
        workspace.insert(&mut state, id.to_owned(), LiveGraph::new(graph, None, version));
    }
    if main == Some(true) {
        state.main = Some(id.to_owned());
    }
    state.tell(Some(asker), "graph", "clear", &echo.into());
    Ok(())
}
