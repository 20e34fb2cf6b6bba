//! `gegl/color-to-alpha`: makes a colour transparent, and leaves what must be laid over that colour to
//! get the picture back.
//!
//! For each of sRGB-coded R, G, B, d is its distance from the colour, and reach what it can be on its
//! side of the colour, but at most the opacity threshold. Its alpha is 0 up to the transparency
//! threshold, 1 from the reach on, and rises evenly between. The channel with the largest alpha counts:
//! the colour moves away from the given one by reach / d of it, and the picture's alpha is multiplied by
//! its alpha. What becomes fully transparent or stays fully opaque keeps its colour (GEGL 0.4,
//! `gegl:color-to-alpha`, by its output alone). The colour's own alpha does not count.

use crate::{Color, Format, Info, Kind, OpError, Operation, Pad, Pass, Point, Properties, Property, Rect};

static INFO: Info = Info {
    name: "gegl/color-to-alpha",
    aliases: &[],
    categories: &["color"],
    title: "Color to Alpha",
    description: "Makes a colour transparent, best white.",
    inputs: &[Pad::INPUT],
    properties: &[
        Property {
            name: "color",
            description: "The colour to make transparent.",
            kind: Kind::Color { default: Color::WHITE },
        },
        Property {
            name: "transparency-threshold",
            description: "Distance from the colour up to which all is transparent.",
            kind: Kind::Number { default: 0.0, minimum: 0.0, maximum: 1.0 },
        },
        Property {
            name: "opacity-threshold",
            description: "Distance from the colour from which on all is opaque.",
            kind: Kind::Number { default: 1.0, minimum: 0.0, maximum: 1.0 },
        },
    ],
    revision: 1,
};

/// The operation `gegl/color-to-alpha`.
#[derive(Debug)]
pub struct ColorToAlpha;

impl Operation for ColorToAlpha {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let [r, g, b, _] = properties.color("color").rgba;
        Ok(vec![Pass::Point(Box::new(Removal {
            color: [r, g, b],
            transparent: properties.number("transparency-threshold") as f32,
            opaque: properties.number("opacity-threshold") as f32,
        }))])
    }
}

#[derive(Debug)]
struct Removal {
    /// Coded R, G, B.
    color: [f32; 3],
    /// Distance up to which all is transparent.
    transparent: f32,
    /// Distance from which on all is opaque.
    opaque: f32,
}

/// Distances this close to a threshold count as on it.
const NEAR: f32 = 1e-5;

impl Removal {
    /// The alpha that a channel asks for, and the factor of its distance from the colour.
    #[inline(always)]
    fn channel(&self, value: f32, color: f32) -> (f32, f32) {
        let distance = (value - color).abs();
        let reach = if value > color { 1.0 - color } else { color };
        let reach = if reach < self.opaque { reach } else { self.opaque };
        let clear = distance < self.transparent + NEAR;
        let solid = distance > reach - NEAR;
        // Neither divisor is 0 where it is used: the distance is between the thresholds.
        let between = (distance - self.transparent) / if clear | solid { 1.0 } else { reach - self.transparent };
        let alpha = if clear {
            0.0
        } else if solid {
            1.0
        } else {
            between
        };
        (alpha, reach / if clear { 1.0 } else { distance })
    }
}

impl Point for Removal {
    fn format(&self, _input: Format) -> Format {
        Format::GAM
    }

    fn apply(&self, row: &mut [[f32; 4]], _x: i32, _y: i32, _bounds: Rect) {
        for pixel in row {
            let [r, g, b, a] = *pixel;
            let [color_r, color_g, color_b] = self.color;
            let (mut alpha, mut factor) = self.channel(r, color_r);
            for (other_alpha, other_factor) in [self.channel(g, color_g), self.channel(b, color_b)] {
                factor = if other_alpha > alpha { other_factor } else { factor };
                alpha = if other_alpha > alpha { other_alpha } else { alpha };
            }
            let factor = if (alpha > 0.0) & (alpha < 1.0) { factor } else { 1.0 };
            let away = |c: f32, color: f32| c + (c - color) * (factor - 1.0);
            *pixel = [away(r, color_r), away(g, color_g), away(b, color_b), a * alpha];
        }
    }

    fn weight(&self) -> f32 {
        8.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::native::testing::{assert_pixel, check, noise_image, pixel};

    fn removed(given: &[(&str, &str)], rgba: [f32; 4]) -> [f32; 4] {
        let image = Image::from_float(Rect::new(-1, 0, 1, 1), Format::GAM, vec![rgba]);
        pixel(&check(&ColorToAlpha, given, &[Some(&image)]), -1, 0)
    }

    #[track_caller]
    fn near(found: [f32; 4], expected: [f32; 4]) {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 2e-4), "{found:?}, expected {expected:?}");
    }

    #[test]
    fn white_by_hand() {
        // Alpha is what the darkest channel is short of white.
        near(removed(&[], [0.5, 0.75, 1.0, 0.4]), [0.0, 0.5, 1.0, 0.2]);
        near(removed(&[], [1.0, 1.0, 1.0, 0.4]), [1.0, 1.0, 1.0, 0.0]);
        near(removed(&[], [0.0, 0.3, 1.0, 0.4]), [0.0, 0.3, 1.0, 0.4]);
    }

    #[test]
    fn thresholds_as_gegl_has_them() {
        let given = [("color", "#404040"), ("transparency-threshold", "0.1"), ("opacity-threshold", "0.6")];
        near(removed(&given, [0.05, 0.5, 0.5, 1.0]), [0.0, 0.562, 0.562, 0.6688]);
        near(removed(&given, [0.15, 0.5, 0.5, 1.0]), [0.0077, 0.851, 0.851, 0.298]);
        near(removed(&given, [0.95, 0.5, 0.5, 1.0]), [0.95, 0.5, 0.5, 1.0]);
        near(removed(&given, [0.3, 0.3, 0.2, 1.0]), [0.3, 0.3, 0.2, 0.0]);
        // Thresholds the wrong way round: transparent below the one, opaque above.
        let given = [("color", "gray"), ("transparency-threshold", "0.4"), ("opacity-threshold", "0.2")];
        near(removed(&given, [0.2, 0.5, 0.5, 1.0]), [0.2, 0.5, 0.5, 0.0]);
        near(removed(&given, [0.05, 0.5, 0.5, 1.0]), [0.05, 0.5, 0.5, 1.0]);
    }

    #[test]
    fn laid_over_the_colour_it_is_the_picture_again() {
        let image = noise_image(Rect::new(-3, 2, 9, 4), Format::RGB8);
        let out = check(&ColorToAlpha, &[("color", "#3070c0")], &[Some(&image)]);
        let color = [0x30, 0x70, 0xc0].map(|c| c as f32 / 255.0);
        for (x, y) in (-3..6).flat_map(|x| (2..6).map(move |y| (x, y))) {
            let [r, g, b, a] = pixel(&out, x, y);
            let over = |c: f32, under: f32| c * a + under * (1.0 - a);
            assert_pixel(&image, x, y, [over(r, color[0]), over(g, color[1]), over(b, color[2]), 1.0], 1e-4);
        }
    }
}
