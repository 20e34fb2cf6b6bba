//! A process for one job that may have ended its worker: what a worker starts by itself.
//!
//! It is the command that the worker was started by with one flag more, so it has the same settings. It knows no broker.

use std::ffi::OsString;
use std::io::{BufRead as _, Read as _, Write as _};
use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches};
use imgflo_job::Job;
use imgflo_runtime::Library;
use imgflo_worker::JobCommand;
use imgflo_worker::isolation::BEGUN;

use crate::parts::Parts;
use crate::settings::Settings;
use crate::{Failure, limits, process};

/// Flag of the process.
const FLAG: &str = "one-job";

/// Adds the flag to a command that works.
pub fn flag(command: clap::Command) -> clap::Command {
    command.arg(Arg::new(FLAG).long(FLAG).action(ArgAction::SetTrue).hide(true))
}

/// True in the process of one job.
pub fn is_asked(matches: &ArgMatches) -> bool {
    matches.get_flag(FLAG)
}

/// The command that starts the process of one job.
pub fn command() -> JobCommand {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    Arc::new(move || {
        // The program that runs, also where its file was replaced.
        let mut command = tokio::process::Command::new("/proc/self/exe");
        command.arg0("imgflo").args(&arguments).arg(format!("--{FLAG}"));
        command
    })
}

/// Does the job that standard input brings, and reports on standard output.
pub fn run(settings: Settings) -> Result<(), Failure> {
    let settings = Settings { broker: None, ..settings };
    process::run(&settings, work(&settings))
}

async fn work(settings: &Settings) -> Result<(), Failure> {
    let failed = |what: &str, error: &dyn std::fmt::Display| vec![format!("{what}: {error}")];
    // Rather this process than its worker.
    if let Err(error) = std::fs::write("/proc/self/oom_score_adj", "1000") {
        tracing::debug!(%error, "the kernel takes this process for no other than its worker");
    }
    let parts = Parts::open(settings, "imgflo job").await?;
    let library = Library::load(&settings.graphs, Arc::clone(&parts.catalogue), &limits::library(&settings.limits))
        .map_err(|error| failed(&settings.graphs.display().to_string(), &error))?;
    let worker = parts.worker(settings, Some(Arc::new(library)));
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    let line = read.await.map_err(|error| failed("reading the job", &error))?;
    let line = line.map_err(|error| failed("reading the job", &error))?;
    let job: Job = serde_json::from_str(&line).map_err(|error| failed("no job", &error))?;
    std::thread::spawn(end_with_worker);
    let mut out = std::io::stdout();
    let told = writeln!(out, "{BEGUN}").and_then(|()| out.flush());
    told.map_err(|error| failed("standard output", &error))?;
    let report = worker.do_one(job).await;
    let report = serde_json::to_string(&report).map_err(|error| failed("the report", &error))?;
    writeln!(out, "{report}").and_then(|()| out.flush()).map_err(|error| failed("standard output", &error))
}

/// Ends the process when its worker ended.
#[expect(clippy::exit, reason = "nobody is left to hear of the job, and what it did is not to be finished")]
fn end_with_worker() {
    let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
    std::process::exit(1);
}
