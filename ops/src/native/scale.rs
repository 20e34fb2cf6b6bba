//! The pass behind the operations that scale: on linear light, premultiplied.
//!
//! Scaling is axis-aligned, so it runs as one weighted sum along each axis, from tables
//! (`scale_axis`).

use std::sync::OnceLock;

use multiversion::multiversion;

use super::sampler::{self, Sampler};
use super::scale_axis::{Beyond, Mapping, Taps};
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
        let mut lines = Lines::new(input, columns, format, across_first(&geometry));
        let mut between = vec![[0.0; 4]; if lines.across { 0 } else { columns.row_len() }];
        // What is to be bytes, before it is.
        let mut floats = vec![[0.0; 4]; if output.format().depth == Depth::U8 { rect.width as usize } else { 0 }];
        let outside = [self.outside, self.outside, self.outside, 1.0];
        for (index, y) in (rect.y..rect.y + rect.height as i32).enumerate() {
            let entries = rows.entries(index);
            let (sources, weights) = (&rows.sources[entries.clone()], &rows.weights[entries]);
            let out = match output.target(rect.x, y, rect.width) {
                Target::Float(row) => row,
                _ => &mut floats[..],
            };
            if lines.across {
                lines.sum(sources, weights, out, cancel)?;
            } else {
                lines.sum(sources, weights, &mut between[..columns.used.len()], cancel)?;
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
            if format.alpha == Alpha::None {
                out.iter_mut().for_each(|pixel| pixel[3] = 1.0);
            }
            if !floats.is_empty() {
                let (to, row) = (output.format(), Source::Float(&floats));
                convert_row(format, row, to, output.target(rect.x, y, rect.width));
            }
        }
        Ok(())
    }
}

/// The taps of output pixels side by side.
#[derive(Debug)]
struct Columns {
    /// The columns of the source that any of them needs, ascending.
    used: Vec<i32>,
    /// For each output pixel what lies beyond the ends.
    outside: Vec<f32>,
    taps: ColumnTaps,
}

#[derive(Debug)]
enum ColumnTaps {
    /// Each output pixel has `pairs` pairs of columns, side by side from `starts` on, counted in
    /// `used`. A weight stands there once for each component.
    Pairs { pairs: usize, starts: Vec<u32>, weights: Vec<[f32; 8]> },
    /// Any columns.
    Scattered(Taps),
}

impl Columns {
    /// `side_by_side`: the columns of each output pixel are ([`Mapping::is_side_by_side`]).
    fn new(mut taps: Taps, side_by_side: bool) -> Columns {
        let used = taps.compact();
        let outside = std::mem::take(&mut taps.outside);
        let entries = |pixel| taps.entries(pixel);
        let pairs = (0..outside.len()).map(|pixel| entries(pixel).len()).max().unwrap_or(0).div_ceil(2);
        if !side_by_side || pairs == 0 {
            return Columns { used, outside, taps: ColumnTaps::Scattered(taps) };
        }
        let mut starts = Vec::with_capacity(outside.len());
        let mut weights = vec![[0.0; 8]; outside.len() * pairs];
        for (pixel, pairs) in weights.chunks_mut(pairs).enumerate() {
            starts.push(taps.sources[entries(pixel)].first().map_or(0, |first| *first as u32));
            for (pair, weights) in pairs.iter_mut().zip(taps.weights[entries(pixel)].chunks(2)) {
                for (half, weight) in pair.chunks_mut(4).zip(weights) {
                    half.fill(*weight);
                }
            }
        }
        Columns { used, outside, taps: ColumnTaps::Pairs { pairs, starts, weights } }
    }

    /// Pixels of a row for [`Columns::apply`]: the used columns, and some that have no weight, so
    /// that the last output pixels have as many as any.
    fn row_len(&self) -> usize {
        match self.taps {
            ColumnTaps::Pairs { pairs, .. } => self.used.len() + 2 * pairs,
            ColumnTaps::Scattered(_) => self.used.len(),
        }
    }

