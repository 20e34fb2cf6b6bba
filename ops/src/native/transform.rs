//! The pass behind the operations that move, turn and mirror.
//!
//! x' = M x + t, where M is a rotation or a reflection. Coefficients within 1e-10 of a whole number
//! are snapped to it, so that quarter turns, mirrors and moves by whole pixels are exact (`quarter_turn`). Moves keep the
//! format; turns and mirrors have alpha, and nothing beside them. All else reads between pixels in premultiplied linear light, where
//! outside is transparent; `nearest` takes whole pixels as they are (GEGL 0.4, `transform-core.c`).

use multiversion::multiversion;

use super::compose::rows;
use super::quarter_turn;
use super::sampler::{self, Sampler};
use crate::{
    Alpha, Area, Boxes, Cancel, Depth, Format, Formats, Kind, OpError, Pass, Properties, Property, Rect, Tile, View,
};

/// A coordinate without a limit.
pub(super) const fn coordinate(name: &'static str, description: &'static str) -> Property {
    Property { name, description, kind: Kind::Number { default: 0.0, minimum: -f64::MAX, maximum: f64::MAX } }
}

/// The port `near-z` of transforms.
pub(super) const NEAR_Z: Property = Property {
    name: "near-z",
    description: "Z coordinate of the near clipping plane; nothing leaves the plane, so it has no effect",
    kind: Kind::Number { default: 0.0, minimum: 0.0, maximum: 1.0 },
};

/// The ports that transforms have in common, and two of their own.
pub(super) const fn properties(own: [Property; 2]) -> [Property; 6] {
    let [first, second] = own;
    [ORIGIN[0], ORIGIN[1], NEAR_Z, sampler::PROPERTY, first, second]
}

/// The ports `origin-x` and `origin-y`.
pub(super) const ORIGIN: [Property; 2] = [
    coordinate("origin-x", "X coordinate that stays in place, pixels"),
    coordinate("origin-y", "Y coordinate that stays in place, pixels"),
];

/// The names of [`ORIGIN`].
pub(super) const ORIGIN_NAMES: [&str; 2] = ["origin-x", "origin-y"];

/// The values of [`ORIGIN`].
pub(super) fn origin(properties: &Properties) -> [f64; 2] {
    ORIGIN_NAMES.map(|name| properties.number(name))
}

/// Rows of the matrix of a rotation or a reflection.
pub(super) type Matrix = [[f64; 2]; 2];

pub(super) const IDENTITY: Matrix = [[1.0, 0.0], [0.0, 1.0]];

/// Counter-clockwise on the screen, y down.
pub(super) fn rotation(degrees: f64) -> Matrix {
    // A whole number of turns would lose the angle to rounding.
    let (sin, cos) = (degrees % 360.0).to_radians().sin_cos();
    [[cos, sin], [-sin, cos]]
}

/// What is added after the matrix.
#[derive(Clone, Copy, Debug)]
enum Shift {
    By([f64; 2]),
    /// What brings the least corner of the turned picture, as if its corner were at (0, 0), there.
    ToCorner,
}

/// Moves, turns or mirrors its input.
#[derive(Debug)]
pub(super) struct Transform {
    matrix: Matrix,
    shift: Shift,
    sampler: Sampler,
    /// Whole pixels move.
    whole: bool,
}

fn snap(coefficient: f64) -> f64 {
    let whole = coefficient.round();
    if (coefficient - whole).abs() < 1e-10 { whole } else { coefficient }
}

/// The pass of a matrix around `origin` and a shift after that; `None` where nothing moves.
pub(super) fn around(matrix: Matrix, origin: [f64; 2], shift: [f64; 2], sampler: Sampler) -> Option<Pass> {
    let turned = |row: [f64; 2]| row[0] * origin[0] + row[1] * origin[1];
    let matrix = matrix.map(|row| row.map(snap));
    let shift = [0, 1].map(|axis| snap(origin[axis] - turned(matrix[axis]) + shift[axis]));
    pass(matrix, Shift::By(shift), sampler)
}

/// The pass of a matrix and the shift that brings the picture back to (0, 0).
pub(super) fn to_corner(matrix: Matrix, sampler: Sampler) -> Option<Pass> {
    let matrix = matrix.map(|row| row.map(snap));
    if matrix == IDENTITY { None } else { pass(matrix, Shift::ToCorner, sampler) }
}

