//! A running `imgflo serve`.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::{Client, Response, redirect};
use tempfile::TempDir;

/// A server of its own: a port of its own on loopback and a data folder that goes with it.
pub struct Server {
    child: Child,
    client: Client,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// Holds the data folder.
    pub data: TempDir,
}

impl Server {
    /// Starts one with further arguments.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start(arguments: &[&str]) -> Self {
        Server::start_in(tempfile::tempdir().expect("a temporary folder"), arguments)
    }

    /// Starts one on a data folder that may hold results already.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start_in(data: TempDir, arguments: &[&str]) -> Self {
        Server::start_by(crate::program::command(), data, arguments)
    }

    /// Starts one by a command that runs the program, with an environment of its own for instance.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start_by(command: Command, data: TempDir, arguments: &[&str]) -> Self {
        Server::start_as("serve", command, data, arguments)
    }

    /// Starts an `imgflo runtime`.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn runtime(arguments: &[&str]) -> Self {
        Server::runtime_in(tempfile::tempdir().expect("a temporary folder"), arguments)
    }

    /// Starts an `imgflo runtime` on a data folder that may hold drafts already.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn runtime_in(data: TempDir, arguments: &[&str]) -> Self {
        Server::start_as("runtime", crate::program::command(), data, arguments)
    }

    /// Starts an `imgflo runtime` by a command that runs the program, in a folder of its own for instance.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn runtime_by(command: Command, data: TempDir, arguments: &[&str]) -> Self {
        Server::start_as("runtime", command, data, arguments)
    }

    fn start_as(role: &str, mut command: Command, data: TempDir, arguments: &[&str]) -> Self {
        let mut child = command
            .args([role, "--bind", "127.0.0.1:0", "--log", "warn", "--data-dir"])
            .arg(data.path())
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut output = BufReader::new(child.stdout.take().expect("standard output is piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("the server says where it listens");
        let url = line.split_whitespace().find(|word| word.starts_with("http://"));
        let url = url.unwrap_or_else(|| panic!("no URL in '{line}'")).trim_end_matches('/').to_owned();
        // Keep the pipe empty for as long as the server runs.
        std::thread::spawn(move || output.read_to_end(&mut Vec::new()));
        Server { child, client: client(), url, data }
    }

    /// GET of a path below the server, without following redirects.
    ///
    /// # Panics
    /// When there is no answer within a minute.
    pub async fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.url)).send().await.expect("an answer")
    }

    /// POST without a body.
    ///
    /// # Panics
    /// When there is no answer within a minute.
    pub async fn post(&self, path: &str) -> Response {
        self.client.post(format!("{}{path}", self.url)).send().await.expect("an answer")
    }

    /// GET of a `/graph` path that must end in a picture: follows the redirect to the result.
    ///
    /// # Panics
    /// When it ends in anything else.
    pub async fn picture(&self, path: &str) -> Vec<u8> {
        let answer = self.get(path).await;
        let status = answer.status();
        let location = answer.headers().get("location").map(|l| l.to_str().expect("a readable location").to_owned());
        let body = answer.text().await.expect("a body");
        assert_eq!(status, 301, "{path}: {body}");
        let location = location.expect("a redirect has a location");
        let location = location.strip_prefix(&self.url).unwrap_or(&location).to_owned();
        let result = self.get(&location).await;
        assert_eq!(result.status(), 200, "{path} -> {location}");
        result.bytes().await.expect("a body").to_vec()
    }

    /// The client, for requests of other kinds.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Peak resident memory so far, bytes.
    ///
    /// # Panics
    /// When the system does not tell.
    pub fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// Resident memory at the moment, bytes.
    ///
    /// # Panics
    /// When the system does not tell.
    pub fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// Files, sockets and the like that it holds open.
    ///
    /// # Panics
    /// When the system does not tell.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("the process runs").count()
    }

    /// A number of bytes that the system tells of the process.
    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the process runs");
        let line = status.lines().find(|line| line.starts_with(name)).expect("a line of that name");
        line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).expect("a number of kB") * 1024
    }

    /// Ends it as a power cut would, and hands its data folder on.
    ///
    /// # Panics
    /// When it cannot be ended.
    pub fn kill(mut self) -> TempDir {
        self.child.kill().expect("the server can be ended");
        self.child.wait().expect("the server ends");
        std::mem::replace(&mut self.data, tempfile::tempdir().expect("a temporary folder"))
    }

    /// Asks it to stop, as an operator does.
    ///
    /// # Panics
    /// When it cannot be asked.
    pub fn terminate(&self) {
        let status = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Waits for its end and returns its exit code.
    ///
    /// # Panics
    /// When it does not end within `limit`.
    pub fn wait(&mut self, limit: Duration) -> Option<i32> {
        let start = std::time::Instant::now();
        while start.elapsed() < limit {
            if let Some(status) = self.child.try_wait().expect("the server is ours") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the server still runs after {limit:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that follows no redirects and gives up after a minute.
///
/// # Panics
/// When the TLS library cannot be set up.
pub fn client() -> Client {
    // Set up once a process; later calls find it in place.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .redirect(redirect::Policy::none())
        .timeout(Duration::from_secs(60))
        .no_proxy()
        .build()
        .expect("a client")
}

/// The bytes of all files below a folder.
///
/// # Panics
/// When it cannot be listed.
pub fn folder_bytes(folder: &Path) -> u64 {
    std::fs::read_dir(folder)
        .expect("the folder can be listed")
        .map(|entry| entry.expect("the folder can be listed"))
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => folder_bytes(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}
