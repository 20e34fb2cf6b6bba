use super::*;
use crate::ShippedGraph;
use crate::testing::{LIMITS, catalogue};

const GOOD: &str = "INPORT=a.INPUT:INPUT\nOUTPORT=a.OUTPUT:OUTPUT\na(test/add)\n";

fn load_files(files: &[(&str, &[u8])]) -> Library {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        fs::write(dir.path().join(name), text).expect("written");
    }
    Library::load(dir.path(), Arc::new(catalogue()), &LIMITS).expect("readable")
}

fn names(library: &Library) -> Vec<&str> {
    library.iter().map(|graph| graph.name()).collect()
}

#[track_caller]
fn assert_fault(library: &Library, file: &str, text: &str) {
    let fault = library.faults().iter().find(|fault| fault.path.ends_with(file));
    let fault = fault.unwrap_or_else(|| panic!("no fault of {file}: {:#?}", library.faults()));
    assert!(fault.message.contains(text), "{fault}");
    assert!(fault.to_string().contains(file));
}

#[test]
fn graphs_of_both_forms_are_served_and_others_left_out() {
    let json = crate::testing::graph(GOOD).to_json().to_string();
    let library = load_files(&[
        ("plus.fbp", GOOD.as_bytes()),
        ("more-2_x.json", json.as_bytes()),
        ("roles.fbp", b"# @runtime msgflo\na(imgflo-server/HttpApi) JOB -> JOB b(imgflo-server/Worker)\n"),
        ("noflo.json", br#"{"properties": {"environment": {"type": "noflo-browser"}}}"#),
        ("noop.fbp", b"# @runtime noop\n"),
        ("README.md", b"not a graph"),
        ("old.json.info", b"not a graph either"),
    ]);
    assert_eq!(library.faults(), []);
    assert_eq!(names(&library), ["more-2_x", "noop", "plus"]);
    assert_eq!(library.get("plus").expect("served").content(), library.get("more-2_x").expect("served").content());
    assert!(library.get("roles").is_none() && library.get("../plus").is_none());
    assert!(library.catalogue().component("test/add").is_some());
}

#[test]
fn malformed_files_are_named_and_the_others_served() {
    let huge = vec![b'#'; LIMITS.max_bytes as usize + 1];
    let dir = tempfile::tempdir().expect("a folder");
    fs::create_dir(dir.path().join("folder.json")).expect("created");
    let files: &[(&str, &[u8])] = &[
        ("good.fbp", GOOD.as_bytes()),
        ("syntax.fbp", b"a(test/add) OUTPUT -> )"),
        ("syntax.json.json", b"{}"),
        ("text.json", b"{\n  oops"),
        ("list.json", b"[1]"),
        ("bytes.fbp", b"# fine\n# \xff\xfe\n"),
        ("huge.fbp", &huge),
        ("empty.json", b"{}"),
        ("unknown.fbp", b"INPORT=a.INPUT:INPUT\nOUTPORT=a.OUTPUT:OUTPUT\na(test/ad)\n"),
    ];
    for (name, text) in files {
        fs::write(dir.path().join(name), text).expect("written");
    }
    let library = Library::load(dir.path(), Arc::new(catalogue()), &LIMITS).expect("readable");
    assert_eq!(names(&library), ["good"]);
    assert_fault(&library, "syntax.fbp", "line 1, column 23: Expected");
    assert_fault(&library, "syntax.json.json", "the name of a graph file");
    assert_fault(&library, "text.json", "line 2");
    assert_fault(&library, "list.json", "");
    assert_fault(&library, "bytes.fbp", "line 2: not UTF-8");
    assert_fault(&library, "huge.fbp", "larger than the limit of 100000 bytes");
    assert_fault(&library, "folder.json", "is no file");
    assert_fault(&library, "empty.json", "outport 'output'");
    assert_fault(&library, "unknown.fbp", "did you mean 'test/add'?");
    assert_eq!(library.faults().len(), 9, "{:#?}", library.faults());
}

#[test]
fn two_files_of_one_name_are_a_fault() {
    let json = crate::testing::graph(GOOD).to_json().to_string();
    let library =
        load_files(&[("plus.fbp", GOOD.as_bytes()), ("plus.json", json.as_bytes()), ("other.fbp", GOOD.as_bytes())]);
    assert_eq!(names(&library), ["other"]);
    assert_fault(&library, "plus.json", "plus.fbp; neither is served");
}

#[test]
fn a_missing_folder_is_an_error() {
    let dir = tempfile::tempdir().expect("a folder");
    assert!(Library::load(&dir.path().join("no"), Arc::new(catalogue()), &LIMITS).is_err());
}

#[test]
fn a_file_that_breaks_is_served_as_it_was() {
    let dir = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("written");
    write("part.fbp", GOOD);
    write("whole.fbp", "INPORT=a.INPUT:INPUT\nOUTPORT=a.OUTPUT:OUTPUT\na(graph/part)\n");
    write("noop.fbp", "# @runtime noop\n");
    let first = Library::load(dir.path(), Arc::new(catalogue()), &LIMITS).expect("readable");
    assert_eq!(
        (names(&first), first.look().expect("readable").as_ref()),
        (vec!["noop", "part", "whole"], first.stamp())
    );

    for broken in ["part.fbp", "noop.fbp"] {
        write(broken, "a(test/add) OUTPUT -> )");
    }
    assert_ne!(first.look().expect("readable").as_ref(), first.stamp());
    let second = first.reload().expect("readable");
    assert_eq!(names(&second), ["noop", "part", "whole"]);
    assert!(Arc::ptr_eq(&first.get("part").expect("served"), &second.get("part").expect("served")));
    assert_fault(&second, "part.fbp", "Expected");
    assert_fault(&second, "whole.fbp", "part");
    // For as long as it is broken, and no longer than it is there.
    write("whole.fbp", GOOD);
    let third = second.reload().expect("readable");
    assert!(Arc::ptr_eq(&first.get("part").expect("served"), &third.get("part").expect("served")));
    assert_eq!(third.get("whole").expect("served").content(), first.get("part").expect("served").content());
    write("noop.fbp", "# @runtime noop\n# @name other\n");
    fs::remove_file(dir.path().join("part.fbp")).expect("removed");
    let fourth = third.reload().expect("readable");
    assert_eq!((names(&fourth), fourth.faults()), (vec!["noop", "whole"], &[][..]));
    // One that was never served is not.
    write("new.json", "{");
    assert!(fourth.reload().expect("readable").get("new").is_none());
    drop(dir);
    assert!(fourth.reload().is_err() && fourth.look().is_err());
}

#[test]
fn a_stamp_tells_of_every_change() {
    let dir = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("written");
    write("a.fbp", GOOD);
    let load = || Library::load(dir.path(), Arc::new(catalogue()), &LIMITS).expect("readable");
    let changed = |library: &Library| library.look().expect("readable").as_ref() != library.stamp();
    let library = load();
    write("notes.txt", "no graph");
    fs::create_dir(dir.path().join(".versions")).expect("made");
    assert!(!changed(&library));
    // Of the same size, put in its place as editors do.
    write("a.new", &GOOD.replace("test/add", "test/bdd"));
    fs::rename(dir.path().join("a.new"), dir.path().join("a.fbp")).expect("renamed");
    assert!(changed(&library));
    let library = load();
    fs::rename(dir.path().join("a.fbp"), dir.path().join("b.fbp")).expect("renamed");
    assert!(changed(&library));
    let library = load();
    std::os::unix::fs::symlink(dir.path().join("nowhere.json"), dir.path().join("link.json")).expect("linked");
    assert!(changed(&library));
    let library = load();
    write("nowhere.json", "{}");
    assert!(changed(&library));
    let part = Library::load_for(&crate::testing::graph(GOOD), dir.path(), Arc::new(catalogue()), &LIMITS);
    let part = part.expect("readable");
    assert_eq!((part.stamp(), part.look().expect("nothing to read")), (None, None));
}

const SHIPPED: &[ShippedGraph] = &[
    ShippedGraph { file: "outer.fbp", text: "INPORT=i.INPUT:INPUT\nOUTPORT=i.OUTPUT:OUTPUT\ni(inner)\n" },
    ShippedGraph { file: "inner.fbp", text: GOOD },
    ShippedGraph { file: "roles.fbp", text: "# @runtime msgflo\na(imgflo-server/HttpApi) JOB -> JOB b(a/B)\n" },
    ShippedGraph { file: "README.md", text: "not a graph" },
];
const OTHER: &str = "INPORT=b.INPUT:INPUT\nOUTPORT=b.OUTPUT:OUTPUT\nb(test/add) OUTPUT -> INPUT c(test/add)\n";

#[test]
fn shipped_graphs_are_those_of_a_folder_that_has_none_of_their_name() {
    let top = tempfile::tempdir().expect("a folder");
    let dir = top.path().join("graphs");
    let load = || Library::load(&dir, Arc::new(catalogue().with_graphs(SHIPPED)), &LIMITS);
    let missing = load().expect("the folder may be missing");
    assert_eq!((names(&missing), missing.faults()), (vec!["inner", "outer"], &[][..]));
    // In a file the same text is the same graph, and so the same key of results.
    fs::create_dir(&dir).expect("created");
    fs::write(dir.join("inner.fbp"), GOOD).expect("written");
    let same = load().expect("readable");
    let content = |library: &Library, name: &str| library.get(name).expect("served").content().to_owned();
    for name in ["inner", "outer"] {
        assert_eq!(content(&missing, name), content(&same, name), "{name}");
    }
    // A file of the same name wins, whatever its form, also where the graph is a part of a shipped one.
    fs::remove_file(dir.join("inner.fbp")).expect("removed");
    let json = crate::testing::graph(&OTHER.replace("OUTPORT=b", "OUTPORT=c")).to_json();
    fs::write(dir.join("inner.json"), json.to_string()).expect("written");
    let own = load().expect("readable");
    assert_eq!((names(&own), own.faults()), (vec!["inner", "outer"], &[][..]));
    for name in ["inner", "outer"] {
        assert_ne!(content(&missing, name), content(&own, name), "{name}");
    }
    // So does one that is broken: it is a fault, and not the shipped graph without a word.
    fs::write(dir.join("inner.json"), "{").expect("written");
    let broken = load().expect("readable");
    assert_eq!(names(&broken), [""; 0]);
    assert_fault(&broken, "inner.json", "line 1");
}

#[test]
fn a_folder_that_comes_is_read_and_one_that_goes_changes_nothing() {
    let top = tempfile::tempdir().expect("a folder");
    let dir = top.path().join("graphs");
    let first = Library::load(&dir, Arc::new(catalogue().with_graphs(SHIPPED)), &LIMITS).expect("no folder");
    assert_eq!(first.look().expect("no folder").as_ref(), first.stamp());
    fs::create_dir(&dir).expect("created");
    fs::write(dir.join("mine.fbp"), GOOD).expect("written");
    assert_ne!(first.look().expect("a folder").as_ref(), first.stamp());
    let second = first.reload().expect("a folder");
    assert_eq!(names(&second), ["inner", "mine", "outer"]);
    // A folder on a disk that is away for a moment must not take the graphs in it out of service.
    fs::remove_dir_all(&dir).expect("removed");
    assert!(second.look().is_err() && second.reload().is_err());
}
