//! One child process, as its parent sees it.

use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::frame::{self, Reader};
use crate::pool::{Limits, Program};
use crate::sandbox::{Sandbox, Tools};
use crate::{Fault, Gap, HostError};

/// How often a waiting parent looks at the time, at the child's use of the machine, and whether to stop.
const LOOKS: Duration = Duration::from_millis(10);
/// How long a child may take until it is ready.
const START: Duration = Duration::from_secs(20);
/// Lines of standard error that are kept for the log, and bytes of each.
const LINES: usize = 20;
const LINE: usize = 500;
/// A folder that is not there: the home of a child that writes no file.
const NOWHERE: &str = "/nonexistent";
/// Threads of a child: enough for one on each processor of a large machine.
const MOST_THREADS: u64 = 512;
/// Time for which a thread that was waited for may still be in the system's list.
const LEAVES: Duration = Duration::from_millis(50);

/// What a parent sends.
#[derive(Serialize, Deserialize)]
pub(crate) struct Request<R> {
    pub id: u64,
    pub request: R,
}

/// What a child sends.
#[derive(Serialize, Deserialize)]
pub(crate) struct Reply<R> {
    pub id: u64,
    pub result: Result<R, Fault>,
}

/// The first thing a child sends: what the kernel does not enforce.
#[derive(Serialize, Deserialize)]
pub(crate) struct Ready {
    pub unenforced: Vec<Gap>,
}

/// A running child. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Child {
    process: std::process::Child,
    socket: UnixStream,
    reader: Reader,
    memory: File,
    said: Arc<Mutex<VecDeque<String>>>,
    /// Scratch folder of the child, where it has one.
    _scratch: Option<TempDir>,
    /// Threads that it had before its first job.
    threads: BTreeSet<u32>,
    endings: &'static [(i32, &'static str)],
    calls: u64,
    /// Jobs it has done.
    pub jobs: u32,
    /// True once it ended without having read the whole of a request.
    pub untaken: bool,
    /// What the kernel does not enforce for it.
    pub unenforced: Vec<Gap>,
}

