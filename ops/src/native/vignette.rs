//! `gegl/vignette`: lets the picture fade to a colour towards its edges.
//!
//! The distance of a pixel (x, y) from the centre, whose coordinates are cut to whole pixels, is taken
//! after turning by `rotation`, with one axis stretched so that the edge of the shape follows the
//! proportions of the picture, and in half widths of it. From radius (1 - softness) to radius the part of
//! the colour rises from 0 to 1, as a power `gamma` of the distance. Pixels are mixed in linear light,
//! premultiplied (GEGL 0.4, `vignette.c`).

use crate::curve::power;
use crate::{Color, Format, Info, Kind, OpError, Operation, Pad, Pass, Point, Properties, Property, Rect};

const fn number(name: &'static str, description: &'static str, range: [f64; 2], default: f64) -> Property {
    Property { name, description, kind: Kind::Number { default, minimum: range[0], maximum: range[1] } }
}

static INFO: Info = Info {
    name: "gegl/vignette",
    aliases: &[],
    categories: &["render:light"],
    title: "Vignette",
    description: "Lets the picture fade to a colour towards its edges.",
    inputs: &[Pad::INPUT],
    properties: &[
        Property {
            name: "shape",
            description: "Shape of what stays clear.",
            kind: Kind::Enum { default: "circle", values: &["circle", "square", "diamond", "horizontal", "vertical"] },
        },
        Property {
            name: "color",
            description: "Colour at the edges; one with alpha 0 makes them transparent.",
            kind: Kind::Color { default: Color::BLACK },
        },
        number("radius", "Where the colour is all there is, half widths from the centre.", [0.0, f64::MAX], 1.2),
        number("softness", "Part of the radius over which the picture fades.", [0.0, 1.0], 0.8),
        number("gamma", "Power of the distance that the fading follows.", [0.0, f64::MAX], 2.0),
        number("proportion", "How much the shape follows the picture's, from 0 to 1.", [0.0, 1.0], 1.0),
        number("squeeze", "Flattens the shape: above 0 to lie, below 0 to stand.", [-1.0, 1.0], 0.0),
        number("x", "Centre, part of the width.", [f64::MIN, f64::MAX], 0.5),
        number("y", "Centre, part of the height.", [f64::MIN, f64::MAX], 0.5),
        number("rotation", "Angle that the shape is turned by, degrees.", [0.0, 360.0], 0.0),
    ],
    revision: 1,
};

/// The operation `gegl/vignette`.
#[derive(Debug)]
pub struct Vignette;

impl Operation for Vignette {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let [r, g, b, alpha] = properties.color("color").linear();
        let (radius, softness) = (properties.number("radius"), properties.number("softness"));
        // Far beyond all pictures, and such that nothing overflows.
        let float = |value: f64| value.clamp(-1e9, 1e9) as f32;
        Ok(vec![Pass::Point(Box::new(Fading {
            shape: match properties.choice("shape") {
                "square" => Shape::Square,
                "diamond" => Shape::Diamond,
                "horizontal" => Shape::Horizontal,
                "vertical" => Shape::Vertical,
                _ => Shape::Circle,
            },
            color: [r * alpha, g * alpha, b * alpha, alpha],
            start: float(radius * (1.0 - softness)),
            steepness: float(1.0 / (radius * softness).max(1e-4)),
            gamma: float(properties.number("gamma")),
            proportion: properties.number("proportion"),
            squeeze: properties.number("squeeze"),
            center: ["x", "y"].map(|name| properties.number(name)),
            turn: properties.number("rotation").to_radians(),
        }))])
    }
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    Circle,
    Square,
    Diamond,
    Horizontal,
    Vertical,
}

#[derive(Debug)]
struct Fading {
    shape: Shape,
    /// Linear, premultiplied.
    color: [f32; 4],
    /// Distance from the centre where the colour begins to show, half widths.
    start: f32,
    /// One over the distance from there to where it is all there is.
    steepness: f32,
    gamma: f32,
    proportion: f64,
    squeeze: f64,
    /// Parts of the picture's width and height.
    center: [f64; 2],
    /// Angle, radians.
    turn: f64,
}

impl Point for Fading {
    fn format(&self, input: Format) -> Format {
        if self.color[3] == 1.0 { Format::LINP.opaque_like(input) } else { Format::LINP }
    }

