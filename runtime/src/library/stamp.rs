//! What a folder of graphs looks like from outside, to see whether it changed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Form;
use crate::c_operations::sources;

/// The graph files of a folder and the sources of operations beside them, with what tells of each that it was written. Equal ones mean equal
/// graphs, unless somebody sets clocks and dates back. `None` = the folder is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp(Option<BTreeMap<OsString, Option<File>>>);

/// A file that was replaced is another inode, one that was written has another date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct File {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl From<&Metadata> for File {
    fn from(metadata: &Metadata) -> Self {
        File {
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Stamp {
    /// Looks at a folder, which may be missing if `optional`; reads no file.
    pub(super) fn of(dir: &Path, optional: bool) -> io::Result<Stamp> {
        let mut files = BTreeMap::new();
        let entries = match fs::read_dir(dir) {
            Err(error) if optional && error.kind() == io::ErrorKind::NotFound => return Ok(Stamp(None)),
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            if Form::of(&path).is_some() {
                // Of what a link leads to. A link to nothing is a file, too, until it leads somewhere.
                let file = fs::metadata(&path).ok().map(|metadata| File::from(&metadata));
                files.insert(path.file_name().unwrap_or_default().to_owned(), file);
            }
        }
        for path in sources::files(dir)?.into_values() {
            let file = fs::metadata(&path).ok().map(|metadata| File::from(&metadata));
            files.insert(path.into_os_string(), file);
        }
        Ok(Stamp(Some(files)))
    }

    /// True when there was no folder to look at.
    pub(super) fn is_missing(&self) -> bool {
        self.0.is_none()
    }
}
