//! The roles of imgflo and the queues between them.

use imgflo_fbp::{Graph, ParseOptions};

use crate::limits::Limits;

/// The network as a graph in the FBP language: `graphs/imgflo.fbp`.
pub const GRAPH: &str = include_str!("../../graphs/imgflo.fbp");

/// The network as a graph.
///
/// # Panics
/// Never: a test reads the text.
pub fn graph() -> Graph {
    imgflo_fbp::parse(GRAPH, &ParseOptions::default()).expect("the graph is tested")
}

/// The front ends.
pub const API: &str = "imgflo_api";
/// Workers for jobs that a client waits for.
pub const URGENT_WORKER: &str = "imgflo_urgentworker";
/// Workers for jobs that nobody waits for.
pub const BACKGROUND_WORKER: &str = "imgflo_backgroundworker";
/// Workers for moving pictures.
pub const VIDEO_WORKER: &str = "imgflo_video";
/// No process, but a queue: jobs that could not be done.
pub const DEAD_LETTERS: &str = "imgflo_deadletters";

/// Most jobs that may wait in a queue of the network, and the setting that moves it; none: no limit.
pub fn limit(queue: &str, limits: &Limits) -> Option<(usize, &'static str)> {
    let (limit, setting) = match queue.strip_suffix(".JOB")? {
        URGENT_WORKER => (limits.max_urgent_jobs, "IMGFLO_MAX_URGENT_JOBS"),
        BACKGROUND_WORKER | VIDEO_WORKER => (limits.max_background_jobs, "IMGFLO_MAX_BACKGROUND_JOBS"),
        _ => return None,
    };
    Some((usize::try_from(limit).unwrap_or(usize::MAX), setting))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_jobs_have_limits() {
        let limits = Limits { max_urgent_jobs: 7, max_background_jobs: 9, ..Limits::default() };
        let urgent = Some((7, "IMGFLO_MAX_URGENT_JOBS"));
        let background = Some((9, "IMGFLO_MAX_BACKGROUND_JOBS"));
        for (queue, expected) in [
            ("imgflo_urgentworker.JOB", urgent),
            ("imgflo_backgroundworker.JOB", background),
            ("imgflo_video.JOB", background),
            ("imgflo_deadletters.JOB", None),
            ("imgflo_api-1.JOBRESULT", None),
        ] {
            assert_eq!(limit(queue, &limits), expected, "{queue}");
        }
        for setting in ["IMGFLO_MAX_URGENT_JOBS", "IMGFLO_MAX_BACKGROUND_JOBS"] {
            assert!(Limits::SETTINGS.iter().any(|known| known.variable() == setting), "{setting}");
        }
    }

    #[test]
    fn the_graph_has_these_roles() {
        let graph = graph();
        for role in [API, URGENT_WORKER, BACKGROUND_WORKER, VIDEO_WORKER, DEAD_LETTERS] {
            assert!(graph.processes.contains_key(role), "{role}");
        }
    }
}
