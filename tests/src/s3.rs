//! An S3 server on a folder.

use std::net::SocketAddr;
use std::path::PathBuf;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s::{S3Result, s3_error};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// The bucket that it has.
pub const BUCKET: &str = "results";
/// Who may use it.
pub const ACCESS_KEY: &str = "fleet";
/// With which secret.
pub const SECRET: &str = "fleet-secret";

/// A running server; it goes on until the process of the tests ends, its folder goes with it.
pub struct S3 {
    address: SocketAddr,
    folder: TempDir,
}

/// Refuses as Amazon does when the bucket is not there; the server by itself would make it anew.
struct Existing(PathBuf);

#[async_trait::async_trait]
impl S3Access for Existing {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        if context.credentials().is_none() {
            return Err(s3_error!(AccessDenied));
        }
        if self.0.is_dir() { Ok(()) } else { Err(s3_error!(NoSuchBucket)) }
    }
}

impl S3 {
    /// Starts one on a port of its own.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join(BUCKET)).expect("a bucket");
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).expect("a folder"));
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET));
        service.set_access(Existing(folder.path().join(BUCKET)));
        let service = service.build();
        let (tell, address) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                tell.send(listener.local_addr().expect("an address")).expect("somebody waits");
                while let Ok((socket, _)) = listener.accept().await {
                    let service = service.clone();
                    tokio::spawn(async move {
                        let server = Builder::new(TokioExecutor::new());
                        // A client that leaves is no failure.
                        let _ = server.serve_connection(TokioIo::new(socket), service).await;
                    });
                }
            });
        });
        S3 { address: address.recv().expect("the server starts"), folder }
    }

    /// Its port on loopback.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Deletes all that is in the bucket.
    ///
    /// # Panics
    /// When it cannot.
    pub fn empty(&self) {
        self.delete();
        self.create();
    }

    /// Deletes the bucket.
    ///
    /// # Panics
    /// When it cannot.
    pub fn delete(&self) {
        std::fs::remove_dir_all(self.folder.path().join(BUCKET)).expect("the bucket can be deleted");
    }

    /// Makes the bucket anew.
    ///
    /// # Panics
    /// When it is there.
    pub fn create(&self) {
        std::fs::create_dir(self.folder.path().join(BUCKET)).expect("the bucket can be made");
    }

    /// Puts an object there, as something else than the program would: without metadata.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, key: &str, bytes: &[u8]) {
        let folder = self.folder.path().join(BUCKET).join("p");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(key), bytes).expect("an object");
    }

    /// The results in it, by key.
    ///
    /// # Panics
    /// When the folder cannot be listed.
    pub fn objects(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.folder.path().join(BUCKET).join("p")) else { return Vec::new() };
        entries.map(|entry| entry.expect("the folder can be listed").path()).collect()
    }
}
