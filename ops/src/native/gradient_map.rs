//! `gegl/gradient-map`: replaces brightness by the colours of a gradient of up to five stops.
//!
//! A table of 2048 colours is filled by walking up from 0 to 2047/2048 through the segments
//! between consecutive stops; a pixel takes entry trunc(clamp(Y 2047, 0, 2047)), with Y its linear
//! luminance or, with `srgb`, the coded value of that, and alpha times that of the entry (GEGL's
//! workshop operation `gradient-map.c`). Stops are not sorted, and before the first the line
//! through the first two goes on, as there. Two stops at one place make a step, where GEGL divides
//! by zero.

use crate::format::{coded_to_linear, linear_to_coded, luminance};
use crate::{Color, Encoding, Format, Info, Kind, OpError, Operation, Pad, Pass, Point, Properties, Property, Rect};

const ENTRIES: usize = 2048;

const fn stop(name: &'static str, default: f64) -> Property {
    Property {
        name,
        description: "Brightness that gets the colour of the same number, 0 to 1, rising from stop to stop.",
        kind: Kind::Number { default, minimum: f64::MIN, maximum: f64::MAX },
    }
}

const fn color(name: &'static str, default: Color) -> Property {
    Property { name, description: "Colour of the stop of the same number.", kind: Kind::Color { default } }
}

static INFO: Info = Info {
    name: "gegl/gradient-map",
    aliases: &[],
    categories: &["color"],
    title: "Gradient Map",
    description: "Replaces brightness by the colours of a gradient.",
    inputs: &[Pad::INPUT],
    properties: &[
        color("color1", Color::BLACK),
        stop("stop1", 0.0),
        color("color2", Color::WHITE),
        stop("stop2", 1.0),
        color("color3", Color::WHITE),
        stop("stop3", 1.0),
        color("color4", Color::WHITE),
        stop("stop4", 1.0),
        color("color5", Color::WHITE),
        stop("stop5", 1.0),
        Property {
            name: "srgb",
            description: "Measure brightness and mix colours in sRGB-coded values instead of light.",
            kind: Kind::Boolean { default: false },
        },
    ],
    revision: 1,
};

/// The operation `gegl/gradient-map`.
#[derive(Debug)]
pub struct GradientMap;

impl Operation for GradientMap {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let encoding = if properties.boolean("srgb") { Encoding::Coded } else { Encoding::Linear };
        let colors = ["color1", "color2", "color3", "color4", "color5"].map(|name| {
            let color = properties.color(name);
            let components = if encoding == Encoding::Coded { color.rgba } else { color.linear() };
            components.map(f64::from)
        });
        let stops = ["stop1", "stop2", "stop3", "stop4", "stop5"].map(|name| properties.number(name));
        let table = gradient(&colors, &stops);
        let opaque = table.iter().all(|entry| entry[3] == 1.0);
        Ok(vec![Pass::Point(Box::new(Map { table, encoding, opaque }))])
    }
}

/// The table of colours; the entry for position p / 2048 is number p.
fn gradient(colors: &[[f64; 4]; 5], stops: &[f64; 5]) -> Box<[[f32; 4]; ENTRIES]> {
    let mut table = Box::new([[0.0; 4]; ENTRIES]);
    let last = stops.len() - 1;
    let (mut from, mut to) = (0, 1);
    for (index, entry) in table.iter_mut().enumerate() {
        let position = index as f64 / ENTRIES as f64;
        if position > stops[to] {
            (from, to) = ((from + 1).min(last), (to + 1).min(last));
        }
        let weight = (position - stops[from]) / (stops[to] - stops[from]);
        // At the last stop, and where two stops are at one place: the later colour.
        let weight = if weight.is_finite() && from != to { weight } else { 1.0 };
        for (c, value) in entry.iter_mut().enumerate() {
            *value = (colors[from][c] + weight * (colors[to][c] - colors[from][c])) as f32;
        }
    }
    table
}

#[derive(Debug)]
struct Map {
    table: Box<[[f32; 4]; ENTRIES]>,
    /// Of the table's colours, and of the pixels coming in and going out.
    encoding: Encoding,
    /// True when all of the table is.
    opaque: bool,
}

