//! What the cross-crate tests share: the program as a child process, and an origin that misbehaves
//! on demand.

#![forbid(unsafe_code)]

pub mod browser;
pub mod context;
pub mod editor;
pub mod fleet;
pub mod golden;
pub mod origin;
pub mod program;
pub mod proxy;
pub mod s3;
pub mod server;
pub mod services;

use std::path::{Path, PathBuf};

/// The top of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies below the top")
}

/// A file below `files/`, the sample pictures.
pub fn sample(name: &str) -> PathBuf {
    repository().join("files").join(name)
}

/// The files below `folder` (relative to the top) with one of these extensions.
///
/// # Panics
/// When there are fewer than `at_least`: an empty corpus proves nothing.
pub fn corpus(folder: &str, extensions: &[&str], at_least: usize) -> Vec<PathBuf> {
    let folder = repository().join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("the folder can be listed").path())
        .filter(|path| path.extension().and_then(|e| e.to_str()).is_some_and(|e| extensions.contains(&e)))
        .collect();
    files.sort();
    assert!(files.len() >= at_least, "{}: {} files, expected {at_least} or more", folder.display(), files.len());
    files
}
