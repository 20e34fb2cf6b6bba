//! The folder of graphs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgflo_fbp::info::Component;
use imgflo_fbp::{Graph, ParseOptions, Place};
use serde::{Deserialize, Serialize};

use crate::components::{Components, graph_name, graph_names};
use crate::image_graph::circle;
use crate::{Catalogue, GraphFault, ImageGraph};

mod stamp;
mod watch;

pub use stamp::Stamp;
pub use watch::{Watch, keep_watch};

/// Stands for the folder of a shipped graph in messages.
const SHIPPED: &str = "(shipped)";

/// Limits that a graph must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LibraryLimits {
    /// Most processes in a graph, with those of the graphs in it.
    pub max_nodes: u64,
    /// Largest graph file, bytes; and a graph with the graphs in it, as JSON.
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
    /// Names of all files that may be graphs.
    names: BTreeSet<String>,
    /// Names of graphs whose files cannot be served.
    faulty: BTreeSet<String>,
    faults: Vec<LibraryFault>,
    /// Where all of it was read from; none where only a part was.
    folder: Option<Folder>,
}

/// What a library was read from.
#[derive(Clone, Debug)]
struct Folder {
    path: PathBuf,
    limits: LibraryLimits,
    stamp: Stamp,
}

impl Library {
    /// Reads the files `NAME.json` and `NAME.fbp` of `dir`, where NAME consists of letters and
    /// digits of ASCII, `_` and `-`.
    ///
    /// Each graph can be a component of the others: `graph/NAME`, or `NAME` alone. Files of other
    /// endings are left alone, and so are graphs for other runtimes than `imgflo` and `noop`. A file
    /// that cannot be served is one of [`Library::faults`]; the others are served.
    ///
    /// The shipped graphs of `catalogue` are added, unless a file of `dir` has the same NAME.
    ///
    /// # Errors
    /// When `dir` cannot be listed. Where there are shipped graphs, a missing `dir` is an empty one.
    pub fn load(dir: &Path, catalogue: Arc<Catalogue>, limits: &LibraryLimits) -> io::Result<Library> {
        // Looked at before it is read: what changes meanwhile is a change.
        let stamp = Stamp::of(dir, !catalogue.shipped().is_empty())?;
        let mut loader = Loader::new(dir, catalogue, limits)?;
        for name in loader.files.keys().cloned().collect::<Vec<_>>() {
            loader.settle(&name);
        }
        loader.library.folder = Some(Folder { path: dir.to_owned(), limits: *limits, stamp });
        Ok(loader.finish())
    }

    /// Reads its folder again. A graph that was served, and whose file is there but can be served no
    /// more, is served as it was: with the operations that it was made of, as long as they are the
    /// same. What is wrong with its file is one of [`Library::faults`] all the same.
    ///
    /// # Errors
    /// When the folder cannot be listed; also when it was there and is missing now.
    pub fn reload(&self) -> io::Result<Library> {
        let Some(Folder { path, limits, stamp }) = &self.folder else { return Ok(self.clone()) };
        Stamp::of(path, stamp.is_missing())?;
        let mut library = Library::load(path, Arc::clone(&self.catalogue), limits)?;
        for name in &library.faulty {
            let Some(graph) = self.graph(name) else { continue };
            let again = ImageGraph::new(name, graph.flat().clone(), &self.catalogue, limits);
            if again.is_ok_and(|again| again.content() == graph.content()) {
                library.graphs.insert(name.clone(), Arc::clone(graph));
            }
        }
        Ok(library)
    }

    /// What its folder looked like before it was read; `None` for the part of a folder.
    pub fn stamp(&self) -> Option<&Stamp> {
        self.folder.as_ref().map(|folder| &folder.stamp)
    }

