//! Operations written while graphs run.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use imgflo_host::{HostError, PARTLY, Pool, Program};
use imgflo_ops::c::is_name;

use super::compile::{self, CompilerMessage, Interface};
use super::host::Host;
use super::message::{Compiled, Source};
use super::module;
use super::serve::LARGEST_LIBRARY;
use super::{COperations, Severity};
use crate::ChildLimits;

/// Most operations that are written live.
const MOST: usize = 100;
/// Jobs after which a child that compiles is replaced.
const JOBS: u32 = 200;

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
            starts_programs: true,
        };
        let compiler = Pool::new(program, ChildLimits { children: 1, ..limits.clone() }.limits(JOBS));
        let host = Arc::new(Host::live(limits, operations.gpl, &operations.host)?);
        Ok(LiveOperations { operations, host, compiler, revised: Mutex::default() })
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
        let open = self.compiler.unenforced().into_iter().filter(|what| what != PARTLY).collect::<Vec<_>>();
        if !open.is_empty() {
            let text = format!(
                "this system does not keep foreign code from all harm, so none is taken live; missing: {}",
                open.join(", ")
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
