//! The child's side.

use std::fs::{self, File};
use std::io::{self, Stdin, stdin, stdout};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{dup2_stdin, dup2_stdout};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Fault;
use crate::child::{Ready, Reply, Request};
use crate::frame::{self, Reader};
use crate::sandbox::Sandbox;

/// What does the work of a child.
pub trait Handler {
    /// What it is asked.
    type Request: DeserializeOwned;
    /// What it answers.
    type Reply: Serialize;

    /// Answers one request; pixels come and go by `shared`.
    ///
    /// # Errors
    /// [`Fault`], which is told; the child goes on.
    fn handle(&mut self, request: Self::Request, shared: &Shared) -> Result<Self::Reply, Fault>;
}

/// The memory that a child shares with its parent.
#[derive(Debug)]
pub struct Shared(File);

impl Shared {
    /// Copies pixels from it.
    ///
    /// # Errors
    /// [`Fault`] when there are fewer.
    pub fn read(&self, into: &mut [u8], at: u64) -> Result<(), Fault> {
        self.0.read_exact_at(into, at).map_err(|error| Fault::failed(format!("shared memory: {error}")))
    }

    /// Copies pixels to it, from its start.
    ///
    /// # Errors
    /// [`Fault`] when there is no room.
    pub fn write(&self, from: &[u8], at: u64) -> Result<(), Fault> {
        self.0.write_all_at(from, at).map_err(|error| Fault::failed(format!("shared memory: {error}")))
    }
}

/// Lives as a child: shuts itself in, makes the handler, and answers until the parent leaves.
/// To be called first in `main`, by the program's first thread.
///
/// # Errors
/// When this is no child of a [`crate::Pool`], or the connection to the parent breaks.
pub fn serve<H: Handler>(make: impl FnOnce() -> Result<H, Fault>) -> io::Result<()> {
    let socket = connection(&stdin())?;
    let shared = Shared(File::from(stdout().as_fd().try_clone_to_owned()?));
    // What foreign code writes to standard output goes to the log, what it reads is nothing.
    dup2_stdin(File::open("/dev/null")?)?;
    dup2_stdout(io::stderr())?;
    close_others(&[0, 1, 2, socket.as_raw_fd(), shared.0.as_raw_fd()])?;
    let mut reader = Reader::default();
    let sandbox: Sandbox = serde_json::from_slice(&reader.next(&socket)?)?;
    let unenforced = sandbox.enter();
    end_with_the_parent(socket.try_clone()?);
    let mut handler = match make() {
        Ok(handler) => handler,
        Err(fault) => return frame::write(&socket, &Err::<Ready, _>(fault)),
    };
    frame::write(&socket, &Ok::<_, Fault>(Ready { unenforced }))?;
    loop {
        let frame = match reader.next(&socket) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            frame => frame?,
        };
        let Request { id, request } = serde_json::from_slice(&frame)?;
        let result = handler.handle(request, &shared);
        frame::write(&socket, &Reply { id, result })?;
    }
}

fn connection(stdin: &Stdin) -> io::Result<UnixStream> {
    let socket = UnixStream::from(stdin.as_fd().try_clone_to_owned()?);
    socket.peer_addr().map_err(|_| io::Error::other("this is a part of imgflo that it starts by itself"))?;
    Ok(socket)
}

/// Closes what the parent left open by mistake.
fn close_others(kept: &[RawFd]) -> io::Result<()> {
    let open = fs::read_dir("/proc/self/fd")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    for descriptor in open.filter(|descriptor| !kept.contains(descriptor)).collect::<Vec<RawFd>>() {
        // One of them listed the others, and is closed.
        let _ = nix::unistd::close(descriptor);
    }
    Ok(())
}

/// Ends this process at once when the parent is gone, whatever it is doing.
fn end_with_the_parent(socket: UnixStream) {
    std::thread::spawn(move || {
        loop {
            let mut fds = [PollFd::new(socket.as_fd(), PollFlags::empty())];
            if let Ok(1..) = poll(&mut fds, PollTimeout::NONE)
                && fds[0].revents().is_some_and(|seen| seen.intersects(PollFlags::POLLHUP | PollFlags::POLLERR))
            {
                // No destructor of foreign code is waited for.
                std::process::abort();
            }
        }
    });
}
