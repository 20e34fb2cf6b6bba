//! Operations in C that are written while a process runs, and the sources of them that are kept beside the graphs.

use std::sync::Arc;

use imgflo_runtime::c_operations::sources;
use imgflo_runtime::{COperations, Catalogue, LiveOperations};
use tracing::warn;

use crate::Failure;
use crate::settings::Settings;

/// Opens what takes operations in C, where the settings allow that. Sources beside the graphs are in force then.
///
/// # Errors
/// When there is no temporary folder.
pub fn open(
    settings: &Settings,
    catalogue: &Catalogue,
    operations: Option<&Arc<COperations>>,
) -> Result<Option<Arc<LiveOperations>>, Failure> {
    let code = settings.live_secret.is_some() || settings.edit.as_ref().is_some_and(|edit| edit.code);
    let Some(operations) = operations.filter(|_| code) else {
        tell_of_unbuilt(settings, catalogue);
        return Ok(None);
    };
    let live = LiveOperations::new(Arc::clone(operations), &settings.cc, &settings.children);
    let live = Arc::new(live.map_err(|error| vec![error.to_string()])?);
    take_in(settings, &live);
    Ok(Some(live))
}

/// Puts the sources beside the graphs in force that changed; what is wrong with them is logged.
pub fn take_in(settings: &Settings, live: &LiveOperations) {
    for fault in live.take_in(&settings.graphs, settings.limits.max_operation_bytes).err().into_iter().flatten() {
        warn!("an operation is not in force: {fault}");
    }
}

/// Tells how the sources are built where they may not be built by this process.
fn tell_of_unbuilt(settings: &Settings, catalogue: &Catalogue) {
    let files = sources::files(&settings.graphs).unwrap_or_default();
    let unbuilt = files.keys().filter(|name| catalogue.component(&format!("c/{name}")).is_none());
    let unbuilt = unbuilt.map(|name| format!("c/{name}")).collect::<Vec<_>>();
    if !unbuilt.is_empty() {
        let folder = sources::folder(&settings.graphs);
        let folder = folder.display();
        warn!(
            operations = unbuilt.join(", "),
            "sources beside the graphs are not built: run `imgflo ops build --ops {folder}` and set --ops {folder}, or allow live code"
        );
    }
}
