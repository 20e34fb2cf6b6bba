//! The clients and suites of others.

use std::process::{Command, Output};

use imgflo_tests::editor::Editor;
use serde_json::{Value, json};

use super::{npm, runtime};

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn port(url: &str) -> &str {
    url.rsplit(':').next().expect("a port")
}

/// npm fbp-protocol: 22 tests, with and without a secret.
#[test]
fn the_conformance_suite_passes() {
    for secret in [None, Some("a secret of many letters")] {
        let arguments = secret.iter().flat_map(|secret| ["--secret", secret]).collect::<Vec<_>>();
        let runtime = runtime(&arguments);
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::os::unix::fs::symlink(npm().join("node_modules"), folder.path().join("node_modules")).expect("a link");
        let config = json!({ "name": "imgflo", "host": "127.0.0.1", "port": port(&runtime.url).parse::<u16>().expect("a port"),
            "collection": "core", "version": "0.7" });
        std::fs::write(folder.path().join("fbp-config.json"), config.to_string()).expect("written");
        let output = Command::new("./node_modules/.bin/fbp-test")
            .current_dir(folder.path())
            .envs(secret.map(|secret| ("FBP_PROTOCOL_SECRET", secret)))
            .output()
            .expect("fbp-test runs");
        assert!(output.status.success() && text(&output).contains("22 passing"), "{}", text(&output));
    }
}

/// npm fbp-client and fbp-protocol-client: list, edit, start, edges, packets and live C code, where each answer keeps
/// to the schemas.
#[test]
fn client_libraries_drive_it() {
    let runtime = runtime(&["--live-code", "true", "--secret", "s"]);
    let address = runtime.url.replacen("http", "ws", 1);
    for script in ["fbp-client.js", "fbp-protocol-client.js"] {
        let output = Command::new("node").arg(npm().join(script)).args([&address, "s"]).output().expect("node runs");
        assert!(output.status.success() && text(&output).ends_with("done\n"), "{script}: {}", text(&output));
    }
}

/// npm fbp-spec: a suite of plain components and one of pictures.
#[test]
fn data_driven_tests_run() {
    let runtime = runtime(&["--secret", "s"]);
    let address = runtime.url.replacen("http", "ws", 1);
    let spec = |suite: &str| {
        let command = npm().join("node_modules/.bin/fbp-spec");
        let suite = npm().join(suite);
        Command::new(command).args(["--address", &address, "--secret", "s"]).arg(suite).output().expect("fbp-spec runs")
    };
    let output = spec("live.yaml");
    let said = text(&output);
    assert!(output.status.success() && said.matches('✓').count() == 6, "{said}");
    // The runner tells failures: one on purpose.
    let output = spec("live-wrong.yaml");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
}

/// What the original's own client and old editors do: no sub-protocol, the secret in the payload or at the top, graph
/// ids left out, and values in texts.
#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_session_of_an_old_client_is_replayed() {
    let runtime = runtime(&["--secret", "s", "--graph", "gaussianblur"]);
    let (mut editor, answer) = Editor::try_connect(&runtime.url, &[]).await.expect("connected");
    assert_eq!(answer.headers().get("sec-websocket-protocol"), None);
    let session = std::fs::read_to_string(npm().join("old-client.jsonl")).expect("the session");
    let lines = session.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")).collect::<Vec<_>>();
    assert_eq!(lines.len(), 27);
    let mut sent = 0;
    for line in lines {
        if line.get("send").is_some() {
            sent += 1;
            editor.send_text(line["send"].to_string()).await.expect("sent");
            continue;
        }
        let expected = &line["expect"];
        let found = editor
            .until(expected["protocol"].as_str().expect("a protocol"), expected["command"].as_str().expect("a command"))
            .await;
        for (key, value) in expected["payload"].as_object().expect("a payload") {
            assert_eq!(&found[key], value, "{key} of {expected}: {found}");
        }
        assert!(!found.to_string().contains("\"secret\""), "{found}");
    }
    assert_eq!(sent, 13);
}