    /// What its folder looks like now: another [`Library::stamp`] means that [`Library::reload`] reads
    /// something else. Reads no file.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn look(&self) -> io::Result<Option<Stamp>> {
        self.folder.as_ref().map(|folder| Stamp::of(&folder.path, folder.stamp.is_missing())).transpose()
    }

    /// Reads those graphs of `dir` only that `graph` is made of, and the graph itself, as if it were in the
    /// file of `name`. So a graph that would come back to itself is a fault.
    ///
    /// # Errors
    /// When `dir` cannot be listed.
    pub(crate) fn with(
        name: &str,
        graph: Graph,
        dir: &Path,
        catalogue: Arc<Catalogue>,
        limits: &LibraryLimits,
    ) -> io::Result<Library> {
        let mut loader = Loader::new(dir, catalogue, limits)?;
        let path = dir.join(format!("{name}.json"));
        loader.files.insert(name.to_owned(), vec![Candidate { path: path.clone(), form: Form::Json, shipped: None }]);
        loader.read.insert(name.to_owned(), Some(Written { path, graph }));
        loader.settle(name);
        Ok(loader.finish())
    }

    /// Reads those graphs of `dir` only that `graph` is made of, as [`Library::load`] does.
    ///
    /// # Errors
    /// When `dir` cannot be listed; it is not looked at for a graph of operations.
    pub fn load_for(
        graph: &Graph,
        dir: &Path,
        catalogue: Arc<Catalogue>,
        limits: &LibraryLimits,
    ) -> io::Result<Library> {
        let names = graph_names(graph, &catalogue).map(str::to_owned).collect::<BTreeSet<_>>();
        if names.is_empty() {
            return Ok(Library { catalogue, ..Library::default() });
        }
        let mut loader = Loader::new(dir, catalogue, limits)?;
        for name in names {
            loader.settle(&name);
        }
        Ok(loader.finish())
    }

    /// Checks a graph that may have graphs of this library as components. It is not added.
    ///
    /// # Errors
    /// All faults found.
    pub fn assemble(
        &self,
        name: impl Into<String>,
        graph: Graph,
        limits: &LibraryLimits,
    ) -> Result<ImageGraph, Vec<GraphFault>> {
        ImageGraph::of(name.into(), graph, Components::of(self), limits)
    }

    /// The graph of that name.
    pub fn get(&self, name: &str) -> Option<Arc<ImageGraph>> {
        self.graph(name).cloned()
    }

    pub(crate) fn graph(&self, name: &str) -> Option<&Arc<ImageGraph>> {
        self.graphs.get(name)
    }

    /// Names that graphs may have, served or not.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// True when there is a graph of that name, and it is not served.
    pub(crate) fn is_faulty(&self, name: &str) -> bool {
        self.faulty.contains(name)
    }

    /// Returns the faults of the files that keep the graph of that name from being served. Empty if it is served, or if
    /// there is no such file.
    pub fn faults_of(&self, name: &str) -> Vec<&LibraryFault> {
        let of = |fault: &&LibraryFault| fault.path.file_stem().is_some_and(|stem| stem == name);
        if self.graphs.contains_key(name) { Vec::new() } else { self.faults.iter().filter(of).collect() }
    }

    /// All graphs, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<ImageGraph>> {
        self.graphs.values()
    }

    /// The components that the graphs were checked against.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// The component of that name, be it an operation or a graph.
    pub fn component(&self, name: &str) -> Option<Component> {
        Components::of(self).component(name)
    }

    /// What is wrong with the files that are not served.
    pub fn faults(&self) -> &[LibraryFault] {
        &self.faults
    }
}

/// A folder while its graphs are checked, each after those in it.
struct Loader<'l> {
    /// Files that may be graphs, by name.
    files: BTreeMap<String, Vec<Candidate>>,
    limits: &'l LibraryLimits,
    /// What was read; none for names whose files hold no graph to check.
    read: HashMap<String, Option<Written>>,
    settled: BTreeSet<String>,
    library: Library,
}

/// A file that may hold a graph.
#[derive(Clone)]
struct Candidate {
    path: PathBuf,
    form: Form,
    /// Text of a shipped graph; `None` = the text is in the file.
    shipped: Option<&'static str>,
}

/// A graph as its file has it.
struct Written {
    path: PathBuf,
    graph: Graph,
}

