//! What others made of which we are made: versions with known faults, and images that are built upon.

use std::path::Path;

use cargo_metadata::{MetadataCommand, semver::VersionReq};
use imgflo_tests::repository;

/// The entries of `bans.deny` in deny.toml, as requirement of a crate's version and reason.
fn denied() -> Vec<(String, VersionReq, String)> {
    let text = std::fs::read_to_string(repository().join("deny.toml")).unwrap();
    let list = text.split_once("\ndeny = [").expect("a list").1.split_once("\n]").expect("its end").0;
    let field = |line: &str, name: &str| {
        let value = line.split_once(&format!("{name} = \"")).unwrap_or_else(|| panic!("{line}: no {name}")).1;
        value.split_once('"').unwrap().0.to_owned()
    };
    let entries = list.lines().map(str::trim).filter(|line| line.starts_with('{'));
    let entry = |line: &str| {
        let ban = field(line, "crate");
        let (name, requirement) = ban.split_once(':').unwrap_or_else(|| panic!("{ban}: no requirement"));
        (name.to_owned(), requirement.parse().unwrap(), field(line, "reason"))
    };
    entries.map(entry).collect()
}

#[test]
fn no_dependency_has_a_version_with_a_known_fault() {
    let denied = denied();
    assert!(denied.len() >= 3, "only {} entries were read", denied.len());
    assert!(denied.iter().all(|(_, _, reason)| reason.len() > 10), "each has a reason");
    let bad = |name: &str, version: &str| {
        let version = version.parse().unwrap();
        denied.iter().find(|(other, requirement, _)| other == name && requirement.matches(&version))
    };
    // It finds what it should.
    assert!(bad("rustls-webpki", "0.102.8").is_some() && bad("rustls-webpki", "0.103.13").is_none());
    let metadata = MetadataCommand::new().exec().expect("cargo metadata");
    assert!(metadata.packages.len() > 100, "only {} packages were seen", metadata.packages.len());
    for package in &metadata.packages {
        let fault = bad(&package.name, &package.version.to_string());
        assert!(fault.is_none(), "{} {} is denied by deny.toml: {fault:?}", package.name, package.version);
    }
}

/// Images named by a file, as they are written.
fn images(path: &Path, marks: &[&str]) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let after = |line: &str| marks.iter().find_map(|mark| line.trim().strip_prefix(mark).map(str::to_owned));
    text.lines().filter_map(after).map(|rest| rest.split_whitespace().next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn images_that_are_built_upon_are_arguments_that_take_a_digest() {
    let dockerfile = repository().join("Dockerfile");
    let bases = images(&dockerfile, &["FROM "]);
    assert_eq!(bases.len(), 2, "{bases:?}");
    let arguments = images(&dockerfile, &["ARG "]);
    for base in bases {
        let name = base.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        let name = name.unwrap_or_else(|| panic!("{base} is not an argument that a digest can be given for"));
        assert!(arguments.iter().any(|argument| argument.starts_with(&format!("{name}="))), "{name} has no default");
    }
    for image in images(&repository().join("compose.yaml"), &["image: "]) {
        let (_, version) = image.split_once([':', '@']).unwrap_or_else(|| panic!("{image} names no version"));
        assert!(version != "latest" || image.starts_with("imgflo"), "{image} is another one each day");
    }
}
