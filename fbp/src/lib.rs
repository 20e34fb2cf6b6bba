//! The FBP language: the graph model, its JSON form and the `.fbp` form, validation, canonical
//! text, graph information, edits, and the messages of the network protocol. Knows no pixel and depends
//! on no other crate of ours.
//!
//! ```
//! use imgflo_fbp::{parse, to_fbp, Graph, ParseOptions};
//!
//! let text = "\
//! ## @runtime imgflo
//! INPORT=cut.INPUT:INPUT
//! OUTPORT=end.OUTPUT:OUTPUT
//!
//! cut(gegl/crop) OUTPUT -> INPUT end(gegl/nop)
//! 64 -> WIDTH cut
//! ";
//! let graph = parse(text, &ParseOptions::default())?;
//! assert_eq!(graph.runtime(), Some("imgflo"));
//! assert!(graph.validate().is_empty());
//!
//! // Both forms hold the same graph, and give the same canonical text.
//! let json = Graph::from_json(&graph.to_json())?;
//! let fbp = parse(&to_fbp(&graph)?, &ParseOptions::default())?;
//! assert_eq!(json.canonical(), fbp.canonical());
//!
//! // Errors say where, what was found and what would have been right.
//! let error = parse("cut(gegl/crop) OUTPUT -> )", &ParseOptions::default()).unwrap_err();
//! assert_eq!((error.line(), error.column(), error.found()), (Some(1), Some(26), Some(')')));
//! assert!(error.expected().contains(&"\"(\"".to_owned()));
//! # Ok::<(), imgflo_fbp::Error>(())
//! ```

#![forbid(unsafe_code)]

pub mod edit;
pub mod graph;
pub mod info;
pub mod json;
pub mod parse;
pub mod protocol;
pub mod validate;
pub mod write;

mod canonical;
mod error;
#[cfg(test)]
mod hostile;
mod layout;
mod lexer;
mod literal;
mod number;

pub use edit::{Edit, EditError, EditLimits, Literal, PortRef};
pub use error::{Error, Unwritable};
pub use graph::{Connection, End, Export, Graph, Group, Origin, Process};
pub use layout::lay_out;
pub use parse::{ParseOptions, parse};
pub use validate::{Fault, FaultKind, Place};
pub use write::{to_fbp, to_fbp_lossy};

/// How deep arrays and objects may be nested in a literal, in metadata and in properties. Deeper
/// ones are refused: no component needs them, and walking them would cost stack.
pub const MAX_DEPTH: usize = 100;
