//! Imports run one way: the edges between our crates are those of ARCHITECTURE.md, and no others.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// What each crate may use of ours. The program and the test crates may use everything.
const EDGES: &[(&str, &[&str])] = &[
    ("imgflo-server", &["imgflo-job", "imgflo-msgflo", "imgflo-cache", "imgflo-apps", "imgflo-runtime", "imgflo-fbp"]),
    ("imgflo-worker", &["imgflo-job", "imgflo-msgflo", "imgflo-cache", "imgflo-runtime"]),
    ("imgflo-live", &["imgflo-runtime", "imgflo-fbp"]),
    ("imgflo-runtime", &["imgflo-ops", "imgflo-fbp", "imgflo-gegl", "imgflo-host"]),
    ("imgflo-gegl", &["imgflo-host"]),
    ("imgflo-host", &[]),
    ("imgflo-job", &["imgflo-fbp"]),
    ("imgflo-msgflo", &["imgflo-fbp"]),
    ("imgflo-ops", &[]),
    ("imgflo-fbp", &[]),
    ("imgflo-cache", &[]),
    ("imgflo-apps", &[]),
];

/// Crates on top, which nothing may use.
const TOP: &[&str] = &["imgflo", "imgflo-tests", "imgflo-benches", "imgflo-fuzz"];

#[test]
fn imports_run_one_way() {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo metadata");
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        EDGES.iter().map(|(from, to)| (*from, to.iter().copied().collect())).collect();
    let ours: BTreeSet<&str> = metadata.packages.iter().map(|p| p.name.as_str()).collect();
    let listed: BTreeSet<&str> = allowed.keys().copied().chain(TOP.iter().copied()).collect();
    assert_eq!(ours, listed, "a crate is missing in the list above, or gone");

    let mut seen = 0;
    for package in &metadata.packages {
        for dependency in &package.dependencies {
            let (from, to) = (package.name.as_str(), dependency.name.as_str());
            if !ours.contains(to) {
                continue;
            }
            seen += 1;
            // The benches start fleets as the tests do.
            let starts_fleets = (from, to) == ("imgflo-benches", "imgflo-tests");
            assert!(!TOP.contains(&to) || starts_fleets, "{from} uses {to}, which is on top");
            if TOP.contains(&from) {
                continue;
            }
            assert!(
                allowed[from].contains(to),
                "{from} uses {to} ({}): imports run one way, see ARCHITECTURE.md",
                if dependency.kind == DependencyKind::Development { "in tests" } else { "in code" },
            );
        }
    }
    assert!(seen >= 15, "only {seen} edges between our crates were seen");
}

/// A crate that the tests want with more features than the program is compiled twice on a new machine.
#[test]
fn program_and_tests_share_one_build_of_each_crate() {
    let crates_with_features = |selection: &[&str]| -> BTreeSet<String> {
        let out = Command::new(env!("CARGO"))
            .args(["tree", "--locked", "--prefix", "none", "--no-dedupe", "--format", "{p} {f}"])
            .args(selection)
            .output()
            .expect("cargo tree");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
    };
    let program = crates_with_features(&["--package", "imgflo", "--edges", "normal,build"]);
    let tests = crates_with_features(&["--workspace", "--edges", "normal,build,dev"]);
    assert!(program.len() >= 100, "only {} crates were seen", program.len());
    let twice: Vec<_> = program.difference(&tests).collect();
    assert!(
        twice.is_empty(),
        "declare in the root Cargo.toml the features that a test crate adds to these crates, else \
         `scripts/test` compiles each of them again: {twice:#?}"
    );
}

#[test]
fn no_dependency_is_copyleft() {
    let metadata = MetadataCommand::new().exec().expect("cargo metadata");
    assert!(metadata.packages.len() > 100, "only {} packages were seen", metadata.packages.len());
    for package in &metadata.packages {
        let licence = package.license.as_deref().unwrap_or("none stated");
        // "MIT OR GPL-2.0" leaves a choice; a licence that is GPL alone does not.
        let free = licence.split(" OR ").any(|choice| !choice.contains("GPL") && choice != "none stated");
        assert!(free || package.license_file.is_some(), "{}: {licence}", package.name);
    }
}
