//! GEGL as an engine: its operations described, and graphs of them rendered.
//!
//! GEGL is LGPL-3 and written in C. It is found when a child process starts ([`serve`]), by thin
//! declarations of our own, so that nothing of it is needed to build imgflo. The parent speaks to
//! such children in the words of [`Request`]: it reads and writes picture files itself, GEGL only
//! ever sees pixels.

mod denied;
mod describe;
mod ffi;
mod message;
mod modules;
mod render;

use imgflo_host::{Fault, Handler, Shared};

pub use denied::denied;
pub use message::{
    Answer, Box, Depth, Description, Kind, Link, Module, Operation, Process, Property, Reply, Request, Script,
};

use ffi::Gegl;
use modules::Modules;

/// Lives as a GEGL child, until the parent leaves. With `gpl` it offers those of GEGL's operations,
/// too, that are under the GPL-3 and not the LGPL-3.
///
/// # Errors
/// When the connection to the parent breaks.
pub fn serve(gpl: bool) -> std::io::Result<()> {
    imgflo_host::serve(|| {
        let gegl = Gegl::load(gpl).map_err(|error| Fault::failed(error.to_string()))?;
        Ok(Engine { gegl, modules: Modules::default() })
    })
}

struct Engine {
    gegl: Gegl,
    modules: Modules,
}

impl Engine {
    fn answer(&mut self, request: Request, shared: &Shared) -> Result<Answer, Fault> {
        match request {
            Request::Describe => Ok(Answer::Description(describe::all(&self.gegl))),
            Request::DescribeModule(module) => self.modules.describe(&self.gegl, &module).map(Answer::Operation),
            Request::Measure { script, inputs } => {
                self.modules.need(&self.gegl, &script.modules)?;
                render::measure(&self.gegl, &script, &inputs).map(Answer::Boxes)
            }
            Request::Render { script, inputs, depths, region, output } => {
                self.modules.need(&self.gegl, &script.modules)?;
                render::render(&self.gegl, &script, &inputs, &depths, region, output, shared)?;
                Ok(Answer::Rendered)
            }
        }
    }
}

impl Handler for Engine {
    type Request = Request;
    type Reply = Reply;

    fn handle(&mut self, request: Request, shared: &Shared) -> Result<Reply, Fault> {
        let answer = self.answer(request, shared)?;
        Ok(Reply { modules: self.modules.loaded(), answer })
    }
}
