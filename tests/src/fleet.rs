//! Front ends and workers as processes of their own, around services that they share.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Client, Response};
use tempfile::TempDir;

use crate::s3::{ACCESS_KEY, BUCKET, SECRET};

/// What all processes of a fleet have in common.
pub struct Fleet {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

impl Fleet {
    /// A fleet around this broker, with signed messages, results in a folder and inputs from loopback.
    ///
    /// # Panics
    /// When there is no temporary folder.
    pub fn new(broker: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = folder.path().join("data").to_string_lossy().into_owned();
        let fleet = Fleet { folder, variables: Vec::new() };
        fleet
            .with("IMGFLO_BROKER_URL", broker)
            .with("IMGFLO_DATA_DIR", &data)
            .with("IMGFLO_FLEET_SECRET", "the secret of a fleet of tests")
            .with("IMGFLO_ALLOW_ADDRESSES", "127.0.0.1")
            .with("IMGFLO_FIRST_BYTE_TIMEOUT", "20000")
            .with("IMGFLO_FETCH_TIMEOUT", "30000")
    }

    /// With a variable for all of its processes.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(other, _)| other != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A fleet with the same variables, and so with the same folder of results, for as long as this one.
    ///
    /// # Panics
    /// When there is no temporary folder.
    pub fn like(&self) -> Self {
        Fleet { folder: tempfile::tempdir().expect("a temporary folder"), variables: self.variables.clone() }
    }

    /// With results in the bucket of an S3 server on this port.
    pub fn with_s3(self, port: u16) -> Self {
        self.with("IMGFLO_S3_BUCKET", BUCKET)
            .with("IMGFLO_S3_ENDPOINT", &format!("http://127.0.0.1:{port}"))
            .with("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .with("AWS_SECRET_ACCESS_KEY", SECRET)
    }

    /// Starts a front end.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn front(&self) -> Front {
        let process = self.start(&["serve", "--bind", "127.0.0.1:0"], program());
        let url = process.ready.split_whitespace().find(|word| word.starts_with("http://"));
        let url = url.unwrap_or_else(|| panic!("no URL in '{}'", process.ready)).trim_end_matches('/').to_owned();
        Front { process, client: crate::server::client(), url }
    }

    /// Starts a front end by another command that runs the program: `sh -c 'ulimit ...; exec "$0" "$@"'`.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn front_by(&self, command: Command, arguments: &[&str]) -> Front {
        let all = [&["serve", "--bind", "127.0.0.1:0"], arguments].concat();
        let process = self.start(&all, command);
        let url = process.ready.split_whitespace().find(|word| word.starts_with("http://"));
        let url = url.unwrap_or_else(|| panic!("no URL in '{}'", process.ready)).trim_end_matches('/').to_owned();
        Front { process, client: crate::server::client(), url }
    }

    /// Starts a worker.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn worker(&self, arguments: &[&str]) -> Process {
        self.start(&[&["worker"], arguments].concat(), program())
    }

    /// Starts a worker with environment variables of its own.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn worker_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Process {
        let mut command = program();
        command.envs(variables.iter().copied());
        self.start(&[&["worker"], arguments].concat(), command)
    }

    fn start(&self, arguments: &[&str], mut command: Command) -> Process {
        let log = tempfile::Builder::new().prefix("log-").tempfile_in(self.folder.path());
        let (file, log) = log.expect("a log").keep().expect("the log stays with the folder");
        command.current_dir(crate::repository()).args(arguments).stdout(Stdio::piped()).stderr(file);
        for (name, value) in &self.variables {
            if value.is_empty() {
                command.env_remove(name)
            } else {
                command.env(name, value)
            };
        }
        let mut child = command.spawn().expect("the process starts");
        let mut output = BufReader::new(child.stdout.take().expect("standard output is piped"));
        let mut ready = String::new();
        output.read_line(&mut ready).expect("the process says that it is ready");
        // Keep the pipe empty for as long as the process runs.
        std::thread::spawn(move || output.read_to_end(&mut Vec::new()));
        Process { child, ready, log, name: arguments.join(" ") }
    }

    /// The stored results, where they are in a folder.
    ///
    /// # Panics
    /// When the folder cannot be listed.
    pub fn results(&self) -> Vec<PathBuf> {
        fn below(folder: &Path, found: &mut Vec<PathBuf>) {
            let Ok(entries) = std::fs::read_dir(folder) else { return };
            for path in entries.map(|entry| entry.expect("the folder can be listed").path()) {
                match path {
                    path if path.ends_with("tmp") => {}
                    path if path.is_dir() => below(&path, found),
                    path => found.push(path),
                }
            }
        }
        let mut found = Vec::new();
        below(&self.folder.path().join("data/cache"), &mut found);
        found
    }
}

/// The program, without settings from the environment.
fn program() -> Command {
    let mut command = crate::program::command();
    for name in ["CLOUDAMQP_URL", "REDIS_URL", "REDISCLOUD_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        command.env_remove(name);
    }
    command
}

/// A process of a fleet. Its log is shown when the test fails.
pub struct Process {
    child: Child,
    /// Its first line on standard output.
    pub ready: String,
    log: PathBuf,
    name: String,
}

impl Process {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it logged so far.
    ///
    /// # Panics
    /// When its log is gone.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("its log")
    }

    /// Ends it as a power cut would.
    ///
    /// # Panics
    /// When it cannot be ended.
    pub fn kill(&mut self) {
        self.child.kill().expect("it can be ended");
        self.child.wait().expect("it ends");
    }

    /// Asks it to stop, as an operator does.
    ///
    /// # Panics
    /// When it cannot be asked.
    pub fn terminate(&self) {
        assert!(signal("TERM", self.pid()), "it runs");
    }

    /// Sends it a signal: `STOP`.
    ///
    /// # Panics
    /// When it does not run.
    pub fn signal(&self, name: &str) {
        assert!(signal(name, self.pid()), "it runs");
    }

    /// Processes that it started and that still run.
    ///
    /// # Panics
    /// When the system does not tell.
    pub fn children(&self) -> Vec<u32> {
        let processes = std::fs::read_dir("/proc").expect("the processes");
        let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        let parent = |id: &u32| {
            // `id (name) state parent ...`; a name may hold anything.
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            let mut fields = stat.rsplit_once(") ")?.1.split(' ');
            (fields.next()? != "Z").then_some(())?;
            fields.next()?.parse().ok()
        };
        ids.filter(|id| parent(id) == Some(self.pid())).collect()
    }

    /// True while it runs.
    ///
    /// # Panics
    /// When the system does not tell.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_none()
    }

    /// Waits for its end; its exit code, none when a signal ended it.
    ///
    /// # Panics
    /// When it does not end within `limit`.
    pub fn wait(&mut self, limit: Duration) -> Option<i32> {
        let start = Instant::now();
        while start.elapsed() < limit {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{} still runs after {limit:?}", self.name);
    }
}

/// Sends a signal; false when there is no such process.
///
/// # Panics
/// When there is no program `kill`.
pub fn signal(name: &str, process: u32) -> bool {
    Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status().expect("kill runs").success()
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            println!("--- imgflo {}:", self.name);
            lines[lines.len().saturating_sub(40)..].iter().for_each(|line| println!("{line}"));
        }
    }
}

/// A front end of a fleet.
pub struct Front {
    /// The process.
    pub process: Process,
    client: Client,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
}

impl Front {
    /// GET of a path, without following redirects.
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

    /// The client, for requests of other kinds.
    pub fn client(&self) -> &Client {
        &self.client
    }
}
