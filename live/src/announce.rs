//! What is told of pictures after edits: their addresses, or why there are none.
//!
//! Edits come in dozens a second while a knob is turned. They are told at most every 30 ms, the newest state; when it
//! is quiet, the addresses of exact pictures follow those of drafts. What is told is checked first without touching a
//! pixel, so that a graph which makes no picture is an error that names the process.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use imgflo_fbp::{End, Origin, PortRef};
use imgflo_runtime::{Arguments, PROCESSOR, in_process};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::flow::{Event, passing};
use crate::live_graph::Part;
use crate::preview::address;
use crate::workspace::{Wake, Workspace};

/// Least time between two tellings.
const PACE: Duration = Duration::from_millis(30);
/// Time without edits after which exact pictures are told of.
const QUIET: Duration = Duration::from_millis(250);
/// Pictures that are checked before they are told of; more are told of unseen.
const MOST_CHECKS: usize = 50;
/// Sides of pictures that are told of: on edges, and of what is shown, pixels.
const SMALL: u32 = 300;
const LARGE: u32 = 1000;

/// A place where a picture is told of.
#[derive(Clone, Debug)]
enum Place {
    /// A `Processor`, by name.
    Shown(String),
    /// An exported outport, by its public name.
    Outport(String),
    /// An edge.
    Edge((PortRef, PortRef), Value),
}

/// A picture to tell of.
#[derive(Clone, Debug)]
struct Told {
    place: Place,
    end: End,
}

/// Tells of the pictures of a graph until it is gone.
pub(crate) async fn run(workspace: Weak<Workspace>, id: String, wake: Wake) {
    loop {
        wake.notified().await;
        loop {
            let Some(workspace) = workspace.upgrade() else { return };
            if !tell(&workspace, &id, &wake, true).await {
                return;
            }
            drop(workspace);
            sleep(PACE).await;
            if timeout(QUIET, wake.notified()).await.is_err() {
                break;
            }
        }
        let Some(workspace) = workspace.upgrade() else { return };
        if !tell(&workspace, &id, &wake, false).await {
            return;
        }
    }
}

/// Tells of all pictures of a graph, drafts or exact ones; false when the graph is gone, and another has its id.
async fn tell(workspace: &Arc<Workspace>, id: &str, wake: &Wake, draft: bool) -> bool {
    let library = workspace.library();
    let pictures = {
        let mut state = workspace.state();
        let Ok(live) = state.graph(id) else { return false };
        if !Arc::ptr_eq(&live.wake, wake) {
            return false;
        }
        if live.started.is_none() {
            return true;
        }
        let mut pictures = Vec::new();
        for (public, export) in &live.graph.outports {
            let end = End { process: export.process.clone(), port: export.port.clone(), index: None };
            pictures.push(Told { place: Place::Outport(public.clone()), end });
        }
        for (name, _) in live.graph.processes.iter().filter(|(_, process)| process.component == PROCESSOR) {
            pictures.extend(live.shown_by(name).map(|end| Told { place: Place::Shown(name.clone()), end }));
        }
        for connection in &live.graph.connections {
            if let (Origin::Process(end), Event::Data { payload, src: Some(src), tgt }) =
                (&connection.src, passing(connection, &Value::Null))
            {
                pictures.push(Told { place: Place::Edge((src, tgt), payload), end: end.clone() });
            }
        }
        let mut known: HashMap<String, bool> = HashMap::new();
        let mut makes_pictures = |process: &str| {
            let component = live.graph.processes.get(process).map_or("", |process| &process.component);
            *known.entry(component.to_owned()).or_insert_with(|| library.component(component).is_some())
        };
        pictures.retain(|told| makes_pictures(&told.end.process));
        pictures.retain(|told| match &told.place {
            Place::Edge(ends, _) => state.is_looked_at(id, ends),
            _ => true,
        });
        pictures
    };
    let mut faults = BTreeMap::new();
    let mut good = Vec::new();
    // What is on the way to a picture makes one, too.
    let mut known: BTreeMap<String, bool> = BTreeMap::new();
    let mut checks = 0;
    for told in pictures {
        let process = &told.end.process;
        let is_good = match known.get(process) {
            Some(is_good) => *is_good,
            None if checks == MOST_CHECKS => true,
            None => {
                checks += 1;
                let part = {
                    let mut state = workspace.state();
                    let Ok(live) = state.graph(id) else { return false };
                    live.behind(&told.end, &library)
                };
                match check(workspace, &part).await {
                    Ok(()) => {
                        known.extend(part.graph.processes.keys().map(|process| (process.clone(), true)));
                        true
                    }
                    Err((node, message)) => {
                        let node = node.unwrap_or_else(|| process.clone());
                        let message = workspace.private.hide(&in_process(&part.graph, &node, &message));
                        faults.insert(node, message);
                        known.insert(process.clone(), false);
                        false
                    }
                }
            }
        };
        if is_good {
            good.push(told);
        }
    }
    say(workspace, id, good, &faults, draft)
}

