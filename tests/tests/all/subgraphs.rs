//! Graphs made of graphs, over HTTP and on the command line.

use std::path::Path;

use imgflo_tests::program::run;
use imgflo_tests::server::Server;
use serde_json::{Value, json};
use tempfile::TempDir;

const SOFT: &str = "# @runtime imgflo\nINPORT=blur.INPUT:INPUT\nINPORT=tone.CONTRAST:CONTRAST\n\
    OUTPORT=tone.OUTPUT:OUTPUT\nblur(gegl/gaussian-blur) OUTPUT -> INPUT tone(gegl/brightness-contrast)\n\
    1.5 -> CONTRAST tone\n";
const FRAME: &str = "# @runtime imgflo\nINPORT=soft.INPUT:INPUT\nINPORT=soft.CONTRAST:CONTRAST\n\
    INPORT=cut.WIDTH:RIGHT\nOUTPORT=cut.OUTPUT:OUTPUT\n\
    soft(graph/soft) OUTPUT -> INPUT cut(gegl/crop)\n90 -> WIDTH cut\n60 -> HEIGHT cut\n";
/// The outermost: `frame`, which has `soft` in it, on a picture made smaller.
const NESTED: &str = "# @runtime imgflo\nINPORT=one.INPUT:INPUT\nINPORT=one.RIGHT:RIGHT\n\
    OUTPORT=grey.OUTPUT:OUTPUT\none(frame) OUTPUT -> INPUT grey(gegl/gray)\n1.25 -> CONTRAST one\n120 -> WIDTH one\n";
const BY_HAND: &str = "# @runtime imgflo\nINPORT=small.INPUT:INPUT\nINPORT=cut.WIDTH:RIGHT\n\
    OUTPORT=grey.OUTPUT:OUTPUT\nsmall(imgflo/resize) OUTPUT -> INPUT blur(gegl/gaussian-blur) OUTPUT -> INPUT \
    tone(gegl/brightness-contrast) OUTPUT -> INPUT cut(gegl/crop) OUTPUT -> INPUT grey(gegl/gray)\n\
    120 -> WIDTH small\n1.25 -> CONTRAST tone\n90 -> WIDTH cut\n60 -> HEIGHT cut\n";

fn folder(soft: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("a-nested", NESTED), ("by-hand", BY_HAND), ("frame", FRAME), ("soft", soft)] {
        std::fs::write(folder.path().join(format!("{name}.fbp")), text).unwrap();
    }
    folder
}

fn path(folder: &Path) -> &str {
    folder.to_str().unwrap()
}

async fn location(server: &Server, target: &str) -> String {
    let answer = server.get(target).await;
    assert_eq!(answer.status(), 301, "{target}");
    answer.headers()["location"].to_str().unwrap().trim_start_matches(&server.url).to_owned()
}

async fn json(server: &Server, target: &str) -> Value {
    serde_json::from_slice(&server.get(target).await.bytes().await.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_of_graphs_makes_what_the_graph_written_out_makes() {
    let graphs = folder(SOFT);
    let server = Server::start(&["--graphs", path(graphs.path())]);
    for query in ["input=files/lake.jpg", "input=files/lake.jpg&right=40", "input=files/leaf.png&width=300"] {
        for extension in ["png", "jpg"] {
            let nested = server.picture(&format!("/graph/a-nested.{extension}?{query}")).await;
            let by_hand = server.picture(&format!("/graph/by-hand.{extension}?{query}")).await;
            assert!(nested == by_hand, "{query}: {} and {} bytes of {extension}", nested.len(), by_hand.len());
        }
    }
    let listing = json(&server, "/graphs").await;
    assert_eq!(listing["faults"], json!([]));
    let nested = &listing["graphs"]["a-nested"];
    assert_eq!(nested["processes"]["one"]["component"], "frame");
    let right = &nested["inports"]["right"]["metadata"];
    assert_eq!(
        (&right["type"], &right["default"], right["description"].as_str()),
        (&json!("number"), &json!(90), Some("Width, pixels."))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_names_the_process_inside() {
    let graphs = folder(SOFT);
    let server = Server::start(&["--graphs", path(graphs.path())]);
    let answer = server.get("/graph/a-nested?input=files/lake.jpg&right=-3").await;
    assert_eq!(answer.status(), 422);
    let problem: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(problem["node"], "one/cut", "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_inner_graph_is_another_key() {
    let query = "input=files/card.png&right=50";
    let mut found = Vec::new();
    for soft in [SOFT, &SOFT.replace("1.5 ->", "1 ->"), &SOFT.replace("gegl/gaussian-blur", "gegl/gray"), SOFT] {
        let graphs = folder(soft);
        let server = Server::start(&["--graphs", path(graphs.path())]);
        let nested = location(&server, &format!("/graph/a-nested.png?{query}")).await;
        let outside = location(&server, &format!("/graph/by-hand.png?{query}")).await;
        found.push((nested, outside));
    }
    // The contrast of `soft` is set from outside, so that its own makes no difference there.
    assert_eq!(found[0].0, found[1].0);
    assert_ne!(found[0].0, found[2].0);
    assert_eq!(found[0].0, found[3].0);
    assert!(found.iter().all(|(_, outside)| *outside == found[0].1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_graphs_of_graphs_is_listed() {
    let graphs = folder(&SOFT.replace("gegl/gaussian-blur", "graph/a-nested"));
    let server = Server::start(&["--graphs", path(graphs.path()), "--shipped-graphs", "false"]);
    let listing = json(&server, "/graphs").await;
    assert_eq!(listing["graphs"].as_object().unwrap().keys().collect::<Vec<_>>(), ["by-hand"]);
    let faults = listing["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 3);
    assert_eq!(
        faults[0],
        json!({"file": "a-nested.fbp",
            "message": "process 'one': a graph cannot be made of itself: a-nested -> frame -> soft -> a-nested"})
    );
    assert_eq!(server.get("/graph/a-nested?input=files/lake.jpg").await.status(), 404);
}

#[test]
fn commands_find_graphs_beside_the_file() {
    let graphs = folder(SOFT);
    let nested = graphs.path().join("a-nested.fbp");
    let text = |result: &std::process::Output| {
        format!("{}{}", String::from_utf8_lossy(&result.stdout), String::from_utf8_lossy(&result.stderr))
    };
    let check = || run(&["graph", "check", path(&nested)]);
    assert!(check().status.success(), "{}", text(&check()));
    let info = run(&["graph", "info", path(&nested)]);
    let info: Value = serde_json::from_slice(&info.stdout).unwrap();
    assert_eq!(info["inports"]["right"]["metadata"]["type"], "number");
    let mut pictures = Vec::new();
    for (graph, further) in [(path(&nested), &[][..]), ("a-nested", &["--graphs", path(graphs.path())])] {
        let output = graphs.path().join("out.png");
        let render = ["render", graph, "--input", "files/card.png", "--output", path(&output), "-p", "right=20"];
        let result = run(&[&render, further].concat());
        assert!(result.status.success(), "{}", text(&result));
        pictures.push(std::fs::read(output).unwrap());
    }
    assert!(pictures[0] == pictures[1]);
    // What is wrong with a graph inside is told with its file.
    std::fs::write(graphs.path().join("soft.fbp"), "a(gegl/nop)\n").unwrap();
    let said = text(&check());
    assert!(!check().status.success());
    for expected in [
        "a-nested.fbp: process 'one': the graph 'frame' has faults of its own",
        "frame.fbp: process 'soft': the graph 'soft' has faults of its own",
        "soft.fbp: outport 'output':",
    ] {
        assert!(said.contains(expected), "{said}");
    }
}
