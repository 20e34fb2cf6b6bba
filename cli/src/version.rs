//! `imgflo version`: what this build is.

use clap::{ArgMatches, Command};
use imgflo_ops::codec;

use crate::Failure;

pub fn command() -> Command {
    Command::new("version").about("Prints the version, and how the codecs were built")
}

/// The version alone.
pub fn short() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

pub fn run(_: &ArgMatches) -> Result<(), Failure> {
    println!("imgflo {}", short());
    println!("JPEG codec: {}", if codec::simd() { "with SIMD" } else { "WITHOUT SIMD, several times slower" });
    Ok(())
}
