//! Jobs of the original's own front ends, which hold no graph: they name one of a folder that its workers share.

use std::sync::Arc;

use imgflo_job::input::{self, Input, OwnOrigins};
use imgflo_job::{Category, JobData, JobError, Limits};
use imgflo_runtime::Library;

/// Completes such jobs from the worker's own folder of graphs.
pub(crate) struct Originals {
    library: Option<Arc<Library>>,
    limits: Limits,
}

impl Originals {
    pub(crate) fn new(library: Option<Arc<Library>>, limits: Limits) -> Self {
        Originals { library, limits }
    }

    /// The job as ours would be: with the definition of its graph, and with where its input is. Jobs that have a
    /// definition stay as they are.
    ///
    /// # Errors
    /// [`Category::Unavailable`] where the graph is not known here; those of an input that cannot be one.
    pub(crate) fn complete(&self, data: &mut JobData) -> Result<(), JobError> {
        if !data.definition.is_null() {
            return Ok(());
        }
        let name = &data.graph;
        let without = |what: &str| {
            let message = format!(
                "job without a graph: data.definition is missing, as in jobs of imgflo-server's own front ends, and \
                 {what}"
            );
            JobError::new(Category::Unavailable, message)
        };
        let Some(library) = &self.library else {
            return Err(without(&format!(
                "this worker has no folder with '{name}' in it: set --graphs (IMGFLO_GRAPHS)"
            )));
        };
        let Some(graph) = library.get(name) else {
            return Err(without(&format!("the worker's folder of graphs (--graphs) has no '{name}'")));
        };
        if let Some(file) = data.files.input.as_ref().filter(|_| data.source.is_none() && graph.takes_input()) {
            data.source = match input::read(&file.src, &OwnOrigins::default(), &self.limits)? {
                Input::Source(source) => Some(source),
                Input::Graph { .. } => return Err(without("its input is a path of a server that is not known here")),
            };
        }
        data.definition = graph.pinned().to_json();
        Ok(())
    }
}
