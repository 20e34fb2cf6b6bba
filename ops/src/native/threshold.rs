//! `gegl/threshold`: white where the picture is bright, black elsewhere.
//!
//! White where the sRGB-coded linear luminance is not below `value`, or not below that of `aux` where
//! `aux` is connected, which is black outside its box; alpha is that of `input` (GEGL 0.4,
//! `threshold.c`). Light is compared, which comes to the same.

use super::compose::{Compositor, Mix};
use crate::curve::exact::coded_to_linear;
use crate::format::luminance;
use crate::{Boxes, Format, Formats, Info, Kind, OpError, Operation, Pad, Pass, Properties, Property};

static INFO: Info = Info {
    name: "gegl/threshold",
    aliases: &[],
    categories: &["color"],
    title: "Threshold",
    description: "Makes the picture white where it is bright and black elsewhere.",
    inputs: &[Pad::INPUT, Pad { name: "aux", required: false }],
    properties: &[Property {
        name: "value",
        description: "Brightness from which on it is white, sRGB-coded, where aux is not connected.",
        kind: Kind::Number { default: 0.5, minimum: -200.0, maximum: 200.0 },
    }],
    revision: 1,
};

/// The operation `gegl/threshold`.
#[derive(Debug)]
pub struct Threshold;

impl Operation for Threshold {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        Ok(Compositor::passes(Limit { light: coded_to_linear(properties.number("value")) as f32 }))
    }
}

#[derive(Debug)]
struct Limit {
    /// The luminance from which on it is white.
    light: f32,
}

/// White where `light` is at least `limit`, or less by no more than rounding: a gray of just the
/// limit is white.
#[inline(always)]
fn white_from(limit: f32, light: f32) -> f32 {
    if light >= limit - 1e-6 * limit.abs() { 1.0 } else { 0.0 }
}

/// Replaces the colour of each pixel, whose number is given; inlined, so that each use has a loop of
/// its own.
#[inline(always)]
fn each(row: &mut [[f32; 4]], limit: impl Fn(usize) -> f32) {
    for (index, pixel) in row.iter_mut().enumerate() {
        let [r, g, b, a] = *pixel;
        let y = white_from(limit(index), luminance([r, g, b]));
        *pixel = [y, y, y, a];
    }
}

impl Mix for Limit {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        // Where there is only aux, even an opaque input is transparent.
        let input = inputs[0].filter(|_| inputs[1].is_none()).unwrap_or(Format::LIN);
        let format = Format::LIN.opaque_like(input);
        Formats { inputs: [format, Format::LIN], output: format }
    }

    fn passthrough(&self, _boxes: Boxes<'_>) -> Option<usize> {
        None
    }

    fn both(&self, row: &mut [[f32; 4]], aux: &[[f32; 4]], _format: Format) {
        let aux = &aux[..row.len()];
        each(row, |index| {
            let [r, g, b, _] = aux[index];
            luminance([r, g, b])
        });
    }

    fn input_alone(&self, row: &mut [[f32; 4]], connected: bool, _format: Format) {
        let limit = if connected { 0.0 } else { self.light };
        each(row, |_| limit);
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
    use crate::native::testing::{assert_pixel, check, pixel};
    use crate::{Image, Rect};

    #[test]
    fn a_gray_of_just_the_value_is_white() {
        for byte in 0..=255u8 {
            let image = Image::from_rgb8(Rect::sized(2, 1), vec![[byte; 3], [byte.saturating_sub(1); 3]]);
            let value = (f64::from(byte) / 255.0).to_string();
            let out = check(&Threshold, &[("value", &value)], &[Some(&image), None]);
            assert_eq!(pixel(&out, 0, 0), [1.0; 4], "{byte}");
            assert_eq!(pixel(&out, 1, 0)[0], if byte == 0 { 1.0 } else { 0.0 }, "{byte}");
        }
    }

    #[test]
    fn luminance_counts_and_alpha_stays() {
        // Light 0.2225 is coded 0.5090, 0.7169 is 0.8662.
        let image = Image::from_float(Rect::sized(2, 1), Format::LIN, vec![[1.0, 0.0, 0.0, 0.3], [0.0, 1.0, 0.0, 0.0]]);
        for (value, [red, green]) in
            [("0.5", [1.0, 1.0]), ("0.51", [0.0, 1.0]), ("0.87", [0.0, 0.0]), ("-200", [1.0, 1.0])]
        {
            let out = check(&Threshold, &[("value", value)], &[Some(&image), None]);
            assert_pixel(&out, 0, 0, [red, red, red, 0.3], 0.0);
            assert_pixel(&out, 1, 0, [green, green, green, 0.0], 0.0);
        }
    }

    #[test]
    fn a_picture_of_thresholds() {
        let image = Image::from_float(Rect::sized(3, 1), Format::LIN, vec![[0.5, 0.5, 0.5, 0.3]; 3]);
        let aux = Image::from_float(Rect::new(1, 0, 3, 1), Format::LIN, vec![[0.4; 4], [0.6; 4], [0.6; 4]]);
        let out = check(&Threshold, &[("value", "0.9")], &[Some(&image), Some(&aux)]);
        assert_eq!(out.rect(), Rect::new(0, 0, 4, 1));
        // Outside aux the threshold is black, whatever the value.
        for (x, expected) in
            [(0, [1.0, 1.0, 1.0, 0.3]), (1, [1.0, 1.0, 1.0, 0.3]), (2, [0.0, 0.0, 0.0, 0.3]), (3, [0.0; 4])]
        {
            assert_pixel(&out, x, 0, expected, 0.0);
        }
    }
}
