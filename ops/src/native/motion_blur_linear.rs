//! `gegl/motion-blur-linear`: smears the picture along a line.
//!
//! With `(ox, oy) = length · (cos angle, sin angle)`, y down, a pixel becomes the mean of
//! `N = ⌈length⌉ + 1` bilinear samples at `(x, y) + t (ox, oy)`, t from -1/2 to 1/2. The places are
//! the same for every pixel, so all samples together are one sparse kernel. Works in premultiplied
//! linear light; outside is transparent, and the box grows by half the smear on each side.
//!
//! GEGL's rounding makes the cosine of 90 degrees 6e-17 and the box one column wider on each side;
//! here components below 1e-9 are zero.

use std::collections::BTreeMap;

use multiversion::multiversion;

use crate::{
    Area, Boxes, Cancel, Format, Formats, Info, Kind, OpError, Operation, Pad, Pass, Properties, Property, Rect, Tile,
    View,
};

const INFO: Info = Info {
    name: "gegl/motion-blur-linear",
    aliases: &["gegl/motion-blur"],
    categories: &["blur"],
    title: "Linear Motion Blur",
    description: "Blurs along a line, as a moving camera does.",
    inputs: &[Pad::INPUT],
    properties: &[
        Property {
            name: "length",
            description: "Length of the smear, in pixels",
            kind: Kind::Number { default: 10.0, minimum: 0.0, maximum: 1000.0 },
        },
        Property {
            name: "angle",
            description: "Direction of the smear, clockwise, in degrees",
            kind: Kind::Number { default: 0.0, minimum: -180.0, maximum: 180.0 },
        },
    ],
    revision: 1,
};

/// The operation `gegl/motion-blur-linear`.
#[derive(Debug)]
pub struct MotionBlurLinear;

impl Operation for MotionBlurLinear {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn lengths(&self) -> &'static [&'static str] {
        &["length"]
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let length = properties.number("length");
        if length == 0.0 {
            return Ok(Vec::new());
        }
        let angle = properties.number("angle").to_radians();
        let component = |v: f64| if v.abs() < 1e-9 { 0.0 } else { v };
        let (ox, oy) = (component(length * angle.cos()), component(length * angle.sin()));
        Ok(vec![Pass::Area(Box::new(Smear {
            kernel: kernel(ox, oy, length.ceil() as i32 + 1),
            grow: ((ox.abs() / 2.0).ceil() as u32, (oy.abs() / 2.0).ceil() as u32),
        }))])
    }
}

/// One neighbour of the kernel: what is at (x + dx, y + dy) counts `weight`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tap {
    dx: i32,
    dy: i32,
    weight: f32,
}

/// All bilinear samples as one kernel, ordered by rows.
fn kernel(ox: f64, oy: f64, samples: i32) -> Vec<Tap> {
    let mut sums = BTreeMap::new();
    for k in 0..samples {
        let t = if samples == 1 { 0.0 } else { f64::from(k) / f64::from(samples - 1) - 0.5 };
        let (x, y) = (t * ox, t * oy);
        let (left, top) = (x.floor(), y.floor());
        let (fx, fy) = (x - left, y - top);
        for (right, wx) in [(0, 1.0 - fx), (1, fx)] {
            for (down, wy) in [(0, 1.0 - fy), (1, fy)] {
                if wx * wy > 0.0 {
                    *sums.entry((top as i32 + down, left as i32 + right)).or_insert(0.0) +=
                        wx * wy / f64::from(samples);
                }
            }
        }
    }
    sums.into_iter().map(|((dy, dx), weight)| Tap { dx, dy, weight: weight as f32 }).collect()
}

#[derive(Debug)]
struct Smear {
    kernel: Vec<Tap>,
    /// Columns and rows that the box grows by on each side.
    grow: (u32, u32),
}

impl Area for Smear {
    fn formats(&self, _inputs: &[Option<Format>]) -> Formats {
        // Outside is transparent and shows inside: opaque pictures gain alpha.
        Formats { inputs: [Format::LINP; 2], output: Format::LINP }
    }

    fn bounds(&self, boxes: Boxes<'_>) -> Result<Rect, OpError> {
        Ok(boxes.inputs[0].ok_or(OpError::MissingInput("input"))?.grow(self.grow.0, self.grow.1))
    }

    fn needed(&self, _pad: usize, region: Rect, _boxes: Boxes<'_>) -> Rect {
        // The last bilinear neighbour may lie one further than the smear reaches.
        region.grow(self.grow.0 + 1, self.grow.1 + 1)
    }

    fn weight(&self) -> f32 {
        1.0 + self.kernel.len() as f32 / 4.0
    }

