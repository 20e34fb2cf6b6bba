//! `cargo bench`: each operation, and what the codecs do, with the time and, where valgrind is
//! installed, the instructions that it takes.
//!
//! Times vary from run to run, counts hardly do. What is counted is what a second run adds to a
//! process that has done it once: all threads, and nothing of the set-up.

#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use imgflo_benches::codecs::cpu_ms;
use imgflo_benches::document::{publish, version};
use imgflo_benches::operations::{self, Case};
use imgflo_benches::picture;
use imgflo_ops::codec::{self, DecodeLimits, EncodeOptions, FileFormat, Part};
use imgflo_ops::{Cancel, Registry};
use imgflo_runtime::Catalogue;

const LIMITS: DecodeLimits = DecodeLimits::new(1 << 27, 1 << 15);

/// What codecs are measured at, beside the operations.
const CODECS: &[&str] = &["read 1/8", "read 2/8", "read 4/8", "read 8/8", "write jpg", "write webp", "write png"];

/// Something that can be done again and again.
type Work = Box<dyn Fn() -> Result<(), Box<dyn Error>>>;

/// What is named, with the pictures in `folder`.
fn work(name: &str, folder: &Path) -> Result<Work, Box<dyn Error>> {
    let cancel = Cancel::new();
    if name.contains('/') && !name.contains(' ') {
        let case = Case::new(name, &folder.join("operation.png"), &Catalogue::native())?;
        return Ok(Box::new(move || case.run().map(drop)));
    }
    let bytes = std::fs::read(folder.join("12mp.jpg"))?;
    let reducible = codec::read_header(&bytes)?.reducible.ok_or("a JPEG can be reduced")?;
    let part = |eighths| Part { eighths, window: reducible.by(eighths).rect() };
    match name.split_once(' ') {
        Some(("read", size)) => {
            let part = part(size.trim_end_matches("/8").parse()?);
            Ok(Box::new(move || Ok(codec::decode_part(&bytes, Some(part), LIMITS, &cancel).map(drop)?)))
        }
        Some(("write", extension)) => {
            let format = FileFormat::from_extension(extension).ok_or("no such format")?;
            let image = codec::decode_part(&bytes, Some(part(2)), LIMITS, &cancel)?;
            let options = EncodeOptions::new(format, 80);
            Ok(Box::new(move || Ok(codec::encode(&image, options, &cancel).map(drop)?)))
        }
        _ => Err(format!("nothing is called {name:?}").into()),
    }
}

/// Instructions of a process that does it `runs` times.
fn count(name: &str, folder: &Path, runs: u32) -> Result<u64, Box<dyn Error>> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(std::env::current_exe()?);
    let output = valgrind.args(["work", name]).arg(folder).arg(runs.to_string()).output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let counted = text.lines().find_map(|line| line.split_once("Collected : ")).filter(|_| output.status.success());
    let (_, number) = counted.ok_or_else(|| format!("{valgrind:?}: {text}"))?;
    Ok(number.trim().parse()?)
}

fn table(folder: &Path, valgrind: bool) -> Result<String, Box<dyn Error>> {
    operations::picture(&folder.join("operation.png"))?;
    picture::write(&folder.join("12mp.jpg"), FileFormat::Jpeg, 4000, 3000, false)?;
    let mut text = "### Instructions\n\n| | CPU ms | million instructions |\n|---|---|---|\n".to_owned();
    let registry = Registry::native();
    for name in registry.infos().map(|info| info.name).chain(CODECS.iter().copied()) {
        let work = work(name, folder)?;
        let ms = cpu_ms(&work)?;
        let counted = if valgrind {
            let instructions = count(name, folder, 2)?.saturating_sub(count(name, folder, 1)?);
            format!("{:.2}", instructions as f64 / 1e6)
        } else {
            "–".to_owned()
        };
        eprintln!("{name}: {ms:.1} ms, {counted} million instructions");
        writeln!(text, "| {name} | {ms:.1} | {counted} |")?;
    }
    Ok(text)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<&str>>()[..] {
        // A process that is counted.
        ["work", name, folder, runs] => {
            let work = work(name, Path::new(folder))?;
            (0..runs.parse::<u32>()?).try_for_each(|_| work())
        }
        _ => {
            let folder = tempfile::tempdir()?;
            let valgrind = version(Command::new("valgrind").arg("--version"));
            if valgrind.is_none() {
                eprintln!("valgrind is not installed: instructions are not counted (Debian package valgrind)");
            }
            let table = table(folder.path(), valgrind.is_some())?;
            publish("counts", "cargo bench -p imgflo-benches", valgrind.as_slice(), &table)
        }
    }
}
