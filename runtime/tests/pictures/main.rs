//! Graphs and operations, planned and rendered.

mod content;
mod fast;
mod native;
mod random_graphs;
