//! Wide blurs, done where there are fewer pixels.
//!
//! What a wide Gaussian leaves of a picture can be told from a few places. The means of blocks of
//! pixels are blurred by what their size lacks of the deviation, and a cubic is laid through the
//! results: sRGB-coded and straight, so that nothing but a sum is left to do for each pixel.

use multiversion::multiversion;

use super::super::compose::rows;
use super::super::sampler::Sampler;
use super::{Axis, Beyond, Blur, Filter, Gaussian, Late, Poles, Recursion};
use crate::format::{Source, Target, convert_row};
use crate::{Alpha, Area, Boxes, Cancel, Depth, Format, Formats, OpError, Operand, Pass, Rect, Tile, View};

/// Least deviation that is left to do, in blocks: with less a cubic could no longer follow.
const LEAST: f64 = 5.0;

/// Deviations in blocks from here on are filtered in double precision: rounding errors grow with their cube.
const WIDE: f64 = 10.0;

/// Least blocks along a side of a picture: where there are only few pixels, blocks would save little, and edges matter
/// much.
const FEWEST: i64 = 16;

/// Blocks of what lies beyond the edges before the first and after the last of the picture: as many as
/// the recursion takes its start from.
const BEFORE: i64 = 1;
const AFTER: i64 = 3;

/// Pixels along a block for a deviation, for a side of so many.
fn step(deviation: f64, side: i64) -> i64 {
    ((deviation / LEAST) as i64).min(side / FEWEST).max(1)
}

/// Both steps for a picture.
fn steps([across, down]: [f64; 2], picture: Rect) -> [i64; 2] {
    [step(across, picture.width.into()), step(down, picture.height.into())]
}

/// The passes of a blur by blocks, where that saves work and the result covers the input's box.
pub(super) fn passes(blur: Gaussian) -> Option<Vec<Pass>> {
    let Gaussian { deviations, beyond, recursive, grow } = blur;
    if grow || recursive == Some(false) || deviations.iter().all(|deviation| *deviation < 2.0 * LEAST) {
        return None;
    }
    let mut passes = vec![Pass::Area(Box::new(Blocks { deviations, beyond }))];
    for (axis, deviation) in [Axis::Rows, Axis::Columns].into_iter().zip(deviations) {
        let filter = match blur.filter(deviation) {
            Some(Filter::Recursive(_)) => Filter::Blocks(deviation),
            Some(other) => other,
            None => continue,
        };
        // Blocks of what lies beyond stand around the picture.
        let area = Box::new(Blur { axis, filter, beyond: Beyond::Edge, grow: 0 });
        passes.push(Pass::Wired { area, inputs: vec![Operand::Pass(passes.len() - 1), Operand::Input(0)] });
    }
    let inputs = vec![Operand::Pass(passes.len() - 1), Operand::Input(0)];
    passes.push(Pass::Wired { area: Box::new(Cubic { deviations }), inputs });
    Some(passes)
}

/// How a line of blocks is filtered.
pub(super) struct Line {
    pub recursion: Recursion,
    pub late: Late<f64>,
    /// Double precision is needed.
    pub wide: bool,
}

/// The recursion that makes of the blocks of a picture's side what the one of that deviation makes of its pixels.
pub(super) fn line(deviation: f64, (from, to): (i64, i64)) -> Line {
    let (poles, size) = (Poles::of(deviation), step(deviation, to - from));
    let step = size as f64;
    // As far as from block to block the poles are powers of themselves, nearly: the variance is to be
    // what the block, a blur by a box of variance (step² - 1) / 12, leaves of it.
    let left = (poles.variance() - (step * step - 1.0) / 12.0) / (step * step);
    let (mut low, mut high) = (step / 2.0, 2.0 * step);
    for _ in 0..50 {
        let middle = (low + high) / 2.0;
        if poles.power(middle).variance() > left { low = middle } else { high = middle }
    }
    let blocks = blocks(to - from, size);
    let part = (blocks * size - (to - from)) as f64 / step;
    Line {
        recursion: Recursion::new(poles.power(low)),
        late: Late { first: (BEFORE + blocks - 1) as usize, part, share: 1.0 / step },
        wide: deviation / step >= WIDE,
    }
}

/// Blocks that a side of so many pixels comes to.
fn blocks(side: i64, step: i64) -> i64 {
    (side + step - 1) / step
}

/// The means of blocks of pixels, and around them some of what lies beyond the edges. Block (1, 1) has
/// the pixel at the input's corner.
#[derive(Debug)]
struct Blocks {
    /// Across and down, pixels.
    deviations: [f64; 2],
    beyond: Beyond,
}

