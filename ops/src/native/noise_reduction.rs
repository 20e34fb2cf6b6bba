//! `gegl/noise-reduction`: smooths where that makes the picture flatter in every direction.
//!
//! A pixel c with its eight neighbours: for each neighbour n the mean `v = (n + c) / 2` is taken in
//! when along all four axes through the pixel the squared second difference `(2v - before - after)²`
//! is not above that of c itself; the new value is the mean of c and all that were taken in. R, G
//! and B apart, as coded, alpha kept.
//!
//! Each iteration works in place, row by row from the top left, so a pixel sees new values above
//! and to the left. The picture lies in a margin of zeros, `iterations` wide, of which each
//! iteration leaves one more row and column at the right and bottom alone: as in GEGL, whose
//! results this reproduces up to ties between floats.

use multiversion::multiversion;

use crate::{
    Area, Boxes, Cancel, Format, Formats, Info, Kind, OpError, Operation, Pad, Pass, Properties, Property, Rect, Split,
    Tile, View,
};

const INFO: Info = Info {
    name: "gegl/noise-reduction",
    aliases: &[],
    categories: &["enhance:noise-reduction"],
    title: "Noise Reduction",
    description: "Removes noise and blocks by smoothing that keeps edges.",
    inputs: &[Pad::INPUT],
    properties: &[Property {
        name: "iterations",
        description: "Strength: how often it is done; noise of a pixel goes first, more iterations smooth larger flaws",
        kind: Kind::Int { default: 4, minimum: 0, maximum: 32 },
    }],
    revision: 1,
};

/// The operation `gegl/noise-reduction`.
#[derive(Debug)]
pub struct NoiseReduction;

impl Operation for NoiseReduction {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        match properties.int("iterations") {
            0 => Ok(Vec::new()),
            iterations => Ok(vec![Pass::Area(Box::new(Reduce { iterations: iterations as usize }))]),
        }
    }
}

type Pixel = [f32; 4];

#[derive(Debug)]
struct Reduce {
    iterations: usize,
}

/// The second difference along an axis, squared; `twice` is two times the value in the middle.
#[inline(always)]
fn bend(twice: f32, before: f32, after: f32) -> f32 {
    let difference = twice - before - after;
    difference * difference
}

/// The new value of a pixel; neighbours in reading order, so that i and 7 - i are opposite. Without
/// branches, so that several pixels go through the same steps side by side.
#[inline(always)]
fn smooth(center: f32, neighbours: [f32; 8]) -> f32 {
    // Loops, which are inlined into vector code: closures of `map` are not.
    let mut own = [0.0; 4];
    for axis in 0..4 {
        own[axis] = bend(center * 2.0, neighbours[axis], neighbours[7 - axis]);
    }
    let (mut sum, mut count) = (center, 1.0);
    for neighbour in neighbours {
        let twice = neighbour + center;
        let mut flatter = true;
        for axis in 0..4 {
            flatter &= bend(twice, neighbours[axis], neighbours[7 - axis]) <= own[axis];
        }
        sum += if flatter { twice * 0.5 } else { 0.0 };
        count += if flatter { 1.0 } else { 0.0 };
    }
    sum / count
}

/// Rows that are worked on side by side. A pixel needs what is new to its left and above, up to the right of it: so
/// each row is two pixels behind the one above it.
const ROWS: usize = 16;

/// One component of the rows of a strip with those above and below, each two further to the right than the one above.
type Slant = [f32; ROWS + 2];

/// Columns of a strip as wide as that.
fn slanted(stride: usize) -> usize {
    stride + 2 * (ROWS + 2) + 4
}

/// Works on a strip, from its first column but one to column `last`.
#[multiversion(targets("x86_64+avx2"))]
fn smooth_strip(strip: &mut [Slant], last: usize) {
    for at in 1..=last + 2 * (ROWS - 1) {
        let part = |column: usize, row: usize| &strip[column][row..row + ROWS];
        let (above, below) =
            ([part(at - 1, 0), part(at, 0), part(at + 1, 0)], [part(at + 3, 2), part(at + 4, 2), part(at + 5, 2)]);
        let [left, center, right] = [part(at + 1, 1), part(at + 2, 1), part(at + 3, 1)];
        let mut new = [0.0; ROWS];
        for i in 0..ROWS {
            let [[a, b, c], [d, e, f]] = [above, below];
            new[i] = smooth(center[i], [a[i], b[i], c[i], left[i], right[i], d[i], e[i], f[i]]);
        }
        // Rows that have not begun, or are done, stay.
        for i in 0..ROWS {
            new[i] = if at > 2 * i && at <= 2 * i + last { new[i] } else { center[i] };
        }
        strip[at + 2][1..=ROWS].copy_from_slice(&new);
    }
}

