//! From the editor to those who are served.

use std::time::{Duration, Instant};

use imgflo_tests::editor::Editor;
use imgflo_tests::program::run;
use imgflo_tests::server::Server;
use serde_json::{Value, json};

use super::{graphs, runtime};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_saved_is_served() {
    let graphs = graphs();
    let folder = graphs.path().to_str().expect("a readable name");
    let server = Server::start(&["--graphs", folder]);
    let runtime = runtime(&["--graphs", folder, "--graph", "gaussianblur"]);
    let request = "/graph/gaussianblur.png?input=files/card.png&width=60";
    let before = server.picture(request).await;
    let mut editor = Editor::connect(&runtime.url).await;
    let told = editor.ask("runtime", "getruntime", json!({})).await;
    let source = editor.ask_for_source(told["graph"].as_str().expect("an id")).await;
    let source = serde_json::from_str::<Value>(&source).expect("JSON");
    let (blur, _) = source["processes"].as_object().expect("processes").iter().next().expect("one");
    // What only an editor knows is not saved.
    let show = json!({ "id": "show", "component": "Processor", "graph": "default/main" });
    editor.ask("graph", "addnode", show).await;
    let edge = json!({ "src": { "node": blur, "port": "output" }, "tgt": { "node": "show", "port": "input" }, "graph": "default/main" });
    editor.ask("graph", "addedge", edge).await;
    editor.turn("default/main", blur, "std-dev-x", 9.into()).await;
    editor.until("graph", "addinitial").await;
    assert_eq!(editor.ask("network", "persist", json!({})).await, json!({}));
    let start = Instant::now();
    let after = loop {
        let after = server.picture(request).await;
        if after != before {
            break after;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "the server does not see the graph");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    // Saved again, it is the same version.
    assert_eq!(editor.ask("network", "persist", json!({})).await, json!({}));
    let listed = run(&["graph", "versions", "gaussianblur", "--graphs", folder]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert_eq!(
        listed.lines().filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit())).count(),
        2,
        "{listed}"
    );
    // What could not be served is refused, with the reason.
    let what = json!({ "id": "what", "component": "no/such", "graph": "default/main" });
    editor.ask("graph", "addnode", what).await;
    let shown = |node: &str| json!({ "public": "output", "node": node, "port": "output", "graph": "default/main" });
    editor.ask("graph", "removeoutport", json!({ "public": "output", "graph": "default/main" })).await;
    editor.ask("graph", "addoutport", shown("what")).await;
    let refusal = editor.refused("network", "persist", json!({})).await;
    assert!(refusal.contains("unknown component 'no/such'"), "{refusal}");
    assert_eq!(server.picture(request).await, after);
    // Rolled back, the old result is found under its key.
    let rolled = run(&["graph", "rollback", "gaussianblur", "1", "--graphs", folder]);
    assert!(rolled.status.success(), "{}", String::from_utf8_lossy(&rolled.stderr));
    let start = Instant::now();
    while server.picture(request).await != before {
        assert!(start.elapsed() < Duration::from_secs(30), "the server does not see the graph");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A graph is a component of others once it is saved.
#[tokio::test(flavor = "multi_thread")]
async fn a_graphs_source_makes_a_component() {
    let graphs = graphs();
    let runtime = runtime(&["--graphs", graphs.path().to_str().expect("a readable name")]);
    let mut editor = Editor::connect(&runtime.url).await;
    let code =
        "INPORT=soft.INPUT:INPUT\nINPORT=soft.STD-DEV-X:AMOUNT\nOUTPORT=soft.OUTPUT:OUTPUT\nsoft(gegl/gaussian-blur)\n";
    let source = json!({ "name": "mine", "library": "graph", "language": "fbp", "code": code });
    editor.send("component", "source", source.clone()).await;
    let component = editor.until_component("graph/mine").await;
    assert_eq!(component["subgraph"], true);
    editor.draw("g", &[("a", "graph/mine")]).await;
    editor.picture_url(true).await;
    for (language, code, said) in [
        ("fbp", "soft(gegl/gaussian-blur) ->", "line 1"),
        ("json", "{\"processes\": 5}", "processes: must be an object"),
        ("json", "{\"processes\": {\"a\": {\"component\": \"graph/mine\"}}}", "made of itself"),
    ] {
        let mut wrong = source.clone();
        (wrong["language"], wrong["code"]) = (language.into(), code.into());
        let refusal = editor.refused("component", "source", wrong).await;
        assert!(refusal.contains(said), "{refusal}");
    }
    let mut outside = source;
    outside["name"] = "..".into();
    assert!(editor.refused("component", "source", outside).await.contains("is no name"));
    // Samples guard what is saved.
    let samples = tempfile::tempdir().expect("a temporary folder");
    std::fs::copy(imgflo_tests::sample("card.png"), samples.path().join("card.png")).expect("copied");
    let guarded = super::runtime(&[
        "--graphs",
        graphs.path().to_str().expect("a name"),
        "--graph",
        "gaussianblur",
        "--samples",
        samples.path().to_str().expect("a name"),
        "--max-distance",
        "1",
    ]);
    let mut editor = Editor::connect(&guarded.url).await;
    let source = serde_json::from_str::<Value>(&editor.ask_for_source("default/main").await).expect("JSON");
    let (blur, _) = source["processes"].as_object().expect("processes").iter().next().expect("one");
    editor.turn("default/main", blur, "std-dev-x", 200.into()).await;
    editor.until("graph", "addinitial").await;
    let refusal = editor.refused("network", "persist", json!({})).await;
    assert!(refusal.contains("card.png") && refusal.contains("allowed is 1"), "{refusal}");
}

/// One command for a server and a place to edit.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_hosts_the_runtime() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    drop(listener);
    // It says first where the runtime is, and then where the server is.
    let server = Server::start(&["--edit", "true", "--edit-bind", &address]);
    let mut editor = Editor::connect(&format!("http://{address}")).await;
    editor.draw("g", &[("a", "gegl/gaussian-blur")]).await;
    let url = editor.picture_url(true).await;
    assert!(url.starts_with(&format!("http://{address}/process?")), "{url}");
    assert_eq!(server.client().get(&url).send().await.expect("an answer").status(), 200);
}
