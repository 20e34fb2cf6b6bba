//! Applications: the API clients that may ask for images, and for how many pixels a day.
//!
//! They are kept in SQLite (a file that several processes may share) or in PostgreSQL, in the
//! original's table `applications` with columns of ours beside its own. [`Applications`] is the
//! database, for whoever changes it; [`Directory`] is what a front end holds in memory: it follows
//! the database, answers without asking it, and goes on when it is away.
//!
//! This crate knows neither HTTP nor jobs: it says who somebody is and what is left of a quota.

#![forbid(unsafe_code)]

mod application;
mod applications;
mod connection;
mod directory;
mod error;
mod place;
mod usage;

pub use application::{Application, NewApplication, PreviousSecret, Quota, Rights};
pub use applications::{Applications, DEFAULT_GRACE};
pub use directory::{Directory, Refusal, Reservation, Standing};
pub use error::AppsError;
pub use place::Place;
pub use usage::{Allowance, Tally, Total, day_of, now};
