//! Graphs that change while the server runs: what their folder has now is served.

use std::io;
use std::sync::Weak;
use std::time::Duration;

use imgflo_runtime::{Library, Watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::front::Front;

/// How often the folder is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Looks at the folder of graphs until `shutdown`, and has it read when it has changed.
pub(crate) async fn watch(front: Weak<Front>, shutdown: CancellationToken) {
    let mut watch = Watch::default();
    let mut failed = false;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let Some(front) = front.upgrade() else { return };
        let mut looking = std::mem::take(&mut watch);
        let look = move || {
            let looked = looking.is_changed(&front.library());
            (looked.and_then(|is_changed| if is_changed { front.reload() } else { Ok(()) }), looking)
        };
        let (looked, looking) = match tokio::task::spawn_blocking(look).await {
            Ok((looked, looking)) => (looked, looking),
            Err(panic) => (Err(io::Error::other(panic)), Watch::default()),
        };
        watch = looking;
        match looked {
            Ok(()) => failed = false,
            // Told once, until it goes again. What is served stays.
            Err(error) => {
                if !std::mem::replace(&mut failed, true) {
                    warn!(%error, "the folder of graphs cannot be read; those that were are served");
                }
            }
        }
    }
}

/// Tells what was read, and what is wrong with it that was not so before.
pub(crate) fn tell(library: &Library, before: &Library) {
    for fault in library.faults().iter().filter(|fault| !before.faults().contains(fault)) {
        let name = fault.path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let what = if library.get(name).is_some() { "is served as it was" } else { "is left out" };
        warn!(file = %fault.path.display(), "a graph {what}: {}", fault.message);
    }
    info!(graphs = library.iter().count(), "graphs are loaded");
}
