//! `gegl/edge-sobel`: edges by the Sobel operator.
//!
//! On linear light, for R, G and B apart, with the 3 × 3 neighbourhood n of a pixel:
//! `gh = Σ n·(-1 0 1; -2 0 2; -1 0 1)`, `gv = Σ n·(1 2 1; 0 0 0; -1 -2 -1)`. Both directions give
//! `√(gh² + gv²) / √32`, one gives `0.5 + g / 8`, or `|g| / 4` without sign. Alpha is that of the
//! neighbourhood's centre. Outside the input everything is zero, so its border is an edge.
//!
//! The output covers one pixel more on every side, and pixel (x, y) looks at the neighbourhood of
//! (x - 1, y - 1): GEGL 0.4.42 does so, and pictures are to agree.

use crate::{Area, Boxes, Cancel, Format, Formats, Info, Kind, OpError, Operation, Pad, Pass, Properties, Property};
use crate::{Rect, Tile, View};

const INFO: Info = Info {
    name: "gegl/edge-sobel",
    aliases: &[],
    categories: &["edge-detect"],
    title: "Sobel Edge Detection",
    description: "Direction-dependent edge detection.",
    inputs: &[Pad::INPUT],
    properties: &[
        Property {
            name: "horizontal",
            description: "Detect changes from left to right",
            kind: Kind::Boolean { default: true },
        },
        Property {
            name: "vertical",
            description: "Detect changes from top to bottom",
            kind: Kind::Boolean { default: true },
        },
        Property {
            name: "keep-sign",
            description: "With one direction: keep the sign, gray is no edge; when off, the absolute value is used",
            kind: Kind::Boolean { default: true },
        },
    ],
    revision: 1,
};

/// The operation `gegl/edge-sobel`.
#[derive(Debug)]
pub struct EdgeSobel;

impl Operation for EdgeSobel {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let keep_sign = properties.boolean("keep-sign");
        let combine = match (properties.boolean("horizontal"), properties.boolean("vertical")) {
            (true, true) => Combine::Both,
            (true, false) => Combine::Horizontal { keep_sign },
            (false, true) => Combine::Vertical { keep_sign },
            (false, false) => Combine::Neither { value: if keep_sign { 0.5 } else { 0.0 } },
        };
        Ok(vec![Pass::Area(Box::new(Sobel { combine }))])
    }
}

#[derive(Clone, Copy, Debug)]
enum Combine {
    Both,
    Horizontal { keep_sign: bool },
    Vertical { keep_sign: bool },
    Neither { value: f32 },
}

#[derive(Debug)]
struct Sobel {
    combine: Combine,
}

type Pixel = [f32; 4];

/// The change from left to right, and from bottom to top.
fn gradients(above: &[Pixel], row: &[Pixel], below: &[Pixel]) -> (Pixel, Pixel) {
    let mut horizontal = [0.0; 4];
    let mut vertical = [0.0; 4];
    for c in 0..4 {
        horizontal[c] = (above[2][c] - above[0][c]) + 2.0 * (row[2][c] - row[0][c]) + (below[2][c] - below[0][c]);
        vertical[c] = (above[0][c] - below[0][c]) + 2.0 * (above[1][c] - below[1][c]) + (above[2][c] - below[2][c]);
    }
    (horizontal, vertical)
}

fn one_direction(gradient: Pixel, keep_sign: bool) -> Pixel {
    if keep_sign { gradient.map(|g| 0.5 + g / 8.0) } else { gradient.map(|g| g.abs() / 4.0) }
}

/// Fills `out` from three rows that begin one pixel to the left of the first centre.
fn fill(out: &mut [Pixel], rows: [&[Pixel]; 3], value: impl Fn(Pixel, Pixel) -> Pixel) {
    let [above, row, below] = rows;
    for (((out, above), row), below) in out.iter_mut().zip(above.windows(3)).zip(row.windows(3)).zip(below.windows(3)) {
        let (horizontal, vertical) = gradients(above, row, below);
        let mut pixel = value(horizontal, vertical);
        pixel[3] = row[1][3];
        *out = pixel;
    }
}

