//! `gegl/color-temperature`: corrects the colour of the light that the picture was taken in.
//!
//! R, G, B in linear light times what a black body of the original temperature has of each, divided by
//! what one of the intended temperature has; alpha stays (GEGL 0.4, `color-temperature.c`). The colours
//! of black bodies are polynomials in ln(T / 6500 K), fitted by us to what GEGL gives from 1000 K to
//! 12000 K: within 2e-4 of it. Below 1900 K there is less than no blue, as there.

use super::line::Line;
use crate::{Encoding, Info, Kind, OpError, Operation, Pad, Pass, Properties, Property};

const KELVIN: Kind = Kind::Number { default: 6500.0, minimum: 1000.0, maximum: 12000.0 };

/// Red, green and blue of a black body, where white is one of 6500 K: the factors of rising powers
/// of ln(T / 6500 K).
const BLACK_BODY: [[f64; 10]; 3] = [
    [
        1.0,
        -0.514_416,
        0.366_23,
        -0.149_287,
        0.032_825_5,
        -0.000_952_79,
        -0.002_325_05,
        0.000_920_42,
        0.000_378_37,
        0.000_442_18,
    ],
    [
        1.0,
        0.059_218_4,
        -0.099_977,
        0.063_086_7,
        -0.019_702_5,
        0.001_645_75,
        0.002_099_52,
        -0.002_544_31,
        -0.000_558_16,
        5.929_e-0_5,
    ],
    [
        1.0,
        0.978_916,
        -0.150_793,
        -0.186_179,
        0.098_996_5,
        0.015_859,
        -0.044_000_6,
        -0.008_995_63,
        0.005_342_95,
        0.001_534_98,
    ],
];

static INFO: Info = Info {
    name: "gegl/color-temperature",
    aliases: &[],
    categories: &["color"],
    title: "Color Temperature",
    description: "Corrects the colour of the light that the picture was taken in.",
    inputs: &[Pad::INPUT],
    properties: &[
        Property {
            name: "original-temperature",
            description: "Estimated temperature of the light that the picture was taken in, kelvin.",
            kind: KELVIN,
        },
        Property {
            name: "intended-temperature",
            description: "Temperature of the light that it should have been taken in, kelvin.",
            kind: KELVIN,
        },
    ],
    revision: 1,
};

/// The operation `gegl/color-temperature`.
#[derive(Debug)]
pub struct ColorTemperature;

impl Operation for ColorTemperature {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let [original, intended] =
            ["original-temperature", "intended-temperature"].map(|name| black_body(properties.number(name)));
        let factor = std::array::from_fn(|c| original[c] / intended[c]);
        Ok(Line::of_channels(Encoding::Linear, 0.0, factor, [0.0; 3]).passes())
    }
}

/// Red, green and blue of a black body of `kelvin`.
fn black_body(kelvin: f64) -> [f64; 3] {
    let x = (kelvin / 6500.0).ln();
    BLACK_BODY.map(|powers| powers.iter().rev().fold(0.0, |sum, factor| sum * x + factor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::testing::{assert_pixel, assert_same, check, noise_image};
    use crate::{Format, Image, Rect};

    #[test]
    fn measured_in_gegl() {
        let image = Image::from_float(Rect::new(-1, 0, 1, 1), Format::LIN, vec![[1.0, 1.0, 1.0, 0.4]]);
        for (original, intended, [r, g, b]) in [
            ("1000", "6500", [4.408_104_4, 0.039_761_7, -0.084_900_4]),
            ("3000", "9000", [1.958_273_5, 0.849_533, 0.202_436_4]),
            ("12000", "6500", [0.792_343_1, 1.010_646_2, 1.513_56]),
        ] {
            let given = [("original-temperature", original), ("intended-temperature", intended)];
            assert_pixel(&check(&ColorTemperature, &given, &[Some(&image)]), -1, 0, [r, g, b, 0.4], 2e-4);
        }
    }

    #[test]
    fn the_same_temperature_changes_nothing() {
        let image = noise_image(Rect::new(-3, 2, 9, 4), Format::RGBA8);
        let given = [("original-temperature", "3456"), ("intended-temperature", "3456")];
        assert_same(&check(&ColorTemperature, &given, &[Some(&image)]), &image, "the same");
    }
}
