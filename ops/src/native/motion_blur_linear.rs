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
        1.0 + self.kernel.len() as f32 / 2.0
    }

    fn render(
        &self,
        inputs: &[Option<View<'_>>],
        _boxes: Boxes<'_>,
        output: &mut Tile<'_>,
        cancel: &Cancel,
    ) -> Result<(), OpError> {
        let view = inputs[0].ok_or(OpError::MissingInput("input"))?;
        let (rect, there) = (output.rect(), view.rect());
        for y in rect.y..rect.y + rect.height as i32 {
            cancel.check()?;
            let out = output.row_mut(y);
            out.fill([0.0; 4]);
            for row in self.kernel.chunk_by(|a, b| a.dy == b.dy) {
                let from = i64::from(y) + i64::from(row[0].dy);
                if from < i64::from(there.y) || from >= there.bottom() {
                    continue;
                }
                let pixels = view.row(from as i32);
                for tap in row {
                    // The columns of the output whose neighbour is inside.
                    let shift = i64::from(there.x) - i64::from(tap.dx) - i64::from(rect.x);
                    let (begin, end) = (shift.max(0), (shift + i64::from(there.width)).min(out.len() as i64));
                    if begin >= end {
                        continue;
                    }
                    let pixels = &pixels[(begin - shift) as usize..(end - shift) as usize];
                    for (sum, pixel) in out[begin as usize..end as usize].iter_mut().zip(pixels) {
                        for c in 0..4 {
                            sum[c] += tap.weight * pixel[c];
                        }
                    }
                }
            }
        }
        Ok(())
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