    fn render(
        &self,
        inputs: &[Option<View<'_>>],
        _boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        cancel: &Cancel,
    ) -> Result<(), OpError> {
        let view = inputs[0].ok_or(OpError::MissingInput("input"))?;
        let rect = output.rect();
        for y in rect.y..rect.y + rect.height as i32 {
            cancel.check()?;
            let out = output.row_mut(y);
            out.fill([0.0; 4]);
            for row in self.kernel.chunk_by(|a, b| a.dy == b.dy) {
                let from = i64::from(y) + i64::from(row[0].dy);
                if (i64::from(view.bounds().y)..view.bounds().bottom()).contains(&from) {
                    add_row(row, &view, from as i32, rect.x, out);
                }
            }
        }
        Ok(())
    }
}

/// Output pixels that are added up at a time: their sums (1 KB) stay in the first-level cache from tap to tap.
const BLOCK: usize = 64;

/// Adds what the taps find in row `y` of the picture to a row of the output that begins at `x`.
fn add_row(taps: &[Tap], view: &View<'_>, y: i32, x: i32, out: &mut [[f32; 4]]) {
    let (Some(first), Some(last)) = (taps.first(), taps.last()) else { return };
    let (row, left) = (view.row(y), i64::from(view.rect().x));
    let reach = (last.dx - first.dx) as usize;
    let mut around = Vec::new();
    for (x, out) in (i64::from(x)..).step_by(BLOCK).zip(out.chunks_mut(BLOCK)) {
        let (from, length) = (x + i64::from(first.dx), out.len() + reach);
        let pixels = if from >= left && from + length as i64 <= view.rect().right() {
            &row[(from - left) as usize..][..length]
        } else {
            around.resize(length, [0.0; 4]);
            view.read_row(from as i32, y, &mut around);
            &around
        };
        add_taps(taps, first.dx, pixels, out);
    }
}

/// Adds what the taps find; the first of the pixels is `origin` away from the first of the output.
#[multiversion(targets("x86_64+avx2"))]
fn add_taps(taps: &[Tap], origin: i32, pixels: &[[f32; 4]], out: &mut [[f32; 4]]) {
    let length = out.len();
    let out = out.as_flattened_mut();
    let of = |tap: &Tap| pixels[(tap.dx - origin) as usize..][..length].as_flattened();
    let (fours, rest) = taps.as_chunks::<4>();
    for [a, b, c, d] in fours {
        // One after the other, as if each had a loop of its own.
        let sums = out.iter_mut().zip(of(a)).zip(of(b)).zip(of(c)).zip(of(d));
        for ((((sum, pa), pb), pc), pd) in sums {
            *sum = (((*sum + a.weight * pa) + b.weight * pb) + c.weight * pc) + d.weight * pd;
        }
    }
    for tap in rest {
        for (sum, pixel) in out.iter_mut().zip(of(tap)) {
            *sum += tap.weight * pixel;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::native::testing::{all_pixels, assert_pixel, check, noise_image, stops_when_cancelled};

    fn dot() -> Image {
        Image::from_float(Rect::sized(1, 1), Format::LINP, vec![[1.0, 0.5, 0.0, 1.0]])
    }

    #[test]
    fn a_dot_becomes_a_line() {
        // Length 4: five samples at -2, -1, 0, 1, 2, each a fifth.
        let line = check(&MotionBlurLinear, &[("length", "4")], &[Some(&dot())]);
        assert_eq!(line.rect(), Rect::new(-2, 0, 5, 1));
        for x in -2..=2 {
            assert_pixel(&line, x, 0, [0.2, 0.1, 0.0, 0.2], 1e-6);
        }
        let line = check(&MotionBlurLinear, &[("length", "4"), ("angle", "90")], &[Some(&dot())]);
        assert_eq!(line.rect(), Rect::new(0, -2, 1, 5));
        assert_pixel(&line, 0, -2, [0.2, 0.1, 0.0, 0.2], 1e-6);
    }

    #[test]
    fn samples_between_pixels_are_bilinear() {
        // Length 1: samples at -1/2 and 1/2; each gives half to the dot's place and to its
        // neighbour: 1/4, 1/2, 1/4.
        let line = check(&MotionBlurLinear, &[("length", "1")], &[Some(&dot())]);
        assert_eq!(line.rect(), Rect::new(-1, 0, 3, 1));
        assert_pixel(&line, -1, 0, [0.25, 0.125, 0.0, 0.25], 1e-6);
        assert_pixel(&line, 0, 0, [0.5, 0.25, 0.0, 0.5], 1e-6);
        assert_pixel(&line, 1, 0, [0.25, 0.125, 0.0, 0.25], 1e-6);
    }

    #[test]
    fn the_angle_is_clockwise() {
        // 45 degrees clockwise on the screen goes right and down: (-1, -1) and (1, 1) get light.
        let line = check(&MotionBlurLinear, &[("length", "2.8284271247461903"), ("angle", "45")], &[Some(&dot())]);
        assert!(crate::native::testing::pixel(&line, 1, 1)[3] > 0.1);
        assert!(crate::native::testing::pixel(&line, -1, -1)[3] > 0.1);
        assert!(crate::native::testing::pixel(&line, 1, -1)[3] < 1e-6);
    }

    #[test]
    fn no_light_is_lost_and_a_plane_stays() {
        let image = noise_image(Rect::new(-3, 8, 21, 13), Format::RGBA8);
        let before: f32 = all_pixels(&crate::native::testing::convert(&image, Format::LINP)).iter().map(|p| p[3]).sum();
        let smeared = check(&MotionBlurLinear, &[("length", "17.3"), ("angle", "-33")], &[Some(&image)]);
        let after: f32 = all_pixels(&smeared).iter().map(|p| p[3]).sum();
        assert!((before - after).abs() < before * 1e-4, "{before} {after}");
        let plane = Image::from_rgb8(Rect::sized(40, 40), vec![[255; 3]; 1600]);
        let smeared = check(&MotionBlurLinear, &[("length", "20"), ("angle", "30")], &[Some(&plane)]);
        assert_pixel(&smeared, 20, 20, [1.0; 4], 1e-5);
    }

    #[test]
    fn no_length_is_no_change_and_the_box_is_known() {
        let image = noise_image(Rect::sized(5, 4), Format::RGB8);
        assert_eq!(check(&MotionBlurLinear, &[("length", "0")], &[Some(&image)]), image);
        let smeared = check(&MotionBlurLinear, &[("length", "100"), ("angle", "90")], &[Some(&image)]);
        assert_eq!(smeared.rect(), Rect::new(0, -50, 5, 104));
    }

    #[test]
    fn it_stops_when_cancelled() {
        let image = noise_image(Rect::sized(64, 64), Format::RGBA8);
        assert!(stops_when_cancelled(&MotionBlurLinear, &[("length", "30")], &image));
    }
}
