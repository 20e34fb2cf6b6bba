//! The roles of imgflo and the queues between them.

use imgflo_fbp::{Graph, ParseOptions};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_graph_has_these_roles() {
        let graph = graph();
        for role in [API, URGENT_WORKER, BACKGROUND_WORKER, VIDEO_WORKER, DEAD_LETTERS] {
            assert!(graph.processes.contains_key(role), "{role}");
        }
    }
}
