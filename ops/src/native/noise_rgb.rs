//! `gegl/noise-rgb`: adds random amounts to the channels.
//!
//! c' = c + n for each of R, G, B and alpha whose amount is not 0, or c + 2 c n with `correlated`,
//! clamped to 0..=1; in linear light, or with `linear` false in sRGB-coded values. n is the amount / 2
//! times a draw from -1..=1, or from the normal distribution with `gaussian`, by the ratio of uniforms of
//! Kinderman and Monahan. Unless `independent`, R, G and B share the draw and the amount of R (GEGL 0.4,
//! `noise-rgb.c`). The random numbers are GEGL's, so the noise is the same.

use super::random::{Draws, Random};
use crate::{Encoding, Format, Info, Kind, OpError, Operation, Pad, Pass, Point, Properties, Property, Rect};

const fn amount(name: &'static str, description: &'static str, default: f64) -> Property {
    Property { name, description, kind: Kind::Number { default, minimum: 0.0, maximum: 1.0 } }
}

static INFO: Info = Info {
    name: "gegl/noise-rgb",
    aliases: &[],
    categories: &["noise"],
    title: "Add RGB Noise",
    description: "Adds random amounts to red, green, blue and alpha.",
    inputs: &[Pad::INPUT],
    properties: &[
        Property {
            name: "correlated",
            description: "Let the noise grow with the value it is added to.",
            kind: Kind::Boolean { default: false },
        },
        Property {
            name: "independent",
            description: "Draw for each of red, green and blue; else they share the noise of red.",
            kind: Kind::Boolean { default: true },
        },
        Property {
            name: "linear",
            description: "Add to light instead of sRGB-coded values.",
            kind: Kind::Boolean { default: true },
        },
        Property {
            name: "gaussian",
            description: "Draw from the normal distribution instead of an even one.",
            kind: Kind::Boolean { default: true },
        },
        amount("red", "Amount of noise in red.", 0.2),
        amount("green", "Amount of noise in green.", 0.2),
        amount("blue", "Amount of noise in blue.", 0.2),
        amount("alpha", "Amount of noise in alpha.", 0.0),
        Property {
            name: "seed",
            description: "Random seed: another number gives other noise.",
            kind: Kind::Int { default: 0, minimum: 0, maximum: u32::MAX as i64 },
        },
    ],
    revision: 1,
};

/// The operation `gegl/noise-rgb`.
#[derive(Debug)]
pub struct NoiseRgb;

impl Operation for NoiseRgb {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let amounts = ["red", "green", "blue", "alpha"].map(|name| properties.number(name));
        if amounts == [0.0; 4] {
            return Ok(Vec::new());
        }
        Ok(vec![Pass::Point(Box::new(Noise {
            encoding: if properties.boolean("linear") { Encoding::Linear } else { Encoding::Coded },
            correlated: properties.boolean("correlated"),
            independent: properties.boolean("independent"),
            gaussian: properties.boolean("gaussian"),
            amounts,
            random: Random::new(properties.int("seed") as u32),
        }))])
    }
}

#[derive(Debug)]
struct Noise {
    encoding: Encoding,
    correlated: bool,
    independent: bool,
    gaussian: bool,
    /// Of R, G, B and alpha.
    amounts: [f64; 4],
    random: Random,
}

impl Point for Noise {
    fn format(&self, input: Format) -> Format {
        let format = Format { encoding: self.encoding, ..Format::LIN };
        if self.amounts[3] == 0.0 { format.opaque_like(input) } else { format }
    }

    fn apply(&self, row: &mut [[f32; 4]], x: i32, y: i32, _bounds: Rect) {
        for (pixel, x) in row.iter_mut().zip(x..) {
            let mut draws = self.random.draws(x, y);
            let mut noise = 0.0;
            for (c, amount) in self.amounts.into_iter().enumerate() {
                // A draw whose amount is 0 is taken all the same, but for one of alpha.
                if c == 0 || (c < 3 && self.independent) || (c == 3 && amount > 0.0) {
                    let draw = if self.gaussian { normal(&mut draws) } else { 2.0 * draws.next() - 1.0 };
                    noise = 0.5 * amount * draw;
                }
                if amount > 0.0 {
                    let value = f64::from(pixel[c]);
                    let value = value + if self.correlated { 2.0 * value * noise } else { noise };
                    pixel[c] = value.clamp(0.0, 1.0) as f32;
                }
            }
        }
    }

    fn weight(&self) -> f32 {
        100.0
    }
}