/// The pixels of a block along an axis: those inside the input, and how many lie before and after.
struct Extent {
    from: i64,
    to: i64,
    before: i64,
    after: i64,
}

impl Extent {
    /// Of block `index` of an input from `first` to `end`.
    fn of(index: i32, step: i64, first: i64, end: i64) -> Extent {
        let start = first + (i64::from(index) - BEFORE) * step;
        let stop = start + step;
        Extent {
            from: start.clamp(first, end),
            to: stop.clamp(first, end),
            before: (first - start).clamp(0, step),
            after: (stop - end).clamp(0, step),
        }
    }
}

impl Blocks {
    /// Adds up the rows of a block: pixels from `columns` on of the view, each column by itself.
    fn sum_rows(&self, view: &View<'_>, extent: &Extent, columns: usize, row: &mut [[f32; 4]], sums: &mut [[f32; 4]]) {
        let bounds = view.bounds();
        sums.fill([0.0; 4]);
        for y in extent.from..extent.to {
            add_row(sums, light(view, y as i32, columns, row), 1.0);
        }
        for (count, edge) in [(extent.before, i64::from(bounds.y)), (extent.after, bounds.bottom() - 1)] {
            if count == 0 {
                continue;
            }
            match self.plain(view) {
                Some(pixel) => sums.iter_mut().for_each(|sum| add(sum, pixel, count as f32)),
                None => add_row(sums, light(view, edge as i32, columns, row), count as f32),
            }
        }
    }

    /// What lies beyond the edges; `None` where they go on.
    fn plain(&self, view: &View<'_>) -> Option<[f32; 4]> {
        match self.beyond {
            Beyond::Edge => None,
            Beyond::Nothing => Some(view.outside()),
            Beyond::Plain(pixel) => Some(pixel),
        }
    }
}

/// A part of a row in premultiplied linear light: as it is, or converted to `row`.
fn light<'r>(view: &View<'r>, y: i32, columns: usize, row: &'r mut [[f32; 4]]) -> &'r [[f32; 4]] {
    let (format, range) = (view.format(), columns..columns + row.len());
    let source = match (format.depth, format.alpha) {
        (Depth::F32, _) => return &view.row(y)[range],
        (Depth::U8, Alpha::None) => Source::Rgb8(&view.row_rgb8(y)[range]),
        (Depth::U8, _) => Source::Rgba8(&view.row_rgba8(y)[range]),
    };
    convert_row(format, source, Format::LINP.opaque_like(format), Target::Float(row));
    row
}

fn add(sum: &mut [f32; 4], pixel: [f32; 4], count: f32) {
    sum.iter_mut().zip(pixel).for_each(|(sum, v)| *sum += v * count);
}

#[multiversion(targets("x86_64+avx2"))]
fn add_row(sums: &mut [[f32; 4]], row: &[[f32; 4]], count: f32) {
    sums.as_flattened_mut().iter_mut().zip(row.as_flattened()).for_each(|(sum, v)| *sum += v * count);
}