fn pass(matrix: Matrix, shift: Shift, sampler: Sampler) -> Option<Pass> {
    let (unmoved, on_grid) = match shift {
        Shift::By(shift) => (shift == [0.0; 2], shift.iter().all(|side| side.fract() == 0.0)),
        Shift::ToCorner => (false, true),
    };
    if matrix == IDENTITY && unmoved {
        return None;
    }
    // The cubic kernels blur a little even where they need not; a mere move is done without them.
    let exact = matrix == IDENTITY || matches!(sampler, Sampler::Nearest | Sampler::Linear);
    let whole = exact && on_grid && matrix.as_flattened().iter().all(|m| m.fract() == 0.0);
    let sampler = if whole { Sampler::Nearest } else { sampler };
    Some(Pass::Area(Box::new(Transform { matrix, shift, sampler, whole })))
}

impl Transform {
    /// Where a point comes to without the shift.
    fn apply(&self, x: f64, y: f64) -> (f64, f64) {
        let [[a, b], [c, d]] = self.matrix;
        (a * x + b * y, c * x + d * y)
    }

    fn shift(&self, input: Rect) -> (f64, f64) {
        match self.shift {
            Shift::By([x, y]) => (x, y),
            Shift::ToCorner => {
                let (w, h) = (f64::from(input.width), f64::from(input.height));
                let corners = [(0.0, 0.0), (w, 0.0), (0.0, h), (w, h)].map(|(x, y)| self.apply(x, y));
                let least = |get: fn(&(f64, f64)) -> f64| corners.iter().map(get).fold(0.0, f64::min);
                (snap(-least(|c| c.0)), snap(-least(|c| c.1)))
            }
        }
    }

    /// True where whole pixels move along the axes: GEGL takes a shift by a part of a pixel as the nearest by whole ones
    /// then, halves away from 0, in a box that is that of the true shift.
    fn moves_pixels(&self) -> bool {
        self.matrix == IDENTITY && self.sampler == Sampler::Nearest
    }

    /// [`Transform::shift`] as pixels take part in it.
    fn moved(&self, input: Rect) -> (f64, f64) {
        let (x, y) = self.shift(input);
        if self.moves_pixels() { (x.round(), y.round()) } else { (x, y) }
    }

    /// Where the centre of output pixel (x, y) comes from. The inverse of the matrix is its
    /// transpose.
    #[inline(always)]
    fn source(&self, shift: (f64, f64), x: i32, y: i32) -> (f64, f64) {
        let [[a, b], [c, d]] = self.matrix;
        let (x, y) = (f64::from(x) + 0.5 - shift.0, f64::from(y) + 0.5 - shift.1);
        (a * x + c * y, b * x + d * y)
    }

    /// Pixels beyond a point that its sample may read.
    fn reach(&self) -> i64 {
        self.sampler.radius().ceil() as i64
    }
}

/// Moves rows as they are.
fn copy(view: &View<'_>, shift: (f64, f64), output: &mut Tile<'_>, cancel: &Cancel) -> Result<(), OpError> {
    fn row<T: Stored>(view: &View<'_>, shift: (i32, i32), output: &mut Tile<'_>, y: i32) {
        let left = (output.rect().x - shift.0 - view.rect().x) as usize;
        let out = T::row_mut(output, y);
        out.copy_from_slice(&T::row(view, y - shift.1)[left..left + out.len()]);
    }
    let (rect, format) = (output.rect(), output.format());
    let shift = (shift.0 as i32, shift.1 as i32);
    for y in rect.y..rect.y + rect.height as i32 {
        cancel.check()?;
        match (format.depth, format.alpha) {
            (Depth::U8, Alpha::None) => row::<[u8; 3]>(view, shift, output, y),
            (Depth::U8, _) => row::<[u8; 4]>(view, shift, output, y),
            (Depth::F32, _) => row::<[f32; 4]>(view, shift, output, y),
        }
    }
    Ok(())
}

/// A pixel type that tiles and views hold; what the quarter turns and `nearest` move about.
pub(super) trait Stored: Copy + Default {
    fn row<'a>(view: &View<'a>, y: i32) -> &'a [Self];
    fn row_mut<'a>(tile: &'a mut Tile<'_>, y: i32) -> &'a mut [Self];
}

impl Stored for [u8; 3] {
    fn row<'a>(view: &View<'a>, y: i32) -> &'a [Self] {
        view.row_rgb8(y)
    }
    fn row_mut<'a>(tile: &'a mut Tile<'_>, y: i32) -> &'a mut [Self] {
        tile.row_rgb8_mut(y)
    }
}

impl Stored for [u8; 4] {
    fn row<'a>(view: &View<'a>, y: i32) -> &'a [Self] {
        view.row_rgba8(y)
    }
    fn row_mut<'a>(tile: &'a mut Tile<'_>, y: i32) -> &'a mut [Self] {
        tile.row_rgba8_mut(y)
    }
}

