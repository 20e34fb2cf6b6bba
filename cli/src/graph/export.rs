//! `imgflo graph export`: the graphs and samples in the program, as files.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use imgflo_runtime::files;

use crate::{Failure, shipped};

pub fn command() -> Command {
    let folder = |name: &'static str| Arg::new(name).value_name("DIR").value_parser(value_parser!(PathBuf));
    Command::new("export")
        .about("Writes the graphs in the program to a folder")
        .after_help(
            "A graph in the folder of --graphs takes the place of the one in the program that has its name: \
             export them, keep those that you change, and remove the others.",
        )
        .arg(folder("folder").required(true).help("Folder for the graphs; it is made if missing"))
        .arg(folder("samples").long("samples").help("Folder for the sample pictures, too"))
        .arg(Arg::new("force").long("force").action(ArgAction::SetTrue).help("Replaces files that differ"))
}

pub fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let folder = matches.get_one::<PathBuf>("folder").expect("the folder is required");
    let graphs = shipped::graphs().iter().map(|graph| (folder.join(graph.file), graph.text.as_bytes()));
    let mut wanted: Vec<(PathBuf, &[u8])> = graphs.collect();
    if let Some(folder) = matches.get_one::<PathBuf>("samples") {
        wanted.extend(shipped::samples().map(|(name, _, bytes)| (folder.join(name), bytes)));
    }
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| vec![format!("{path}: {error}")]
    };
    let mut differing = Vec::new();
    let total = wanted.len();
    let mut missing = Vec::new();
    for (path, bytes) in wanted {
        match fs::read(&path) {
            Ok(is) if is == bytes => {}
            Ok(_) => differing.push((path, bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => missing.push((path, bytes)),
            Err(error) => return Err(failed(&path)(error)),
        }
    }
    if !differing.is_empty() && !matches.get_flag("force") {
        let differs = |(path, _): &(PathBuf, _)| format!("{}: is there and differs", path.display());
        let mut lines: Failure = differing.iter().map(differs).collect();
        lines.push("nothing was written; --force replaces these files".into());
        return Err(lines);
    }
    missing.extend(differing);
    for (path, bytes) in &missing {
        let folder = path.parent().expect("a file in a folder");
        fs::create_dir_all(folder).map_err(failed(folder))?;
        files::replace(path, bytes).map_err(failed(path))?;
    }
    outln!("{}: {} of {total} files written, the others are there already", folder.display(), missing.len());
    Ok(())
}
