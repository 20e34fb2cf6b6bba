//! `gegl/value-invert`: makes dark bright and bright dark, and keeps the colour.
//!
//! With V the largest of sRGB-coded R, G, B, c' = c (1 - V) / V for each; 1 where V is 0. Alpha
//! stays (GEGL 0.4, `value-invert.c`).

use crate::{Format, Info, OpError, Operation, Pad, Pass, Point, Properties, Rect};

static INFO: Info = Info {
    name: "gegl/value-invert",
    aliases: &[],
    categories: &["color"],
    title: "Value Invert",
    description: "Makes dark bright and bright dark, and keeps the colour.",
    inputs: &[Pad::INPUT],
    properties: &[],
    revision: 1,
};

/// The operation `gegl/value-invert`.
#[derive(Debug)]
pub struct ValueInvert;

impl Operation for ValueInvert {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, _properties: &Properties) -> Result<Vec<Pass>, OpError> {
        Ok(vec![Pass::Point(Box::new(Inverted))])
    }
}

#[derive(Debug)]
struct Inverted;

impl Point for Inverted {
    fn format(&self, input: Format) -> Format {
        Format::GAM.opaque_like(input)
    }

    fn apply(&self, row: &mut [[f32; 4]], _x: i32, _y: i32, _bounds: Rect) {
        for pixel in row {
            let [r, g, b, a] = *pixel;
            let value = r.max(g).max(b);
            let black = value == 0.0;
            let factor = (1.0 - value) / if black { 1.0 } else { value };
            let [r, g, b] = [r, g, b].map(|c| if black { 1.0 } else { c * factor });
            *pixel = [r, g, b, a];
        }
    }

    fn weight(&self) -> f32 {
        2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::native::testing::{assert_pixel, check};

    #[test]
    fn values_by_hand() {
        let pixels = vec![[0.2, 0.8, 0.4, 0.3], [0.0, 0.0, 0.0, 1.0], [0.25, 0.25, 0.25, 1.0], [0.5, 1.0, 0.0, 0.0]];
        let image = Image::from_float(Rect::new(-1, 0, 4, 1), Format::GAM, pixels);
        let out = check(&ValueInvert, &[], &[Some(&image)]);
        assert_pixel(&out, -1, 0, [0.05, 0.2, 0.1, 0.3], 1e-6);
        assert_pixel(&out, 0, 0, [1.0, 1.0, 1.0, 1.0], 0.0);
        assert_pixel(&out, 1, 0, [0.75, 0.75, 0.75, 1.0], 1e-6);
        assert_pixel(&out, 2, 0, [0.0, 0.0, 0.0, 0.0], 0.0);
    }

    #[test]
    fn it_works_on_coded_values() {
        let image = Image::from_rgb8(Rect::sized(1, 1), vec![[51, 204, 102]]);
        let out = check(&ValueInvert, &[], &[Some(&image)]);
        assert_eq!(out.format(), Format::GAM_OPAQUE);
        assert_pixel(&out, 0, 0, [0.05, 0.2, 0.1, 1.0], 1e-6);
    }
}
