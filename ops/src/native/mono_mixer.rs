//! `gegl/mono-mixer`: turns the picture gray with weights of one's own.
//!
//! red R + green G + blue B of linear light in all three channels; with `preserve-luminosity` divided by
//! the absolute sum of the weights, if that is not 0. Alpha stays and nothing is clamped (GEGL 0.4,
//! `mono-mixer.c`).

use super::matrix::Matrix;
use crate::{Encoding, Info, Kind, OpError, Operation, Pad, Pass, Properties, Property};

const WEIGHT: Kind = Kind::Number { default: 0.333, minimum: -5.0, maximum: 5.0 };

static INFO: Info = Info {
    name: "gegl/mono-mixer",
    aliases: &[],
    categories: &["color"],
    title: "Mono Mixer",
    description: "Turns the picture gray, with a weight for each channel.",
    inputs: &[Pad::INPUT],
    properties: &[
        Property {
            name: "preserve-luminosity",
            description: "Divide by the sum of the weights, so that white stays white.",
            kind: Kind::Boolean { default: false },
        },
        Property { name: "red", description: "Weight of red light.", kind: WEIGHT },
        Property { name: "green", description: "Weight of green light.", kind: WEIGHT },
        Property { name: "blue", description: "Weight of blue light.", kind: WEIGHT },
    ],
    revision: 1,
};

/// The operation `gegl/mono-mixer`.
#[derive(Debug)]
pub struct MonoMixer;

impl Operation for MonoMixer {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let weights = ["red", "green", "blue"].map(|name| properties.number(name));
        let weights = if properties.boolean("preserve-luminosity") { normalised(weights) } else { weights };
        Ok(Matrix::new(Encoding::Linear, [weights; 3]).passes())
    }
}

/// Weights divided by their absolute sum, if that is not 0.
pub(super) fn normalised(weights: [f64; 3]) -> [f64; 3] {
    let sum = weights.iter().sum::<f64>().abs();
    if sum == 0.0 { weights } else { weights.map(|weight| weight / sum) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::testing::{assert_pixel, check};
    use crate::{Format, Image, Rect};

    #[test]
    fn weights_by_hand() {
        let image = Image::from_float(Rect::new(-1, 0, 1, 1), Format::LIN, vec![[0.5, 0.25, -1.0, 0.4]]);
        let gray = |given: &[(&str, &str)], y: f32| {
            let out = check(&MonoMixer, given, &[Some(&image)]);
            assert_pixel(&out, -1, 0, [y, y, y, 0.4], 1e-6);
        };
        gray(&[], -0.333 * 0.25);
        let weights = [("red", "2"), ("green", "-1"), ("blue", "-3")];
        gray(&weights, 1.0 - 0.25 + 3.0);
        // Their sum is -2: its sign stays with the light.
        gray(&[weights[0], weights[1], weights[2], ("preserve-luminosity", "true")], 3.75 / 2.0);
        gray(&[weights[0], weights[1], ("blue", "-1"), ("preserve-luminosity", "true")], 1.75);
    }
}
