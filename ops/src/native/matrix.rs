//! Mixing R, G and B by a matrix: what several filters of colour share.

use multiversion::multiversion;

use crate::{Encoding, Format, Pass, Point, Rect};

/// Each channel as a weighted sum of all three, in light or in sRGB-coded values; alpha stays and
/// nothing is clamped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Matrix {
    encoding: Encoding,
    /// Weights of R, G, B in the new R, then in G, then in B.
    rows: [[f32; 3]; 3],
}

impl Matrix {
    /// From the weights of R, G, B in each new channel.
    pub(super) fn new(encoding: Encoding, rows: [[f64; 3]; 3]) -> Self {
        Matrix { encoding, rows: rows.map(|row| row.map(|weight| weight as f32)) }
    }

    /// The one pass of an operation that is just this; none where it changes nothing.
    pub(super) fn passes(self) -> Vec<Pass> {
        if self.rows == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]] {
            return Vec::new();
        }
        vec![Pass::Point(Box::new(self))]
    }
}

impl Point for Matrix {
    fn format(&self, input: Format) -> Format {
        Format { encoding: self.encoding, ..Format::LIN }.opaque_like(input)
    }

    fn apply(&self, row: &mut [[f32; 4]], _x: i32, _y: i32, _bounds: Rect) {
        // By columns, with a fourth for alpha: vector operations on whole pixels.
        let column = |c: usize| [self.rows[0][c], self.rows[1][c], self.rows[2][c], 0.0];
        mix(row, [column(0), column(1), column(2)]);
    }

    fn weight(&self) -> f32 {
        2.0
    }
}

/// R, G and B of each pixel times the columns of a matrix.
#[multiversion(targets("x86_64+avx2"))]
fn mix(row: &mut [[f32; 4]], [red, green, blue]: [[f32; 4]; 3]) {
    for pixel in row {
        let [r, g, b, a] = *pixel;
        let alpha = [0.0, 0.0, 0.0, a];
        *pixel = std::array::from_fn(|c| r * red[c] + g * green[c] + b * blue[c] + alpha[c]);
    }
}
