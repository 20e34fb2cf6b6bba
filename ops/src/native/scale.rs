//! The pass behind the operations that scale: on linear light, premultiplied.
//!
//! Scaling is axis-aligned, so it runs as one weighted sum along each axis, from tables
//! (`scale_axis`).

mod columns;
mod lines;

use std::sync::OnceLock;

use columns::Columns;
use lines::Lines;

use super::sampler::{self, Sampler};
use super::scale_axis::{Beyond, Mapping};
use super::transform::{IDENTITY, Matrix, NEAR_Z, ORIGIN, around, origin};
use crate::format::{Source, Target, convert_row};
use crate::{
    Alpha, Area, Boxes, Cancel, Depth, Format, Formats, Kind, OpError, Pass, Properties, Property, Rect, Reduced,
    Reducible, Tile, View,
};

/// Largest side or ratio that can be asked for.
pub(super) const LARGEST: f64 = 9000.0;

/// The ports that operations have in common which scale as GEGL does, and two of their own.
pub(super) const fn properties(own: [Property; 2]) -> [Property; 7] {
    let [x, y] = own;
    let abyss = Property {
        name: "abyss-policy",
        description: "What lies beyond the edges. none is the same as clamp: edges do not fade",
        kind: Kind::Enum { default: "none", values: &["none", "clamp", "loop", "black", "white"] },
    };
    [ORIGIN[0], ORIGIN[1], NEAR_Z, sampler::PROPERTY, abyss, x, y]
}

/// How large the output is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Extent {
    /// Width and height, pixels; one that is not above 0 follows from the other.
    Size([f64; 2]),
    /// Output pixels per source pixel; above 0.
    Ratio([f64; 2]),
}

/// Scales its input.
#[derive(Debug)]
pub(super) struct Scale {
    /// What is asked for.
    pub extent: Extent,
    /// What stays in place, pixels.
    pub origin: [f64; 2],
    /// How pixels are read.
    pub sampler: Sampler,
    /// A side that was rounded to whole pixels covers all of the source; else the ratio of both
    /// sides is the same, and the last pixel is more or less than there is.
    pub covers: bool,
    /// What lies beyond the edges.
    pub beyond: Beyond,
    /// Colour components of [`Beyond::Constant`].
    pub outside: f32,
    /// Works in coded light.
    coded: bool,
    /// What the input is, when it is not there in full size.
    reduced: Option<Reduced>,
    /// Those of the first tile: mostly all tiles are as wide.
    columns: OnceLock<(i32, u32, Columns)>,
}

/// The mapping of both axes, and the box that comes out.
struct Geometry {
    x: Mapping,
    y: Mapping,
    output: Rect,
}

fn invalid(what: &str) -> OpError {
    OpError::Invalid(what.to_owned())
}

/// Source pixels per output pixel, first output pixel, and output pixels of one axis.
/// `ratio` is output ÷ source as (numerator, denominator), so that whole sizes come out exact.
/// `covers`: as [`Scale::covers`].
fn scale_axis(first: i32, len: u32, ratio: (f64, f64), origin: f64, covers: bool) -> Result<(f64, i64, u32), OpError> {
    let len = f64::from(len);
    let size = (len * ratio.0 / ratio.1 + 0.5).floor();
    // A side of less than a pixel is one pixel that covers all of it.
    let (size, step) = match size {
        2.0.. if covers => (size, len / size),
        2.0.. => (size, ratio.1 / ratio.0),
        _ => (1.0, len),
    };
    let first = ((f64::from(first) - origin) / step + origin + 0.5).floor();
    let largest = f64::from(i32::MAX / 2);
    if !(size <= largest && first.abs() <= largest && first + size <= largest) {
        return Err(invalid(&format!("a side of {size} pixels from {first} is beyond all limits")));
    }
    Ok((step, first as i64, size as u32))
}

