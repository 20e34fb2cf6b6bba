//! `gegl/multiply`: multiplies light by a number or by another picture.
//!
//! Straight linear R, G, B of `input` times those of `aux`, or times `value` where `aux` is not
//! connected; alpha is that of `input`. Outside its box `aux` is black, and `input` black too, or
//! transparent where it has alpha (GEGL 0.4, `math.rb`). This is not SVG's multiply, which blends
//! by alpha; GEGL 0.4 has no `svg:multiply`.

use super::compose::{Compositor, Mix};
use crate::{Boxes, Format, Formats, Info, Kind, OpError, Operation, Pad, Pass, Properties, Property};

static INFO: Info = Info {
    name: "gegl/multiply",
    aliases: &[],
    categories: &["compositors:math"],
    title: "Multiply",
    description: "Multiplies light by that of the picture at aux, or by a number.",
    inputs: &[Pad::INPUT, Pad { name: "aux", required: false }],
    properties: &[Property {
        name: "value",
        description: "Factor where aux is not connected.",
        kind: Kind::Number { default: 1.0, minimum: f64::MIN, maximum: f64::MAX },
    }],
    revision: 1,
};

/// The operation `gegl/multiply`.
#[derive(Debug)]
pub struct Multiply;

impl Operation for Multiply {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        // Kept finite as a float, so that black times it stays black.
        let value = properties.number("value").clamp(f32::MIN.into(), f32::MAX.into()) as f32;
        Ok(Compositor::passes(Product { value }))
    }
}

#[derive(Debug)]
struct Product {
    value: f32,
}

impl Mix for Product {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        let format = Format::LIN.opaque_like(inputs[0].unwrap_or(Format::LIN));
        Formats { inputs: [format, Format::LIN], output: format }
    }

    fn passthrough(&self, boxes: Boxes<'_>) -> Option<usize> {
        (matches!(boxes.inputs, [Some(_), None]) && self.value == 1.0).then_some(0)
    }

    fn both(&self, row: &mut [[f32; 4]], aux: &[[f32; 4]], _format: Format) {
        for (pixel, aux) in row.iter_mut().zip(aux) {
            let [r, g, b, a] = *pixel;
            *pixel = [r * aux[0], g * aux[1], b * aux[2], a];
        }
    }

    fn input_alone(&self, row: &mut [[f32; 4]], connected: bool, _format: Format) {
        let value = if connected { 0.0 } else { self.value };
        for pixel in row {
            let [r, g, b, a] = *pixel;
            *pixel = [r * value, g * value, b * value, a];
        }
    }

    fn aux_alone(&self, _row: &mut [[f32; 4]], _aux: &[[f32; 4]]) {}

    fn weight(&self) -> f32 {
        2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::testing::{all_pixels, assert_pixel, assert_same, check, noise_image, render};
    use crate::{Image, Rect};

    #[test]
    fn by_a_number() {
        let image = Image::from_float(Rect::new(-1, 0, 2, 1), Format::LIN, vec![[0.25, 3.0, -1.0, 0.5], [1.0; 4]]);
        let out = check(&Multiply, &[("value", "0.5")], &[Some(&image), None]);
        assert_eq!(all_pixels(&out), [[0.125, 1.5, -0.5, 0.5], [0.5, 0.5, 0.5, 1.0]]);
        let out = check(&Multiply, &[("value", "-2")], &[Some(&image), None]);
        assert_eq!(all_pixels(&out), [[-0.5, -6.0, 2.0, 0.5], [-2.0, -2.0, -2.0, 1.0]]);
        assert_same(&check(&Multiply, &[], &[Some(&image), None]), &image, "default");
        let black = Image::from_rgb8(Rect::sized(1, 1), vec![[0; 3]]);
        let out = check(&Multiply, &[("value", "1e308")], &[Some(&black), None]);
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
        let out = check(&Multiply, &[("value", "7")], &[Some(&image), Some(&aux)]);
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
        let out = check(&Multiply, &[], &[Some(&image), Some(&aux)]);
        assert_eq!((out.rect(), out.format()), (Rect::new(0, -1, 1, 2), Format::LIN_OPAQUE));
        assert_pixel(&out, 0, -1, [0.0, 0.0, 0.0, 1.0], 0.0);
        assert_pixel(&out, 0, 0, [0.5, 0.0, 0.107_930_5, 1.0], 1e-6);
    }

    #[test]
    fn missing_and_empty_sides() {
        let image = noise_image(Rect::new(2, 2, 5, 4), Format::RGBA8);
        let empty = noise_image(Rect::new(0, 0, 0, 0), Format::RGBA8);
        let out = check(&Multiply, &[], &[Some(&image), Some(&empty)]);
        assert!(all_pixels(&out).iter().all(|p| p[..3] == [0.0; 3]));
        let out = check(&Multiply, &[], &[Some(&empty), Some(&image)]);
        assert!(out.rect() == image.rect() && all_pixels(&out).iter().all(|p| *p == [0.0; 4]));
        assert_eq!(render(&Multiply, &[], &[None, None]), Err(OpError::MissingInput("input")));
    }
}
