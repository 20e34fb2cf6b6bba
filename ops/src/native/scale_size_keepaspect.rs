//! `gegl/scale-size-keepaspect`: scales to a width, a height, or both.
//!
//! On linear light, premultiplied. Scaling is axis-aligned, so it runs as one weighted sum a row and
//! one a column, from tables (`scale_axis`). The filter is GEGL 0.4.42's: bilinear between pixel
//! centres; when an output pixel is U ≥ 2 source pixels wide, the mean of min(⌊U⌋, 4) bilinear
//! samples along that axis (5 for `cubic`).
//!
//! Unlike GEGL, the output is exactly as wide as asked, the other side is rounded half up instead of
//! always up, edges are those of the picture instead of fading out, and no row stays empty. The scale
//! stays the exact ratio, so inner pixels are the same.

use std::sync::OnceLock;

use super::sampler::{self, Sampler};
use super::scale_axis::{Beyond, Mapping, Taps};
use crate::format::{Source, Target, convert_row};
use crate::{
    Alpha, Area, Boxes, Cancel, Depth, Format, Formats, Info, Kind, OpError, Operation, Pad, Pass, Properties,
};
use crate::{Property, Rect, Reduced, Reducible, Tile, View};

const LARGEST: f64 = 9000.0;

const fn coordinate(name: &'static str, description: &'static str) -> Property {
    Property { name, description, kind: Kind::Number { default: 0.0, minimum: -f64::MAX, maximum: f64::MAX } }
}

const fn size(name: &'static str, description: &'static str) -> Property {
    Property { name, description, kind: Kind::Number { default: -1.0, minimum: -LARGEST, maximum: LARGEST } }
}

const INFO: Info = Info {
    name: "gegl/scale-size-keepaspect",
    aliases: &[],
    categories: &["transform"],
    title: "Scale size keep aspect",
    description: "Scales to a width or a height and keeps the aspect ratio; to both when both are given.",
    inputs: &[Pad::INPUT],
    properties: &[
        coordinate("origin-x", "X coordinate that stays in place, pixels"),
        coordinate("origin-y", "Y coordinate that stays in place, pixels"),
        Property {
            name: "near-z",
            description: "Z coordinate of the near clipping plane; scaling does not reach it, so it has no effect",
            kind: Kind::Number { default: 0.0, minimum: 0.0, maximum: 1.0 },
        },
        sampler::PROPERTY,
        Property {
            name: "abyss-policy",
            description: "What lies beyond the edges. none is the same as clamp: edges do not fade",
            kind: Kind::Enum { default: "none", values: &["none", "clamp", "loop", "black", "white"] },
        },
        size("x", "Width to scale to, pixels; 0 or less: from the height"),
        size("y", "Height to scale to, pixels; 0 or less: from the width"),
    ],
    revision: 2,
};

/// The operation `gegl/scale-size-keepaspect`.
#[derive(Debug)]
pub struct ScaleSizeKeepaspect;

impl Operation for ScaleSizeKeepaspect {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        Ok(vec![Pass::Area(Box::new(Scale::new(properties)))])
    }

    /// The decoder makes it smaller as far as no pixel of the output then needs less than one of the
    /// input. What it takes the mean of, it takes in coded light.
    fn prepare_reduced(&self, properties: &Properties, input: Reducible) -> Option<(Reduced, Vec<Pass>)> {
        let scale = Scale::new(properties);
        if scale.sampler == Sampler::Nearest || scale.beyond != Beyond::Clamp {
            return None;
        }
        let whole = Rect::sized(input.width, input.height);
        let geometry = scale.geometry(Boxes { inputs: &[Some(whole)], origin: None }).ok()?;
        let reduced = input.within(geometry.x.step.min(geometry.y.step))?;
        Some((reduced, vec![Pass::Area(Box::new(Scale { reduced: Some(reduced), ..scale }))]))
    }
}

/// Makes a reduced picture as large as the whole again, smoothly. It is smooth already, so that it
/// can be done in coded light, which then need not be made of each pixel.
pub(super) fn enlarge(reduced: Reduced) -> Pass {
    let whole = reduced.whole();
    Pass::Area(Box::new(Scale {
        size: [f64::from(whole.width), f64::from(whole.height)],
        origin: [0.0; 2],
        sampler: Sampler::Cubic,
        beyond: Beyond::Clamp,
        outside: 0.0,
        coded: true,
        reduced: Some(reduced),
        columns: OnceLock::new(),
    }))
}

