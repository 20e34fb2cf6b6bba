//! `gegl/color-overlay`: paints a colour over the picture.
//!
//! c' = c (1 - a) + value a for R, G, B, where a is the alpha of the colour, in linear light or with
//! `srgb` in sRGB-coded values; the picture keeps its alpha (GEGL 0.4, `color-overlay.c`).

use super::line::Line;
use crate::{Color, Encoding, Info, Kind, OpError, Operation, Pad, Pass, Properties, Property};

static INFO: Info = Info {
    name: "gegl/color-overlay",
    aliases: &[],
    categories: &["color"],
    title: "Color Overlay",
    description: "Paints a colour over the picture, within its shape.",
    inputs: &[Pad::INPUT],
    properties: &[
        Property {
            name: "value",
            description: "The colour; its alpha says how much it covers.",
            kind: Kind::Color { default: Color { rgba: [0.0; 4] } },
        },
        Property {
            name: "srgb",
            description: "Mix sRGB-coded values instead of light.",
            kind: Kind::Boolean { default: false },
        },
    ],
    revision: 1,
};

/// The operation `gegl/color-overlay`.
#[derive(Debug)]
pub struct ColorOverlay;

impl Operation for ColorOverlay {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let color = properties.color("value");
        let (encoding, [r, g, b, alpha]) = match properties.boolean("srgb") {
            true => (Encoding::Coded, color.rgba),
            false => (Encoding::Linear, color.linear()),
        };
        let alpha = f64::from(alpha);
        Ok(Line::of_channels(encoding, 0.0, [1.0 - alpha; 3], [r, g, b].map(|c| f64::from(c) * alpha)).passes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::testing::{assert_pixel, assert_same, check, noise_image};
    use crate::{Format, Image, Rect};

    #[test]
    fn paint_by_hand() {
        let pixels = vec![[0.5, 0.25, 1.0, 0.4], [0.0, 1.0, 0.0, 0.0]];
        let light = Image::from_float(Rect::new(-1, 0, 2, 1), Format::LIN, pixels.clone());
        let out = check(&ColorOverlay, &[("value", "rgba(1, 0.5, 0, 0.25)")], &[Some(&light)]);
        assert_pixel(&out, -1, 0, [0.625, 0.3125, 0.75, 0.4], 1e-6);
        assert_pixel(&out, 0, 0, [0.25, 0.875, 0.0, 0.0], 1e-6);
        let coded = Image::from_float(Rect::new(-1, 0, 2, 1), Format::GAM, pixels);
        let out = check(&ColorOverlay, &[("value", "#ff0080"), ("srgb", "true")], &[Some(&coded)]);
        assert_pixel(&out, -1, 0, [1.0, 0.0, 128.0 / 255.0, 0.4], 1e-6);
    }

    #[test]
    fn no_paint_changes_nothing() {
        let image = noise_image(Rect::new(-3, 2, 9, 4), Format::RGBA8);
        assert_same(&check(&ColorOverlay, &[], &[Some(&image)]), &image, "defaults");
    }
}
