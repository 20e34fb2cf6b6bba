//! Versions of the graphs of a folder.
//!
//! A graph stays a plain file of the folder, `NAME.json` or `NAME.fbp`, and whoever serves the folder
//! looks at nothing else. Beside it is `.versions/NAME/`, with the text of each version that was
//! saved, the newest included: `0001.json`, `0002.fbp`, and `index.json` with what is known of each.
//! Sources of operations in C are in `.operations/` ([`crate::c_operations::sources`]). Those that the operations of a
//! version had are beside its text, as `SHA-256.c`: graph and sources are one version, and are rolled back together.
//!
//! A file that somebody wrote by hand is the newest version as it is. It goes on record before
//! anything takes its place, letter by letter. So nothing is lost, whoever edits.

mod index;
mod sources;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use imgflo_fbp::{Graph, to_fbp};
use sha2::{Digest, Sha256};

pub use index::{SourceVersion, Version};

use crate::library::{Form, is_name, read};
use crate::{Catalogue, ImageGraph, Library, LibraryFault, LibraryLimits, files};
use index::Index;
use sources::Sources;

/// The folder of versions, in a folder of graphs.
const FOLDER: &str = ".versions";
/// Longest title, characters.
const LONGEST_TITLE: usize = 200;

/// Limits that the versions of a graph must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionLimits {
    /// Most versions that are kept. Of those without a title the oldest go first; the newest stays.
    pub max_versions: u64,
    /// Most bytes of their texts together; the same ones go.
    pub max_bytes: u64,
    /// What the graph itself must keep.
    pub library: LibraryLimits,
}

/// How a graph is saved.
#[derive(Clone, Copy, Debug, Default)]
pub struct Saving<'a> {
    /// What a person calls the new version. One with a title stays until its title goes.
    pub title: Option<&'a str>,
    /// Takes a graph, too, that could not be served.
    pub faulty: bool,
    /// The [`Version::content`] that the graph must have until now, so that nobody else's change is
    /// passed over. Nothing of the sort if none.
    pub over: Option<&'a str>,
}

