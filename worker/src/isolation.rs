//! Jobs that may have ended their worker, each done in a process of its own.
//!
//! That a worker died while it had a job says little of the job: others were at work beside it, and somebody may have
//! killed the process. So the job is only suspected. The next worker does it in a child process. When that process dies
//! the worker sees it, and what the worker sees is evidence; when the worker is killed, its child ends, and nothing is
//! held against the job.

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use imgflo_cache::CacheError;
use imgflo_job::{Category, Job, JobError, JobResult, Urgency};
use imgflo_runtime::ops::OpError;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::Error;
use crate::memory::Budget;
use crate::process::JobControl;
use crate::render::stopped;

/// Line that a process writes when it begins its job. One that ends before did not end by it.
pub const BEGUN: &str = "begun";
/// Deaths in a row that make a job one that ends its process.
const DEATHS: u32 = 2;
/// SIGKILL and SIGTERM, which the kernel sends for want of memory, and people send: no evidence while other jobs are at
/// work.
const FROM_OUTSIDE: [i32; 2] = [9, 15];

/// Makes the command that does one job: it reads the job as a line of JSON on standard input, writes [`BEGUN`] and a
/// [`Report`], each as a line, and ends when its standard input does.
pub type JobCommand = Arc<dyn Fn() -> Command + Send + Sync>;

/// What a process says of its job.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    result: JobResult,
    failure: Option<Failure>,
}

/// Why a job failed, as in [`Error`].
#[derive(Debug, Serialize, Deserialize)]
enum Failure {
    /// As the result says.
    Job,
    Store(String),
    Internal(String),
}

impl Report {
    pub(crate) fn new(mut result: JobResult, done: Result<(), Error>) -> Self {
        let failure = done.err().map(|error| {
            result.error = Some(error.report());
            match error {
                Error::Job(_) => Failure::Job,
                Error::Store(error) => Failure::Store(error.to_string()),
                Error::Internal(_) | Error::Transport(_) => Failure::Internal(error.to_string()),
            }
        });
        Report { result, failure }
    }

    /// Takes over what it says.
    fn take_over(self, result: &mut JobResult) -> Result<(), Error> {
        let key = result.job.data.cachekey.clone();
        *result = self.result;
        match self.failure {
            None => Ok(()),
            Some(Failure::Job) => Err(result.error.take().unwrap_or_else(JobError::internal).into()),
            Some(Failure::Store(text)) => {
                Err(Error::Store(CacheError::Io { action: "use", key, source: std::io::Error::other(text) }))
            }
            Some(Failure::Internal(text)) => Err(Error::Internal(text)),
        }
    }
}

/// How a process ended.
enum End {
    Done(Box<Report>),
    /// It died at its job.
    Died(ExitStatus),
    /// It did not come to its job; why.
    NotBegun(String),
}

/// Does suspected jobs.
pub(crate) struct Isolation {
    command: JobCommand,
    memory: Arc<Budget>,
    /// Bytes of `memory` that a process has while other jobs are at work.
    share: u64,
    /// All of them.
    whole: u64,
}

impl Isolation {
    /// `memory`: the budget of all jobs of the worker, `whole` bytes, of which each of its `slots` has a share.
    pub(crate) fn new(command: JobCommand, memory: Arc<Budget>, whole: u64, slots: usize) -> Self {
        Isolation { command, memory, share: whole / slots.max(1) as u64, whole }
    }

    /// Does a job that is suspected. `None` when no process can be started for it.
    ///
    /// A process that crashes is evidence. One that was ended from outside, which the kernel does to whom it likes when
    /// memory is short, is evidence only if no other job was at work: from the second attempt on the job has all the
    /// memory of the worker.
    ///
    /// # Errors
    /// Those of the job; [`Category::GivenUp`] when its process died twice in a row.
    pub(crate) async fn run(&self, result: &mut JobResult, control: &JobControl) -> Option<Result<(), Error>> {
        if control.late {
            return Some(Err(stopped(OpError::DeadlineExceeded)));
        }
        tokio::select! {
            biased;
            () = control.token.cancelled() => Some(Err(stopped(OpError::Cancelled))),
            () = tokio::time::sleep_until(control.deadline) => Some(Err(stopped(OpError::DeadlineExceeded))),
            done = self.attempts(result) => done,
        }
    }

    async fn attempts(&self, result: &mut JobResult) -> Option<Result<(), Error>> {
        let mut deaths = 0;
        for attempt in 1.. {
            let alone = attempt > 1;
            let bytes = if alone { self.whole } else { self.share };
            let _memory = self.memory.admit(bytes, Urgency::Urgent).await.ok()?;
            tracing::info!(attempt, alone, "a job that may have ended its worker is done in a process of its own");
            let status = match self.attempt(&result.job).await {
                End::Done(report) => return Some(report.take_over(result)),
                End::NotBegun(reason) => {
                    tracing::error!(reason, "no process can be started for a job that may have ended its worker");
                    return None;
                }
                End::Died(status) => status,
            };
            let from_outside = status.signal().is_some_and(|signal| FROM_OUTSIDE.contains(&signal));
            deaths = if alone || !from_outside { deaths + 1 } else { 0 };
            tracing::warn!(attempt, alone, deaths, %status, "the process of a job died");
            if deaths == DEATHS {
                let reason = format!("rendering ended its own process {DEATHS} times in a row ({status})");
                return Some(Err(JobError::new(Category::GivenUp, reason).into()));
            }
        }
        None
    }

    async fn attempt(&self, job: &Job) -> End {
        let not_begun = |error: std::io::Error| End::NotBegun(error.to_string());
        let mut line = match serde_json::to_vec(job) {
            Ok(line) => line,
            Err(error) => return End::NotBegun(error.to_string()),
        };
        line.push(b'\n');
        let mut command = (self.command)();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = match command.spawn() {
            Ok(process) => process,
            Err(error) => return not_begun(error),
        };
        let (Some(mut stdin), Some(mut stdout)) = (process.stdin.take(), process.stdout.take()) else {
            return End::NotBegun("it has no pipes".into());
        };
        // A process that ended reads nothing; its status tells why.
        let _ = stdin.write_all(&line).await;
        let mut output = Vec::new();
        let read = stdout.read_to_end(&mut output).await;
        let status = match read {
            Ok(_) => process.wait().await,
            Err(error) => Err(error),
        };
        let status = match status {
            Ok(status) => status,
            Err(error) => return not_begun(error),
        };
        let Some(report) = output.strip_prefix(format!("{BEGUN}\n").as_bytes()) else {
            return End::NotBegun(format!("it ended before it began ({status})"));
        };
        match serde_json::from_slice(report) {
            Ok(report) if status.success() => End::Done(Box::new(report)),
            _ => End::Died(status),
        }
    }
}
