//! Pictures while a graph is edited.

use std::time::Duration;

use imgflo_ops::{Cancel, Image, codec};
use imgflo_tests::editor::Editor;
use imgflo_tests::server::Server;
use serde_json::{Value, json};

use super::runtime;

fn decode(bytes: &[u8]) -> Image {
    let limits = codec::DecodeLimits::new(1 << 24, 1 << 14);
    codec::decode(bytes, limits, &Cancel::new()).expect("a picture")
}

async fn get(runtime: &Server, url: &str) -> Vec<u8> {
    let answer = runtime.client().get(url).send().await.expect("an answer");
    let status = answer.status();
    let bytes = answer.bytes().await.expect("a body");
    assert_eq!(status, 200, "{url}: {}", String::from_utf8_lossy(&bytes));
    bytes.to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_are_told_as_drafts_and_then_exactly() {
    let runtime = runtime(&["--graph", "gaussianblur", "--input", "files/lake.jpg"]);
    let mut editor = Editor::connect(&runtime.url).await;
    editor.ask("runtime", "getruntime", json!({})).await;
    editor.send("network", "start", json!({ "graph": "default/main" })).await;
    let draft = get(&runtime, &editor.picture_url(true).await).await;
    let url = editor.picture_url(false).await;
    let exact = get(&runtime, &url).await;
    assert_eq!(decode(&draft).rect(), decode(&exact).rect());
    // As a request for the graph would be made, at that size.
    let answer = runtime.client().get(&url).header("accept", "image/jpeg").send().await.expect("an answer");
    assert_eq!(answer.headers()["content-type"], "image/jpeg");
    let tag = answer.headers()["etag"].clone();
    let again = runtime.client().get(&url).header("accept", "image/jpeg").header("if-none-match", tag);
    assert_eq!(again.send().await.expect("an answer").status(), 304);
    // A part, and other sizes.
    let part = get(&runtime, &format!("{}/process?graph=default/main&roi=10,20,100,50", runtime.url)).await;
    assert_eq!((decode(&part).rect().width, decode(&part).rect().height), (100, 50));
    let small = get(&runtime, &format!("{}/process?graph=default/main&width=64", runtime.url)).await;
    assert_eq!(decode(&small).rect().width, 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_for_is_told() {
    let runtime = runtime(&["--graph", "gaussianblur"]);
    for (query, status, said) in [
        ("graph=nothing", 400, "'graph' not specified or wrong"),
        ("graph=default/main&node=nothing", 400, "'node' not specified or wrong"),
        ("graph=default/main&width=100000", 400, "limit of 4096"),
        ("graph=default/main&width=x", 400, "width"),
        ("graph=default/main&roi=1,2,3", 400, "x,y,width,height"),
        ("graph=default/main&draft=7", 400, "'draft'"),
    ] {
        let answer = runtime.get(&format!("/process?{query}")).await;
        assert_eq!(answer.status(), status, "{query}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let text = answer.text().await.expect("a body");
        assert!(text.contains(said), "{query}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_name_the_process() {
    let runtime = runtime(&[]);
    let mut editor = Editor::connect(&runtime.url).await;
    editor.draw("g", &[("cut", "gegl/crop"), ("soft", "gegl/gaussian-blur")]).await;
    editor.picture_url(true).await;
    editor.turn("g", "soft", "std-dev-x", json!("wide")).await;
    let told = editor.until("network", "processerror").await;
    assert_eq!((&told["id"], &told["graph"]), (&json!("soft"), &json!("g")));
    assert!(told["error"].as_str().expect("a text").contains("'wide' is no number"), "{told}");
    let answer = runtime.get("/process?graph=g&node=soft").await;
    assert_eq!(answer.status(), 422);
    let problem = answer.text().await.expect("a body");
    assert!(problem.contains("\"node\":\"soft\""), "{problem}");
    // What is before it is still there, and told once right again.
    get(&runtime, &format!("{}/process?graph=g&node=cut", runtime.url)).await;
    editor.turn("g", "soft", "std-dev-x", json!(3)).await;
    editor.picture_url(true).await;
    // A component that does not exist.
    editor.ask("graph", "addnode", json!({ "id": "what", "component": "gegl/gausian-blur", "graph": "g" })).await;
    let answer = runtime.get("/process?graph=g&node=what").await;
    assert_eq!(answer.status(), 422);
    assert!(answer.text().await.expect("a body").contains("did you mean"), "it helps");
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_set_what_goes_in() {
    let runtime = runtime(&[]);
    let mut editor = Editor::connect(&runtime.url).await;
    editor.draw("g", &[("cut", "gegl/crop")]).await;
    let width = json!({ "public": "width", "node": "cut", "port": "width", "graph": "g" });
    editor.ask("graph", "addinport", width).await;
    editor.turn("g", "cut", "height", 40.into()).await;
    let packet =
        |port: &str, payload: Value| json!({ "port": port, "event": "data", "graph": "g", "payload": payload });
    for sent in [packet("width", 70.into()), packet("input", "files/card.png".into())] {
        editor.send("runtime", "packet", sent.clone()).await;
        assert_eq!(editor.until("runtime", "packetsent").await, sent);
    }
    let picture = get(&runtime, &format!("{}/process?graph=g", runtime.url)).await;
    assert_eq!((decode(&picture).rect().width, decode(&picture).rect().height), (70, 40));
    // A literal takes the place of a packet.
    editor.turn("g", "cut", "width", 33.into()).await;
    editor.until("graph", "addinitial").await;
    let picture = get(&runtime, &format!("{}/process?graph=g", runtime.url)).await;
    assert_eq!(decode(&picture).rect().width, 33);
    // A picture from a page, and one that is none.
    let bytes = std::fs::read(imgflo_tests::sample("marbles.jpg")).expect("the sample");
    let post = async |bytes: Vec<u8>| {
        runtime.client().post(format!("{}/input", runtime.url)).body(bytes).send().await.expect("an answer")
    };
    let address = post(bytes).await.text().await.expect("a body");
    let address = serde_json::from_str::<Value>(&address).expect("JSON")["input"].clone();
    editor.send("runtime", "packet", packet("input", address)).await;
    editor.until("runtime", "packetsent").await;
    get(&runtime, &format!("{}/process?graph=g", runtime.url)).await;
    assert_eq!(post(b"no picture".to_vec()).await.status(), 422);
    let refusal = editor.refused("runtime", "packet", packet("nothing", 1.into())).await;
    assert!(refusal.contains("no inport 'nothing'"), "{refusal}");
}

/// 60 edits a second: no growth, pictures all the time, and the last edit's at the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_knob_that_is_turned_is_followed() {
    let seconds = if std::env::var_os("IMGFLO_TEST_LONG").is_some() { 60 } else { 6 };
    let runtime = runtime(&["--memory", "64MiB"]);
    let mut editor = Editor::connect(&runtime.url).await;
    let chain = [
        ("a", "gegl/brightness-contrast"),
        ("b", "gegl/gaussian-blur"),
        ("c", "gegl/exposure"),
        ("d", "gegl/saturation"),
    ];
    editor.draw("g", &chain).await;
    let url = format!("{}/process?graph=g&width=400&draft=1", runtime.url);
    let client = runtime.client().clone();
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (ended, address) = (done.clone(), url.clone());
    let viewer = tokio::spawn(async move {
        let mut seen = std::collections::HashSet::new();
        let mut count = 0;
        while !ended.load(std::sync::atomic::Ordering::Relaxed) {
            let answer = client.get(&address).header("accept", "image/*").send().await.expect("an answer");
            assert_eq!(answer.status(), 200);
            seen.insert(answer.bytes().await.expect("a body"));
            count += 1;
        }
        (seen.len(), count)
    });
    let mut pace = tokio::time::interval(Duration::from_micros(16_667));
    let mut early = 0;
    for step in 0..60 * seconds {
        pace.tick().await;
        editor.turn("g", "c", "exposure", json!(f64::from(step % 40) / 20.0 - 1.0)).await;
        editor.until("graph", "addinitial").await;
        if step == 60 * seconds / 3 {
            early = runtime.memory();
        }
    }
    editor.turn("g", "c", "exposure", json!(0.123)).await;
    editor.until("graph", "addinitial").await;
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    let (different, count) = viewer.await.expect("the viewer ends");
    assert!(different > 10 && count >= different, "{different} of {count}");
    let late = runtime.memory();
    assert!(late < early + (80 << 20), "{early} bytes, then {late}");
    let last = get(&runtime, &url).await;
    // The same graph, drawn at once.
    let fresh = super::runtime(&[]);
    let mut other = Editor::connect(&fresh.url).await;
    other.draw("g", &chain).await;
    other.turn("g", "c", "exposure", json!(0.123)).await;
    other.until("graph", "addinitial").await;
    let expected = get(&fresh, &format!("{}/process?graph=g&width=400&draft=1", fresh.url)).await;
    assert!(last == expected, "the last edit's picture is not the one that is shown");
}

/// An editor that waits for an exact picture gets a draft of the newest graph when an edit comes.
#[tokio::test(flavor = "multi_thread")]
async fn an_exact_picture_gives_way_to_a_draft() {
    let runtime = runtime(&["--input", "files/lake.jpg"]);
    let mut editor = Editor::connect(&runtime.url).await;
    // Small drafts are quick; the whole takes seconds.
    editor.draw("g", &[("a", "gegl/noise-reduction"), ("b", "gegl/exposure")]).await;
    editor.turn("g", "a", "iterations", 32.into()).await;
    editor.until("graph", "addinitial").await;
    let look = format!("{}/process?graph=g&width=60", runtime.url);
    let ask = async |url: String| {
        let answer = runtime.client().get(url).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let draft = answer.headers().get("imgflo-draft").is_some_and(|value| value == "true");
        (draft, answer.bytes().await.expect("a body"))
    };
    let edit = async {
        // By now it is being made.
        tokio::time::sleep(Duration::from_millis(100)).await;
        editor.turn("g", "b", "exposure", 0.5.into()).await;
        editor.until("graph", "addinitial").await;
    };
    let (told, ()) = tokio::join!(ask(format!("{look}&v=7")), edit);
    assert_eq!(told, ask(format!("{look}&draft=1")).await);
    assert!(told.0, "it is a draft");
    assert!(!ask(look).await.0, "the exact picture is there when it is quiet");
}

/// A graph on GEGL runs as a whole, whatever of it was looked at before.
#[tokio::test(flavor = "multi_thread")]
async fn pictures_on_gegl_are_made_one_after_another() {
    let runtime = runtime(&["--input", "files/card.png"]);
    let mut editor = Editor::connect(&runtime.url).await;
    editor.draw("g", &[("a", "gegl/alien-map"), ("b", "gegl/gaussian-blur"), ("c", "gegl/nop")]).await;
    let mut seen = Vec::new();
    for node in ["a", "b", "c", "b"] {
        for draft in [1, 0] {
            seen.push(
                get(&runtime, &format!("{}/process?graph=g&node={node}&width=80&draft={draft}", runtime.url)).await,
            );
        }
    }
    assert!(seen[0] != seen[2] && seen[2] == seen[4] && seen[2] == seen[6]);
    editor.turn("g", "b", "std-dev-x", 9.into()).await;
    editor.until("graph", "addinitial").await;
    assert!(get(&runtime, &format!("{}/process?graph=g&node=c&width=80", runtime.url)).await != seen[4]);
}
