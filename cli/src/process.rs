//! What every process that runs for long has: a log, a runtime, and an end.

use std::io::IsTerminal as _;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use crate::Failure;
use crate::settings::Settings;

/// The library for AMQP, as log filters name it.
const AMQP: &str = "lapin";
/// How long the end of a process may take that has nothing to do any more.
const LAST: Duration = Duration::from_secs(1);

/// Runs `work` with the log and the runtime of a long-lived process.
pub fn run(settings: &Settings, work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    start_log(settings);
    open_many_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| vec![format!("cannot start the runtime: {error}")])?;
    let result = runtime.block_on(work);
    // What is left is dropped, with the children and scratch folders that belong to it; but blocking threads that
    // outlived the drain must not hold the exit up.
    runtime.shutdown_timeout(LAST);
    result
}

/// Allows as many open files as the system lets us have: each client and each origin is one, and the soft limit of many
/// systems is 1024.
fn open_many_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(error) = raised {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

fn start_log(settings: &Settings) {
    let filter = filter(&settings.log);
    // A message that cannot be written would be told on standard error, which panics where nobody reads it.
    let log = tracing_subscriber::fmt().log_internal_errors(false).with_env_filter(filter).with_writer(std::io::stderr);
    if settings.log_json {
        log.json().init();
    } else {
        log.with_target(false).with_ansi(std::io::stderr().is_terminal()).init();
    }
}

/// The filter of log messages. The library for AMQP logs an error for every refusal, also for those that are tolerated,
/// and for ordinary stops; what matters of them is in messages of ours.
fn filter(asked: &str) -> EnvFilter {
    let filter: EnvFilter = asked.parse().expect("the settings were checked");
    if asked.contains(AMQP) {
        return filter;
    }
    filter.add_directive(format!("{AMQP}=off").parse().expect("it is a directive"))
}

/// The first SIGTERM or interrupt starts the drain; a second one ends the process at once.
pub async fn stop_on_signal(shutdown: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    let mut next = async || tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () };
    next().await;
    info!("stopping: jobs at work are finished first");
    shutdown.cancel();
    next().await;
    std::process::abort();
}

/// Workers that were told to stop: waits for them, but no longer than `limit`.
pub async fn drain(workers: impl Future, limit: Duration) {
    if tokio::time::timeout(limit, workers).await.is_err() {
        warn!("jobs at work are given up after {} s", limit.as_secs());
    }
}