impl Scale {
    pub fn new(extent: Extent, sampler: Sampler) -> Scale {
        Scale {
            extent,
            origin: [0.0; 2],
            sampler,
            covers: false,
            beyond: Beyond::Clamp,
            outside: 0.0,
            coded: false,
            reduced: None,
            columns: OnceLock::new(),
        }
    }

    /// What the ports named in [`properties`] say.
    pub fn of(properties: &Properties, extent: Extent) -> Scale {
        let (beyond, outside) = match properties.choice("abyss-policy") {
            "loop" => (Beyond::Loop, 0.0),
            "black" => (Beyond::Constant, 0.0),
            "white" => (Beyond::Constant, 1.0),
            _ => (Beyond::Clamp, 0.0),
        };
        let origin = origin(properties);
        Scale { origin, beyond, outside, ..Scale::new(extent, Sampler::from_choice(properties.choice("sampler"))) }
    }

    /// The passes where each side's extent may be negative: mirrored at the origin first.
    pub fn mirrored(self, signs: [f64; 2]) -> Vec<Pass> {
        let matrix: Matrix = [0, 1].map(|axis| IDENTITY[axis].map(|m| m * signs[axis].signum()));
        // On the grid of pixels: a mirror in between would smooth, and cover a pixel more.
        let origin = self.origin.map(|origin| (2.0 * origin).round() / 2.0);
        let mirror = around(matrix, origin, [0.0; 2], self.sampler);
        mirror.into_iter().chain([self.pass()]).collect()
    }

    /// Makes a reduced picture as large as the whole again, smoothly. It is smooth already, so that
    /// it can be done in coded light, which then need not be made of each pixel.
    pub fn enlarge(reduced: Reduced) -> Pass {
        let whole = reduced.whole();
        let size = [f64::from(whole.width), f64::from(whole.height)];
        Scale { coded: true, reduced: Some(reduced), ..Scale::new(Extent::Size(size), Sampler::Cubic) }.pass()
    }

    pub fn pass(self) -> Pass {
        Pass::Area(Box::new(self))
    }

    /// The decoder makes the input smaller as far as no pixel of the output then needs less than one
    /// of it. What it takes the mean of, it takes in coded light.
    pub fn reduced(self, input: Reducible) -> Option<(Reduced, Vec<Pass>)> {
        if self.sampler == Sampler::Nearest || self.beyond != Beyond::Clamp {
            return None;
        }
        let whole = Rect::sized(input.width, input.height);
        let geometry = self.geometry(Boxes { inputs: &[Some(whole)], origin: None }).ok()?;
        // A side that was rounded up by half a pixel is no reason to read more.
        let step = |axis: &Mapping, size: u32| match self.covers {
            true => f64::from(axis.len) / (f64::from(size) - 0.5),
            false => axis.step,
        };
        let (x, y) = (step(&geometry.x, geometry.output.width), step(&geometry.y, geometry.output.height));
        let reduced = input.within(x.min(y))?;
        Some((reduced, vec![Scale { reduced: Some(reduced), ..self }.pass()]))
    }

    fn geometry(&self, boxes: Boxes<'_>) -> Result<Geometry, OpError> {
        let input = boxes.inputs[0].ok_or(OpError::MissingInput("input"))?;
        let input = self.reduced.map_or(input, |reduced| reduced.whole());
        if input.is_infinite() {
            return Err(invalid("the input has no size; crop it first"));
        }
        if input.is_empty() {
            return Err(invalid("the input is empty"));
        }
        let (width, height) = (f64::from(input.width), f64::from(input.height));
        let (x_ratio, y_ratio) = match self.extent {
            Extent::Size([x, y]) if x > 0.0 && y > 0.0 => ((x, width), (y, height)),
            Extent::Size([x, _]) if x > 0.0 => ((x, width), (x, width)),
            Extent::Size([_, y]) if y > 0.0 => ((y, height), (y, height)),
            Extent::Size(_) => ((1.0, 1.0), (1.0, 1.0)),
            Extent::Ratio([x, y]) if x > 0.0 && y > 0.0 => ((x, 1.0), (y, 1.0)),
            Extent::Ratio(_) => return Err(invalid("a ratio of 0 leaves no picture: x and y must not be 0")),
        };
        let (x_step, left, width) = scale_axis(input.x, input.width, x_ratio, self.origin[0], self.covers)?;
        let (y_step, top, height) = scale_axis(input.y, input.height, y_ratio, self.origin[1], self.covers)?;
        let (beyond, sampler) = (self.beyond, self.sampler);
        let mapping = |step, origin, first, len| Mapping { step, origin, shift: 0.0, first, len, beyond, sampler };
        let mut x = mapping(x_step, self.origin[0], input.x, input.width);
        let mut y = mapping(y_step, self.origin[1], input.y, input.height);
        if let Some(reduced) = self.reduced {
            let ([left, top], rect) = (reduced.start(), reduced.rect());
            x = x.reduced(reduced.step(), left, rect.width);
            y = y.reduced(reduced.step(), top, rect.height);
        }
        Ok(Geometry { x, y, output: Rect::from_edges(left, top, left + i64::from(width), top + i64::from(height)) })
    }

