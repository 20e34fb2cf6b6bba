//! Operations that come in libraries of their own.

use imgflo_host::Fault;

use crate::describe;
use crate::ffi::Gegl;
use crate::message::{Module, Operation};

/// The modules that were loaded. GEGL unloads none.
#[derive(Debug, Default)]
pub(crate) struct Modules {
    loaded: usize,
}

impl Modules {
    /// How many there are.
    pub fn loaded(&self) -> usize {
        self.loaded
    }

    /// Loads those that are not there yet.
    pub fn need(&mut self, gegl: &Gegl, modules: &[Module]) -> Result<(), Fault> {
        modules.iter().try_for_each(|module| self.load(gegl, module))
    }

    fn load(&mut self, gegl: &Gegl, Module { folder, operation }: &Module) -> Result<(), Fault> {
        if gegl.has(operation) {
            return Ok(());
        }
        let folder = folder.to_str().ok_or_else(|| Fault::failed("the folder of a module has a name beyond UTF-8"))?;
        gegl.load_modules(folder);
        self.loaded += 1;
        if gegl.has(operation) {
            return Ok(());
        }
        Err(Fault::failed(
            "it gives GEGL no operation: its class has to have a name, \
             and one under the GPL-3 is taken with IMGFLO_GEGL_GPL=true only",
        ))
    }

    /// Loads a module and hears what its operation says of itself.
    pub fn describe(&mut self, gegl: &Gegl, module: &Module) -> Result<Operation, Fault> {
        self.load(gegl, module)?;
        let graph = gegl.graph();
        if !graph.add(&module.operation).is_some_and(|node| graph.has_output(node)) {
            return Err(Fault::failed("it makes no picture: it has no output"));
        }
        describe::operation(gegl, &module.operation).ok_or_else(|| Fault::failed("it is no operation"))
    }
}
