//! An HTTP server on loopback that says exactly what a test wants, byte by byte.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

/// What the server does on a connection, one after the other; then it closes.
pub enum Step {
    /// Sends bytes.
    Send(Vec<u8>),
    /// Sends the bytes again and again, with a pause each time.
    Drip(Vec<u8>, Duration),
    /// Keeps the connection open and says nothing.
    Hang,
    /// Waits until the gate is open.
    Wait(Gate),
}

/// Holds answers back until it is opened. Clones are the same gate.
#[derive(Clone, Default)]
pub struct Gate(CancellationToken);

impl Gate {
    /// Lets all through, now and later.
    pub fn open(&self) {
        self.0.cancel();
    }
}

/// The server; stops when dropped.
pub struct Origin {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    task: AbortHandle,
}

impl Origin {
    /// Serves what `answer` says for each path with its query.
    pub async fn start(answer: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (heard, answer) = (Arc::clone(&requests), Arc::new(answer));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (heard, answer) = (Arc::clone(&heard), Arc::clone(&answer));
                tokio::spawn(async move { talk(stream, &heard, &*answer).await });
            }
        });
        Origin { address, requests, task: task.abort_handle() }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The heads of all requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn talk(mut stream: TcpStream, heard: &Mutex<Vec<String>>, answer: &(impl Fn(&str) -> Vec<Step> + Sync)) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    heard.lock().unwrap().push(head);
    for step in answer(&path) {
        let sent = match step {
            Step::Send(bytes) => stream.write_all(&bytes).await,
            Step::Drip(bytes, pause) => loop {
                if let Err(error) = stream.write_all(&bytes).await {
                    break Err(error);
                }
                tokio::time::sleep(pause).await;
            },
            Step::Wait(gate) => {
                gate.0.cancelled().await;
                Ok(())
            }
            Step::Hang => {
                // Until the other side gives up.
                let _ = stream.read_u8().await;
                Ok(())
            }
        };
        if sent.is_err() {
            return;
        }
    }
    // A client that is still reading gets all of it before the connection goes.
    let _ = stream.shutdown().await;
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_u8()).await;
}

/// An answer with a body and an honest length.
pub fn answer(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<Step> {
    let length = body.len().to_string();
    let mut all = headers.to_vec();
    all.push(("Content-Length", &length));
    vec![head(status, &all), Step::Send(body.to_vec())]
}

/// The head of an answer.
pub fn head(status: &str, headers: &[(&str, &str)]) -> Step {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    Step::Send(format!("HTTP/1.1 {status}\r\nConnection: close\r\n{lines}\r\n").into_bytes())
}

/// A redirect.
pub fn redirect(status: &str, location: &str) -> Vec<Step> {
    answer(status, &[("Location", location)], b"")
}
