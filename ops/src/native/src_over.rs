//! `svg/src-over`: lays one picture over another.
//!
//! With premultiplied colour cA, cB and alphas aA, aB of source `aux` and backdrop `input`:
//! c = cA + cB (1 - aA), a = aA + aB - aA aB (SVG compositing; GEGL 0.4, `svg-12-porter-duff`).

use multiversion::multiversion;

use super::compose::{Blend, Compositor, PADS, SRGB, blend_row};
use crate::{Format, Info, OpError, Operation, Pass, Properties};

static INFO: Info = Info {
    name: "svg/src-over",
    aliases: &["gegl/over"],
    categories: &["compositors:porter-duff"],
    title: "Normal compositing",
    description: "Lays the picture at aux over the one at input.",
    inputs: PADS,
    properties: &[SRGB],
    revision: 1,
};

/// The operation `svg/src-over`.
#[derive(Debug)]
pub struct SrcOver;

impl Operation for SrcOver {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        Ok(Blend::passes(properties, over, WEIGHT))
    }
}

/// The pass that lays its second input over the first, for operations that are made of others.
pub(super) fn compositor(format: Format) -> Compositor<Blend> {
    Compositor(Blend::new(format, over, WEIGHT))
}

const WEIGHT: f32 = 2.0;

#[multiversion(targets("x86_64+avx2"))]
fn over(row: &mut [[f32; 4]], aux: &[[f32; 4]]) {
    // aA + aB - aA aB is aA + aB (1 - aA): all four components are one formula.
    blend_row(row, aux, |a, b| {
        let rest = 1.0 - a[3];
        [a[0] + b[0] * rest, a[1] + b[1] * rest, a[2] + b[2] * rest, a[3] + b[3] * rest]
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::compose::check_boxes;
    use crate::native::testing::{assert_pixel, check};
    use crate::{Image, Rect};

    #[test]
    fn pixels_by_hand() {
        let rect = Rect::new(-1, 0, 3, 1);
        let input = vec![[0.1, 0.2, 0.4, 0.5], [0.1, 0.2, 0.4, 0.5], [3.0, -1.0, 0.0, 1.0]];
        let aux = vec![[0.2, 0.1, 0.0, 0.25], [0.9, 0.8, 0.7, 1.0], [0.5, 0.5, 0.5, 0.5]];
        let input = Image::from_float(rect, Format::LINP, input);
        let aux = Image::from_float(rect, Format::LINP, aux);
        let out = check(&SrcOver, &[], &[Some(&input), Some(&aux)]);
        // 0.2 + 0.1 * 0.75, 0.1 + 0.2 * 0.75, 0.4 * 0.75; 0.25 + 0.5 - 0.125.
        assert_pixel(&out, -1, 0, [0.275, 0.25, 0.3, 0.625], 1e-6);
        assert_pixel(&out, 0, 0, [0.9, 0.8, 0.7, 1.0], 1e-6);
        // Values out of range are not clamped.
        assert_pixel(&out, 1, 0, [2.0, 0.0, 0.5, 1.0], 1e-6);
    }

    #[test]
    fn white_half_over_black_depends_on_the_curve() {
        let black = Image::from_rgb8(Rect::sized(1, 1), vec![[0; 3]]);
        let white = Image::from_float(Rect::sized(1, 1), Format::GAM, vec![[1.0, 1.0, 1.0, 0.5]]);
        // Both are 0.5, of light and of the coded value.
        for srgb in ["false", "true"] {
            let out = check(&SrcOver, &[("srgb", srgb)], &[Some(&black), Some(&white)]);
            assert_pixel(&out, 0, 0, [0.5, 0.5, 0.5, 1.0], 1e-6);
            assert_eq!(out.format(), if srgb == "true" { Format::GAMP } else { Format::LINP });
        }
    }

    #[test]
    fn boxes() {
        check_boxes(&SrcOver);
    }
}
