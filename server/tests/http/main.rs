//! The front end over real connections, with the real broker; jobs are answered by a peer that
//! speaks the workers' side of the protocol.

mod applications;
#[cfg(feature = "avif")]
mod avif;
mod connections;
mod fleet;
mod images;
mod keys;
mod places;
mod rig;
mod switch;
mod waiting;
