//! The page, in a real browser, while another client edits.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use imgflo_tests::editor::Editor;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::runtime;

/// A browser on one page.
struct Browser {
    child: Child,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    asked: u64,
    _profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Browser {
    async fn open(url: &str) -> Browser {
        let profile = tempfile::tempdir().expect("a temporary folder");
        let mut child = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-extensions",
            ])
            .args(["--remote-debugging-port=0", "--window-size=900,900"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(url)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("chromium is installed by scripts/setup");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let line = lines.find_map(|line| line.ok().filter(|line| line.contains("DevTools listening on")));
        let line = line.expect("the browser says where to ask it");
        std::thread::spawn(move || lines.for_each(drop));
        let address =
            line.split("ws://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address").to_owned();
        let client = imgflo_tests::server::client();
        let start = Instant::now();
        let page = loop {
            let list = client.get(format!("http://{address}/json/list")).send().await.expect("an answer");
            let list = serde_json::from_str::<Value>(&list.text().await.expect("a body")).expect("JSON");
            let page = list.as_array().and_then(|pages| pages.iter().find(|page| page["type"] == "page").cloned());
            if let Some(page) = page {
                break page["webSocketDebuggerUrl"].as_str().expect("an address").to_owned();
            }
            assert!(start.elapsed() < Duration::from_secs(60), "no page is open");
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        let (socket, _) = connect_async(page).await.expect("connected");
        Browser { child, socket, asked: 0, _profile: profile }
    }

    /// What an expression is on the page.
    async fn evaluate(&mut self, expression: &str) -> Value {
        self.asked += 1;
        let question = json!({ "id": self.asked, "method": "Runtime.evaluate",
            "params": { "expression": expression, "returnByValue": true, "awaitPromise": true } });
        self.socket.send(Message::Text(question.to_string().into())).await.expect("sent");
        loop {
            let answer = self.socket.next().await.expect("the browser is there").expect("a message");
            let Message::Text(text) = answer else { continue };
            let answer = serde_json::from_str::<Value>(&text).expect("JSON");
            if answer["id"] == self.asked {
                return answer["result"]["result"]["value"].clone();
            }
        }
    }

    /// Waits until an expression is true.
    async fn until(&mut self, expression: &str) {
        let start = Instant::now();
        while self.evaluate(expression).await != true {
            if start.elapsed() > Duration::from_secs(60) {
                let page = self.evaluate("document.body.outerHTML").await;
                panic!("never: {expression}\n{page}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

const PIXEL: &str = "(() => { const image = document.getElementById('picture'); const canvas = document.createElement('canvas'); \
    canvas.width = canvas.height = 1; const draw = canvas.getContext('2d'); draw.drawImage(image, 0, 0, 1, 1); \
    return [...draw.getImageData(0, 0, 1, 1).data]; })()";

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_what_another_client_edits() {
    let runtime = runtime(&[]);
    let mut editor = Editor::connect(&runtime.url).await;
    editor.draw("g", &[("bright", "gegl/brightness-contrast"), ("soft", "gegl/gaussian-blur")]).await;
    let mut browser = Browser::open(&format!("{}/", runtime.url)).await;
    // The page hears of pictures when something changes.
    browser.until("typeof graph === 'string'").await;
    let mut before = Value::Null;
    for (brightness, darker) in [(0.0, false), (-0.6, true), (0.6, false)] {
        editor.turn("g", "bright", "brightness", json!(brightness)).await;
        let echo = editor.until("graph", "addinitial").await;
        assert_eq!(echo["graph"], "g");
        browser.until("document.getElementById('picture').naturalWidth > 0 && document.getElementById('picture').dataset.draft === 'false'").await;
        tokio::time::sleep(Duration::from_millis(600)).await;
        browser
            .until("document.getElementById('picture').dataset.draft === 'false' && !loading && wanted === shown")
            .await;
        let pixel = browser.evaluate(PIXEL).await;
        let light = |pixel: &Value| pixel[0].as_i64().unwrap_or(-1);
        if before != Value::Null {
            assert_eq!(light(&pixel) < light(&before), darker, "{before} -> {pixel}");
        }
        before = pixel;
    }
    // An error is shown, too, and names the process.
    editor.turn("g", "soft", "std-dev-x", json!("wide")).await;
    browser.until("document.getElementById('state').textContent.startsWith(\"process 'soft': \")").await;
    assert_eq!(
        browser.evaluate("document.getElementById('endpoint').textContent").await,
        runtime.url.replacen("http", "ws", 1)
    );
}
