//! The limits of a deployment, as each crate asks for them.

use imgflo_job::Limits;
use imgflo_ops::codec::DecodeLimits;
use imgflo_runtime::{LibraryLimits, PlanLimits, VersionLimits};

/// What a graph file must keep.
pub fn library(limits: &Limits) -> LibraryLimits {
    LibraryLimits { max_nodes: limits.max_graph_nodes, max_bytes: limits.max_graph_bytes }
}

/// What the versions of a graph must keep.
pub fn versions(limits: &Limits) -> VersionLimits {
    VersionLimits {
        max_versions: limits.max_graph_versions,
        max_bytes: limits.max_graph_versions_bytes,
        library: library(limits),
    }
}

/// Limits of an input. `accept_cut`: one that ends early is read as far as it goes.
pub fn decode(limits: &Limits, accept_cut: bool) -> DecodeLimits {
    let side = u32::try_from(limits.max_input_side).unwrap_or(u32::MAX);
    DecodeLimits { accept_cut, ..DecodeLimits::new(limits.max_input_pixels, side) }
}

/// What a plan must keep.
pub fn plan(limits: &Limits) -> PlanLimits {
    PlanLimits { max_output_pixels: limits.max_output_pixels, max_memory: limits.max_job_memory }
}
