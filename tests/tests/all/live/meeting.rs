//! What an editor of others meets when it connects: the address, the graph to open, versions, components.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use imgflo_tests::editor::Editor;
use imgflo_tests::program;
use serde_json::{Value, json};

use super::{graphs, runtime};

/// The Live URL that a runtime prints.
fn live_url(data: &Path) -> String {
    let mut child = program::command()
        .args(["runtime", "--bind", "127.0.0.1:0", "--log", "warn", "--data-dir"])
        .arg(data)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let url =
        lines.map(|line| line.expect("a line")).find_map(|line| Some(line.strip_prefix("Live URL: ")?.to_owned()));
    child.kill().and_then(|()| child.wait()).expect("it ends");
    url.expect("it prints the address")
}

/// An editor knows the runtime again after a restart.
#[test]
fn the_printed_address_has_an_id_that_stays() {
    let (one, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let id = |url: &str| {
        let id = url.split('&').find_map(|part| part.strip_prefix("id=")).expect("an id");
        assert!(id.len() == 36 && id.matches('-').count() == 4, "{url}");
        id.to_owned()
    };
    let first = id(&live_url(one.path()));
    assert_eq!(id(&live_url(one.path())), first);
    assert_ne!(id(&live_url(other.path())), first);
    std::fs::write(one.path().join("runtime-id"), "no id").expect("written");
    assert_ne!(id(&live_url(one.path())), first);
}

/// noflo-ui opens the graph that the runtime names, and reads its source and state.
#[tokio::test(flavor = "multi_thread")]
async fn there_is_a_graph_to_open() {
    let folder = graphs();
    let path = folder.path().to_str().expect("a readable name");
    let runtime = runtime(&["--graphs", path]);
    let mut editor = Editor::connect(&runtime.url).await;
    let told = editor.ask("runtime", "getruntime", json!({})).await;
    assert_eq!((&told["graph"], &told["namespace"]), (&json!("default/main"), &json!("c")));
    editor.until("runtime", "ports").await;
    let source = serde_json::from_str::<Value>(&editor.ask_for_source("default/main").await).expect("JSON");
    assert_eq!((&source["processes"], &source["properties"]["environment"]["type"]), (&json!({}), &json!("imgflo")));
    // The same id each time it is asked, and nothing to save before something is drawn.
    let again = editor.ask("runtime", "getruntime", json!({})).await;
    assert_eq!(again["id"], told["id"]);
    assert_eq!(editor.ask("network", "persist", json!({})).await, json!({}));
    assert!(!folder.path().join("main.json").exists());
    editor.ask("graph", "addnode", json!({ "id": "a", "component": "gegl/nop", "graph": "default/main" })).await;
    for (command, port) in [("addinport", "input"), ("addoutport", "output")] {
        let payload = json!({ "public": port, "node": "a", "port": port, "graph": "default/main" });
        editor.ask("graph", command, payload).await;
    }
    editor.ask("network", "persist", json!({})).await;
    assert!(folder.path().join("main.json").exists());
    // It is opened next time.
    let next = super::runtime(&["--graphs", path]);
    let mut editor = Editor::connect(&next.url).await;
    let source = serde_json::from_str::<Value>(&editor.ask_for_source("default/main").await).expect("JSON");
    assert_eq!(source["processes"]["a"]["component"], "gegl/nop");
    // Places of ports that the file has none for are told.
    let (x, y) = (&source["inports"]["input"]["metadata"]["x"], &source["outports"]["output"]["metadata"]["y"]);
    assert!(x.is_i64() && y.is_i64(), "{source}");
}

/// The version is the newest that both sides speak.
#[tokio::test(flavor = "multi_thread")]
async fn the_version_is_what_both_speak() {
    let runtime = runtime(&[]);
    let mut current = Editor::connect(&runtime.url).await;
    assert_eq!(current.ask("runtime", "getruntime", json!({})).await["version"], "0.7");
    let message = json!({ "protocol": "runtime", "command": "getruntime", "payload": {}, "requestId": "1" });
    current.send_text(message.to_string()).await.expect("sent");
    assert_eq!(current.until("runtime", "runtime").await["version"], "0.8");
    assert_eq!(current.ask("runtime", "getruntime", json!({})).await["version"], "0.8");
    let (mut old, _) = Editor::try_connect(&runtime.url, &[]).await.expect("connected");
    assert_eq!(old.ask("runtime", "getruntime", json!({})).await["version"], "0.4");
}

/// A network of pictures runs until it is stopped, one of packets until its packets are done.
#[tokio::test(flavor = "multi_thread")]
async fn a_started_network_runs() {
    let runtime = runtime(&[]);
    let mut editor = Editor::connect(&runtime.url).await;
    editor.draw("g", &[("a", "gegl/nop")]).await;
    let status = |running: bool, started: bool| json!({ "graph": "g", "running": running, "started": started });
    assert_eq!(editor.ask("network", "getstatus", json!({ "graph": "g" })).await, status(true, true));
    assert_eq!(editor.ask("network", "stop", json!({ "graph": "g" })).await["running"], false);
    assert_eq!(editor.ask("network", "getstatus", json!({ "graph": "g" })).await, status(false, false));
}

/// Ranges are in descriptions, as the protocol has no other place, and enums have values.
#[tokio::test(flavor = "multi_thread")]
async fn ports_tell_what_they_take() {
    let runtime = runtime(&[]);
    let mut editor = Editor::connect(&runtime.url).await;
    editor.send("component", "list", json!({})).await;
    let (mut numbers, mut ranged, mut enums) = (0, 0, 0);
    loop {
        let message = editor.next().await.expect("an answer");
        if message["command"] == "componentsready" {
            break;
        }
        for port in message["payload"]["inPorts"].as_array().into_iter().flatten() {
            let description = port["description"].as_str().expect("a text");
            match port["type"].as_str().expect("a type") {
                "int" | "number" => {
                    numbers += 1;
                    let told = [" to ", " or more", " or less", "any number", "any whole number"];
                    ranged += usize::from(told.iter().any(|word| description.contains(word)));
                }
                "enum" => {
                    enums += 1;
                    let values = port["values"].as_array().expect("values");
                    assert!(!values.is_empty() && values.contains(&port["default"]), "{port}");
                }
                _ => {}
            }
        }
    }
    assert!(numbers >= 150 && enums >= 15, "{numbers} numbers, {enums} enums");
    assert_eq!(ranged, numbers, "numbers that tell their range");
    let blur = editor.ask("component", "getsource", json!({ "name": "graph/gaussianblur" })).await;
    assert!(!blur["code"].as_str().expect("a text").is_empty());
    // And so are exported ports of a graph that is edited.
    editor.draw("g", &[("soft", "gegl/gaussian-blur")]).await;
    let inport = json!({ "public": "amount", "node": "soft", "port": "std-dev-x", "graph": "g" });
    editor.ask("graph", "addinport", inport).await;
    let ports = editor.until("runtime", "ports").await;
    let amount = ports["inPorts"].as_array().expect("a list").iter().find(|port| port["id"] == "amount");
    assert!(amount.expect("it is there")["description"].as_str().expect("a text").contains("(0 to 1500)"), "{ports}");
}

/// The sources of graphs have places for exported ports, which editors show at the corner without.
#[tokio::test(flavor = "multi_thread")]
async fn exported_ports_have_places() {
    let runtime = runtime(&[]);
    let mut editor = Editor::connect(&runtime.url).await;
    let mut seen = 0;
    for file in imgflo_tests::corpus("graphs", &["json"], 13) {
        let name = file.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        let source = editor.ask_for_source(&format!("graph/{name}")).await;
        let graph = serde_json::from_str::<Value>(&source).expect("JSON");
        let mut places = Vec::new();
        for key in ["inports", "outports"] {
            for (public, export) in graph[key].as_object().into_iter().flatten() {
                let place = (export["metadata"]["x"].as_i64(), export["metadata"]["y"].as_i64());
                assert!(place.0.is_some() && place.1.is_some(), "{name}: {public}");
                assert!(!places.contains(&place), "{name}: {public} is on another");
                places.push(place);
            }
        }
        seen += places.len();
    }
    assert!(seen >= 50, "{seen} ports");
}

/// A literal that is taken away to be replaced does not show the default in between; one that is taken away does.
#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_literal_does_not_flash_the_default() {
    let runtime = runtime(&["--input", "files/card.png"]);
    let get = async |url: String| {
        let answer = runtime.client().get(url).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer.bytes().await.expect("a body")
    };
    let mut editor = Editor::connect(&runtime.url).await;
    editor.draw("g", &[("soft", "gegl/gaussian-blur")]).await;
    let default = [get(editor.picture_url(true).await).await, get(editor.picture_url(false).await).await];
    editor.turn("g", "soft", "std-dev-x", 30.into()).await;
    while editor.next_within(Duration::from_millis(700)).await.is_some() {}
    let remove = json!({ "tgt": { "node": "soft", "port": "std-dev-x" }, "graph": "g" });
    editor.send("graph", "removeinitial", remove.clone()).await;
    editor.turn("g", "soft", "std-dev-x", 31.into()).await;
    let (mut replaced, mut pictures) = (false, 0);
    while let Some(message) = editor.next_within(Duration::from_millis(700)).await {
        replaced |= message["command"] == "addinitial";
        if let (Some("packet"), Some(url)) = (message["command"].as_str(), message["payload"]["payload"].as_str()) {
            assert!(replaced, "pictures are told before the new value is there");
            let picture = get(url.to_owned()).await;
            assert!(!default.contains(&picture), "the default is shown");
            pictures += 1;
        }
    }
    assert!(replaced && pictures >= 2, "{pictures} pictures");
    // Taken away for good, the default comes.
    editor.ask("graph", "removeinitial", remove).await;
    assert_eq!(get(editor.picture_url(true).await).await, default[0]);
    assert_eq!(get(editor.picture_url(false).await).await, default[1]);
}