impl Area for Blocks {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        let input = inputs[0].unwrap_or(Format::LINP);
        let output = Format::LINP.opaque_like(input);
        // Bytes are read as they are.
        let input = if input.depth == Depth::U8 { input } else { output };
        Formats { inputs: [input; 2], output }
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        let input = boxes.inputs[0].ok_or(OpError::MissingInput("input"))?;
        if input.is_infinite() {
            return Err(OpError::Invalid("a picture without bounds cannot be blurred: crop it first".into()));
        }
        if input.is_empty() {
            return Ok(Rect::default());
        }
        let [across, down] = steps(self.deviations, input);
        let side = |side: u32, step: i64| (blocks(side.into(), step) + BEFORE + AFTER) as u32;
        Ok(Rect::sized(side(input.width, across), side(input.height, down)))
    }

    fn needed(&self, _pad: usize, region: Rect, boxes: Boxes<'_>) -> Rect {
        let Some(input) = boxes.inputs[0].filter(|input| !input.is_empty() && !region.is_empty()) else {
            return Rect::default();
        };
        // Edges go on: at least one pixel is read.
        let [across, down] = steps(self.deviations, input);
        let span = |from: i32, to: i64, step: i64, first: i64, end: i64| {
            let place = |block: i64| first + (block - BEFORE) * step;
            (place(i64::from(from)).clamp(first, end - 1), place(to).clamp(first + 1, end))
        };
        let (left, right) = span(region.x, region.right(), across, i64::from(input.x), input.right());
        let (top, bottom) = span(region.y, region.bottom(), down, i64::from(input.y), input.bottom());
        Rect::from_edges(left, top, right, bottom)
    }

    fn fewest_rows(&self) -> u32 {
        1
    }

    fn weight(&self) -> f32 {
        2.0 * self.deviations.iter().map(|deviation| (deviation / LEAST).max(1.0) as f32).product::<f32>()
    }

    fn render(
        &self,
        inputs: &[Option<View<'_>>],
        boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        cancel: &Cancel,
    ) -> Result<(), OpError> {
        let view = inputs[0].ok_or(OpError::MissingInput("input"))?;
        let (bounds, rect) = (view.bounds(), output.rect());
        let span = self.needed(0, rect, boxes);
        let columns = (i64::from(span.x) - i64::from(view.rect().x)) as usize;
        let mut row = vec![[0.0; 4]; span.width as usize];
        let mut sums = row.clone();
        let [across, down] = steps(self.deviations, bounds);
        let scale = 1.0 / (across as f32 * down as f32);
        for y in rows(rect) {
            cancel.check()?;
            let extent = Extent::of(y, down, i64::from(bounds.y), bounds.bottom());
            self.sum_rows(&view, &extent, columns, &mut row, &mut sums);
            for (x, out) in (rect.x..).zip(output.row_mut(y)) {
                let extent = Extent::of(x, across, i64::from(bounds.x), bounds.right());
                let at = |x: i64| (x - i64::from(span.x)) as usize;
                let mut sum = [0.0; 4];
                sums[at(extent.from)..at(extent.to)].iter().for_each(|pixel| add(&mut sum, *pixel, 1.0));
                let [before, after] = match self.plain(&view) {
                    Some(pixel) => [pixel.map(|v| v * down as f32); 2],
                    None => [sums[at(extent.from).min(sums.len() - 1)], sums[at(extent.to).max(1) - 1]],
                };
                add(&mut sum, before, extent.before as f32);
                add(&mut sum, after, extent.after as f32);
                *out = sum.map(|v| v * scale);
            }
        }
        Ok(())
    }
}

/// A picture of the means of blocks made as large as the second input, by the cubic of R. Keys,
/// "Cubic convolution interpolation for digital image processing", IEEE Transactions on Acoustics,
/// Speech, and Signal Processing 29 (1981), through their centres.
#[derive(Debug)]
struct Cubic {
    /// Across and down, pixels.
    deviations: [f64; 2],
}

/// The first of four blocks and their weights.
#[derive(Clone, Copy)]
struct Taps {
    first: i64,
    weights: [f32; 4],
}

/// The taps along an axis: their weights are those of each pixel of a block, again and again.
struct Phases {
    step: i64,
    weights: Vec<[f32; 4]>,
}

/// The block that is nearest before a pixel, which is as far from the first of the input, and how far it is past it
/// in parts of 2 `step`.
fn before(pixel: i64, step: i64) -> (i64, i64) {
    let place = 2 * pixel + 1 + step;
    (place.div_euclid(2 * step), place.rem_euclid(2 * step))
}

impl Phases {
    fn new(step: i64) -> Phases {
        let weights = |pixel| {
            let distance = before(pixel, step).1 as f64 / (2 * step) as f64;
            [-1.0, 0.0, 1.0, 2.0].map(|offset| Sampler::Nohalo.weight(distance - offset, 1.0) as f32)
        };
        Phases { step, weights: (0..step).map(weights).collect() }
    }

    fn at(&self, pixel: i64) -> Taps {
        Taps { first: before(pixel, self.step).0 - 1, weights: self.weights[pixel.rem_euclid(self.step) as usize] }
    }
}

/// The place of a pixel from the first of its input.
fn within(pixel: i32, first: i32) -> i64 {
    i64::from(pixel) - i64::from(first)
}

/// A row of blocks made as wide as the taps are many; blocks outside are those at the edge.
fn widen(blocks: &[[f32; 4]], left: i64, taps: &[Taps], near: &mut Vec<[f32; 4]>, row: &mut [[f32; 4]]) {
    let (Some(first), Some(last)) = (taps.first(), taps.last()) else { return };
    let at = |block: i64| blocks[(block - left).clamp(0, blocks.len() as i64 - 1) as usize];
    near.clear();
    near.extend((first.first..last.first + 4).map(at));
    lay(near, taps, row);
}

