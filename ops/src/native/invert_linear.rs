//! `gegl/invert-linear`: the negative of the light.
//!
//! c' = 1 - c for R, G, B in linear light; alpha stays and nothing is clamped (GEGL 0.4,
//! `invert-linear.c`).

use super::line::Line;
use crate::{Encoding, Info, OpError, Operation, Pad, Pass, Properties};

static INFO: Info = Info {
    name: "gegl/invert-linear",
    aliases: &["gegl/invert"],
    categories: &["color"],
    title: "Invert",
    description: "Makes the negative of the picture, in linear light.",
    inputs: &[Pad::INPUT],
    properties: &[],
    revision: 1,
};

/// The operation `gegl/invert-linear`.
#[derive(Debug)]
pub struct InvertLinear;

impl Operation for InvertLinear {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, _properties: &Properties) -> Result<Vec<Pass>, OpError> {
        Ok(Line::new(Encoding::Linear, 0.0, -1.0, 1.0).passes())
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
        let out = check(&InvertLinear, &[], &[Some(&image)]);
        assert_pixel(&out, -1, 0, [0.784_139_5, 1.0, 0.0, 1.0], 1e-5);
        let image = Image::from_float(Rect::sized(1, 1), Format::LIN, vec![[0.25, 2.0, -1.0, 0.3]]);
        assert_pixel(&check(&InvertLinear, &[], &[Some(&image)]), 0, 0, [0.75, -1.0, 2.0, 0.3], 1e-6);
    }
}
