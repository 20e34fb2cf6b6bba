//! The key of a job, computed anew: what a message names is not believed.

use imgflo_job::key::{Keeping, cache_key, is_key};
use imgflo_job::{Category, JobData, JobError, Limits, Source};

use crate::graphs::Graphs;

/// Refuses a job, or a job in its input, that names another key than that of what it asks for: its result would be
/// served for another request, as one that never changes. Front ends serve no other names than keys, so those are not
/// looked at.
///
/// `is_original`: the job came without the graph, as those of the original, whose keys have another length.
///
/// # Errors
/// [`Category::Unavailable`]: a fault of this system, or of a stranger who sends jobs.
pub(crate) fn check(data: &JobData, is_original: bool, graphs: &Graphs, limits: &Limits) -> Result<(), JobError> {
    let mut next = Some(data);
    for _ in 0..=limits.max_nested {
        let Some(data) = next else { break };
        if is_key(&data.cachekey) {
            if is_original {
                return Err(refused(data, "it has no graph to compute the key from"));
            }
            if key_of(data, graphs)?.is_some_and(|key| key != data.cachekey) {
                return Err(refused(
                    data,
                    "it asks for something else; a front end with other operations or another GEGL than this worker \
                     sent it, or a stranger",
                ));
            }
        }
        next = match &data.source {
            Some(Source::Graph { job }) => Some(job),
            _ => None,
        };
    }
    Ok(())
}

fn refused(data: &JobData, why: &str) -> JobError {
    JobError::new(Category::Unavailable, format!("the job names a key that is not its own, {}: {why}", data.cachekey))
}

/// Returns the key of what a job asks for; `None` when its parameters are not those of the graph, so that it makes
/// nothing.
fn key_of(data: &JobData, graphs: &Graphs) -> Result<Option<String>, JobError> {
    let graph = graphs.of(data)?;
    let Ok(arguments) = graph.arguments(&data.iips) else { return Ok(None) };
    let identity = data.source.as_ref().map(Source::identity).unwrap_or_default();
    let keeping = data.source.as_ref().map_or(Keeping::Forever, Source::keeping);
    let (quality, background) = (data.quality, data.background);
    let (arguments, outtype) = (arguments.canonical(), data.outtype.as_deref());
    Ok(Some(cache_key(graph.content(), &arguments, &identity, keeping, outtype, quality, background)))
}
