//! Saving what was edited into the folder of graphs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imgflo_fbp::Graph;
use imgflo_runtime::Form;
use imgflo_runtime::ops::c::LIBRARY as IN_C;
use serde_json::json;

use super::{Payload, optional_text};
use crate::lock::lock;
use crate::workspace::{Asker, State, Workspace};

/// A graph that is to be saved.
#[derive(Debug)]
struct Wanted {
    id: String,
    /// The name that it is saved under.
    name: String,
    graph: Graph,
    /// The content that its file is to have until now; `None` for any.
    over: Option<String>,
    /// True for one that came from no file and was never saved.
    is_new: bool,
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
    let operations = operations(&workspace.state());
    let saving = Arc::clone(workspace);
    let saved = tokio::task::spawn_blocking(move || {
        let (mut saved, mut changed, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for Wanted { id, name, graph, over, is_new, edited, is_saved } in wanted {
            let is_there = Form::ALL.iter().any(|form| saving.parts.graphs.join(file(&name, *form)).exists());
            if is_saved && is_there {
                continue;
            }
            let library = saving.library();
            if is_new && over.is_none() && (is_there || library.catalogue().shipped_graph(&name).is_some()) {
                refused.push(not_saved(&name, "there is another graph of that name"));
                refused.push(format!("save again to put yours in the place of '{name}', whose versions are kept"));
                changed.push((id, (saving.parts.content)(&name)));
                continue;
            }
            let done =
                save_sources(&saving, &in_c(&graph)).and_then(|()| (saving.parts.save)(&name, &graph, over.as_deref()));
            match done {
                Ok(content) => saved.push((id, name, content, edited)),
                Err(message) => {
                    refused.push(not_saved(&name, &message));
                    let now = (saving.parts.content)(&name);
                    if over.is_some() && now != over {
                        refused.push(format!("save again to put yours in the place of the newest version of '{name}'"));
                        changed.push((id, now));
                    }
                }
            }
        }
        // Those of graphs that are saved as they are.
        refused.extend(save_sources(&saving, &operations).err());
        if !saved.is_empty() {
            match saving.reload() {
                Ok(changed) => saving.tell_changed(&changed, None),
                Err(message) => {
                    refused.push(format!("the graphs are saved, but the folder cannot be read again: {message}"));
                }
            }
        }
        (saved, changed, refused)
    });
    let (saved, changed, late) = saved.await.map_err(|error| error.to_string())?;
    refused.extend(late);
    let mut state = workspace.state();
    for (id, now) in changed {
        if let Ok(live) = state.graph(&id) {
            // Told once: who saves again means it.
            live.over = now;
        }
    }
    for (id, name, content, edited) in saved {
        if let Ok(live) = state.graph(&id) {
            (live.file, live.over) = (Some(name), Some(content));
            live.saved = live.saved.max(edited);
        }
    }
    if !refused.is_empty() {
        return Err(refused.join("; "));
    }
    state.answer(asker, "network", "persist", &json!({}));
    Ok(())
}

/// The names of the operations in C in a graph.
fn in_c(graph: &Graph) -> BTreeSet<String> {
    let prefix = format!("{IN_C}/");
    let names = graph.processes.values().filter_map(|process| process.component.strip_prefix(&prefix));
    names.map(str::to_owned).collect()
}

/// The names of the operations in C in graphs that are saved as they are.
fn operations(state: &State) -> BTreeSet<String> {
    let saved = state.graphs.values().filter(|live| live.file.is_some() && !live.is_to_save());
    saved.flat_map(|live| in_c(&live.graph)).collect()
}

/// Saves the sources of those operations that were written here.
fn save_sources(workspace: &Workspace, names: &BTreeSet<String>) -> Result<(), String> {
    for name in names {
        let Some(code) = lock(&workspace.unsaved).get(name).cloned() else { continue };
        let saved = (workspace.parts.save_source)(name, &code);
        saved.map_err(|message| format!("the source of '{IN_C}/{name}' cannot be saved: {message}"))?;
        lock(&workspace.unsaved).retain(|other, held| other != name || *held != code);
    }
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
                over: live.over.clone(),
                is_new: live.file.is_none(),
                edited: live.edited,
                is_saved: !live.is_to_save(),
            }),
        }
    }
    Ok((wanted, refused))
}