impl Stored for [f32; 4] {
    fn row<'a>(view: &View<'a>, y: i32) -> &'a [Self] {
        view.row(y)
    }
    fn row_mut<'a>(tile: &'a mut Tile<'_>, y: i32) -> &'a mut [Self] {
        tile.row_mut(y)
    }
}

/// The pixel that (u, v) lies in; nothing outside.
fn nearest<T: Stored>(view: &View<'_>, u: f64, v: f64) -> T {
    let (x, y) = (u.floor() as i32, v.floor() as i32);
    if view.bounds().contains(x, y) { T::row(view, y)[(x - view.rect().x) as usize] } else { T::default() }
}

/// Pixels that are asked at a time whether they come from inside.
const STRETCH: usize = 32;

/// Fills some pixels of a row from output pixel (x, y) on by [`bilinear`].
fn linear_stretch(transform: &Transform, shift: (f64, f64), view: &View<'_>, (x, y): (i32, i32), out: &mut [[f32; 4]]) {
    let bounds = view.bounds();
    let (left, top) = (f64::from(bounds.x), f64::from(bounds.y));
    let (right, bottom) = (bounds.right() as f64, bounds.bottom() as f64);
    // A stretch is a straight line in the input, too: what holds at its ends holds between.
    let ends = [x, x + out.len() as i32 - 1].map(|x| transform.source(shift, x, y));
    let both = |holds: &dyn Fn((f64, f64)) -> bool| ends.iter().all(|end| holds(*end));
    if both(&|(u, v)| u >= left + 0.5 && v >= top + 0.5 && u < right - 0.5 && v < bottom - 0.5) {
        linear_inside(transform, shift, view, (x, y), out);
    } else if both(&|(u, _)| u < left - 0.5)
        || both(&|(u, _)| u >= right + 0.5)
        || both(&|(_, v)| v < top - 0.5)
        || both(&|(_, v)| v >= bottom + 0.5)
    {
        out.fill([0.0; 4]);
    } else {
        for (x, pixel) in (x..).zip(out) {
            let (u, v) = transform.source(shift, x, y);
            *pixel = bilinear(view, u, v);
        }
    }
}

/// [`linear_stretch`] where all that is read is inside.
#[multiversion(targets("x86_64+avx2"))]
fn linear_inside(transform: &Transform, shift: (f64, f64), view: &View<'_>, (x, y): (i32, i32), out: &mut [[f32; 4]]) {
    let (rows, stride, rect) = (view.rows(), view.rect().width as usize, view.rect());
    let (mut places, mut parts) = ([[0; 2]; STRETCH], [[0.0; 2]; STRETCH]);
    for (i, (place, part)) in places.iter_mut().zip(&mut parts).enumerate() {
        let (u, v) = transform.source(shift, x + i as i32, y);
        let (u, v) = (u - 0.5, v - 0.5);
        let (left, top) = (u.floor(), v.floor());
        *place = [left as i32, top as i32];
        *part = [(u - left) as f32, (v - top) as f32];
    }
    for (pixel, ([x, y], [fx, fy])) in out.iter_mut().zip(places.into_iter().zip(parts)) {
        let at = (y - rect.y) as usize * stride + (x - rect.x) as usize;
        *pixel = between(&rows[at..at + 2], &rows[at + stride..at + stride + 2], fx, fy);
    }
}

/// Between two pixels and the two below, so far right and down.
#[inline(always)]
fn between(top: &[[f32; 4]], bottom: &[[f32; 4]], fx: f32, fy: f32) -> [f32; 4] {
    let mut pixel = [0.0; 4];
    // A loop, which is inlined into vector code: a closure of `map` is not.
    for c in 0..4 {
        let above = top[0][c] + (top[1][c] - top[0][c]) * fx;
        let below = bottom[0][c] + (bottom[1][c] - bottom[0][c]) * fx;
        pixel[c] = above + (below - above) * fy;
    }
    pixel
}

