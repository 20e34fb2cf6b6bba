//! What is known to be wrong with a graph as it is drawn: all editors are told, in words of people.

use imgflo_tests::editor::Editor;
use serde_json::{Value, json};

use super::{graphs, runtime};

/// Sends an edit; what follows its echo until the answer to another question: `(process, error)`.
async fn marks(editor: &mut Editor, command: &str, mut payload: Value) -> Vec<(String, String)> {
    payload["graph"] = "g".into();
    editor.ask("graph", command, payload).await;
    told(editor).await
}

async fn told(editor: &mut Editor) -> Vec<(String, String)> {
    editor.send("network", "edges", json!({ "graph": "g", "edges": [] })).await;
    let mut marks = Vec::new();
    loop {
        let message = editor.next().await.expect("the runtime is there");
        match message["command"].as_str() {
            Some("edges") => return marks,
            Some("processerror") => {
                let text = |key: &str| message["payload"][key].as_str().expect("a text").to_owned();
                assert_eq!(message["payload"]["graph"], "g");
                marks.push((text("id"), text("error")));
            }
            _ => assert_ne!(message["command"], "error", "{message}"),
        }
    }
}

fn initial(node: &str, port: &str, data: &Value) -> Value {
    json!({ "src": { "data": data }, "tgt": { "node": node, "port": port } })
}

/// Unknown components and ports, and literals of the wrong type, are done and marked; the network is not started.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_to_all_at_once() {
    let runtime = runtime(&[]);
    let (mut editor, mut other) = (Editor::connect(&runtime.url).await, Editor::connect(&runtime.url).await);
    other.ask("runtime", "getruntime", json!({})).await;
    editor.ask("graph", "clear", json!({ "id": "g" })).await;
    let blur = json!({ "id": "soft", "component": "gegl/gaussian-blur", "metadata": { "label": "Soft glow" } });
    assert_eq!(marks(&mut editor, "addnode", blur).await, []);
    assert_eq!(marks(&mut editor, "addnode", json!({ "id": "pass", "component": "core/Repeat" })).await, []);
    let misspelt = marks(&mut editor, "addnode", json!({ "id": "x", "component": "gegl/gausian-blur" })).await;
    let expected = "process 'x': unknown component 'gegl/gausian-blur'; did you mean 'gegl/gaussian-blur'?";
    assert_eq!(misspelt, [("x".to_owned(), expected.to_owned())]);
    let edge = |src: (&str, &str), tgt: (&str, &str)| json!({ "src": { "node": src.0, "port": src.1 }, "tgt": { "node": tgt.0, "port": tgt.1 } });
    for (add, payload, remove, said) in [
        ("addinitial", initial("soft", "std-dev-x", &json!("wide")), "removeinitial", "port 'std-dev-x': "),
        ("addinitial", initial("soft", "std-dev-x", &json!({ "a": 1 })), "removeinitial", "port 'std-dev-x': "),
        ("addinitial", initial("soft", "no-such", &json!(1)), "removeinitial", "has no inport 'no-such'"),
        ("addinitial", initial("soft", "input", &json!(1)), "removeinitial", "takes a picture, not a value"),
        ("addedge", edge(("soft", "out"), ("pass", "in")), "removeedge", "has no outport 'out'"),
        ("addedge", edge(("soft", "output"), ("soft", "std-dev-y")), "removeedge", "takes a value, and a picture"),
        ("addinport", json!({ "public": "p", "node": "soft", "port": "lost" }), "removeinport", "has no inport 'lost'"),
        (
            "addoutport",
            json!({ "public": "q", "node": "soft", "port": "aux" }),
            "removeoutport",
            "has no outport 'aux'",
        ),
    ] {
        let found = marks(&mut editor, add, payload.clone()).await;
        assert!(found.len() == 1 && found[0].0 == "soft", "{payload}: {found:?}");
        assert!(found[0].1.starts_with("process 'soft' (Soft glow): ") && found[0].1.contains(said), "{found:?}");
        assert!(!found[0].1.contains("connections["), "{found:?}");
        assert_eq!(marks(&mut editor, remove, payload.clone()).await, [], "{payload}");
        // Wrong again, it is told again.
        assert_eq!(marks(&mut editor, add, payload.clone()).await, found);
        marks(&mut editor, remove, payload).await;
    }
    // What is right is not marked: texts that are values, packets to properties, ranges that are clamped.
    for payload in [initial("soft", "STD-DEV-X", &json!("4.5")), initial("soft", "std-dev-x", &json!(1e9))] {
        assert_eq!(marks(&mut editor, "addinitial", payload).await, []);
    }
    assert_eq!(marks(&mut editor, "addedge", edge(("pass", "out"), ("soft", "std-dev-y"))).await, []);
    assert!(
        marks(&mut editor, "addedge", edge(("pass", "none"), ("soft", "std-dev-y"))).await[0].1.contains("core/Repeat")
    );
    // The other editor heard the same, and one that comes later hears what still is wrong.
    let heard = told(&mut other).await;
    assert_eq!(heard.len(), 1 + 8 * 2 + 1, "{heard:?}");
    let mut late = Editor::connect(&runtime.url).await;
    late.ask("network", "getstatus", json!({ "graph": "g" })).await;
    let known = told(&mut late).await;
    assert_eq!(known.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["pass", "x"], "{known:?}");
    assert_eq!(marks(&mut editor, "renamenode", json!({ "from": "x", "to": "y" })).await[0].0, "y");
}

