//! `gegl/softglow`: lets what is bright glow.
//!
//! The glow is s = brightness / (1 + exp(-(2 + 20 sharpness)(y - 1/2))) of the coded luminance y; its
//! light is blurred, with darkness beyond the edges, and coded again; then c' = 1 - (1 - c)(1 - s),
//! clamped, on linear light. Alpha stays and does not count (GEGL 0.4, `softglow.c`).

use super::compound::{Compound, Join, Table, deviation_of, join_colors};
use super::gaussian_blur::{Beyond, Gaussian};
use crate::curve::exact;
use crate::format::luminance;
use crate::{Format, Info, Kind, OpError, Operand, Operation, Pad, Pass, Point, Properties, Property, Rect};

const PART: Kind = Kind::Number { default: 0.3, minimum: 0.0, maximum: 1.0 };

const INFO: Info = Info {
    name: "gegl/softglow",
    aliases: &[],
    categories: &["artistic"],
    title: "Softglow",
    description: "Makes highlights brighter and lets them shine softly on what is around.",
    inputs: &[Pad::INPUT],
    properties: &[
        Property {
            name: "glow-radius",
            description: "How far the light shines, pixels",
            kind: Kind::Number { default: 10.0, minimum: 1.0, maximum: 50.0 },
        },
        Property { name: "brightness", description: "How bright the glow is", kind: PART },
        Property {
            name: "sharpness",
            description: "How sharply bright is told from dark: at 0 all of the picture glows",
            kind: Kind::Number { default: 0.85, minimum: 0.0, maximum: 1.0 },
        },
    ],
    revision: 1,
};

/// The operation `gegl/softglow`.
#[derive(Debug)]
pub struct Softglow;

impl Operation for Softglow {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn lengths(&self) -> &'static [&'static str] {
        &["glow-radius"]
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let deviation = deviation_of(properties.number("glow-radius"));
        let mut passes = Compound::default();
        let glow = passes.then(Pass::Point(Box::new(Glow::new(properties))));
        let glow = passes.blur(Gaussian { beyond: Beyond::Nothing, ..Gaussian::new(deviation) }, glow);
        let screen = |row: &mut [_], glow: &[_]| {
            join_colors(row, glow, |c, s| (1.0 - (1.0 - c) * (1.0 - s)).clamp(0.0, 1.0));
        };
        let formats = [Format::LIN, Format::GAM_OPAQUE];
        passes.apply(Join::new(formats, Format::LIN, 2.0, screen), &[Operand::Input(0), glow]);
        Ok(passes.passes())
    }
}

/// The light of the glow, from the square root of luminance: the coded value has no steep part there.
#[derive(Debug)]
struct Glow(Table);

impl Glow {
    fn new(properties: &Properties) -> Self {
        let brightness = properties.number("brightness");
        let steepness = 2.0 + 20.0 * properties.number("sharpness");
        Glow(Table::new(0..=1, |root| {
            let coded = exact::linear_to_coded(root * root);
            exact::coded_to_linear(brightness / (1.0 + (-steepness * (coded - 0.5)).exp()))
        }))
    }
}

impl Point for Glow {
    fn format(&self, _input: Format) -> Format {
        Format::LIN_OPAQUE
    }

    fn apply(&self, row: &mut [[f32; 4]], _x: i32, _y: i32, _bounds: Rect) {
        for pixel in row {
            let [r, g, b, _] = *pixel;
            let light = self.0.at(luminance([r, g, b]).max(0.0).sqrt());
            *pixel = [light, light, light, 1.0];
        }
    }

    fn weight(&self) -> f32 {
        5.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::testing::{assert_pixel, check, noise_image, pixel, stops_when_cancelled};
    use crate::{Image, Rect};

    #[test]
    fn a_plain_picture_gets_brighter_by_the_curve() {
        let image = Image::from_float(Rect::sized(31, 31), Format::LIN, vec![[0.2, 0.2, 0.2, 0.25]; 961]);
        let given = [("sharpness", "0"), ("brightness", "0.5"), ("glow-radius", "1")];
        let out = check(&Softglow, &given, &[Some(&image)]);
        // y = 0.484_53: 0.5 / (1 + exp(2 * 0.015_47)) = 0.246_13 over 0.2.
        let light = 1.0 - 0.8 * (1.0 - 0.246_13);
        assert_pixel(&out, 15, 15, [light, light, light, 0.25], 1e-5);
        // Nothing glows beyond the edge.
        assert!(pixel(&out, 0, 15)[0] < light - 0.01);
    }

    #[test]
    fn light_shines_on_what_is_dark() {
        let mut pixels = vec![[0.0, 0.0, 0.0, 1.0]; 441];
        pixels[220] = [1.0; 4];
        let image = Image::from_float(Rect::new(-3, 2, 21, 21), Format::LIN, pixels);
        let out = check(&Softglow, &[("brightness", "1"), ("glow-radius", "4")], &[Some(&image)]);
        assert!(pixel(&out, 8, 12)[0] > 0.15 && pixel(&out, 8, 12)[0] > pixel(&out, 9, 12)[0]);
        assert!(pixel(&out, 17, 22)[0] < 0.01);
    }

    #[test]
    fn any_tiling_and_no_value_out_of_range() {
        let rect = Rect::new(5, -4, 23, 14);
        let wild = noise_image(rect, Format::LIN);
        let pixels = crate::native::testing::all_pixels(&wild).into_iter();
        let wild = Image::from_float(rect, Format::LIN, pixels.map(|[r, g, b, a]| [r * 4.0 - 1.0, g, b, a]).collect());
        let out = check(&Softglow, &[], &[Some(&wild)]);
        let values = crate::native::testing::all_pixels(&out);
        assert!(values.as_flattened().iter().all(|value| (0.0..=1.0).contains(value)));
        assert_eq!(out.rect(), rect);
        assert!(stops_when_cancelled(&Softglow, &[], &wild));
    }
}
