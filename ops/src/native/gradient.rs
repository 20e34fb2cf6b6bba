//! `gegl/linear-gradient` and `gegl/radial-gradient`: two colours that run into each other, without end.
//!
//! The pixel (x, y) has start + t (end - start) of sRGB-coded, straight R, G, B and alpha, where t,
//! within 0..=1, is how far along the line from start to end (x, y) lies, or its distance from the start
//! in lengths of that line. A line of no length is nothing at all as a linear gradient and the end colour
//! as a radial one (GEGL 0.4, `linear-gradient.c`, `radial-gradient.c`).

use super::compose::rows;
use crate::{
    Area, Boxes, Cancel, Color, Format, Formats, Info, Kind, OpError, Operation, Pass, Properties, Property, Rect,
    Tile, View,
};

/// A gradient of one of the two kinds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gradient {
    info: &'static Info,
    /// False: linear.
    radial: bool,
}

const fn coordinate(name: &'static str, description: &'static str, default: f64) -> Property {
    Property { name, description, kind: Kind::Number { default, minimum: f64::MIN, maximum: f64::MAX } }
}

/// The properties; the two kinds have different ends by default.
const fn properties(end: f64) -> [Property; 6] {
    [
        coordinate("start-x", "Where the start colour is, pixels from the left.", 25.0),
        coordinate("start-y", "Where the start colour is, pixels from the top.", 25.0),
        coordinate("end-x", "Where the end colour begins, pixels from the left.", end),
        coordinate("end-y", "Where the end colour begins, pixels from the top.", end),
        Property {
            name: "start-color",
            description: "The colour at the start.",
            kind: Kind::Color { default: Color::BLACK },
        },
        Property {
            name: "end-color",
            description: "The colour at the end and beyond.",
            kind: Kind::Color { default: Color::WHITE },
        },
    ]
}

/// Both.
pub(super) static ALL: [Gradient; 2] = [
    Gradient {
        info: &Info {
            name: "gegl/linear-gradient",
            aliases: &[],
            categories: &["render:gradient"],
            title: "Linear Gradient",
            description: "Makes a plane of two colours that run into each other along a line.",
            inputs: &[],
            properties: &properties(150.0),
            revision: 1,
        },
        radial: false,
    },
    Gradient {
        info: &Info {
            name: "gegl/radial-gradient",
            aliases: &[],
            categories: &["render:gradient"],
            title: "Radial Gradient",
            description: "Makes a plane of two colours that run into each other around a point.",
            inputs: &[],
            properties: &properties(50.0),
            revision: 1,
        },
        radial: true,
    },
];

/// Where the colours are, as properties.
const ENDS: [&str; 4] = ["start-x", "start-y", "end-x", "end-y"];

impl Operation for Gradient {
    fn info(&self) -> &'static Info {
        self.info
    }

    fn lengths(&self) -> &'static [&'static str] {
        &ENDS
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        // Far beyond all pictures, and such that squares are numbers.
        let [start_x, start_y, end_x, end_y] = ENDS.map(|name| properties.number(name).clamp(-1e12, 1e12));
        let (along, length) = ([end_x - start_x, end_y - start_y], (end_x - start_x).hypot(end_y - start_y));
        let start = [start_x, start_y];
        let (kind, colors) = match (self.radial, length > 1e-100) {
            (false, true) => (Ramp::Linear { start, step: along.map(|part| part / length / length) }, None),
            (false, false) => (Ramp::End, Some([0.0; 4])),
            (true, true) => (Ramp::Radial { start, scale: 1.0 / length }, None),
            (true, false) => (Ramp::End, Some(properties.color("end-color").rgba)),
        };
        let color = |name| colors.unwrap_or(properties.color(name).rgba);
        Ok(vec![Pass::Area(Box::new(Plane { ramp: kind, from: color("start-color"), to: color("end-color") }))])
    }
}

/// How far a pixel is from the first colour to the second.
#[derive(Debug)]
enum Ramp {
    Linear {
        start: [f64; 2],
        /// Part of the way that a pixel further in x, in y goes.
        step: [f64; 2],
    },
    Radial {
        start: [f64; 2],
        /// One over the distance of the second colour.
        scale: f64,
    },
    /// At the second colour everywhere.
    End,
}

#[derive(Debug)]
struct Plane {
    ramp: Ramp,
    /// Coded, straight.
    from: [f32; 4],
    to: [f32; 4],
}