    fn output_format(&self, input: Format) -> Format {
        match (self.sampler, self.coded) {
            (Sampler::Nearest, _) => input,
            (_, false) => Format::LINP.opaque_like(input),
            (_, true) => Format::GAMP.opaque_like(input),
        }
    }
}

impl Area for Scale {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        let input = inputs[0].unwrap_or(Format::LINP);
        let output = self.output_format(input);
        // Rows are converted as they are read; where they get more, that would be done many times.
        Formats { inputs: [if self.coded { output } else { input }; 2], output }
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        Ok(self.geometry(boxes)?.output)
    }

    fn passthrough(&self, boxes: Boxes<'_>) -> Option<usize> {
        let geometry = self.geometry(boxes).ok()?;
        let still = |axis: &Mapping| axis.step == 1.0 && axis.shift == 0.0;
        let same = still(&geometry.x) && still(&geometry.y) && Some(geometry.output) == boxes.inputs[0];
        same.then_some(0)
    }

    fn needed(&self, _pad: usize, region: Rect, boxes: Boxes<'_>) -> Rect {
        let Ok(geometry) = self.geometry(boxes) else { return Rect::default() };
        match (geometry.x.ends(region.x, region.width), geometry.y.ends(region.y, region.height)) {
            (Some((left, right)), Some((top, bottom))) => {
                let [left, top, right, bottom] = [left, top, right, bottom].map(i64::from);
                Rect::from_edges(left, top, right + 1, bottom + 1)
            }
            _ => Rect::default(),
        }
    }

    fn leaves(&self, format: Format) -> bool {
        self.sampler != Sampler::Nearest && format.depth == Depth::U8
    }

    /// A band converts the rows that its first output rows share with the one before.
    fn fewest_rows(&self) -> u32 {
        if self.sampler.widens() { 32 } else { 8 }
    }

    fn weight(&self) -> f32 {
        match self.sampler {
            Sampler::Nearest => 1.0,
            Sampler::Linear => 8.0,
            _ => 20.0,
        }
    }

    fn render(
        &self,
        inputs: &[Option<View<'_>>],
        boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        cancel: &Cancel,
    ) -> Result<(), OpError> {
        let input = inputs[0].ok_or(OpError::MissingInput("input"))?;
        let geometry = self.geometry(boxes)?;
        if output.rect().is_empty() {
            return Ok(());
        }
        if self.sampler == Sampler::Nearest {
            return nearest(input, &geometry, self.outside, output, cancel);
        }
        let rect = output.rect();
        let new = || Columns::new(geometry.x.taps(rect.x, rect.width), geometry.x.is_side_by_side());
        let (x, width, kept) = self.columns.get_or_init(|| (rect.x, rect.width, new()));
        let other;
        let columns = if (*x, *width) == (rect.x, rect.width) {
            kept
        } else {
            other = new();
            &other
        };
        let rows = geometry.y.taps(rect.y, rect.height);
        let format = self.output_format(input.format());
        let across = across_first(&geometry);
        let mut lines = Lines::new(input, columns, format, across);
        let components = lines.components();
        let mut between = vec![0.0; if across { 0 } else { components * columns.row_len() }];
        let output_format = output.format();
        // What is to be bytes, before it is.
        let mut floats = vec![[0.0; 4]; if output_format.depth == Depth::U8 { rect.width as usize } else { 0 }];
        let outside = [self.outside, self.outside, self.outside, 1.0];
        for (index, y) in (rect.y..rect.y + rect.height as i32).enumerate() {
            let entries = rows.entries(index);
            let (sources, weights) = (&rows.sources[entries.clone()], &rows.weights[entries]);
            let out = match output.target(rect.x, y, rect.width) {
                Target::Float(row) => row,
                _ => &mut floats[..],
            };
            if across {
                lines.sum(sources, weights, out.as_flattened_mut(), cancel)?;
            } else {
                lines.sum(sources, weights, &mut between[..components * columns.used.len()], cancel)?;
                columns.apply(&between, components, out);
            }
            if self.beyond == Beyond::Constant {
                let inside_rows = 1.0 - rows.outside[index];
                for (out, outside_columns) in out.iter_mut().zip(&columns.outside) {
                    let weight = 1.0 - (1.0 - outside_columns) * inside_rows;
                    for c in 0..4 {
                        out[c] += outside[c] * weight;
                    }
                }
            }
            if format.alpha == Alpha::None && output_format != Format::RGB8 {
                out.iter_mut().for_each(|pixel| pixel[3] = 1.0);
            }
            if !floats.is_empty() {
                let row = output.target(rect.x, y, rect.width);
                convert_row(format, Source::Float(&floats), output_format, row);
            }
        }
        Ok(())
    }
}

