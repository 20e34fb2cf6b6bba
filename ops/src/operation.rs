//! The contract of an operation.

use std::fmt::Debug;

use crate::{Cancel, Format, OpError, Properties, Property, Rect, Reduced, Reducible, Tile, View};

/// An input pad of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pad {
    /// Port name: `input`, `aux`.
    pub name: &'static str,
    /// False for a pad that may stay unconnected.
    pub required: bool,
}

impl Pad {
    /// The one required `input` pad of a filter.
    pub const INPUT: Pad = Pad { name: "input", required: true };
}

/// What an operation says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// Component name, `library/operation`: `gegl/gaussian-blur`.
    pub name: &'static str,
    /// Other component names that mean the same: `gegl/grey`.
    pub aliases: &'static [&'static str],
    /// GEGL's categories: `blur`, `color`, `compositors:svg`.
    pub categories: &'static [&'static str],
    /// Name for people: "Gaussian Blur".
    pub title: &'static str,
    /// One sentence.
    pub description: &'static str,
    /// Input pads, at most two, `input` first. There is always one output pad, `output`.
    pub inputs: &'static [Pad],
    /// Properties, in the order that forms show them.
    pub properties: &'static [Property],
    /// Raised whenever the same properties give other pixels; see [`Operation::revision`].
    pub revision: u32,
}

/// Pixel code behind a component.
pub trait Operation: Debug + Send + Sync {
    /// Its description; always the same.
    fn info(&self) -> &'static Info;

    /// What tells its versions apart: other pixels from the same properties are another revision. It is part of every
    /// cache key.
    fn revision(&self) -> String {
        self.info().revision.to_string()
    }

    /// Its properties that are lengths or places in pixels of the input: a picture of half the size wants half of
    /// them, to look the same.
    fn lengths(&self) -> &'static [&'static str] {
        &[]
    }

    /// The passes that compute it with these property values, run one after another, each on the
    /// result of the one before, or on what a [`Pass::Wired`] names. Inputs other than the first go
    /// to the first pass. No pass at all hands the input on unchanged. A source (no input pads) is an
    /// [`Pass::Area`] first.
    ///
    /// # Errors
    /// [`OpError::Invalid`] when the values together make no sense; each alone is in range.
    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError>;

    /// The passes that compute the same on a reduced input, where that costs less and what is lost
    /// cannot be seen in the output: asked when the first input is a file's picture that nothing
    /// else reads. The input's box is then [`Reduced::rect`]; the output's is what it always is.
    fn prepare_reduced(&self, properties: &Properties, input: Reducible) -> Option<(Reduced, Vec<Pass>)> {
        let _ = (properties, input);
        None
    }
}

/// One step of an operation.
#[derive(Debug)]
pub enum Pass {
    /// Each pixel from the same pixel: neighbouring points run as one.
    Point(Box<dyn Point>),
    /// Anything else.
    Area(Box<dyn Area>),
    /// An area pass that names what it reads: a sharpened picture is made of the picture beside a
    /// blurred one. The pads of [`Area`] are then `inputs`, two at most.
    Wired {
        /// The pass.
        area: Box<dyn Area>,
        /// What it reads, pad by pad.
        inputs: Vec<Operand>,
    },
}

/// A picture that a [`Pass::Wired`] reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// What comes in at a pad of the operation, by its place in [`Info::inputs`].
    Input(usize),
    /// The result of an earlier pass, by its place in the list.
    Pass(usize),
}

/// A filter whose output pixel depends on the input pixel at the same place alone.
/// Its output covers the box of its input.
pub trait Point: Debug + Send + Sync {
    /// The float format it works in, given what comes in. Output has this format too.
    fn format(&self, input: Format) -> Format;

    /// Rewrites a row of pixels in the format of [`Point::format`]; the first is at absolute
    /// (x, y), and `bounds` is the box of the whole image.
    fn apply(&self, row: &mut [[f32; 4]], x: i32, y: i32, bounds: Rect);

    /// True when each component of the output depends on that component of the input alone, wherever
    /// the pixel is. From bytes to bytes such passes are worked out once for each of 256 values.
    fn channelwise(&self) -> bool {
        false
    }

    /// Work a pixel, where copying one is 1.
    fn weight(&self) -> f32;
}

/// The boxes around a pass.
#[derive(Clone, Copy, Debug)]
pub struct Boxes<'a> {
    /// Box of each input pad, in the order of [`Info::inputs`]; `None` where not connected.
    pub inputs: &'a [Option<Rect>],
    /// Box of the picture that the chain of `input` pads starts from (for an unconfigured crop).
    pub origin: Option<Rect>,
}

/// The formats around a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Formats {
    /// What each input must be converted to; the second is ignored where there is one pad.
    pub inputs: [Format; 2],
    /// What comes out.
    pub output: Format,
}

/// How an output may be cut into tiles that are computed apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Any tile; the evaluator prefers bands of rows.
    Free,
    /// Bands of full rows.
    Rows,
    /// Strips of full columns.
    Columns,
    /// Not at all.
    Whole,
}

/// A pass that looks at more than the pixel at the same place.
pub trait Area: Debug + Send + Sync {
    /// Formats it works in, given what comes in (`None` where a pad is not connected).
    /// Name the incoming format itself when it can be read as it is.
    fn formats(&self, inputs: &[Option<Format>]) -> Formats;

    /// The box its output covers.
    ///
    /// # Errors
    /// [`OpError::Invalid`] when that would be no picture.
    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError>;

    /// `Some(pad)` when the output is input `pad` itself, pixels and box unchanged; then the other
    /// methods are not called.
    fn passthrough(&self, boxes: Boxes<'_>) -> Option<usize> {
        let _ = boxes;
        None
    }

    /// True when the output is the part of the first input inside [`Area::bounds`], which lies in
    /// that input's box: pixels and format unchanged. Then nothing is copied where that can be
    /// helped, and [`Area::render`] may not be called.
    fn window(&self, boxes: Boxes<'_>) -> bool {
        let _ = boxes;
        false
    }

    /// True when it can leave its output in another format than that of [`Area::formats`] by itself:
    /// what is converted row by row is not written and read again. [`Area::render`] then gets tiles
    /// of that format.
    fn leaves(&self, format: Format) -> bool {
        let _ = format;
        false
    }

    /// The part of input `pad` that `region` of the output needs; the evaluator cuts it to the
    /// input's box.
    fn needed(&self, pad: usize, region: Rect, boxes: Boxes<'_>) -> Rect;

    /// How it may be cut.
    fn split(&self) -> Split {
        Split::Free
    }

    /// Bytes that rendering all of the output takes at once, beside the input and the output; what
    /// only a tile takes is not counted.
    fn working_memory(&self, boxes: Boxes<'_>) -> u64 {
        let _ = boxes;
        0
    }

    /// Rows below which a band should not be cut for the cache's sake, since it takes work that is
    /// not shared with the next band.
    fn fewest_rows(&self) -> u32 {
        8
    }

    /// Work an output pixel, where copying one is 1.
    fn weight(&self) -> f32;

    /// Fills every pixel of `output`. Inputs are in the formats asked for and hold at least what
    /// [`Area::needed`] named for the tile. Called on many tiles at once.
    ///
    /// # Errors
    /// [`OpError::Cancelled`] or [`OpError::DeadlineExceeded`] from `cancel`, which it checks at
    /// least every few milliseconds.
    fn render(
        &self,
        inputs: &[Option<View<'_>>],
        boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        cancel: &Cancel,
    ) -> Result<(), OpError>;
}
