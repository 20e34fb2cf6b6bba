//! Operations: the pixel code behind graph components, and the codecs at both ends.
//!
//! An [`Operation`] describes itself once ([`Info`]); everything else derives from that. Given
//! property values it prepares [`Pass`]es, which answer three questions and hold no other state:
//! the box their output covers, the part of each input that a part of the output needs, and the
//! pixels of that part. Who runs them decides on tiles, threads, reuse and memory.
//!
//! This crate knows no graph, no queue and no HTTP, and depends on no other crate of ours.

pub mod buffer;
pub mod c;
pub mod cancel;
pub mod codec;
pub mod color;
pub mod curve;
pub mod error;
pub mod format;
mod fused;
pub mod native;
pub mod operation;
pub mod property;
pub mod rect;
pub mod reduced;
pub mod registry;

pub use buffer::{Image, Pixels, Tile, View};
pub use cancel::Cancel;
pub use color::Color;
pub use error::OpError;
pub use format::{Alpha, Depth, Encoding, Format};
pub use operation::{Area, Boxes, Formats, Info, Operand, Operation, Pad, Pass, Point, Split};
pub use property::{Kind, Properties, Property, Value, ValueFault};
pub use rect::Rect;
pub use reduced::{Detail, Margin, Reduced, Reducible};
pub use registry::Registry;
