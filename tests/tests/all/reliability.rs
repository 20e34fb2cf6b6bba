//! The table of promises in docs/RELIABILITY.md names tests that are there.

use std::collections::BTreeSet;

use imgflo_tests::repository;

#[test]
fn each_promise_names_tests_that_are_there() {
    let table = std::fs::read_to_string(repository().join("docs/RELIABILITY.md")).unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| row"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert!(rows.len() >= 40, "only {} rows were read", rows.len());
    let mut seen = BTreeSet::new();
    for (n, row) in rows.iter().enumerate() {
        let [number, promise, tests, missing] = row[..] else { panic!("{row:?} has not four columns") };
        assert_eq!(number, (n + 1).to_string(), "{promise}");
        assert!(
            !tests.is_empty() || !missing.is_empty(),
            "row {number} says neither who tests it nor that nobody does"
        );
        for test in tests.split("<br>").filter(|test| !test.is_empty()) {
            let (file, name) =
                test.trim_matches('`').split_once("::").unwrap_or_else(|| panic!("{test} names no test"));
            let code =
                std::fs::read_to_string(repository().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            let before = code.split_once(&format!("fn {name}(")).unwrap_or_else(|| panic!("{file} has no {name}")).0;
            let attributes = before.rsplit_once("\n\n").map_or(before, |(_, last)| last);
            assert!(attributes.contains("test"), "{test} is not a test");
            seen.insert(test);
        }
    }
    assert!(seen.len() >= 60, "only {} tests were named", seen.len());
}
