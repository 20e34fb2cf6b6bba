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
mod render;

use imgflo_host::{Fault, Handler, Shared};

pub use denied::denied;
pub use message::{Box, Depth, Description, Kind, Link, Operation, Process, Property, Reply, Request, Script};

use ffi::Gegl;

/// Lives as a GEGL child, until the parent leaves. With `gpl` it offers those of GEGL's operations,
/// too, that are under the GPL-3 and not the LGPL-3.
///
/// # Errors
/// When the connection to the parent breaks.
pub fn serve(gpl: bool) -> std::io::Result<()> {
    imgflo_host::serve(|| Ok(Engine { gegl: Gegl::load(gpl).map_err(|error| Fault::failed(error.to_string()))? }))
}

struct Engine {
    gegl: Gegl,
}

impl Handler for Engine {
    type Request = Request;
    type Reply = Reply;

    fn handle(&mut self, request: Request, shared: &Shared) -> Result<Reply, Fault> {
        match request {
            Request::Describe => Ok(Reply::Description(describe::all(&self.gegl))),
            Request::Measure { script, inputs } => render::measure(&self.gegl, &script, &inputs).map(Reply::Boxes),
            Request::Render { script, inputs, depths, region, output } => {
                render::render(&self.gegl, &script, &inputs, &depths, region, output, shared)?;
                Ok(Reply::Rendered)
            }
        }
    }
}
