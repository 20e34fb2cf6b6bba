//! `network:persist` of graphs, however they came to be: it writes them, or says why not.

use std::path::Path;

use imgflo_tests::editor::Editor;
use imgflo_tests::program::run;
use imgflo_tests::server::Server;
use serde_json::{Value, json};

use super::{graphs, runtime};

/// A blur with ports, drawn edit by edit.
async fn draw(editor: &mut Editor, id: &str, radius: u32) {
    let node = json!({ "id": "soft", "component": "gegl/gaussian-blur", "metadata": {}, "graph": id });
    editor.ask("graph", "addnode", node).await;
    for (command, public) in [("addinport", "input"), ("addoutport", "output")] {
        let port = json!({ "public": public, "node": "soft", "port": public, "graph": id });
        editor.ask("graph", command, port).await;
    }
    editor.turn(id, "soft", "std-dev-x", radius.into()).await;
    editor.until("graph", "addinitial").await;
}

/// The radius that the saved graph has; none where there is no such file, or none in it.
fn radius(folder: &Path, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).ok()?;
    let graph = serde_json::from_str::<Value>(&text).expect("JSON");
    graph["connections"].as_array()?.iter().find_map(|connection| connection["data"].as_u64())
}

async fn save(editor: &mut Editor, payload: Value) {
    assert_eq!(editor.ask("network", "persist", payload).await, json!({}));
}

/// What is drawn into a graph made by `clear` is saved under its name, main or not; a server serves it.
#[tokio::test(flavor = "multi_thread")]
async fn a_graph_that_was_drawn_is_saved() {
    let folder = graphs();
    let path = folder.path().to_str().expect("a readable name");
    let runtime = runtime(&["--graphs", path]);
    let mut editor = Editor::connect(&runtime.url).await;
    let ways = [
        (json!({ "id": "part", "name": "part" }), "part"),
        (json!({ "id": "things/other", "name": "" }), "other"),
        (json!({ "id": "things/third" }), "third"),
        (json!({ "id": "things/4", "name": "fourth", "main": false }), "fourth"),
        (json!({ "id": "default/main", "name": "fifth", "main": true }), "fifth"),
        (json!({ "id": "things/sixth", "main": true }), "sixth"),
    ];
    for (number, (clear, name)) in ways.iter().enumerate() {
        editor.ask("graph", "clear", clear.clone()).await;
        let id = clear["id"].as_str().expect("a text");
        draw(&mut editor, id, number as u32 + 3).await;
        assert_eq!(radius(folder.path(), name), None);
        save(&mut editor, if number % 2 == 0 { json!({}) } else { json!({ "graph": id }) }).await;
        assert_eq!(radius(folder.path(), name), Some(number as u64 + 3), "{name}");
    }
    let server = Server::start(&["--graphs", path]);
    for (_, name) in &ways {
        server.picture(&format!("/graph/{name}.png?input=files/card.png&width=30")).await;
    }
    // The graph that is asked for is saved alone.
    for id in ["part", "things/third"] {
        editor.turn(id, "soft", "std-dev-x", 20.into()).await;
        editor.until("graph", "addinitial").await;
    }
    save(&mut editor, json!({ "graph": "part" })).await;
    assert_eq!([radius(folder.path(), "part"), radius(folder.path(), "third")], [Some(20), Some(5)]);
    save(&mut editor, json!({})).await;
    assert_eq!(radius(folder.path(), "third"), Some(20));
    // A file that is gone is written when it is asked for.
    std::fs::remove_file(folder.path().join("part.json")).expect("it is there");
    save(&mut editor, json!({ "graph": "part" })).await;
    assert_eq!(radius(folder.path(), "part"), Some(20));
}

