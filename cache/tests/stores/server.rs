//! An S3 server on a folder, and a server that answers every request the same.

use std::net::SocketAddr;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use imgflo_cache::{Delivery, S3Options, S3Store};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

pub const BUCKET: &str = "results";
const KEY: &str = "test-key";
const SECRET: &str = "test-secret";

/// An S3 server with one bucket; it ends with the test's runtime.
pub struct S3Server {
    pub address: SocketAddr,
    pub folder: TempDir,
}

impl S3Server {
    pub async fn start() -> Self {
        Self::with_secret(SECRET).await
    }

    /// One that knows the client under another secret.
    pub async fn with_secret(secret: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).unwrap());
        service.set_auth(SimpleAuth::from_single(KEY, secret));
        let service = service.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        S3Server { address, folder }
    }
}

/// A server that answers each connection's first request with these bytes, or never if there are
/// none, and then closes.
pub async fn answering(answer: Option<&'static [u8]>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 64 << 10];
                let _ = socket.read(&mut request).await;
                match answer {
                    Some(answer) => _ = socket.write_all(answer).await,
                    None => std::future::pending().await,
                }
            });
        }
    });
    address
}

/// A store on a server of loopback.
pub async fn store(server: SocketAddr) -> S3Store {
    store_with(server, Delivery::Stream).await
}

pub async fn store_with(server: SocketAddr, delivery: Delivery) -> S3Store {
    let options = S3Options {
        bucket: BUCKET.into(),
        prefix: "p".into(),
        endpoint: Some(format!("http://{server}")),
        region: Some("us-east-1".into()),
        path_style: true,
        delivery,
    };
    S3Store::open_with(options, KEY, SECRET).await
}