#[multiversion(targets("x86_64+avx2"))]
fn lay(near: &[[f32; 4]], taps: &[Taps], row: &mut [[f32; 4]]) {
    let Some(first) = taps.first() else { return };
    for (out, taps) in row.iter_mut().zip(taps) {
        let near = &near[(taps.first - first.first) as usize..][..4];
        let [a, b, c, d] = taps.weights;
        for i in 0..4 {
            out[i] = (near[0][i] * a + near[1][i] * b) + (near[2][i] * c + near[3][i] * d);
        }
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn mix(out: &mut [[f32; 4]], rows: [&[[f32; 4]]; 4], weights: [f32; 4]) {
    let out = out.as_flattened_mut();
    let of = |row: usize| &rows[row].as_flattened()[..out.len()];
    let ([above, upper, lower, below], [a, b, c, d]) = ([of(0), of(1), of(2), of(3)], weights);
    for i in 0..out.len() {
        out[i] = (above[i] * a + upper[i] * b) + (lower[i] * c + below[i] * d);
    }
}

impl Area for Cubic {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        let format = Format::GAM.opaque_like(inputs[0].unwrap_or(Format::GAM));
        Formats { inputs: [format, inputs[1].unwrap_or(format)], output: format }
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        boxes.inputs[1].ok_or(OpError::MissingInput("input"))
    }

    fn needed(&self, pad: usize, region: Rect, boxes: Boxes<'_>) -> Rect {
        let (Some(blocks), Some(input), 0, false) = (boxes.inputs[0], boxes.inputs[1], pad, region.is_empty()) else {
            return Rect::default();
        };
        let [across, down] = steps(self.deviations, input);
        let span = |from: i64, to: i64, step: i64, blocks: u32| {
            let end = i64::from(blocks);
            let (first, last) = (before(from, step).0 - 1, before(to - 1, step).0 + 3);
            (first.clamp(0, end - 1), last.clamp(1, end))
        };
        let (left, right) = (within(region.x, input.x), region.right() - i64::from(input.x));
        let (top, bottom) = (within(region.y, input.y), region.bottom() - i64::from(input.y));
        let (left, right) = span(left, right, across, blocks.width);
        let (top, bottom) = span(top, bottom, down, blocks.height);
        Rect::from_edges(left, top, right, bottom)
    }

    /// Rows of blocks are made wide once for each band.
    fn fewest_rows(&self) -> u32 {
        24
    }

    fn weight(&self) -> f32 {
        1.5
    }

    fn render(
        &self,
        inputs: &[Option<View<'_>>],
        boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        cancel: &Cancel,
    ) -> Result<(), OpError> {
        let view = inputs[0].ok_or(OpError::MissingInput("input"))?;
        let (rect, input) = (output.rect(), boxes.inputs[1].ok_or(OpError::MissingInput("input"))?);
        let blocks = view.bounds();
        let across = within(rect.x, input.x)..within(rect.x, input.x) + i64::from(rect.width);
        let [phases, down] = steps(self.deviations, input).map(Phases::new);
        let across: Vec<Taps> = across.map(|x| phases.at(x)).collect();
        let mut near = Vec::new();
        // The last four rows of blocks that were made wide, each at its number's place.
        let mut wide: [(Option<i64>, Vec<[f32; 4]>); 4] =
            std::array::from_fn(|_| (None, vec![[0.0; 4]; rect.width as usize]));
        for y in rows(rect) {
            cancel.check()?;
            let taps = down.at(within(y, input.y));
            for block in taps.first..taps.first + 4 {
                let (made, row) = &mut wide[block.rem_euclid(4) as usize];
                if *made != Some(block) {
                    let there = block.clamp(0, i64::from(blocks.height) - 1) as i32;
                    widen(view.row(there), i64::from(view.rect().x), &across, &mut near, row);
                    *made = Some(block);
                }
            }
            let row = |tap: i64| wide[(taps.first + tap).rem_euclid(4) as usize].1.as_slice();
            mix(output.row_mut(y), [row(0), row(1), row(2), row(3)], taps.weights);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::GaussianBlur;
    use super::*;
    use crate::native::testing::{all_pixels, check, noise, pixel, stops_when_cancelled};
    use crate::{Image, Operation};

    /// Shapes with hard edges and grain, from dark to bright.
    fn picture(rect: Rect, alpha: bool) -> Image {
        let pixels = (0..rect.area()).map(|i| {
            let (x, y) = (i as u32 % rect.width, i as u32 / rect.width);
            let shape = f32::from(u8::from((x / 23 + y / 31) % 2 == 0));
            let colour = [0, 1, 2].map(|c| (255.0 * (shape * 0.7 + 0.3 * noise(i * 3 + c))) as u8);
            let opaque = if !alpha || (x / 40) % 3 > 0 { 255 } else { (255.0 * noise(i)) as u8 };
            [colour[0], colour[1], colour[2], opaque]
        });
        if alpha {
            Image::from_rgba8(rect, pixels.collect())
        } else {
            Image::from_rgb8(rect, pixels.map(|[r, g, b, _]| [r, g, b]).collect())
        }
    }

    /// The largest difference of a byte between the two ways, colours weighted with alpha.
    fn difference(image: &Image, blur: Gaussian) -> f32 {
        #[derive(Debug)]
        struct Way(Gaussian, bool);
        impl Operation for Way {
            fn info(&self) -> &'static crate::Info {
                GaussianBlur.info()
            }
            fn prepare(&self, _: &crate::Properties) -> Result<Vec<Pass>, OpError> {
                Ok(if self.1 { passes(self.0).unwrap() } else { self.0.plain() })
            }
        }
        let run = |reduced| {
            let blurred = check(&Way(blur, reduced), &[], &[Some(image)]);
            assert_eq!(blurred.rect(), image.rect());
            let coded = crate::format::convert(&blurred, Format::GAM).unwrap();
            all_pixels(&coded).into_iter().map(|[r, g, b, a]| [r * a, g * a, b * a, a]).collect::<Vec<_>>()
        };
        let pairs = run(true).into_iter().flatten().zip(run(false).into_iter().flatten());
        pairs.map(|(a, b)| (a - b).abs() * 255.0).fold(0.0, f32::max)
    }

    #[test]
    fn it_is_the_blur_of_all_pixels() {
        for deviations in [[10.0; 2], [25.0; 2], [13.0, 9.0], [0.0, 30.0], [400.0; 2]] {
            for alpha in [false, true] {
                for beyond in [Beyond::Edge, Beyond::Nothing, Beyond::Plain([1.0; 4])] {
                    let blur = Gaussian { deviations, beyond, recursive: None, grow: false };
                    let found = difference(&picture(Rect::new(-7, 3, 190, 141), alpha), blur);
                    assert!(found <= 1.5, "{deviations:?} {alpha} {beyond:?}: {found}");
                }
            }
        }
    }

    #[test]
    fn small_pictures_and_planes() {
        for rect in [Rect::sized(1, 1), Rect::new(5, -9, 2, 17), Rect::new(0, 0, 13, 1)] {
            for deviation in [10.0, 60.0] {
                let found = difference(&picture(rect, true), Gaussian::new(deviation));
                assert!(found <= 1.5, "{rect:?} {deviation}: {found}");
            }
        }
        let plane = Image::from_rgba8(Rect::sized(50, 40), vec![[10, 100, 200, 77]; 2000]);
        let blurred = check(&GaussianBlur, &[("std-dev-x", "20"), ("std-dev-y", "20")], &[Some(&plane)]);
        for (x, y) in [(0, 0), (49, 39), (25, 20)] {
            let found = pixel(&blurred, x, y).map(|v| (v * 255.0).round());
            assert_eq!(found, [10.0, 100.0, 200.0, 77.0], "({x}, {y})");
        }
    }

    #[test]
    fn what_is_wide_one_way_only() {
        // Few dark pixels of noise, whose edges come in far: the error is in light, which dark values show most.
        let noise = crate::native::testing::noise_image(Rect::new(-3, 2, 40, 31), Format::RGBA8);
        for deviations in [[200.0, 1.5], [1.5, 200.0], [0.7, 50.0], [60.0, 9.0]] {
            let found = difference(&noise, Gaussian { deviations, ..Gaussian::new(0.0) });
            assert!(found <= 1.5, "{deviations:?}: {found}");
        }
    }

    #[test]
    fn it_is_left_alone_where_it_would_not_do() {
        assert!(passes(Gaussian::new(9.9)).is_none());
        assert!(passes(Gaussian { grow: true, ..Gaussian::new(30.0) }).is_none());
        assert!(passes(Gaussian { recursive: Some(false), ..Gaussian::new(30.0) }).is_none());
        assert!(stops_when_cancelled(&GaussianBlur, &[("std-dev-x", "30")], &picture(Rect::sized(64, 64), false)));
    }
}
