//! Graphs that only GEGL runs, served.

use std::path::{Path, PathBuf};
use std::time::Duration;

use imgflo_ops::{Cancel, codec};
use imgflo_tests::program::command;
use imgflo_tests::repository;
use imgflo_tests::server::Server;
use serde_json::Value;

use crate::c_operations::{children_named, until};

/// A server with one such graph, whose temporary files are below the folder.
fn start(folder: &Path) -> Server {
    let [graphs, scratch] = ["graphs", "scratch"].map(|name| folder.join(name));
    for folder in [&graphs, &scratch] {
        std::fs::create_dir(folder).unwrap();
    }
    let graph = "INPORT=neon.INPUT:INPUT\nINPORT=neon.RADIUS:RADIUS\nOUTPORT=vivid.OUTPUT:OUTPUT\n\
                 neon(gegl/edge-neon) OUTPUT -> INPUT vivid(gegl/color-enhance)\n";
    std::fs::write(graphs.join("neon.fbp"), graph).unwrap();
    let mut program = command();
    program.env("TMPDIR", &scratch).current_dir(repository());
    let graphs = graphs.to_str().unwrap();
    let more = ["--graphs", graphs, "--files", "files", "--engine", "auto", "--workers", "2"];
    Server::start_by(program, tempfile::tempdir().unwrap(), &more)
}

/// GEGL's processes of the server.
fn gegls(server: &Server) -> Vec<u32> {
    children_named(server.pid(), "imgflo-gegl")
}

fn is_gone(pid: &u32) -> bool {
    // One whose parent ended first may wait for somebody to hear of its end.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.rsplit(") ").next().is_some_and(|state| state.starts_with('Z'))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_that_only_gegl_runs_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path());
    let graphs: Value = serde_json::from_str(&server.get("/graphs").await.text().await.unwrap()).unwrap();
    let radius = &graphs["graphs"]["neon"]["inports"]["radius"]["metadata"];
    assert_eq!((&radius["type"], &radius["default"]), (&"number".into(), &5.0.into()), "{graphs}");
    let ask = async |query: &str| server.picture(&format!("/graph/neon.png?input=files/marbles.jpg{query}")).await;
    let limits = codec::DecodeLimits::new(1 << 24, 1 << 14);
    let mut pictures = Vec::new();
    for (query, width, height) in [("&width=120", 120, 80), ("&width=120&radius=9", 120, 80), ("&height=50", 75, 50)] {
        let bytes = ask(query).await;
        let picture = codec::decode(&bytes, limits, &Cancel::new()).expect("a picture");
        assert_eq!((picture.rect().width, picture.rect().height), (width, height), "{query}");
        pictures.push(bytes);
    }
    assert_ne!(pictures[0], pictures[1], "a parameter reaches GEGL");
    assert_eq!(ask("&width=120").await, pictures[0], "and the result is kept");
    let wrong = server.get("/graph/neon.png?input=files/marbles.jpg&radius=often").await;
    assert_eq!(wrong.status(), 422);

    let at_work = gegls(&server);
    assert!((1..=2).contains(&at_work.len()), "{at_work:?}");
    server.terminate();
    assert_eq!(server.wait(Duration::from_secs(30)), Some(0));
    until("the children end", || at_work.iter().all(is_gone));
    let left: Vec<PathBuf> =
        std::fs::read_dir(folder.path().join("scratch")).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_takes_its_children_along() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    server.picture("/graph/neon.png?input=files/marbles.jpg&width=60").await;
    let at_work = gegls(&server);
    assert!(!at_work.is_empty());
    server.kill();
    until("the children end", || at_work.iter().all(is_gone));
}
