//! A Redis of one test's own, to be killed, stopped and wiped.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

pub struct OwnRedis {
    port: u16,
    options: Vec<&'static str>,
    folder: TempDir,
    running: Option<Child>,
}

impl OwnRedis {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    pub async fn with(options: &[&'static str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut redis = OwnRedis { port, options: options.to_vec(), folder, running: None };
        redis.start_again().await;
        redis
    }

    /// Starts it on the port that it had.
    pub async fn start_again(&mut self) {
        assert!(self.running.is_none(), "it runs");
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &self.port.to_string()])
            .args(&self.options)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        self.running = Some(child.expect("redis-server is missing: run scripts/setup tests"));
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("redis-server does not start");
    }

    /// kill -9
    pub fn kill(&mut self) {
        let mut child = self.running.take().expect("it does not run");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Lets it hang, its connections open.
    pub fn hang(&self) {
        self.signal("-STOP");
    }

    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.running.as_ref().expect("it does not run").id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Runs a command on a connection of its own.
    pub async fn run(&self, command: &str) {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut words = command.split(' ');
        let mut question = redis::cmd(words.next().unwrap());
        words.for_each(|word| _ = question.arg(word));
        question.exec_async(&mut connection).await.unwrap();
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.kill();
        }
    }
}