/// Editors hear of components that changed: by another editor's save, and by files.
#[tokio::test(flavor = "multi_thread")]
async fn changed_components_are_told() {
    let folder = graphs();
    let runtime = runtime(&["--graphs", folder.path().to_str().expect("a readable name")]);
    let (mut one, mut other) = (Editor::connect(&runtime.url).await, Editor::connect(&runtime.url).await);
    other.ask("runtime", "getruntime", json!({})).await;
    one.ask("graph", "clear", json!({ "id": "mine" })).await;
    one.ask("graph", "addnode", json!({ "id": "a", "component": "gegl/gaussian-blur", "graph": "mine" })).await;
    for (command, public, port) in
        [("addinport", "input", "input"), ("addinport", "amount", "std-dev-x"), ("addoutport", "output", "output")]
    {
        one.ask("graph", command, json!({ "public": public, "node": "a", "port": port, "graph": "mine" })).await;
    }
    one.ask("network", "persist", json!({})).await;
    let told = other.until("component", "component").await;
    assert_eq!((&told["name"], &told["subgraph"]), (&json!("graph/mine"), &json!(true)));
    let ports = told["inPorts"].as_array().expect("a list").iter().map(|port| port["id"].clone()).collect::<Vec<_>>();
    assert!(ports.contains(&json!("amount")), "{ports:?}");
    // A process of a graph that was no component before is one now.
    one.ask("graph", "clear", json!({ "id": "g" })).await;
    one.ask("graph", "addnode", json!({ "id": "n", "component": "graph/late", "graph": "g" })).await;
    let mark = one.until("network", "processerror").await;
    assert!(mark["error"].as_str().expect("a text").contains("graph/late"), "{mark}");
    let file = folder.path().join("late.fbp");
    std::fs::write(&file, "INPORT=b.INPUT:INPUT\nOUTPORT=b.OUTPUT:OUTPUT\nb(gegl/nop)\n").expect("written");
    for editor in [&mut one, &mut other] {
        loop {
            if editor.until("component", "component").await["name"] == "graph/late" {
                break;
            }
        }
    }
    one.ask("network", "getstatus", json!({ "graph": "g" })).await;
    one.send("network", "edges", json!({ "graph": "g", "edges": [] })).await;
    loop {
        let message = one.next().await.expect("an answer");
        assert_ne!(message["command"], "processerror", "{message}");
        if message["command"] == "edges" {
            break;
        }
    }
    // A changed file, and one that breaks: the graph is used as it was.
    std::fs::write(&file, "INPORT=b.INPUT:INPUT\nOUTPORT=b.OUTPUT:OUTPUT\nb(gegl/gaussian-blur)\n").expect("written");
    assert_eq!(other.until("component", "component").await["name"], "graph/late");
    std::fs::write(&file, "b(").expect("written");
    assert!(other.next_within(Duration::from_secs(3)).await.is_none());
    // One that is gone: the list comes anew without it, and who uses it is told.
    std::fs::remove_file(&file).expect("it is there");
    for editor in [&mut one, &mut other] {
        let mark = editor.until("network", "processerror").await;
        assert!(mark["error"].as_str().expect("a text").contains("graph/late"), "{mark}");
        let mut names = Vec::new();
        loop {
            let message = editor.next().await.expect("the list");
            match message["command"].as_str() {
                Some("component") => names.push(message["payload"]["name"].as_str().expect("a name").to_owned()),
                Some("componentsready") => break assert_eq!(message["payload"], names.len()),
                _ => {}
            }
        }
        assert!(names.iter().any(|name| name == "graph/mine"), "{names:?}");
        assert!(names.iter().all(|name| name != "graph/late"), "{names:?}");
    }
}
