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

/// The version, and how the codecs were built.
pub fn long() -> String {
    format!("{}\n{}", short(), codecs().trim_end())
}

fn codecs() -> String {
    let jpeg = if codec::simd() { "with SIMD" } else { "WITHOUT SIMD, several times slower" };
    let avif = if codec::avif() { "written" } else { "not built in (cargo feature avif)" };
    format!("JPEG codec: {jpeg}\nAVIF: {avif}\n")
}

pub fn run(_: &ArgMatches) -> Result<(), Failure> {
    outln!("imgflo {}", short());
    out!("{}", codecs());
    Ok(())
}