/// Weighted mean of the four pixels around (u, v); outside counts as zero.
fn bilinear(view: &View<'_>, u: f64, v: f64) -> [f32; 4] {
    let (u, v) = (u - 0.5, v - 0.5);
    let (x, y) = (u.floor(), v.floor());
    let (fx, fy) = ((u - x) as f32, (v - y) as f32);
    let (x, y) = (x as i32, y as i32);
    let bounds = view.bounds();
    if bounds.contains(x, y) && bounds.contains(x + 1, y + 1) {
        let at = (x - view.rect().x) as usize;
        return between(&view.row(y)[at..at + 2], &view.row(y + 1)[at..at + 2], fx, fy);
    }
    let mut sum = [0.0; 4];
    for (dx, dy, weight) in
        [(0, 0, (1.0 - fx) * (1.0 - fy)), (1, 0, fx * (1.0 - fy)), (0, 1, (1.0 - fx) * fy), (1, 1, fx * fy)]
    {
        if let Some(pixel) = view.get(x + dx, y + dy) {
            for c in 0..4 {
                sum[c] += pixel[c] * weight;
            }
        }
    }
    sum
}

/// Weighted mean of the sixteen pixels around (u, v); outside counts as zero.
fn bicubic(view: &View<'_>, sampler: Sampler, u: f64, v: f64) -> [f32; 4] {
    let (u, v) = (u - 0.5, v - 0.5);
    let (x, y) = (u.floor(), v.floor());
    let weights = |at: f64| [-1.0, 0.0, 1.0, 2.0].map(|offset| sampler.weight(at - offset, 1.0) as f32);
    let (wx, wy) = (weights(u - x), weights(v - y));
    let mut sum = [0.0; 4];
    for (dy, wy) in (-1..).zip(wy) {
        for (dx, wx) in (-1..).zip(wx) {
            if let Some(pixel) = view.get(x as i32 + dx, y as i32 + dy) {
                for c in 0..4 {
                    sum[c] += pixel[c] * wx * wy;
                }
            }
        }
    }
    sum
}

impl Transform {
    fn fill<T: Stored>(
        &self,
        shift: (f64, f64),
        output: &mut Tile<'_>,
        cancel: &Cancel,
        sample: impl Fn(f64, f64) -> T,
    ) -> Result<(), OpError> {
        let rect = output.rect();
        for y in rect.y..rect.y + rect.height as i32 {
            cancel.check()?;
            for (x, pixel) in (rect.x..).zip(T::row_mut(output, y)) {
                let (u, v) = self.source(shift, x, y);
                *pixel = sample(u, v);
            }
        }
        Ok(())
    }
}

