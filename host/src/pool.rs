//! Children of one program, kept warm.

use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::child::Child;
use crate::{Gap, HostError};

/// What children run.
#[derive(Clone, Debug)]
pub struct Program {
    /// The file; `/proc/self/exe` is this very program.
    pub path: PathBuf,
    /// What it is called with.
    pub arguments: Vec<String>,
    /// What it is called in lists of processes, and in messages.
    pub name: &'static str,
    /// Its whole environment, beside folders for temporary files and the language.
    pub environment: Vec<(&'static str, String)>,
    /// Files and folders that it may read, beside the system's libraries, fonts and their settings.
    pub readable: Vec<PathBuf>,
    /// Bytes that all files together take in a scratch folder of its own; `None` = it writes no file. One with a
    /// folder may start the system's programs, as a compiler does: they are shut in as it is, and end with it.
    pub scratch: Option<u64>,
    /// Exit statuses of its own, and what each means: "wrote past its pixels".
    pub endings: &'static [(i32, &'static str)],
}

/// What one child may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Children at once.
    pub children: usize,
    /// Memory of each, bytes. Address space is limited to twice of it.
    pub memory: u64,
    /// The setting behind it, for messages.
    pub memory_setting: &'static str,
    /// Shared memory of each, and any file it writes, bytes.
    pub pixels: u64,
    /// Time of one call.
    pub time: Duration,
    /// Processor time of one call.
    pub processor_time: Duration,
    /// The setting behind both, for messages.
    pub time_setting: &'static str,
    /// Jobs after which a child is replaced.
    pub jobs: u32,
    /// Memory in use after a job, bytes, above which a child is replaced.
    pub resident: u64,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Child>,
    /// All, idle or not.
    alive: usize,
    unenforced: Option<Vec<Gap>>,
}

/// Children of one program.
#[derive(Debug)]
pub struct Pool {
    program: Program,
    limits: Limits,
    state: Mutex<State>,
    /// A child came back or went.
    changed: Condvar,
}

impl Pool {
    /// A pool without any child yet.
    pub fn new(program: Program, limits: Limits) -> Self {
        Pool { program, limits, state: Mutex::default(), changed: Condvar::new() }
    }

    /// A child for one job, warm where there is one. Waits while all are busy, until `stop` says so.
    ///
    /// # Errors
    /// [`HostError::Start`] or [`HostError::Stopped`].
    pub fn lease(&self, stop: &dyn Fn() -> bool) -> Result<Lease<'_>, HostError> {
        // Dropped after the lock is released, because that removes their scratch folders.
        let mut dead = Vec::new();
        let mut state = self.state();
        loop {
            while let Some(mut child) = state.idle.pop() {
                if child.is_alive() {
                    return Ok(Lease { pool: self, child: Some(child) });
                }
                tracing::warn!(name = self.program.name, pid = child.id(), "an idle child has ended");
                state.alive -= 1;
                dead.push(child);
            }
            if state.alive < self.limits.children {
                state.alive += 1;
                break;
            }
            if stop() {
                return Err(HostError::Stopped);
            }
            let waited = self.changed.wait_timeout(state, Duration::from_millis(10));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        drop(dead);
        // Counted from here on, whatever comes.
        let mut lease = Lease { pool: self, child: None };
        lease.child = Some(self.start()?);
        Ok(lease)
    }

    /// Starts a child, which is counted already.
    fn start(&self) -> Result<Child, HostError> {
        let child = Child::start(&self.program, &self.limits)?;
        tracing::debug!(name = self.program.name, pid = child.id(), "a child is started");
        let mut state = self.state();
        if state.unenforced.is_none() {
            let told = |open: bool| {
                let gaps = child.unenforced.iter().filter(|gap| gap.open == open);
                gaps.map(ToString::to_string).collect::<Vec<_>>().join(", ")
            };
            let (name, open, covered) = (self.program.name, told(true), told(false));
            if !open.is_empty() {
                tracing::warn!(name, missing = open, "the kernel does not keep children from all harm");
            }
            if !covered.is_empty() {
                tracing::info!(
                    name,
                    missing = covered,
                    "the kernel protects from children in fewer ways than it could"
                );
            }
            state.unenforced = Some(child.unenforced.clone());
        }
        Ok(child)
    }

    /// What the kernel does not enforce for children; empty before the first.
    pub fn unenforced(&self) -> Vec<Gap> {
        self.state().unenforced.clone().unwrap_or_default()
    }

    /// Process ids of the children that wait for a job.
    pub fn idle(&self) -> Vec<u32> {
        self.state().idle.iter().map(Child::id).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A child that works on one job. It goes back to its pool afterwards, unless it is worn out or did not survive.
#[derive(Debug)]
pub struct Lease<'p> {
    pool: &'p Pool,
    child: Option<Child>,
}

impl Lease<'_> {
    /// Asks the child for something, with `pixels` one after another in the shared memory. A request must not rely on
    /// an earlier one: when the child was dead before it read the request, another child is started and asked once.
    ///
    /// # Errors
    /// [`HostError`]; after all but a [`HostError::Fault`] the child is gone, and so is the lease.
    pub fn call<Q: Serialize, R: DeserializeOwned>(
        &mut self,
        request: &Q,
        pixels: &[&[u8]],
        stop: &dyn Fn() -> bool,
    ) -> Result<R, HostError> {
        let mut child = self.child.take().ok_or_else(|| HostError::Ended("is gone".into()))?;
        let mut result = child.call(request, pixels, &self.pool.limits, stop);
        if let Err(error) = &result
            && child.untaken
        {
            tracing::warn!(name = self.pool.program.name, pid = child.id(), %error, "a child ended before its job");
            child = self.pool.start()?;
            result = child.call(request, pixels, &self.pool.limits, stop);
        }
        match &result {
            Ok(_) | Err(HostError::Fault(_)) => self.child = Some(child),
            Err(HostError::Stopped) => {}
            Err(error) => {
                let (name, words) = (self.pool.program.name, child.last_words());
                tracing::warn!(name, %error, said = words, "a child is given up");
            }
        }
        result
    }

    /// Copies pixels out of the shared memory.
    ///
    /// # Errors
    /// [`HostError::Garbage`] when there are fewer.
    pub fn read(&self, into: &mut [u8], at: u64) -> Result<(), HostError> {
        match &self.child {
            Some(child) => child.read(into, at),
            None => Err(HostError::Ended("is gone".into())),
        }
    }

    /// Has the child replaced after this lease, although it could go on.
    pub fn retire(&mut self) {
        if let Some(child) = &mut self.child {
            child.jobs = u32::MAX;
        }
    }

    /// Process id of the child.
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let limits = &self.pool.limits;
        let fit = self.child.take().filter(|child| {
            let worn = child.jobs.saturating_add(1) >= limits.jobs
                || child.forget().is_err()
                || child.resident() > limits.resident;
            if !worn && child.goes_on() {
                let (name, pid) = (self.pool.program.name, child.id());
                tracing::warn!(name, pid, "a child has threads that go on after its job, and is ended");
                return false;
            }
            !worn
        });
        let mut state = self.pool.state();
        match fit {
            Some(mut child) => {
                child.jobs += 1;
                state.idle.push(child);
            }
            None => state.alive -= 1,
        }
        drop(state);
        self.pool.changed.notify_one();
    }
}
