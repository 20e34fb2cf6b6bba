//! `svg/screen`: adds light as two projectors on one screen do.
//!
//! With premultiplied colour cA, cB and alphas aA, aB of source `aux` and backdrop `input`:
//! a = aA + aB - aA aB, c = cA + cB - cA cB clamped to 0..=a (SVG compositing; GEGL 0.4,
//! `svg-12-blend`).

use multiversion::multiversion;

use super::compose::{Blend, PADS, SRGB, blend_row, clamp_to};
use crate::{Info, OpError, Operation, Pass, Properties};

static INFO: Info = Info {
    name: "svg/screen",
    aliases: &["gegl/screen"],
    categories: &["compositors:svgfilter"],
    title: "Screen",
    description: "Brightens the picture at input by the one at aux, never beyond white.",
    inputs: PADS,
    properties: &[SRGB],
    revision: 1,
};

/// The operation `svg/screen`.
#[derive(Debug)]
pub struct Screen;

impl Operation for Screen {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        Ok(Blend::passes(properties, screen, 2.0))
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn screen(row: &mut [[f32; 4]], aux: &[[f32; 4]]) {
    blend_row(row, aux, |a, b| {
        let [x, y, z, alpha] = [0, 1, 2, 3].map(|c| a[c] + b[c] - a[c] * b[c]);
        [clamp_to(x, alpha), clamp_to(y, alpha), clamp_to(z, alpha), alpha]
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::compose::check_boxes;
    use crate::native::testing::{assert_pixel, check};
    use crate::{Format, Image, Rect};

    #[test]
    fn pixels_by_hand() {
        let rect = Rect::new(-1, 0, 3, 1);
        let input = vec![[0.1, 0.2, 0.4, 0.5], [0.5, 0.0, 1.0, 1.0], [3.0, -1.0, 0.25, 0.5]];
        let aux = vec![[0.2, 0.1, 0.0, 0.25], [0.5, 0.3, 0.2, 1.0], [0.5, 0.0, 0.25, 0.5]];
        let input = Image::from_float(rect, Format::LINP, input);
        let aux = Image::from_float(rect, Format::LINP, aux);
        let out = check(&Screen, &[], &[Some(&input), Some(&aux)]);
        // 0.3 - 0.02, 0.3 - 0.02, 0.4; 0.75 - 0.125.
        assert_pixel(&out, -1, 0, [0.28, 0.28, 0.4, 0.625], 1e-6);
        assert_pixel(&out, 0, 0, [0.75, 0.3, 1.0, 1.0], 1e-6);
        // 3.5 - 1.5 = 2 is cut to the alpha 0.75, -1 to 0; 0.5 - 0.0625.
        assert_pixel(&out, 1, 0, [0.75, 0.0, 0.4375, 0.75], 1e-6);
    }

    #[test]
    fn boxes() {
        check_boxes(&Screen);
    }
}
