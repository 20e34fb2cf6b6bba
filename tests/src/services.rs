//! The services behind a fleet: shared ones, which scripts/test started, and private ones that a test
//! may break.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

/// A service of scripts/services that this test has for itself; it ends with the test.
pub struct Private {
    folder: TempDir,
    name: &'static str,
}

/// What runs scripts/services.
fn script(action: &str, folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(crate::repository().join("scripts/services"))
        .arg(action)
        .arg(folder)
        .args(arguments)
        .output()
        .expect("scripts/services runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "scripts/services {action} {arguments:?}: {told}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl Private {
    /// Starts one: `rabbitmq`, `redis`.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start(name: &'static str) -> Self {
        let private = Private { folder: tempfile::tempdir().expect("a temporary folder"), name };
        private.start_again();
        private
    }

    /// Starts it on the port and with the data that it had.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start_again(&self) {
        script("start", self.folder.path(), &[self.name]);
    }

    /// Ends it as a power cut would.
    ///
    /// # Panics
    /// When it cannot be ended.
    pub fn kill(&self) {
        script("kill", self.folder.path(), &[self.name]);
    }

    /// Its port on loopback.
    ///
    /// # Panics
    /// When it was never started.
    pub fn port(&self) -> u16 {
        let port = std::fs::read_to_string(self.folder.path().join(format!("{}.port", self.name)));
        port.expect("it was started").trim().parse().expect("a port")
    }

    /// Deletes all that is in a Redis.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn flush(&self) {
        use std::io::{Read as _, Write as _};
        let mut redis = std::net::TcpStream::connect(("127.0.0.1", self.port())).expect("it answers");
        redis.write_all(b"FLUSHALL\r\n").expect("it listens");
        let mut answer = [0; 3];
        redis.read_exact(&mut answer).expect("it answers");
        assert_eq!(&answer, b"+OK");
    }

    /// Runs a command of RabbitMQ on it, and returns what it prints.
    ///
    /// # Panics
    /// When it fails.
    pub fn rabbitmqctl(&self, arguments: &[&str]) -> String {
        script("rabbitmqctl", self.folder.path(), arguments)
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        script("stop", self.folder.path(), &[self.name]);
    }
}

/// What scripts/test tells of the shared services.
///
/// # Panics
/// When they were not started.
pub fn shared(variable: &str) -> String {
    let value = std::env::var(variable);
    value.unwrap_or_else(|_| panic!("{variable}: run scripts/test, or start the services with scripts/services"))
}

static NUMBER: AtomicUsize = AtomicUsize::new(0);

/// An address of the shared RabbitMQ with a virtual host of its own, so that tests do not take each
/// other's jobs.
///
/// # Panics
/// When it cannot be made.
pub fn virtual_host() -> String {
    let folder = PathBuf::from(shared("IMGFLO_TEST_SERVICES"));
    let name = format!("test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    script("vhost", &folder, &[&name]);
    format!("{}/{name}", shared("IMGFLO_TEST_AMQP"))
}