#[derive(Debug)]
struct Scale {
    /// Width and height asked for, pixels; not given where not above 0.
    size: [f64; 2],
    origin: [f64; 2],
    sampler: Sampler,
    beyond: Beyond,
    /// Colour components of [`Beyond::Constant`].
    outside: f32,
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
    OpError::Invalid(format!("scale-size-keepaspect: {what}"))
}

/// Source pixels per output pixel, first output pixel, and output pixels of one axis.
/// `ratio` is output ÷ source as (numerator, denominator), so that whole sizes come out exact.
fn scale_axis(first: i32, len: u32, ratio: (f64, f64), origin: f64) -> Result<(f64, i64, u32), OpError> {
    let len = f64::from(len);
    let size = (len * ratio.0 / ratio.1 + 0.5).floor();
    // A side of less than a pixel is one pixel that covers all of it.
    let (size, step) = if size > 1.0 { (size, ratio.1 / ratio.0) } else { (1.0, len) };
    let first = ((f64::from(first) - origin) / step + origin + 0.5).floor();
    let largest = f64::from(i32::MAX / 2);
    if !(size <= largest && first.abs() <= largest && first + size <= largest) {
        return Err(invalid(&format!("a side of {size} pixels from {first} is beyond all limits")));
    }
    Ok((step, first as i64, size as u32))
}

