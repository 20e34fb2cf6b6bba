//! The live runtime: `imgflo runtime`, as editors use it.

mod abuse;
mod behaviour;
mod browser;
mod clients;
mod keeping;
mod marking;
mod meeting;
mod nothing_lost;
mod pictures;
mod saving;
mod together;

use imgflo_tests::repository;
use imgflo_tests::server::Server;

/// A runtime on the shipped graphs.
fn runtime(arguments: &[&str]) -> Server {
    Server::runtime(arguments)
}

/// A copy of the shipped graphs that may be written to.
fn graphs() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for file in imgflo_tests::corpus("graphs", &["json", "fbp"], 18) {
        std::fs::copy(&file, folder.path().join(file.file_name().expect("a file has a name"))).expect("copied");
    }
    folder
}

/// Folder of the npm packages that the tests use.
fn npm() -> std::path::PathBuf {
    let folder = repository().join("tests/tests/npm");
    assert!(folder.join("node_modules/fbp-client").is_dir(), "run scripts/test, or npm ci in {}", folder.display());
    folder
}
