//! `gegl/levels`: stretches a range of light to another.
//!
//! c' = (c - in-low) (out-high - out-low) / (in-high - in-low) + out-low for R, G, B in linear light;
//! where the input range is closer to 0 than 1e-6 that is taken for it, with its sign. Alpha stays and
//! nothing is clamped (GEGL 0.4, `levels.c`).

use super::line::Line;
use crate::{Encoding, Info, Kind, OpError, Operation, Pad, Pass, Properties, Property};

static INFO: Info = Info {
    name: "gegl/levels",
    aliases: &[],
    categories: &["color"],
    title: "Levels",
    description: "Stretches a range of light to another.",
    inputs: &[Pad::INPUT],
    properties: &[
        Property {
            name: "in-low",
            description: "Light that becomes the low output.",
            kind: Kind::Number { default: 0.0, minimum: f64::MIN, maximum: f64::MAX },
        },
        Property {
            name: "in-high",
            description: "Light that becomes the high output.",
            kind: Kind::Number { default: 1.0, minimum: f64::MIN, maximum: f64::MAX },
        },
        Property {
            name: "out-low",
            description: "Light that the low input becomes.",
            kind: Kind::Number { default: 0.0, minimum: f64::MIN, maximum: f64::MAX },
        },
        Property {
            name: "out-high",
            description: "Light that the high input becomes.",
            kind: Kind::Number { default: 1.0, minimum: f64::MIN, maximum: f64::MAX },
        },
    ],
    revision: 1,
};

/// The operation `gegl/levels`.
#[derive(Debug)]
pub struct Levels;

impl Operation for Levels {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let [in_low, in_high, out_low, out_high] =
            ["in-low", "in-high", "out-low", "out-high"].map(|name| properties.number(name));
        let range = in_high - in_low;
        let range = if range.abs() < 1e-6 { 1e-6f64.copysign(range) } else { range };
        Ok(Line::new(Encoding::Linear, in_low, (out_high - out_low) / range, out_low).passes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::testing::{all_pixels, assert_pixel, assert_same, check, noise_image};
    use crate::{Format, Image, Rect};

    fn levels(values: [&str; 4]) -> Image {
        let image = Image::from_float(Rect::new(-1, 0, 1, 1), Format::LIN, vec![[0.25, 0.5, -1.0, 0.4]]);
        let given: Vec<_> = ["in-low", "in-high", "out-low", "out-high"].into_iter().zip(values).collect();
        check(&Levels, &given, &[Some(&image)])
    }

    #[test]
    fn ranges_by_hand() {
        assert_pixel(&levels(["0.25", "0.75", "0.1", "0.9"]), -1, 0, [0.1, 0.5, -1.9, 0.4], 1e-6);
        assert_pixel(&levels(["0.75", "0.25", "0", "1"]), -1, 0, [1.0, 0.5, 3.5, 0.4], 1e-6);
        // No range at all: what is at the low input becomes the low output, the rest goes far away.
        assert_pixel(&levels(["0.25", "0.25", "0.5", "1"]), -1, 0, [0.5, 125_000.5, -624_999.5, 0.4], 1.0);
    }

    #[test]
    fn hostile_ranges_give_numbers() {
        for values in [["-1e308", "1e308", "0", "1"], ["0", "1", "1e308", "-1e308"], ["1e308", "1e308", "0", "1e308"]] {
            let [r, g, b, a] = all_pixels(&levels(values))[0];
            assert!(!r.is_nan() && !g.is_nan() && !b.is_nan() && a == 0.4, "{values:?}");
        }
    }

    #[test]
    fn defaults_change_nothing() {
        let image = noise_image(Rect::new(-3, 2, 9, 4), Format::RGBA8);
        assert_same(&check(&Levels, &[], &[Some(&image)]), &image, "defaults");
    }
}
