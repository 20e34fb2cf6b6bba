//! What a person made is there again: sources of operations, what was not saved, and what somebody else saved.

use std::path::Path;
use std::time::{Duration, Instant};

use imgflo_ops::codec;
use imgflo_ops::{Cancel, Pixels};
use imgflo_tests::editor::Editor;
use imgflo_tests::program::run;
use imgflo_tests::server::Server;
use serde_json::{Value, json};

use super::{graphs, runtime};
use crate::c_operations::live::flat;

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

async fn until<T>(what: &str, mut is_so: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = is_so().await {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "not so: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The colour of the first pixel.
fn colour(bytes: &[u8]) -> [u8; 3] {
    let limits = codec::DecodeLimits::new(1 << 20, 1 << 14);
    match codec::decode(bytes, limits, &Cancel::new()).expect("a picture").into_pixels() {
        Pixels::Rgb8(pixels) => pixels[0],
        Pixels::Rgba8(pixels) => [pixels[0][0], pixels[0][1], pixels[0][2]],
        Pixels::Float(_) => panic!("files have bytes"),
    }
}

async fn write(editor: &mut Editor, level: u32) {
    let source = json!({ "name": "flat", "library": "c", "language": "c", "code": flat(level) });
    editor.send("component", "source", source).await;
    editor.until_component("c/flat").await;
}

/// Draws `flat` cut to a few pixels.
async fn draw(editor: &mut Editor, id: &str) {
    editor.ask("graph", "clear", json!({ "id": id, "main": true })).await;
    for (name, component) in [("flat", "c/flat"), ("cut", "gegl/crop")] {
        editor.ask("graph", "addnode", json!({ "id": name, "component": component, "graph": id })).await;
    }
    let ends = |src: &str, tgt: &str| {
        let (src, tgt) = (json!({ "node": src, "port": "output" }), json!({ "node": tgt, "port": "input" }));
        json!({ "src": src, "tgt": tgt, "graph": id })
    };
    editor.ask("graph", "addedge", ends("flat", "cut")).await;
    let outport = json!({ "public": "output", "node": "cut", "port": "output", "graph": id });
    editor.ask("graph", "addoutport", outport).await;
    editor.ask("network", "start", json!({ "graph": id })).await;
    for port in ["width", "height"] {
        editor.turn(id, "cut", port, 4.into()).await;
        editor.until("graph", "addinitial").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_of_an_operation_is_saved_with_its_graph() {
    let folder = graphs();
    let path = folder.path().to_str().expect("a readable name");
    let arguments = ["--graphs", path, "--live-code"];
    // One that is there before the source is, and takes live code.
    let server = Server::start(&["--graphs", path, "--live-secret", "sixteen letters and more"]);
    let first = runtime(&arguments);
    let mut editor = Editor::connect(&first.url).await;
    write(&mut editor, 0x01_02_03).await;
    draw(&mut editor, "things/cop").await;
    assert_eq!(editor.ask("network", "persist", json!({})).await, json!({}));
    assert_eq!(read(&folder.path().join(".operations/flat.c")), flat(0x01_02_03));
    let served = async |server: &Server, wanted: [u8; 3]| {
        until("it is served", async || {
            let answer = server.get("/graph/cop.png").await;
            let place = answer.headers().get("location")?.to_str().expect("readable").to_owned();
            let place = place.strip_prefix(&server.url).unwrap_or(&place).to_owned();
            let bytes = server.get(&place).await.bytes().await.expect("a body");
            (colour(&bytes) == wanted).then_some(())
        })
        .await;
    };
    served(&server, [1, 2, 3]).await;
    // The next source takes its place; the one before stays on record.
    write(&mut editor, 0x04_05_06).await;
    assert_eq!(editor.ask("network", "persist", json!({})).await, json!({}));
    assert_eq!(read(&folder.path().join(".operations/flat.c")), flat(0x04_05_06));
    assert_eq!(read(&folder.path().join(".operations/.versions/flat/0001.c")), flat(0x01_02_03));
    served(&server, [4, 5, 6]).await;
    // Graph and source are one version: the first graph comes back with the first source, and the second one, too.
    for (version, level, pixel) in [("cop@1", 0x01_02_03, [1, 2, 3]), ("cop@2", 0x04_05_06, [4, 5, 6])] {
        let rolled = run(&["graph", "rollback", version, "--graphs", path]);
        let said = String::from_utf8_lossy(&rolled.stdout).into_owned();
        assert!(rolled.status.success() && said.contains("c/flat: its source is that of version"), "{said}{rolled:?}");
        assert_eq!(read(&folder.path().join(".operations/flat.c")), flat(level));
        served(&server, pixel).await;
        until("the editor has it", async || (editor.ask_for_source("c/flat").await == flat(level)).then_some(())).await;
    }
    // After a restart, and on a machine that shares the folder.
    drop(first.kill());
    let second = runtime(&arguments);
    let mut editor = Editor::connect(&second.url).await;
    assert_eq!(editor.ask_for_source("c/flat").await, flat(0x04_05_06));
    // Without live code it is the operator who builds it.
    let operations = folder.path().join(".operations");
    let operations = operations.to_str().expect("a readable name");
    let built = run(&["ops", "build", "--ops", operations]);
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let third = Server::start(&["--graphs", path, "--ops", operations]);
    served(&third, [4, 5, 6]).await;
    // The source goes, and all editors hear that the operation has gone, and where it is used.
    let mut other = Editor::connect(&second.url).await;
    other.ask("runtime", "getruntime", json!({})).await;
    draw(&mut editor, "things/again").await;
    std::fs::remove_file(folder.path().join(".operations/flat.c")).expect("it is there");
    for editor in [&mut editor, &mut other] {
        let mark = editor.until("network", "processerror").await;
        assert!(mark["error"].as_str().expect("a text").contains("c/flat"), "{mark}");
        loop {
            let message = editor.next().await.expect("the list");
            assert_ne!(message["payload"]["name"], "c/flat");
            if message["command"] == "componentsready" {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_in_trouble_tells_no_path() {
    let folder = graphs();
    let path = folder.path().to_str().expect("a readable name");
    let runtime = runtime(&["--graphs", path, "--live-code"]);
    let mut editor = Editor::connect(&runtime.url).await;
    write(&mut editor, 0x01_02_03).await;
    draw(&mut editor, "things/cop").await;
    // Neither sources nor versions can be kept there.
    for name in [".operations", ".versions"] {
        let place = folder.path().join(name);
        let _ = std::fs::remove_dir_all(&place);
        std::fs::write(place, "").expect("a file in its place");
    }
    let said = editor.refused("network", "persist", json!({})).await;
    assert!(said.contains(".operations") || said.contains(".versions"), "{said}");
    let data = runtime.data.path().to_str().expect("a readable name");
    for private in [path, data, "/tmp/"] {
        assert!(!said.contains(private), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_saved_is_there_after_a_crash() {
    let folder = graphs();
    let arguments = ["--graphs", folder.path().to_str().expect("a readable name"), "--live-code"];
    let first = runtime(&arguments);
    let mut editor = Editor::connect(&first.url).await;
    write(&mut editor, 0x07_08_09).await;
    draw(&mut editor, "things/half").await;
    editor.turn("things/half", "cut", "width", 77.into()).await;
    editor.until("graph", "addinitial").await;
    let source = editor.ask_for_source("things/half").await;
    let drafts = first.data.path().join("drafts/1");
    until("it is kept", async || {
        let files = std::fs::read_dir(&drafts).ok()?.flatten().map(|entry| entry.path()).collect::<Vec<_>>();
        let holds = |end: &str, text: &str| {
            files.iter().any(|file| file.to_string_lossy().ends_with(end) && read(file).contains(text))
        };
        (holds(".json", ":77") && holds("flat.c", "imgflo")).then_some(())
    })
    .await;
    let data = first.kill();
    assert!(!folder.path().join("half.json").exists() && !folder.path().join(".operations").exists(), "not served");
    let second = Server::runtime_in(data, &arguments);
    let mut editor = Editor::connect(&second.url).await;
    let again = editor.ask_for_source("things/half").await;
    let parse = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    assert_eq!(parse(&again), parse(&source));
    assert_eq!(editor.ask_for_source("c/flat").await, flat(0x07_08_09));
    let picture = second.get("/process?graph=things/half").await;
    assert_eq!(picture.status(), 200);
    assert_eq!(colour(&picture.bytes().await.expect("a body")), [7, 8, 9]);
    // Saved, it is a draft no more.
    assert_eq!(editor.ask("network", "persist", json!({})).await, json!({}));
    assert!(folder.path().join("half.json").exists());
    let drafts = second.data.path().join("drafts/1");
    until("the draft is gone", async || {
        let files = std::fs::read_dir(&drafts).ok()?.flatten();
        files.map(|entry| entry.file_name()).all(|name| name == ".lock").then_some(())
    })
    .await;
    let third = Server::runtime_in(second.kill(), &arguments);
    let mut editor = Editor::connect(&third.url).await;
    let refusal = editor.refused("component", "getsource", json!({ "name": "things/half" })).await;
    assert!(refusal.contains("no component"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn saving_over_somebody_elses_rollback_is_told() {
    let folder = graphs();
    let path = folder.path().to_str().expect("a readable name");
    let runtime = runtime(&["--graphs", path, "--graph", "gaussianblur"]);
    let mut editor = Editor::connect(&runtime.url).await;
    let main = "default/main";
    let source = serde_json::from_str::<Value>(&editor.ask_for_source(main).await).expect("JSON");
    let (blur, _) = source["processes"].as_object().expect("processes").iter().next().expect("one");
    let turn = async |editor: &mut Editor, value: u32| {
        editor.turn(main, blur, "std-dev-x", value.into()).await;
        editor.until("graph", "addinitial").await;
    };
    turn(&mut editor, 9).await;
    assert_eq!(editor.ask("network", "persist", json!({})).await, json!({}));
    let rolled = run(&["graph", "rollback", "gaussianblur", "1", "--graphs", path]);
    assert!(rolled.status.success(), "{}", String::from_utf8_lossy(&rolled.stderr));
    let before = std::fs::read_dir(folder.path()).expect("a folder").count();
    turn(&mut editor, 11).await;
    let refusal = editor.refused("network", "persist", json!({})).await;
    assert!(refusal.contains("changed by somebody else") && refusal.contains("save again"), "{refusal}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), before);
    // Who saves again means it.
    assert_eq!(editor.ask("network", "persist", json!({})).await, json!({}));
    let listed = run(&["graph", "versions", "gaussianblur", "--graphs", path]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let versions = listed.lines().filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit()));
    assert_eq!(versions.count(), 4, "{listed}");
}
