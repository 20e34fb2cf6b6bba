//! `gegl/high-pass`: leaves fine details on gray.
//!
//! The picture inverted, and over it the picture blurred at half opacity; that inverted again. All in
//! coded values, so that of an opaque picture 1/2 + (c - b) / 2 is left. Then contrast around 1/2, of
//! the 2.2nd root of light (GEGL 0.4, `high-pass.c`).

use super::compound::{Compound, Join, Table};
use super::gaussian_blur::Gaussian;
use crate::curve::exact;
use crate::{Format, Info, Kind, OpError, Operand, Operation, Pad, Pass, Properties, Property};

const INFO: Info = Info {
    name: "gegl/high-pass",
    aliases: &[],
    categories: &["frequency"],
    title: "High Pass Filter",
    description: "Leaves the fine details, on gray.",
    inputs: &[Pad::INPUT],
    properties: &[
        Property {
            name: "std-dev",
            description: "Standard deviation of the blur, pixels: what is larger is taken away",
            kind: Kind::Number { default: 4.0, minimum: 0.0, maximum: 10_000.0 },
        },
        Property {
            name: "contrast",
            description: "How much of the details is left",
            kind: Kind::Number { default: 1.0, minimum: 0.0, maximum: 5.0 },
        },
    ],
    revision: 1,
};

/// The operation `gegl/high-pass`.
#[derive(Debug)]
pub struct HighPass;

impl Operation for HighPass {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn lengths(&self) -> &'static [&'static str] {
        &["std-dev"]
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let contrast = properties.number("contrast");
        // The blur's own range ends at 1500.
        let blur = Gaussian::new(properties.number("std-dev").min(1500.0));
        let mut passes = Compound::default();
        let blurred = passes.blur(blur, Operand::Input(0));
        let table = Table::new(-1..=2, |coded| stretch(coded, contrast));
        let plain = contrast == 1.0;
        let join = move |row: &mut [[f32; 4]], blurred: &[[f32; 4]]| {
            difference(row, blurred);
            if !plain {
                for pixel in row {
                    let [r, g, b, a] = *pixel;
                    *pixel = [table.at(r), table.at(g), table.at(b), a];
                }
            }
        };
        let weight = if plain { 3.0 } else { 9.0 };
        passes.apply(Join::new([Format::GAM; 2], Format::GAM, weight, join), &[Operand::Input(0), blurred]);
        Ok(passes.passes())
    }
}

/// A coded value after the contrast.
fn stretch(coded: f64, contrast: f64) -> f64 {
    let power = |value: f64, exponent: f64| value.abs().powf(exponent).copysign(value);
    let root = power(exact::coded_to_linear(coded), 1.0 / 2.2);
    exact::linear_to_coded(power((root - 0.5) * contrast + 0.5, 2.2))
}

/// 1 - (blurred at half opacity, over 1 - c).
fn difference(row: &mut [[f32; 4]], blurred: &[[f32; 4]]) {
    for (pixel, blurred) in row.iter_mut().zip(blurred) {
        let (above, below) = (0.5 * blurred[3], pixel[3]);
        let alpha = above + below * (1.0 - above);
        let rest = below * (1.0 - above);
        let scale = if alpha == 0.0 { 0.0 } else { 1.0 / alpha };
        let color = |c: f32, b: f32| 1.0 - (b * above + (1.0 - c) * rest) * scale;
        *pixel = [color(pixel[0], blurred[0]), color(pixel[1], blurred[1]), color(pixel[2], blurred[2]), alpha];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::testing::{assert_pixel, check, noise_image, pixel, stops_when_cancelled};
    use crate::{Image, Rect};

    #[test]
    fn a_plain_picture_is_gray() {
        let image = Image::from_rgb8(Rect::new(-2, 3, 9, 5), vec![[200, 100, 0]; 45]);
        let flat = check(&HighPass, &[], &[Some(&image)]);
        assert_eq!((flat.rect(), flat.format()), (image.rect(), Format::GAM_OPAQUE));
        assert_pixel(&flat, 0, 5, [0.5, 0.5, 0.5, 1.0], 1e-5);
        // No contrast leaves half of the root of light, whatever comes in.
        let none = check(&HighPass, &[("contrast", "0")], &[Some(&noise_image(Rect::sized(7, 7), Format::RGB8))]);
        assert_pixel(&none, 3, 3, [0.503_867, 0.503_867, 0.503_867, 1.0], 1e-5);
    }

    #[test]
    fn half_the_difference_is_left() {
        // 0.8 in light that is not opaque: 0.906_33 coded, alpha 0.5 + 0.25 - 0.125.
        let image = Image::from_float(Rect::sized(1, 1), Format::LIN, vec![[0.8, 0.0, 0.0, 0.5]]);
        let out = check(&HighPass, &[("std-dev", "0")], &[Some(&image)]);
        let left = 1.0 - (0.906_33 * 0.25 + (1.0 - 0.906_33) * 0.375) / 0.625;
        let zero = 1.0 - 0.375 / 0.625;
        assert_pixel(&out, 0, 0, [left, zero, zero, 0.625], 1e-5);
        let clear = Image::new(Rect::sized(1, 1), Format::LIN).unwrap();
        assert_pixel(&check(&HighPass, &[], &[Some(&clear)]), 0, 0, [1.0, 1.0, 1.0, 0.0], 0.0);
    }

    #[test]
    fn contrast_pushes_away_from_the_middle() {
        let image = noise_image(Rect::sized(31, 17), Format::RGBA8);
        let weak = check(&HighPass, &[], &[Some(&image)]);
        let strong = check(&HighPass, &[("contrast", "2.5")], &[Some(&image)]);
        for (x, y) in [(3, 3), (20, 10), (30, 16)] {
            for (weak, strong) in pixel(&weak, x, y).into_iter().zip(pixel(&strong, x, y)).take(3) {
                assert!((strong - stretch(weak.into(), 2.5) as f32).abs() < 1e-4, "{weak} {strong}");
            }
        }
        assert!(stops_when_cancelled(&HighPass, &[], &image));
    }
}
