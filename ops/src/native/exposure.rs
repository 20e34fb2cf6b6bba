//! `gegl/exposure`: light in stops of a camera.
//!
//! c' = (c - black level) / (2^-exposure - black level) for R, G, B in linear light, the divisor at
//! least 1e-6; alpha stays and nothing is clamped (GEGL 0.4, `exposure.c`).

use super::line::Line;
use crate::{Encoding, Info, Kind, OpError, Operation, Pad, Pass, Properties, Property};

static INFO: Info = Info {
    name: "gegl/exposure",
    aliases: &[],
    categories: &["color"],
    title: "Exposure",
    description: "Makes the picture lighter or darker by stops, each of which doubles the light.",
    inputs: &[Pad::INPUT],
    properties: &[
        Property {
            name: "black-level",
            description: "Light that becomes black.",
            kind: Kind::Number { default: 0.0, minimum: -0.1, maximum: 0.1 },
        },
        Property {
            name: "exposure",
            description: "Stops, each twice the light of the one before.",
            kind: Kind::Number { default: 0.0, minimum: f64::MIN, maximum: f64::MAX },
        },
    ],
    revision: 1,
};

/// The operation `gegl/exposure`.
#[derive(Debug)]
pub struct Exposure;

impl Operation for Exposure {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let black = properties.number("black-level");
        let white = (-properties.number("exposure")).exp2();
        Ok(Line::new(Encoding::Linear, black, 1.0 / (white - black).max(1e-6), 0.0).passes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::testing::{assert_pixel, assert_same, check, noise_image};
    use crate::{Format, Image, Rect};

    #[test]
    fn stops_by_hand() {
        let image = Image::from_float(Rect::new(-1, 0, 1, 1), Format::LIN, vec![[0.1, 0.25, -1.0, 0.4]]);
        let out = |black, stops| check(&Exposure, &[("black-level", black), ("exposure", stops)], &[Some(&image)]);
        assert_pixel(&out("0", "2"), -1, 0, [0.4, 1.0, -4.0, 0.4], 1e-6);
        // White is 0.5, black 0.1: (0.25 - 0.1) / 0.4.
        assert_pixel(&out("0.1", "1"), -1, 0, [0.0, 0.375, -2.75, 0.4], 1e-6);
        // White below black: the divisor is 1e-6.
        assert_pixel(&out("0.1", "5"), -1, 0, [0.0, 150_000.0, -1_100_000.0, 0.4], 1.0);
        assert_pixel(&out("0", "-1e308"), -1, 0, [0.0, 0.0, 0.0, 0.4], 0.0);
    }

    #[test]
    fn defaults_change_nothing() {
        let image = noise_image(Rect::new(-3, 2, 9, 4), Format::RGBA8);
        assert_same(&check(&Exposure, &[], &[Some(&image)]), &image, "defaults");
    }
}
