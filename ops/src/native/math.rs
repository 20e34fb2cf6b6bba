//! `gegl/add`, `gegl/subtract`, `gegl/multiply`, `gegl/divide`: arithmetic with light.
//!
//! Straight linear R, G, B of `input` with those of `aux`, or with `value` where `aux` is not
//! connected; alpha is that of `input`. What is divided by 0 is 0. Outside its box `aux` is black, and
//! `input` black too, or transparent where it has alpha (GEGL 0.4, `math.rb`). None of them blends by
//! alpha, as SVG's modes do; GEGL 0.4 has no `svg:multiply`.

use multiversion::multiversion;

use super::compose::{Compositor, Mix};
use crate::{Boxes, Format, Formats, Info, Kind, OpError, Operation, Pad, Pass, Properties, Property};

/// One of the four.
#[derive(Clone, Copy, Debug)]
pub(super) struct Math {
    info: &'static Info,
    sign: Sign,
}

/// What is done with the two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Plus,
    Minus,
    Times,
    Over,
}

/// All of them.
pub(super) static ALL: [Math; 4] = [
    Math {
        info: &Info {
            name: "gegl/add",
            title: "Add",
            description: "Adds the light of the picture at aux, or a number.",
            properties: &[value("Light to add where aux is not connected.", 0.0)],
            ..MATH
        },
        sign: Sign::Plus,
    },
    Math {
        info: &Info {
            name: "gegl/subtract",
            title: "Subtract",
            description: "Takes away the light of the picture at aux, or a number.",
            properties: &[value("Light to take away where aux is not connected.", 0.0)],
            ..MATH
        },
        sign: Sign::Minus,
    },
    Math {
        info: &Info {
            name: "gegl/multiply",
            title: "Multiply",
            description: "Multiplies light by that of the picture at aux, or by a number.",
            properties: &[value("Factor where aux is not connected.", 1.0)],
            ..MATH
        },
        sign: Sign::Times,
    },
    Math {
        info: &Info {
            name: "gegl/divide",
            title: "Divide",
            description: "Divides light by that of the picture at aux, or by a number.",
            properties: &[value("Divisor where aux is not connected.", 1.0)],
            ..MATH
        },
        sign: Sign::Over,
    },
];

/// What they have in common.
const MATH: Info = Info {
    name: "",
    aliases: &[],
    categories: &["compositors:math"],
    title: "",
    description: "",
    inputs: &[Pad::INPUT, Pad { name: "aux", required: false }],
    properties: &[],
    revision: 1,
};

const fn value(description: &'static str, default: f64) -> Property {
    Property { name: "value", description, kind: Kind::Number { default, minimum: f64::MIN, maximum: f64::MAX } }
}

impl Operation for Math {
    fn info(&self) -> &'static Info {
        self.info
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        // Kept finite as a float, so that black times it stays black.
        let value = properties.number("value").clamp(f32::MIN.into(), f32::MAX.into()) as f32;
        Ok(Compositor::passes(Arithmetic { sign: self.sign, value }))
    }
}

#[derive(Debug)]
struct Arithmetic {
    sign: Sign,
    value: f32,
}

impl Arithmetic {
    /// R, G, B of each pixel with what `other` gives for the pixel of that number.
    #[inline(always)]
    fn combine(&self, row: &mut [[f32; 4]], other: impl Fn(usize) -> [f32; 4]) {
        match self.sign {
            Sign::Plus => each(row, other, |a, b| a + b),
            Sign::Minus => each(row, other, |a, b| a - b),
            Sign::Times => each(row, other, |a, b| a * b),
            Sign::Over => each(row, other, |a, b| {
                let quotient = a / if b == 0.0 { 1.0 } else { b };
                if b == 0.0 { 0.0 } else { quotient }
            }),
        }
    }
}

