use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::ShippedGraph;
use crate::testing::{LIMITS, catalogue, graph};

const MANY: VersionLimits = VersionLimits { max_versions: 1000, max_bytes: 1 << 20, library: LIMITS };
const ANY: Saving<'_> = Saving { title: None, faulty: false, over: None };

/// A graph that adds so much.
fn adds(amount: f64) -> Graph {
    graph(&format!("INPORT=a.INPUT:INPUT\nOUTPORT=a.OUTPUT:OUTPUT\n'{amount}' -> AMOUNT a(test/add)\n"))
}

fn amount(graph: &Graph) -> f64 {
    let graph = graph.to_json();
    let value =
        graph["connections"].as_array().and_then(|all| all.iter().find_map(|connection| connection.get("data")));
    let value = value.expect("a literal");
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{value}"))
}

fn open(dir: &Path, limits: VersionLimits) -> Versions {
    Versions::open(dir, Arc::new(catalogue()), limits).expect("a folder")
}

fn rig() -> (TempDir, Versions) {
    let dir = tempfile::tempdir().expect("a folder");
    let versions = open(dir.path(), MANY);
    (dir, versions)
}

fn write(dir: &TempDir, name: &str, text: &str) {
    fs::write(dir.path().join(name), text).expect("written");
}

fn file(dir: &TempDir, name: &str) -> String {
    fs::read_to_string(dir.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The graph files of a folder.
fn files(dir: &TempDir) -> Vec<String> {
    let names = fs::read_dir(dir.path()).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.retain(|name| name != FOLDER);
    names.sort();
    names
}

fn numbers(versions: &Versions, name: &str) -> Vec<u64> {
    versions.list(name).expect("versions").iter().map(|version| version.number).collect()
}

#[test]
fn a_saved_graph_is_a_file_and_a_version() {
    let (dir, versions) = rig();
    assert!(matches!(versions.list("plus"), Err(VersionError::NoGraph(name)) if name == "plus"));
    let first = versions.save("plus", &adds(0.1), &Saving { title: Some(" first try "), ..ANY }).expect("saved");
    let second = versions.save("plus", &adds(0.2), &ANY).expect("saved");
    assert_eq!((first.number, first.title.as_deref(), second.number, second.title), (1, Some("first try"), 2, None));
    assert_eq!(files(&dir), ["plus.json"]);
    let text = file(&dir, "plus.json");
    assert_eq!((second.content, second.bytes), (hex::encode(Sha256::digest(&text)), text.len() as u64));
    assert_eq!(amount(&Graph::from_json_str(&text).expect("a graph")), 0.2);
    let listed = versions.list("plus").expect("versions");
    assert_eq!((listed.len(), &listed[0].content), (2, &first.content));
    assert_eq!([1, 2].map(|number| amount(&versions.load("plus", number).expect("a version"))), [0.1, 0.2]);
    let missing = versions.load("plus", 3).expect_err("there is none");
    assert_eq!(missing.to_string(), "graph 'plus' has no version 3; its newest is 2");
    // What was written is on the disk as documented.
    assert_eq!(file(&dir, ".versions/plus/0002.json"), text);
    let index: serde_json::Value = serde_json::from_str(&file(&dir, ".versions/plus/index.json")).expect("JSON");
    assert_eq!(index["versions"][0]["title"], "first try");
    assert!(first.time.ends_with('Z') && first.time.len() == 20 && first.time.starts_with("20"), "{}", first.time);
    // Whoever serves the folder sees one graph.
    let library = Library::load(dir.path(), Arc::new(catalogue()), &LIMITS).expect("readable");
    assert_eq!((library.iter().count(), library.faults()), (1, &[][..]));
}

#[test]
fn what_is_there_already_is_no_new_version() {
    let (dir, versions) = rig();
    // By hand, in words that no writer of ours would choose.
    write(&dir, "plus.fbp", "# my own\nINPORT=a.INPUT:INPUT\nOUTPORT=a.OUTPUT:OUTPUT\n\n'0.5' -> AMOUNT a(test/add)\n");
    let before = file(&dir, "plus.fbp");
    let version = versions.save("plus", &versions.load("plus", 1).expect("a graph"), &ANY).expect("saved");
    assert_eq!((version.number, file(&dir, "plus.fbp")), (1, before));
    let version = versions.save("plus", &adds(0.5), &Saving { title: Some("half"), ..ANY }).expect("saved");
    assert_eq!((version.number, version.title.as_deref()), (1, Some("half")));
    assert_eq!(versions.rollback("plus", 1, &ANY).expect("there").number, 1);
    assert_eq!(numbers(&versions, "plus"), [1]);
}

#[test]
fn an_fbp_file_stays_one_as_long_as_the_language_can_hold_the_graph() {
    let (dir, versions) = rig();
    write(&dir, "plus.fbp", "# remark\nINPORT=a.INPUT:INPUT\nOUTPORT=a.OUTPUT:OUTPUT\na(test/add)\n");
    let by_hand = file(&dir, "plus.fbp");
    assert_eq!(versions.save("plus", &adds(0.3), &ANY).expect("saved").form, Form::Fbp);
    assert_eq!(files(&dir), ["plus.fbp"]);
    let mut grouped = adds(0.4);
    grouped.groups.push(imgflo_fbp::Group { name: "all".into(), nodes: vec!["a".into()], ..Default::default() });
    assert_eq!(versions.save("plus", &grouped, &ANY).expect("saved").form, Form::Json);
    assert_eq!(files(&dir), ["plus.json"]);
    assert_eq!(versions.load("plus", 3).expect("a graph"), grouped);
    // Letter by letter, the remark included.
    let back = versions.rollback("plus", 1, &ANY).expect("there");
    assert_eq!((back.number, back.form, file(&dir, "plus.fbp")), (4, Form::Fbp, by_hand));
    assert_eq!((files(&dir), numbers(&versions, "plus")), (vec!["plus.fbp".to_owned()], vec![1, 2, 3, 4]));
}

#[test]
fn a_file_edited_by_hand_is_a_version_before_it_is_replaced() {
    let (dir, versions) = rig();
    versions.save("plus", &adds(0.1), &ANY).expect("saved");
    let edited = file(&dir, "plus.json").replace("0.1", "0.7");
    write(&dir, "plus.json", &edited);
    // It counts before it is on record, and may be named.
    assert_eq!(numbers(&versions, "plus"), [1, 2]);
    assert_eq!(amount(&versions.load("plus", 2).expect("a graph")), 0.7);
    assert_eq!(versions.name("plus", 2, Some("by hand")).expect("there").title.as_deref(), Some("by hand"));
    // A broken one is kept as well.
    write(&dir, "plus.json", "{ half a graph");
    assert_eq!(versions.save("plus", &adds(0.2), &ANY).expect("saved").number, 4);
    assert_eq!(file(&dir, ".versions/plus/0003.json"), "{ half a graph");
    assert_eq!(file(&dir, ".versions/plus/0002.json"), edited);
    assert!(matches!(versions.load("plus", 3), Err(VersionError::Unreadable { .. })));
    assert!(matches!(versions.rollback("plus", 3, &ANY), Err(VersionError::Unreadable { .. })));
    // And so is one that was removed.
    fs::remove_file(dir.path().join("plus.json")).expect("removed");
    assert_eq!(numbers(&versions, "plus"), [1, 2, 3, 4]);
    assert_eq!(versions.rollback("plus", 2, &ANY).expect("there").number, 5);
    assert_eq!(file(&dir, "plus.json"), edited);
}

#[test]
fn a_graph_that_could_not_be_served_is_refused_unless_asked_for() {
    let (dir, versions) = rig();
    versions.save("plus", &adds(0.1), &ANY).expect("saved");
    let before = file(&dir, "plus.json");
    let wrong = graph("INPORT=a.INPUT:INPUT\nOUTPORT=b.OUTPUT:OUTPUT\na(test/ad) OUTPUT -> INPUT b(test/shfit)\n");
    let error = versions.save("plus", &wrong, &ANY).expect_err("faulty");
    assert!(matches!(&error, VersionError::Faulty(faults) if faults.len() == 2), "{error}");
    assert!(error.to_string().contains("did you mean 'test/add'?"), "{error}");
    assert_eq!((file(&dir, "plus.json"), numbers(&versions, "plus")), (before, vec![1]));
    // One that would come back to itself, over another.
    write(&dir, "outer.fbp", "INPORT=a.INPUT:INPUT\nOUTPORT=a.OUTPUT:OUTPUT\na(graph/plus)\n");
    let circle = graph("INPORT=a.INPUT:INPUT\nOUTPORT=a.OUTPUT:OUTPUT\na(graph/outer)\n");
    let error = versions.save("plus", &circle, &ANY).expect_err("a circle");
    assert!(error.to_string().contains("cannot be made of itself"), "{error}");
    let error = versions.save("new", &graph("# @runtime noflo\n"), &ANY).expect_err("for others");
    assert!(error.to_string().contains("is no runtime for pictures"), "{error}");
    assert_eq!(versions.save("plus", &wrong, &Saving { faulty: true, ..ANY }).expect("asked for").number, 2);
    assert_eq!(amount(&versions.load("plus", 1).expect("kept")), 0.1);
    assert!(matches!(versions.rollback("plus", 2, &Saving { faulty: true, ..ANY }).expect("there").number, 2));
}

#[test]
fn the_oldest_without_a_title_go_first() {
    let (dir, few) = rig();
    let few = Versions { limits: VersionLimits { max_versions: 4, ..MANY }, ..few };
    for number in 1..=4 {
        few.save("plus", &adds(f64::from(number) / 100.0), &ANY).expect("saved");
    }
    few.name("plus", 2, Some("good")).expect("there");
    for number in 5..=7 {
        few.save("plus", &adds(f64::from(number) / 100.0), &ANY).expect("saved");
    }
    assert_eq!(numbers(&few, "plus"), [2, 5, 6, 7]);
    let texts = fs::read_dir(dir.path().join(".versions/plus")).expect("a folder").count();
    assert_eq!(texts, 4 + 1, "and the index");
    assert!(matches!(few.load("plus", 1), Err(VersionError::NoVersion { newest: Some(7), .. })));
    assert_eq!(amount(&few.load("plus", 2).expect("kept")), 0.02);
    for number in 5..=7 {
        few.name("plus", number, Some("good")).expect("there");
    }
    let full = few.save("plus", &adds(0.5), &ANY).expect_err("no room");
    assert!(full.to_string().contains("IMGFLO_MAX_GRAPH_VERSIONS"), "{full}");
    assert_eq!((amount(&few.load("plus", 7).expect("kept")), numbers(&few, "plus")), (0.07, vec![2, 5, 6, 7]));
    // Numbers are never given twice.
    few.name("plus", 2, None).expect("there");
    assert_eq!(few.save("plus", &adds(0.5), &ANY).expect("room").number, 8);
    assert_eq!(numbers(&few, "plus"), [5, 6, 7, 8]);
}

#[test]
fn bytes_are_limited() {
    let (dir, versions) = rig();
    let each = versions.save("plus", &adds(0.11), &ANY).expect("saved").bytes;
    let tight = open(dir.path(), VersionLimits { max_bytes: 2 * each + each / 2, ..MANY });
    for amount in [0.12, 0.13, 0.14] {
        tight.save("plus", &adds(amount), &ANY).expect("saved");
    }
    assert_eq!(numbers(&tight, "plus"), [3, 4]);
    let small = open(dir.path(), VersionLimits { library: LibraryLimits { max_bytes: each - 1, ..LIMITS }, ..MANY });
    assert!(matches!(small.save("other", &adds(0.12), &ANY), Err(VersionError::TooLarge { .. })));
    assert_eq!(files(&dir), ["plus.json"]);
}

#[test]
fn a_change_by_somebody_else_is_not_passed_over() {
    let (dir, versions) = rig();
    let first = versions.save("plus", &adds(0.1), &ANY).expect("saved");
    let over = Saving { over: Some(&first.content), ..ANY };
    versions.save("plus", &adds(0.2), &over).expect("nobody came between");
    assert!(matches!(versions.save("plus", &adds(0.3), &over), Err(VersionError::Changed(_))));
    assert!(matches!(versions.save("new", &adds(0.3), &over), Err(VersionError::Changed(_))));
    let newest = versions.list("plus").expect("versions").pop().expect("one").content;
    write(&dir, "plus.json", &adds(0.4).to_json().to_string());
    assert!(versions.save("plus", &adds(0.5), &Saving { over: Some(&newest), ..ANY }).is_err());
    assert_eq!(amount(&Graph::from_json_str(&file(&dir, "plus.json")).expect("a graph")), 0.4);
}

#[test]
fn names_and_titles_are_checked() {
    let (dir, versions) = rig();
    for name in ["", "..", "a/b", "a.b", ".lock", "ä", "a b"] {
        assert!(matches!(versions.save(name, &adds(0.1), &ANY), Err(VersionError::Name(_))), "{name:?}");
        assert!(matches!(versions.list(name), Err(VersionError::Name(_))), "{name:?}");
        assert!(matches!(versions.load(name, 1), Err(VersionError::Name(_))), "{name:?}");
        assert!(matches!(versions.name(name, 1, None), Err(VersionError::Name(_))), "{name:?}");
        assert!(matches!(versions.rollback(name, 1, &ANY), Err(VersionError::Name(_))), "{name:?}");
    }
    assert_eq!(files(&dir), [""; 0]);
    versions.save("plus", &adds(0.1), &ANY).expect("saved");
    for title in ["two\nlines", "\u{7}", &"x".repeat(201)] {
        assert!(matches!(versions.name("plus", 1, Some(title)), Err(VersionError::Title)), "{title:?}");
        let saving = Saving { title: Some(title), ..ANY };
        assert!(matches!(versions.save("plus", &adds(0.2), &saving), Err(VersionError::Title)), "{title:?}");
    }
    let longest = "ü".repeat(200);
    assert_eq!(versions.name("plus", 1, Some(&longest)).expect("just so").title, Some(longest));
    assert_eq!(versions.name("plus", 1, Some("  ")).expect("none").title, None);
    assert!(matches!(versions.name("plus", 2, Some("x")), Err(VersionError::NoVersion { .. })));
    assert!(matches!(versions.name("gone", 1, Some("x")), Err(VersionError::NoGraph(_))));
    assert!(Versions::open(dir.path().join("no"), Arc::new(catalogue()), MANY).is_err());
}

#[test]
fn two_files_of_one_name_are_told() {
    let (dir, versions) = rig();
    write(&dir, "plus.json", &adds(0.1).to_json().to_string());
    write(&dir, "plus.fbp", &to_fbp(&adds(0.2)).expect("it can be"));
    assert!(matches!(versions.save("plus", &adds(0.3), &ANY), Err(VersionError::TwoFiles(_))));
    assert_eq!(files(&dir), ["plus.fbp", "plus.json"]);
}

#[test]
fn whatever_a_crash_leaves_is_put_right_by_the_next_save() {
    let mut grouped = adds(0.2);
    grouped.groups.push(imgflo_fbp::Group::default());
    // Cut short after each of the steps of `commit`: the old state, with what was written by then.
    for steps in 0..=3 {
        let (dir, versions) = rig();
        write(&dir, "plus.fbp", &to_fbp(&adds(0.1)).expect("it can be"));
        versions.name("plus", 1, None).expect("on record");
        let old = file(&dir, ".versions/plus/index.json");
        versions.save("plus", &grouped, &ANY).expect("saved");
        // The last step first.
        write(&dir, "plus.fbp", &file(&dir, ".versions/plus/0001.fbp"));
        if steps < 3 {
            write(&dir, ".versions/plus/index.json", &old);
        }
        if steps < 2 {
            fs::remove_file(dir.path().join("plus.json")).expect("removed");
        }
        if steps < 1 {
            fs::remove_file(dir.path().join(".versions/plus/0002.json")).expect("removed");
        }
        write(&dir, ".plus.json.new", "{ half");
        write(&dir, ".versions/plus/.index.json.new", "{ half");
        let version = versions.save("plus", &grouped, &ANY).expect("saved");
        assert_eq!((version.number, versions.load("plus", 2).expect("there")), (2, grouped.clone()), "{steps}");
        assert_eq!(amount(&versions.load("plus", 1).expect("there")), 0.1, "{steps}");
        assert_eq!(numbers(&versions, "plus"), [1, 2], "{steps}");
        let library = Library::load(dir.path(), Arc::new(catalogue()), &LIMITS).expect("readable");
        assert!(library.get("plus").is_some(), "{steps}: {:?}", library.faults());
        assert!(!files(&dir).contains(&"plus.fbp".to_owned()), "{steps}: {:?}", files(&dir));
    }
}

#[test]
fn what_was_tampered_with_is_told() {
    let (dir, versions) = rig();
    versions.save("plus", &adds(0.1), &ANY).expect("saved");
    versions.save("plus", &adds(0.2), &ANY).expect("saved");
    write(&dir, ".versions/plus/0001.json", &file(&dir, "plus.json"));
    let error = versions.load("plus", 1).expect_err("not what was saved");
    assert!(error.to_string().contains("0001.json: is not what was saved"), "{error}");
    write(&dir, ".versions/plus/index.json", &json!({"versions": 7}).to_string());
    let before = file(&dir, "plus.json");
    let error = versions.save("plus", &adds(0.3), &ANY).expect_err("unreadable");
    assert!(error.to_string().contains("index.json"), "{error}");
    assert_eq!(file(&dir, "plus.json"), before);
}

#[test]
fn a_file_keeps_its_permissions() {
    let (dir, versions) = rig();
    versions.save("plus", &adds(0.1), &ANY).expect("saved");
    let path = dir.path().join("plus.json");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("ours");
    versions.save("plus", &adds(0.2), &ANY).expect("saved");
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o640);
}

#[test]
fn many_who_save_at_the_same_time_lose_nothing() {
    const SAVERS: u32 = 4;
    const EACH: u32 = 25;
    let (dir, versions) = rig();
    versions.save("plus", &adds(0.0), &ANY).expect("saved");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let savers: Vec<_> = (0..SAVERS)
            .map(|saver| {
                // Each has its own lock, as another process would.
                let versions = open(dir.path(), MANY);
                scope.spawn(move || {
                    for turn in 0..EACH {
                        let amount = f64::from(1 + saver * EACH + turn) / 1000.0;
                        versions.save("plus", &adds(amount), &ANY).expect("saved");
                    }
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            let mut read = 0;
            while !done.load(Ordering::SeqCst) {
                let text = file(&dir, "plus.json");
                Graph::from_json_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
                let listed = versions.list("plus").expect("versions");
                assert!(listed.is_sorted_by(|a, b| a.number < b.number));
                read += 1;
            }
            read
        });
        let ended: Vec<_> = savers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::SeqCst);
        assert!(ended.iter().all(Result::is_ok), "one could not save");
        assert!(reader.join().expect("no panic") > 10, "read while others wrote");
    });
    assert_eq!(numbers(&versions, "plus"), (1..=u64::from(SAVERS * EACH) + 1).collect::<Vec<_>>());
    let amounts =
        numbers(&versions, "plus").into_iter().map(|number| amount(&versions.load("plus", number).expect("there")));
    let thousandths: BTreeSet<u32> = amounts.map(|amount| (amount * 1000.0).round() as u32).collect();
    assert_eq!(thousandths, (0..=SAVERS * EACH).collect());
}

