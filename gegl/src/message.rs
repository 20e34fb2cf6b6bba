//! What a parent and a GEGL child say to each other.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a child is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    /// All operations that a graph may use.
    Describe,
    /// The operation of a module.
    DescribeModule(Module),
    /// The boxes that the processes of a script cover, given those of its inputs; no pixel is made.
    Measure {
        /// The graph.
        script: Script,
        /// Box of each picture that enters.
        inputs: Vec<Box>,
    },
    /// Pixels. Those of the inputs lie in the shared memory, one after another, row by row without
    /// gaps; those of the result are written there, from its start.
    Render {
        /// The graph.
        script: Script,
        /// Box of each picture that enters.
        inputs: Vec<Box>,
        /// How the pixels of each are given.
        depths: Vec<Depth>,
        /// The part of the result to make.
        region: Box,
        /// How its pixels are wanted.
        output: Depth,
    },
}

/// What a child answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reply {
    /// How many modules are loaded by now: none is ever unloaded.
    pub modules: usize,
    /// The answer.
    pub answer: Answer,
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Request::Describe`].
    Description(Description),
    /// To [`Request::DescribeModule`].
    Operation(Operation),
    /// To [`Request::Measure`]: one for each process.
    Boxes(Vec<Box>),
    /// To [`Request::Render`].
    Rendered,
}

/// A box of pixels; may reach to the left of and above (0, 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(C)]
pub struct Box {
    /// Left side.
    pub x: i32,
    /// Upper side.
    pub y: i32,
    /// Pixels.
    pub width: i32,
    /// Pixels.
    pub height: i32,
}

impl Box {
    /// Pixels in it.
    pub fn area(self) -> u64 {
        self.width.max(0) as u64 * self.height.max(0) as u64
    }
}

/// How pixels lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Depth {
    /// Three bytes a pixel, sRGB-coded red, green and blue.
    Rgb8,
    /// Four bytes a pixel, and alpha that is not multiplied in.
    Rgba8,
    /// Three floats a pixel, sRGB-coded red, green and blue.
    Rgb,
    /// Four floats a pixel, and alpha that is not multiplied in.
    Rgba,
    /// Four floats a pixel, linear light and alpha that is not multiplied in.
    Float,
}

impl Depth {
    /// Bytes of a pixel.
    pub fn bytes(self) -> usize {
        match self {
            Depth::Rgb8 => 3,
            Depth::Rgba8 => 4,
            Depth::Rgb => 12,
            Depth::Rgba | Depth::Float => 16,
        }
    }

    /// What babl calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Depth::Rgb8 => "R'G'B' u8",
            Depth::Rgba8 => "R'G'B'A u8",
            Depth::Rgb => "R'G'B' float",
            Depth::Rgba => "R'G'B'A float",
            Depth::Float => "RGBA float",
        }
    }
}

/// An operation that comes in a library of its own, as GEGL loads them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// The folder with this one library.
    pub folder: PathBuf,
    /// The operation that is registered when it is loaded.
    pub operation: String,
}

/// A graph of GEGL's operations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Script {
    /// What has to be loaded for it.
    pub modules: Vec<Module>,
    /// The processes; each only reads those before it.
    pub processes: Vec<Process>,
    /// The one that makes the result.
    pub output: usize,
}

/// A process of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Its name, for messages.
    pub name: String,
    /// GEGL's name of the operation: `gegl:crop`.
    pub operation: String,
    /// Values of properties; those that are not here keep GEGL's defaults.
    pub properties: Vec<(String, Value)>,
    /// What its input pads read.
    pub inputs: Vec<(String, Link)>,
}

/// What an input pad reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Link {
    /// The picture of that number that enters.
    Input(usize),
    /// The output of the process of that number.
    Process(usize),
}

/// GEGL as it is installed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// `0.4.42`.
    pub version: String,
    /// By name.
    pub operations: Vec<Operation>,
}

/// An operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// `gegl:crop`.
    pub name: String,
    /// Names that older graphs have for the operation.
    pub aliases: Vec<String>,
    /// For people.
    pub title: String,
    /// For people.
    pub description: String,
    /// `blur`, `compositors:svgfilter`.
    pub categories: Vec<String>,
    /// Input pads; those beside `input` may stay open.
    pub inputs: Vec<String>,
    /// Properties that have a value which can be written down.
    pub properties: Vec<Property>,
}

/// A property of an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Property {
    /// `std-dev-x`.
    pub name: String,
    /// For people.
    pub description: String,
    /// Type, default and range.
    pub kind: Kind,
    /// True for a length or a place, in pixels.
    pub is_length: bool,
}

/// Type, default and range of a property.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each means what it says")]
pub enum Kind {
    Number {
        default: f64,
        minimum: f64,
        maximum: f64,
    },
    Int {
        default: i64,
        minimum: i64,
        maximum: i64,
    },
    Boolean {
        default: bool,
    },
    Enum {
        default: String,
        values: Vec<String>,
    },
    /// Linear red, green, blue and alpha.
    Color {
        default: [f32; 4],
    },
    Text {
        default: String,
    },
}
