//! Saving what was edited into the folder of graphs.

use std::collections::BTreeMap;
use std::sync::Arc;

use imgflo_fbp::Graph;
use imgflo_runtime::Form;
use serde_json::json;

use super::{Payload, optional_text};
use crate::workspace::{Asker, State, Workspace};

/// A graph that is to be saved.
#[derive(Debug)]
struct Wanted {
    id: String,
    /// The name that it is saved under.
    name: String,
    graph: Graph,
    /// The edit that made it what it is.
    edited: u64,
    /// True when it is saved as it is, unless its file is gone.
    is_saved: bool,
}

/// Saves the graph that is asked for, or all that were edited, however they came to be. One that cannot be saved does
/// not keep the others from it.
///
/// # Errors
/// The graphs that are not saved, each with the reason.
pub(super) async fn persist(workspace: &Arc<Workspace>, asker: &Asker, payload: &Payload) -> Result<(), String> {
    let asked = optional_text(payload, "graph")?;
    let Ok(_one) = workspace.writing.acquire().await else { return Err("the runtime stops".into()) };
    let (wanted, mut refused) = wanted(&mut workspace.state(), asked)?;
    let saving = Arc::clone(workspace);
    let saved = tokio::task::spawn_blocking(move || {
        let (mut saved, mut refused) = (Vec::new(), Vec::new());
        for Wanted { id, name, graph, edited, is_saved } in wanted {
            if is_saved && Form::ALL.iter().any(|form| saving.parts.graphs.join(file(&name, *form)).exists()) {
                continue;
            }
            match (saving.parts.save)(&name, &graph) {
                Ok(()) => saved.push((id, name, edited)),
                Err(message) => refused.push(not_saved(&name, &message)),
            }
        }
        if !saved.is_empty()
            && let Err(message) = saving.reload()
        {
            refused.push(format!("the graphs are saved, but the folder cannot be read again: {message}"));
        }
        (saved, refused)
    });
    let (saved, late) = saved.await.map_err(|error| error.to_string())?;
    refused.extend(late);
    let mut state = workspace.state();
    for (id, name, edited) in saved {
        if let Ok(live) = state.graph(&id) {
            live.file = Some(name);
            live.saved = live.saved.max(edited);
        }
    }
    if !refused.is_empty() {
        return Err(refused.join("; "));
    }
    state.answer(asker, "network", "persist", &json!({}));
    Ok(())
}

fn file(name: &str, form: Form) -> String {
    format!("{name}.{}", form.extension())
}

fn not_saved(name: &str, message: &str) -> String {
    let name = name.chars().take(100).collect::<String>();
    format!("'{name}' is not saved: {message}")
}

/// The graphs to save, and why others are not: two of one name would take each other's place.
fn wanted(state: &mut State, asked: Option<&str>) -> Result<(Vec<Wanted>, Vec<String>), String> {
    if let Some(id) = asked {
        let live = state.graph(id)?;
        if live.file.is_none() && !live.has_processes() {
            return Err(not_saved(live.file_name(id), "there is no process in the graph"));
        }
    }
    // Who came from a file keeps its name, and who came first.
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    let with_file = state.graphs.iter().filter(|(_, live)| live.file.is_some());
    let edited = state.graphs.iter().filter(|(_, live)| live.is_to_save());
    for (id, live) in with_file.chain(edited) {
        owners.entry(live.file_name(id)).or_insert(id);
    }
    let (mut wanted, mut refused) = (Vec::new(), Vec::new());
    for (id, live) in state.graphs.iter().filter(|(id, live)| asked.map_or(live.is_to_save(), |asked| asked == *id)) {
        let name = live.file_name(id);
        match owners.get(name).filter(|owner| *owner != id) {
            Some(owner) => {
                let message = format!("the graph '{owner}' has the name already; clear '{id}' with another 'name'");
                refused.push(not_saved(name, &message));
            }
            None => wanted.push(Wanted {
                id: id.clone(),
                name: name.to_owned(),
                graph: live.to_save(),
                edited: live.edited,
                is_saved: !live.is_to_save(),
            }),
        }
    }
    Ok((wanted, refused))
}