    /// Sums up a row of the source.
    fn apply(&self, row: &[[f32; 4]], out: &mut [[f32; 4]]) {
        match &self.taps {
            ColumnTaps::Pairs { pairs, starts, weights } => add_pairs(row, *pairs, starts, weights, out),
            ColumnTaps::Scattered(taps) => {
                for (index, out) in out.iter_mut().enumerate() {
                    let entries = taps.entries(index);
                    *out = [0.0; 4];
                    for (place, weight) in taps.sources[entries.clone()].iter().zip(&taps.weights[entries]) {
                        let pixel = row[*place as usize];
                        for c in 0..4 {
                            out[c] += pixel[c] * weight;
                        }
                    }
                }
            }
        }
    }
}

/// What [`ColumnTaps::Pairs`] makes of a row.
#[multiversion(targets("x86_64+avx2"))]
fn add_pairs(row: &[[f32; 4]], pairs: usize, starts: &[u32], weights: &[[f32; 8]], out: &mut [[f32; 4]]) {
    #[inline(always)]
    fn known<const PAIRS: usize>(row: &[[f32; 4]], starts: &[u32], weights: &[[f32; 8]], out: &mut [[f32; 4]]) {
        for ((out, start), weights) in out.iter_mut().zip(starts).zip(weights.as_chunks::<PAIRS>().0) {
            *out = add(&row[*start as usize..][..2 * PAIRS], weights);
        }
    }
    #[inline(always)]
    fn add(pixels: &[[f32; 4]], weights: &[[f32; 8]]) -> [f32; 4] {
        let mut sums = [0.0; 8];
        for (pixels, weights) in pixels.as_flattened().as_chunks::<8>().0.iter().zip(weights) {
            for ((sum, value), weight) in sums.iter_mut().zip(pixels).zip(weights) {
                *sum += value * weight;
            }
        }
        std::array::from_fn(|component| sums[component] + sums[component + 4])
    }
    match pairs {
        1 => known::<1>(row, starts, weights, out),
        2 => known::<2>(row, starts, weights, out),
        3 => known::<3>(row, starts, weights, out),
        4 => known::<4>(row, starts, weights, out),
        5 => known::<5>(row, starts, weights, out),
        6 => known::<6>(row, starts, weights, out),
        _ => {
            for ((out, start), weights) in out.iter_mut().zip(starts).zip(weights.chunks_exact(pairs)) {
                *out = add(&row[*start as usize..][..2 * pairs], weights);
            }
        }
    }
}

/// Bytes of source rows that are worth being kept as wide as they come: with what else is at work
/// they stay in a core's own cache.
const NEAR: usize = 512 * 1024;

/// Most bytes of source rows that are kept scaled along x. A kernel that spans more computes some
/// rows again instead of holding the picture in memory.
const KEPT: usize = 4 << 20;

/// True when rows are scaled along x before they are added up. Down first, no row is scaled along x
/// for two bands; across first, less is kept. Whatever the tile, so that sums do not depend on it.
fn across_first(geometry: &Geometry) -> bool {
    let row = geometry.x.len as usize * size_of::<[f32; 4]>();
    geometry.x.step > 1.0 && row * geometry.y.span() > NEAR
}

/// Source rows, converted and perhaps scaled along x when first asked for.
struct Lines<'a> {
    input: View<'a>,
    format: Format,
    columns: &'a Columns,
    /// True when rows are scaled along x; else they have the used columns.
    across: bool,
    /// Most rows that are kept.
    most: usize,
    /// The used pixels of a row, where they do not lie side by side, and converted.
    raw: Raw,
    converted: Vec<[f32; 4]>,
    /// By row, ascending.
    kept: Vec<(i32, Vec<[f32; 4]>)>,
    free: Vec<Vec<[f32; 4]>>,
}

