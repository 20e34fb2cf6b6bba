//! Graphs made to run.
//!
//! A [`Library`] reads a folder of graphs. Each becomes an [`ImageGraph`]: checked against the
//! [`Catalogue`] of components, with the parameters that a request may set. A graph of the folder
//! can be a component of another, and is one graph of operations with it. A graph, its
//! [`Arguments`] and the shape of its input make a [`Plan`], which knows the size, cost and peak
//! memory before a pixel is touched, and an [`Engine`] renders it.
//!
//! [`Versions`] keeps what the graphs of a folder were. [`changes()`] tells two graphs apart, [`distance()`]
//! two pictures, and [`check`] a graph from the one whose place it takes, by the pictures of both.
//!
//! This crate knows no queue and no HTTP.

#![forbid(unsafe_code)]

pub mod c_operations;
mod catalogue;
mod chain;
mod changes;
mod compare;
mod components;
mod distance;
mod engine;
mod evaluate;
pub mod files;
mod flatten;
mod gegl;
mod image_graph;
mod leftovers;
mod library;
mod native;
mod near;
mod parameters;
mod plan;
mod port_check;
mod read;
mod samples;
#[cfg(test)]
mod testing;
mod tiles;
mod versions;
mod wording;

pub use c_operations::{COperations, LiveOperations};
pub use catalogue::{Catalogue, ShippedGraph};
pub use changes::{Change, changes};
pub use compare::side_by_side;
pub use distance::{Distance, distance};
pub use engine::{Control, Engine, RenderError, RenderErrorKind};
pub use evaluate::{EvaluateError, Evaluator, EvaluatorLimits, InputFile, Look, Seen};
pub use gegl::{ChildLimits, EngineChoice, Gegl};
pub use image_graph::{GraphFault, ImageGraph, RuntimeKind};
pub use leftovers::{PROCESSOR, depends_on, shown_by};
pub use library::{Form, Library, LibraryFault, LibraryLimits, Stamp, Watch, keep_watch};
pub use native::{NativeEngine, Statistics};
pub use near::{near, nearest};
pub use parameters::{ArgumentFault, Arguments, Parameter};
pub use plan::{InputShape, Measure, Plan, PlanError, PlanLimits};
pub use port_check::Entering;
pub use read::read_input;
pub use samples::{Compared, Difference, Picture, Renderer, SampleError, check, difference};
pub use versions::{Saving, SourceVersion, Version, VersionError, VersionLimits, Versions};
pub use wording::in_process;

// For crates that stand on this one only: the types in its signatures.
pub use imgflo_fbp as fbp;
pub use imgflo_ops as ops;
