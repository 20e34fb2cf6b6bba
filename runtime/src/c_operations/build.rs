//! The operator's folder of sources, and what is built of it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use imgflo_ops::c::is_name;

use super::compile::{self, Compilation, CompilerMessage, Interface};
use super::host::Host;
use super::module;
use crate::ChildLimits;

/// Folder of what is built, in the one of the sources.
const BUILD: &str = "build";
/// What a new operation begins as; `@NAME@` stands for its name.
const TEMPLATE: &str = include_str!("template.c");

/// What became of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Building {
    /// The source.
    pub file: PathBuf,
    /// True when it is what was built before.
    pub unchanged: bool,
    /// True when there is a library of this very source now. If not, the one before stays in force.
    pub built: bool,
    /// What the compiler found, and what is wrong with the description.
    pub messages: Vec<CompilerMessage>,
}

/// A built operation.
#[derive(Debug)]
pub(super) struct Library {
    pub path: PathBuf,
    pub name: String,
    pub revision: String,
    pub interface: Interface,
}

/// What is built of a folder, one library an operation, by name. If a build was cut short there may be
/// two: the later holds.
pub(super) fn libraries(sources: &Path) -> io::Result<Vec<Library>> {
    let folder = sources.join(BUILD);
    if sources.is_dir() && !folder.exists() {
        return Ok(Vec::new());
    }
    let mut latest: BTreeMap<String, (SystemTime, Library)> = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some((name, revision, interface)) = parts(&path) else { continue };
        let modified = fs::metadata(&path)?.modified()?;
        if latest.get(&name).is_none_or(|(other, _)| *other < modified) {
            latest.insert(name.clone(), (modified, Library { path, name, revision, interface }));
        }
    }
    Ok(latest.into_values().map(|(_, library)| library).collect())
}

/// What the file of a library is called.
fn file_name(name: &str, revision: &str, interface: Interface) -> String {
    let interface = match interface {
        Interface::Imgflo => "",
        Interface::Gegl => ".gegl",
    };
    format!("{name}-{revision}{interface}.so")
}

/// Name, revision and interface of a library's file.
fn parts(path: &Path) -> Option<(String, String, Interface)> {
    let file = path.file_name()?.to_str()?;
    let (name, rest) = file.strip_suffix(".so")?.rsplit_once('-')?;
    let revision = rest.strip_suffix(".gegl").unwrap_or(rest);
    let interface = if revision == rest { Interface::Imgflo } else { Interface::Gegl };
    let hexadecimal = revision.len() == 32 && revision.bytes().all(|c| c.is_ascii_hexdigit());
    (hexadecimal && is_name(name).is_ok()).then(|| (name.to_owned(), revision.to_owned(), interface))
}

/// Compiles each `.c` of the folder `sources` with the command `compiler`, unless that very source is
/// built already, and hears from a child within `limits` that it is an operation.
///
/// # Errors
/// When a folder cannot be read or written, or the compiler cannot be started.
pub fn build(sources: &Path, compiler: &str, limits: &ChildLimits) -> io::Result<Vec<Building>> {
    let folder = sources.join(BUILD);
    fs::create_dir_all(&folder)?;
    let work = tempfile::Builder::new().prefix(".building-").tempdir_in(&folder)?;
    Interface::write_headers(work.path())?;
    // Whether an operation under the GPL may be used is for those to say who serve it.
    let host = Arc::new(Host::new(limits, true)?);
    let files = |extension: &str| -> io::Result<Vec<PathBuf>> {
        let mut files = fs::read_dir(sources)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        files.retain(|file| file.is_file() && file.extension().is_some_and(|found| found == extension));
        files.sort();
        Ok(files)
    };
    let headers = files("h")?.iter().map(fs::read).collect::<io::Result<Vec<_>>>()?;
    let mut all = Vec::new();
    for file in files("c")? {
        all.push(one(file, sources, &folder, work.path(), compiler, &headers, &host)?);
    }
    Ok(all)
}

fn one(
    file: PathBuf,
    sources: &Path,
    folder: &Path,
    work: &Path,
    compiler: &str,
    headers: &[Vec<u8>],
    host: &Arc<Host>,
) -> io::Result<Building> {
    let name = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
    if let Err(fault) = is_name(&name) {
        let messages = vec![CompilerMessage::error(file.display().to_string(), fault)];
        return Ok(Building { file, unchanged: false, built: false, messages });
    }
    let text = fs::read(&file)?;
    let (revision, interface) = (compile::revision(&text, headers), Interface::of(&text));
    let library = folder.join(file_name(&name, &revision, interface));
    if library.exists() {
        return Ok(Building { file, unchanged: true, built: true, messages: Vec::new() });
    }
    let made = work.join("made.so");
    let (mut built, mut messages) = compile::compile(&Compilation {
        compiler,
        source: &file,
        interface,
        revision: &module::in_gegl(&name, &revision),
        includes: Some(sources),
        headers: work,
        output: &made,
    })?;
    if built && let Err(fault) = host.describe(&name, &revision, interface, &fs::read(&made)?) {
        built = false;
        messages.push(CompilerMessage::error(format!("{name}.c"), fault));
    }
    if built {
        // At once, so that whoever loads it meanwhile finds it whole or not at all; the one before goes afterwards.
        fs::rename(&made, &library)?;
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path != library && parts(&path).is_some_and(|(other, ..)| other == name) {
                fs::remove_file(path)?;
            }
        }
    }
    Ok(Building { file, unchanged: false, built, messages })
}

/// Writes the source of a new operation, which builds and works; its file.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for what is no name, [`io::ErrorKind::AlreadyExists`] when there is
/// such a file, and when it cannot be written.
pub fn create(sources: &Path, name: &str) -> io::Result<PathBuf> {
    is_name(name).map_err(|fault| io::Error::new(io::ErrorKind::InvalidInput, fault))?;
    fs::create_dir_all(sources)?;
    let file = sources.join(format!("{name}.c"));
    let mut to = fs::File::create_new(&file)?;
    io::Write::write_all(&mut to, TEMPLATE.replace("@NAME@", name).as_bytes())?;
    Ok(file)
}
