//! Work done in child processes that may die.
//!
//! Foreign native code (GEGL, operations written in C) crashes, hangs, leaks and calls `exit`. It
//! runs in children of ours, so that all this ends one job with an error and nothing else.
//!
//! A [`Pool`] keeps children of one [`Program`] warm; a job takes one for itself
//! ([`Pool::lease`]) and asks it one thing after another ([`Lease::call`]). A request and its reply
//! are JSON in frames on a socket; pixels lie in memory that both share and are copied in and out,
//! so that nothing a child does to them later matters. The child's side is [`serve()`].
//!
//! A child that runs foreign code makes few system calls only (seccomp): none for the network, for files
//! to write, for processes, or for memory that is shared. It reads the system's libraries and the
//! folders that its program names (Landlock), is in namespaces of its own, has no capability, and takes
//! no more memory, processor time or time than [`Limits`] say. One that compiles may start the system's
//! programs, too, and has a scratch folder. What the kernel does not enforce, a child says when it
//! starts ([`Pool::unenforced`]).

mod child;
mod error;
mod frame;
mod pool;
mod sandbox;
mod serve;

pub use error::{Fault, HostError};
pub use pool::{Lease, Limits, Pool, Program};
pub use sandbox::Gap;
pub use serve::{Handler, Shared, serve};
