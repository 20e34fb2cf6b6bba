//! Comparisons with peers, in the same run: time of the processor, memory, bytes, and how near the
//! results are to what was asked for.
//!
//! `scripts/bench` builds this with optimisation, installs the peers and writes the tables into
//! `docs/PERFORMANCE.md`. Every contender is a process of its own; turns of ours and of the peers
//! alternate.

#![forbid(unsafe_code)]

pub mod codecs;
pub mod contender;
pub mod document;
pub mod drag;
pub mod engines;
pub mod fidelity;
pub mod fleet;
pub mod live;
pub mod load;
pub mod operations;
pub mod peers;
pub mod picture;
pub mod process;
pub mod psnr;
pub mod reference;
pub mod requests;
pub mod server;