impl Plane {
    /// A row of pixels from column `left` on, given how far each is; inlined, so that each use has a loop
    /// of its own. Columns are doubles, so that where a tile begins makes no difference.
    #[inline(always)]
    fn fill(&self, row: &mut [[f32; 4]], left: i32, part: impl Fn(f64) -> f32) {
        let change: [f32; 4] = std::array::from_fn(|c| self.to[c] - self.from[c]);
        for (pixel, x) in row.iter_mut().zip(left..) {
            let part = part(f64::from(x));
            let part = if part > 0.0 { part } else { 0.0 };
            let part = if part < 1.0 { part } else { 1.0 };
            *pixel = std::array::from_fn(|c| self.from[c] + change[c] * part);
        }
    }
}

impl Area for Plane {
    fn formats(&self, _inputs: &[Option<Format>]) -> Formats {
        let opaque = self.from[3] == 1.0 && self.to[3] == 1.0;
        let output = if opaque { Format::GAM_OPAQUE } else { Format::GAM };
        Formats { inputs: [output; 2], output }
    }

    fn bounds(&self, _boxes: Boxes<'_>) -> Result<Rect, OpError> {
        Ok(Rect::INFINITE)
    }

    fn needed(&self, _pad: usize, _region: Rect, _boxes: Boxes<'_>) -> Rect {
        Rect::default()
    }

    fn weight(&self) -> f32 {
        3.0
    }

    fn render(
        &self,
        _inputs: &[Option<View<'_>>],
        _boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        cancel: &Cancel,
    ) -> Result<(), OpError> {
        let rect = output.rect();
        let float = |value: f64| value.clamp(-1e30, 1e30) as f32;
        for y in rows(rect) {
            cancel.check()?;
            let row = output.row_mut(y);
            match self.ramp {
                Ramp::Linear { start, step } => {
                    let along_y = (f64::from(y) - start[1]) * step[1];
                    self.fill(row, rect.x, |x| float((x - start[0]) * step[0] + along_y));
                }
                Ramp::Radial { start, scale } => {
                    let dy = f64::from(y) - start[1];
                    self.fill(row, rect.x, |x| float(((x - start[0]) * (x - start[0]) + dy * dy).sqrt() * scale));
                }
                Ramp::End => self.fill(row, rect.x, |_| 1.0),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::testing::{all_pixels, assert_pixel, check};

    const COLORS: [(&str, &str); 2] = [("start-color", "#ff000080"), ("end-color", "#0033ffff")];

    fn gradient(radial: bool, line: [&'static str; 4]) -> crate::Image {
        let given: Vec<_> = ENDS.into_iter().zip(line).chain(COLORS).collect();
        check(&ALL[usize::from(radial)], &given, &[])
    }

    /// The colour that far from the start.
    fn mixed(part: f32) -> [f32; 4] {
        [1.0 - part, part * 0.2, part, (128.0 + 127.0 * part) / 255.0]
    }

    #[test]
    fn along_a_line() {
        let out = gradient(false, ["2", "1", "6", "4"]);
        assert_eq!(out.format(), Format::GAM);
        // (x - 2) 4 + (y - 1) 3, of 25.
        for (x, y, part) in
            [(2, 1, 0.0), (6, 4, 1.0), (4, 1, 0.32), (2, 5, 0.48), (-1, 5, 0.0), (-1, 6, 0.12), (9, 9, 1.0)]
        {
            assert_pixel(&out, x, y, mixed(part), 1e-6);
        }
    }

    #[test]
    fn around_a_point() {
        let out = gradient(true, ["2", "1", "10", "7"]);
        // Distances from (2, 1), of 10.
        for (x, y, part) in [(2, 1, 0.0), (10, 7, 1.0), (5, 5, 0.5), (-1, 1, 0.3), (2, 14, 1.0)] {
            assert_pixel(&out, x, y, mixed(part), 1e-6);
        }
    }

    #[test]
    fn lines_of_no_length() {
        assert!(all_pixels(&gradient(false, ["3", "3", "3", "3"])).iter().all(|pixel| *pixel == [0.0; 4]));
        assert_pixel(&gradient(true, ["3", "3", "3", "3"]), 3, 3, mixed(1.0), 1e-6);
    }

    #[test]
    fn defaults_are_opaque_and_hostile_lines_give_numbers() {
        for (kind, at) in ALL.iter().zip([150.0, 50.0]) {
            let out = check(kind, &[], &[]);
            assert_eq!(out.format(), Format::GAM_OPAQUE, "{at}");
            assert!(all_pixels(&out).iter().all(|pixel| pixel[3] == 1.0 && pixel[0] < 1.0 + at));
        }
        for line in [["-1e308", "1e308", "1e308", "-1e308"], ["0", "0", "1e-300", "0"], ["1e-90", "0", "0", "0"]] {
            for radial in [false, true] {
                assert!(
                    all_pixels(&gradient(radial, line)).iter().flatten().all(|v| (0.0..=1.0).contains(v)),
                    "{line:?}"
                );
            }
        }
    }
}
