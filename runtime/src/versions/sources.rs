//! Saving the sources of the operations in C that graphs are made of.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use imgflo_ops::c::{LIBRARY, is_name};

use super::index::SourceVersion;
use super::{FOLDER, Version, VersionError, Versions, at};
use crate::c_operations::sources;
use crate::files;
use crate::library::Form;

/// Texts of sources, by name of the operation.
pub(super) type Sources = BTreeMap<String, String>;

impl Versions {
    /// The sources beside the graphs that the operations of a graph have. A text that is no graph has none.
    pub(super) fn sources_of(&self, form: Form, text: &str) -> Result<Sources, VersionError> {
        let folder = sources::folder(&self.dir);
        let prefix = format!("{LIBRARY}/");
        if !text.contains(&prefix) || !folder.exists() {
            return Ok(Sources::new());
        }
        let graph = form.parse(text).unwrap_or_default();
        let names = graph.processes.values().filter_map(|process| process.component.strip_prefix(&prefix));
        let mut found = Sources::new();
        for name in names.filter(|name| is_name(name).is_ok()) {
            let path = folder.join(format!("{name}.c"));
            match fs::read_to_string(&path) {
                Ok(source) => drop(found.insert(name.to_owned(), source)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(at(&path)(error)),
            }
        }
        Ok(found)
    }

    /// Where a source is that versions of the graph `graph` have.
    pub(super) fn source_file(&self, graph: &str, content: &str) -> PathBuf {
        self.folder(graph).join(format!("{content}.c"))
    }

    /// The sources that a version on record has.
    pub(super) fn recorded_sources(&self, graph: &str, version: &Version) -> Result<Sources, VersionError> {
        let read = |(name, source): (&String, &SourceVersion)| {
            let path = self.source_file(graph, &source.content);
            let text = fs::read_to_string(&path).map_err(at(&path))?;
            if SourceVersion::of(&text) != *source {
                let message = "is not what was saved: its SHA-256 is another".to_owned();
                return Err(VersionError::Unreadable { path, message });
            }
            Ok((name.clone(), text))
        };
        version.sources.iter().map(read).collect()
    }

    /// Keeps the source of the operation `c/NAME` beside the graphs. What was there before stays on record, and the
    /// oldest of those goes when there are more than versions of a graph may be.
    ///
    /// # Errors
    /// [`VersionError::Name`] for what is not a name of an operation, and when the folder cannot be written.
    pub fn save_source(&self, name: &str, code: &str) -> Result<(), VersionError> {
        let _lock = self.lock()?;
        self.put_source(name, code)
    }

    /// Does so for who has the lock.
    pub(super) fn put_source(&self, name: &str, code: &str) -> Result<(), VersionError> {
        is_name(name).map_err(|_| VersionError::Name(name.to_owned()))?;
        let sources = sources::folder(&self.dir);
        fs::create_dir_all(&sources).map_err(at(&sources))?;
        let path = sources.join(format!("{name}.c"));
        match fs::read(&path) {
            Ok(before) if before == code.as_bytes() => return Ok(()),
            Ok(before) => self.record(&sources.join(FOLDER).join(name), &before)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(at(&path)(error)),
        }
        files::replace(&path, code.as_bytes()).map_err(at(&path))
    }

    /// Puts a source on record in the folder of what its operation was.
    fn record(&self, folder: &Path, source: &[u8]) -> Result<(), VersionError> {
        fs::create_dir_all(folder).map_err(at(folder))?;
        let number = |path: &PathBuf| path.file_stem()?.to_str()?.parse::<u64>().ok();
        let entries = fs::read_dir(folder).map_err(at(folder))?;
        let kept = entries.flatten().map(|entry| entry.path()).filter(|path| number(path).is_some());
        let mut kept = kept.collect::<Vec<_>>();
        kept.sort_by_key(number);
        let next = kept.last().and_then(number).unwrap_or(0) + 1;
        let path = folder.join(format!("{next:04}.c"));
        files::replace(&path, source).map_err(at(&path))?;
        let most = usize::try_from(self.limits.max_versions).unwrap_or(usize::MAX).max(1);
        for old in &kept[..(kept.len() + 1).saturating_sub(most)] {
            files::remove(old).map_err(at(old))?;
        }
        Ok(())
    }
}
