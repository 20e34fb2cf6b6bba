//! The documents keep their promises: links lead somewhere, commands exist, pictures are there.

use std::path::{Path, PathBuf};

use imgflo_tests::repository;

fn documents() -> Vec<PathBuf> {
    let markdown = |folder: PathBuf| {
        std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "md"))
            .collect::<Vec<_>>()
    };
    let folders = ["", "docs", "deploy/kubernetes"];
    let documents = folders.map(|folder| markdown(repository().join(folder))).concat();
    assert!(documents.len() >= 13, "{documents:?}");
    documents
}

/// The targets of `[text](target)` and `![text](target)`.
fn links(text: &str) -> Vec<String> {
    text.match_indices("](")
        .filter_map(|(at, _)| text[at + 2..].split_once(')'))
        .map(|(target, _)| target.split('#').next().unwrap_or_default().to_owned())
        .filter(|target| !target.is_empty() && !target.contains("://"))
        .collect()
}

#[test]
fn links_lead_somewhere() {
    let mut seen = 0;
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for target in links(&text) {
            assert!(document.parent().unwrap().join(&target).exists(), "{}: {target}", document.display());
            seen += 1;
        }
    }
    assert!(seen >= 8, "only {seen} links were seen");
}

#[test]
fn the_readme_has_its_two_commands_and_a_picture() {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    for command in ["scripts/serve", "scripts/test"] {
        assert!(readme.contains(command), "{command}");
        assert!(Path::new(repository()).join(command).is_file(), "{command}");
    }
    assert!(links(&readme).iter().any(|l| l.ends_with(".jpg") || l.ends_with(".png")), "there is a picture");
}

#[test]
fn every_crate_is_on_the_map() {
    let map = std::fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    for name in ["cli", "server", "worker", "job", "runtime", "ops", "fbp", "msgflo", "cache", "tests", "benches"] {
        assert!(map.contains(&format!("`{name}/`")), "{name}");
    }
}