/// Bytes of source rows that are worth being kept as wide as they come: with what else is at work
/// they stay in a core's own cache.
const NEAR: usize = 512 * 1024;

/// True when rows are scaled along x before they are added up. Down first, no row is scaled along x
/// for two bands; across first, less is kept. Whatever the tile, so that sums do not depend on it.
fn across_first(geometry: &Geometry) -> bool {
    let row = geometry.x.len as usize * size_of::<[f32; 4]>();
    geometry.x.step > 1.0 && row * geometry.y.span() > NEAR
}

/// Copies the pixel under each centre, in whatever format.
fn nearest(
    input: View<'_>,
    geometry: &Geometry,
    outside: f32,
    output: &mut Tile<'_>,
    cancel: &Cancel,
) -> Result<(), OpError> {
    let (rect, left) = (output.rect(), input.rect().x);
    let columns: Vec<Option<usize>> = (i64::from(rect.x)..rect.right())
        .map(|x| geometry.x.nearest(x).map(|column| (column - left) as usize))
        .collect();
    fn pick<T: Copy>(out: &mut [T], row: Option<&[T]>, columns: &[Option<usize>], outside: T) {
        for (out, column) in out.iter_mut().zip(columns) {
            *out = row.zip(*column).map_or(outside, |(row, column)| row[column]);
        }
    }
    let byte = (outside * 255.0) as u8;
    for y in rect.y..rect.y + rect.height as i32 {
        cancel.check()?;
        let row = geometry.y.nearest(i64::from(y));
        match (input.format().depth, input.format().alpha) {
            (Depth::U8, Alpha::None) => {
                pick(output.row_rgb8_mut(y), row.map(|row| input.row_rgb8(row)), &columns, [byte; 3]);
            }
            (Depth::U8, _) => {
                let outside = [byte, byte, byte, 255];
                pick(output.row_rgba8_mut(y), row.map(|row| input.row_rgba8(row)), &columns, outside);
            }
            (Depth::F32, _) => {
                let outside = [outside, outside, outside, 1.0];
                pick(output.row_mut(y), row.map(|row| input.row(row)), &columns, outside);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::format::convert;

    /// Numbers with all bits in use.
    pub(super) fn numbers(count: usize) -> Vec<f32> {
        let mut state = 9_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state as f32 / u32::MAX as f32 - 0.4
        };
        (0..count).map(|_| next()).collect()
    }

    /// Left as bytes or converted afterwards: the same to the last bit.
    #[test]
    fn bytes_are_those_of_its_floats() {
        let rect = Rect::new(3, -2, 37, 29);
        let noise = numbers(4 * 37 * 29).into_iter().map(|number| ((number + 0.4) * 255.0) as u8).collect::<Vec<_>>();
        let rgba = Image::from_rgba8(rect, noise.as_chunks().0.to_vec());
        let rgb = Image::from_rgb8(rect, noise.as_chunks().0[..37 * 29].to_vec());
        for (input, bytes) in [(rgba, Format::RGBA8), (rgb, Format::RGB8)] {
            for (ratio, beyond) in [(0.4, Beyond::Clamp), (1.7, Beyond::Constant)] {
                let extent = Extent::Ratio([ratio, ratio * 1.1]);
                let scale = Scale { beyond, outside: 1.0, ..Scale::new(extent, Sampler::Lanczos) };
                assert!(scale.leaves(bytes) && !scale.leaves(Format::LIN));
                let boxes = Boxes { inputs: &[Some(rect)], origin: None };
                let output = scale.bounds(boxes).unwrap();
                let render = |format: Format| {
                    let mut image = Image::new(output, format).unwrap();
                    for mut tile in image.tiles(11, 5) {
                        scale.render(&[Some(input.view(rect))], boxes, &mut tile, &Cancel::new()).unwrap();
                    }
                    image
                };
                let floats = render(scale.output_format(bytes));
                assert_eq!(render(bytes), convert(&floats, bytes).unwrap(), "{bytes:?} by {ratio}");
            }
        }
        assert!(!Scale::new(Extent::Ratio([2.0; 2]), Sampler::Nearest).leaves(Format::RGB8));
    }

    /// Of bytes without alpha three numbers a pixel are held: the same to the last bit as four, whichever way the sums go.
    #[test]
    fn three_numbers_a_pixel_are_as_good_as_four() {
        for (size, ratio, beyond, across) in [
            ([37, 29], [0.4, 0.45], Beyond::Clamp, false),
            ([37, 29], [1.7, 1.3], Beyond::Constant, false),
            // Columns that do not lie side by side.
            ([37, 29], [0.6, 0.7], Beyond::Loop, false),
            ([3000, 40], [0.3, 0.2], Beyond::Clamp, true),
            ([3000, 40], [0.3, 0.2], Beyond::Loop, true),
            // More rows than are kept at once.
            ([3000, 2400], [0.3, 0.0005], Beyond::Clamp, true),
        ] {
            let rect = Rect::new(2, -1, size[0], size[1]);
            let noise = numbers(3 * rect.area() as usize);
            let bytes = noise.into_iter().map(|number| ((number + 0.4) * 255.0) as u8).collect::<Vec<_>>();
            let rgb = Image::from_rgb8(rect, bytes.as_chunks().0.to_vec());
            let float = convert(&rgb, Format::LINP.opaque_like(Format::RGB8)).unwrap();
            let scale = Scale { beyond, outside: 1.0, ..Scale::new(Extent::Ratio(ratio), Sampler::Lanczos) };
            let boxes = Boxes { inputs: &[Some(rect)], origin: None };
            assert_eq!(across_first(&scale.geometry(boxes).unwrap()), across, "{size:?}");
            let output = scale.bounds(boxes).unwrap();
            for format in [float.format(), Format::RGB8, Format::RGBA8] {
                let [three, four] = [&rgb, &float].map(|input| {
                    let mut image = Image::new(output, format).unwrap();
                    for mut tile in image.tiles(200, 5) {
                        scale.render(&[Some(input.view(rect))], boxes, &mut tile, &Cancel::new()).unwrap();
                    }
                    image
                });
                assert_eq!(three, four, "{size:?} by {ratio:?} as {format:?}");
            }
        }
    }
}