impl Area for Transform {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        let input = inputs[0].unwrap_or(Format::LINP);
        let exact = self.whole || self.moves_pixels();
        let format = match (input.depth, input.alpha) {
            // Nothing transparent comes in at the edges where whole pixels move.
            _ if exact && self.matrix == IDENTITY => input,
            _ if !exact && self.sampler != Sampler::Nearest => Format::LINP,
            // Nor where they turn, but a cut beside them finds nothing there, as in GEGL and as beside other turns.
            (Depth::U8, Alpha::None) => Format::RGBA8,
            (Depth::F32, Alpha::None) => Format { alpha: Alpha::Straight, ..input },
            _ => input,
        };
        Formats { inputs: [format; 2], output: format }
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        let input = boxes.inputs[0].ok_or(OpError::MissingInput("input"))?;
        if input.is_infinite() {
            return Err(OpError::Invalid("a picture without bounds cannot be moved or turned: crop it first".into()));
        }
        let shift = self.shift(input);
        let (left, top) = (f64::from(input.x), f64::from(input.y));
        let (right, bottom) = (input.right() as f64, input.bottom() as f64);
        let corners = [(left, top), (right, top), (left, bottom), (right, bottom)].map(|(x, y)| self.apply(x, y));
        // Rounding noise must not add a row or a column.
        let edge = |value: f64, round: fn(f64) -> f64| round(snap(value)) as i64;
        let fold = |get: fn(&(f64, f64)) -> f64, pick: fn(f64, f64) -> f64| {
            corners.iter().map(get).reduce(pick).unwrap_or(0.0)
        };
        Ok(Rect::from_edges(
            edge(fold(|c| c.0, f64::min) + shift.0, f64::floor),
            edge(fold(|c| c.1, f64::min) + shift.1, f64::floor),
            edge(fold(|c| c.0, f64::max) + shift.0, f64::ceil),
            edge(fold(|c| c.1, f64::max) + shift.1, f64::ceil),
        ))
    }

    fn needed(&self, _pad: usize, region: Rect, boxes: Boxes<'_>) -> Rect {
        let Some(input) = boxes.inputs[0].filter(|_| !region.is_empty()) else { return Rect::default() };
        let shift = self.moved(input);
        let (right, bottom) = ((region.right() - 1) as i32, (region.bottom() - 1) as i32);
        let corners = [(region.x, region.y), (right, region.y), (region.x, bottom), (right, bottom)]
            .map(|(x, y)| self.source(shift, x, y));
        let fold = |get: fn(&(f64, f64)) -> f64, pick: fn(f64, f64) -> f64| {
            corners.iter().map(get).reduce(pick).unwrap_or(0.0)
        };
        let reach = self.reach() + 1;
        Rect::from_edges(
            fold(|c| c.0, f64::min).floor() as i64 - reach,
            fold(|c| c.1, f64::min).floor() as i64 - reach,
            fold(|c| c.0, f64::max).ceil() as i64 + reach,
            fold(|c| c.1, f64::max).ceil() as i64 + reach,
        )
    }

    fn fewest_rows(&self) -> u32 {
        16
    }

    fn weight(&self) -> f32 {
        match self.sampler {
            Sampler::Nearest => 1.5,
            Sampler::Linear => 3.0,
            _ => 12.0,
        }
    }

    fn render(
        &self,
        inputs: &[Option<View<'_>>],
        boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        cancel: &Cancel,
    ) -> Result<(), OpError> {
        let view = inputs[0].ok_or(OpError::MissingInput("input"))?;
        let shift = self.moved(boxes.inputs[0].ok_or(OpError::MissingInput("input"))?);
        let format = output.format();
        if self.whole && self.matrix != IDENTITY {
            let from = |x, y| {
                let (u, v) = self.source(shift, x, y);
                (u.floor() as i32, v.floor() as i32)
            };
            return match format.depth {
                Depth::U8 => quarter_turn::fill::<[u8; 4]>(&view, from, output, cancel),
                Depth::F32 => quarter_turn::fill::<[f32; 4]>(&view, from, output, cancel),
            };
        }
        match self.sampler {
            _ if self.whole => copy(&view, shift, output, cancel),
            Sampler::Nearest => match (format.depth, format.alpha) {
                (Depth::U8, Alpha::None) => self.fill::<[u8; 3]>(shift, output, cancel, |u, v| nearest(&view, u, v)),
                (Depth::U8, _) => self.fill::<[u8; 4]>(shift, output, cancel, |u, v| nearest(&view, u, v)),
                (Depth::F32, Alpha::None) => {
                    let opaque = |[r, g, b, _]: [f32; 4]| [r, g, b, 1.0];
                    self.fill::<[f32; 4]>(shift, output, cancel, |u, v| opaque(nearest(&view, u, v)))
                }
                (Depth::F32, _) => self.fill::<[f32; 4]>(shift, output, cancel, |u, v| nearest(&view, u, v)),
            },
            Sampler::Linear => {
                let rect = output.rect();
                // Rows of a stretch read the same part of the input, which may lie across it.
                for from in (0..rect.width as usize).step_by(STRETCH) {
                    cancel.check()?;
                    for y in rows(rect) {
                        let row = &mut output.row_mut(y)[from..];
                        let length = row.len().min(STRETCH);
                        linear_stretch(self, shift, &view, (rect.x + from as i32, y), &mut row[..length]);
                    }
                }
                Ok(())
            }
            sampler => self.fill(shift, output, cancel, |u, v| bicubic(&view, sampler, u, v)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::native::testing::{assert_same, noise_image};

    #[test]
    fn rows_have_the_bits_of_single_pixels() {
        let image = noise_image(Rect::new(-11, 6, 150, 90), Format::LINP);
        let view = image.view(image.rect());
        for degrees in [30.0, 0.5, 89.0, -135.0] {
            let transform = Transform {
                matrix: rotation(degrees),
                shift: Shift::By([0.25, -7.5]),
                sampler: Sampler::Linear,
                whole: false,
            };
            let rect = transform.bounds(Boxes { inputs: &[Some(image.rect())], origin: None }).unwrap().grow(40, 40);
            let shift = transform.shift(image.rect());
            let draw = |row: &dyn Fn(i32, &mut [[f32; 4]])| {
                let mut output = Image::new(rect, Format::LINP).unwrap();
                for mut tile in output.tiles(rect.width, rect.height) {
                    rows(rect).for_each(|y| row(y, tile.row_mut(y)));
                }
                output
            };
            let by_rows = draw(&|y, out| {
                for (x, out) in (rect.x..).step_by(STRETCH).zip(out.chunks_mut(STRETCH)) {
                    linear_stretch(&transform, shift, &view, (x, y), out);
                }
            });
            let single = draw(&|y, out| {
                for (x, pixel) in (rect.x..).zip(out) {
                    let (u, v) = transform.source(shift, x, y);
                    *pixel = bilinear(&view, u, v);
                }
            });
            assert_same(&by_rows, &single, &format!("{degrees} degrees"));
        }
    }
}