    fn apply(&self, row: &mut [[f32; 4]], x: i32, y: i32, bounds: Rect) {
        let axes = self.axes(bounds, y);
        // Columns are counted from the picture's edge, so that they do not depend on the tile.
        let column = (i64::from(x) - i64::from(bounds.x)) as usize;
        match self.shape {
            Shape::Circle => self.fade(row, column, axes, |u, v| (u * u + v * v).sqrt()),
            Shape::Square => self.fade(row, column, axes, |u, v| u.abs().max(v.abs())),
            Shape::Diamond => self.fade(row, column, axes, |u, v| u.abs() + v.abs()),
            Shape::Horizontal => self.fade(row, column, axes, |_, v| v.abs()),
            Shape::Vertical => self.fade(row, column, axes, |u, _| u.abs()),
        }
    }

    fn weight(&self) -> f32 {
        12.0
    }
}

/// A coordinate of the shape along a row of pixels, half widths: that of the picture's first column,
/// and what each further column adds.
#[derive(Clone, Copy)]
struct Axis {
    first: f32,
    step: f32,
}

impl Axis {
    #[inline(always)]
    fn at(self, column: f32) -> f32 {
        self.first + self.step * column
    }
}

impl Fading {
    /// The two coordinates along the row `y`.
    fn axes(&self, bounds: Rect, y: i32) -> [Axis; 2] {
        let (width, height) = (f64::from(bounds.width), f64::from(bounds.height));
        let from_center = |at: i32, start: i32, size: f64, part: f64| {
            (f64::from(at) - (f64::from(start) + size * part).trunc()).clamp(-1e9, 1e9)
        };
        let dx = from_center(bounds.x, bounds.x, width, self.center[0]);
        let dy = from_center(y, bounds.y, height, self.center[1]);
        let aspect = width / height * self.proportion + (1.0 - self.proportion);
        let squeeze = (self.squeeze.abs() * std::f64::consts::FRAC_PI_2).tan() + 1.0;
        let aspect = if self.squeeze < 0.0 { aspect / squeeze } else { aspect * squeeze };
        // Only ever is one side of the shape made shorter, never the other longer.
        let [along_u, along_v] = [(1.0 / aspect).max(1.0), aspect.max(1.0)].map(|f| f.min(1e9) / (width / 2.0));
        let (sin, cos) = self.turn.sin_cos();
        [
            Axis { first: ((dx * cos + dy * sin) * along_u) as f32, step: (cos * along_u) as f32 },
            Axis { first: ((dy * cos - dx * sin) * along_v) as f32, step: (-sin * along_v) as f32 },
        ]
    }

