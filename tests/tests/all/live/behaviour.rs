//! How a live graph behaves when its code changes, crashes, or its readers are slow.

use imgflo_tests::editor::Editor;
use imgflo_tests::server::Server;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::runtime;

/// An operation whose pixels are what `body` makes of `in[i]`.
fn source(body: &str) -> String {
    format!(
        r#"#include <stdlib.h>
#include "imgflo-op.h"
static const char *render(const imgflo_call *call) {{
  for (int32_t y = 0; y < call->output.box.height; y++) {{
    const float *in = call->input.pixels + y * call->input.stride;
    float *out = call->output.pixels + y * call->output.stride;
    for (int32_t i = 0; i < 4 * call->output.box.width; i++) out[i] = {body};
  }}
  return NULL;
}}
static const imgflo_operation operation = {{
  .kind = IMGFLO_AREA, .format = IMGFLO_CODED, .keeps_opaque = 1, .name = "wave",
  .description = "For tests.", .render = render,
}};
IMGFLO_OPERATION(operation);
"#
    )
}

fn written(body: &str) -> Value {
    json!({ "name": "wave", "library": "c", "language": "c", "code": source(body) })
}

/// A runtime that takes code, and an editor with a graph of the operation.
async fn coding(body: &str) -> (Server, Editor) {
    let runtime = runtime(&["--live-code"]);
    let mut editor = Editor::connect(&runtime.url).await;
    editor.send("component", "source", written(body)).await;
    editor.until_component("c/wave").await;
    editor.draw("g", &[("before", "gegl/crop"), ("wave", "c/wave")]).await;
    (runtime, editor)
}

async fn picture(runtime: &Server, node: &str) -> (u16, Vec<u8>) {
    let answer = runtime.get(&format!("/process?graph=g&node={node}&width=100")).await;
    (answer.status().as_u16(), answer.bytes().await.expect("a body").to_vec())
}

/// A new revision is in the pictures at once, and is told of.
#[tokio::test(flavor = "multi_thread")]
async fn reload_live() {
    let (runtime, mut editor) = coding("in[i] * 0.5f").await;
    let (status, half) = picture(&runtime, "wave").await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&half));
    editor.picture_url(false).await;
    editor.send("component", "source", written("in[i] * 0.25f")).await;
    // Told without an edit of the graph. An address that is told late is of the revision before.
    loop {
        editor.picture_url(true).await;
        let (status, quarter) = picture(&runtime, "wave").await;
        assert_eq!(status, 200);
        if quarter != half {
            break;
        }
    }
}

/// What does not compile takes nothing's place.
#[tokio::test(flavor = "multi_thread")]
async fn reload_bad_op_keeps_old() {
    let (runtime, mut editor) = coding("in[i] * 0.5f").await;
    let (_, half) = picture(&runtime, "wave").await;
    for body in ["nonsense", "in[i] * ", "in[i]; }}}"] {
        let said = editor.refused("component", "source", written(body)).await;
        assert!(said.contains("wave.c:7:"), "{said}");
        assert_eq!(picture(&runtime, "wave").await, (200, half.clone()));
    }
    let said = editor.ask("component", "getsource", json!({ "name": "c/wave" })).await;
    assert_eq!(said["code"], source("in[i] * 0.5f").as_str());
}

/// Code that crashes ends its picture; the process is named, the others go on, and a better revision helps.
#[tokio::test(flavor = "multi_thread")]
async fn node_crash() {
    let (runtime, mut editor) = coding("(abort(), in[i])").await;
    let (status, said) = picture(&runtime, "wave").await;
    assert_eq!(status, 422);
    let said = serde_json::from_slice::<Value>(&said).expect("a problem");
    assert_eq!(said["node"], "wave");
    assert!(said["detail"].as_str().expect("a text").contains("crashed (SIGABRT)"), "{said}");
    let told = editor.until("network", "processerror").await;
    assert_eq!((&told["id"], &told["graph"]), (&json!("wave"), &json!("g")));
    assert_eq!(picture(&runtime, "before").await.0, 200);
    editor.send("component", "source", written("in[i]")).await;
    editor.until_component("c/wave").await;
    assert_eq!(picture(&runtime, "wave").await.0, 200);
}

/// A client that does not read is let go; the others, and memory, do not feel it.
#[tokio::test(flavor = "multi_thread")]
async fn backpressure() {
    let runtime = runtime(&[]);
    let address = runtime.url.trim_start_matches("http://").to_owned();
    let mut deaf = TcpStream::connect(&address).await.expect("connected");
    let upgrade = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    deaf.write_all(upgrade.as_bytes()).await.expect("sent");
    let mut head = [0; 12];
    deaf.read_exact(&mut head).await.expect("an answer");
    let mut editor = Editor::connect(&runtime.url).await;
    editor.ask("graph", "clear", json!({ "id": "g" })).await;
    editor.ask("graph", "addnode", json!({ "id": "a", "component": "gegl/nop", "graph": "g" })).await;
    let before = runtime.memory();
    let text = "x".repeat(100_000);
    for _ in 0..400 {
        editor.ask("graph", "changenode", json!({ "id": "a", "metadata": { "text": text }, "graph": "g" })).await;
    }
    assert!(runtime.memory() < before + (64 << 20), "{} bytes more", runtime.memory() - before);
    // Its line is closed, so what it was sent comes to an end.
    let mut rest = Vec::new();
    let end = tokio::time::timeout(std::time::Duration::from_secs(60), deaf.read_to_end(&mut rest)).await;
    assert!(end.is_ok(), "it is still connected");
    assert!(rest.len() < 40_000_000, "{}", rest.len());
}