impl Area for Sobel {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        let format = Format::LIN.opaque_like(inputs[0].unwrap_or(Format::LIN));
        Formats { inputs: [format; 2], output: format }
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        Ok(boxes.inputs[0].ok_or(OpError::MissingInput("input"))?.grow(1, 1))
    }

    fn needed(&self, _pad: usize, region: Rect, _boxes: Boxes<'_>) -> Rect {
        Rect::from_edges(i64::from(region.x) - 2, i64::from(region.y) - 2, region.right(), region.bottom())
    }

    fn weight(&self) -> f32 {
        3.0
    }

    fn render(
        &self,
        inputs: &[Option<View<'_>>],
        _boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        cancel: &Cancel,
    ) -> Result<(), OpError> {
        let input = inputs[0].ok_or(OpError::MissingInput("input"))?;
        let rect = output.rect();
        if rect.is_empty() {
            return Ok(());
        }
        let mut rows = [0, 1, 2].map(|_| vec![[0.0; 4]; rect.width as usize + 2]);
        input.read_row(rect.x - 2, rect.y - 2, &mut rows[1]);
        input.read_row(rect.x - 2, rect.y - 1, &mut rows[2]);
        for y in rect.y..rect.y + rect.height as i32 {
            cancel.check()?;
            rows.rotate_left(1);
            input.read_row(rect.x - 2, y, &mut rows[2]);
            let [above, row, below] = &rows;
            let rows = [above.as_slice(), row, below];
            let out = output.row_mut(y);
            match self.combine {
                Combine::Both => {
                    let scale = 1.0 / 32f32.sqrt();
                    fill(out, rows, |h, v| [0, 1, 2, 3].map(|c| (h[c] * h[c] + v[c] * v[c]).sqrt() * scale));
                }
                Combine::Horizontal { keep_sign } => fill(out, rows, |h, _| one_direction(h, keep_sign)),
                Combine::Vertical { keep_sign } => fill(out, rows, |_, v| one_direction(v, keep_sign)),
                Combine::Neither { value } => fill(out, rows, |_, _| [value; 4]),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::native::testing::{assert_pixel, check, noise_image, render, stops_when_cancelled};

    /// 3 × 3, zero but for the middle, which is (1, 0.5, 0) with alpha 0.25.
    fn dot() -> Image {
        let mut pixels = vec![[0.0; 4]; 9];
        pixels[4] = [1.0, 0.5, 0.0, 0.25];
        Image::from_float(Rect::sized(3, 3), Format::LIN, pixels)
    }

    #[test]
    fn a_dot_gives_the_kernels_turned_round_one_pixel_right_and_down() {
        let dot = dot();
        let both = check(&EdgeSobel, &[], &[Some(&dot)]);
        assert_eq!(both.rect(), Rect::new(-1, -1, 5, 5));
        // The dot is at (1, 1); the pixel centred on it is (2, 2).
        assert_pixel(&both, 2, 2, [0.0, 0.0, 0.0, 0.25], 0.0);
        let corner = 2f32.sqrt() / 32f32.sqrt();
        assert_pixel(&both, 1, 1, [corner, corner / 2.0, 0.0, 0.0], 1e-6);
        let side = 2.0 / 32f32.sqrt();
        assert_pixel(&both, 1, 2, [side, side / 2.0, 0.0, 0.0], 1e-6);
        assert_pixel(&both, 0, 0, [0.0; 4], 0.0);

        let horizontal = check(&EdgeSobel, &[("vertical", "false")], &[Some(&dot)]);
        // Seen from (0, 1), whose result is at (1, 2), the dot is on the right: weight 2.
        assert_pixel(&horizontal, 1, 2, [0.75, 0.625, 0.5, 0.0], 1e-6);
        assert_pixel(&horizontal, 3, 2, [0.25, 0.375, 0.5, 0.0], 1e-6);
        assert_pixel(&horizontal, 3, 3, [0.375, 0.4375, 0.5, 0.0], 1e-6);
        let vertical = check(&EdgeSobel, &[("horizontal", "false")], &[Some(&dot)]);
        // Seen from (1, 0) the dot is below: weight -2.
        assert_pixel(&vertical, 2, 1, [0.25, 0.375, 0.5, 0.0], 1e-6);
        let absolute = check(&EdgeSobel, &[("horizontal", "false"), ("keep-sign", "false")], &[Some(&dot)]);
        assert_pixel(&absolute, 2, 1, [0.5, 0.25, 0.0, 0.0], 1e-6);
        let none = [("horizontal", "false"), ("vertical", "false")];
        assert_pixel(&check(&EdgeSobel, &none, &[Some(&dot)]), 2, 2, [0.5, 0.5, 0.5, 0.25], 0.0);
        let none = [none[0], none[1], ("keep-sign", "false")];
        assert_pixel(&check(&EdgeSobel, &none, &[Some(&dot)]), 2, 2, [0.0, 0.0, 0.0, 0.25], 0.0);
    }

    #[test]
    fn the_border_is_an_edge_and_opaque_stays_opaque() {
        let white = Image::from_rgb8(Rect::new(-4, 7, 3, 3), vec![[255; 3]; 9]);
        let result = render(&EdgeSobel, &[], &[Some(&white)]).unwrap();
        assert_eq!((result.rect(), result.format()), (Rect::new(-5, 6, 5, 5), Format::LIN_OPAQUE));
        // Centre (-4, 8), the middle of the left side: gh = 4, gv = 0.
        assert_pixel(&result, -3, 9, [4.0 / 32f32.sqrt(), 4.0 / 32f32.sqrt(), 4.0 / 32f32.sqrt(), 1.0], 1e-6);
        assert_pixel(&result, -5, 6, [0.0, 0.0, 0.0, 1.0], 0.0);
    }

    #[test]
    fn sizes_and_cancelling() {
        for (width, height) in [(1, 1), (1, 9), (13, 8)] {
            let image = noise_image(Rect::new(5, -3, width, height), Format::RGBA8);
            check(&EdgeSobel, &[("vertical", "false")], &[Some(&image)]);
            assert!(stops_when_cancelled(&EdgeSobel, &[], &image));
        }
    }
}
