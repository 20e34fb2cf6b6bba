//! The children's side.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use imgflo_host::{Fault, Handler, Shared};
use imgflo_ops::Rect;
use imgflo_ops::c::{self, Input, Loaded, Room, RunError};

use super::compile::{Compilation, Interface, compile};
use super::message::{Answer, Compiled, Reply, Request, Source};

/// Largest library that is handed back, bytes.
pub(super) const LARGEST_LIBRARY: u64 = 16 << 20;

/// Bytes of a pixel.
const PIXEL: u64 = 16;

/// Lives as a child with C operations, until the parent leaves.
///
/// # Errors
/// When the connection to the parent breaks.
pub fn serve_operations() -> io::Result<()> {
    imgflo_host::serve(|| {
        c::watch().map_err(|error| Fault::failed(error.to_string()))?;
        Ok(Operations::default())
    })
}

/// Lives as a child that compiles with `compiler`, until the parent leaves.
///
/// # Errors
/// When the connection to the parent breaks.
pub fn serve_compiler(compiler: &str) -> io::Result<()> {
    imgflo_host::serve(|| {
        let folder = std::env::temp_dir();
        let written = Interface::write_headers(&folder);
        written.map_err(|error| Fault::failed(format!("{}: {error}", folder.display())))?;
        Ok(Compiler { compiler: compiler.to_owned(), folder })
    })
}

/// Operations that were asked for once stay.
#[derive(Default)]
struct Operations {
    loaded: HashMap<PathBuf, Loaded>,
    room: Room,
}

/// Loads a library when it is met first.
fn get<'l>(loaded: &'l mut HashMap<PathBuf, Loaded>, library: &Path) -> Result<&'l Loaded, Fault> {
    if !loaded.contains_key(library) {
        loaded.insert(library.to_owned(), Loaded::open(library).map_err(Fault::failed)?);
    }
    loaded.get(library).ok_or_else(|| Fault::failed("the operation is not loaded"))
}

impl Operations {
    fn answer(&mut self, request: Request, shared: &Shared) -> Result<Answer, Fault> {
        let told = |result: Result<Answer, RunError>| match result {
            Err(RunError::Overwritten) => Ok(Answer::Corrupt(RunError::Overwritten.to_string())),
            Err(RunError::Said(message)) => Err(Fault::failed(message)),
            Ok(answer) => Ok(answer),
        };
        match request {
            Request::Describe { library } => {
                Ok(Answer::Description(get(&mut self.loaded, &library)?.description().clone()))
            }
            Request::Measure { library, values } => {
                let operation = get(&mut self.loaded, &library)?;
                let measured = operation.margins(&values).and_then(|margins| {
                    let bounds = operation.bounds(&values)?;
                    Ok(Answer::Measured { margins, bounds })
                });
                told(measured)
            }
            Request::Render { library, values, whole, inputs, region } => {
                let operation = get(&mut self.loaded, &library)?;
                let pictures = pictures(&inputs, shared);
                let inputs = pictures.iter().map(|picture| picture as &dyn Input).collect::<Vec<_>>();
                let rendered = match operation.render(&mut self.room, &values, whole, &inputs, region) {
                    Ok(pixels) => {
                        shared.write(bytemuck::cast_slice(pixels), 0)?;
                        Ok(Answer::Rendered)
                    }
                    Err(error) => Err(error),
                };
                told(rendered)
            }
        }
    }
}

/// An input in the shared memory.
struct Picture<'s> {
    rect: Rect,
    /// Where its pixels begin, bytes.
    at: u64,
    shared: &'s Shared,
}

impl Input for Picture<'_> {
    fn rect(&self) -> Rect {
        self.rect
    }

    fn read(&self, x: i32, y: i32, into: &mut [[f32; 4]]) -> Result<(), RunError> {
        let offset = |at: i32, from: i32| (i64::from(at) - i64::from(from)) as u64;
        let pixel = offset(y, self.rect.y) * u64::from(self.rect.width) + offset(x, self.rect.x);
        let read = self.shared.read(bytemuck::cast_slice_mut(into), self.at + pixel * PIXEL);
        read.map_err(|fault| RunError::Said(fault.message))
    }
}

/// The inputs, which lie one after another.
fn pictures<'s>(inputs: &[Rect], shared: &'s Shared) -> Vec<Picture<'s>> {
    let mut at = 0;
    let place = |rect: &Rect| {
        let picture = Picture { rect: *rect, at, shared };
        at += rect.area() * PIXEL;
        picture
    };
    inputs.iter().map(place).collect()
}

impl Handler for Operations {
    type Request = Request;
    type Reply = Reply;

    fn handle(&mut self, request: Request, shared: &Shared) -> Result<Reply, Fault> {
        let answer = self.answer(request, shared)?;
        Ok(Reply { loaded: self.loaded.len(), answer })
    }
}

struct Compiler {
    compiler: String,
    /// Scratch, with the header.
    folder: PathBuf,
}

impl Handler for Compiler {
    type Request = Source;
    type Reply = Compiled;

    fn handle(&mut self, Source { name, revision, text }: Source, shared: &Shared) -> Result<Compiled, Fault> {
        let (source, output) = (self.folder.join(format!("{name}.c")), self.folder.join(format!("{name}.so")));
        let failed = |error: io::Error| Fault::failed(error.to_string());
        let compilation = Compilation {
            compiler: &self.compiler,
            source: &source,
            interface: Interface::of(text.as_bytes()),
            revision: &revision,
            includes: None,
            headers: &self.folder,
            output: &output,
        };
        let compiled = fs::write(&source, &text).and_then(|()| compile(&compilation)).and_then(|(built, messages)| {
            let library = if built { Some(fs::read(&output)?) } else { None };
            Ok((library, messages))
        });
        for file in [&source, &output] {
            let _ = fs::remove_file(file);
        }
        let (library, messages) = compiled.map_err(failed)?;
        if let Some(bytes) = &library {
            if bytes.len() as u64 > LARGEST_LIBRARY {
                let size = bytes.len();
                return Err(Fault::invalid(format!("{size} bytes of code are more than {LARGEST_LIBRARY}")));
            }
            shared.write(bytes, 0)?;
        }
        Ok(Compiled { messages, library: library.map(|bytes| bytes.len() as u64) })
    }
}
