//! A browser, driven by the Chrome DevTools Protocol.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// A browser on one page.
pub struct Browser {
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
    /// Opens a page in a window of 900 x 900 pixels.
    ///
    /// # Panics
    /// When there is no browser, or when it does not come up.
    pub async fn open(url: &str) -> Browser {
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
        let client = crate::server::client();
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

    /// Sends a command of the Chrome DevTools Protocol; the result.
    ///
    /// # Panics
    /// When the browser is gone, or refuses.
    pub async fn command(&mut self, method: &str, params: &Value) -> Value {
        self.asked += 1;
        let question = json!({ "id": self.asked, "method": method, "params": params });
        self.socket.send(Message::Text(question.to_string().into())).await.expect("sent");
        loop {
            let answer = self.socket.next().await.expect("the browser is there").expect("a message");
            let Message::Text(text) = answer else { continue };
            let mut answer = serde_json::from_str::<Value>(&text).expect("JSON");
            if answer["id"] == self.asked {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].take();
            }
        }
    }

    /// Evaluates an expression on the page, and waits for it if it is a promise.
    ///
    /// # Panics
    /// As [`Browser::command`]; when the expression throws.
    pub async fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut answer = self.command("Runtime.evaluate", &params).await;
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// Waits until an expression is true. One that throws is not yet true.
    ///
    /// # Panics
    /// When it is not true within a minute.
    pub async fn until(&mut self, expression: &str) {
        let start = Instant::now();
        let guarded = format!("(() => {{ try {{ return {expression}; }} catch {{ return false; }} }})()");
        while self.evaluate(&guarded).await != true {
            if start.elapsed() > Duration::from_secs(60) {
                let page = self.evaluate("document.body.outerHTML").await;
                panic!("never: {expression}\n{page}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Gives the page a screen of this size, pixels, and a colour scheme: `light` or `dark`.
    ///
    /// # Panics
    /// As [`Browser::command`].
    pub async fn screen(&mut self, width: u32, height: u32, scheme: &str) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.command("Emulation.setDeviceMetricsOverride", &size).await;
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.command("Emulation.setEmulatedMedia", &features).await;
    }

    /// Presses a key, by its name in DOM events, such as `ArrowUp`.
    ///
    /// # Panics
    /// As [`Browser::command`].
    pub async fn press(&mut self, key: &str, code: u32) {
        for kind in ["rawKeyDown", "keyUp"] {
            let event = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code });
            self.command("Input.dispatchKeyEvent", &event).await;
        }
    }

    /// Takes a picture of the screen, PNG.
    ///
    /// # Panics
    /// As [`Browser::command`].
    pub async fn screenshot(&mut self) -> Vec<u8> {
        let picture = self.command("Page.captureScreenshot", &json!({ "format": "png" })).await;
        BASE64.decode(picture["data"].as_str().expect("a picture")).expect("base64")
    }
}