/// A draw from the normal distribution with variance 1.
#[inline(always)]
fn normal(draws: &mut Draws<'_>) -> f64 {
    // The square root of 8 / e.
    const WIDTH: f64 = 1.715_527_769_921_413_5;
    loop {
        let even = draws.next();
        let mut radius = draws.next();
        while radius == 0.0 {
            radius = draws.next();
        }
        let draw = WIDTH * (even - 0.5) / radius;
        let square = draw * draw;
        // The condition is square <= -4 ln radius; the logarithm is rarely needed (Knuth, The Art of
        // Computer Programming, 3.4.1, algorithm R).
        let surely = square <= 5.0 - 5.136_101_666_750_966 * radius;
        let never = square * radius >= 1.036_961_042_583_566 + 1.4 * radius;
        if surely || (!never && square <= -4.0 * radius.ln()) {
            return draw;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::native::testing::{all_pixels, assert_pixel, assert_same, check, noise_image};

    fn gray(value: f32) -> Image {
        Image::from_float(Rect::sized(3, 1), Format::LIN, vec![[value, value, value, 0.5]; 3])
    }

    #[test]
    fn the_noise_is_gegls() {
        // Measured in GEGL on light 0.5: (c - 0.5) / 0.2.
        let even = [[0.336_408, -0.309_811_5, 0.351_224_5], [0.383_680_5, 0.007_621_9, -0.019_630_8]];
        let normal = [[-0.665_710_3, 0.875_620_3, -0.348_127_8], [0.648_331_3, -0.020_474_5, -0.694_997_6]];
        for (gaussian, expected) in [("false", even), ("true", normal)] {
            let out = check(&NoiseRgb, &[("gaussian", gaussian)], &[Some(&gray(0.5))]);
            for (x, noise) in (0..).zip(expected) {
                let [r, g, b] = noise.map(|n| 0.5 + 0.2 * n);
                assert_pixel(&out, x, 0, [r, g, b, 0.5], 1e-6);
            }
        }
        let out = check(&NoiseRgb, &[("gaussian", "false"), ("alpha", "0.2")], &[Some(&gray(0.5))]);
        assert_pixel(&out, 0, 0, [0.567_281_6, 0.438_037_7, 0.570_244_9, 0.5 + 0.2 * 0.430_174_8], 1e-6);
    }

    #[test]
    fn red_alone_decides_for_all() {
        let given = [("gaussian", "false"), ("independent", "false"), ("green", "1")];
        let out = check(&NoiseRgb, &given, &[Some(&gray(0.5))]);
        let v = 0.5 + 0.2 * 0.336_408;
        assert_pixel(&out, 0, 0, [v, v, v, 0.5], 1e-6);
        // And a channel of amount 0 stays as it is.
        let given = [given[0], given[1], ("green", "0")];
        assert_pixel(&check(&NoiseRgb, &given, &[Some(&gray(0.5))]), 0, 0, [v, 0.5, v, 0.5], 1e-6);
    }

    #[test]
    fn correlated_noise_grows_with_the_value() {
        let given = [("gaussian", "false"), ("correlated", "true")];
        let out = check(&NoiseRgb, &given, &[Some(&gray(0.25))]);
        let [r, g, b] = [0.336_408, -0.309_811_5, 0.351_224_5].map(|n| 0.25 + 0.5 * 0.2 * n);
        assert_pixel(&out, 0, 0, [r, g, b, 0.5], 1e-6);
        assert!(all_pixels(&check(&NoiseRgb, &given, &[Some(&gray(0.0))])).iter().all(|p| p[..3] == [0.0; 3]));
    }

    #[test]
    fn formats_seeds_and_ends() {
        let image = noise_image(Rect::new(-7, -4, 13, 9), Format::RGB8);
        let out = |given: &[(&str, &str)]| check(&NoiseRgb, given, &[Some(&image)]);
        assert_eq!(out(&[]).format(), Format::LIN_OPAQUE);
        assert_eq!(out(&[("linear", "false"), ("alpha", "0.1")]).format(), Format::GAM);
        assert!(all_pixels(&out(&[("red", "1")])).iter().flatten().all(|v| (0.0..=1.0).contains(v)));
        assert_ne!(out(&[("seed", "4294967295")]), out(&[]));
        assert_same(&out(&[("red", "0"), ("green", "0"), ("blue", "0")]), &image, "no amount");
    }

    #[test]
    fn the_normal_distribution_is_one() {
        let random = Random::new(7);
        let draws: Vec<f64> = (0..20_000).map(|x| normal(&mut random.draws(x, -3))).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
