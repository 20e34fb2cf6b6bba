//! The children of this process that operations in C run in, and the files that they load.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgflo_host::{HostError, Lease, Pool, Program};
use imgflo_ops::c::ENDINGS;

use super::Revision;
use super::compile::Interface;
use super::hosted::Hosted;
use super::message::{Answer, Reply, Request};
use super::module::Module;
use super::scratch::Scratch;
use crate::ChildLimits;

/// Jobs after which a child is replaced; a job is a band of a picture.
const JOBS: u32 = 2000;
/// Libraries in a child after which it is replaced: none is ever unloaded.
pub(crate) const MOST_LOADED: usize = 32;

/// Children with operations, and the folder of what they load.
#[derive(Debug)]
pub(crate) struct Host {
    /// With operations of our own interface.
    pub pool: Pool,
    /// Of GEGL, with operations of its interface.
    pub gegl: Pool,
    /// Of each child, bytes.
    pub memory: u64,
    /// Whether the operations are strangers'.
    pub live: bool,
    /// Others cannot read it, but for GEGL's children with the operations of strangers: a graph may have both.
    folder: Scratch,
}

/// A built operation's file, which goes with this.
#[derive(Debug)]
pub(super) struct Built(pub PathBuf);

impl Drop for Built {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Host {
    /// For the operator's operations. With `gpl` those of GEGL's interface may be under the GPL-3.
    pub fn new(limits: &ChildLimits, gpl: bool) -> io::Result<Host> {
        Host::start(limits, gpl, None)
    }

    /// For operations that are written live, which graphs may have beside those of `operators`.
    pub fn live(limits: &ChildLimits, gpl: bool, operators: &Host) -> io::Result<Host> {
        Host::start(limits, gpl, Some(operators.folder.path()))
    }

    fn start(limits: &ChildLimits, gpl: bool, beside: Option<&Path>) -> io::Result<Host> {
        let folder = Scratch::new()?;
        let program = Program {
            path: limits.program.clone(),
            arguments: vec!["child".into(), "ops".into()],
            name: "imgflo-ops",
            environment: Vec::new(),
            readable: vec![folder.path().to_owned()],
            scratch: None,
            endings: ENDINGS,
        };
        let readable = [folder.path()].into_iter().chain(beside).map(Path::to_owned).collect();
        Ok(Host {
            pool: Pool::new(program, limits.limits(JOBS)),
            gegl: limits.gegl(gpl, readable),
            memory: limits.memory,
            live: beside.is_some(),
            folder,
        })
    }

    /// Takes a built operation in, and hears what it says of itself.
    pub fn describe(
        self: &Arc<Self>,
        name: &str,
        revision: &str,
        interface: Interface,
        library: &[u8],
    ) -> Result<Revision, String> {
        match interface {
            Interface::Imgflo => {
                let hosted = Hosted::take_in(self, name, revision, library)?;
                Ok(Revision { operation: Arc::new(hosted), module: None })
            }
            Interface::Gegl => Module::take_in(self, name, revision, library),
        }
    }

    /// The folder of what children load.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Asks a child. One that is worn out, or not to be relied on, ends with the lease.
pub(super) fn ask(
    lease: &mut Lease<'_>,
    request: &Request,
    pixels: &[&[u8]],
    stop: &dyn Fn() -> bool,
) -> Result<Answer, HostError> {
    let Reply { loaded, answer } = lease.call(request, pixels, stop)?;
    if let Answer::Corrupt(message) = answer {
        lease.retire();
        return Err(HostError::Ended(message));
    }
    if loaded > MOST_LOADED {
        lease.retire();
    }
    Ok(answer)
}

/// What kept an operation from being described.
pub(super) fn not_described(error: HostError) -> String {
    match error {
        HostError::Fault(fault) => fault.message,
        error => format!("the operation {error} when it was loaded"),
    }
}
