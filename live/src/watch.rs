//! What others change in the folders of graphs and operations while graphs are edited.

use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use imgflo_runtime::Watch;
use tokio_util::sync::CancellationToken;

use crate::workspace::Workspace;

/// Interval at which the folders are looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Looks at the folders until `shutdown`; what changed there is taken, and told to all editors.
pub(crate) async fn run(workspace: Weak<Workspace>, shutdown: CancellationToken) {
    let mut watch = Watch::default();
    let mut failed = false;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let Some(workspace) = workspace.upgrade() else { return };
        let mut looking = std::mem::take(&mut watch);
        let look = move || (look(&workspace, &mut looking), looking);
        let (looked, looking) = match tokio::task::spawn_blocking(look).await {
            Ok((looked, looking)) => (looked, looking),
            Err(panic) => (Err(io::Error::other(panic)), Watch::default()),
        };
        watch = looking;
        match looked {
            Ok(()) => failed = false,
            // Told once, until it goes again.
            Err(error) => {
                if !std::mem::replace(&mut failed, true) {
                    tracing::warn!(%error, "the folders of graphs and operations cannot be read");
                }
            }
        }
    }
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
    let changed = workspace.reload().map_err(io::Error::other)?;
    workspace.tell_changed(&changed, None);
    if revised {
        (workspace.parts.revised)();
    }
    Ok(())
}