/// Pixels gathered from a row.
#[derive(Default)]
struct Raw {
    rgb8: Vec<[u8; 3]>,
    rgba8: Vec<[u8; 4]>,
    float: Vec<[f32; 4]>,
}

/// The pixels of `row` in those columns; `left` is the column of the first.
fn gather<'r, T: Copy>(raw: &'r mut Vec<T>, row: &'r [T], used: &[i32], left: i32) -> &'r [T] {
    if let (Some(&first), Some(&last)) = (used.first(), used.last())
        && (last - first) as usize + 1 == used.len()
    {
        return &row[(first - left) as usize..=(last - left) as usize];
    }
    raw.clear();
    raw.extend(used.iter().map(|column| row[(column - left) as usize]));
    raw
}

impl<'a> Lines<'a> {
    fn new(input: View<'a>, columns: &'a Columns, format: Format, across: bool) -> Self {
        let pixels = if across { columns.outside.len() } else { columns.used.len() };
        let most = (KEPT / (pixels * size_of::<[f32; 4]>()).max(1)).max(8);
        let converted = vec![[0.0; 4]; if across { columns.row_len() } else { 0 }];
        let raw = Raw::default();
        Lines { input, format, columns, across, most, raw, converted, kept: Vec::new(), free: Vec::new() }
    }

    /// The weighted sum of those rows, which ascend.
    fn sum(&mut self, sources: &[i32], weights: &[f32], out: &mut [[f32; 4]], cancel: &Cancel) -> Result<(), OpError> {
        out.fill([0.0; 4]);
        for (sources, weights) in sources.chunks(self.most).zip(weights.chunks(self.most)) {
            self.hold(sources, cancel)?;
            add_weighted(&self.kept, weights, out);
        }
        Ok(())
    }

    /// Keeps those rows and no others; they are at most [`Lines::most`].
    fn hold(&mut self, sources: &[i32], cancel: &Cancel) -> Result<(), OpError> {
        let free = &mut self.free;
        let old = self.kept.extract_if(.., |(row, _)| sources.binary_search(row).is_err());
        free.extend(old.map(|(_, line)| line));
        for (index, &y) in sources.iter().enumerate() {
            if self.kept.get(index).is_none_or(|(row, _)| *row != y) {
                cancel.check()?;
                let mut line = self.free.pop().unwrap_or_default();
                self.scale_row(y, &mut line);
                self.kept.insert(index, (y, line));
            }
        }
        Ok(())
    }

    fn scale_row(&mut self, y: i32, line: &mut Vec<[f32; 4]>) {
        let (from, left) = (self.input.format(), self.input.rect().x);
        let used = self.columns.used.len();
        let width = if self.across { self.columns.outside.len() } else { used };
        line.resize(width, [0.0; 4]);
        let converted = Target::Float(if self.across { &mut self.converted[..used] } else { line });
        let (raw, columns) = (&mut self.raw, &self.columns.used);
        let rect = self.input.rect();
        let row = match self.input.source(rect.x, y, rect.width) {
            Source::Rgb8(row) => Source::Rgb8(gather(&mut raw.rgb8, row, columns, left)),
            Source::Rgba8(row) => Source::Rgba8(gather(&mut raw.rgba8, row, columns, left)),
            Source::Float(row) => Source::Float(gather(&mut raw.float, row, columns, left)),
        };
        convert_row(from, row, self.format, converted);
        if self.across {
            self.columns.apply(&self.converted, line);
        }
    }
}

