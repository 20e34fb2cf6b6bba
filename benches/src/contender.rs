//! A peer at work: a server that is asked, or a command that is run, and what that costs.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::Client;

use crate::peers::{Peer, Request};
use crate::process::{self, Measurement};
use crate::server::{Server, get};

/// Requests that a server gets in one turn.
pub const REQUESTS: u32 = 8;
/// Runs of a command in one turn: fewer, as its CPU time is known better than to 10 ms.
pub const RUNS: u32 = 2;

/// A peer at work.
pub struct Contender {
    /// Which it is.
    pub peer: Peer,
    /// `None` of a command, which is run anew for each request.
    server: Option<Server>,
    inputs: PathBuf,
    results: PathBuf,
    /// The most memory a run of the command took so far, bytes.
    peak: u64,
}

impl Contender {
    /// Starts it for inputs in `inputs`; what it writes goes into `results`.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(peer: Peer, inputs: &Path, results: &Path) -> Result<Contender, Box<dyn Error>> {
        let server = peer.serve(inputs, results)?;
        Ok(Contender { peer, server, inputs: inputs.to_owned(), results: results.to_owned(), peak: 0 })
    }

    /// The result of one request; `None` where it cannot do that.
    ///
    /// # Errors
    /// When it fails at it.
    pub async fn result(&mut self, client: &Client, request: &Request) -> Result<Option<Vec<u8>>, Box<dyn Error>> {
        let Some(server) = &self.server else {
            let output = self.run(request, 1)?.map(|(_, output)| output);
            return Ok(output.map(std::fs::read).transpose()?);
        };
        let Some(path) = self.peer.address(request) else { return Ok(None) };
        get(client, &format!("{}{path}", server.url)).await.map(Some)
    }

    /// CPU time of one request in a turn of several, ms; `None` where it cannot do that.
    ///
    /// # Errors
    /// When it fails at it.
    pub async fn turn(&mut self, client: &Client, request: &Request) -> Result<Option<f64>, Box<dyn Error>> {
        let Some(server) = &self.server else { return Ok(self.run(request, RUNS)?.map(|(cpu, _)| cpu)) };
        let Some(path) = self.peer.address(request) else { return Ok(None) };
        let url = format!("{}{path}", server.url);
        let before = process::cpu_ms(server.pid())?;
        for _ in 0..REQUESTS {
            get(client, &url).await?;
        }
        Ok(Some((process::cpu_ms(server.pid())? - before) / f64::from(REQUESTS)))
    }

    /// CPU time of one of `runs` runs of the command, ms, and where the result is.
    fn run(&mut self, request: &Request, runs: u32) -> Result<Option<(f64, PathBuf)>, Box<dyn Error>> {
        let output = self.results.join("result").with_extension(request.format.extension());
        let Some(command) = self.peer.command(request, &self.inputs, &output) else { return Ok(None) };
        let mut measure = Command::new(std::env::current_exe()?);
        measure.arg("command").arg(runs.to_string()).args(command);
        let Measurement { cpu_ms, peak_bytes } = process::json(&mut measure)?;
        self.peak = self.peak.max(peak_bytes);
        Ok(Some((process::median(cpu_ms), output)))
    }

    /// Peak resident memory so far, bytes.
    ///
    /// # Errors
    /// When the server has ended.
    pub fn peak(&self) -> std::io::Result<u64> {
        self.server.as_ref().map_or(Ok(self.peak), |server| process::peak_memory(server.pid()))
    }
}