/// The graph that the runtime was started with: of the folder, a version of one, or a file from elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_graph_that_was_opened_is_saved() {
    let folder = graphs();
    let path = folder.path().to_str().expect("a readable name");
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let file = elsewhere.path().join("mine.fbp");
    std::fs::write(
        &file,
        "INPORT=soft.INPUT:INPUT\nOUTPORT=soft.OUTPUT:OUTPUT\n7 -> STD-DEV-X soft(gegl/gaussian-blur)\n",
    )
    .expect("written");
    let published = run(&["graph", "publish", "soft", file.to_str().expect("a name"), "--graphs", path]);
    assert!(published.status.success());
    for (given, name, is_written) in
        [("soft", "soft", false), ("soft@1", "soft", true), (file.to_str().expect("a name"), "mine", true)]
    {
        let written = folder.path().join(format!("{name}.json"));
        let newer = r#"{"inports":{"input":{"process":"a","port":"input"}},"outports":{"output":{"process":"a","port":"output"}},
            "processes":{"a":{"component":"gegl/gaussian-blur"}},"connections":[{"data":1,"tgt":{"process":"a","port":"std-dev-x"}}]}"#;
        if given.contains('@') {
            std::fs::write(&written, newer).expect("written");
        }
        let runtime = runtime(&["--graphs", path, "--graph", given]);
        let mut editor = Editor::connect(&runtime.url).await;
        let before = written.metadata().and_then(|file| file.modified()).ok();
        save(&mut editor, json!({})).await;
        assert_eq!(radius(folder.path(), name), Some(7), "{given}");
        let after = written.metadata().and_then(|file| file.modified()).ok();
        assert_eq!(before != after, is_written, "{given}");
        editor.turn("default/main", "soft", "std-dev-x", 9.into()).await;
        editor.until("graph", "addinitial").await;
        save(&mut editor, json!({})).await;
        assert_eq!(radius(folder.path(), name), Some(9), "{given}");
        // Emptied under its own names it is the same graph; under another, another one.
        for (called, kept) in [("main", name), (name, name), ("new", "new")] {
            editor.ask("graph", "clear", json!({ "id": "default/main", "name": called, "main": true })).await;
            draw(&mut editor, "default/main", 11).await;
            save(&mut editor, json!({})).await;
            assert_eq!(radius(folder.path(), kept), Some(11), "{given} as {called}");
            editor.turn("default/main", "soft", "std-dev-x", 9.into()).await;
            editor.until("graph", "addinitial").await;
            save(&mut editor, json!({})).await;
        }
        assert_eq!([radius(folder.path(), name), radius(folder.path(), "new")], [Some(9); 2], "{given}");
        std::fs::remove_file(folder.path().join("new.json")).expect("it is there");
    }
}

/// A new graph with the name of one of the folder is not put over it in silence.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_graph_does_not_take_the_place_of_another_in_silence() {
    let folder = graphs();
    let runtime = runtime(&["--graphs", folder.path().to_str().expect("a readable name")]);
    let mut editor = Editor::connect(&runtime.url).await;
    let file = folder.path().join("taken.fbp");
    let theirs = "INPORT=a.INPUT:INPUT\nOUTPORT=a.OUTPUT:OUTPUT\na(gegl/nop)\n";
    std::fs::write(&file, theirs).expect("written");
    for (id, name) in [("things/taken", "taken"), ("things/softfocus", "softfocus")] {
        editor.ask("graph", "clear", json!({ "id": id })).await;
        draw(&mut editor, id, 6).await;
        let before = radius(folder.path(), name);
        let said = editor.refused("network", "persist", json!({ "graph": id })).await;
        assert!(said.contains("another graph of that name") && said.contains("save again"), "{said}");
        assert_eq!(radius(folder.path(), name), before);
        if name == "taken" {
            assert_eq!(std::fs::read_to_string(&file).expect("it is there"), theirs);
        }
        // Who saves again means it.
        save(&mut editor, json!({ "graph": id })).await;
        let files = ["json", "fbp"].map(|form| folder.path().join(format!("{name}.{form}")));
        let saved = files.iter().find_map(|file| std::fs::read_to_string(file).ok()).expect("it is there");
        assert!(
            saved.contains("soft") && saved.contains("gegl/gaussian-blur") && !saved.contains("gegl/nop"),
            "{saved}"
        );
    }
}

