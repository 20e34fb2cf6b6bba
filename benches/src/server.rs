//! A server under test.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::Client;

/// How often, and for how long each, a server is looked for that does not say when it is there.
const LOOKS: u32 = 300;
const PAUSE: Duration = Duration::from_millis(100);

/// A server under test; it ends with its owner.
pub struct Server {
    child: Child,
    /// Without a slash at its end.
    pub url: String,
}

impl Server {
    /// Starts a server that prints its URL.
    ///
    /// # Errors
    /// When it cannot be started, or prints no URL.
    pub fn start(command: &mut Command) -> Result<Self, Box<dyn Error>> {
        let mut server = Server { child: command.stdout(Stdio::piped()).spawn()?, url: String::new() };
        let mut line = String::new();
        BufReader::new(server.child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let url = line.split_whitespace().find(|word| word.starts_with("http://"));
        server.url = url.ok_or("the server named no URL")?.trim_end_matches('/').to_owned();
        Ok(server)
    }

    /// Starts a server that is told where to listen, with `--ip` and `--port`, and waits for it.
    ///
    /// # Errors
    /// When it cannot be started, ends, or does not listen within half a minute.
    pub fn start_at(command: &mut Command) -> Result<Self, Box<dyn Error>> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        command.args(["--ip", "127.0.0.1", "--port", &address.port().to_string()]);
        let mut server = Server { child: command.stdout(Stdio::null()).spawn()?, url: format!("http://{address}") };
        for _ in 0..LOOKS {
            if TcpStream::connect(address).is_ok() {
                return Ok(server);
            }
            if let Some(status) = server.child.try_wait()? {
                return Err(format!("{command:?} ended: {status}").into());
            }
            std::thread::sleep(PAUSE);
        }
        Err(format!("{command:?} does not listen").into())
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is at a URL.
///
/// # Errors
/// When it cannot be had, with what the server says.
pub async fn get(client: &Client, url: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let answer = client.get(url).send().await?;
    if !answer.status().is_success() {
        return Err(format!("{url}: {} {}", answer.status(), answer.text().await?).into());
    }
    Ok(answer.bytes().await?.to_vec())
}
