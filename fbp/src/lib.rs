//! The FBP language: the graph model, its JSON form and the `.fbp` form, validation, and graph
//! information. Knows no pixel and depends on no other crate of ours.

pub mod graph;

pub use graph::{Connection, End, Export, Graph, Group, Origin, Process};
