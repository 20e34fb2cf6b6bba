//! What operations share that are made of other operations' passes.

use std::fmt;
use std::ops::RangeInclusive;

use super::compose::rows;
use super::gaussian_blur::Gaussian;
use crate::{Area, Boxes, Cancel, Format, Formats, OpError, Operand, Pass, Rect, Tile, View};

/// Passes under construction, each result with a name for those that read it.
#[derive(Debug, Default)]
pub(super) struct Compound(Vec<Pass>);

impl Compound {
    /// Adds a pass on the result of the one before; on the operation's input, where it is the first.
    pub(super) fn then(&mut self, pass: Pass) -> Operand {
        self.0.push(pass);
        Operand::Pass(self.0.len() - 1)
    }

    /// Adds a pass on those pictures.
    pub(super) fn apply(&mut self, area: impl Area + 'static, inputs: &[Operand]) -> Operand {
        self.wire(Box::new(area), inputs)
    }

    /// Blurs a picture.
    pub(super) fn blur(&mut self, blur: Gaussian, input: Operand) -> Operand {
        blur.areas().fold(input, |from, area| self.wire(area, &[from]))
    }

    pub(super) fn passes(self) -> Vec<Pass> {
        self.0
    }

    fn wire(&mut self, area: Box<dyn Area>, inputs: &[Operand]) -> Operand {
        self.then(Pass::Wired { area, inputs: inputs.to_vec() })
    }
}

/// Two pictures of one box become one, pixel by pixel.
pub(super) struct Join<F> {
    formats: Formats,
    weight: f32,
    join: F,
}

impl<F: Fn(&mut [[f32; 4]], &[[f32; 4]]) + Send + Sync> Join<F> {
    /// `join` makes a row of the output of a row of the first picture, in its place, and one of the
    /// second. `formats` are what the pictures must be in, but without alpha where the first comes
    /// without.
    pub(super) fn new(inputs: [Format; 2], output: Format, weight: f32, join: F) -> Self {
        Join { formats: Formats { inputs, output }, weight, join }
    }
}

impl<F> fmt::Debug for Join<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join").field("formats", &self.formats).finish_non_exhaustive()
    }
}

impl<F: Fn(&mut [[f32; 4]], &[[f32; 4]]) + Send + Sync> Area for Join<F> {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        let like = |format: Format| inputs[0].map_or(format, |input| format.opaque_like(input));
        let Formats { inputs, output } = self.formats;
        Formats { inputs: inputs.map(like), output: like(output) }
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        boxes.inputs[0].ok_or(OpError::MissingInput("input"))
    }

    fn needed(&self, _pad: usize, region: Rect, _boxes: Boxes<'_>) -> Rect {
        region
    }

    fn weight(&self) -> f32 {
        self.weight
    }

    fn render(
        &self,
        inputs: &[Option<View<'_>>],
        _boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        cancel: &Cancel,
    ) -> Result<(), OpError> {
        let (Some(first), Some(second)) = (inputs[0], inputs[1]) else { return Err(OpError::MissingInput("input")) };
        let rect = output.rect();
        let from = (rect.x - second.rect().x) as usize;
        for y in rows(rect) {
            cancel.check()?;
            let row = output.row_mut(y);
            first.read_row(rect.x, y, row);
            (self.join)(row, &second.row(y)[from..from + rect.width as usize]);
        }
        Ok(())
    }
}

/// Applies `join` to the colours of each pixel; alpha stays that of the first picture.
#[inline(always)]
pub(super) fn join_colors(row: &mut [[f32; 4]], other: &[[f32; 4]], join: impl Fn(f32, f32) -> f32) {
    for (pixel, other) in row.iter_mut().zip(other) {
        let [r, g, b, a] = *pixel;
        *pixel = [join(r, other[0]), join(g, other[1]), join(b, other[2]), a];
    }
}

/// The deviation of a Gaussian that is down to 1/255 one pixel beyond `radius`, as GEGL's operations
/// of GIMP's heritage have it.
pub(super) fn deviation_of(radius: f64) -> f64 {
    (radius + 1.0) / (2.0 * 255f64.ln()).sqrt()
}

/// A function as a table, with straight lines between its entries; beyond the ends it keeps their
/// values.
#[derive(Debug)]
pub(super) struct Table {
    start: f32,
    values: Vec<f32>,
}

impl Table {
    /// Entries for each unit.
    const DENSITY: f32 = 2048.0;

    /// Of `function` between whole numbers.
    pub(super) fn new(range: RangeInclusive<i16>, function: impl Fn(f64) -> f64) -> Self {
        let (start, end) = (f64::from(*range.start()), f64::from(*range.end()));
        let steps = ((end - start) * f64::from(Self::DENSITY)) as u32;
        let entry = |step: u32| function(start + f64::from(step) / f64::from(Self::DENSITY)) as f32;
        Table { start: start as f32, values: (0..=steps).map(entry).collect() }
    }

    pub(super) fn at(&self, x: f32) -> f32 {
        let last = self.values.len() - 2;
        let place = ((x - self.start) * Self::DENSITY).clamp(0.0, (last + 1) as f32);
        let index = (place as usize).min(last);
        let (low, high) = (self.values[index], self.values[index + 1]);
        low + (high - low) * (place - index as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_straight_lines_and_ends() {
        let table = Table::new(-1..=2, |x| x * x);
        for (x, expected) in [(-3.0, 1.0), (-1.0, 1.0), (0.5, 0.25), (2.0, 4.0), (9.0, 4.0), (0.0, 0.0)] {
            assert_eq!(table.at(x), expected, "{x}");
        }
        assert!((table.at(1.234_567) - 1.524_155_7).abs() < 1e-6);
        assert_eq!(table.at(f32::NAN).to_bits() >> 31, 0, "no panic");
    }

    #[test]
    fn a_radius_is_a_deviation() {
        // exp(-(4 / s)² / 2) = 1/255.
        let s = deviation_of(3.0);
        assert!(((-(4.0 / s).powi(2) / 2.0).exp() - 1.0 / 255.0).abs() < 1e-12);
    }
}
