//! `svg/color-dodge`: brightens the backdrop to show the source.
//!
//! With premultiplied colour cA, cB and alphas aA, aB of source `aux` and backdrop `input`, and
//! a = aA + aB - aA aB: where cA aB + cB aA >= aA aB,
//! c = aA aB + cA (1 - aB) + cB (1 - aA); else c = t + cA (1 - aB) + cB (1 - aA) with t = 1 where
//! cA = aA and t = cB aA / (1 - cA / aA) elsewhere (the divisor is 1 where aA = 0). c is clamped to
//! 0..=a (SVG compositing; GEGL 0.4, `svg-12-blend`).

use multiversion::multiversion;

use super::compose::{Blend, PADS, SRGB, blend_row, clamp_to};
use crate::{Info, OpError, Operation, Pass, Properties};

static INFO: Info = Info {
    name: "svg/color-dodge",
    aliases: &["gegl/color-dodge"],
    categories: &["compositors:svgfilter"],
    title: "Color dodge",
    description: "Brightens the picture at input where the one at aux is bright.",
    inputs: PADS,
    properties: &[SRGB],
    revision: 1,
};

/// The operation `svg/color-dodge`.
#[derive(Debug)]
pub struct ColorDodge;

impl Operation for ColorDodge {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        Ok(Blend::passes(properties, dodge, 5.0))
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn dodge(row: &mut [[f32; 4]], aux: &[[f32; 4]]) {
    blend_row(row, aux, |a, b| {
        let (alpha_a, alpha_b) = (a[3], b[3]);
        let alpha = alpha_a + alpha_b - alpha_a * alpha_b;
        // Neither division may be by 0; where these 1s step in, the quotient is not used or, where
        // cA / aA merely rounds to 1, is on the way to being clamped.
        let divisor_a = if alpha_a == 0.0 { 1.0 } else { alpha_a };
        let [x, y, z] = [0, 1, 2].map(|c| {
            let (source, backdrop) = (a[c], b[c]);
            let rest = source * (1.0 - alpha_b) + backdrop * (1.0 - alpha_a);
            let divisor = if alpha_a == 0.0 { 1.0 } else { 1.0 - source / divisor_a };
            let divisor = if divisor == 0.0 { 1.0 } else { divisor };
            let dodged = if source == alpha_a { 1.0 } else { backdrop * alpha_a / divisor };
            let full = source * alpha_b + backdrop * alpha_a >= alpha_a * alpha_b;
            clamp_to(if full { alpha_a * alpha_b } else { dodged } + rest, alpha)
        });
        [x, y, z, alpha]
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::compose::check_boxes;
    use crate::native::testing::{all_pixels, assert_pixel, check};
    use crate::{Format, Image, Rect};

    #[test]
    fn pixels_by_hand() {
        let rect = Rect::new(-1, 0, 4, 1);
        let input = vec![[0.2, 0.5, 0.0, 1.0], [0.1, 0.2, 0.4, 0.5], [0.0, 0.3, 0.0, 1.0], [-0.5, 2.0, 0.1, 0.5]];
        let aux = vec![[0.5, 0.6, 0.9, 1.0], [0.2, 0.1, 0.0, 0.25], [1.0, 1.0, 0.0, 1.0], [0.1, 0.1, -0.3, 0.5]];
        let input = Image::from_float(rect, Format::LINP, input);
        let aux = Image::from_float(rect, Format::LINP, aux);
        let out = check(&ColorDodge, &[], &[Some(&input), Some(&aux)]);
        // Opaque: 0.2 / (1 - 0.5); 0.5 + 0.6 >= 1, so 1; 0 / 0.1.
        assert_pixel(&out, -1, 0, [0.4, 1.0, 0.0, 1.0], 1e-6);
        // aA aB = 0.125, alpha 0.625.
        // R: 0.1 + 0.025 >= 0.125 (the floats agree): 0.125 + 0.1 + 0.075.
        // G: 0.05 + 0.05 < 0.125: 0.2 * 0.25 / (1 - 0.4) + 0.05 + 0.15 = 0.283333.
        // B: 0 + 0.1 < 0.125: 0.4 * 0.25 / 1 + 0 + 0.3 = 0.4.
        assert_pixel(&out, 0, 0, [0.3, 0.283_333_33, 0.4, 0.625], 1e-6);
        // cA = aA = 1 meets the first case, 0 + 0 < 1 the second.
        assert_pixel(&out, 1, 0, [1.0, 1.0, 0.0, 1.0], 1e-6);
        // Out of range: R: 0.05 - 0.25 < 0.25: -0.25 / 0.8 + 0.05 - 0.25 < 0, cut to 0.
        // G: 0.05 + 1 >= 0.25: 0.25 + 0.05 + 1 = 1.3, cut to the alpha 0.75.
        // B: -0.15 + 0.05 < 0.25: 0.05 / 1.6 - 0.15 + 0.05 = -0.06875, cut to 0.
        assert_pixel(&out, 2, 0, [0.0, 0.75, 0.0, 0.75], 1e-6);
    }

    #[test]
    fn nothing_divides_by_nothing() {
        // Alphas of 0 and 1 with colours equal to them, and premultiplied colour above alpha.
        let values = [0.0f32, 0.5, 1.0];
        let mut input = Vec::new();
        let mut aux = Vec::new();
        for a in values {
            for b in values {
                for alpha_a in values {
                    for alpha_b in values {
                        aux.push([a, a, a, alpha_a]);
                        input.push([b, b, b, alpha_b]);
                    }
                }
            }
        }
        let rect = Rect::sized(9, 9);
        let input = Image::from_float(rect, Format::LINP, input);
        let aux = Image::from_float(rect, Format::LINP, aux);
        let out = check(&ColorDodge, &[], &[Some(&input), Some(&aux)]);
        for pixel in all_pixels(&out) {
            assert!(pixel[..3].iter().all(|c| (0.0..=pixel[3]).contains(c)), "{pixel:?}");
        }
    }

    #[test]
    fn boxes() {
        check_boxes(&ColorDodge);
    }
}
