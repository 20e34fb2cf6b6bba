//! `gegl/invert-gamma`: the negative of the picture as it is seen.
//!
//! c' = 1 - c for sRGB-coded R, G, B; alpha stays and nothing is clamped (GEGL 0.4,
//! `invert-gamma.c`).

use super::line::Line;
use crate::{Encoding, Info, OpError, Operation, Pad, Pass, Properties};

static INFO: Info = Info {
    name: "gegl/invert-gamma",
    aliases: &[],
    categories: &["color"],
    title: "Invert in Perceptual space",
    description: "Makes the negative of the picture as the eye sees it.",
    inputs: &[Pad::INPUT],
    properties: &[],
    revision: 1,
};

/// The operation `gegl/invert-gamma`.
#[derive(Debug)]
pub struct InvertGamma;

impl Operation for InvertGamma {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, _properties: &Properties) -> Result<Vec<Pass>, OpError> {
        Ok(Line::new(Encoding::Coded, 0.0, -1.0, 1.0).passes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::testing::{assert_pixel, check};
    use crate::{Format, Image, Rect};

    #[test]
    fn negatives_by_hand() {
        let image = Image::from_rgb8(Rect::new(-1, 0, 1, 1), vec![[128, 0, 255]]);
        let out = check(&InvertGamma, &[], &[Some(&image)]);
        assert_pixel(&out, -1, 0, [127.0 / 255.0, 1.0, 0.0, 1.0], 1e-5);
        let image = Image::from_float(Rect::sized(1, 1), Format::GAM, vec![[0.25, 2.0, -1.0, 0.3]]);
        assert_pixel(&check(&InvertGamma, &[], &[Some(&image)]), 0, 0, [0.75, -1.0, 2.0, 0.3], 1e-6);
    }
}