/// [`Arithmetic::combine`] with another picture.
#[multiversion(targets("x86_64+avx2"))]
fn combine(sign: Sign, row: &mut [[f32; 4]], aux: &[[f32; 4]]) {
    let aux = &aux[..row.len()];
    Arithmetic { sign, value: 0.0 }.combine(row, |index| aux[index]);
}

/// Applies `formula` to R, G, B; inlined, so that each use has a loop of its own.
#[inline(always)]
fn each(row: &mut [[f32; 4]], other: impl Fn(usize) -> [f32; 4], formula: impl Fn(f32, f32) -> f32) {
    for (index, pixel) in row.iter_mut().enumerate() {
        let [[r, g, b, a], other] = [*pixel, other(index)];
        *pixel = [formula(r, other[0]), formula(g, other[1]), formula(b, other[2]), a];
    }
}

impl Mix for Arithmetic {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        let format = Format::LIN.opaque_like(inputs[0].unwrap_or(Format::LIN));
        Formats { inputs: [format, Format::LIN], output: format }
    }

    fn passthrough(&self, boxes: Boxes<'_>) -> Option<usize> {
        let neutral = match self.sign {
            Sign::Plus | Sign::Minus => 0.0,
            Sign::Times | Sign::Over => 1.0,
        };
        (matches!(boxes.inputs, [Some(_), None]) && self.value == neutral).then_some(0)
    }

    fn both(&self, row: &mut [[f32; 4]], aux: &[[f32; 4]], _format: Format) {
        combine(self.sign, row, aux);
    }

    fn input_alone(&self, row: &mut [[f32; 4]], connected: bool, _format: Format) {
        let value = if connected { 0.0 } else { self.value };
        self.combine(row, |_| [value; 4]);
    }

    fn aux_alone(&self, row: &mut [[f32; 4]], aux: &[[f32; 4]]) {
        self.both(row, aux, Format::LIN);
    }

    fn weight(&self) -> f32 {
        2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::testing::{all_pixels, assert_pixel, assert_same, check, noise_image, render};
    use crate::{Image, Rect};

    fn named(name: &str) -> &'static Math {
        ALL.iter().find(|math| math.info.name.ends_with(name)).unwrap()
    }

    #[test]
    fn all_four_by_hand() {
        let input = Image::from_float(Rect::new(0, 0, 2, 1), Format::LIN, vec![[0.5, 0.25, -1.0, 0.4]; 2]);
        let aux = Image::from_float(Rect::new(1, 0, 2, 1), Format::LIN, vec![[2.0, 0.0, 0.5, 0.7]; 2]);
        for (name, number, inside, outside, beyond) in [
            ("add", [0.7, 0.45, -0.8], [2.5, 0.25, -0.5], [0.5, 0.25, -1.0], [2.0, 0.0, 0.5]),
            ("subtract", [0.3, 0.05, -1.2], [-1.5, 0.25, -1.5], [0.5, 0.25, -1.0], [-2.0, 0.0, -0.5]),
            ("multiply", [0.1, 0.05, -0.2], [1.0, 0.0, -0.5], [0.0; 3], [0.0; 3]),
            ("divide", [2.5, 1.25, -5.0], [0.25, 0.0, -2.0], [0.0; 3], [0.0; 3]),
        ] {
            let with = |[r, g, b]: [f32; 3], alpha| [r, g, b, alpha];
            let out = check(named(name), &[("value", "0.2")], &[Some(&input), None]);
            assert_pixel(&out, 0, 0, with(number, 0.4), 1e-6);
            let out = check(named(name), &[("value", "0.2")], &[Some(&input), Some(&aux)]);
            assert_pixel(&out, 0, 0, with(outside, 0.4), 1e-6);
            assert_pixel(&out, 1, 0, with(inside, 0.4), 1e-6);
            assert_pixel(&out, 2, 0, with(beyond, 0.0), 1e-6);
            assert_same(&check(named(name), &[], &[Some(&input), None]), &input, "default");
        }
        let out = check(named("divide"), &[("value", "0")], &[Some(&input), None]);
        assert_pixel(&out, 0, 0, [0.0, 0.0, 0.0, 0.4], 0.0);
    }

    #[test]
    fn by_a_number() {
        let image = Image::from_float(Rect::new(-1, 0, 2, 1), Format::LIN, vec![[0.25, 3.0, -1.0, 0.5], [1.0; 4]]);
        let out = check(named("multiply"), &[("value", "0.5")], &[Some(&image), None]);
        assert_eq!(all_pixels(&out), [[0.125, 1.5, -0.5, 0.5], [0.5, 0.5, 0.5, 1.0]]);
        let out = check(named("multiply"), &[("value", "-2")], &[Some(&image), None]);
        assert_eq!(all_pixels(&out), [[-0.5, -6.0, 2.0, 0.5], [-2.0, -2.0, -2.0, 1.0]]);
        assert_same(&check(named("multiply"), &[], &[Some(&image), None]), &image, "default");
        let black = Image::from_rgb8(Rect::sized(1, 1), vec![[0; 3]]);
        let out = check(named("multiply"), &[("value", "1e308")], &[Some(&black), None]);
        assert_eq!((out.format(), all_pixels(&out)[0]), (Format::LIN_OPAQUE, [0.0, 0.0, 0.0, 1.0]));
    }

    #[test]
    fn by_a_picture() {
        let image = Image::from_float(Rect::new(0, 0, 2, 1), Format::LIN, vec![[0.5, 2.0, -1.0, 0.5], [1.0; 4]]);
        let aux = Image::from_float(
            Rect::new(1, 0, 2, 2),
            Format::LINP,
            vec![[0.1, 0.2, 0.4, 0.5], [0.5; 4], [0.5; 4], [0.5; 4]],
        );
        // `value` does not count.
        let out = check(named("multiply"), &[("value", "7")], &[Some(&image), Some(&aux)]);
        assert_eq!((out.rect(), out.format()), (Rect::new(0, 0, 3, 2), Format::LIN));
        // Black where aux is not, its straight colour where it is, nothing where only aux is.
        assert_pixel(&out, 0, 0, [0.0, 0.0, 0.0, 0.5], 1e-6);
        assert_pixel(&out, 1, 0, [0.2, 0.4, 0.8, 1.0], 1e-6);
        assert_pixel(&out, 2, 0, [0.0; 4], 0.0);
        assert_pixel(&out, 1, 1, [0.0; 4], 0.0);
    }

    #[test]
    fn opaque_stays_opaque_and_black_outside() {
        let image = Image::from_rgb8(Rect::sized(1, 1), vec![[255, 0, 128]]);
        let aux = Image::from_float(Rect::new(0, -1, 1, 2), Format::LIN, vec![[0.5; 4]; 2]);
        let out = check(named("multiply"), &[], &[Some(&image), Some(&aux)]);
        assert_eq!((out.rect(), out.format()), (Rect::new(0, -1, 1, 2), Format::LIN_OPAQUE));
        assert_pixel(&out, 0, -1, [0.0, 0.0, 0.0, 1.0], 0.0);
        assert_pixel(&out, 0, 0, [0.5, 0.0, 0.107_930_5, 1.0], 1e-6);
    }

    #[test]
    fn missing_and_empty_sides() {
        let image = noise_image(Rect::new(2, 2, 5, 4), Format::RGBA8);
        let empty = noise_image(Rect::new(0, 0, 0, 0), Format::RGBA8);
        let out = check(named("multiply"), &[], &[Some(&image), Some(&empty)]);
        assert!(all_pixels(&out).iter().all(|p| p[..3] == [0.0; 3]));
        let out = check(named("multiply"), &[], &[Some(&empty), Some(&image)]);
        assert!(out.rect() == image.rect() && all_pixels(&out).iter().all(|p| *p == [0.0; 4]));
        assert_eq!(render(named("multiply"), &[], &[None, None]), Err(OpError::MissingInput("input")));
    }
}
