//! The graphs and samples that are part of the program, for folders that do not have them. `build.rs` gathers them.

use std::fs::{self, File, FileTimes};
use std::io;
use std::path::Path;
use std::sync::LazyLock;
use std::time::SystemTime;

use imgflo_runtime::{Form, ShippedGraph, files};
use include_dir::{Dir, include_dir};
use tracing::warn;

use crate::Failure;
use crate::settings::{Command, Settings};

static GRAPHS: Dir<'_> = include_dir!("$OUT_DIR/graphs");
static SAMPLES: Dir<'_> = include_dir!("$OUT_DIR/files");

/// Folder for the samples, in the data folder.
const FOLDER: &str = "samples";

/// Returns the graph files, the network of roles among them.
pub fn graphs() -> &'static [ShippedGraph] {
    static ALL: LazyLock<Vec<ShippedGraph>> = LazyLock::new(|| {
        let graph = |(file, _, bytes): (&'static str, _, &'static [u8])| {
            Form::of(Path::new(file))?;
            Some(ShippedGraph { file, text: str::from_utf8(bytes).ok()? })
        };
        named(&GRAPHS).filter_map(graph).collect()
    });
    &ALL
}

/// Returns the samples: name, time of the last change, bytes.
pub fn samples() -> impl Iterator<Item = (&'static str, SystemTime, &'static [u8])> {
    named(&SAMPLES)
}

/// Returns the files of a folder.
fn named(folder: &'static Dir<'static>) -> impl Iterator<Item = (&'static str, SystemTime, &'static [u8])> {
    folder.files().filter_map(|file| {
        let name = file.path().to_str()?;
        let modified = file.metadata().map_or(SystemTime::UNIX_EPOCH, |metadata| metadata.modified());
        Some((name, modified, file.contents()))
    })
}

/// Checks the folders that the settings name. Where they name no folder of files and there is none, the samples take its
/// place: they are written to the data folder. A worker can do without the folders, as jobs hold their graphs.
///
/// # Errors
/// A line for each folder that is missing, unless this is for a worker.
pub fn settle(settings: Settings, which: Command) -> Result<Settings, Failure> {
    let named = [("graphs", settings.graphs_named, &settings.graphs), ("files", settings.files_named, &settings.files)];
    let missing = named.into_iter().filter(|(_, is_named, folder)| *is_named && !folder.is_dir());
    let faults: Failure =
        missing.map(|(name, _, folder)| format!("--{name} must be a folder, got '{}'", folder.display())).collect();
    if !faults.is_empty() && which != Command::Worker {
        return Err(faults);
    }
    if settings.files_named || settings.files.is_dir() {
        return Ok(settings);
    }
    let folder = settings.data_dir.join(FOLDER);
    if let Err(error) = write_samples(&folder) {
        warn!(folder = %folder.display(), %error, "the samples cannot be written; set IMGFLO_FILES to a folder of pictures");
    }
    Ok(Settings { files: folder, ..settings })
}

/// Writes the samples to a folder, with the times that they have in the program: results of them then have the same
/// keys on all machines with the same program.
fn write_samples(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (name, modified, bytes) in samples() {
        let path = folder.join(name);
        let is_there =
            fs::metadata(&path).is_ok_and(|is| is.len() == bytes.len() as u64 && is.modified().ok() == Some(modified));
        if !is_there {
            files::replace(&path, bytes)?;
            File::options().write(true).open(&path)?.set_times(FileTimes::new().set_modified(modified))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> Vec<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
        let mut names: Vec<String> = files.map(|file| file.file_name().into_string().unwrap()).collect();
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        names
    }

    #[test]
    fn all_graphs_and_samples_are_in_the_program() {
        let mut names: Vec<&str> = graphs().iter().map(|graph| graph.file).collect();
        names.sort_unstable();
        assert!(names.len() >= 25, "{names:?}");
        assert_eq!(names, folder("graphs"));
        let mut names: Vec<&str> = samples().map(|(name, ..)| name).collect();
        names.sort_unstable();
        assert!(names.len() >= 4, "{names:?}");
        assert_eq!(names, folder("files"));
    }

    #[test]
    fn samples_are_written_once_with_their_times() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("data/samples");
        write_samples(&folder).unwrap();
        let first: Vec<_> = samples().map(|(name, ..)| fs::metadata(folder.join(name)).unwrap()).collect();
        for ((name, modified, bytes), file) in samples().zip(&first) {
            assert_eq!(fs::read(folder.join(name)).unwrap(), bytes, "{name}");
            assert_eq!(file.modified().unwrap(), modified, "{name}");
        }
        // One that somebody damaged is written anew, the others stay.
        fs::write(folder.join("card.png"), "torn").unwrap();
        write_samples(&folder).unwrap();
        for ((name, modified, bytes), before) in samples().zip(&first) {
            use std::os::unix::fs::MetadataExt as _;
            let file = fs::metadata(folder.join(name)).unwrap();
            assert_eq!((file.len(), file.modified().unwrap()), (bytes.len() as u64, modified), "{name}");
            assert_eq!(file.ino() == before.ino(), name != "card.png", "{name}");
        }
    }
}
