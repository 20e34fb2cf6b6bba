//! Saving the sources of the operations in C that graphs are made of.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use imgflo_ops::c::is_name;

use super::{FOLDER, VersionError, Versions, at};
use crate::c_operations::sources;
use crate::files;

impl Versions {
    /// Keeps the source of the operation `c/NAME` beside the graphs. What was there before stays on record, and the
    /// oldest of those goes when there are more than versions of a graph may be.
    ///
    /// # Errors
    /// [`VersionError::Name`] for what is not a name of an operation, and when the folder cannot be written.
    pub fn save_source(&self, name: &str, code: &str) -> Result<(), VersionError> {
        is_name(name).map_err(|_| VersionError::Name(name.to_owned()))?;
        let _lock = self.lock()?;
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