/// Why a version was not saved or found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VersionError {
    /// No graph can have this name.
    #[error("'{}' is no name of a graph: at most 200 letters and digits of ASCII, '_' and '-'", .0.chars().take(100).collect::<String>())]
    Name(String),
    /// There is no graph of this name.
    #[error("there is no graph '{0}'")]
    NoGraph(String),
    /// The graph has no such version.
    #[error("graph '{name}' has no version {number}{}", .newest.map(|newest| format!("; its newest is {newest}")).unwrap_or_default())]
    NoVersion {
        /// The graph.
        name: String,
        /// The version asked for.
        number: u64,
        /// The newest that there is.
        newest: Option<u64>,
    },
    /// Two files have the graph's name.
    #[error("graph '{0}' is in two files, {0}.json and {0}.fbp; remove one of them")]
    TwoFiles(String),
    /// The graph could not be served.
    #[error("the graph could not be served: {}", .0.join("; "))]
    Faulty(Vec<String>),
    /// The graph is too large.
    #[error("the graph has {bytes} bytes, more than the limit of {limit} (IMGFLO_MAX_GRAPH_BYTES)")]
    TooLarge {
        /// Its text, bytes.
        bytes: u64,
        /// The limit, bytes.
        limit: u64,
    },
    /// All versions have titles, and there is no room for one more.
    #[error(
        "graph '{name}' has as many versions with titles as may be kept, {limit}; take the title from some, or raise {setting}"
    )]
    Full {
        /// The graph.
        name: String,
        /// The limit, versions or bytes.
        limit: u64,
        /// What moves it.
        setting: &'static str,
    },
    /// The title cannot be taken.
    #[error("a title is one line of {} characters at most", LONGEST_TITLE)]
    Title,
    /// The graph is not the one any more that it was to take the place of.
    #[error("graph '{0}' was changed by somebody else meanwhile; all its versions are kept")]
    Changed(String),
    /// A file does not hold what it should.
    #[error("{path}: {message}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// Somebody else is saving all the time.
    #[error("{path}: another process holds this lock for more than {} s", files::PATIENCE.as_secs())]
    Busy {
        /// The file that is locked.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{path}: {error}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// The faults of the graph `name`, and those of the graphs in it with their files.
fn told(name: &str, library: &Library) -> Vec<String> {
    let fault = |LibraryFault { path, message }: &LibraryFault| match path.file_stem() {
        Some(stem) if stem == name => message.clone(),
        _ => format!("{}: {message}", path.file_name().unwrap_or_default().to_string_lossy()),
    };
    library.faults().iter().map(fault).collect()
}

/// For errors of a file or folder.
fn at(path: &Path) -> impl FnOnce(io::Error) -> VersionError {
    let path = path.to_owned();
    |error| VersionError::Io { path, error }
}

/// The versions of all graphs of a folder. Any number of them may be at work on one folder, in any
/// number of processes.
#[derive(Clone, Debug)]
pub struct Versions {
    dir: PathBuf,
    catalogue: Arc<Catalogue>,
    limits: VersionLimits,
}

/// The file of a graph as it is.
struct Current {
    form: Form,
    text: String,
    /// The sources that its operations have.
    sources: Sources,
    modified: SystemTime,
}

/// A graph with its versions as they are.
struct History {
    index: Index,
    current: Option<Current>,
    /// True if a file whose sources alone are others needs no record, because another graph with these follows.
    ignores_sources: bool,
}

impl History {
    /// The file as a version, if it is not the newest on record.
    fn unrecorded(&self) -> Option<Version> {
        let current = self.current.as_ref()?;
        let version = self.index.next(current.form, &current.text, &current.sources, current.modified);
        let is_recorded = self.index.newest().is_some_and(|newest| {
            newest.content == version.content && (self.ignores_sources || newest.sources == version.sources)
        });
        (!is_recorded).then_some(version)
    }

    /// The newest version, on record or not.
    fn newest(&self) -> Option<Version> {
        self.unrecorded().or_else(|| self.index.newest().cloned())
    }
}

/// What a change leaves.
struct Change {
    index: Index,
    /// Texts that are to go on record, with the sources of their operations.
    texts: Vec<(Version, String, Sources)>,
    /// The form of the graph's file, if it has one.
    form: Option<Form>,
    /// Its text, if it is to be another.
    text: Option<String>,
    /// Sources beside the graphs that are to be others.
    sources: Sources,
}

/// What a version is made of.
struct Made {
    form: Form,
    text: String,
    sources: Sources,
}

impl Versions {
    /// Of the graphs of the folder `dir`, which are checked against `catalogue`.
    ///
    /// The shipped graphs of `catalogue` are graphs of the folder until a file of it has their name.
    ///
    /// # Errors
    /// [`VersionError::Io`] when there is no such folder. Where there are shipped graphs, saving makes a missing one.
    pub fn open(
        dir: impl Into<PathBuf>,
        catalogue: Arc<Catalogue>,
        limits: VersionLimits,
    ) -> Result<Versions, VersionError> {
        let dir = dir.into();
        match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !catalogue.shipped().is_empty() => {}
            entries => drop(entries.map_err(at(&dir))?),
        }
        Ok(Versions { dir, catalogue, limits })
    }

    /// Makes `graph` the newest version of the graph `name`, which may be a new one, and puts it into
    /// its file: an `.fbp` file where it was one and the language can hold the graph, else JSON.
    /// A graph that is there already makes no new version, but may get a title.
    ///
    /// # Errors
    /// [`VersionError`]; then nothing has changed, except that a file written by hand may be on
    /// record.
    pub fn save(&self, name: &str, graph: &Graph, saving: &Saving<'_>) -> Result<Version, VersionError> {
        self.named(name)?;
        if !saving.faulty {
            self.check(name, graph)?;
        }
        let _lock = self.lock()?;
        let mut history = self.history(name)?;
        let wanted = match (&history.current, history.index.newest()) {
            (Some(current), _) => current.form,
            (None, Some(newest)) => newest.form,
            (None, None) => Form::Json,
        };
        let (form, text) = text(graph, wanted);
        // However it was written: the graph is what counts.
        let same = history.current.as_ref().is_some_and(|current| {
            current.form == form && form.parse(&current.text).is_ok_and(|is| self::text(&is, form).1 == text)
        });
        history.ignores_sources = !same;
        let sources = self.sources_of(form, &text)?;
        self.put(name, history, (!same).then_some(Made { form, text, sources }), saving)
    }

    /// Makes an old version the newest again, letter by letter, and the sources that its operations in C had, which
    /// other graphs with these operations get as well. Nothing is lost: those between stay.
    ///
    /// # Errors
    /// As [`Versions::save`]; and when there is no such version.
    pub fn rollback(&self, name: &str, number: u64, saving: &Saving<'_>) -> Result<Version, VersionError> {
        self.named(name)?;
        let (made, is_current) = self.version(name, number, &self.history(name)?)?;
        // With other sources operations may have other ports than they have here. It was checked with them.
        if !saving.faulty && is_current {
            self.check(name, &self.load(name, number)?)?;
        }
        let _lock = self.lock()?;
        let history = self.history(name)?;
        let same = is_current
            && history.current.as_ref().is_some_and(|current| current.form == made.form && current.text == made.text);
        self.put(name, history, (!same).then_some(made), saving)
    }

    /// Gives a version a title, or takes it away. One with a title stays.
    ///
    /// # Errors
    /// When there is no such version, or the title cannot be taken.
    pub fn name(&self, name: &str, number: u64, title: Option<&str>) -> Result<Version, VersionError> {
        self.named(name)?;
        let title = titled(title)?;
        let _lock = self.lock()?;
        let history = self.history(name)?;
        let mut change = self.recorded(name, history)?;
        let newest = change.index.newest().map(|newest| newest.number);
        let Some(version) = change.index.versions.iter_mut().find(|version| version.number == number) else {
            return Err(VersionError::NoVersion { name: name.to_owned(), number, newest });
        };
        version.title = title;
        let version = version.clone();
        self.commit(name, change)?;
        Ok(version)
    }

    /// All versions of a graph, the oldest first. The last is the file as it is, on record or not.
    ///
    /// # Errors
    /// When there is no such graph, and none was; or it cannot be read.
    pub fn list(&self, name: &str) -> Result<Vec<Version>, VersionError> {
        self.named(name)?;
        let history = self.history(name)?;
        let unrecorded = history.unrecorded();
        let versions: Vec<Version> = history.index.versions.into_iter().chain(unrecorded).collect();
        if versions.is_empty() { Err(VersionError::NoGraph(name.to_owned())) } else { Ok(versions) }
    }

    /// The graph that a version was.
    ///
    /// # Errors
    /// When there is no such version, or its text is no graph.
    pub fn load(&self, name: &str, number: u64) -> Result<Graph, VersionError> {
        self.named(name)?;
        let (form, text) = self.text(name, number, &self.history(name)?)?;
        form.parse(&text).map_err(|error| VersionError::Unreadable {
            path: self.version_file(name, number, form),
            message: error.to_string(),
        })
    }

    /// Tells the graph of that name from what it was and will be; `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn content(&self, name: &str) -> Result<Option<String>, VersionError> {
        self.named(name)?;
        Ok(self.history(name)?.newest().map(|newest| newest.content))
    }

    /// What `graph` would be as the graph `name` of the folder, with the graphs in it.
    ///
    /// # Errors
    /// [`VersionError::Faulty`] when it could not be served.
    pub fn check(&self, name: &str, graph: &Graph) -> Result<Arc<ImageGraph>, VersionError> {
        self.named(name)?;
        let limits = &self.limits.library;
        let library = Library::with(name, graph.clone(), &self.dir, Arc::clone(&self.catalogue), limits);
        let library = library.map_err(at(&self.dir))?;
        library.get(name).ok_or_else(|| VersionError::Faulty(told(name, &library)))
    }

    fn named(&self, name: &str) -> Result<(), VersionError> {
        if is_name(name) { Ok(()) } else { Err(VersionError::Name(name.to_owned())) }
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.dir.join(FOLDER).join(name)
    }

    fn index_file(&self, name: &str) -> PathBuf {
        self.folder(name).join("index.json")
    }

    fn version_file(&self, name: &str, number: u64, form: Form) -> PathBuf {
        self.folder(name).join(format!("{number:04}.{}", form.extension()))
    }

    fn graph_file(&self, name: &str, form: Form) -> PathBuf {
        self.dir.join(format!("{name}.{}", form.extension()))
    }

    /// One at a time changes the folder.
    fn lock(&self) -> Result<fs::File, VersionError> {
        let folder = self.dir.join(FOLDER);
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        let path = folder.join(".lock");
        files::lock(&path).map_err(at(&path))?.ok_or(VersionError::Busy { path })
    }

    fn history(&self, name: &str) -> Result<History, VersionError> {
        // The index first: a file that is newer than it is a version that is not on record yet.
        let index = Index::read(&self.index_file(name), self.limits.max_versions)?;
        Ok(History { current: self.current(name, &index)?, index, ignores_sources: false })
    }

    /// The file of a graph. A change of form that was cut short leaves two: then it is the newer one, as
    /// far as the other is on record.
    fn current(&self, name: &str, index: &Index) -> Result<Option<Current>, VersionError> {
        let mut found = Vec::new();
        for form in Form::ALL {
            let path = self.graph_file(name, form);
            let modified = match fs::metadata(&path).and_then(|metadata| metadata.modified()) {
                Ok(modified) => modified,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(at(&path)(error)),
            };
            let text = read(&path, &self.limits.library);
            let text = text.map_err(|message| VersionError::Unreadable { path, message })?;
            let sources = self.sources_of(form, &text)?;
            found.push(Current { form, text, sources, modified });
        }
        if let (true, Some((form, text))) = (found.is_empty(), self.catalogue.shipped_graph(name)) {
            let (text, sources) = (text.to_owned(), Sources::new());
            return Ok(Some(Current { form, text, sources, modified: SystemTime::UNIX_EPOCH }));
        }
        let age = |current: &Current| index.age(&content(&current.text));
        found.sort_by_key(age);
        match found.as_slice() {
            [one, other] if age(one) == age(other) => Err(VersionError::TwoFiles(name.to_owned())),
            _ => Ok(found.into_iter().next()),
        }
    }

    /// What a version is made of, and whether its sources are those that there are now.
    fn version(&self, name: &str, number: u64, history: &History) -> Result<(Made, bool), VersionError> {
        let (form, text) = self.text(name, number, history)?;
        let now = self.sources_of(form, &text)?;
        let version = history.index.versions.iter().find(|version| version.number == number);
        let sources = version.map(|version| self.recorded_sources(name, version)).transpose()?.unwrap_or_default();
        let is_current = sources.iter().all(|(name, source)| now.get(name) == Some(source));
        // Of a version from before sources were kept with graphs, those of now.
        Ok((Made { form, text, sources: now.into_iter().chain(sources).collect() }, is_current))
    }

    /// The text of a version.
    fn text(&self, name: &str, number: u64, history: &History) -> Result<(Form, String), VersionError> {
        if let (Some(unrecorded), Some(current)) = (history.unrecorded(), &history.current)
            && unrecorded.number == number
        {
            return Ok((current.form, current.text.clone()));
        }
        let missing = || match history.newest() {
            None => VersionError::NoGraph(name.to_owned()),
            newest => VersionError::NoVersion { name: name.to_owned(), number, newest: newest.map(|v| v.number) },
        };
        let version = history.index.versions.iter().find(|version| version.number == number).ok_or_else(missing)?;
        let path = self.version_file(name, number, version.form);
        let text = read(&path, &self.limits.library)
            .map_err(|message| VersionError::Unreadable { path: path.clone(), message })?;
        if content(&text) != version.content {
            let message = "is not what was saved: its SHA-256 is another".to_owned();
            return Err(VersionError::Unreadable { path, message });
        }
        Ok((version.form, text))
    }

    /// The history with the file on record.
    fn recorded(&self, name: &str, history: History) -> Result<Change, VersionError> {
        let unrecorded = history.unrecorded();
        let History { mut index, current, .. } = history;
        let form = current.as_ref().map(|current| current.form);
        let texts = unrecorded.zip(current).map(|(version, current)| (version, current.text, current.sources));
        index.versions.extend(texts.iter().map(|(version, ..)| version.clone()));
        if index.versions.is_empty() {
            return Err(VersionError::NoGraph(name.to_owned()));
        }
        Ok(Change { index, texts: texts.into_iter().collect(), form, text: None, sources: Sources::new() })
    }

    /// Puts a graph into the file and on record as the newest version; `None` if it is there already.
    fn put(
        &self,
        name: &str,
        history: History,
        made: Option<Made>,
        saving: &Saving<'_>,
    ) -> Result<Version, VersionError> {
        let title = titled(saving.title)?;
        let newest = history.newest();
        if saving.over.is_some_and(|over| newest.as_ref().is_none_or(|newest| newest.content != over)) {
            return Err(VersionError::Changed(name.to_owned()));
        }
        let mut change = match newest {
            Some(_) => self.recorded(name, history)?,
            None => Change { index: history.index, texts: Vec::new(), form: None, text: None, sources: Sources::new() },
        };
        if let Some(Made { form, text, sources }) = made {
            let (bytes, limit) = (text.len() as u64, self.limits.library.max_bytes);
            if bytes > limit {
                return Err(VersionError::TooLarge { bytes, limit });
            }
            let version = change.index.next(form, &text, &sources, SystemTime::now());
            change.index.versions.push(version.clone());
            change.texts.push((version, text.clone(), sources.clone()));
            (change.form, change.text, change.sources) = (Some(form), Some(text), sources);
        }
        if let (Some(newest), Some(title)) = (change.index.versions.last_mut(), title) {
            newest.title = Some(title);
        }
        let version = change.index.newest().cloned().ok_or_else(|| VersionError::NoGraph(name.to_owned()))?;
        self.commit(name, change)?;
        Ok(version)
    }

    /// Writes a change. Wherever this is cut short, the graph is whole in its file, and each version
    /// that was there is on record or in that file.
    fn commit(&self, name: &str, mut change: Change) -> Result<(), VersionError> {
        let gone = change.index.prune(&self.limits).map_err(|(limit, setting)| VersionError::Full {
            name: name.to_owned(),
            limit,
            setting,
        })?;
        let folder = self.folder(name);
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        let put = |path: &Path, text: &str| files::replace(path, text.as_bytes()).map_err(at(path));
        for (version, text, sources) in &change.texts {
            for source in sources.values() {
                put(&self.source_file(name, &content(source)), source)?;
            }
            put(&self.version_file(name, version.number, version.form), text)?;
        }
        for (name, source) in &change.sources {
            self.put_source(name, source)?;
        }
        if let (Some(form), Some(text)) = (change.form, &change.text) {
            put(&self.graph_file(name, form), text)?;
        }
        put(&self.index_file(name), &change.index.to_text())?;
        if let Some(form) = change.form {
            for other in Form::ALL.into_iter().filter(|other| *other != form) {
                let path = self.graph_file(name, other);
                files::remove(&path).map_err(at(&path))?;
            }
        }
        if gone {
            self.sweep(name, &change.index);
        }
        Ok(())
    }

    /// Removes texts that are not on record any more. One that stays does no harm.
    fn sweep(&self, name: &str, index: &Index) {
        let kept = index.versions.iter().flat_map(|version| {
            let sources = version.sources.values().map(|source| self.source_file(name, &source.content));
            sources.chain([self.version_file(name, version.number, version.form)])
        });
        let kept: BTreeSet<PathBuf> = kept.chain([self.index_file(name)]).collect();
        for entry in fs::read_dir(self.folder(name)).into_iter().flatten().flatten() {
            let path = entry.path();
            if !kept.contains(&path)
                && let Err(error) = files::remove(&path)
            {
                tracing::warn!(%error, file = %path.display(), "an old version of a graph cannot be removed");
            }
        }
    }
}

/// A graph in the form that is wanted, or else as JSON.
fn text(graph: &Graph, wanted: Form) -> (Form, String) {
    match (wanted, to_fbp(graph)) {
        (Form::Fbp, Ok(text)) => (Form::Fbp, text),
        // With {:#} a JSON value is written on many lines, for people and their tools.
        _ => (Form::Json, format!("{:#}\n", graph.to_json())),
    }
}

/// What tells texts apart: SHA-256, hex.
fn content(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

/// A title that can be taken; none if it is empty.
fn titled(title: Option<&str>) -> Result<Option<String>, VersionError> {
    let title = title.map(str::trim).filter(|title| !title.is_empty());
    if title.is_some_and(|title| title.chars().count() > LONGEST_TITLE || title.chars().any(char::is_control)) {
        return Err(VersionError::Title);
    }
    Ok(title.map(str::to_owned))
}