/// Adds up rows by their weights, a few pixels of all of them at a time, so that the sums stay in
/// registers.
#[multiversion(targets("x86_64+avx2"))]
fn add_weighted(rows: &[(i32, Vec<[f32; 4]>)], weights: &[f32], out: &mut [[f32; 4]]) {
    const PIXELS: usize = 16;
    let (blocks, rest) = out.as_flattened_mut().as_chunks_mut::<{ 4 * PIXELS }>();
    let whole = blocks.len();
    for (index, block) in blocks.iter_mut().enumerate() {
        let mut sums = *block;
        for ((_, row), weight) in rows.iter().zip(weights) {
            let row = &row.as_flattened().as_chunks::<{ 4 * PIXELS }>().0[index];
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += value * weight;
            }
        }
        *block = sums;
    }
    for ((_, row), weight) in rows.iter().zip(weights) {
        for (sum, value) in rest.iter_mut().zip(row[whole * PIXELS..].as_flattened()) {
            *sum += value * weight;
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
    use crate::Image;
    use crate::format::convert;

    /// Numbers with all bits in use.
    fn numbers(count: usize) -> Vec<f32> {
        let mut state = 9_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state as f32 / u32::MAX as f32 - 0.4
        };
        (0..count).map(|_| next()).collect()
    }

    fn pixels(count: usize) -> Vec<[f32; 4]> {
        numbers(4 * count).as_chunks().0.to_vec()
    }

    /// Whichever way this processor takes, to the last bit.
    #[test]
    fn vector_code_adds_up_what_plain_code_does() {
        for count in [1, 7, 8, 9, 64, 83] {
            for entries in 1..=14 {
                let weights = numbers(entries);
                let rows = (0..entries as i32).map(|row| (row, pixels(count + row as usize % 2))).collect::<Vec<_>>();
                let mut found = pixels(count);
                let mut expected = found.clone();
                add_weighted(&rows, &weights, &mut found);
                for ((_, row), weight) in rows.iter().zip(&weights) {
                    for (out, value) in expected.as_flattened_mut().iter_mut().zip(row.as_flattened()) {
                        *out += value * weight;
                    }
                }
                assert_eq!(found, expected, "{entries} rows of {count}");

                let row = pixels(count + 2 * entries);
                let starts = (0..count as u32).collect::<Vec<_>>();
                let each = numbers(2 * entries * count);
                let weights = each
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .map(|[one, other]| std::array::from_fn(|component| if component < 4 { *one } else { *other }));
                add_pairs(&row, entries, &starts, &weights.collect::<Vec<_>>(), &mut found);
                for (x, (out, weights)) in expected.iter_mut().zip(each.chunks(2 * entries)).enumerate() {
                    let half = |first: usize, c: usize| {
                        (0..entries)
                            .fold(0.0, |sum, pair| sum + row[x + 2 * pair + first][c] * weights[2 * pair + first])
                    };
                    *out = std::array::from_fn(|c| half(0, c) + half(1, c));
                }
                assert_eq!(found, expected, "{entries} pairs for {count}");
            }
        }
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

    #[test]
    fn only_columns_side_by_side_make_pairs() {
        let mapping =
            |step, beyond, sampler| Mapping { step, origin: 0.0, shift: 0.0, first: 0, len: 50, beyond, sampler };
        let pairs = |mapping: Mapping| match Columns::new(mapping.taps(0, 20), mapping.is_side_by_side()).taps {
            ColumnTaps::Pairs { pairs, .. } => Some(pairs),
            ColumnTaps::Scattered(_) => None,
        };
        assert_eq!(pairs(mapping(2.5, Beyond::Clamp, Sampler::Lanczos)), Some(8));
        assert_eq!(pairs(mapping(2.5, Beyond::Clamp, Sampler::Linear)), Some(2));
        // The far end is a neighbour; four samples leave gaps; nothing lies inside.
        assert_eq!(pairs(mapping(2.5, Beyond::Loop, Sampler::Lanczos)), None);
        assert_eq!(pairs(mapping(8.0, Beyond::Clamp, Sampler::Linear)), None);
        assert_eq!(pairs(Mapping { first: 500, ..mapping(2.5, Beyond::Constant, Sampler::Lanczos) }), None);
    }
}
