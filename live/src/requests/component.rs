//! What graphs can be made of.

use std::sync::Arc;

use imgflo_fbp::Graph;
use imgflo_runtime::ops::c::LIBRARY as IN_C;
use serde_json::json;

use super::graph::refused;
use super::{Payload, optional_text, text};
use crate::Level;
use crate::components::{self, Source};
use crate::lock::lock;
use crate::workspace::{Asker, Workspace, refusal};

pub(super) async fn handle(
    workspace: &Arc<Workspace>,
    asker: &Asker,
    command: &str,
    payload: &Payload,
) -> Result<(), String> {
    match command {
        "list" => list(workspace, asker).await,
        "getsource" => get_source(workspace, asker, text(payload, "name")?),
        _ => source(workspace, asker, payload).await,
    }
}

async fn list(workspace: &Arc<Workspace>, asker: &Asker) -> Result<(), String> {
    let library = workspace.library();
    // GEGL may be asked for its operations first.
    let payloads = tokio::task::spawn_blocking(move || components::list(&library)).await;
    let payloads = payloads.map_err(|error| error.to_string())?;
    let mut state = workspace.state();
    for payload in &payloads {
        state.answer(asker, "component", "component", payload);
    }
    state.answer(asker, "component", "componentsready", &payloads.len().into());
    Ok(())
}

fn get_source(workspace: &Arc<Workspace>, asker: &Asker, name: &str) -> Result<(), String> {
    let graph = workspace.state().graphs.get(name).map(|live| live.graph.clone());
    let graph = graph.map(|graph| components::placed(graph).to_json().to_string());
    let source = match graph {
        Some(code) => Some(Source { language: "json", code }),
        None => {
            let written = lock(&workspace.written);
            components::source(name, &workspace.parts, &workspace.library(), &written)
        }
    };
    let short = || name.chars().take(100).collect::<String>();
    let source = source.ok_or_else(|| format!("there is no component '{}'", short()))?;
    let (library, name) = components::split_name(name, None);
    let payload = components::source_payload(name, library, &source);
    workspace.state().answer(asker, "component", "source", &payload);
    Ok(())
}

/// Takes the source of an operation or of a graph.
async fn source(workspace: &Arc<Workspace>, asker: &Asker, payload: &Payload) -> Result<(), String> {
    let (name, code) = (text(payload, "name")?, text(payload, "code")?);
    let language = text(payload, "language")?.to_lowercase();
    let (library, name) = components::split_name(name, optional_text(payload, "library")?);
    let Ok(_one) = workspace.writing.acquire().await else { return Ok(()) };
    let component = if language == "c" {
        write_operation(workspace, asker, name, code).await?
    } else {
        let graph = components::graph(&language, code)?;
        let id = format!("{library}/{name}");
        let known = workspace.state().graphs.contains_key(&id);
        if known {
            return replace(workspace, asker, &id, &graph);
        }
        let (saving, name) = (Arc::clone(workspace), name.to_owned());
        let saved = tokio::task::spawn_blocking(move || {
            (saving.parts.save)(&name, &graph, None)?;
            let changed = saving.reload()?;
            let component = format!("graph/{name}");
            saving.tell_changed(&changed, Some(&component));
            Ok::<_, String>(component)
        });
        saved.await.map_err(|error| error.to_string())??
    };
    let payload = components::describe(&component, &workspace.library());
    let payload = payload.ok_or_else(|| format!("'{component}' was written, but cannot be used"))?;
    workspace.state().tell(Some(asker), "component", "component", &payload);
    Ok(())
}

/// Puts a graph in the place of one that is edited, and tells of it as if it had been drawn.
fn replace(workspace: &Arc<Workspace>, asker: &Asker, id: &str, graph: &Graph) -> Result<(), String> {
    let limits = &workspace.parts.limits;
    let mut drawn = Graph { case_sensitive: graph.case_sensitive, ..Graph::default() };
    drawn.properties.clone_from(&graph.properties);
    let mut told = Vec::new();
    for edit in graph.edits() {
        told.extend(drawn.edit(edit, &limits.edits).map_err(|error| refused(&error))?);
    }
    let library = workspace.library();
    let mut state = workspace.state();
    let version = state.tick();
    let live = state.graph(id)?;
    let size = graph.to_json().to_string().len();
    if size > limits.graph_bytes {
        return Err(format!("the graph has {size} bytes, more than the limit of {}", limits.graph_bytes));
    }
    live.graph = drawn;
    live.forget();
    live.marks.clear();
    let processes = live.graph.processes.keys().cloned().collect::<Vec<_>>();
    let marks = live.mark(processes, &library, limits.edits.name_bytes);
    (live.edited, live.bytes, live.added) = (version, size, 0);
    live.touch(version);
    let (inports, outports) = components::ports(&live.graph, &library);
    state.tell(None, "graph", "clear", &json!({ "id": id }));
    for edit in &told {
        let mut echo = serde_json::to_value(edit).unwrap_or_default()["payload"].take();
        echo["graph"] = id.into();
        state.tell(None, "graph", edit.command(), &echo);
    }
    let payload = json!({ "name": id, "description": "", "subgraph": true, "inPorts": inports, "outPorts": outports });
    state.tell_marks(id, marks);
    state.tell(Some(asker), "component", "component", &payload);
    Ok(())
}

/// Compiles an operation; its component.
async fn write_operation(workspace: &Arc<Workspace>, asker: &Asker, name: &str, code: &str) -> Result<String, String> {
    let limit = workspace.parts.limits.source_bytes;
    if code.len() > limit {
        return Err(format!("{} bytes are more than the limit of {limit} for a source", code.len()));
    }
    let operations = workspace.parts.operations.clone();
    let operations =
        operations.ok_or("operations cannot be written here: the runtime was started without --live-code")?;
    if asker.level < Level::Code {
        return Err(refusal(Level::Code));
    }
    let (writing, name, code) = (Arc::clone(workspace), name.to_owned(), code.to_owned());
    let written = tokio::task::spawn_blocking(move || {
        let revised = operations
            .revise(&name, &code)
            .map_err(|messages| messages.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
        lock(&writing.unsaved).insert(name.clone(), code.clone());
        lock(&writing.written).insert(name.clone(), code);
        let changed = writing.reload()?;
        writing.tell_changed(&changed, Some(&revised.component));
        (writing.parts.revised)();
        debug_assert!(revised.component.starts_with(IN_C));
        Ok::<_, String>(revised.component)
    });
    written.await.map_err(|error| error.to_string())?
}