impl Point for Map {
    fn format(&self, input: Format) -> Format {
        let format = Format { encoding: self.encoding, ..Format::LIN };
        if self.opaque { format.opaque_like(input) } else { format }
    }

    fn apply(&self, row: &mut [[f32; 4]], _x: i32, _y: i32, _bounds: Rect) {
        match self.encoding {
            Encoding::Linear => self.map(row, luminance),
            Encoding::Coded => self.map(row, |rgb| linear_to_coded(luminance(rgb.map(coded_to_linear)))),
        }
    }

    fn weight(&self) -> f32 {
        match self.encoding {
            Encoding::Linear => 4.0,
            Encoding::Coded => 30.0,
        }
    }
}

impl Map {
    #[inline(always)]
    fn map(&self, row: &mut [[f32; 4]], brightness: impl Fn([f32; 3]) -> f32) {
        // In two loops, of which the first is arithmetic on vectors and the second look-ups.
        const CHUNK: usize = 256;
        let mut indices = [0.0f32; CHUNK];
        for row in row.chunks_mut(CHUNK) {
            for (index, &[r, g, b, _]) in indices.iter_mut().zip(row.iter()) {
                *index = brightness([r, g, b]) * 2047.0;
            }
            for (pixel, index) in row.iter_mut().zip(indices) {
                // The cast clamps at 0, takes NaN for 0, and cuts the fraction off.
                let [r, g, b, alpha] = self.table[(index as usize).min(ENTRIES - 1)];
                *pixel = [r, g, b, alpha * pixel[3]];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::native::testing::{all_pixels, assert_pixel, check, noise_image};

    fn gray(values: &[f32]) -> Image {
        let pixels = values.iter().map(|v| [*v, *v, *v, 1.0]).collect();
        Image::from_float(Rect::new(-1, 0, values.len() as u32, 1), Format::LIN_OPAQUE, pixels)
    }

    #[test]
    fn the_default_is_gray_in_2048_steps() {
        let out = check(&GradientMap, &[], &[Some(&gray(&[0.0, 0.25, 0.5, 1.0, 7.0, -3.0, f32::NAN]))]);
        assert_eq!(out.format(), Format::LIN_OPAQUE);
        // 0.25 * 2047 = 511.75, entry 511 is 511 / 2048; 1023 / 2048; 2047 / 2048, never 1.
        let expected = [0.0, 511.0 / 2048.0, 1023.0 / 2048.0, 2047.0 / 2048.0, 2047.0 / 2048.0, 0.0, 0.0];
        for (pixel, v) in all_pixels(&out).into_iter().zip(expected) {
            assert_eq!(pixel, [v, v, v, 1.0]);
        }
    }

    #[test]
    fn light_is_mixed_between_stops() {
        let given = [
            ("color1", "rgb(0, 0, 0.5)"),
            ("color2", "rgb(1, 0, 0)"),
            ("color3", "rgb(0, 1, 0)"),
            ("stop2", "0.25"),
            ("stop3", "0.75"),
        ];
        // Luminance 1/8, 1/4, 1/2 and 7/8 fall on entries 255, 511, 1023 and 1791.
        let out = check(&GradientMap, &given, &[Some(&gray(&[0.125, 0.25, 0.5, 0.875]))]);
        let w = 255.0 / 2048.0 / 0.25;
        assert_pixel(&out, -1, 0, [w, 0.0, 0.5 * (1.0 - w), 1.0], 1e-6);
        let w = 511.0 / 2048.0 / 0.25;
        assert_pixel(&out, 0, 0, [w, 0.0, 0.5 * (1.0 - w), 1.0], 1e-6);
        let w = (1023.0 / 2048.0 - 0.25) / 0.5;
        assert_pixel(&out, 1, 0, [1.0 - w, w, 0.0, 1.0], 1e-6);
        // From 0.75 to 1, green turns to the default white.
        let w = (1791.0 / 2048.0 - 0.75) / 0.25;
        assert_pixel(&out, 2, 0, [w, 1.0, w, 1.0], 1e-6);
    }

    #[test]
    fn brightness_is_luminance() {
        let image = Image::from_rgb8(Rect::sized(2, 1), vec![[0, 255, 0], [0, 0, 255]]);
        let out = check(&GradientMap, &[], &[Some(&image)]);
        // 0.71690369 * 2047 = 1467.5; 0.06060791 * 2047 = 124.06.
        assert_pixel(&out, 0, 0, [1467.0 / 2048.0, 1467.0 / 2048.0, 1467.0 / 2048.0, 1.0], 1e-6);
        assert_pixel(&out, 1, 0, [124.0 / 2048.0, 124.0 / 2048.0, 124.0 / 2048.0, 1.0], 1e-6);
    }

    #[test]
    fn srgb_measures_and_mixes_coded_values() {
        let given = [("srgb", "true"), ("color1", "#ff0000"), ("color2", "#0000ff")];
        let out = check(&GradientMap, &given, &[Some(&gray(&[0.214_041_14]))]);
        assert_eq!(out.format(), Format::GAM_OPAQUE);
        // Light 0.21404 is coded 0.5: 1023.5, entry 1023.
        assert_pixel(&out, -1, 0, [1025.0 / 2048.0, 0.0, 1023.0 / 2048.0, 1.0], 1e-6);
    }

    #[test]
    fn alphas_multiply() {
        let image = Image::from_float(Rect::sized(1, 1), Format::LIN, vec![[0.5, 0.5, 0.5, 0.5]]);
        let given = [("color1", "#0000"), ("color2", "#ffffff")];
        let out = check(&GradientMap, &given, &[Some(&image)]);
        let w = 1023.0 / 2048.0;
        assert_pixel(&out, 0, 0, [w, w, w, w * 0.5], 1e-6);
        // An opaque picture gains alpha only through the colours.
        assert_eq!(check(&GradientMap, &given, &[Some(&gray(&[0.5]))]).format(), Format::LIN);
        assert_eq!(check(&GradientMap, &[], &[Some(&image)]).format(), Format::LIN);
    }

    fn table(stops: [f64; 5]) -> Box<[[f32; 4]; ENTRIES]> {
        let colors = [0.0, 1.0, 2.0, 3.0, 4.0].map(|v| [v, v, v, 1.0]);
        gradient(&colors, &stops)
    }

    #[test]
    fn before_the_first_stop_the_line_goes_on() {
        let table = table([0.5, 1.0, 1.0, 1.0, 1.0]);
        assert_eq!((table[0][0], table[512][0], table[1024][0]), (-1.0, -0.5, 0.0));
    }

    #[test]
    fn after_the_last_stop_the_last_colour_stays() {
        let table = table([0.0, 0.125, 0.25, 0.375, 0.5]);
        assert_eq!((table[256][0], table[640][0], table[1024][0]), (1.0, 2.5, 4.0));
        assert!(table[1025..].iter().all(|entry| entry[0] == 4.0));
    }

    #[test]
    fn stops_at_one_place_make_a_step() {
        let table = table([0.0, 0.25, 0.25, 0.5, 1.0]);
        // One entry for each stop passed: 513 is in the empty segment and gets its later colour.
        assert_eq!((table[512][0], table[513][0]), (1.0, 2.0));
        assert!((table[514][0] - 2.0).abs() < 0.01);
    }

    #[test]
    fn hostile_stops_give_numbers() {
        for stops in [
            [0.0; 5],
            [1.0, 0.0, -1.0, 5.0, 0.5],
            [f64::MIN, f64::MAX, 0.0, 0.0, 1.0],
            [0.0, 5e-324, 1e-323, 1.0, 1.0],
            [f64::MAX; 5],
            [f64::MIN; 5],
        ] {
            assert!(table(stops).iter().flatten().all(|v| !v.is_nan()), "{stops:?}");
        }
    }

    #[test]
    fn boxes_and_rows_longer_than_a_chunk() {
        let empty = noise_image(Rect::new(2, 2, 0, 0), Format::RGBA8);
        assert_eq!(check(&GradientMap, &[], &[Some(&empty)]).rect(), empty.rect());
        let long = noise_image(Rect::new(-300, 0, 700, 2), Format::LIN);
        let given = [("color1", "navy"), ("color2", "#ff8040")];
        assert_eq!(check(&GradientMap, &given, &[Some(&long)]).rect(), long.rect());
    }
}