#[test]
fn sources_of_operations_are_kept_with_what_they_were() {
    let dir = tempfile::tempdir().expect("a folder");
    let versions = open(dir.path(), VersionLimits { max_versions: 2, ..MANY });
    let library = Library::load(dir.path(), Arc::new(catalogue()), &LIMITS).expect("a library");
    let former = |number: u64| dir.path().join(format!(".operations/.versions/soft-glow/{number:04}.c"));
    for code in ["int a;", "int b;", "int b;", "int c;", "int d;"] {
        versions.save_source("soft-glow", code).expect("saved");
        assert_eq!(file(&dir, ".operations/soft-glow.c"), code);
    }
    let kept = [1, 2, 3, 4].map(|number| fs::read_to_string(former(number)).ok());
    assert_eq!(kept, [None, Some("int b;".into()), Some("int c;".into()), None]);
    // Who looks at the folder sees it.
    let seen = library.look().expect("a folder");
    assert_ne!(seen.as_ref(), library.stamp());
    versions.save_source("soft-glow", "int e;").expect("saved");
    assert_ne!(library.look().expect("a folder"), seen);
    for wrong in ["../soft", "Soft", ""] {
        assert!(matches!(versions.save_source(wrong, "int a;"), Err(VersionError::Name(_))), "{wrong}");
    }
}

