//! What leads to a broker, and can be cut.

use std::net::SocketAddr;
use std::time::Duration;

use imgflo_msgflo::{Link, Transport};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

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
}

impl Line {
    /// To the broker at `url`, which has no user.
    pub async fn lay(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (scheme, broker) = url.trim_end_matches('/').split_once("://").unwrap();
        let (scheme, broker) = (scheme.to_owned(), broker.to_owned());
        let (open, is_open) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (mut is_open, broker) = (is_open.clone(), broker.clone());
                tokio::spawn(async move {
                    if !*is_open.borrow() {
                        return;
                    }
                    let mut server = TcpStream::connect(broker).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = is_open.wait_for(|open| !open) => {}
                    }
                });
            }
        });
        Line { scheme, address, open }
    }

    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    pub fn mend(&self) {
        self.open.send_replace(true);
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
