//! What a child takes from itself before it runs foreign code.

mod calls;
mod files;
mod namespaces;

use std::fmt;
use std::path::PathBuf;

use caps::CapSet;
use nix::sys::resource::{Resource, setrlimit};
use serde::{Deserialize, Serialize};

/// Open files of a child.
const OPEN_FILES: u64 = 256;
/// Memory that a child may keep from being swapped out, bytes: a library of GEGL's has a place for secrets.
const LOCKED: u64 = 64 << 10;

/// A protection that the kernel does not give.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The protection, and why it is missing.
    pub what: String,
    /// True when no other protection covers for it, so that a stranger's code must not run.
    pub open: bool,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Gap {
    fn open(what: impl Into<String>) -> Gap {
        Gap { what: what.into(), open: true }
    }

    fn covered(what: impl Into<String>) -> Gap {
        Gap { what: what.into(), open: false }
    }
}

/// What a child may do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sandbox {
    /// Memory, bytes; address space is twice that, for libraries and what is reserved only.
    pub memory: u64,
    /// The largest file, bytes: the memory that is shared with the parent, and files in the scratch folder.
    pub file: u64,
    /// What it may read beside the system.
    pub readable: Vec<PathBuf>,
    /// Rights to start the system's programs and write files; `None` = neither.
    pub tools: Option<Tools>,
}

/// What a child needs that starts the system's programs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Tools {
    /// The one folder it may write to.
    pub scratch: PathBuf,
    /// All files there together, bytes.
    pub total: u64,
    /// Processor time of each program that it starts, seconds.
    pub seconds: u64,
}

impl Sandbox {
    /// Shuts this thread in, and all that it starts. Returns what the kernel does not enforce. This must be the only
    /// thread of the process.
    pub fn enter(&self) -> Vec<Gap> {
        let mut gaps = Vec::new();
        let limits = [
            (Resource::RLIMIT_AS, self.memory.saturating_mul(2)),
            (Resource::RLIMIT_FSIZE, self.file),
            (Resource::RLIMIT_CORE, 0),
            (Resource::RLIMIT_MEMLOCK, LOCKED),
            (Resource::RLIMIT_MSGQUEUE, 0),
            (Resource::RLIMIT_NOFILE, OPEN_FILES),
        ];
        // The parent watches how long the child itself takes, not how long the programs that it starts do.
        let seconds = self.tools.as_ref().map(|tools| (Resource::RLIMIT_CPU, tools.seconds));
        for (resource, limit) in limits.into_iter().chain(seconds) {
            if let Err(error) = setrlimit(resource, limit, limit) {
                gaps.push(Gap::open(format!("{resource:?} ({error})")));
            }
        }
        gaps.extend(namespaces::enter(self.tools.as_ref()));
        gaps.extend(drop_capabilities());
        gaps.extend(files::enter(&self.readable, self.tools.as_ref().map(|tools| tools.scratch.as_path())));
        if let Err(error) = calls::refuse_others(self.tools.is_some()) {
            gaps.push(Gap::open(format!("system calls (seccomp: {error})")));
        }
        gaps
    }
}

/// Gives up what root may do, and what a new user namespace gives.
fn drop_capabilities() -> Option<Gap> {
    // Takes a capability itself; without that one there are none to take, and no new ones come.
    for capability in caps::all() {
        let _ = caps::drop(None, CapSet::Bounding, capability);
    }
    let sets = [CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted];
    let dropped = sets.into_iter().try_for_each(|set| caps::clear(None, set));
    dropped.err().map(|error| Gap::open(format!("capabilities ({error})")))
}
