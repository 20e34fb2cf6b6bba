//! `gegl/opacity`: makes a picture more or less transparent.
//!
//! Alpha (and, in a premultiplied format, colour with it) times `value`, and times the luminance
//! of `aux` where that is connected; the alpha of `aux` does not count, and outside its box it is
//! black (GEGL 0.4, `opacity.c`). Nothing is clamped.

use super::compose::{Compositor, Mix};
use crate::format::luminance;
use crate::{Alpha, Boxes, Depth, Format, Formats, Info, Kind, OpError, Operation, Pad, Pass, Properties, Property};

static INFO: Info = Info {
    name: "gegl/opacity",
    aliases: &[],
    categories: &["transparency"],
    title: "Opacity",
    description: "Makes the picture more or less transparent, by a factor and by the brightness of the one at aux.",
    inputs: &[Pad::INPUT, Pad { name: "aux", required: false }],
    properties: &[Property {
        name: "value",
        description: "Factor for the opacity: 0 is invisible, 1 as before.",
        kind: Kind::Number { default: 1.0, minimum: -10.0, maximum: 10.0 },
    }],
    revision: 1,
};

/// The operation `gegl/opacity`.
#[derive(Debug)]
pub struct Opacity;

impl Operation for Opacity {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        Ok(Compositor::passes(Weight { value: properties.number("value") as f32 }))
    }
}

#[derive(Debug)]
struct Weight {
    value: f32,
}

impl Weight {
    fn formats_of(input: Format) -> Format {
        match (input.depth, input.alpha) {
            // Most of what follows an opacity works in light, and bytes become light for nothing.
            (Depth::U8, _) => Format::LIN,
            (Depth::F32, Alpha::None) => Format { alpha: Alpha::Straight, ..input },
            (Depth::F32, _) => input,
        }
    }
}

impl Mix for Weight {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        let format = Self::formats_of(inputs[0].unwrap_or(Format::LIN));
        Formats { inputs: [format, Format::LIN_OPAQUE], output: format }
    }

    fn passthrough(&self, boxes: Boxes<'_>) -> Option<usize> {
        (matches!(boxes.inputs, [Some(_), None]) && (self.value - 1.0).abs() < 1e-6).then_some(0)
    }

    fn both(&self, row: &mut [[f32; 4]], aux: &[[f32; 4]], format: Format) {
        for (pixel, &[r, g, b, _]) in row.iter_mut().zip(aux) {
            weigh(pixel, self.value * luminance([r, g, b]), format.alpha);
        }
    }

    fn input_alone(&self, row: &mut [[f32; 4]], connected: bool, format: Format) {
        let value = if connected { 0.0 } else { self.value };
        for pixel in row {
            weigh(pixel, value, format.alpha);
        }
    }

    fn aux_alone(&self, _row: &mut [[f32; 4]], _aux: &[[f32; 4]]) {}

    fn weight(&self) -> f32 {
        2.0
    }
}

/// One pixel by its weight; colour only where it is multiplied by alpha.
#[inline(always)]
fn weigh(pixel: &mut [f32; 4], weight: f32, alpha: Alpha) {
    let color = if alpha == Alpha::Premultiplied { weight } else { 1.0 };
    let [r, g, b, a] = *pixel;
    *pixel = [r * color, g * color, b * color, a * weight];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::testing::{all_pixels, assert_pixel, assert_same, check, noise_image, render};
    use crate::{Image, Rect};

    fn one(format: Format, pixel: [f32; 4]) -> Image {
        Image::from_float(Rect::new(-1, 2, 1, 1), format, vec![pixel])
    }

    #[test]
    fn straight_alpha_alone_is_scaled() {
        for format in [Format::LIN, Format::GAM] {
            let out = check(&Opacity, &[("value", "0.25")], &[Some(&one(format, [0.5, -1.0, 3.0, 0.5])), None]);
            assert_eq!((out.format(), all_pixels(&out)[0]), (format, [0.5, -1.0, 3.0, 0.125]));
        }
    }

    #[test]
    fn premultiplied_pixels_are_scaled_whole() {
        for format in [Format::LINP, Format::GAMP] {
            let out = check(&Opacity, &[("value", "-2")], &[Some(&one(format, [0.5, -1.0, 3.0, 0.5])), None]);
            assert_eq!((out.format(), all_pixels(&out)[0]), (format, [-1.0, 2.0, -6.0, -1.0]));
        }
    }

    #[test]
    fn opaque_pictures_gain_alpha() {
        let bytes = Image::from_rgb8(Rect::sized(1, 1), vec![[255, 128, 0]]);
        let out = check(&Opacity, &[("value", "0.5")], &[Some(&bytes), None]);
        assert_eq!(out.format(), Format::LIN);
        assert_pixel(&out, 0, 0, [1.0, 0.215_861, 0.0, 0.5], 1e-6);
        let out = check(&Opacity, &[("value", "0")], &[Some(&one(Format::GAM_OPAQUE, [0.1, 0.2, 0.3, 1.0])), None]);
        assert_eq!((out.format(), all_pixels(&out)[0]), (Format::GAM, [0.1, 0.2, 0.3, 0.0]));
    }

    #[test]
    fn one_changes_nothing() {
        let image = noise_image(Rect::new(3, -3, 6, 5), Format::RGBA8);
        for value in ["1", "1.0000005", "0.9999995"] {
            assert_same(&check(&Opacity, &[("value", value)], &[Some(&image), None]), &image, value);
        }
    }

    #[test]
    fn aux_scales_by_its_luminance() {
        let image = Image::from_float(Rect::new(0, 0, 3, 1), Format::LIN, vec![[0.5, 0.5, 0.5, 0.5]; 3]);
        // Pure green, half transparent: alpha of aux does not count.
        let aux = Image::from_float(
            Rect::new(1, 0, 3, 1),
            Format::LIN,
            vec![[0.0, 1.0, 0.0, 0.5], [1.0, 1.0, 1.0, 0.25], [1.0; 4]],
        );
        let out = check(&Opacity, &[], &[Some(&image), Some(&aux)]);
        assert_eq!(out.rect(), Rect::new(0, 0, 4, 1));
        assert_pixel(&out, 0, 0, [0.5, 0.5, 0.5, 0.0], 1e-6);
        assert_pixel(&out, 1, 0, [0.5, 0.5, 0.5, 0.5 * 0.716_903_7], 1e-6);
        assert_pixel(&out, 2, 0, [0.5, 0.5, 0.5, 0.5], 1e-6);
        assert_pixel(&out, 3, 0, [0.0; 4], 0.0);
        let out = check(&Opacity, &[("value", "10")], &[Some(&image), Some(&aux)]);
        assert_pixel(&out, 2, 0, [0.5, 0.5, 0.5, 5.0], 1e-5);
    }

    #[test]
    fn nothing_and_no_input() {
        let empty = noise_image(Rect::new(1, 1, 0, 0), Format::RGB8);
        assert_eq!(check(&Opacity, &[("value", "0.5")], &[Some(&empty), None]).rect(), empty.rect());
        let aux = noise_image(Rect::new(0, 0, 2, 2), Format::RGB8);
        assert!(all_pixels(&check(&Opacity, &[], &[Some(&empty), Some(&aux)])).iter().all(|p| *p == [0.0; 4]));
        assert_eq!(render(&Opacity, &[], &[None, None]), Err(OpError::MissingInput("input")));
    }
}
