//! Gathers the graphs and samples that become a part of the program: the files of `graphs` and `files`, without hidden
//! ones and folders, such as the versions of graphs that somebody edits in the clone.

use std::fs::{self, File, FileTimes};
use std::io;
use std::path::Path;

fn main() -> io::Result<()> {
    let out = std::env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    for name in ["graphs", "files"] {
        let from = Path::new("..").join(name);
        println!("cargo:rerun-if-changed={}", from.display());
        let to = Path::new(&out).join(name);
        if to.exists() {
            fs::remove_dir_all(&to)?;
        }
        fs::create_dir(&to)?;
        for entry in fs::read_dir(&from)? {
            let entry = entry?;
            let metadata = fs::metadata(entry.path())?;
            if metadata.is_file() && !entry.file_name().as_encoded_bytes().starts_with(b".") {
                let copy = to.join(entry.file_name());
                fs::copy(entry.path(), &copy)?;
                // Keys of results hold the times of samples.
                let times = FileTimes::new().set_modified(metadata.modified()?);
                File::options().write(true).open(&copy)?.set_times(times)?;
            }
        }
    }
    Ok(())
}