/// A graph that came as a source: a new one is written at once, one that is edited when it is saved.
#[tokio::test(flavor = "multi_thread")]
async fn a_graph_that_came_as_a_source_is_saved() {
    let folder = graphs();
    let runtime = runtime(&["--graphs", folder.path().to_str().expect("a readable name")]);
    let mut editor = Editor::connect(&runtime.url).await;
    let source = |library: &str, name: &str, radius: u32| {
        let code = json!({ "processes": { "a": { "component": "gegl/gaussian-blur" } },
            "inports": { "input": { "process": "a", "port": "input" } },
            "outports": { "output": { "process": "a", "port": "output" } },
            "connections": [{ "data": radius, "tgt": { "process": "a", "port": "std-dev-x" } }] });
        json!({ "name": name, "library": library, "language": "json", "code": code.to_string() })
    };
    editor.send("component", "source", source("graph", "mine", 4)).await;
    editor.until_component("graph/mine").await;
    assert_eq!(radius(folder.path(), "mine"), Some(4));
    editor.ask("graph", "clear", json!({ "id": "things/yours" })).await;
    editor.send("component", "source", source("things", "yours", 5)).await;
    editor.until_component("things/yours").await;
    assert_eq!(radius(folder.path(), "yours"), None);
    save(&mut editor, json!({})).await;
    assert_eq!(radius(folder.path(), "yours"), Some(5));
}

/// What is not saved is named with the reason, and keeps nothing else from being saved.
#[tokio::test(flavor = "multi_thread")]
async fn a_graph_that_cannot_be_saved_is_named() {
    let folder = graphs();
    let runtime = runtime(&["--graphs", folder.path().to_str().expect("a readable name")]);
    let mut editor = Editor::connect(&runtime.url).await;
    for (id, name) in [("a", "My graph"), ("b", "good"), ("one/twice", "twice"), ("two/twice", "twice")] {
        editor.ask("graph", "clear", json!({ "id": id, "name": name })).await;
        draw(&mut editor, id, 3).await;
    }
    editor.ask("graph", "clear", json!({ "id": "open" })).await;
    editor.ask("graph", "addnode", json!({ "id": "n", "component": "gegl/nop", "graph": "open" })).await;
    editor.ask("graph", "clear", json!({ "id": "empty" })).await;
    editor.ask("graph", "addnode", json!({ "id": "show", "component": "Processor", "graph": "empty" })).await;
    let said = editor.refused("network", "persist", json!({})).await;
    for expected in [
        "'My graph' is not saved: ",
        "'twice' is not saved: the graph 'one/twice' has the name already",
        "'open' is not saved: ",
    ] {
        assert!(said.contains(expected), "{said}");
    }
    assert!(!said.contains("'empty'"), "nothing is in it: {said}");
    assert_eq!([radius(folder.path(), "good"), radius(folder.path(), "twice")], [Some(3); 2]);
    for (id, expected) in [
        ("a", "letters and digits"),
        ("two/twice", "has the name already"),
        ("empty", "there is no process in the graph"),
        ("nowhere", "Requested graph not found"),
    ] {
        let said = editor.refused("network", "persist", json!({ "graph": id })).await;
        assert!(said.contains(expected), "{said}");
    }
    // Under another name it can be.
    editor.ask("graph", "clear", json!({ "id": "two/twice", "name": "again" })).await;
    draw(&mut editor, "two/twice", 8).await;
    save(&mut editor, json!({ "graph": "two/twice" })).await;
    assert_eq!([radius(folder.path(), "again"), radius(folder.path(), "twice")], [Some(8), Some(3)]);
}
