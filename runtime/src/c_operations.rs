//! Operations written in C: built, loaded in child processes, and changed while graphs run.
//!
//! A built operation is a library that only children of this process load ([`imgflo_host`]), so that
//! what it does wrong ends one job. To graphs it is an operation like the native ones, named
//! `c/NAME`, and runs beside them. Each of its revisions has a name of its own, too:
//! `c/NAME/REVISION`, which jobs carry, so that a job is done by the code that its key was made from.
//!
//! An operation that is written for GEGL (`gegl-op.h`) is a module, which GEGL's children load: the
//! graph that it is in runs on GEGL as a whole.

mod build;
mod compile;
mod host;
mod hosted;
mod live;
mod message;
mod module;
mod scratch;
mod serve;
pub mod sources;

pub use build::{Building, build, create};
pub use compile::{CompilerMessage, Severity};
pub use live::{LiveOperations, Revised};
pub use serve::{serve_compiler, serve_operations};

pub(crate) use host::MOST_LOADED;
pub(crate) use module::Module;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use imgflo_ops::c::LIBRARY;
use imgflo_ops::{Info, Operation};

use crate::ChildLimits;
use host::Host;

/// Former revisions of an operation that jobs on their way may still ask for.
const FORMER: usize = 4;

/// A revision of an operation in C.
#[derive(Clone, Debug)]
pub(crate) struct Revision {
    pub operation: Arc<dyn Operation>,
    /// What it is in GEGL, where it is written for that and runs there only.
    pub module: Option<Arc<Module>>,
}

/// An operation of which there is or was a source.
#[derive(Debug, Default)]
struct History {
    /// False once the source is gone: then only jobs on their way get it, which name a revision.
    is_offered: bool,
    /// The revision in force is the first.
    revisions: VecDeque<Revision>,
}

/// By name without library.
type Revisions = BTreeMap<String, History>;

/// The C operations of this process, each with its revisions.
#[derive(Debug)]
pub struct COperations {
    host: Arc<Host>,
    gpl: bool,
    operations: RwLock<Revisions>,
    /// Revisions that were taken of a folder, by name.
    loaded: Mutex<BTreeMap<String, String>>,
}

impl COperations {
    /// None yet. With `gpl` those that are written for GEGL may be under the GPL-3, and use what GEGL has under it.
    ///
    /// # Errors
    /// When there is no temporary folder.
    pub fn new(limits: &ChildLimits, gpl: bool) -> io::Result<COperations> {
        Ok(COperations {
            host: Arc::new(Host::new(limits, gpl)?),
            gpl,
            operations: RwLock::default(),
            loaded: Mutex::default(),
        })
    }

    /// Takes in what `imgflo ops build` built of the folder `sources` and was not taken before, and withdraws what is
    /// gone from there; how many that were, and what is wrong with the rest. What is built there later changes nothing before this
    /// is called again, and what did not load is tried once.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn load(&self, sources: &Path) -> io::Result<(usize, Vec<String>)> {
        let mut faults = Vec::new();
        let mut loaded = 0;
        let mut known = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let libraries = build::libraries(sources)?;
        known.retain(|name, _| {
            let stays = libraries.iter().any(|library| library.name == *name);
            if !stays && self.withdraw(name) {
                loaded += 1;
            }
            stays
        });
        for build::Library { path, name, revision, interface } in libraries {
            if known.insert(name.clone(), revision.clone()).is_some_and(|before| before == revision) {
                continue;
            }
            let described = std::fs::read(&path)
                .map_err(|error| error.to_string())
                .and_then(|bytes| self.host.describe(&name, &revision, interface, &bytes));
            match described {
                Ok(operation) => {
                    self.put(&name, operation);
                    loaded += 1;
                }
                Err(message) => faults.push(format!("{}: {message}", path.display())),
            }
        }
        Ok((loaded, faults))
    }

    /// Puts a revision in force.
    fn put(&self, name: &str, revision: Revision) {
        let mut operations = self.operations.write().unwrap_or_else(PoisonError::into_inner);
        let History { is_offered, revisions } = operations.entry(name.to_owned()).or_default();
        *is_offered = true;
        revisions.push_front(revision);
        revisions.truncate(1 + FORMER);
    }

    /// Offers an operation no longer to graphs. Returns true if it was offered.
    fn withdraw(&self, name: &str) -> bool {
        let mut operations = self.operations.write().unwrap_or_else(PoisonError::into_inner);
        operations.get_mut(name).is_some_and(|revised| std::mem::take(&mut revised.is_offered))
    }

    /// The operation of a component: `c/NAME`, or `c/NAME/REVISION`.
    pub(crate) fn revision(&self, component: &str) -> Option<Revision> {
        let name = component.strip_prefix(LIBRARY)?.strip_prefix('/')?;
        let (name, revision) = name.split_once('/').map_or((name, None), |(name, revision)| (name, Some(revision)));
        let operations = self.operations();
        let History { is_offered, revisions } = operations.get(name)?;
        match revision {
            None => revisions.front().filter(|_| *is_offered).cloned(),
            Some(revision) => revisions.iter().find(|other| other.operation.revision() == revision).cloned(),
        }
    }

    /// Descriptions of all, by name.
    pub(crate) fn infos(&self) -> Vec<&'static Info> {
        let operations = self.operations();
        let offered = operations.values().filter(|revised| revised.is_offered);
        offered.filter_map(|revised| Some(revised.revisions.front()?.operation.info())).collect()
    }

    fn operations(&self) -> RwLockReadGuard<'_, Revisions> {
        self.operations.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// True for names of components in C.
pub(crate) fn is_in_c(component: &str) -> bool {
    component.split_once('/').is_some_and(|(library, _)| library == LIBRARY)
}

/// The name of an operation's one revision, as jobs carry it; `None` for what is not in C.
pub(crate) fn pinned(operation: &dyn Operation) -> Option<String> {
    let name = operation.info().name;
    is_in_c(name).then(|| format!("{name}/{}", operation.revision()))
}