impl Reduce {
    /// Does it once to all rows up to `bottom` and columns up to `right` of the padded picture.
    fn once(
        &self,
        padded: &mut [Pixel],
        stride: usize,
        (right, bottom): (usize, usize),
        cancel: &Cancel,
    ) -> Result<(), OpError> {
        let mut strip = vec![[0.0; ROWS + 2]; slanted(stride)];
        for top in (1..=bottom).step_by(ROWS) {
            for channel in 0..3 {
                cancel.check()?;
                for (i, row) in padded[(top - 1) * stride..].chunks(stride).take(ROWS + 2).enumerate() {
                    strip[2 * i..].iter_mut().zip(row).for_each(|(column, pixel)| column[i] = pixel[channel]);
                }
                smooth_strip(&mut strip, right);
                let rows = padded[top * stride..].chunks_mut(stride).take(ROWS.min(bottom + 1 - top));
                for (i, row) in (1..).zip(rows) {
                    strip[2 * i..].iter().zip(row).for_each(|(column, pixel)| pixel[channel] = column[i]);
                }
            }
        }
        Ok(())
    }
}

impl Area for Reduce {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        let format = Format::GAM.opaque_like(inputs[0].unwrap_or(Format::GAM));
        Formats { inputs: [format; 2], output: format }
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        let input = boxes.inputs[0].ok_or(OpError::MissingInput("input"))?;
        if input.is_infinite() {
            return Err(OpError::Invalid("a picture without bounds cannot be smoothed: crop it first".into()));
        }
        Ok(input)
    }

    fn needed(&self, _pad: usize, region: Rect, boxes: Boxes<'_>) -> Rect {
        // A pixel depends on all above and to the left of it.
        boxes.inputs[0].unwrap_or(region)
    }

    fn split(&self) -> Split {
        Split::Whole
    }

    fn working_memory(&self, boxes: Boxes<'_>) -> u64 {
        let Rect { width, height, .. } = boxes.inputs[0].unwrap_or_default();
        let side = |side: u32| u64::from(side) + 2 * self.iterations as u64;
        let padded = side(width).saturating_mul(side(height)).saturating_mul(size_of::<Pixel>() as u64);
        padded.saturating_add((slanted(side(width) as usize) * size_of::<Slant>()) as u64)
    }

    fn weight(&self) -> f32 {
        8.0 * self.iterations as f32
    }

    fn render(
        &self,
        inputs: &[Option<View<'_>>],
        boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        cancel: &Cancel,
    ) -> Result<(), OpError> {
        let view = inputs[0].ok_or(OpError::MissingInput("input"))?;
        let (bounds, margin) = (view.bounds(), self.iterations);
        let stride = bounds.width as usize + 2 * margin;
        let rows = bounds.height as usize + 2 * margin;
        let mut padded = Vec::new();
        let bytes = self.working_memory(boxes);
        padded.try_reserve_exact(stride * rows).map_err(|_| OpError::OutOfMemory { bytes })?;
        padded.resize(stride * rows, [0.0; 4]);
        for (y, row) in (bounds.y..).zip(padded[margin * stride..].chunks_mut(stride)).take(bounds.height as usize) {
            row[margin..margin + bounds.width as usize].copy_from_slice(view.row(y));
        }
        for iteration in 0..self.iterations {
            let beyond = 2 * (self.iterations - 1 - iteration);
            let last = (bounds.width as usize + beyond, bounds.height as usize + beyond);
            self.once(&mut padded, stride, last, cancel)?;
        }
        let rect = output.rect();
        let left = margin + (rect.x - bounds.x) as usize;
        let from = (rect.x - view.rect().x) as usize;
        for y in rect.y..rect.y + rect.height as i32 {
            let row = &padded[(margin + (y - bounds.y) as usize) * stride + left..];
            for ((out, new), old) in output.row_mut(y).iter_mut().zip(row).zip(&view.row(y)[from..]) {
                *out = [new[0], new[1], new[2], old[3]];
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::native::testing::{all_pixels, assert_pixel, check, noise_image, stops_when_cancelled};

    /// One component by the rules, one step at a time.
    fn reference(values: &[f32], width: usize, height: usize, iterations: usize) -> Vec<f32> {
        let stride = width + 2 * iterations;
        let mut padded = vec![0.0f32; stride * (height + 2 * iterations)];
        for y in 0..height {
            for x in 0..width {
                padded[(y + iterations) * stride + x + iterations] = values[y * width + x];
            }
        }
        for iteration in 0..iterations {
            let beyond = 2 * (iterations - 1 - iteration);
            for y in 1..=height + beyond {
                for x in 1..=width + beyond {
                    let at =
                        |dx: isize, dy: isize| padded[((y as isize + dy) * stride as isize + x as isize + dx) as usize];
                    let n = [at(-1, -1), at(0, -1), at(1, -1), at(-1, 0), at(1, 0), at(-1, 1), at(0, 1), at(1, 1)];
                    let c = at(0, 0);
                    let bend = |v: f32, i: usize| (v * 2.0 - n[i] - n[7 - i]) * (v * 2.0 - n[i] - n[7 - i]);
                    let (mut sum, mut count) = (c, 1.0);
                    for neighbour in n {
                        let v = (neighbour + c) * 0.5;
                        if (0..4).all(|i| bend(v, i) <= bend(c, i)) {
                            sum += v;
                            count += 1.0;
                        }
                    }
                    padded[y * stride + x] = sum / count;
                }
            }
        }
        let inside = |i: usize| padded[(i / width + iterations) * stride + i % width + iterations];
        (0..width * height).map(inside).collect()
    }

    #[test]
    fn it_is_bit_equal_to_the_rules() {
        for (rect, iterations) in [(Rect::new(-2, 3, 17, 11), 1), (Rect::sized(9, 14), 4), (Rect::sized(1, 1), 3)] {
            let image = noise_image(rect, Format::GAM);
            let given = iterations.to_string();
            let reduced = check(&NoiseReduction, &[("iterations", &given)], &[Some(&image)]);
            let (before, after) = (all_pixels(&image), all_pixels(&reduced));
            for c in 0..3 {
                let values: Vec<f32> = before.iter().map(|p| p[c]).collect();
                let expected = reference(&values, rect.width as usize, rect.height as usize, iterations);
                let found: Vec<f32> = after.iter().map(|p| p[c]).collect();
                assert_eq!(found, expected, "component {c}, {iterations} iterations");
            }
            assert!(before.iter().zip(&after).all(|(b, a)| b[3] == a[3]), "alpha is kept");
        }
    }

    #[test]
    fn a_speck_by_hand() {
        // 0.5 on a plane of 0: every mean with a neighbour is 0.25, and flatter along all axes
        // ((2 * 0.25)² against (2 * 0.5)²), so the speck becomes (0.5 + 8 * 0.25) / 9. A neighbour
        // that took in 0.25 would bend along three axes where it was straight: all stay 0.
        let mut pixels = vec![[0.0, 0.0, 0.0, 1.0]; 81];
        pixels[40] = [0.5, 0.5, 0.5, 1.0];
        let image = Image::from_float(Rect::sized(9, 9), Format::GAM, pixels);
        let reduced = check(&NoiseReduction, &[("iterations", "1")], &[Some(&image)]);
        let v = 2.5 / 9.0;
        assert_pixel(&reduced, 4, 4, [v, v, v, 1.0], 1e-6);
        for (x, y) in [(3, 3), (4, 3), (3, 4), (5, 5)] {
            assert_pixel(&reduced, x, y, [0.0, 0.0, 0.0, 1.0], 0.0);
        }
        assert_pixel(&reduced, 0, 0, [0.0, 0.0, 0.0, 1.0], 0.0);
    }

    #[test]
    fn a_plane_stays_inside_and_none_is_no_change() {
        let plane = Image::from_rgb8(Rect::sized(30, 30), vec![[100, 150, 200]; 900]);
        let reduced = check(&NoiseReduction, &[], &[Some(&plane)]);
        assert!(!reduced.format().has_alpha());
        assert_pixel(&reduced, 15, 15, [100.0 / 255.0, 150.0 / 255.0, 200.0 / 255.0, 1.0], 1e-5);
        assert_eq!(check(&NoiseReduction, &[("iterations", "0")], &[Some(&plane)]), plane);
    }

    #[test]
    fn it_stops_when_cancelled() {
        let image = noise_image(Rect::sized(64, 64), Format::RGBA8);
        assert!(stops_when_cancelled(&NoiseReduction, &[], &image));
    }
}
