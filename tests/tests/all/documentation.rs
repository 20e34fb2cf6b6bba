//! The documents keep their promises: links lead somewhere, commands exist, pictures are there.

use std::path::{Path, PathBuf};

use imgflo_tests::program::run;
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
fn the_readme_counts_the_native_operations() {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let words: Vec<&str> = readme.split_whitespace().collect();
    let told = words.windows(4).find(|words| words[1..] == ["operations", "are", "native"]).expect("a number");
    let list = run(&["ops", "list", "--engine", "native"]);
    let list = String::from_utf8(list.stdout).unwrap();
    let native = list.lines().filter(|line| line.split_whitespace().nth(1) == Some("native")).count();
    assert_eq!(told[0], native.to_string(), "README.md has another number of native operations");
}

#[test]
fn every_role_is_documented() {
    let operations = std::fs::read_to_string(repository().join("docs/OPERATIONS.md")).unwrap();
    let network = imgflo_fbp::parse(
        &std::fs::read_to_string(repository().join("graphs/imgflo.fbp")).unwrap(),
        &imgflo_fbp::ParseOptions::default(),
    )
    .unwrap();
    let roles: Vec<_> = network.processes.keys().filter(|name| name.starts_with("imgflo_")).collect();
    assert_eq!(roles.len(), 5, "{roles:?}");
    for role in roles {
        assert!(operations.contains(&format!("| `{role}` |")), "docs/OPERATIONS.md does not tell of {role}");
    }
}

/// Examples ask for graphs that ship, and never for width and height together, which stretches a picture.
#[test]
fn addresses_in_examples_are_good_ones() {
    let mut seen = 0;
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        let is_end = |c: char| c.is_whitespace() || "\"'`<>|,".contains(c);
        for (at, _) in text.match_indices("graph/") {
            let address = text[at..].split(is_end).next().unwrap_or_default().replace("&amp;", "&");
            let Some((path, query)) = address.split_once('?') else { continue };
            let graph = path.rsplit('/').next().unwrap_or_default().split('.').next().unwrap_or_default();
            // A placeholder for a name has brackets or dots.
            let ships =
                ["json", "fbp"].iter().any(|form| repository().join(format!("graphs/{graph}.{form}")).is_file());
            assert!(ships || graph.is_empty() || graph.contains(['<', '[', '…']), "{}: {address}", document.display());
            let names: Vec<&str> = query.split('&').filter_map(|pair| pair.split('=').next()).collect();
            let both = names.contains(&"width") && names.contains(&"height");
            assert!(!both, "{}: {address} distorts", document.display());
            seen += 1;
        }
        for line in text.lines().filter(|line| line.contains("imgflo url ") || line.contains("render ")) {
            assert!(!(line.contains("-p width=") && line.contains("-p height=")), "{}: {line}", document.display());
        }
    }
    assert!(seen >= 10, "only {seen} addresses were seen");
}

#[test]
fn every_crate_is_on_the_map() {
    let map = std::fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    for name in ["cli", "server", "worker", "job", "runtime", "ops", "fbp", "msgflo", "cache", "tests", "benches"] {
        assert!(map.contains(&format!("`{name}/`")), "{name}");
    }
}
