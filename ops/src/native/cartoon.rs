//! `gegl/cartoon`: draws dark what is darker than its surroundings.
//!
//! Luminance is blurred a little and by `mask-radius`, and the ratio d of the two, coded, tells lines:
//! where d < 1 the first is multiplied by max(0, 1 - (1 - d) / r). The ramp r is such that the darkest
//! `pct-black` of those pixels become black: their d are counted in hundredths. What comes out is the
//! luma (ITU-R BT.601) of the coded pixel; its chroma stays (GEGL 0.4, `cartoon.c`).

use super::compose::rows;
use super::compound::{Compound, Join, deviation_of};
use super::gaussian_blur::Gaussian;
use super::gray::ToGray;
use crate::{
    Area, Boxes, Cancel, Format, Formats, Info, Kind, OpError, Operand, Operation, Pad, Pass, Properties, Property,
    Rect, Split, Tile, View,
};

const INFO: Info = Info {
    name: "gegl/cartoon",
    aliases: &[],
    categories: &["artistic"],
    title: "Cartoon",
    description: "Draws black lines where the picture is darker than its surroundings, as with a felt pen.",
    inputs: &[Pad::INPUT],
    properties: &[
        Property {
            name: "mask-radius",
            description: "Size of the surroundings, pixels",
            kind: Kind::Number { default: 7.0, minimum: 0.0, maximum: 50.0 },
        },
        Property {
            name: "pct-black",
            description: "Part of the darker pixels that become black",
            kind: Kind::Number { default: 0.2, minimum: 0.0, maximum: 1.0 },
        },
    ],
    revision: 1,
};

/// The operation `gegl/cartoon`.
#[derive(Debug)]
pub struct Cartoon;

impl Operation for Cartoon {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn lengths(&self) -> &'static [&'static str] {
        &["mask-radius"]
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let black = properties.number("pct-black");
        let mut passes = Compound::default();
        let gray = passes.then(Pass::Point(Box::new(ToGray { keeps_opaque: true })));
        let fine = passes.blur(Gaussian::new(deviation_of(1.0)), gray);
        let coarse = passes.blur(Gaussian::new(deviation_of(properties.number("mask-radius"))), gray);
        // The weight is also that of counting, which makes a single pixel.
        let ratio = Join::new([Format::GAM_OPAQUE; 2], Format::GAM_OPAQUE, 3.0, ratio);
        let ratio = passes.apply(ratio, &[fine, coarse]);
        let lightness = if black == 0.0 {
            passes.apply(Ink, &[ratio])
        } else {
            let ramp = passes.apply(Ramp { black }, &[ratio]);
            passes.apply(Ink, &[ratio, ramp])
        };
        let recolor = Join::new([Format::GAM, Format::GAM_OPAQUE], Format::GAM, 2.0, recolor);
        passes.apply(recolor, &[Operand::Input(0), lightness]);
        Ok(passes.passes())
    }
}

/// Lightness, and its ratio to that of the surroundings in the second component; 1 where there is
/// nothing to compare with, and no lightness.
fn ratio(row: &mut [[f32; 4]], coarse: &[[f32; 4]]) {
    for (pixel, coarse) in row.iter_mut().zip(coarse) {
        let (fine, coarse) = (pixel[0], coarse[0]);
        *pixel = if coarse == 0.0 { [0.0, 1.0, 0.0, 1.0] } else { [fine, fine / coarse, 0.0, 1.0] };
    }
}

/// Gives pixels another luma.
fn recolor(row: &mut [[f32; 4]], lightness: &[[f32; 4]]) {
    for (pixel, lightness) in row.iter_mut().zip(lightness) {
        let [r, g, b, a] = *pixel;
        let more = lightness[0] - (0.299 * r + 0.587 * g + 0.114 * b);
        *pixel = [r + more, g + more, b + more, a];
    }
}

/// Finds the ramp: one pixel that holds it.
#[derive(Debug)]
struct Ramp {
    /// Part of the pixels below 1 that become black.
    black: f64,
}

impl Ramp {
    fn of(&self, counts: &[u64; 100]) -> f32 {
        let all: u64 = counts.iter().sum();
        let mut sum = 0;
        if all == 0 {
            return 1.0;
        }
        for (hundredth, count) in (0u8..).zip(counts) {
            sum += count;
            if sum as f64 / all as f64 > self.black {
                return 1.0 - f32::from(hundredth) / 100.0;
            }
        }
        0.0
    }
}