impl Scale {
    fn new(properties: &Properties) -> Scale {
        let (beyond, outside) = match properties.choice("abyss-policy") {
            "loop" => (Beyond::Loop, 0.0),
            "black" => (Beyond::Constant, 0.0),
            "white" => (Beyond::Constant, 1.0),
            _ => (Beyond::Clamp, 0.0),
        };
        Scale {
            size: [properties.number("x"), properties.number("y")],
            origin: [properties.number("origin-x"), properties.number("origin-y")],
            sampler: Sampler::from_choice(properties.choice("sampler")),
            beyond,
            outside,
            coded: false,
            reduced: None,
            columns: OnceLock::new(),
        }
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
        let (x_ratio, y_ratio) = match self.size {
            [x, y] if x > 0.0 && y > 0.0 => ((x, width), (y, height)),
            [x, _] if x > 0.0 => ((x, width), (x, width)),
            [_, y] if y > 0.0 => ((y, height), (y, height)),
            _ => ((1.0, 1.0), (1.0, 1.0)),
        };
        let (x_step, left, width) = scale_axis(input.x, input.width, x_ratio, self.origin[0])?;
        let (y_step, top, height) = scale_axis(input.y, input.height, y_ratio, self.origin[1])?;
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

/// First and last source, if any.
fn ends(taps: &Taps) -> Option<(i64, i64)> {
    let first = taps.sources.iter().min()?;
    let last = taps.sources.iter().max()?;
    Some((i64::from(*first), i64::from(*last)))
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
        let columns = geometry.x.taps(region.x, region.width);
        let rows = geometry.y.taps(region.y, region.height);
        match (ends(&columns), ends(&rows)) {
            (Some((left, right)), Some((top, bottom))) => Rect::from_edges(left, top, right + 1, bottom + 1),
            _ => Rect::default(),
        }
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
        let new = || Columns::new(geometry.x.taps(rect.x, rect.width));
        let (x, width, kept) = self.columns.get_or_init(|| (rect.x, rect.width, new()));
        let other;
        let columns = if (*x, *width) == (rect.x, rect.width) {
            kept
        } else {
            other = new();
            &other
        };
        let rows = geometry.y.taps(rect.y, rect.height);
        // Across first where rows get fewer, down first where they get more.
        let down_first = geometry.y.step < 1.0;
        let mut lines = Lines::new(input, columns, output.format(), !down_first);
        let mut between = vec![[0.0; 4]; if down_first { columns.used.len() } else { 0 }];
        let outside = [self.outside, self.outside, self.outside, 1.0];
        let opaque = output.format().alpha == Alpha::None;
        for (index, y) in (rect.y..rect.y + rect.height as i32).enumerate() {
            cancel.check()?;
            let entries = rows.entries(index);
            let sources = &rows.sources[entries.clone()];
            let out = output.row_mut(y);
            lines.keep(sources);
            let sums = if down_first { &mut between[..] } else { &mut out[..] };
            if sources.is_empty() {
                sums.fill([0.0; 4]);
            }
            for (entry, (&source, &weight)) in sources.iter().zip(&rows.weights[entries.clone()]).enumerate() {
                let line = lines.get(source, cancel)?.as_flattened();
                let pairs = sums.as_flattened_mut().iter_mut().zip(line);
                match entry {
                    0 => pairs.for_each(|(out, value)| *out = value * weight),
                    _ => pairs.for_each(|(out, value)| *out += value * weight),
                }
            }
            if down_first {
                columns.apply(&between, out);
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
            if opaque {
                out.iter_mut().for_each(|pixel| pixel[3] = 1.0);
            }
        }
        Ok(())
    }
}

/// The taps of output pixels side by side, each with as many entries as any: those that it lacks
/// have no weight.
#[derive(Debug)]
struct Columns {
    /// The columns of the source that any of them needs, ascending.
    used: Vec<i32>,
    /// Entries of each output pixel.
    count: usize,
    /// For each entry the place of its source in `used`.
    places: Vec<u32>,
    weights: Vec<f32>,
    outside: Vec<f32>,
}

impl Columns {
    fn new(mut taps: Taps) -> Columns {
        let used = taps.compact();
        let pixels = taps.outside.len();
        let count = (0..pixels).map(|x| taps.entries(x).len()).max().unwrap_or(0);
        let mut columns = Columns {
            used,
            count,
            places: Vec::new(),
            weights: Vec::new(),
            outside: std::mem::take(&mut taps.outside),
        };
        for x in 0..pixels {
            let entries = taps.entries(x);
            let missing = count - entries.len();
            columns.places.extend(taps.sources[entries.clone()].iter().map(|place| *place as u32));
            columns.places.extend(std::iter::repeat_n(0, missing));
            columns.weights.extend_from_slice(&taps.weights[entries]);
            columns.weights.extend(std::iter::repeat_n(0.0, missing));
        }
        columns
    }

    /// Sums up a row of the source, of which `row` holds the used columns.
    fn apply(&self, row: &[[f32; 4]], out: &mut [[f32; 4]]) {
        match self.count {
            0 => out.fill([0.0; 4]),
            1 => self.sums::<1>(row, out),
            2 => self.sums::<2>(row, out),
            3 => self.sums::<3>(row, out),
            4 => self.sums::<4>(row, out),
            count => {
                let entries = self.places.chunks_exact(count).zip(self.weights.chunks_exact(count));
                out.iter_mut().zip(entries).for_each(|(out, (places, weights))| *out = sum(row, places, weights));
            }
        }
    }

    /// [`Columns::apply`] for a number of entries known to the compiler.
    fn sums<const COUNT: usize>(&self, row: &[[f32; 4]], out: &mut [[f32; 4]]) {
        let (places, weights) = (self.places.as_chunks::<COUNT>().0, self.weights.as_chunks::<COUNT>().0);
        for ((out, places), weights) in out.iter_mut().zip(places).zip(weights) {
            *out = sum(row, places, weights);
        }
    }
}

#[inline(always)]
fn sum(row: &[[f32; 4]], places: &[u32], weights: &[f32]) -> [f32; 4] {
    let mut sum = [0.0; 4];
    for (place, weight) in places.iter().zip(weights) {
        let pixel = row[*place as usize];
        for c in 0..4 {
            sum[c] += pixel[c] * weight;
        }
    }
    sum
}

/// Most source rows that are kept scaled for the next output rows. A kernel that spans more is
/// wider than 16 pixels, and computes some rows again instead of holding the picture in memory.
const KEPT: usize = 64;

/// Source rows, converted and perhaps scaled along x when first asked for.
struct Lines<'a> {
    input: View<'a>,
    format: Format,
    columns: &'a Columns,
    /// True when rows are scaled along x; else they have the used columns.
    across: bool,
    /// The used pixels of a row, as they came and converted.
    raw: Raw,
    converted: Vec<[f32; 4]>,
    kept: Vec<(i32, Vec<[f32; 4]>)>,
    free: Vec<Vec<[f32; 4]>>,
}

enum Raw {
    Rgb8(Vec<[u8; 3]>),
    Rgba8(Vec<[u8; 4]>),
    Float(Vec<[f32; 4]>),
}

/// The pixels of `row` in those columns; `left` is the column of the first.
fn gather<T: Copy>(raw: &mut Vec<T>, row: &[T], used: &[i32], left: i32) {
    raw.clear();
    match (used.first(), used.last()) {
        (Some(&first), Some(&last)) if (last - first) as usize + 1 == used.len() => {
            raw.extend_from_slice(&row[(first - left) as usize..=(last - left) as usize]);
        }
        _ => raw.extend(used.iter().map(|column| row[(column - left) as usize])),
    }
}

impl<'a> Lines<'a> {
    fn new(input: View<'a>, columns: &'a Columns, format: Format, across: bool) -> Self {
        let raw = match (input.format().depth, input.format().alpha) {
            (Depth::U8, Alpha::None) => Raw::Rgb8(Vec::new()),
            (Depth::U8, _) => Raw::Rgba8(Vec::new()),
            (Depth::F32, _) => Raw::Float(Vec::new()),
        };
        let converted = vec![[0.0; 4]; columns.used.len()];
        Lines { input, format, columns, across, raw, converted, kept: Vec::new(), free: Vec::new() }
    }

