//! The `imgflo` program.

use std::path::PathBuf;
use std::process::{Command, Output};

/// Where the program was built; it lies beside the folder of the test binaries.
///
/// # Panics
/// When it was not built.
pub fn path() -> PathBuf {
    let mut path = std::env::current_exe().expect("the test knows its own path");
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    path.push("imgflo");
    assert!(path.is_file(), "{} is missing: run scripts/test, or `cargo build -p imgflo` first", path.display());
    path
}

/// A command that runs the program in the top folder, without settings from the environment.
pub fn command() -> Command {
    let mut command = Command::new(path());
    command.current_dir(crate::repository());
    for (name, _) in
        std::env::vars().filter(|(name, _)| name.starts_with("IMGFLO_") || name == "PORT" || name == "DATABASE_URL")
    {
        command.env_remove(name);
    }
    command
}

/// Runs it to its end.
///
/// # Panics
/// When it cannot be started.
pub fn run(arguments: &[&str]) -> Output {
    command().args(arguments).output().expect("the program starts")
}
