//! A built operation in this process, and calls into it.

use std::ffi::{CStr, CString, c_char};
use std::mem::{ManuallyDrop, size_of};
use std::path::Path;
use std::ptr::null;

use libloading::Library;

use super::abi::{self, Call, Export, Operation, Picture, SYMBOL, Target, VERSION, Value};
use super::guarded::Guarded;
use super::picture::{Beyond, pad};
use super::{Description, Given, Input, Margins, PropertyDescription, PropertyKind, Shape};
use crate::Rect;

/// Most properties and choices that are looked at; a description with as many is refused later.
const MOST: usize = 300;

/// Why a call brought no pixels.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The operation said so.
    #[error("{0}")]
    Said(String),
    /// It wrote where it must not: nothing in this process can be relied on any more.
    #[error("wrote past its pixels")]
    Overwritten,
}

/// Memory for calls, which the next call uses again: fresh memory costs as much as a copy.
#[derive(Debug, Default)]
pub struct Room {
    /// With margins.
    inputs: [Guarded; 2],
    output: Guarded,
    /// All that a point operation is given at a time.
    row: Guarded,
}

/// Makes room for so many pixels.
fn open(room: &mut Guarded, pixels: u64) -> Result<&mut [f32], RunError> {
    let floats = usize::try_from(pixels.saturating_mul(4)).unwrap_or(usize::MAX);
    room.open(floats).map_err(|error| RunError::Said(format!("no memory for {pixels} pixels: {error}")))
}

/// A built operation. It stays loaded for as long as the process lives: its code may have left
/// pointers to itself behind.
pub struct Loaded {
    operation: Operation,
    description: Description,
    _library: ManuallyDrop<Library>,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Loaded").field(&self.description.name).finish()
    }
}

impl Loaded {
    /// Loads a built operation. Its code runs in this process from here on.
    ///
    /// # Errors
    /// What keeps it from being one, in a sentence.
    pub fn open(path: &Path) -> Result<Loaded, String> {
        // SAFETY: initialisers of the library run. Whoever calls this lives in a process made for that.
        let library = unsafe { Library::new(path) }.map_err(|error| error.to_string())?;
        let library = ManuallyDrop::new(library);
        // SAFETY: the header gives the symbol this type, whatever the version.
        let export = unsafe { library.get::<*const Export>(SYMBOL) };
        let export = export.map_err(|_| "it hands out no operation: write IMGFLO_OPERATION(...) once".to_owned())?;
        // SAFETY: the symbol is there, and version and size come first in every version.
        let Export { version, size, operation } = unsafe { **export };
        if version != VERSION || size as usize != size_of::<Operation>() {
            return Err(format!("it was built for version {version} of imgflo-op.h, and this imgflo has {VERSION}"));
        }
        if operation.is_null() {
            return Err("the operation it hands out is NULL".into());
        }
        // SAFETY: it points to an operation of the size just compared.
        let operation = unsafe { *operation };
        let description = describe(&operation)?;
        Ok(Loaded { operation, description, _library: library })
    }

    /// What it says of itself; not checked yet.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// How far it reads around a pixel.
    ///
    /// # Errors
    /// When it says what cannot be.
    pub fn margins(&self, given: &[Given]) -> Result<Margins, RunError> {
        let Some(margins) = self.operation.margins else { return Ok(Margins::default()) };
        let values = self.values(given)?;
        // SAFETY: the function is the header's, and it gets a value for each property.
        let abi::Margins { left, top, right, bottom } = unsafe { margins(values.as_ptr()) };
        let side = |side: i32| {
            let negative = |_| RunError::Said(format!("a margin of {side} pixels is none"));
            u32::try_from(side).map_err(negative)
        };
        let margins = Margins { left: side(left)?, top: side(top)?, right: side(right)?, bottom: side(bottom)? };
        margins.check().map_err(RunError::Said)
    }

    /// What a source covers.
    ///
    /// # Errors
    /// When that is no picture.
    pub fn bounds(&self, given: &[Given]) -> Result<Rect, RunError> {
        let Some(bounds) = self.operation.bounds else { return Ok(Rect::INFINITE) };
        let values = self.values(given)?;
        // SAFETY: as in `margins`.
        let abi::Box { x, y, width, height } = unsafe { bounds(values.as_ptr()) };
        if width <= 0 || height <= 0 {
            return Err(RunError::Said(format!("bounds of {width} x {height} pixels are no picture")));
        }
        let found = Rect::new(x, y, width as u32, height as u32);
        Ok(if found.is_infinite() { Rect::INFINITE } else { found })
    }

