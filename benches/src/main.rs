//! Comparisons with peers, in the same run: CPU and peak memory, per operation and per request.
//!
//! `scripts/bench` builds this with optimisation, installs the peers and writes the table. Every
//! measurement is a process of its own; runs of ours and of the peer alternate.

#![forbid(unsafe_code)]

mod codecs;
mod fleet;
mod operations;
mod picture;
mod process;
mod requests;

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let arguments: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    match arguments[..] {
        // A measurement: what a child process does.
        ["operation", name, picture, runs] => operations::measure(name, Path::new(picture), runs.parse()?),
        ["bare"] => fleet::bare(),
        ["fleet"] => fleet::tables(),
        ["codecs"] => {
            println!("{}", codecs::tables(tempfile::tempdir()?.path())?);
            Ok(())
        }
        ["load"] => {
            println!("{}", requests::load(tempfile::tempdir()?.path())?);
            Ok(())
        }
        ["requests"] => {
            println!("{}", requests::table(tempfile::tempdir()?.path())?);
            Ok(())
        }
        [] => {
            let folder = tempfile::tempdir()?;
            println!("{}", operations::table(folder.path())?);
            println!("{}", codecs::tables(folder.path())?);
            println!("{}", requests::table(folder.path())?);
            println!("{}", requests::load(folder.path())?);
            Ok(())
        }
        _ => Err("usage: imgflo-bench [codecs|requests|load|fleet]".into()),
    }
}
