//! `gegl/unsharp-mask`: sharpens by what a blur takes away.
//!
//! c' = c + scale (c - b), where b is the picture blurred with `std-dev`: R, G, B in linear light,
//! not multiplied by alpha, which stays (GEGL 0.4, `unsharp-mask.c`). With a `threshold` the
//! difference counts where its luminance, doubled and coded, is above that; where it does is blurred
//! with a deviation of 1, by alpha.

use super::compound::{Compound, Join, join_colors};
use super::gaussian_blur::Gaussian;
use crate::format::{linear_to_coded, luminance};
use crate::{Format, Info, Kind, OpError, Operand, Operation, Pad, Pass, Properties, Property};

const INFO: Info = Info {
    name: "gegl/unsharp-mask",
    aliases: &[],
    categories: &["enhance:sharpen"],
    title: "Sharpen (Unsharp Mask)",
    description: "Sharpens the picture: adds what it differs by from itself blurred.",
    inputs: &[Pad::INPUT],
    properties: &[
        Property {
            name: "std-dev",
            description: "Standard deviation of the blur, pixels: the size of what gets sharper",
            kind: Kind::Number { default: 3.0, minimum: 0.0, maximum: 1500.0 },
        },
        Property {
            name: "scale",
            description: "How much of the difference is added",
            kind: Kind::Number { default: 0.5, minimum: 0.0, maximum: 300.0 },
        },
        Property {
            name: "threshold",
            description: "Difference from which on it counts; noise below it is left alone",
            kind: Kind::Number { default: 0.0, minimum: 0.0, maximum: 1.0 },
        },
    ],
    revision: 1,
};

/// The operation `gegl/unsharp-mask`.
#[derive(Debug)]
pub struct UnsharpMask;

impl Operation for UnsharpMask {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn lengths(&self) -> &'static [&'static str] {
        &["std-dev"]
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let scale = properties.number("scale") as f32;
        let threshold = properties.number("threshold") as f32;
        let input = Operand::Input(0);
        let mut passes = Compound::default();
        let blurred = passes.blur(Gaussian::new(properties.number("std-dev")), input);
        if blurred == input || scale == 0.0 {
            return Ok(Vec::new());
        }
        let join = |join: fn(f32, f32) -> f32| {
            Join::new([Format::LIN; 2], Format::LIN, 1.5, move |row: &mut [_], other: &[_]| {
                join_colors(row, other, join);
            })
        };
        if threshold == 0.0 {
            let sharpen = move |row: &mut [_], other: &[_]| join_colors(row, other, |c, b| c + (c - b) * scale);
            passes.apply(Join::new([Format::LIN; 2], Format::LIN, 2.0, sharpen), &[input, blurred]);
            return Ok(passes.passes());
        }
        let counts = move |row: &mut [[f32; 4]], other: &[[f32; 4]]| {
            for (pixel, [r, g, b, _]) in row.iter_mut().zip(other) {
                let difference = luminance([(pixel[0] - r).abs(), (pixel[1] - g).abs(), (pixel[2] - b).abs()]);
                let counts = f32::from(u8::from(linear_to_coded(2.0 * difference) > threshold));
                *pixel = [counts, counts, counts, pixel[3]];
            }
        };
        let mask = passes.apply(Join::new([Format::LIN; 2], Format::LIN, 4.0, counts), &[input, blurred]);
        let mask = passes.blur(Gaussian::new(1.0), mask);
        let difference = passes.apply(join(|c, b| c - b), &[input, blurred]);
        let difference = passes.apply(join(|difference, mask| difference * mask), &[difference, mask]);
        let sharpen = move |row: &mut [_], other: &[_]| join_colors(row, other, |c, d| c + d * scale);
        passes.apply(Join::new([Format::LIN; 2], Format::LIN, 2.0, sharpen), &[input, difference]);
        Ok(passes.passes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::testing::{all_pixels, assert_pixel, check, noise_image, pixel, stops_when_cancelled};
    use crate::{Image, Rect};

    /// Dark on the left, bright on the right.
    fn step() -> Image {
        let pixels = (0..240).map(|i| if i % 24 < 12 { [0.2, 0.2, 0.2, 0.5] } else { [0.6, 0.6, 0.6, 0.5] });
        Image::from_float(Rect::new(-3, 7, 24, 10), Format::LIN, pixels.collect())
    }

    #[test]
    fn an_edge_overshoots_on_both_sides_and_alpha_stays() {
        let sharp = check(&UnsharpMask, &[("std-dev", "2"), ("scale", "1")], &[Some(&step())]);
        assert_eq!((sharp.rect(), sharp.format()), (step().rect(), Format::LIN));
        // What GEGL 0.4.42 has there.
        assert_pixel(&sharp, 8, 9, [0.040_8, 0.040_8, 0.040_8, 0.5], 2e-4);
        assert_pixel(&sharp, 9, 9, [0.759_2, 0.759_2, 0.759_2, 0.5], 2e-4);
        assert_pixel(&sharp, 20, 9, [0.6, 0.6, 0.6, 0.5], 2e-3);
    }

    #[test]
    fn a_threshold_spares_small_differences() {
        let given = [("std-dev", "2"), ("scale", "1"), ("threshold", "0.5")];
        let sharp = check(&UnsharpMask, &given, &[Some(&step())]);
        // Of 0.1592 and 0.0917 only the first counts; where it does is blurred (GEGL 0.4.42).
        assert!((pixel(&sharp, 9, 9)[0] - 0.6 - 0.0965).abs() < 2e-4);
        assert!((pixel(&sharp, 10, 9)[0] - 0.6 - 0.0252).abs() < 2e-4);
        let given = [("std-dev", "2"), ("threshold", "1")];
        let same = check(&UnsharpMask, &given, &[Some(&step())]);
        assert_eq!(all_pixels(&same), all_pixels(&step()));
    }

    #[test]
    fn nothing_to_do_hands_the_picture_on() {
        let image = noise_image(Rect::sized(19, 11), Format::RGBA8);
        for given in [[("scale", "0")], [("std-dev", "0")]] {
            assert_eq!(check(&UnsharpMask, &given, &[Some(&image)]), image);
        }
        let opaque = noise_image(Rect::sized(19, 11), Format::RGB8);
        for threshold in ["0", "0.3"] {
            let sharp = check(&UnsharpMask, &[("threshold", threshold)], &[Some(&opaque)]);
            assert_eq!((sharp.format(), pixel(&sharp, 3, 3)[3]), (Format::LIN_OPAQUE, 1.0));
        }
        assert!(stops_when_cancelled(&UnsharpMask, &[], &image));
    }
}