    /// The pixels of `region` of a picture that covers `whole`, row by row, made in `room`. `inputs` hold
    /// what the margins ask for, as far as the inputs have it.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn render<'r>(
        &self,
        room: &'r mut Room,
        given: &[Given],
        whole: Rect,
        inputs: &[&dyn Input],
        region: Rect,
    ) -> Result<&'r [f32], RunError> {
        let values = self.values(given)?;
        open(&mut room.output, region.area())?;
        match self.description.shape {
            Shape::Point => self.rows(room, &values, whole, inputs, region)?,
            _ => self.fill(room, given, &values, whole, inputs, region)?,
        }
        let Room { inputs, output, row } = room;
        if inputs.iter_mut().chain([&mut *output, row]).all(Guarded::is_intact) {
            Ok(output.floats())
        } else {
            Err(RunError::Overwritten)
        }
    }

    /// Each row is made in a place of its own: the next one of the picture would hide what is written past it.
    fn rows(
        &self,
        room: &mut Room,
        values: &[Value],
        whole: Rect,
        inputs: &[&dyn Input],
        region: Rect,
    ) -> Result<(), RunError> {
        let (Some(point), Some(input)) = (self.operation.point, inputs.first()) else { return Ok(()) };
        let row = open(&mut room.row, region.width.into())?;
        let rows = room.output.floats_mut().chunks_exact_mut(row.len().max(1));
        for (y, output) in (region.y..).zip(rows) {
            pad(*input, Rect { y, height: 1, ..region }, Beyond::Nearest, row.as_chunks_mut().0)?;
            // SAFETY: the function is the header's, and the row has as many pixels as it is told.
            unsafe { point(values.as_ptr(), row.as_mut_ptr(), region.x, y, region.width as i32, to_box(whole)) };
            output.copy_from_slice(row);
        }
        Ok(())
    }

    fn fill(
        &self,
        room: &mut Room,
        given: &[Given],
        values: &[Value],
        whole: Rect,
        inputs: &[&dyn Input],
        region: Rect,
    ) -> Result<(), RunError> {
        let Some(render) = self.operation.render else { return Ok(()) };
        let around = self.margins(given)?.around(region);
        let Room { inputs: padded, output, .. } = room;
        for ((input, beyond), padded) in inputs.iter().zip([Beyond::Nearest, Beyond::Transparent]).zip(&mut *padded) {
            pad(*input, around, beyond, open(padded, around.area())?.as_chunks_mut().0)?;
        }
        let picture = |pad: usize| {
            let there = padded.get(pad).filter(|_| pad < inputs.len());
            let pixels = there.map_or(null(), |pixels| pixels.floats().as_ptr());
            Picture { rect: to_box(around), stride: around.width as isize * 4, pixels }
        };
        let output = output.floats_mut();
        output.fill(0.0);
        let target = Target { rect: to_box(region), stride: region.width as isize * 4, pixels: output.as_mut_ptr() };
        let call =
            Call { values: values.as_ptr(), whole: to_box(whole), input: picture(0), aux: picture(1), output: target };
        // SAFETY: the function is the header's; all that the call points to lives until it returns, and has
        // the sizes that its boxes say.
        let said = unsafe { render(&raw const call) };
        match text(said) {
            None => Ok(()),
            Some(message) => Err(RunError::Said(message.chars().take(1000).collect())),
        }
    }

    /// The values as C reads them, with the texts that they point to.
    fn values(&self, given: &[Given]) -> Result<Values, RunError> {
        let properties = &self.description.properties;
        let unfit = || RunError::Said("the values do not fit the properties".into());
        if given.len() != properties.len() {
            return Err(unfit());
        }
        let (mut values, mut texts) = (Vec::new(), Vec::new());
        for (given, property) in given.iter().zip(properties) {
            values.push(match (given, &property.kind) {
                (Given::Number(number), PropertyKind::Number { .. }) => Value { number: *number },
                (
                    Given::Integer(integer),
                    PropertyKind::Int { .. } | PropertyKind::Boolean { .. } | PropertyKind::Enum { .. },
                ) => Value { integer: *integer },
                (Given::Color(color), PropertyKind::Color { .. }) => Value { color: *color },
                (Given::Text(text), PropertyKind::Text { .. }) => {
                    let text = CString::new(text.as_str()).map_err(|_| unfit())?;
                    let value = Value { text: text.as_ptr() };
                    texts.push(text);
                    value
                }
                _ => return Err(unfit()),
            });
        }
        Ok(Values { values, _texts: texts })
    }
}

