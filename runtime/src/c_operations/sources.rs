//! Sources of operations that are kept beside the graphs made of them.
//!
//! `.operations/NAME.c` in a folder of graphs is the source of `c/NAME`. What it was before is in
//! `.operations/.versions/NAME/`, as `0001.c`, `0002.c` and so on. The folder is one that `imgflo ops build` builds.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use imgflo_ops::c::is_name;

/// The folder of sources, in a folder of graphs.
const SOURCES: &str = ".operations";

/// The folder of sources that belongs to a folder of graphs.
pub fn folder(graphs: &Path) -> PathBuf {
    graphs.join(SOURCES)
}

/// The files with sources beside the graphs of a folder, by the name of the operation.
///
/// # Errors
/// When the folder of sources is there and cannot be listed.
pub fn files(graphs: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let entries = match fs::read_dir(folder(graphs)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        entries => entries?,
    };
    let mut found = BTreeMap::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".c"));
        if let Some(name) = name.filter(|name| is_name(name).is_ok()) {
            found.insert(name.to_owned(), path);
        }
    }
    Ok(found)
}
