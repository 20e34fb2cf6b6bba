//! A client of the FBP protocol.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// How long an answer may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection to a runtime.
pub struct Editor {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Goes with each message, as old clients have it: in the payload.
    pub secret: Option<String>,
}

impl Editor {
    /// Connects to a runtime at `http://...`, asking for the sub-protocol `noflo`.
    ///
    /// # Panics
    /// When it does not let one in.
    pub async fn connect(url: &str) -> Editor {
        let (editor, answer) =
            Editor::try_connect(url, &[("sec-websocket-protocol", "noflo")]).await.expect("connected");
        assert_eq!(answer.headers()["sec-websocket-protocol"], "noflo");
        editor
    }

    /// Connects with further headers.
    ///
    /// # Errors
    /// When it does not let one in.
    pub async fn try_connect(url: &str, headers: &[(&'static str, &str)]) -> Result<(Editor, Response), Error> {
        let mut request = url.replacen("http", "ws", 1).into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        let (socket, answer) = connect_async(request).await?;
        Ok((Editor { socket, secret: None }, answer))
    }

    /// Sends a message.
    ///
    /// # Panics
    /// When the connection is gone.
    pub async fn send(&mut self, protocol: &str, command: &str, mut payload: Value) {
        if let Some(secret) = &self.secret {
            payload["secret"] = secret.as_str().into();
        }
        let message = json!({ "protocol": protocol, "command": command, "payload": payload });
        self.send_text(message.to_string()).await.expect("the runtime takes messages");
    }

    /// Sends a text, whatever it is.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send_text(&mut self, text: String) -> Result<(), Error> {
        self.socket.send(Message::Text(text.into())).await
    }

    /// Sends bytes that are no text.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send_bytes(&mut self, bytes: Vec<u8>) -> Result<(), Error> {
        self.socket.send(Message::Binary(bytes.into())).await
    }

    /// The next message; none when the runtime closed the connection.
    ///
    /// # Panics
    /// When there is none within a minute, or when it is no JSON.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.expect("a message in time") {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// The next message, if one comes within that time.
    pub async fn next_within(&mut self, limit: Duration) -> Option<Value> {
        timeout(limit, self.next()).await.ok().flatten()
    }

    /// The payload of the next message of that command; others are passed over, errors are not.
    ///
    /// # Panics
    /// When an error or nothing comes.
    pub async fn until(&mut self, protocol: &str, command: &str) -> Value {
        self.until_that(protocol, command, |_| true).await
    }

    /// The payload of the next message of that command that `is_it`; others are passed over, errors are not.
    ///
    /// # Panics
    /// As [`Editor::until`].
    pub async fn until_that(&mut self, protocol: &str, command: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let mut message = self.next().await.expect("the runtime is there");
            if message["protocol"] == protocol && message["command"] == command && is_it(&message["payload"]) {
                return message["payload"].take();
            }
            assert_ne!(message["command"], "error", "{message}");
        }
    }

    /// Waits until the component `name` is told of. Components that changed for other reasons are passed over.
    ///
    /// # Panics
    /// As [`Editor::until`].
    pub async fn until_component(&mut self, name: &str) -> Value {
        self.until_that("component", "component", |component| component["name"] == name).await
    }

    /// The text of the next error. What the runtime tells all editors meanwhile is passed over.
    ///
    /// # Panics
    /// When none comes.
    pub async fn until_error(&mut self) -> String {
        loop {
            let message = self.next().await.expect("the runtime is there");
            if message["command"] == "error" {
                return message["payload"]["message"].as_str().expect("a message").to_owned();
            }
        }
    }

    /// Sends a message and waits for its answer; the payload of that.
    ///
    /// # Panics
    /// As [`Editor::until`].
    pub async fn ask(&mut self, protocol: &str, command: &str, payload: Value) -> Value {
        self.send(protocol, command, payload).await;
        self.until(protocol, answer(protocol, command)).await
    }

    /// Sends a message that is refused; what the runtime says.
    ///
    /// # Panics
    /// When it is done instead.
    pub async fn refused(&mut self, protocol: &str, command: &str, payload: Value) -> String {
        self.send(protocol, command, payload).await;
        loop {
            let message = self.next().await.expect("the runtime is there");
            if message["protocol"] != protocol {
                continue;
            }
            assert_ne!(message["command"], answer(protocol, command), "was done: {message}");
            if message["command"] == "error" {
                return message["payload"]["message"].as_str().expect("a message").to_owned();
            }
        }
    }

    /// Draws a graph of the shape `a -> b -> c`, starts it, and exports `input` and `output`.
    ///
    /// # Panics
    /// When any of it is refused.
    pub async fn draw(&mut self, id: &str, chain: &[(&str, &str)]) {
        self.ask("graph", "clear", json!({ "id": id, "main": true })).await;
        for (name, component) in chain {
            self.ask("graph", "addnode", json!({ "id": name, "component": component, "graph": id })).await;
        }
        for pair in chain.windows(2) {
            let (src, tgt) =
                (json!({ "node": pair[0].0, "port": "output" }), json!({ "node": pair[1].0, "port": "input" }));
            self.ask("graph", "addedge", json!({ "src": src, "tgt": tgt, "graph": id })).await;
        }
        let (first, last) = (chain[0].0, chain[chain.len() - 1].0);
        let inport = json!({ "public": "input", "node": first, "port": "input", "graph": id });
        self.ask("graph", "addinport", inport).await;
        let outport = json!({ "public": "output", "node": last, "port": "output", "graph": id });
        self.ask("graph", "addoutport", outport).await;
        self.ask("network", "start", json!({ "graph": id })).await;
    }

    /// The source of a graph that is edited.
    ///
    /// # Panics
    /// When there is none.
    pub async fn ask_for_source(&mut self, id: &str) -> String {
        self.ask("component", "getsource", json!({ "name": id })).await["code"].as_str().expect("a text").to_owned()
    }

    /// Sets a literal without waiting for its echo.
    ///
    /// # Panics
    /// When the connection is gone.
    pub async fn turn(&mut self, graph: &str, node: &str, port: &str, value: Value) {
        let payload = json!({ "src": { "data": value }, "tgt": { "node": node, "port": port }, "graph": graph });
        self.send("graph", "addinitial", payload).await;
    }

    /// The next address of the picture at the outport `output`; a draft's or an exact one's.
    ///
    /// # Panics
    /// When none comes.
    pub async fn picture_url(&mut self, draft: bool) -> String {
        loop {
            let payload = self.until("runtime", "packet").await;
            let url = payload["payload"].as_str().expect("an address").to_owned();
            if url.contains("&draft=1") == draft {
                return url;
            }
        }
    }
}

/// The command that answers another.
fn answer<'c>(protocol: &str, command: &'c str) -> &'c str {
    match (protocol, command) {
        ("runtime", "getruntime") => "runtime",
        ("runtime", "packet") => "packetsent",
        ("component", "getsource") => "source",
        ("network", "start") => "started",
        ("network", "stop") => "stopped",
        ("network", "getstatus") => "status",
        _ => command,
    }
}