/// Values, and what they point to.
struct Values {
    values: Vec<Value>,
    _texts: Vec<CString>,
}

impl std::ops::Deref for Values {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.values
    }
}

fn to_box(rect: Rect) -> abi::Box {
    let side = |side: u32| i32::try_from(side).unwrap_or(i32::MAX);
    abi::Box { x: rect.x, y: rect.y, width: side(rect.width), height: side(rect.height) }
}

/// A text of the operation; `None` for NULL.
fn text(from: *const c_char) -> Option<String> {
    if from.is_null() {
        return None;
    }
    // SAFETY: the header asks for texts that end in a zero byte. One that does not ends this process at worst.
    Some(unsafe { CStr::from_ptr(from) }.to_string_lossy().into_owned())
}

fn describe(operation: &Operation) -> Result<Description, String> {
    let shape = match operation.kind {
        abi::POINT => Shape::Point,
        abi::AREA => Shape::Area,
        abi::COMPOSITOR => Shape::Compositor,
        abi::SOURCE => Shape::Source,
        other => return Err(format!("a kind of {other} is none: IMGFLO_POINT, _AREA, _COMPOSITOR or _SOURCE")),
    };
    let (linear, premultiplied) = match operation.format {
        abi::LINEAR => (true, false),
        abi::LINEAR_PREMULTIPLIED => (true, true),
        abi::CODED => (false, false),
        abi::CODED_PREMULTIPLIED => (false, true),
        other => return Err(format!("a format of {other} is none: IMGFLO_LINEAR, IMGFLO_CODED, ..")),
    };
    let (point, render) = (operation.point.is_some(), operation.render.is_some());
    match shape {
        Shape::Point if !point => return Err("a point operation has a function `point`".into()),
        Shape::Area | Shape::Compositor | Shape::Source if !render => {
            return Err("all but point operations have a function `render`".into());
        }
        _ => {}
    }
    Ok(Description {
        name: text(operation.name).ok_or("the operation has no name")?,
        title: text(operation.title).unwrap_or_default(),
        description: text(operation.description).ok_or("the operation has no description")?,
        categories: text(operation.categories).unwrap_or_default(),
        shape,
        linear,
        premultiplied,
        keeps_opaque: operation.keeps_opaque != 0,
        weight: operation.weight,
        margins: matches!(shape, Shape::Area | Shape::Compositor) && operation.margins.is_some(),
        bounds: shape == Shape::Source && operation.bounds.is_some(),
        properties: properties(operation.properties)?,
    })
}

fn properties(from: *const abi::Property) -> Result<Vec<PropertyDescription>, String> {
    let mut properties = Vec::new();
    if from.is_null() {
        return Ok(properties);
    }
    for index in 0..MOST {
        // SAFETY: the header asks for IMGFLO_END, whose name is NULL, after the last.
        let property = unsafe { *from.add(index) };
        let Some(name) = text(property.name) else { break };
        let kind = kind(&property).map_err(|fault| format!("property '{name}': {fault}"))?;
        let description = text(property.description).unwrap_or_default();
        properties.push(PropertyDescription { name, description, kind });
    }
    Ok(properties)
}

fn kind(property: &abi::Property) -> Result<PropertyKind, String> {
    let abi::Property { type_, minimum, maximum, initial, .. } = *property;
    // SAFETY: in all of these the header's macros set the member that the type says, and all but the text
    // hold a value whatever the bits are.
    Ok(unsafe {
        match type_ {
            abi::NUMBER => PropertyKind::Number { default: initial.number, minimum, maximum },
            abi::INT => {
                let (minimum, maximum) = (minimum as i64, maximum as i64);
                PropertyKind::Int { default: initial.integer, minimum, maximum }
            }
            abi::BOOLEAN => PropertyKind::Boolean { default: initial.integer != 0 },
            abi::ENUM => PropertyKind::Enum { default: initial.integer, choices: choices(property.choices) },
            abi::COLOR => PropertyKind::Color { default: initial.color },
            abi::TEXT => PropertyKind::Text { default: text(initial.text).unwrap_or_default() },
            other => return Err(format!("a type of {other} is none: use IMGFLO_NUMBER(...) and the like")),
        }
    })
}

fn choices(from: *const *const c_char) -> Vec<String> {
    if from.is_null() {
        return Vec::new();
    }
    // SAFETY: the header asks for NULL after the last.
    (0..MOST).map_while(|index| text(unsafe { *from.add(index) })).collect()
}
