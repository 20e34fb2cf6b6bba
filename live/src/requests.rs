//! What each message of the protocol does.

mod component;
mod graph;
mod network;
mod persist;
mod runtime;

use std::sync::Arc;

use imgflo_fbp::protocol::Request;
use serde_json::{Map, Value};

use crate::Level;
use crate::workspace::{Asker, Workspace, error, refusal};

/// Arguments of a request.
pub(crate) type Payload = Map<String, Value>;

/// Does what a client asks. What cannot be done is answered with an error of the same protocol.
pub(crate) async fn handle(workspace: &Arc<Workspace>, client: u64, open: Level, request: Request) {
    let level = workspace.parts.access.level(request.secret.as_deref());
    // What an origin is shut out of, only a secret opens.
    let level = if level > workspace.parts.access.open() { level } else { open };
    let version = {
        let mut state = workspace.state();
        state.raise(client, level);
        state.version(client, request.id.is_some())
    };
    let asker = Asker { client, request: request.id, level, version };
    let (protocol, command) = (request.protocol.as_str(), request.command.as_str());
    let result = match needed(protocol, command) {
        None => Err(unknown(protocol, command)),
        Some(needed) if level < needed => Err(refusal(needed)),
        Some(_) => match protocol {
            "runtime" => runtime::handle(workspace, &asker, command, &request.payload),
            "graph" => graph::handle(workspace, &asker, command, request.payload),
            "network" => network::handle(workspace, &asker, command, &request.payload).await,
            _ => component::handle(workspace, &asker, command, &request.payload).await,
        },
    };
    if let Err(message) = result {
        let protocol = if ["runtime", "graph", "network", "component", "trace"].contains(&protocol) {
            protocol
        } else {
            "runtime"
        };
        workspace.state().answer(&asker, protocol, "error", &error(&workspace.private.hide(&message)));
    }
}

/// The level that a command needs; none where there is no such command.
fn needed(protocol: &str, command: &str) -> Option<Level> {
    Some(match (protocol, command) {
        ("runtime", "getruntime") => Level::None,
        ("network", "getstatus" | "edges") | ("component", "list" | "getsource") => Level::Read,
        ("network", "start" | "stop" | "debug" | "persist") | ("runtime", "packet") | ("component", "source") => {
            Level::Edit
        }
        ("graph", command) if command == "clear" || graph::COMMANDS.contains(&command) => Level::Edit,
        _ => return None,
    })
}

fn unknown(protocol: &str, command: &str) -> String {
    let short = |text: &str| text.chars().take(60).collect::<String>();
    format!("there is no command '{}' in the protocol '{}'", short(command), short(protocol))
}

/// A text of a payload.
fn text<'p>(payload: &'p Payload, key: &str) -> Result<&'p str, String> {
    optional_text(payload, key)?.ok_or_else(|| format!("the payload needs '{key}', a text"))
}

fn optional_text<'p>(payload: &'p Payload, key: &str) -> Result<Option<&'p str>, String> {
    match payload.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("'{key}' must be a text")),
    }
}

/// The id of the graph that a payload is about.
fn graph_id(payload: &Payload) -> Result<&str, String> {
    match payload.get("graph") {
        Some(Value::String(id)) if !id.is_empty() => Ok(id),
        _ => Err("No graph specified".into()),
    }
}
