//! `imgflo/resize`: the size that a page asks for, as sharp as can be.
//!
//! The kernel is Lanczos's with three lobes, as wide as the step where the picture gets smaller:
//! all source pixels count, whatever the ratio. GEGL's samplers look at a few points at most, so
//! that they leave jagged lines at small sizes. What gets larger is read by Catmull and Rom's cubic,
//! which rings less.

use super::sampler::Sampler;
use super::scale::{Extent, Scale};
use crate::{Info, Kind, OpError, Operation, Pad, Pass, Properties, Property, Reduced, Reducible};

const fn side(name: &'static str, description: &'static str) -> Property {
    Property { name, description, kind: Kind::Int { default: 0, minimum: 0, maximum: 9000 } }
}

const INFO: Info = Info {
    name: "imgflo/resize",
    aliases: &[],
    categories: &["transform"],
    title: "Resize",
    description: "Scales to a width or a height and keeps the aspect ratio; to both when both are given.",
    inputs: &[Pad::INPUT],
    properties: &[
        side("width", "Width, pixels; 0: from the height"),
        side("height", "Height, pixels; 0: from the width"),
    ],
    revision: 2,
};

/// The operation `imgflo/resize`.
#[derive(Debug)]
pub struct Resize;

impl Operation for Resize {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn lengths(&self) -> &'static [&'static str] {
        &["width", "height"]
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        Ok(vec![scale(properties).pass()])
    }

    fn prepare_reduced(&self, properties: &Properties, input: Reducible) -> Option<(Reduced, Vec<Pass>)> {
        scale(properties).reduced(input)
    }
}

fn scale(properties: &Properties) -> Scale {
    let side = |name| properties.int(name) as f64;
    let mut scale = Scale::new(Extent::Size([side("width"), side("height")]), Sampler::Lanczos);
    scale.covers = true;
    scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::testing::{assert_pixel, check, noise_image, pixel, render, stops_when_cancelled};
    use crate::{Format, Image, Rect};

    #[test]
    fn sizes_are_whole_and_the_aspect_stays() {
        let image = noise_image(Rect::sized(130, 77), Format::RGB8);
        for (given, size) in [
            (&[("width", "30")][..], (30, 18)),
            (&[("height", "30")], (51, 30)),
            (&[("width", "7"), ("height", "100")], (7, 100)),
            (&[("width", "1")], (1, 1)),
        ] {
            let rect = check(&Resize, given, &[Some(&image)]).rect();
            assert_eq!((rect.width, rect.height), size);
        }
        for given in [&[][..], &[("width", "130")], &[("width", "130"), ("height", "77")]] {
            assert_eq!(render(&Resize, given, &[Some(&image)]).unwrap(), image);
        }
    }

    /// A height that is rounded covers the picture from edge to edge.
    #[test]
    fn what_is_symmetric_stays_so() {
        let rect = Rect::sized(30, 21);
        let pixels = (0..21_i32).flat_map(|y| [[(y - 10).abs() as f32 / 10.0; 4]; 30]);
        let image = Image::from_float(rect, Format::LINP, pixels.collect());
        for width in ["4", "7", "17", "50"] {
            let result = check(&Resize, &[("width", width)], &[Some(&image)]);
            let last = result.rect().height as i32 - 1;
            for y in 0..=last {
                assert!((pixel(&result, 2, y)[0] - pixel(&result, 2, last - y)[0]).abs() < 1e-5, "{width}: {y}");
            }
        }
    }

    #[test]
    fn any_tiling_gives_the_same_pixels() {
        for format in [Format::RGB8, Format::RGBA8, Format::LIN] {
            let image = noise_image(Rect::sized(61, 83), format);
            for width in ["2", "13", "60", "100"] {
                check(&Resize, &[("width", width)], &[Some(&image)]);
            }
        }
    }

    /// Stripes of a wave of some pixels, as light around 1/2.
    fn stripes(length: f64) -> Image {
        let rect = Rect::sized(240, 240);
        let wave = |at: u32| 0.5 + 0.4 * ((f64::from(at) + 0.5) * std::f64::consts::TAU / length).sin();
        let pixels = (0..rect.height)
            .flat_map(|y| (0..rect.width).map(move |x| [wave(x) as f32, wave(y) as f32, wave(x + y) as f32, 1.0]));
        Image::from_float(rect, Format::LINP, pixels.collect())
    }

    /// What is too fine for the smaller picture becomes even; what is not stays.
    #[test]
    fn fine_stripes_make_no_coarse_ones() {
        let spread = |image: &Image, component: usize| {
            let inner = (10..30).flat_map(|y| (10..30).map(move |x| (x, y)));
            let values = inner.map(|(x, y)| pixel(image, x, y)[component]).collect::<Vec<_>>();
            let (least, most) = values.iter().fold((f32::MAX, f32::MIN), |(l, m), v| (l.min(*v), m.max(*v)));
            most - least
        };
        let small = |length| check(&Resize, &[("width", "40")], &[Some(&stripes(length))]);
        // Two pixels of the result are 12 of these; the kernel begins to let through at 9.
        for length in [2.5, 4.1, 6.5, 8.0] {
            let small = small(length);
            for component in 0..3 {
                assert!(spread(&small, component) < 0.04, "{length}: {}", spread(&small, component));
            }
        }
        let kept = small(30.0);
        assert!((0..3).all(|component| spread(&kept, component) > 0.7));
    }

    #[test]
    fn a_flat_picture_stays_flat_at_any_size() {
        let color = [0.25, 0.5, 0.75, 1.0];
        for (width, height) in [(1, 1), (1, 40), (40, 1), (7, 5), (300, 2)] {
            let rect = Rect::sized(width, height);
            let image = Image::from_float(rect, Format::LINP, vec![color; rect.area() as usize]);
            for given in [[("width", "1"), ("height", "1")], [("width", "13"), ("height", "2")]] {
                let result = check(&Resize, &given, &[Some(&image)]);
                let rect = result.rect();
                for (x, y) in [(0, 0), (rect.right() as i32 - 1, rect.bottom() as i32 - 1)] {
                    assert_pixel(&result, x, y, color, 1e-5);
                }
            }
        }
    }

    #[test]
    fn a_cancelled_render_stops() {
        let image = noise_image(Rect::sized(90, 90), Format::RGB8);
        assert!(stops_when_cancelled(&Resize, &[("width", "50")], &image));
    }
}
