//! What the runtime is, and packets from outside.

use std::sync::Arc;

use imgflo_fbp::End;
use imgflo_runtime::ops::c::LIBRARY as IN_C;
use serde_json::{Map, Value, json};

use super::{Payload, graph, network, optional_text, text};
use crate::Level;
use crate::access::capabilities;
use crate::components::takes_picture;
use crate::flow::Budget;
use crate::workspace::{Asker, Workspace};

pub(super) fn handle(
    workspace: &Arc<Workspace>,
    asker: &Asker,
    command: &str,
    payload: &Payload,
) -> Result<(), String> {
    match command {
        "getruntime" => describe(workspace, asker),
        _ => packet(workspace, asker, payload),
    }
}

fn describe(workspace: &Arc<Workspace>, asker: &Asker) -> Result<(), String> {
    let parts = &workspace.parts;
    let mut payload = json!({
        "version": asker.version,
        "type": "imgflo",
        "id": parts.id.to_string(),
        "label": parts.label,
        "capabilities": capabilities(asker.level),
        "allCapabilities": capabilities(Level::Code),
    });
    let library = workspace.library();
    let mut state = workspace.state();
    let main = state.main.clone().filter(|_| asker.level >= Level::Read);
    payload.as_object_mut().into_iter().for_each(|known| {
        known.extend(main.iter().map(|id| ("graph".to_owned(), Value::from(id.as_str()))));
        // Editors have the sources of components of this library to write.
        known.extend((asker.level >= Level::Read).then(|| ("namespace".to_owned(), IN_C.into())));
    });
    state.answer(asker, "runtime", "runtime", &payload);
    if let Some(id) = main {
        if asker.level >= Level::Edit {
            let ports = graph::ports_payload(&mut state, &id, &library)?;
            state.answer(asker, "runtime", "ports", &ports);
        }
        state.tell_known(asker, &id);
    }
    Ok(())
}

/// A packet to an exported inport.
fn packet(workspace: &Arc<Workspace>, asker: &Asker, payload: &Payload) -> Result<(), String> {
    let (port, event) = (text(payload, "port")?, text(payload, "event")?);
    if !["connect", "begingroup", "data", "endgroup", "disconnect"].contains(&event) {
        return Err("'event' must be connect, begingroup, data, endgroup or disconnect".into());
    }
    let library = workspace.library();
    let mut state = workspace.state();
    let id = match optional_text(payload, "graph")? {
        Some(id) => id.to_owned(),
        None => state.main.clone().ok_or("No graph specified")?,
    };
    let version = state.tick();
    let live = state.graph(&id)?;
    let public = live.graph.port_name(port).into_owned();
    let export = live.graph.inports.get(&public).ok_or_else(|| format!("the graph has no inport '{public}'"))?;
    let tgt = End { process: export.process.clone(), port: export.port.clone(), index: None };
    if live.started.is_none() {
        return Err("the network is not started".into());
    }
    let data = payload.get("payload").cloned().unwrap_or_default();
    let mut events = Ok(Vec::new());
    if event == "data" {
        live.take(data.to_string().len(), workspace.parts.limits.graph_bytes)?;
        let component = live.graph.processes.get(&tgt.process).map_or("", |process| &process.component);
        if takes_picture(&library, component, &tgt.port) {
            let address = data.as_str().ok_or("a picture is named by its address, a text")?;
            // Sent again, it is fetched again.
            workspace.inputs.forget(address);
        }
        events = live.send(&tgt, &data, Budget::new(&workspace.parts.limits), &|component, port| {
            takes_picture(&library, component, port)
        });
        live.touch(version);
    }
    let mut echo = Map::new();
    for key in ["port", "event", "payload", "type", "schema"] {
        echo.extend(payload.get(key).map(|value| (key.to_owned(), value.clone())));
    }
    echo.insert("graph".into(), id.as_str().into());
    state.answer(asker, "runtime", "packetsent", &echo.into());
    network::tell(&mut state, &id, events);
    Ok(())
}
