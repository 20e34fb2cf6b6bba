//! The graph of a job, from its definition. Building one is small work, but a million jobs share a dozen graphs.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use imgflo_job::{Category, JobData, JobError, Limits};
use imgflo_runtime::{Catalogue, ImageGraph, LibraryLimits, fbp};
use lru::LruCache;

/// How many built graphs are kept.
const KEPT: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// Name and definition text.
type Key = (String, String);

/// Builds graphs and keeps the last used.
#[derive(Debug)]
pub(crate) struct Graphs {
    catalogue: Arc<Catalogue>,
    limits: LibraryLimits,
    max_bytes: u64,
    built: Mutex<LruCache<Key, Arc<ImageGraph>>>,
}

impl Graphs {
    pub(crate) fn new(catalogue: Arc<Catalogue>, limits: &Limits) -> Self {
        let library = LibraryLimits { max_nodes: limits.max_graph_nodes, max_bytes: limits.max_graph_bytes };
        Graphs { catalogue, limits: library, max_bytes: limits.max_graph_bytes, built: Mutex::new(LruCache::new(KEPT)) }
    }

    /// The graph that a job is to run.
    pub(crate) fn of(&self, data: &JobData) -> Result<Arc<ImageGraph>, JobError> {
        let text = data.definition.to_string();
        if text.len() as u64 > self.max_bytes {
            return Err(JobError::over(
                "bytes of the graph",
                text.len() as u64,
                self.max_bytes,
                "IMGFLO_MAX_GRAPH_BYTES",
            ));
        }
        let key = (data.graph.clone(), text);
        if let Some(graph) = self.built().get(&key) {
            return Ok(Arc::clone(graph));
        }
        // The front end checked it with its own catalogue: a fault here means that the two differ.
        let unfit = |why: String| {
            JobError::new(Category::Unavailable, format!("this worker cannot run the graph '{}': {why}", data.graph))
        };
        let graph = fbp::Graph::from_json(&data.definition).map_err(|error| unfit(error.to_string()))?;
        let graph = ImageGraph::new(&data.graph, graph, &self.catalogue, &self.limits)
            .map_err(|faults| unfit(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
        let graph = Arc::new(graph);
        if !graph.holds_files() {
            self.built().put(key, Arc::clone(&graph));
        }
        Ok(graph)
    }

    fn built(&self) -> std::sync::MutexGuard<'_, LruCache<Key, Arc<ImageGraph>>> {
        self.built.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
