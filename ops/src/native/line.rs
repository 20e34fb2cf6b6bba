//! A straight line for each channel: what the simplest filters of colour share.

use multiversion::multiversion;

use crate::{Encoding, Format, Pass, Point, Rect};

/// c' = (c - pivot) factor + offset, in light or in sRGB-coded values; alpha stays and nothing is
/// clamped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    encoding: Encoding,
    /// Of R, G and B; what is taken off before the factor, so that steep lines stay exact.
    pivot: [f32; 3],
    factor: [f32; 3],
    offset: [f32; 3],
}

impl Line {
    /// One line for all three channels.
    pub(super) fn new(encoding: Encoding, pivot: f64, factor: f64, offset: f64) -> Self {
        Line::of_channels(encoding, pivot, [factor; 3], [offset; 3])
    }

    /// One line for each of R, G, B.
    pub(super) fn of_channels(encoding: Encoding, pivot: f64, factor: [f64; 3], offset: [f64; 3]) -> Self {
        Line { encoding, pivot: [finite(pivot); 3], factor: factor.map(finite), offset: offset.map(finite) }
    }

    /// The one pass of an operation that is just this; none where it changes nothing.
    pub(super) fn passes(self) -> Vec<Pass> {
        if self.factor == [1.0; 3] && self.pivot == self.offset {
            return Vec::new();
        }
        vec![Pass::Point(Box::new(self))]
    }
}

/// As a float that is neither infinite nor NaN, so that 0 times it stays 0.
fn finite(value: f64) -> f32 {
    if value.is_nan() { 0.0 } else { value.clamp(f32::MIN.into(), f32::MAX.into()) as f32 }
}

impl Point for Line {
    fn format(&self, input: Format) -> Format {
        Format { encoding: self.encoding, ..Format::LIN }.opaque_like(input)
    }

    fn apply(&self, row: &mut [[f32; 4]], _x: i32, _y: i32, _bounds: Rect) {
        // Alpha goes through a line that keeps it: a few vector operations a pixel.
        let [pivot, offset] = [self.pivot, self.offset].map(|[r, g, b]| [r, g, b, 0.0]);
        let factor = [self.factor[0], self.factor[1], self.factor[2], 1.0];
        follow(row, pivot, factor, offset);
    }

    fn channelwise(&self) -> bool {
        true
    }

    fn weight(&self) -> f32 {
        1.0
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn follow(row: &mut [[f32; 4]], pivot: [f32; 4], factor: [f32; 4], offset: [f32; 4]) {
    for pixel in row {
        *pixel = std::array::from_fn(|c| (pixel[c] - pivot[c]) * factor[c] + offset[c]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_changes_nothing_is_no_pass() {
        assert!(Line::new(Encoding::Linear, 0.5, 1.0, 0.5).passes().is_empty());
        assert_eq!(Line::new(Encoding::Linear, 0.5, 1.0, 0.6).passes().len(), 1);
    }

    #[test]
    fn every_number_is_finite() {
        for value in [f64::MAX, f64::MIN, f64::INFINITY, f64::NAN] {
            let mut row = [[0.0, 0.5, 1.0, 0.25]];
            Line::new(Encoding::Linear, 0.0, value, 0.0).apply(&mut row, 0, 0, Rect::sized(1, 1));
            assert!(row[0][0] == 0.0 && !row[0][2].is_nan() && row[0][3] == 0.25, "{value}: {row:?}");
        }
    }
}