    /// Forgets the rows that are not among `sources`, which ascend.
    fn keep(&mut self, sources: &[i32]) {
        for index in (0..self.kept.len()).rev() {
            if sources.binary_search(&self.kept[index].0).is_err() {
                self.free.push(self.kept.swap_remove(index).1);
            }
        }
    }

    fn get(&mut self, y: i32, cancel: &Cancel) -> Result<&[[f32; 4]], OpError> {
        if let Some(index) = self.kept.iter().position(|(row, _)| *row == y) {
            return Ok(&self.kept[index].1);
        }
        cancel.check()?;
        let mut line = self.free.pop().unwrap_or_default();
        self.scale_row(y, &mut line);
        if self.kept.len() == KEPT {
            self.free.push(self.kept.swap_remove(KEPT - 1).1);
        }
        self.kept.push((y, line));
        Ok(&self.kept[self.kept.len() - 1].1)
    }

    fn scale_row(&mut self, y: i32, line: &mut Vec<[f32; 4]>) {
        let (from, left) = (self.input.format(), self.input.rect().x);
        let width = if self.across { self.columns.outside.len() } else { self.columns.used.len() };
        line.resize(width, [0.0; 4]);
        let converted = Target::Float(if self.across { &mut self.converted } else { line });
        match &mut self.raw {
            Raw::Rgb8(raw) => {
                gather(raw, self.input.row_rgb8(y), &self.columns.used, left);
                convert_row(from, Source::Rgb8(raw), self.format, converted);
            }
            Raw::Rgba8(raw) => {
                gather(raw, self.input.row_rgba8(y), &self.columns.used, left);
                convert_row(from, Source::Rgba8(raw), self.format, converted);
            }
            Raw::Float(raw) => {
                gather(raw, self.input.row(y), &self.columns.used, left);
                convert_row(from, Source::Float(raw), self.format, converted);
            }
        }
        if self.across {
            self.columns.apply(&self.converted, line);
        }
    }
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
    use crate::native::testing::{assert_pixel, check, noise_image, pixel, render, stops_when_cancelled};
    use crate::{Image, Properties};

    fn gray(rect: Rect, values: &[f32]) -> Image {
        Image::from_float(rect, Format::LINP, values.iter().map(|v| [*v, *v, *v, 1.0]).collect())
    }

    fn size_of(width: u32, height: u32, given: &[(&str, &str)]) -> (u32, u32) {
        let boxes = [Some(Rect::sized(width, height))];
        let properties = crate::native::testing::properties(&INFO, given);
        let passes = ScaleSizeKeepaspect.prepare(&properties).unwrap();
        let [Pass::Area(area)] = &passes[..] else { panic!("one area pass") };
        let bounds = area.bounds(Boxes { inputs: &boxes, origin: boxes[0] }).unwrap();
        assert_eq!((bounds.x, bounds.y), (0, 0));
        (bounds.width, bounds.height)
    }