impl<'l> Loader<'l> {
    fn new(dir: &Path, catalogue: Arc<Catalogue>, limits: &'l LibraryLimits) -> io::Result<Self> {
        let mut paths = match fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !catalogue.shipped().is_empty() => Vec::new(),
            entries => entries?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?,
        };
        paths.sort();
        let mut files: BTreeMap<String, Vec<Candidate>> = BTreeMap::new();
        for path in paths {
            let Some(form) = Form::of(&path) else { continue };
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            files.entry(name).or_default().push(Candidate { path, form, shipped: None });
        }
        for graph in catalogue.shipped() {
            let Some((name, form)) = graph.name() else { continue };
            let path = Path::new(SHIPPED).join(graph.file);
            files.entry(name.to_owned()).or_insert_with(|| vec![Candidate { path, form, shipped: Some(graph.text) }]);
        }
        let names = files.keys().filter(|name| is_name(name)).cloned().collect();
        let library = Library { catalogue, names, ..Library::default() };
        Ok(Loader { files, limits, read: HashMap::new(), settled: BTreeSet::new(), library })
    }

    fn finish(self) -> Library {
        let mut library = self.library;
        library.faults.sort_by(|a, b| a.path.cmp(&b.path));
        library
    }

    fn fault(&mut self, name: &str, path: &Path, message: String) {
        self.library.faulty.insert(name.to_owned());
        self.library.faults.push(LibraryFault { path: path.to_owned(), message });
    }

    /// Checks the graph `name`, those that it is made of first. Where they come back to one that
    /// waits for them, all in that circle are faulty.
    fn settle(&mut self, name: &str) {
        let mut waiting = vec![name.to_owned()];
        while let Some(name) = waiting.last() {
            let Some(inner) = self.unsettled(name) else {
                self.check(&name.clone());
                waiting.pop();
                continue;
            };
            match waiting.iter().position(|waiting| *waiting == inner) {
                Some(start) => self.refuse(&waiting.split_off(start)),
                None => waiting.push(inner),
            }
        }
    }

    /// A graph that the graph `name` is made of and that is not settled, if there is any.
    fn unsettled(&mut self, name: &str) -> Option<String> {
        self.read(name);
        let Written { graph, .. } = self.read.get(name)?.as_ref()?;
        let mut names = graph_names(graph, &self.library.catalogue);
        names.find(|name| self.files.contains_key(*name) && !self.settled.contains(*name)).map(str::to_owned)
    }

    /// Reads the file of a name, unless that is done. Two of one name are a fault.
    fn read(&mut self, name: &str) {
        if self.read.contains_key(name) {
            return;
        }
        let mut found: Option<Written> = None;
        let mut twice = false;
        for candidate in self.files.get(name).cloned().unwrap_or_default() {
            let parsed = parse(&candidate, self.limits);
            let path = candidate.path;
            match (parsed, &found) {
                (Ok(None), _) => {
                    self.library.names.remove(name);
                }
                (Ok(Some(graph)), None) => found = Some(Written { path, graph }),
                (Ok(Some(_)), Some(other)) => {
                    // The message reaches strangers, who need not know where the folder is.
                    let other = other.path.file_name().unwrap_or_default().display();
                    let message = format!("a second graph of the name '{name}', beside {other}; neither is served");
                    self.fault(name, &path, message);
                    twice = true;
                }
                (Err(message), _) => self.fault(name, &path, message),
            }
        }
        self.read.insert(name.to_owned(), found.filter(|_| !twice));
    }

    /// Checks a graph when all in it are settled.
    fn check(&mut self, name: &str) {
        if !self.settled.insert(name.to_owned()) {
            return;
        }
        let Some(Written { path, graph }) = self.read.insert(name.to_owned(), None).flatten() else { return };
        match self.library.assemble(name, graph.clone(), self.limits) {
            Ok(graph) => {
                self.library.graphs.insert(name.to_owned(), Arc::new(graph));
            }
            Err(faults) => faults.iter().for_each(|fault| self.fault(name, &path, fault.told(&graph))),
        }
    }

    /// Refuses graphs of which each is made of the next, and the last of the first.
    fn refuse(&mut self, names: &[String]) {
        for (index, name) in names.iter().enumerate() {
            self.settled.insert(name.clone());
            let Some(Written { path, graph }) = self.read.insert(name.clone(), None).flatten() else { continue };
            let names = names[index..].iter().chain(&names[..index]).map(String::as_str).collect::<Vec<_>>();
            let next = names.get(1).copied().unwrap_or(name);
            let catalogue = Arc::clone(&self.library.catalogue);
            let leads = graph.processes.iter().find(|(_, p)| graph_name(&p.component, &catalogue) == Some(next));
            let place = leads.map_or_else(|| "processes".to_owned(), |(p, _)| Place::Process(p.clone()).to_string());
            let message = format!("a graph cannot be made of itself: {}", circle(&names));
            self.fault(name, &path, GraphFault { place, message }.told(&graph));
        }
    }
}

/// How a file holds a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// JSON: `.json`.
    Json,
    /// The FBP language: `.fbp`.
    Fbp,
}

impl Form {
    /// Both.
    pub const ALL: [Form; 2] = [Form::Json, Form::Fbp];

    /// By the extension of a file.
    pub fn of(path: &Path) -> Option<Form> {
        let extension = path.extension()?.to_str()?;
        Form::ALL.into_iter().find(|form| form.extension() == extension)
    }

    /// The extension without dot.
    pub fn extension(self) -> &'static str {
        match self {
            Form::Json => "json",
            Form::Fbp => "fbp",
        }
    }

    /// The graph of a text.
    ///
    /// # Errors
    /// What is wrong with the text, and where.
    pub fn parse(self, text: &str) -> Result<Graph, imgflo_fbp::Error> {
        match self {
            Form::Json => Graph::from_json_str(text),
            Form::Fbp => imgflo_fbp::parse(text, &ParseOptions::default()),
        }
    }
}

/// The graph of one file; `None` when it is for another runtime.
fn parse(candidate: &Candidate, limits: &LibraryLimits) -> Result<Option<Graph>, String> {
    let Candidate { path, form, shipped } = candidate;
    let graph = match shipped {
        Some(text) => form.parse(text),
        None => form.parse(&read(path, limits)?),
    };
    let graph = graph.map_err(|error| error.to_string())?;
    if graph.runtime().is_some_and(|runtime| !matches!(runtime, "imgflo" | "noop")) {
        return Ok(None);
    }
    if !path.file_stem().and_then(|stem| stem.to_str()).is_some_and(is_name) {
        return Err("the name of a graph file may hold only letters, digits, '_' and '-' before its ending".into());
    }
    Ok(Some(graph))
}

/// Longest name of a graph, bytes: files have it with an ending.
const LONGEST_NAME: usize = 200;

/// True when a graph can have this name: letters and digits of ASCII, `_` and `-`, 200 at most.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// The text of a graph file within limits.
pub(crate) fn read(path: &Path, limits: &LibraryLimits) -> Result<String, String> {
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
