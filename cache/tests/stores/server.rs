//! An S3 server on a folder, and servers that do as a test says.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use imgflo_cache::{Delivery, S3Limits, S3Options, S3Store};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub const BUCKET: &str = "results";
pub const KEY: &str = "test-key";
pub const SECRET: &str = "test-secret";

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

/// A server that answers by a function of the number of the request (from 0) and the request. Tells how many it had.
pub async fn serving(
    answer: impl Fn(usize, &Request<Incoming>) -> Response<String> + Send + Sync + 'static,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (count, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(answer));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (count, answer) = (Arc::clone(&count), Arc::clone(&answer));
            let service = service_fn(move |request| {
                let response = answer(count.fetch_add(1, Ordering::SeqCst), &request);
                std::future::ready(Ok::<_, Infallible>(response))
            });
            tokio::spawn(async move {
                let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    (address, counted)
}

/// An empty answer with this status.
pub fn status(status: u16) -> Response<String> {
    Response::builder().status(status).body(String::new()).unwrap()
}

/// A line to a server that is cut when so many bytes of a connection have gone there.
pub async fn cut_after(bytes: u64, server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut there = TcpStream::connect(server).await.unwrap();
                let (from, mut to) = socket.into_split();
                let (mut back, mut forth) = there.split();
                let mut first = from.take(bytes);
                tokio::select! {
                    _ = tokio::io::copy(&mut first, &mut forth) => {}
                    _ = tokio::io::copy(&mut back, &mut to) => {}
                }
            });
        }
    });
    address
}

/// The bucket of a server of loopback.
pub fn options(server: SocketAddr) -> S3Options {
    S3Options {
        bucket: BUCKET.into(),
        prefix: "p".into(),
        endpoint: Some(format!("http://{server}")),
        region: Some("us-east-1".into()),
        path_style: true,
        delivery: Delivery::Stream,
    }
}

/// A store in it.
pub async fn store(server: SocketAddr) -> S3Store {
    open(options(server)).await
}

/// A store that gives up soon.
pub async fn impatient(server: SocketAddr) -> S3Store {
    let limits =
        S3Limits { look: Duration::from_millis(400), transfer: Duration::from_millis(800), ..S3Limits::default() };
    store(server).await.with_limits(limits)
}

pub async fn open(options: S3Options) -> S3Store {
    S3Store::open_with(options, KEY, SECRET).await.unwrap()
}