    #[test]
    fn sizes_are_exact_and_round_half_up() {
        for width in 1..=1500 {
            assert_eq!(size_of(1300, 768, &[("x", &width.to_string())]).0, width);
            assert_eq!(size_of(1300, 768, &[("y", &width.to_string())]).1, width);
        }
        assert_eq!(size_of(1300, 768, &[("x", "300")]), (300, 177));
        assert_eq!(size_of(1300, 768, &[("x", "333")]), (333, 197));
        assert_eq!(size_of(2, 3, &[("x", "1")]), (1, 2));
        assert_eq!(size_of(4, 3, &[("y", "9")]), (12, 9));
        assert_eq!(size_of(1300, 768, &[("x", "10"), ("y", "900")]), (10, 900));
        assert_eq!(size_of(1000, 1, &[("x", "10")]), (10, 1));
        assert_eq!(size_of(10, 10, &[("x", "0.25")]), (1, 1));
        assert_eq!(size_of(10, 20, &[("x", "-5"), ("y", "0")]), (10, 20));
        assert_eq!(size_of(1, 16384, &[("x", "9000")]), (9000, 9000 * 16384));
    }

    #[test]
    fn sizes_beyond_all_limits_are_refused() {
        let image = |rect| [Some(rect)];
        let passes = ScaleSizeKeepaspect.prepare(&crate::native::testing::properties(&INFO, &[("x", "9000")])).unwrap();
        let [Pass::Area(area)] = &passes[..] else { panic!("one area pass") };
        for rect in [Rect::sized(1, 200_000), Rect::INFINITE, Rect::sized(0, 4)] {
            let boxes = image(rect);
            let result = area.bounds(Boxes { inputs: &boxes, origin: None });
            assert!(matches!(result, Err(OpError::Invalid(_))), "{rect:?}: {result:?}");
        }
    }

    #[test]
    fn a_third_is_the_mean_of_nine_and_edges_do_not_fade() {
        let mut values = vec![0.0; 36];
        values[7] = 0.9; // (1, 1)
        values[35] = 0.9; // (5, 5)
        let image = gray(Rect::sized(6, 6), &values);
        let third = check(&ScaleSizeKeepaspect, &[("x", "2")], &[Some(&image)]);
        for (x, y, v) in [(0, 0, 0.1), (1, 0, 0.0), (0, 1, 0.0), (1, 1, 0.1)] {
            assert_pixel(&third, x, y, [v, v, v, 1.0], 1e-6);
        }
        let image = gray(Rect::sized(2, 1), &[0.2, 0.6]);
        let double = check(&ScaleSizeKeepaspect, &[("x", "4")], &[Some(&image)]);
        for (x, v) in [0.2, 0.3, 0.5, 0.6].into_iter().enumerate() {
            assert_pixel(&double, x as i32, 0, [v, v, v, 1.0], 1e-6);
            assert_pixel(&double, x as i32, 1, [v, v, v, 1.0], 1e-6);
        }
    }

    #[test]
    fn bytes_are_scaled_as_light_with_alpha() {
        // Half of white over nothing: light 1, alpha 1/2, whatever colour the nothing has.
        let image = Image::from_rgba8(Rect::sized(2, 2), [[255, 255, 255, 255], [9, 9, 9, 0]].repeat(2));
        let one = check(&ScaleSizeKeepaspect, &[("x", "1")], &[Some(&image)]);
        assert_eq!(one.format(), Format::LINP);
        assert_pixel(&one, 0, 0, [0.5; 4], 1e-6);
        let image = Image::from_rgb8(Rect::sized(2, 2), [[255, 0, 188], [0, 0, 188]].repeat(2));
        let one = check(&ScaleSizeKeepaspect, &[("x", "1")], &[Some(&image)]);
        assert_eq!(one.format(), Format::LIN_OPAQUE);
        assert_pixel(&one, 0, 0, [0.5, 0.0, 0.502_887, 1.0], 1e-5);
    }

    #[test]
    fn beyond_the_edges_lies_what_the_policy_says() {
        let image = gray(Rect::sized(2, 1), &[0.2, 0.6]);
        let edges = |policy| {
            let given = [("x", "4"), ("abyss-policy", policy)];
            let image = check(&ScaleSizeKeepaspect, &given, &[Some(&image)]);
            (pixel(&image, 0, 0)[0], pixel(&image, 3, 1)[0])
        };
        let near = |(a, b): (f32, f32), c: f32, d: f32| assert!((a - c).abs() < 1e-6 && (b - d).abs() < 1e-6);
        near(edges("none"), 0.2, 0.6);
        near(edges("clamp"), 0.2, 0.6);
        near(edges("loop"), 0.3, 0.5);
        // A quarter on each axis lies outside: 9/16 of the pixel is left.
        near(edges("black"), 0.2 * 9.0 / 16.0, 0.6 * 9.0 / 16.0);
        near(edges("white"), 0.2 * 9.0 / 16.0 + 7.0 / 16.0, 0.6 * 9.0 / 16.0 + 7.0 / 16.0);
    }