#[test]
fn a_graph_and_the_sources_of_its_operations_are_one_version() {
    let (dir, versions) = rig();
    // The operation is unknown here.
    let saving = Saving { faulty: true, ..ANY };
    let uses = |amount: f64| {
        graph(&format!(
            "INPORT=a.INPUT:INPUT\nOUTPORT=b.OUTPUT:OUTPUT\n'{amount}' -> AMOUNT a(test/add)\na OUTPUT -> INPUT b(c/soft)\n"
        ))
    };
    let sources = || {
        let all = versions.list("plus").expect("versions");
        let source = |version: &Version| version.sources.get("soft").map(|source| source.content[..8].to_owned());
        all.iter().map(source).collect::<Vec<_>>()
    };
    let amount_of = |number: u64| amount(&versions.load("plus", number).expect("a graph"));
    let [a, b] = ["int a;", "int b;"].map(|source| Some(content(source)[..8].to_owned()));
    versions.save("plus", &uses(0.1), &saving).expect("saved");
    assert_eq!(sources(), [None]);
    versions.save_source("soft", "int a;").expect("saved");
    // The same graph with a source, and another graph with another source: each is one version more.
    assert_eq!(versions.save("plus", &uses(0.1), &saving).expect("saved").number, 2);
    versions.save_source("soft", "int b;").expect("saved");
    assert_eq!(sources(), [None, a.clone(), b.clone()]);
    assert_eq!(versions.save("plus", &uses(0.3), &saving).expect("saved").number, 3);
    assert_eq!(sources(), [None, a.clone(), b.clone()]);
    // Both are rolled back, and what was there is kept.
    assert_eq!(versions.rollback("plus", 2, &saving).expect("there").number, 4);
    assert_eq!((file(&dir, ".operations/soft.c").as_str(), amount_of(4)), ("int a;", 0.1));
    assert_eq!(versions.rollback("plus", 3, &saving).expect("there").number, 5);
    assert_eq!((file(&dir, ".operations/soft.c").as_str(), amount_of(5)), ("int b;", 0.3));
    assert_eq!(sources(), [None, a.clone(), b.clone(), a, b.clone()]);
    assert_eq!(versions.rollback("plus", 5, &saving).expect("the same").number, 5);
    // From before there was a source: it stays as it is.
    versions.rollback("plus", 1, &saving).expect("there");
    assert_eq!(file(&dir, ".operations/soft.c"), "int b;");
    assert_eq!(sources().last(), Some(&b));
    // One that somebody changed is not taken for what was saved.
    let path = versions.source_file("plus", &content("int a;"));
    write(&dir, path.strip_prefix(dir.path()).unwrap().to_str().unwrap(), "int x;");
    assert!(matches!(versions.rollback("plus", 2, &saving), Err(VersionError::Unreadable { .. })));
    // Sources go with the last version that has them.
    let few = Versions { limits: VersionLimits { max_versions: 1, ..MANY }, ..versions.clone() };
    few.save("plus", &uses(0.5), &saving).expect("saved");
    let kept = fs::read_dir(dir.path().join(".versions/plus")).expect("a folder").count();
    assert_eq!(kept, 3, "text, source and index");
}

