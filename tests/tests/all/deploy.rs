//! The files that deploy imgflo name settings and roles that there are.

use std::collections::BTreeSet;

use imgflo_tests::{program, repository};

const FILES: &[&str] = &[
    "Dockerfile",
    "compose.yaml",
    "heroku.yml",
    "app.json",
    "deploy/kubernetes/config.yaml",
    "deploy/kubernetes/web.yaml",
    "deploy/kubernetes/urgent.yaml",
    "deploy/kubernetes/background.yaml",
];

/// Words of a text that begin so.
fn words(text: &str, start: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_part(c)).filter(|word| word.starts_with(start)).map(str::to_owned).collect()
}

fn read(file: &str) -> String {
    std::fs::read_to_string(repository().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn deploy_files_name_settings_that_there_are() {
    let table = String::from_utf8(program::run(&["settings"]).stdout).unwrap();
    let known = words(&table, "IMGFLO_");
    let mut seen = 0;
    for file in FILES {
        for variable in words(&read(file), "IMGFLO_") {
            assert!(known.contains(&variable), "{file}: there is no setting {variable}");
            seen += 1;
        }
    }
    assert!(seen >= 20, "only {seen} settings were seen");
}

#[test]
fn deploy_files_name_roles_that_there_are() {
    let known = words(&read("graphs/imgflo.fbp"), "imgflo_");
    let mut seen = BTreeSet::new();
    for file in FILES {
        for role in words(&read(file), "imgflo_") {
            assert!(known.contains(&role), "{file}: there is no role {role}");
            seen.insert(role);
        }
    }
    for role in ["imgflo_urgentworker", "imgflo_backgroundworker"] {
        assert!(seen.contains(role), "nothing starts {role}");
    }
}