    #[test]
    fn nearest_keeps_pixels_as_they_are() {
        for format in [Format::RGB8, Format::RGBA8, Format::GAM] {
            let image = noise_image(Rect::new(-2, 3, 5, 4), format);
            let result = check(&ScaleSizeKeepaspect, &[("x", "10"), ("sampler", "nearest")], &[Some(&image)]);
            assert_eq!((result.format(), result.rect()), (format, Rect::new(-4, 6, 10, 8)));
            assert_eq!(pixel(&result, -4, 6), pixel(&image, -2, 3));
            assert_eq!(pixel(&result, 5, 13), pixel(&image, 2, 6));
        }
    }

    #[test]
    fn a_flat_picture_stays_flat_at_any_size() {
        let color = [0.25, 0.5, 0.75, 1.0];
        for (width, height) in [(1, 1), (1, 40), (40, 1), (7, 5)] {
            let rect = Rect::new(3, -2, width, height);
            let image = Image::from_float(rect, Format::LINP, vec![color; rect.area() as usize]);
            for sampler in ["nearest", "linear", "cubic", "nohalo", "lohalo"] {
                for (x, y) in [("1", "1"), ("1", "-1"), ("13", "2"), ("2", "-1"), ("9", "11")] {
                    let given = [("x", x), ("y", y), ("sampler", sampler)];
                    let result = check(&ScaleSizeKeepaspect, &given, &[Some(&image)]);
                    let rect = result.rect();
                    assert_pixel(&result, rect.x, rect.y, color, 1e-5);
                    assert_pixel(&result, (rect.right() - 1) as i32, (rect.bottom() - 1) as i32, color, 1e-5);
                }
            }
        }
    }

    #[test]
    fn any_tiling_gives_the_same_pixels() {
        for format in [Format::RGB8, Format::RGBA8, Format::LIN, Format::GAMP] {
            let image = noise_image(Rect::new(-20, 9, 41, 33), format);
            for sampler in ["linear", "cubic", "nohalo", "lohalo"] {
                for policy in ["none", "loop", "black"] {
                    for x in ["3", "17", "50"] {
                        let given = [("x", x), ("sampler", sampler), ("abyss-policy", policy), ("origin-x", "4.5")];
                        check(&ScaleSizeKeepaspect, &given, &[Some(&image)]);
                    }
                }
            }
        }
    }

    #[test]
    fn huge_ratios_work() {
        let tall = noise_image(Rect::sized(2, 3000), Format::RGB8);
        for sampler in ["linear", "lohalo"] {
            let given = [("x", "40"), ("y", "1"), ("sampler", sampler)];
            let result = check(&ScaleSizeKeepaspect, &given, &[Some(&tall)]);
            assert_eq!(result.rect(), Rect::sized(40, 1));
        }
        let result = render(&ScaleSizeKeepaspect, &[("y", "9000")], &[Some(&tall)]).unwrap();
        assert_eq!(result.rect(), Rect::sized(6, 9000));
    }

    #[test]
    fn no_size_and_the_same_size_hand_the_picture_on() {
        let image = noise_image(Rect::new(1, 2, 4, 3), Format::GAM);
        for given in [&[][..], &[("x", "4")], &[("y", "3")], &[("x", "4"), ("y", "3")]] {
            assert_eq!(render(&ScaleSizeKeepaspect, given, &[Some(&image)]).unwrap(), image);
        }
        assert_eq!(Properties::defaults(INFO.properties).number("x"), -1.0);
    }

    #[test]
    fn a_cancelled_render_stops() {
        let image = noise_image(Rect::sized(9, 9), Format::RGB8);
        for sampler in ["nearest", "linear", "lohalo"] {
            assert!(stops_when_cancelled(&ScaleSizeKeepaspect, &[("x", "5"), ("sampler", sampler)], &image));
        }
    }
}