impl Child {
    /// Starts one and waits until it is ready.
    pub fn start(program: &Program, limits: &Limits) -> Result<Child, HostError> {
        let failed = |error: io::Error| HostError::Start(error.to_string());
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let memory = memfd_create("imgflo", MFdFlags::MFD_CLOEXEC).map_err(|error| failed(error.into()))?;
        let memory = File::from(memory);
        let folder = || tempfile::Builder::new().prefix("imgflo-").tempdir().map_err(failed);
        let scratch = program.scratch.map(|_| folder()).transpose()?;
        let home = scratch.as_ref().map_or(Path::new(NOWHERE), TempDir::path).to_owned();
        let mut process = Command::new(&program.path)
            .arg0(program.name)
            .args(&program.arguments)
            .env_clear()
            .envs(program.environment.iter().map(|(name, value)| (name, value)))
            .envs(["HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_DATA_HOME"].map(|name| (name, &home)))
            .env("LANG", "C.UTF-8")
            .current_dir(scratch.as_ref().map_or(Path::new("/"), TempDir::path))
            // A group of its own, so that what it starts ends with it.
            .process_group(0)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(memory.try_clone().map_err(failed)?))
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| HostError::Start(format!("{}: {error}", program.path.display())))?;
        let said = Arc::default();
        if let Some(stderr) = process.stderr.take() {
            let said = Arc::clone(&said);
            std::thread::spawn(move || listen(stderr, &said));
        }
        let mut child = Child {
            process,
            socket: ours,
            reader: Reader::default(),
            memory,
            said,
            _scratch: scratch,
            threads: BTreeSet::new(),
            endings: program.endings,
            calls: 0,
            jobs: 0,
            untaken: false,
            unenforced: Vec::new(),
        };
        child.socket.set_read_timeout(Some(LOOKS)).map_err(failed)?;
        child.socket.set_write_timeout(Some(START)).map_err(failed)?;
        let tools = program.scratch.map(|total| Tools {
            scratch: home,
            total,
            seconds: limits.processor_time.as_secs().max(1),
        });
        let sandbox = Sandbox { memory: limits.memory, file: limits.pixels, readable: program.readable.clone(), tools };
        frame::write(&child.socket, &sandbox).map_err(failed)?;
        let deadline = Instant::now() + START;
        let ready: Result<Ready, Fault> = child
            .answer(|_| if Instant::now() > deadline { Err(HostError::Stopped) } else { Ok(()) })
            .map_err(|error| HostError::Start(error.to_string()))?;
        child.unenforced = ready.map_err(|fault| HostError::Start(fault.message))?.unenforced;
        child.threads = child.living_threads();
        Ok(child)
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Asks for something. `pixels` lie in the shared memory, one after another.
    ///
    /// # Errors
    /// [`HostError`]; the child lives on after a [`HostError::Fault`] only. When it was dead before it took the
    /// request, `untaken` is set.
    pub fn call<Q: Serialize, R: DeserializeOwned>(
        &mut self,
        request: &Q,
        pixels: &[&[u8]],
        limits: &Limits,
        stop: &dyn Fn() -> bool,
    ) -> Result<R, HostError> {
        self.calls += 1;
        let garbage = |error: io::Error| HostError::Garbage(error.to_string());
        let mut at = 0;
        for part in pixels {
            self.memory.write_all_at(part, at).map_err(garbage)?;
            at += part.len() as u64;
        }
        if let Err(error) = frame::write(&self.socket, &Request { id: self.calls, request }) {
            self.untaken = error.kind() == ErrorKind::BrokenPipe;
            return Err(self.ended(&error));
        }
        let (begun, (used, _)) = (Instant::now(), self.use_of_processors());
        let reply: Reply<R> = self.answer(|child| {
            if stop() {
                return Err(HostError::Stopped);
            }
            child.within(limits, begun, used)
        })?;
        if reply.id != self.calls {
            return Err(HostError::Garbage(format!("reply {} to request {}", reply.id, self.calls)));
        }
        Ok(reply.result?)
    }

    /// Copies from the shared memory.
    ///
    /// # Errors
    /// [`HostError::Garbage`] when the child made it shorter than that.
    pub fn read(&self, into: &mut [u8], at: u64) -> Result<(), HostError> {
        self.memory
            .read_exact_at(into, at)
            .map_err(|_| HostError::Garbage("pixels are missing in the shared memory".into()))
    }

    /// Gives the shared memory back.
    pub fn forget(&self) -> io::Result<()> {
        self.memory.set_len(0)
    }

    /// True while the process runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Memory in use, bytes; 0 where the system does not say.
    pub fn resident(&self) -> u64 {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.id())).unwrap_or_default();
        statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
    }

    /// True when threads live that its jobs started. To be asked when it has answered.
    pub fn goes_on(&self) -> bool {
        let until = Instant::now() + LEAVES;
        while !self.living_threads().is_subset(&self.threads) {
            if Instant::now() > until {
                return true;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        false
    }

    /// Ids of its threads; none where the system does not say.
    fn living_threads(&self) -> BTreeSet<u32> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.id())).into_iter().flatten().flatten();
        tasks.filter_map(|task| task.file_name().to_str()?.parse().ok()).collect()
    }

    /// Processor time used so far, and how many threads there are.
    fn use_of_processors(&self) -> (Duration, u64) {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap_or_default();
        // The name in parentheses may hold spaces. Of what follows it, the 12th and 13th are times in ticks of 10 ms, and
        // the 18th is the number of threads.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let fields = fields.map(|field| field.parse().unwrap_or(0)).collect::<Vec<u64>>();
        let field = |index: usize| fields.get(index).copied().unwrap_or(0);
        (Duration::from_millis((field(11) + field(12)) * 10), field(17))
    }

    fn within(&self, limits: &Limits, begun: Instant, used: Duration) -> Result<(), HostError> {
        if begun.elapsed() > limits.time {
            let limit = format!("{} s", limits.time.as_secs_f32());
            return Err(HostError::Limit { limit, setting: limits.time_setting });
        }
        let (processor_time, threads) = self.use_of_processors();
        if processor_time.saturating_sub(used) > limits.processor_time {
            let limit = format!("{} s of processor time", limits.processor_time.as_secs_f32());
            return Err(HostError::Limit { limit, setting: limits.time_setting });
        }
        if self.resident() > limits.memory {
            let limit = format!("{} bytes of memory", limits.memory);
            return Err(HostError::Limit { limit, setting: limits.memory_setting });
        }
        if threads > MOST_THREADS {
            return Err(HostError::Ended(format!("had {threads} threads, more than {MOST_THREADS}")));
        }
        Ok(())
    }

    /// Waits for a frame; `look` is asked now and then whether to go on.
    fn answer<T: DeserializeOwned>(&mut self, look: impl Fn(&Child) -> Result<(), HostError>) -> Result<T, HostError> {
        loop {
            match self.reader.next(&self.socket) {
                Ok(frame) => {
                    return serde_json::from_slice(&frame).map_err(|error| HostError::Garbage(error.to_string()));
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => look(self)?,
                Err(error) if error.kind() == ErrorKind::InvalidData => {
                    return Err(HostError::Garbage(error.to_string()));
                }
                Err(error) => {
                    // The kernel resets a connection whose other end was closed with something unread in it; one that
                    // had read everything just ends.
                    self.untaken = error.kind() == ErrorKind::ConnectionReset;
                    return Err(self.ended(&error));
                }
            }
        }
    }

    /// What a child ended with that does not talk any more.
    fn ended(&mut self, error: &io::Error) -> HostError {
        // Its end of the socket closes a moment before it is gone; one that only closed it is ended.
        let until = Instant::now() + Duration::from_millis(200);
        let status = loop {
            match self.process.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(1)),
                _ => return HostError::Garbage(format!("closed its socket: {error}")),
            }
        };
        HostError::Ended(told(status, self.endings))
    }

    /// The last lines it wrote to standard error.
    pub fn last_words(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Once it was waited for, its number may be another's.
        if let Ok(None) = self.process.try_wait() {
            let _ = killpg(Pid::from_raw(self.process.id() as i32), Signal::SIGKILL);
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

fn told(status: ExitStatus, endings: &[(i32, &str)]) -> String {
    let ending = endings.iter().find(|(code, _)| status.code() == Some(*code));
    if let Some((_, told)) = ending {
        return (*told).to_owned();
    }
    match (status.signal(), status.code()) {
        (Some(number), _) => {
            let name = Signal::try_from(number).map_or_else(|_| number.to_string(), |signal| signal.to_string());
            format!("crashed ({name})")
        }
        (None, code) => format!("exited with status {}", code.unwrap_or_default()),
    }
}

/// Keeps the last lines of a child's standard error.
fn listen(stderr: impl io::Read, said: &Mutex<VecDeque<String>>) {
    let mut lines = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        // A line without end is taken in parts.
        match io::Read::take(&mut lines, LINE as u64).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if !text.is_empty() {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.len() == LINES {
                said.pop_front();
            }
            said.push_back(text);
        }
    }
}
