//! One program in an empty folder: its own graphs and samples, and what a folder of graphs changes of that.

use std::path::Path;
use std::process::{Command, Output};

use imgflo_tests::editor::Editor;
use imgflo_tests::server::Server;
use imgflo_tests::{program, repository};
use serde_json::{Value, json};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn command(folder: &Path) -> Command {
    let mut command = program::command();
    command.current_dir(folder);
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    command(folder).args(arguments).output().unwrap()
}

#[track_caller]
fn said(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

/// A server in a folder, with its data in it.
fn serve(folder: &Path, arguments: &[&str]) -> Server {
    Server::start_by(command(folder), tempfile::tempdir_in(folder).unwrap(), arguments)
}

async fn read(server: &Server, path: &str) -> Value {
    serde_json::from_slice(&server.get(path).await.bytes().await.unwrap()).unwrap()
}

async fn key(server: &Server, path: &str) -> String {
    let answer = server.get(path).await;
    let location = answer.headers().get("location").map(|location| location.to_str().unwrap().to_owned());
    location.unwrap_or_else(|| panic!("{path}: {}", answer.status()))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_graphs_and_samples_are_served() {
    let empty = folder();
    let server = serve(empty.path(), &[]);
    let listing: Value = read(&server, "/graphs").await;
    let served: Vec<&String> = listing["graphs"].as_object().unwrap().keys().collect();
    assert!(served.len() >= 24 && listing["faults"] == json!([]), "{served:?}");
    let files: Value = read(&server, "/files").await;
    let names: Vec<&str> =
        files["files"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["card.png", "lake.jpg", "leaf.png", "marbles.jpg"]);
    server.picture("/graph/sunset?input=files/marbles.jpg&width=80").await;

    // In a folder the same graphs are the same results: the keys are equal. The folder of files is the same.
    let exported = empty.path().join("mine");
    let all = said(empty.path(), &["graphs", "export", "mine"]);
    assert!(all.contains("25 of 25 files"), "{all}");
    let files = server.data.path().join("samples");
    let folders = ["--graphs", exported.to_str().unwrap(), "--files", files.to_str().unwrap()];
    let other = serve(empty.path(), &[&folders[..], &["--shipped-graphs", "false"]].concat());
    let mut seen = 0;
    for graph in served {
        let path = format!("/graph/{graph}.png?input=files/card.png&width=16");
        let (one, two) = (server.get(&path).await, other.get(&path).await);
        assert_eq!(one.status(), two.status(), "{graph}");
        if one.status() == 301 {
            assert_eq!(one.headers()["location"], two.headers()["location"], "{graph}");
            seen += 1;
        }
    }
    assert!(seen >= 15, "only {seen} keys were compared");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_graphs_adds_and_replaces() {
    let top = folder();
    let graphs = top.path().join("graphs");
    let before = serve(top.path(), &[]);
    let path = "/graph/sunset?input=files/card.png&width=16";
    let shipped = key(&before, path).await;
    assert_eq!(before.get("/graph/mine?input=files/card.png").await.status(), 404);
    // The folder comes while the server runs, with a graph of its own and one of a shipped name.
    std::fs::create_dir(&graphs).unwrap();
    let own = "# @runtime imgflo\nINPORT=a.INPUT:INPUT\nOUTPORT=a.OUTPUT:OUTPUT\na(gegl/gray)\n";
    std::fs::write(graphs.join("mine.fbp"), own).unwrap();
    std::fs::write(graphs.join("sunset.fbp"), own).unwrap();
    let start = std::time::Instant::now();
    while before.get("/graph/mine?input=files/card.png").await.status() == 404 {
        assert!(start.elapsed().as_secs() < 60, "the folder is not seen");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert_ne!(key(&before, path).await, shipped, "the graph of the folder wins");
    drop(before);

    // Named, the folder does the same; without the shipped graphs it is all that there is.
    let named = serve(top.path(), &["--graphs", "graphs"]);
    assert_eq!(named.get("/graph/oldfilm?input=files/card.png&width=16").await.status(), 301);
    assert_eq!(named.get("/graph/mine?input=files/card.png").await.status(), 301);
    drop(named);
    let alone = serve(top.path(), &["--graphs", "graphs", "--shipped-graphs", "false"]);
    let listing: Value = read(&alone, "/graphs").await;
    assert_eq!(listing["graphs"].as_object().unwrap().keys().collect::<Vec<_>>(), ["mine", "sunset"]);
}

#[test]
fn every_command_that_takes_graphs_has_the_shipped_ones() {
    let empty = folder();
    let picture = repository().join("files/card.png");
    let picture = picture.to_str().unwrap();
    said(empty.path(), &["render", "sunset", "-i", picture, "-o", "one.png", "-p", "width=40"]);
    // By its file in the clone the same graph makes the same picture.
    let file = repository().join("graphs/sunset.json");
    said(empty.path(), &["render", file.to_str().unwrap(), "-i", picture, "-o", "two.png", "-p", "width=40"]);
    let bytes = |name: &str| std::fs::read(empty.path().join(name)).unwrap();
    assert_eq!(bytes("one.png"), bytes("two.png"));
    let info: Value = serde_json::from_str(&said(empty.path(), &["graph", "info", "sunset"])).unwrap();
    assert!(info["inports"]["width"].is_object() || info["inports"].as_object().unwrap().len() > 1, "{info}");
    assert_eq!(said(empty.path(), &["graph", "check", "sunset", "imgflo"]), "sunset: ok\nimgflo: ok\n");
    assert!(said(empty.path(), &["graph", "diff", "sunset", "sunset", "-i", picture]).contains("distance: 0"));
    assert!(said(empty.path(), &["graph", "convert", "desaturate", ".json"]).starts_with('{'));
    assert!(said(empty.path(), &["graph", "versions", "sunset"]).contains("\n      1  shipped "));
    assert_eq!(said(empty.path(), &["procfile"]), std::fs::read_to_string(repository().join("Procfile")).unwrap());
    said(empty.path(), &["ops", "list"]);
    // A folder that is named must be there; a misspelt one is not taken for none.
    for arguments in [
        &["render", "sunset", "-i", picture, "-o", "x.png", "--graphs", "grahps"][..],
        &["graph", "info", "sunset", "--graphs", "grahps"],
        &["graph", "versions", "sunset", "--graphs", "grahps"],
        &["serve", "--graphs", "grahps"],
        &["serve", "--files", "flies"],
        &["runtime", "--graphs", "grahps"],
    ] {
        assert!(refused(empty.path(), arguments).contains(" must be a folder, got "), "{arguments:?}");
    }
    let error = refused(empty.path(), &["render", "sunste", "-i", picture, "-o", "x.png"]);
    assert!(error.contains("sunste"), "{error}");
}

#[test]
fn export_keeps_what_is_there() {
    let top = folder();
    let first = said(top.path(), &["graphs", "export", "a/b", "--samples", "pictures"]);
    assert!(first.contains("29 of 29"), "{first}");
    for (name, original) in [("a/b/sunset.json", "graphs/sunset.json"), ("pictures/lake.jpg", "files/lake.jpg")] {
        let bytes = std::fs::read(top.path().join(name)).unwrap();
        assert!(bytes == std::fs::read(repository().join(original)).unwrap(), "{name}");
    }
    // What is the same is no reason to refuse; what differs is named, and nothing is written.
    std::fs::remove_file(top.path().join("a/b/crop.json")).unwrap();
    std::fs::write(top.path().join("a/b/sunset.json"), "{}").unwrap();
    let error = refused(top.path(), &["graphs", "export", "a/b"]);
    assert!(error.contains("sunset.json: is there and differs") && error.contains("--force"), "{error}");
    assert!(!error.contains("oldfilm") && !top.path().join("a/b/crop.json").exists(), "{error}");
    let forced = said(top.path(), &["graphs", "export", "a/b", "--force"]);
    assert!(forced.contains("2 of 25"), "{forced}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_address_is_signed_and_works() {
    use std::io::{BufRead, BufReader};
    let top = folder();
    // Started by hand, as the helper reads the first line alone.
    for (more, path) in [
        (&["--api-key", "ann", "--api-secret", "sixteen letters!"][..], "/graph/ann/"),
        (&["--api-key", "ann"], "/graph/ann/sunset.jpg?"),
        (&["--allow-unsigned", "true"], "/graph/sunset?"),
        (&["--public-url", "http://127.0.0.1:1/images"], "/images/graph/sunset?"),
    ] {
        let mut server = command(top.path());
        server.args(["serve", "--bind", "0.0.0.0:0"]).args(more);
        if more[0] == "--public-url" {
            server.args(["--allow-unsigned", "true"]);
        }
        let mut server = server.stdout(std::process::Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map(Result::unwrap);
        let (first, second) = (lines.next().unwrap(), lines.next().unwrap());
        let url = second.strip_prefix("try").unwrap().trim().to_owned();
        let mut status = None;
        if more[0] != "--public-url" {
            assert!(url.starts_with("http://127.0.0.1:"), "{url}");
            status = Some(imgflo_tests::server::client().get(&url).send().await.unwrap().status().as_u16());
        }
        server.kill().unwrap();
        server.wait().unwrap();
        assert!(first.starts_with("imgflo serves http://127.0.0.1:"), "{first}");
        assert!(url.contains(path), "{url}");
        assert_eq!(status.unwrap_or(301), 301, "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shipped_graph_is_edited_and_saved_to_the_folder() {
    let top = folder();
    let server = serve(top.path(), &[]);
    let request = "/graph/gaussianblur.png?input=files/card.png&width=60";
    let before = server.picture(request).await;
    let data = tempfile::tempdir_in(top.path()).unwrap();
    let runtime = Server::runtime_by(command(top.path()), data, &["--graph", "gaussianblur"]);
    let mut editor = Editor::connect(&runtime.url).await;
    let source = editor.ask("component", "getsource", json!({ "name": "graph/desaturate" })).await;
    let shipped = std::fs::read_to_string(repository().join("graphs/desaturate.fbp")).unwrap();
    assert_eq!((&source["language"], source["code"].as_str()), (&json!("fbp"), Some(&*shipped)), "{source}");
    let told = editor.ask("runtime", "getruntime", json!({})).await;
    let id = told["graph"].as_str().unwrap().to_owned();
    let source: Value = serde_json::from_str(&editor.ask_for_source(&id).await).unwrap();
    let (blur, _) = source["processes"].as_object().unwrap().iter().next().unwrap();
    editor.turn(&id, blur, "std-dev-x", 9.into()).await;
    editor.until("graph", "addinitial").await;
    assert!(!top.path().join("graphs").exists());
    assert_eq!(editor.ask("network", "persist", json!({})).await, json!({}));
    // The folder came with it, and the shipped graph is its first version.
    assert!(top.path().join("graphs/gaussianblur.json").is_file());
    let versions = said(top.path(), &["graph", "versions", "gaussianblur"]);
    assert!(versions.contains("\n      1  ") && versions.contains("\n      2  "), "{versions}");
    let start = std::time::Instant::now();
    while server.picture(request).await == before {
        assert!(start.elapsed().as_secs() < 60, "the server does not see the graph");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    // Rolled back, it is the same graph, and so the same result.
    said(top.path(), &["graph", "rollback", "gaussianblur", "1"]);
    while server.picture(request).await != before {
        assert!(start.elapsed().as_secs() < 120, "the server does not see the graph");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_command_makes_the_address_where_only_the_database_knows_applications() {
    use std::io::{BufRead, BufReader};
    let top = folder();
    let added = said(top.path(), &["apps", "add", "--email", "ann@example.org", "--label", "shop", "--json"]);
    let added: Value = serde_json::from_str(&added).unwrap();
    let mut server = command(top.path());
    server.args(["serve", "--bind", "127.0.0.1:0"]).stdout(std::process::Stdio::piped());
    let mut server = server.spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map(Result::unwrap);
    let line = lines.nth(1).unwrap();
    let line = line.strip_prefix("try").unwrap().trim().replace('\'', "");
    let words: Vec<&str> = line.split(' ').collect();
    assert_eq!(words[..2], ["imgflo", "url"], "{line}");
    let filled = words[1..].iter().map(|word| match *word {
        "KEY" => added["key"].as_str().unwrap(),
        "SECRET" => added["secret"].as_str().unwrap(),
        word => word,
    });
    let url = said(top.path(), &filled.collect::<Vec<_>>());
    let status = imgflo_tests::server::client().get(url.trim()).send().await.unwrap().status();
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(status, 301, "{url}");
}
