//! `gegl/hue-chroma`: turns the hue and shifts chroma and lightness.
//!
//! In CIE LCH(ab) of linear light: L + lightness, C + chroma within 0..=200, H + hue. Gray has no
//! hue and gains no chroma (GEGL 0.4, `hue-chroma.c`). There, the last bits of a gray pixel decide
//! whether it gains some; here none does.

use multiversion::multiversion;

use super::cie::{GRAY, ToLight, change, to_lab};
use crate::{Format, Info, Kind, OpError, Operation, Pad, Pass, Point, Properties, Property, Rect};

static INFO: Info = Info {
    name: "gegl/hue-chroma",
    aliases: &[],
    categories: &["color"],
    title: "Hue-Chroma",
    description: "Turns the hue, and changes chroma and lightness.",
    inputs: &[Pad::INPUT],
    properties: &[
        Property {
            name: "hue",
            description: "Angle to turn the hue by, degrees.",
            kind: Kind::Number { default: 0.0, minimum: -180.0, maximum: 180.0 },
        },
        Property {
            name: "chroma",
            description: "Chroma to add.",
            kind: Kind::Number { default: 0.0, minimum: -100.0, maximum: 100.0 },
        },
        Property {
            name: "lightness",
            description: "Lightness to add, of 100.",
            kind: Kind::Number { default: 0.0, minimum: -100.0, maximum: 100.0 },
        },
    ],
    revision: 1,
};

/// The operation `gegl/hue-chroma`.
#[derive(Debug)]
pub struct HueChroma;

impl Operation for HueChroma {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let [hue, chroma, lightness] = ["hue", "chroma", "lightness"].map(|name| properties.number(name));
        if [hue, chroma, lightness] == [0.0; 3] {
            return Ok(Vec::new());
        }
        let (sin, cos) = hue.to_radians().sin_cos();
        let turn = [cos as f32, sin as f32];
        Ok(vec![Pass::Point(Box::new(Shift { turn, chroma: chroma as f32, lightness: lightness as f32 }))])
    }
}

#[derive(Debug)]
struct Shift {
    /// Cosine and sine of the angle that the hue turns by.
    turn: [f32; 2],
    chroma: f32,
    lightness: f32,
}

impl Point for Shift {
    fn format(&self, input: Format) -> Format {
        Format::LIN.opaque_like(input)
    }

    fn apply(&self, row: &mut [[f32; 4]], _x: i32, _y: i32, _bounds: Rect) {
        shift(row, self, ToLight::new());
    }

    fn weight(&self) -> f32 {
        15.0
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn shift(row: &mut [[f32; 4]], by: &Shift, to_light: ToLight) {
    let ([cos, sin], lighter, stronger) = (by.turn, by.lightness, by.chroma);
    change(row, |rgb| {
        let [lightness, a, b] = to_lab(rgb);
        // a and b are C cos H and C sin H: to turn and to stretch them takes no angle.
        let chroma = (a * a + b * b).sqrt();
        let gray = chroma < GRAY;
        let stretch = (chroma + stronger).clamp(0.0, 200.0) / if gray { 1.0 } else { chroma };
        let stretch = if gray { 1.0 } else { stretch };
        let (a, b) = (stretch * (a * cos - b * sin), stretch * (a * sin + b * cos));
        to_light.lab([lightness + lighter, a, b])
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::native::cie::to_lch;
    use crate::native::testing::{assert_pixel, assert_same, check, noise_image, pixel};

    fn lch(given: &[(&str, &str)], rgb: [f32; 3]) -> [f32; 3] {
        let [r, g, b] = rgb;
        let image = Image::from_float(Rect::new(-1, 0, 1, 1), Format::LIN, vec![[r, g, b, 0.4]]);
        let [r, g, b, alpha] = pixel(&check(&HueChroma, given, &[Some(&image)]), -1, 0);
        assert_eq!(alpha, 0.4);
        to_lch([r, g, b])
    }

    #[track_caller]
    fn near(found: [f32; 3], expected: [f32; 3]) {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.02), "{found:?}, expected {expected:?}");
    }

    #[test]
    fn each_moves_alone() {
        let rgb = [0.5, 0.2, 0.1];
        let [l, c, h] = to_lch(rgb);
        near(lch(&[("hue", "40")], rgb), [l, c, h + 40.0]);
        near(lch(&[("hue", "-180")], rgb), [l, c, h + 180.0]);
        near(lch(&[("chroma", "10")], rgb), [l, c + 10.0, h]);
        near(lch(&[("chroma", "-100")], rgb), [l, 0.0, 0.0]);
        near(lch(&[("lightness", "-20")], rgb), [l - 20.0, c, h]);
    }

    #[test]
    fn gray_stays_gray() {
        for byte in 0..=255 {
            let image = Image::from_rgb8(Rect::sized(1, 1), vec![[byte; 3]]);
            let [r, g, b, _] = pixel(&check(&HueChroma, &[("chroma", "100")], &[Some(&image)]), 0, 0);
            assert!((r - g).abs() < 1e-5 && (g - b).abs() < 1e-5, "{byte}: {r} {g} {b}");
        }
    }

    #[test]
    fn measured_in_gegl() {
        let image = Image::from_float(Rect::sized(1, 1), Format::LIN, vec![[1.0, 0.0, 0.0, 1.0]]);
        let given = [("hue", "-170"), ("chroma", "20")];
        let expected = [-0.627_684_4, 0.379_217_5, 1.489_528_7, 1.0];
        assert_pixel(&check(&HueChroma, &given, &[Some(&image)]), 0, 0, expected, 2e-5);
    }

    #[test]
    fn defaults_change_nothing() {
        let image = noise_image(Rect::new(-3, 2, 9, 4), Format::RGBA8);
        assert_same(&check(&HueChroma, &[], &[Some(&image)]), &image, "defaults");
    }
}
