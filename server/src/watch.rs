//! Graphs that change while the server runs: what their folder has now is served.

use std::io;
use std::sync::Weak;
use std::time::Duration;

use imgflo_runtime::{Library, Stamp};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::front::Front;

/// How often the folder is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How many looks in a row may find something else each time: then it is read all the same.
const UNSETTLED: u32 = 4;

/// Looks at the folder of graphs until `shutdown`, and has it read when it has changed: not before two
/// looks find the same, as a file may be half written.
pub(crate) async fn watch(front: Weak<Front>, shutdown: CancellationToken) {
    let mut seen: Option<Stamp> = None;
    let mut looks = 0;
    let mut failed = false;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let Some(front) = front.upgrade() else { return };
        let last = seen.take();
        let look = move || -> io::Result<Option<Stamp>> {
            let library = front.library();
            let now = library.look()?;
            if now.as_ref() == library.stamp() {
                return Ok(None);
            }
            if now != last && looks < UNSETTLED {
                return Ok(now);
            }
            front.reload()?;
            Ok(None)
        };
        match tokio::task::spawn_blocking(look).await.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
            Ok(now) => {
                looks = if now.is_some() { looks + 1 } else { 0 };
                seen = now;
                failed = false;
            }
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