/// A graph that comes as a whole is marked as one that is drawn.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_and_an_opened_graph_are_marked() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("wrong.fbp");
    std::fs::write(&file, "'wide' -> STD-DEV-X soft(gegl/gaussian-blur)\n").expect("written");
    let runtime = runtime(&["--graph", file.to_str().expect("a name")]);
    let mut editor = Editor::connect(&runtime.url).await;
    editor.ask("runtime", "getruntime", json!({})).await;
    assert_eq!(editor.until("network", "processerror").await["id"], "soft");
    editor.ask("graph", "clear", json!({ "id": "things/g" })).await;
    let code = json!({ "processes": { "a": { "component": "no/such" } }, "inports": [], "outports": [] });
    let source = json!({ "name": "g", "library": "things", "language": "json", "code": code.to_string() });
    editor.send("component", "source", source).await;
    assert_eq!(editor.until("network", "processerror").await["id"], "a");
}

/// Names have a limit with a setting, and addresses of pictures lead to their processes whatever those are called.
#[tokio::test(flavor = "multi_thread")]
async fn names_have_limits_and_addresses_work() {
    let runtime = runtime(&["--input", "files/card.png"]);
    let mut editor = Editor::connect(&runtime.url).await;
    let long = "é/&?#%+ \"<".repeat(45);
    assert!((490..=500).contains(&long.len()), "{}", long.len());
    for name in ["a b&c=d#e", "100%", "gegl/blur+1", "..", "\u{1f388}", "line\nline", long.as_str()] {
        editor.draw(name, &[(name, "gegl/gaussian-blur")]).await;
        let url = editor.picture_url(false).await;
        let answer = runtime.client().get(&url).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{name}");
    }
    let longer = "x".repeat(501);
    for (command, payload) in [
        ("clear", json!({ "id": longer })),
        ("addnode", json!({ "id": longer, "component": "gegl/nop", "graph": "100%" })),
        ("addnode", json!({ "id": "n", "component": longer, "graph": "100%" })),
        ("renamenode", json!({ "from": "100%", "to": longer, "graph": "100%" })),
        ("addinport", json!({ "public": longer, "node": "100%", "port": "input", "graph": "100%" })),
        ("addinitial", json!({ "src": { "data": 1 }, "tgt": { "node": "100%", "port": longer }, "graph": "100%" })),
        ("addgroup", json!({ "name": longer, "nodes": [], "graph": "100%" })),
    ] {
        let said = editor.refused("graph", command, payload).await;
        assert!(said.contains("500") && said.contains("IMGFLO_MAX_NAME_BYTES"), "{command}: {said}");
    }
    let short = super::runtime(&["--max-name-bytes", "20"]);
    let mut editor = Editor::connect(&short.url).await;
    assert!(editor.refused("graph", "clear", json!({ "id": "x".repeat(21) })).await.contains("20"));
}

/// Errors name processes with their labels, and no path of the machine.
#[tokio::test(flavor = "multi_thread")]
async fn errors_are_in_words_of_people() {
    let folder = graphs();
    let path = folder.path().to_str().expect("a readable name");
    let runtime = runtime(&["--graphs", path, "--input", "files/card.png"]);
    let mut editor = Editor::connect(&runtime.url).await;
    editor.draw("g", &[("soft", "gegl/gaussian-blur"), ("end", "gegl/nop")]).await;
    let label = json!({ "id": "soft", "metadata": { "label": "Soft glow" }, "graph": "g" });
    editor.ask("graph", "changenode", label).await;
    editor.turn("g", "soft", "std-dev-x", "wide".into()).await;
    editor.until("graph", "addinitial").await;
    let answer = runtime.get("/process?graph=g&node=end").await;
    assert_eq!(answer.status(), 422);
    let problem = answer.text().await.expect("a body");
    let said = [editor.refused("network", "persist", json!({})).await, problem];
    for said in &said {
        assert!(said.contains("process 'soft' (Soft glow): port 'std-dev-x': "), "{said}");
        assert!(!said.contains("connections[") && !said.contains(path), "{said}");
    }
    let nodes = super::runtime(&["--max-graph-nodes", "1"]);
    let mut editor = Editor::connect(&nodes.url).await;
    editor.draw("g", &[("a", "gegl/nop"), ("b", "gegl/nop")]).await;
    let problem = nodes.get("/process?graph=g&node=b").await.text().await.expect("a body");
    assert!(problem.contains("IMGFLO_MAX_GRAPH_NODES"), "{problem}");
}
