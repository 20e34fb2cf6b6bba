//! The folder of graphs.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgflo_fbp::{Graph, ParseOptions};

use crate::{Catalogue, ImageGraph};

/// Limits that a graph must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LibraryLimits {
    /// Most processes in a graph.
    pub max_nodes: u64,
    /// Largest graph file, bytes.
    pub max_bytes: u64,
}

/// A file of the folder that holds no graph to serve, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibraryFault {
    /// The file.
    pub path: PathBuf,
    /// Where in it and what is wrong.
    pub message: String,
}

impl fmt::Display for LibraryFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.message)
    }
}

/// The graphs of a folder, by name.
#[derive(Clone, Debug, Default)]
pub struct Library {
    catalogue: Arc<Catalogue>,
    graphs: BTreeMap<String, Arc<ImageGraph>>,
    faults: Vec<LibraryFault>,
}

impl Library {
    /// Reads the files `NAME.json` and `NAME.fbp` of `dir`, where NAME consists of letters and
    /// digits of ASCII, `_` and `-`.
    ///
    /// Files of other endings are left alone, and so are graphs for other runtimes than `imgflo`
    /// and `noop`. A file that cannot be served is one of [`Library::faults`]; the others are
    /// served.
    ///
    /// # Errors
    /// When `dir` cannot be listed.
    pub fn load(dir: &Path, catalogue: Arc<Catalogue>, limits: &LibraryLimits) -> io::Result<Library> {
        let mut paths = fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        paths.sort();
        let mut library = Library { catalogue, ..Library::default() };
        let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
        for path in paths {
            let Some(form) = Form::of(&path) else { continue };
            match load(&path, form, &library.catalogue, limits) {
                Ok(None) => {}
                Ok(Some(graph)) => {
                    let name = graph.name().to_owned();
                    if let Some(other) = found.get(&name) {
                        let message = format!(
                            "a second graph of the name '{name}', beside {}; neither is served",
                            other.display()
                        );
                        library.graphs.remove(&name);
                        library.faults.push(LibraryFault { path, message });
                    } else {
                        found.insert(name.clone(), path);
                        library.graphs.insert(name, Arc::new(graph));
                    }
                }
                Err(messages) => {
                    let fault = |message| LibraryFault { path: path.clone(), message };
                    library.faults.extend(messages.into_iter().map(fault));
                }
            }
        }
        Ok(library)
    }

    /// The graph of that name.
    pub fn get(&self, name: &str) -> Option<Arc<ImageGraph>> {
        self.graphs.get(name).cloned()
    }

    /// All graphs, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<ImageGraph>> {
        self.graphs.values()
    }

    /// The components that the graphs were checked against.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// What is wrong with the files that are not served.
    pub fn faults(&self) -> &[LibraryFault] {
        &self.faults
    }
}

#[derive(Clone, Copy)]
enum Form {
    Json,
    Fbp,
}

impl Form {
    fn of(path: &Path) -> Option<Form> {
        match path.extension()?.to_str()? {
            "json" => Some(Form::Json),
            "fbp" => Some(Form::Fbp),
            _ => None,
        }
    }
}

/// The graph of one file; `None` when it is for another runtime.
fn load(
    path: &Path,
    form: Form,
    catalogue: &Catalogue,
    limits: &LibraryLimits,
) -> Result<Option<ImageGraph>, Vec<String>> {
    let text = read(path, limits).map_err(|message| vec![message])?;
    let graph = match form {
        Form::Json => Graph::from_json_str(&text),
        Form::Fbp => imgflo_fbp::parse(&text, &ParseOptions::default()),
    };
    let graph = graph.map_err(|error| vec![error.to_string()])?;
    if graph.runtime().is_some_and(|runtime| !matches!(runtime, "imgflo" | "noop")) {
        return Ok(None);
    }
    let name = path.file_stem().and_then(|stem| stem.to_str()).filter(|name| is_name(name));
    let name = name.ok_or_else(|| {
        vec!["the name of a graph file may hold only letters, digits, '_' and '-' before its ending".to_owned()]
    })?;
    let graph = ImageGraph::new(name, graph, catalogue, limits);
    graph.map(Some).map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

fn read(path: &Path, limits: &LibraryLimits) -> Result<String, String> {
    // Opening a pipe would wait for a writer.
    if !fs::metadata(path).map_err(|error| error.to_string())?.is_file() {
        return Err("is no file".into());
    }
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    // The size is checked by reading: a file may grow.
    file.take(limits.max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > limits.max_bytes {
        return Err(format!("larger than the limit of {} bytes for a graph file", limits.max_bytes));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("line {line}: not UTF-8 text")
    })
}

#[cfg(test)]
mod tests;