impl Area for Ramp {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        let format = inputs[0].unwrap_or(Format::GAM_OPAQUE);
        Formats { inputs: [format; 2], output: format }
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        let input = boxes.inputs[0].ok_or(OpError::MissingInput("input"))?;
        Ok(Rect { width: 1, height: 1, ..input })
    }

    fn needed(&self, _pad: usize, region: Rect, boxes: Boxes<'_>) -> Rect {
        boxes.inputs[0].unwrap_or(region)
    }

    fn split(&self) -> Split {
        Split::Whole
    }

    fn weight(&self) -> f32 {
        1.0
    }

    fn render(
        &self,
        inputs: &[Option<View<'_>>],
        _boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        cancel: &Cancel,
    ) -> Result<(), OpError> {
        let view = inputs[0].ok_or(OpError::MissingInput("input"))?;
        let mut counts = [0; 100];
        for y in rows(view.rect()) {
            cancel.check()?;
            for [_, ratio, ..] in view.row(y) {
                if *ratio < 1.0 {
                    counts[((ratio * 100.0) as usize).min(99)] += 1;
                }
            }
        }
        let ramp = self.of(&counts);
        for y in rows(output.rect()) {
            output.row_mut(y).fill([ramp; 4]);
        }
        Ok(())
    }
}

/// Darkens the lines; without the second input the ramp is 1.
#[derive(Debug)]
struct Ink;

impl Area for Ink {
    fn formats(&self, inputs: &[Option<Format>]) -> Formats {
        let format = inputs[0].unwrap_or(Format::GAM_OPAQUE);
        Formats { inputs: [format; 2], output: format }
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        boxes.inputs[0].ok_or(OpError::MissingInput("input"))
    }

    fn needed(&self, pad: usize, region: Rect, boxes: Boxes<'_>) -> Rect {
        if pad == 0 { region } else { boxes.inputs[pad].unwrap_or_default() }
    }

    fn weight(&self) -> f32 {
        1.5
    }

    fn render(
        &self,
        inputs: &[Option<View<'_>>],
        _boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        cancel: &Cancel,
    ) -> Result<(), OpError> {
        let view = inputs[0].ok_or(OpError::MissingInput("input"))?;
        let ramp = match inputs.get(1).copied().flatten() {
            Some(ramp) => ramp.row(ramp.rect().y)[0][0],
            None => 1.0,
        };
        let rect = output.rect();
        for y in rows(rect) {
            cancel.check()?;
            let row = output.row_mut(y);
            view.read_row(rect.x, y, row);
            for pixel in row {
                let [lightness, ratio, ..] = *pixel;
                let factor = match 1.0 - ratio {
                    darker if darker <= 0.0 => 1.0,
                    darker if darker < ramp => (ramp - darker) / ramp,
                    _ => 0.0,
                };
                let inked = (lightness * factor).clamp(0.0, 1.0);
                *pixel = [inked, inked, inked, 1.0];
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::native::testing::{assert_pixel, check, noise_image, pixel, stops_when_cancelled};

    #[test]
    fn a_dark_line_becomes_black_and_plain_colour_stays() {
        let mut pixels = vec![[200, 120, 40]; 21 * 21];
        pixels.chunks_mut(21).for_each(|row| row[10] = [150, 90, 30]);
        let image = Image::from_rgb8(Rect::new(-4, 9, 21, 21), pixels);
        let out = check(&Cartoon, &[("mask-radius", "3"), ("pct-black", "1")], &[Some(&image)]);
        assert_eq!((out.rect(), out.format()), (image.rect(), Format::GAM_OPAQUE));
        // Far from the line all blurs agree; luminance takes the place of luma.
        let coded = crate::format::linear_to_coded;
        let light = [200.0f32, 120.0, 40.0].map(|c| crate::format::coded_to_linear(c / 255.0));
        let more = coded(crate::format::luminance(light)) - (0.299 * 200.0 + 0.587 * 120.0 + 0.114 * 40.0) / 255.0;
        assert_pixel(&out, -4, 9, [200.0 / 255.0 + more, 120.0 / 255.0 + more, 40.0 / 255.0 + more, 1.0], 2e-3);
        let [r, g, b, _] = pixel(&out, 6, 19);
        assert!((0.299 * r + 0.587 * g + 0.114 * b).abs() < 1e-4, "{r} {g} {b}: no luma");
    }

    #[test]
    fn the_ramp_leaves_out_a_part_of_those_below_one() {
        let mut counts = [0; 100];
        (counts[40], counts[80], counts[95]) = (1, 2, 7);
        for (black, ramp) in [(0.05, 0.6), (0.1, 0.2), (0.29, 0.2), (0.31, 0.05), (1.0, 0.0)] {
            assert!((Ramp { black }.of(&counts) - ramp).abs() < 1e-6, "{black}");
        }
        assert_eq!(Ramp { black: 0.5 }.of(&[0; 100]), 1.0);
    }

    #[test]
    fn any_tiling() {
        for format in [Format::RGBA8, Format::LIN] {
            let image = noise_image(Rect::new(-7, 5, 23, 17), format);
            for black in ["0", "0.3"] {
                check(&Cartoon, &[("pct-black", black)], &[Some(&image)]);
            }
            assert!(stops_when_cancelled(&Cartoon, &[], &image));
        }
    }
}