#[test]
fn a_shipped_graph_goes_on_record_before_another_takes_its_place() {
    const SHIPPED: &[ShippedGraph] = &[ShippedGraph {
        file: "plus.fbp",
        text: "# as shipped\nINPORT=a.INPUT:INPUT\nOUTPORT=a.OUTPUT:OUTPUT\n'0.5' -> AMOUNT a(test/add)\n",
    }];
    let top = tempfile::tempdir().expect("a folder");
    let dir = top.path().join("graphs");
    let catalogue = Arc::new(catalogue().with_graphs(SHIPPED));
    let versions = Versions::open(&dir, catalogue, MANY).expect("the folder may be missing");
    assert_eq!(numbers(&versions, "plus"), [1]);
    assert!(matches!(versions.list("minus"), Err(VersionError::NoGraph(_))));
    let shipped = versions.content("plus").expect("readable").expect("shipped");
    // The same graph needs no file.
    assert_eq!(versions.save("plus", &adds(0.5), &ANY).expect("the same").number, 1);
    assert!(!dir.join("plus.fbp").exists());
    let saved = versions.save("plus", &adds(0.7), &Saving { over: Some(&shipped), ..ANY }).expect("saved");
    assert_eq!(saved.number, 2);
    let shipped = versions.list("plus").expect("two").iter().map(Version::is_shipped).collect::<Vec<_>>();
    assert_eq!(shipped, [true, false]);
    assert_eq!(amount(&versions.load("plus", 1).expect("on record")), 0.5);
    assert!(fs::read_to_string(dir.join("plus.fbp")).expect("a file").contains("0.7"));
    versions.rollback("plus", 1, &ANY).expect("rolled back");
    assert_eq!(fs::read_to_string(dir.join("plus.fbp")).expect("a file"), SHIPPED[0].text);
}
