//! What leads to a broker, and can be cut.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use imgflo_msgflo::{Link, Transport};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};

/// A hang is a failure.
pub async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), work).await.expect("it hangs")
}

pub fn name(what: &str) -> String {
    format!("{what}-{}", uuid::Uuid::new_v4())
}

pub struct Line {
    scheme: String,
    address: SocketAddr,
    open: watch::Sender<bool>,
    held: watch::Sender<bool>,
    said: broadcast::Sender<Vec<u8>>,
}

impl Line {
    /// To the broker at `url`, which has no user.
    pub async fn lay(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (scheme, broker) = url.trim_end_matches('/').split_once("://").unwrap();
        let (scheme, broker) = (scheme.to_owned(), broker.to_owned());
        let (open, is_open) = watch::channel(true);
        let (held, is_held) = watch::channel(false);
        let said = broadcast::Sender::new(100);
        let saying = said.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (mut is_open, broker, said) = (is_open.clone(), broker.clone(), saying.subscribe());
                let is_held = is_held.clone();
                tokio::spawn(async move {
                    if !*is_open.borrow() {
                        return;
                    }
                    let mut server = TcpStream::connect(broker).await.unwrap();
                    tokio::select! {
                        () = carry(&mut client, &mut server, is_held, said) => {}
                        _ = is_open.wait_for(|open| !open) => {}
                    }
                });
            }
        });
        Line { scheme, address, open, held, said }
    }

    /// Says something to the broker in the name of every client, which do not hear the answer. Both must be silent at that
    /// moment.
    pub fn say(&self, bytes: &[u8]) {
        self.said.send(bytes.to_vec()).unwrap();
    }

    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Has the broker hear nothing for a while.
    pub fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    pub fn mend(&self) {
        self.open.send_replace(true);
    }
}

/// Carries bytes both ways, and what is said beside to the server, until either side ends.
async fn carry(
    client: &mut TcpStream,
    server: &mut TcpStream,
    mut is_held: watch::Receiver<bool>,
    mut said: broadcast::Receiver<Vec<u8>>,
) {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) = (client.split(), server.split());
    let unheard = AtomicUsize::new(0);
    let back = async {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(count @ 1..) = from_server.read(&mut bytes).await {
            // A packet of MQTT that is an answer to what was said: type, length below 128, the rest.
            let answer = match unheard.load(Ordering::SeqCst) {
                0 => 0,
                _ if count > 1 => unheard.fetch_sub(1, Ordering::SeqCst).min(1) * (2 + usize::from(bytes[1])),
                _ => 0,
            };
            if to_client.write_all(&bytes[answer.min(count)..count]).await.is_err() {
                return;
            }
        }
    };
    let there = async {
        let mut bytes = vec![0; 1 << 16];
        loop {
            tokio::select! {
                read = from_client.read(&mut bytes) => {
                    let _ = is_held.wait_for(|held| !held).await;
                    match read {
                        Ok(count) if count > 0 && to_server.write_all(&bytes[..count]).await.is_ok() => {}
                        _ => return,
                    }
                }
                Ok(said) = said.recv() => {
                    unheard.fetch_add(1, Ordering::SeqCst);
                    to_server.write_all(&said).await.unwrap();
                }
            }
        }
    };
    tokio::select! {
        () = back => {}
        () = there => {}
    }
}

pub async fn becomes(transport: &dyn Transport, wanted: Link) {
    let mut link = transport.link();
    within(link.wait_for(|link| *link == wanted)).await.unwrap();
}

pub async fn send_again(transport: &dyn Transport, outport: &str, message: &'static str) {
    within(async {
        while transport.send(outport, message.into()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}