    #[inline(always)]
    fn fade(&self, row: &mut [[f32; 4]], first: usize, [u, v]: [Axis; 2], distance: impl Fn(f32, f32) -> f32) {
        // In two loops, each of which becomes vector code.
        const CHUNK: usize = 64;
        let mut parts = [0.0f32; CHUNK];
        for (chunk, pixels) in row.chunks_mut(CHUNK).enumerate() {
            let first = (first + chunk * CHUNK) as f32;
            for (index, part) in parts.iter_mut().enumerate() {
                let column = first + index as f32;
                let rise = (distance(u.at(column), v.at(column)) - self.start) * self.steepness;
                let rise = if rise < 1.0 { rise } else { 1.0 };
                let risen = power(rise, self.gamma);
                *part = if rise > 0.0 { risen } else { 0.0 };
            }
            for (pixel, part) in pixels.iter_mut().zip(&parts) {
                *pixel = std::array::from_fn(|c| pixel[c] + (self.color[c] - pixel[c]) * part);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::native::testing::{all_pixels, assert_pixel, check};

    /// Part of the colour at pixels of a picture, by what is left of white.
    fn parts<const N: usize>(given: &[(&str, &str)], size: [u32; 2], at: [(i32, i32); N]) -> [f32; N] {
        let white = Image::from_rgb8(Rect::sized(size[0], size[1]), vec![[255; 3]; (size[0] * size[1]) as usize]);
        let out = check(&Vignette, given, &[Some(&white)]);
        assert_eq!(out.format(), Format::LIN_OPAQUE);
        at.map(|(x, y)| 1.0 - crate::native::testing::pixel(&out, x, y)[0])
    }

    #[track_caller]
    fn near<const N: usize>(found: [f32; N], expected: [f32; N]) {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?}, expected {expected:?}");
    }

    const EVEN: [(&str, &str); 3] = [("radius", "1"), ("softness", "0.5"), ("gamma", "1")];

    #[test]
    fn the_shape_is_that_of_the_picture() {
        // 24 x 12 around (12, 6): the ends of both axes are 1 away, and (0, 0) is sqrt(2).
        let at = [(12, 6), (3, 6), (0, 6), (12, 0), (12, 2), (0, 0)];
        near(parts(&EVEN, [24, 12], at), [0.0, 0.5, 1.0, 1.0, 1.0 / 3.0, 1.0]);
        // Standing pictures too.
        near(parts(&EVEN, [12, 24], [(6, 12), (6, 3), (0, 12), (2, 12)]), [0.0, 1.0, 1.0, 1.0]);
        // Half widths, where proportions do not count.
        let round = [EVEN[0], EVEN[1], EVEN[2], ("proportion", "0")];
        near(parts(&round, [24, 12], [(3, 6), (12, 0)]), [0.5, 0.0]);
    }

    #[test]
    fn shapes_by_hand() {
        // (6, 9): 6 to the left and 3, stretched to 6, below: half a half width each.
        for (shape, part) in [("circle", 0.414_213_56), ("square", 0.0), ("diamond", 1.0)] {
            let given = [EVEN[0], EVEN[1], EVEN[2], ("shape", shape)];
            near(parts(&given, [24, 12], [(6, 9)]), [part]);
        }
        let given = [EVEN[0], EVEN[1], EVEN[2], ("shape", "vertical")];
        near(parts(&given, [24, 12], [(3, 0), (12, 0)]), [0.5, 0.0]);
        let given = [EVEN[0], EVEN[1], EVEN[2], ("shape", "horizontal")];
        near(parts(&given, [24, 12], [(0, 6), (0, 0)]), [0.0, 1.0]);
    }

    #[test]
    fn squeeze_gamma_and_turning() {
        // tan(45 degrees) + 1: twice as flat, or twice as narrow.
        let given = [EVEN[0], EVEN[1], EVEN[2], ("squeeze", "0.5")];
        near(parts(&given, [24, 24], [(12, 8), (12, 6), (3, 12)]), [1.0 / 3.0, 1.0, 0.5]);
        let given = [EVEN[0], EVEN[1], EVEN[2], ("squeeze", "-0.5")];
        near(parts(&given, [24, 24], [(8, 12), (6, 12), (12, 3)]), [1.0 / 3.0, 1.0, 0.5]);
        let given = [EVEN[0], EVEN[1], EVEN[2], ("squeeze", "0.5"), ("rotation", "90")];
        near(parts(&given, [24, 24], [(8, 12), (12, 3)]), [1.0 / 3.0, 0.5]);
        // Clockwise: what was to the right is to the right and below, sqrt(1/2) of a half width away.
        let given = [EVEN[0], EVEN[1], EVEN[2], ("squeeze", "0.5"), ("rotation", "45")];
        near(parts(&given, [24, 24], [(18, 18), (18, 6)]), [0.414_213_56, 1.0]);
        near(parts(&[EVEN[0], EVEN[1], ("gamma", "3")], [24, 12], [(3, 6)]), [0.125]);
        near(parts(&[EVEN[0], EVEN[1], ("gamma", "0")], [24, 12], [(3, 6), (12, 6)]), [1.0, 0.0]);
        // Nothing soft: a step at the radius.
        near(parts(&[EVEN[0], ("softness", "0")], [24, 12], [(0, 6), (0, 5), (1, 6)]), [0.0, 1.0, 0.0]);
    }

    #[test]
    fn colours_mix_premultiplied() {
        let image = Image::from_float(Rect::sized(2, 2), Format::LINP, vec![[0.5, 0.25, 0.0, 0.5]; 4]);
        // The centre is (1, 1): (0, 1) is one half width away, and half of the way.
        let given =
            [("color", "rgba(0, 1, 0, 0.5)"), ("radius", "1.5"), ("gamma", "1"), ("softness", "0.666666666667")];
        let out = check(&Vignette, &given, &[Some(&image)]);
        assert_pixel(&out, 0, 1, [0.25, 0.375, 0.0, 0.5], 1e-6);
        assert_pixel(&out, 1, 1, [0.5, 0.25, 0.0, 0.5], 1e-6);
    }

    #[test]
    fn hostile_numbers_give_numbers() {
        let image = Image::from_rgb8(Rect::new(-2, 3, 4, 3), vec![[128; 3]; 12]);
        for given in [
            [("radius", "1e308"), ("gamma", "1e308"), ("x", "1e308")],
            [("radius", "0"), ("gamma", "0"), ("y", "-1e308")],
            [("squeeze", "1"), ("softness", "0"), ("gamma", "1e308")],
            [("squeeze", "-1"), ("rotation", "45"), ("x", "1e308")],
        ] {
            let out = check(&Vignette, &given, &[Some(&image)]);
            assert!(all_pixels(&out).iter().flatten().all(|v| v.is_finite()), "{given:?}");
        }
    }
}
