//! Starting and stopping networks, and looking at them.

use std::sync::Arc;
use std::time::SystemTime;

use imgflo_fbp::PortRef;
use serde::Deserialize;
use serde_json::json;

use super::{Payload, graph_id, persist};
use crate::components::takes_picture;
use crate::flow::{Budget, Event, Overflow};
use crate::workspace::{Asker, State, Workspace, error};

/// Most edges that a client looks at one by one.
const MOST_EDGES: usize = 10_000;

pub(super) async fn handle(
    workspace: &Arc<Workspace>,
    asker: &Asker,
    command: &str,
    payload: &Payload,
) -> Result<(), String> {
    match command {
        "start" => start(workspace, asker, graph_id(payload)?),
        "stop" => stop(workspace, asker, graph_id(payload)?),
        "edges" => edges(workspace, asker, payload),
        "persist" => persist::persist(workspace, asker, payload).await,
        // There is no answer to it in the protocol, and packets are told as they are.
        "debug" => Ok(()),
        _ => {
            let id = graph_id(payload)?;
            let mut state = workspace.state();
            let status = state.graph(id)?.status(id);
            state.answer(asker, "network", "status", &status);
            state.tell_known(asker, id);
            Ok(())
        }
    }
}

fn start(workspace: &Arc<Workspace>, asker: &Asker, id: &str) -> Result<(), String> {
    let library = workspace.library();
    let mut state = workspace.state();
    let version = state.tick();
    let live = state.graph(id)?;
    let now = SystemTime::now();
    live.started = Some(now);
    live.forget();
    let events = live.send_literals(Budget::new(&workspace.parts.limits), &|component, port| {
        takes_picture(&library, component, port)
    });
    live.touch(version);
    let time = humantime::format_rfc3339_millis(now).to_string();
    let payload = json!({ "graph": id, "time": time, "running": true, "started": true });
    state.tell(Some(asker), "network", "started", &payload);
    tell(&mut state, id, events);
    Ok(())
}

fn stop(workspace: &Arc<Workspace>, asker: &Asker, id: &str) -> Result<(), String> {
    let mut state = workspace.state();
    let live = state.graph(id)?;
    let (since, now) = (live.started.take(), SystemTime::now());
    let mut payload = live.status(id);
    payload["running"] = false.into();
    payload["time"] = humantime::format_rfc3339_millis(now).to_string().into();
    if let Some(uptime) = since.and_then(|since| now.duration_since(since).ok()) {
        payload["uptime"] = (uptime.as_millis() as f64 / 1000.0).into();
    }
    state.tell(Some(asker), "network", "stopped", &payload);
    Ok(())
}

/// Tells of packets, or of what kept them from coming to an end.
pub(super) fn tell(state: &mut State, id: &str, events: Result<Vec<Event>, Overflow>) {
    match events {
        Ok(events) => {
            for event in events {
                match event {
                    Event::Data { payload, src, tgt } => {
                        state.tell_of_edge(id, (src.as_ref(), &tgt), |_| payload.clone());
                    }
                    Event::Packet { port, payload } => {
                        let packet = json!({ "port": port, "event": "data", "graph": id, "payload": payload });
                        state.tell(None, "runtime", "packet", &packet);
                    }
                }
            }
        }
        Err(overflow) => {
            let mut payload = error(&overflow.to_string());
            payload["graph"] = id.into();
            state.tell(None, "network", "error", &payload);
        }
    }
}

#[derive(Deserialize)]
struct Ends {
    src: PortRef,
    tgt: PortRef,
}

fn edges(workspace: &Arc<Workspace>, asker: &Asker, payload: &Payload) -> Result<(), String> {
    let id = graph_id(payload)?;
    let edges = payload.get("edges").cloned().unwrap_or_else(|| json!([]));
    let edges = serde_json::from_value::<Vec<Ends>>(edges).map_err(|error| format!("edges: {error}"))?;
    if edges.len() > MOST_EDGES {
        return Err(format!("{} edges are more than the limit of {MOST_EDGES}", edges.len()));
    }
    let mut state = workspace.state();
    let graph = &state.graph(id)?.graph;
    let fold = |mut end: PortRef| {
        end.port = graph.port_name(&end.port).into_owned();
        end
    };
    let edges = edges.into_iter().map(|ends| (fold(ends.src), fold(ends.tgt))).collect::<Vec<_>>();
    let listed = edges.iter().map(|(src, tgt)| json!({ "src": src, "tgt": tgt })).collect::<Vec<_>>();
    state.look_at(asker.client, id, edges.into_iter().collect());
    state.answer(asker, "network", "edges", &json!({ "graph": id, "edges": listed }));
    state.graph(id)?.wake.notify_one();
    Ok(())
}
