//! `gegl/brightness-contrast`: scales light around middle gray and shifts it.
//!
//! c' = (c - 0.5) contrast + brightness + 0.5 for R, G, B in linear light; alpha stays and nothing
//! is clamped (GEGL 0.4, `brightness-contrast.c`).

use super::line::Line;
use crate::{Encoding, Info, Kind, OpError, Operation, Pad, Pass, Properties, Property};

static INFO: Info = Info {
    name: "gegl/brightness-contrast",
    aliases: &[],
    categories: &["color"],
    title: "Brightness Contrast",
    description: "Changes the light level and the contrast, in linear light.",
    inputs: &[Pad::INPUT],
    properties: &[
        Property {
            name: "contrast",
            description: "Factor by which light moves away from 50 %: above 1 is more contrast, below 1 less.",
            kind: Kind::Number { default: 1.0, minimum: -5.0, maximum: 5.0 },
        },
        Property {
            name: "brightness",
            description: "Light to add after the contrast, where 1 is all of it.",
            kind: Kind::Number { default: 0.0, minimum: -3.0, maximum: 3.0 },
        },
    ],
    revision: 1,
};

/// The operation `gegl/brightness-contrast`.
#[derive(Debug)]
pub struct BrightnessContrast;

impl Operation for BrightnessContrast {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let (contrast, brightness) = (properties.number("contrast"), properties.number("brightness"));
        let offset = brightness + 0.5 - 0.5 * contrast;
        Ok(Line::new(Encoding::Linear, 0.0, contrast, offset).passes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::testing::{assert_pixel, assert_same, check, noise_image};
    use crate::{Format, Image, Rect};

    #[test]
    fn light_by_hand() {
        let pixels = vec![[0.25, 0.5, 1.0, 0.4], [0.0, -1.0, 3.0, 0.0]];
        let image = Image::from_float(Rect::new(-1, 0, 2, 1), Format::LIN, pixels);
        let out = check(&BrightnessContrast, &[("contrast", "2"), ("brightness", "0.1")], &[Some(&image)]);
        // (0.25 - 0.5) 2 + 0.6 = 0.1; 0.6; 1.6; alpha as it was, even 0.
        assert_pixel(&out, -1, 0, [0.1, 0.6, 1.6, 0.4], 1e-6);
        assert_pixel(&out, 0, 0, [-0.4, -2.4, 5.6, 0.0], 1e-6);
        let negative = check(&BrightnessContrast, &[("contrast", "-1")], &[Some(&image)]);
        assert_pixel(&negative, -1, 0, [0.75, 0.5, 0.0, 0.4], 1e-6);
        let flat = check(&BrightnessContrast, &[("contrast", "0"), ("brightness", "-3")], &[Some(&image)]);
        assert_pixel(&flat, 0, 0, [-2.5, -2.5, -2.5, 0.0], 1e-6);
    }

    #[test]
    fn coded_bytes_are_light_first() {
        // #bc is light 0.50288; contrast 2 leaves it nearly there: 0.50577. In coded values it
        // would be 0.97.
        let image = Image::from_rgb8(Rect::sized(1, 1), vec![[0xbc; 3]]);
        let out = check(&BrightnessContrast, &[("contrast", "2")], &[Some(&image)]);
        assert_eq!(out.format(), Format::LIN_OPAQUE);
        assert_pixel(&out, 0, 0, [0.505_773, 0.505_773, 0.505_773, 1.0], 2e-5);
    }

    #[test]
    fn defaults_change_nothing_and_nothing_stays_nothing() {
        let image = noise_image(Rect::new(-3, 2, 9, 4), Format::RGBA8);
        assert_same(&check(&BrightnessContrast, &[], &[Some(&image)]), &image, "defaults");
        let empty = noise_image(Rect::new(1, 1, 0, 5), Format::RGB8);
        assert_eq!(check(&BrightnessContrast, &[("contrast", "3")], &[Some(&empty)]).rect(), empty.rect());
    }
}
