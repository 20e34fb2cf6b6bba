//! What others change in the folders of graphs and operations while graphs are edited.

use std::io;
use std::sync::{Arc, Weak};

use imgflo_runtime::{Watch, keep_watch};
use tokio_util::sync::CancellationToken;

use crate::lock::lock;
use crate::workspace::Workspace;

/// Looks at the folders until `shutdown`; what changed there is taken, and told to all editors.
///
/// # Errors
/// When there can be no thread.
pub(crate) fn run(workspace: Weak<Workspace>, shutdown: CancellationToken) -> io::Result<()> {
    keep_watch("the folders of graphs and operations cannot be read", move |watch| {
        let workspace = workspace.upgrade().filter(|_| !shutdown.is_cancelled())?;
        Some(look(&workspace, watch))
    })
}

fn look(workspace: &Arc<Workspace>, watch: &mut Watch) -> io::Result<()> {
    let library = workspace.library();
    let operations = library.catalogue().c_operations().zip(workspace.parts.ops.as_deref());
    let mut revised = false;
    if let Some((operations, folder)) = operations {
        let (loaded, faults) = operations.load(folder)?;
        faults.iter().for_each(|fault| tracing::warn!("an operation is left out: {fault}"));
        revised = loaded > 0;
    }
    if !revised && !watch.is_changed(&library)? {
        return Ok(());
    }
    take_in(workspace);
    let changed = workspace.reload().map_err(io::Error::other)?;
    workspace.tell_changed(&changed, None);
    if revised {
        (workspace.parts.revised)();
    }
    Ok(())
}

/// Puts the sources beside the graphs in force that others changed or removed.
fn take_in(workspace: &Workspace) {
    let Some(operations) = &workspace.parts.operations else { return };
    let largest = workspace.parts.limits.source_bytes as u64;
    for fault in operations.take_in(&workspace.parts.graphs, largest).err().into_iter().flatten() {
        tracing::warn!("an operation is not in force: {fault}");
    }
    // What is saved is what the file says.
    let unsaved = lock(&workspace.unsaved).clone();
    lock(&workspace.written).retain(|name, _| unsaved.contains_key(name));
}