/// Whether a part makes a picture: the process that does not, and why.
async fn check(workspace: &Arc<Workspace>, part: &Part) -> Result<(), (Option<String>, String)> {
    let library = workspace.library();
    let graph = workspace.assemble(part, &library)?;
    let input = workspace.input(part, &graph).await.map_err(|message| (None, message))?;
    let evaluator = Arc::clone(&workspace.parts.evaluator);
    // GEGL may be asked for sizes.
    let checked =
        tokio::task::spawn_blocking(move || evaluator.check(&graph, &Arguments::default(), input.as_ref())).await;
    match checked {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err((error.node().map(str::to_owned), error.to_string())),
        Err(error) => Err((None, error.to_string())),
    }
}

/// Says what was found, unless the graph is gone or stopped by now; false when it is gone.
fn say(workspace: &Workspace, id: &str, good: Vec<Told>, faults: &BTreeMap<String, String>, draft: bool) -> bool {
    let mut state = workspace.state();
    let ticket = workspace.parts.access.ticket();
    let Ok(live) = state.graph(id) else { return false };
    if live.started.is_none() {
        return true;
    }
    let before = std::mem::replace(&mut live.faults, faults.clone());
    let version = live.version;
    // What is marked was told when it was drawn.
    let known = live.marks.clone();
    let new = |(node, message): &(&String, &String)| {
        before.get(*node) != Some(*message) && known.get(*node) != Some(*message)
    };
    for (node, message) in faults.iter().filter(new) {
        state.tell(None, "network", "processerror", &json!({ "id": node, "error": message, "graph": id }));
    }
    let exported = good.iter().any(|told| matches!(told.place, Place::Outport(_)));
    for Told { place, end } in good {
        let url =
            |base: &str, node: &str, port: &str, side: u32| address(base, id, node, port, side, version, draft, ticket);
        let packet = |port: &str, url: String| json!({ "port": port, "event": "data", "graph": id, "payload": url });
        match place {
            Place::Shown(node) => {
                state.tell_of_pictures(
                    "network",
                    "output",
                    |base| json!({ "message": "", "type": "previewurl", "url": url(base, &node, "", LARGE) }),
                );
                if !exported {
                    state.tell_of_pictures("runtime", "packet", |base| packet("output", url(base, &node, "", LARGE)));
                }
            }
            Place::Outport(public) => {
                let node = (&end.process, &end.port);
                state.tell_of_pictures("runtime", "packet", |base| packet(&public, url(base, node.0, node.1, LARGE)));
                state.tell_of_pictures(
                    "network",
                    "output",
                    |base| json!({ "message": "", "type": "previewurl", "url": url(base, node.0, node.1, LARGE) }),
                );
            }
            Place::Edge((src, tgt), payload) => {
                state.tell_of_edge(id, (Some(&src), &tgt), |base| {
                    let mut payload = payload.clone();
                    payload["data"] = json!({ "type": "previewurl", "url": url(base, &src.node, &src.port, SMALL) });
                    payload
                });
            }
        }
    }
    true
}
