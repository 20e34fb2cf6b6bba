//! Operations written while graphs run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use imgflo_host::{HostError, Limits, Pool, Program};
use imgflo_ops::c::is_name;

use super::compile::{self, CompilerMessage, Interface};
use super::host::Host;
use super::message::{Compiled, Source};
use super::module;
use super::serve::LARGEST_LIBRARY;
use super::sources;
use super::{COperations, Severity};
use crate::ChildLimits;

/// Most operations that are written live.
const MOST: usize = 100;
/// Jobs after which a child that compiles is replaced.
const JOBS: u32 = 200;
/// The largest file that a compiler may write, and all of them together, bytes. GCC writes assembler, which is some times
/// as large as the library.
const LARGEST_FILE: u64 = 64 << 20;
const SCRATCH: u64 = 256 << 20;

/// A revision that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revised {
    /// The component: `c/wave`.
    pub component: String,
    /// Changes with the source.
    pub revision: String,
    /// Warnings.
    pub messages: Vec<CompilerMessage>,
}

/// Compiles sources of strangers, and puts what comes of them in force.
///
/// The compiler runs in a child that reads the system's folders and its own scratch folder only, and
/// the operations in children apart from those of the operator's.
#[derive(Debug)]
pub struct LiveOperations {
    operations: Arc<COperations>,
    host: Arc<Host>,
    compiler: Pool,
    /// Names of those that were written live; one is revised at a time.
    revised: Mutex<Vec<String>>,
    /// Revisions of the sources beside graphs when they were taken in last, by name.
    kept: Mutex<BTreeMap<String, String>>,
}

impl LiveOperations {
    /// Revisions go into `operations`. `compiler` is the command of a C compiler: `cc`.
    ///
    /// # Errors
    /// When there is no temporary folder.
    pub fn new(operations: Arc<COperations>, compiler: &str, limits: &ChildLimits) -> std::io::Result<Self> {
        let program = Program {
            path: limits.program.clone(),
            arguments: vec!["child".into(), "compile".into(), compiler.to_owned()],
            name: "imgflo-compile",
            environment: vec![("PATH", "/usr/local/bin:/usr/bin:/bin".into())],
            // Where it is not a part of /usr.
            readable: vec![PathBuf::from("/bin")],
            scratch: Some(SCRATCH),
            endings: &[],
        };
        let compiler = Pool::new(program, Limits { children: 1, pixels: LARGEST_FILE, ..limits.limits(JOBS) });
        let host = Arc::new(Host::live(limits, operations.gpl, &operations.host)?);
        Ok(LiveOperations { operations, host, compiler, revised: Mutex::default(), kept: Mutex::default() })
    }

    /// Compiles the source of the operation `name`, loads it in a child, and puts it in force for graphs
    /// that are planned from now on; plans that are there keep what they have. Blocks for as long.
    ///
    /// # Errors
    /// What is wrong with it; then all stays as it was.
    pub fn revise(&self, name: &str, source: &str) -> Result<Revised, Vec<CompilerMessage>> {
        let file = format!("{name}.c");
        let refused = |text: String| vec![CompilerMessage::error(&file, text)];
        is_name(name).map_err(refused)?;
        let mut revised = self.revised.lock().unwrap_or_else(PoisonError::into_inner);
        let known = revised.iter().any(|other| other == name);
        if !known && revised.len() >= MOST {
            return Err(refused(format!("there are {MOST} operations written live, and no more are taken")));
        }
        let revision = compile::revision(source.as_bytes(), &[]);
        let (library, messages) = self.compile(name, &revision, source)?;
        let interface = Interface::of(source.as_bytes());
        let operation = self.host.describe(name, &revision, interface, &library).map_err(refused)?;
        self.operations.put(name, operation);
        if !known {
            revised.push(name.to_owned());
        }
        tracing::info!(name, revision, "an operation is revised");
        Ok(Revised { component: format!("{}/{name}", imgflo_ops::c::LIBRARY), revision, messages })
    }

    /// Takes in the sources beside the graphs of the folder `graphs`, as far as they changed since they were taken in
    /// last: what is written here and not saved yet stays in force otherwise. An operation whose source is gone is not
    /// offered any more. Sources of more than `largest` bytes
    /// are not read. Blocks while they are compiled.
    ///
    /// # Errors
    /// What is wrong with each that cannot be used; the others are in force.
    pub fn take_in(&self, graphs: &Path, largest: u64) -> Result<(), Vec<String>> {
        let mut faults = Vec::new();
        let files = sources::files(graphs).unwrap_or_else(|error| {
            faults.push(format!("{}: {error}", sources::folder(graphs).display()));
            BTreeMap::new()
        });
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|name, _| {
            let stays = files.contains_key(name);
            if !stays && self.operations.withdraw(name) {
                tracing::info!(name, "the source of an operation is gone, and the operation with it");
            }
            stays
        });
        for (name, path) in files {
            let fault = |message: String| format!("{}: {message}", path.display());
            let source = match fs::metadata(&path) {
                Ok(file) if file.len() > largest => Err(format!(
                    "{} bytes are more than the limit of {largest} (IMGFLO_MAX_OPERATION_BYTES)",
                    file.len()
                )),
                _ => fs::read_to_string(&path).map_err(|error| error.to_string()),
            };
            let source = match source {
                Ok(source) => source,
                Err(message) => {
                    faults.push(fault(message));
                    continue;
                }
            };
            let revision = compile::revision(source.as_bytes(), &[]);
            if kept.insert(name.clone(), revision.clone()).as_ref() == Some(&revision) {
                continue;
            }
            let in_force = self.operations.revision(&format!("{}/{name}", imgflo_ops::c::LIBRARY));
            if in_force.is_some_and(|in_force| in_force.operation.revision() == revision) {
                continue;
            }
            if let Err(messages) = self.revise(&name, &source) {
                faults.push(fault(messages.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")));
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    fn compile(
        &self,
        name: &str,
        revision: &str,
        source: &str,
    ) -> Result<(Vec<u8>, Vec<CompilerMessage>), Vec<CompilerMessage>> {
        let never = || false;
        let failed = |error: HostError| {
            let text = match error {
                HostError::Fault(fault) => fault.message,
                error => format!("the compiler {error}"),
            };
            vec![CompilerMessage::error(format!("{name}.c"), text)]
        };
        let mut lease = self.compiler.lease(&never).map_err(failed)?;
        let open = self.compiler.unenforced().into_iter().filter(|gap| gap.open).collect::<Vec<_>>();
        if !open.is_empty() {
            let text = format!(
                "this system does not keep foreign code from all harm, so none is taken live; missing: {}",
                open.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            );
            return Err(vec![CompilerMessage::error(format!("{name}.c"), text)]);
        }
        let request = Source { name: name.into(), revision: module::in_gegl(name, revision), text: source.into() };
        let Compiled { messages, library } = lease.call(&request, &[], &never).map_err(failed)?;
        let Some(length) = library.filter(|length| *length <= LARGEST_LIBRARY) else {
            let none = messages.iter().all(|message| message.severity != Severity::Error);
            let untold = none.then(|| CompilerMessage::error(format!("{name}.c"), "the compiler made no library"));
            return Err(messages.into_iter().chain(untold).collect());
        };
        let mut bytes = vec![0; length as usize];
        lease.read(&mut bytes, 0).map_err(failed)?;
        Ok((bytes, messages))
    }
}
