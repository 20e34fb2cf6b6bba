//! Operations written in C: `include/imgflo-op.h`, seen from the side that calls them.
//!
//! [`Loaded`] is a built operation in this process. Foreign code may do anything, so it is loaded in
//! child processes only, and what it says of itself ([`Description`]) is checked by whoever hears it.

mod abi;
mod description;
mod guarded;
mod load;
mod picture;

pub use description::{Description, Given, PropertyDescription, PropertyKind, Shape, is_name};
pub use guarded::{ENDINGS, watch};
pub use load::{Loaded, Room, RunError};
pub use picture::{Input, Margins, Part};

/// The header, for compilers.
pub const HEADER: &str = include_str!("../include/imgflo-op.h");
/// What it is included as.
pub const HEADER_NAME: &str = "imgflo-op.h";
/// The library that C operations are in, as components.
pub const LIBRARY: &str = "c";
