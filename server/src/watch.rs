//! Graphs that change while the server runs: what their folder has now is served.

use std::io;
use std::sync::Weak;

use imgflo_runtime::{Library, keep_watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::front::Front;

/// Looks at the folder of graphs until `shutdown`, and has it read when it has changed.
///
/// # Errors
/// When there can be no thread.
pub(crate) fn watch(front: Weak<Front>, shutdown: CancellationToken) -> io::Result<()> {
    keep_watch("the folder of graphs cannot be read; those that were are served", move |watch| {
        let front = front.upgrade().filter(|_| !shutdown.is_cancelled())?;
        let is_changed = watch.is_changed(&front.library());
        Some(is_changed.and_then(|is_changed| if is_changed { front.reload() } else { Ok(()) }))
    })
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
