//! What strangers and broken clients do.

use std::time::Duration;

use imgflo_tests::editor::Editor;
use imgflo_tests::server::Server;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::runtime;

/// It answers, and edits.
async fn works(runtime: &Server) {
    let mut editor = Editor::connect(&runtime.url).await;
    editor.ask("runtime", "getruntime", json!({})).await;
    editor.ask("graph", "clear", json!({ "id": "works" })).await;
    editor.ask("graph", "addnode", json!({ "id": "a", "component": "gegl/nop", "graph": "works" })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_answered_and_the_connection_goes_on() {
    let runtime = runtime(&[]);
    let mut editor = Editor::connect(&runtime.url).await;
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let payloads = [
        "",
        "{",
        "null",
        "[]",
        "\"text\"",
        "{}",
        r#"{"protocol":"graph"}"#,
        r#"{"protocol":5,"command":"x"}"#,
        r#"{"protocol":"graph","command":"addnode","payload":5}"#,
        r#"{"protocol":"graph","command":"addnode","payload":{"graph":5}}"#,
        r#"{"protocol":"graph","command":"clear","payload":{"id":""}}"#,
        r#"{"protocol":"nothing","command":"x","payload":{}}"#,
        r#"{"protocol":"trace","command":"start","payload":{"graph":"x"}}"#,
        r#"{"protocol":"network","command":"edges","payload":{"graph":"x","edges":[{"src":1}]}}"#,
        r#"{"protocol":"runtime","command":"packet","payload":{"port":"in","event":"data"}}"#,
        r#"{"protocol":"component","command":"source","payload":{"name":"../../x","language":"json","code":"{}"}}"#,
        r#"{"protocol":"component","command":"source","payload":{"name":"x","language":"cobol","code":""}}"#,
        r#"{"protocol":"component","command":"getsource","payload":{"name":"../Cargo"}}"#,
        r#"{"protocol":"component","command":"getsource","payload":{"name":"c/../../etc/passwd"}}"#,
        deep.as_str(),
    ];
    for payload in payloads {
        editor.send_text(payload.to_owned()).await.expect("sent");
        let message = editor.until_error().await;
        assert!(!message.is_empty() && message.len() < 1000 && !message.contains("/home"), "{message}");
    }
    editor.send_bytes(vec![0; 1000]).await.expect("sent");
    assert_eq!(editor.until_error().await, "messages are texts, not bytes");
    works(&runtime).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_message_ends_its_connection_only() {
    let runtime = runtime(&[]);
    let mut other = Editor::connect(&runtime.url).await;
    let before = runtime.memory();
    for _ in 0..5 {
        let mut editor = Editor::connect(&runtime.url).await;
        let message = json!({ "protocol": "graph", "command": "clear", "payload": { "id": "x".repeat(10 << 20) } });
        // The runtime may hang up in the middle.
        let _ = editor.send_text(message.to_string()).await;
        assert!(editor.next().await.is_none(), "it was taken");
    }
    other.ask("runtime", "getruntime", json!({})).await;
    assert!(runtime.memory() < before + (64 << 20), "{} bytes", runtime.memory());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_connections_leave_nothing_behind() {
    let runtime = runtime(&[]);
    works(&runtime).await;
    let descriptors = runtime.descriptors();
    let connect = |url: String| async move { Editor::try_connect(&url, &[]).await };
    let connected = futures::future::join_all((0..1000).map(|_| connect(runtime.url.clone()))).await;
    let mut editors = connected.into_iter().flatten().map(|(editor, _)| editor).collect::<Vec<_>>();
    assert!(editors.len() >= 200, "{}", editors.len());
    let mut served = 0;
    for editor in &mut editors {
        if editor.send_text(json!({ "protocol": "runtime", "command": "getruntime" }).to_string()).await.is_ok()
            && editor.next_within(Duration::from_secs(10)).await.is_some()
        {
            served += 1;
        }
    }
    assert_eq!(served, 200);
    drop(editors);
    for _ in 0..100 {
        if runtime.descriptors() <= descriptors + 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(runtime.descriptors() <= descriptors + 2, "{} descriptors, {descriptors} before", runtime.descriptors());
    works(&runtime).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_secret_nothing_is_told() {
    let runtime = runtime(&["--secret", "to edit", "--view-secret", "to look", "--graph", "gaussianblur"]);
    let mut stranger = Editor::connect(&runtime.url).await;
    for secret in [None, Some("wrong"), Some("to edi"), Some("to edit ")] {
        stranger.secret = secret.map(str::to_owned);
        let told = stranger.ask("runtime", "getruntime", json!({})).await;
        assert_eq!(told["capabilities"], json!([]));
        assert_eq!(told.get("graph"), None);
        for (protocol, command) in
            [("graph", "clear"), ("component", "list"), ("network", "persist"), ("network", "getstatus")]
        {
            let refusal = stranger.refused(protocol, command, json!({ "id": "x", "graph": "default/main" })).await;
            assert!(refusal.starts_with("not allowed"), "{refusal}");
        }
    }
    let mut viewer = Editor::connect(&runtime.url).await;
    viewer.secret = Some("to look".into());
    let told = viewer.ask("runtime", "getruntime", json!({})).await;
    assert_eq!(told["graph"], "default/main");
    assert!(viewer.refused("graph", "clear", json!({ "id": "x" })).await.contains("'edit'"));
    let mut editor = Editor::connect(&runtime.url).await;
    editor.secret = Some("to edit".into());
    editor.send("network", "start", json!({ "graph": "default/main" })).await;
    let url = editor.picture_url(true).await;
    // Who only looks hears of pictures, and not of packets, which that level does not have.
    while let Some(message) = viewer.next_within(Duration::from_millis(300)).await {
        assert_ne!(message["protocol"], "runtime", "{message}");
    }
    let get = async |url: &str| runtime.client().get(url).send().await.expect("an answer").status();
    assert_eq!(get(&url).await, 200);
    let (without, _) = url.split_once("&ticket=").expect("a ticket");
    assert_eq!(get(without).await, 403);
    assert_eq!(get(&format!("{without}&ticket=0")).await, 403);
    assert_eq!(get(&format!("{without}&secret=to%20look")).await, 200);
    // The stranger has heard of nothing.
    assert!(stranger.next_within(Duration::from_millis(300)).await.is_none());
    let code = editor.refused("component", "source", json!({ "name": "x", "language": "c", "code": "" })).await;
    assert!(code.contains("--live-code"), "{code}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_strange_origin_gets_nothing_though_it_is_open() {
    let runtime = runtime(&[]);
    for (origin, allowed) in [
        ("https://evil.example", false),
        ("http://localhost:8080", true),
        ("https://app.flowhub.io", true),
        ("null", false),
    ] {
        let (mut editor, _) = Editor::try_connect(&runtime.url, &[("origin", origin)]).await.expect("connected");
        let told = editor.ask("runtime", "getruntime", json!({})).await;
        assert_eq!(!told["capabilities"].as_array().expect("a list").is_empty(), allowed, "{origin}");
        if !allowed {
            assert!(editor.refused("graph", "clear", json!({ "id": "x" })).await.starts_with("not allowed"));
        }
    }
}

/// Connections that say nothing, stop in the middle, or never read do not keep others waiting.
#[tokio::test(flavor = "multi_thread")]
async fn half_open_lines_do_no_harm() {
    let runtime = runtime(&[]);
    let address = runtime.url.trim_start_matches("http://").to_owned();
    let mut open = Vec::new();
    for begin in [
        "",
        "GET / HTTP/1.1\r\nHost: x\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    ] {
        for _ in 0..20 {
            let mut line = TcpStream::connect(&address).await.expect("connected");
            line.write_all(begin.as_bytes()).await.expect("sent");
            open.push(line);
        }
    }
    let mut deaf = open.pop().expect("one that was upgraded");
    let mut head = [0; 12];
    deaf.read_exact(&mut head).await.expect("an answer");
    assert_eq!(&head, b"HTTP/1.1 101");
    let before = runtime.memory();
    let mut editor = Editor::connect(&runtime.url).await;
    editor.ask("graph", "clear", json!({ "id": "g" })).await;
    editor.ask("graph", "addnode", json!({ "id": "a", "component": "gegl/nop", "graph": "g" })).await;
    let text = "x".repeat(100_000);
    // More than any of those may have waiting.
    for _ in 0..250 {
        editor.ask("graph", "changenode", json!({ "id": "a", "metadata": { "text": text }, "graph": "g" })).await;
    }
    assert!(runtime.memory() < before + (600 << 20), "{} bytes", runtime.memory() - before);
    works(&runtime).await;
}

/// A page whose name was made to lead here is of this origin to its browser.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_here_shows_nothing() {
    let runtime = runtime(&["--graph", "gaussianblur"]);
    let port = runtime.url.rsplit(':').next().expect("a port").to_owned();
    for (host, status) in [("evil.example", 403), ("localhost", 200), ("127.0.0.1", 200)] {
        let request = runtime.client().get(format!("{}/process?width=50", runtime.url));
        let answer = request.header("host", format!("{host}:{port}")).send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{host}");
    }
}
