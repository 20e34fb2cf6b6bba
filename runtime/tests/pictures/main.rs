//! Graphs and operations, planned and rendered.

mod fast;
mod native;
mod ways;
