//! `gegl/scale-size-keepaspect`: scales to a width, a height, or both.
//!
//! The filter is GEGL 0.4.42's: bilinear between pixel centres; when an output pixel is U ≥ 2 source
//! pixels wide, the mean of min(⌊U⌋, 4) bilinear samples along that axis (5 for `cubic`).
//!
//! Unlike GEGL, the output is exactly as wide as asked, the other side is rounded half up instead of
//! always up, edges are those of the picture instead of fading out, and no row stays empty. The scale
//! stays the exact ratio, so inner pixels are the same.

use super::scale::{Extent, LARGEST, Scale, properties};
use crate::{Info, Kind, OpError, Operation, Pad, Pass, Properties, Property, Reduced, Reducible};

const fn size(name: &'static str, description: &'static str) -> Property {
    Property { name, description, kind: Kind::Number { default: -1.0, minimum: -LARGEST, maximum: LARGEST } }
}

const INFO: Info = Info {
    name: "gegl/scale-size-keepaspect",
    aliases: &[],
    categories: &["transform"],
    title: "Scale size keep aspect",
    description: "Scales to a width or a height and keeps the aspect ratio; to both when both are given.",
    inputs: &[Pad::INPUT],
    properties: &properties([
        size("x", "Width to scale to, pixels; 0 or less: from the height"),
        size("y", "Height to scale to, pixels; 0 or less: from the width"),
    ]),
    revision: 3,
};

/// The operation `gegl/scale-size-keepaspect`.
#[derive(Debug)]
pub struct ScaleSizeKeepaspect;

impl Operation for ScaleSizeKeepaspect {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn lengths(&self) -> &'static [&'static str] {
        &["x", "y"]
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        Ok(vec![scale(properties).pass()])
    }

    fn prepare_reduced(&self, properties: &Properties, input: Reducible) -> Option<(Reduced, Vec<Pass>)> {
        scale(properties).reduced(input)
    }
}

fn scale(properties: &Properties) -> Scale {
    Scale::of(properties, Extent::Size(["x", "y"].map(|name| properties.number(name))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::testing::{assert_pixel, check, noise_image, pixel, render, stops_when_cancelled};
    use crate::{Boxes, Format, Image, Rect};

    fn gray(rect: Rect, values: &[f32]) -> Image {
        Image::from_float(rect, Format::LINP, values.iter().map(|v| [*v, *v, *v, 1.0]).collect())
    }

    fn size_of(width: u32, height: u32, given: &[(&str, &str)]) -> (u32, u32) {
        let boxes = [Some(Rect::sized(width, height))];
        let properties = crate::native::testing::properties(&INFO, given);
        let passes = ScaleSizeKeepaspect.prepare(&properties).unwrap();
        let [Pass::Area(area)] = &passes[..] else { panic!("one area pass") };
        let bounds = area.bounds(Boxes { inputs: &boxes, origin: boxes[0] }).unwrap();
        assert_eq!((bounds.x, bounds.y), (0, 0));
        (bounds.width, bounds.height)
    }

    #[test]
    fn sizes_are_exact_and_round_half_up() {
        for width in 1..=1500 {
            assert_eq!(size_of(1300, 768, &[("x", &width.to_string())]).0, width);
            assert_eq!(size_of(1300, 768, &[("y", &width.to_string())]).1, width);
        }
        assert_eq!(size_of(1300, 768, &[("x", "300")]), (300, 177));
        assert_eq!(size_of(1300, 768, &[("x", "333")]), (333, 197));
        assert_eq!(size_of(2, 3, &[("x", "1")]), (1, 2));
        assert_eq!(size_of(4, 3, &[("y", "9")]), (12, 9));
        assert_eq!(size_of(1300, 768, &[("x", "10"), ("y", "900")]), (10, 900));
        assert_eq!(size_of(1000, 1, &[("x", "10")]), (10, 1));
        assert_eq!(size_of(10, 10, &[("x", "0.25")]), (1, 1));
        assert_eq!(size_of(10, 20, &[("x", "-5"), ("y", "0")]), (10, 20));
        assert_eq!(size_of(1, 16384, &[("x", "9000")]), (9000, 9000 * 16384));
    }

    #[test]
    fn sizes_beyond_all_limits_are_refused() {
        let image = |rect| [Some(rect)];
        let passes = ScaleSizeKeepaspect.prepare(&crate::native::testing::properties(&INFO, &[("x", "9000")])).unwrap();
        let [Pass::Area(area)] = &passes[..] else { panic!("one area pass") };
        for rect in [Rect::sized(1, 200_000), Rect::INFINITE, Rect::sized(0, 4)] {
            let boxes = image(rect);
            let result = area.bounds(Boxes { inputs: &boxes, origin: None });
            assert!(matches!(result, Err(OpError::Invalid(_))), "{rect:?}: {result:?}");
        }
    }

    #[test]
    fn a_third_is_the_mean_of_nine_and_edges_do_not_fade() {
        let mut values = vec![0.0; 36];
        values[7] = 0.9; // (1, 1)
        values[35] = 0.9; // (5, 5)
        let image = gray(Rect::sized(6, 6), &values);
        let third = check(&ScaleSizeKeepaspect, &[("x", "2")], &[Some(&image)]);
        for (x, y, v) in [(0, 0, 0.1), (1, 0, 0.0), (0, 1, 0.0), (1, 1, 0.1)] {
            assert_pixel(&third, x, y, [v, v, v, 1.0], 1e-6);
        }
        let image = gray(Rect::sized(2, 1), &[0.2, 0.6]);
        let double = check(&ScaleSizeKeepaspect, &[("x", "4")], &[Some(&image)]);
        for (x, v) in [0.2, 0.3, 0.5, 0.6].into_iter().enumerate() {
            assert_pixel(&double, x as i32, 0, [v, v, v, 1.0], 1e-6);
            assert_pixel(&double, x as i32, 1, [v, v, v, 1.0], 1e-6);
        }
    }

    #[test]
    fn bytes_are_scaled_as_light_with_alpha() {
        // Half of white over nothing: light 1, alpha 1/2, whatever colour the nothing has.
        let image = Image::from_rgba8(Rect::sized(2, 2), [[255, 255, 255, 255], [9, 9, 9, 0]].repeat(2));
        let one = check(&ScaleSizeKeepaspect, &[("x", "1")], &[Some(&image)]);
        assert_eq!(one.format(), Format::LINP);
        assert_pixel(&one, 0, 0, [0.5; 4], 1e-6);
        let image = Image::from_rgb8(Rect::sized(2, 2), [[255, 0, 188], [0, 0, 188]].repeat(2));
        let one = check(&ScaleSizeKeepaspect, &[("x", "1")], &[Some(&image)]);
        assert_eq!(one.format(), Format::LIN_OPAQUE);
        assert_pixel(&one, 0, 0, [0.5, 0.0, 0.502_887, 1.0], 1e-5);
    }

    #[test]
    fn beyond_the_edges_lies_what_the_policy_says() {
        let image = gray(Rect::sized(2, 1), &[0.2, 0.6]);
        let edges = |policy| {
            let given = [("x", "4"), ("abyss-policy", policy)];
            let image = check(&ScaleSizeKeepaspect, &given, &[Some(&image)]);
            (pixel(&image, 0, 0)[0], pixel(&image, 3, 1)[0])
        };
        let near = |(a, b): (f32, f32), c: f32, d: f32| assert!((a - c).abs() < 1e-6 && (b - d).abs() < 1e-6);
        near(edges("none"), 0.2, 0.6);
        near(edges("clamp"), 0.2, 0.6);
        near(edges("loop"), 0.3, 0.5);
        // A quarter on each axis lies outside: 9/16 of the pixel is left.
        near(edges("black"), 0.2 * 9.0 / 16.0, 0.6 * 9.0 / 16.0);
        near(edges("white"), 0.2 * 9.0 / 16.0 + 7.0 / 16.0, 0.6 * 9.0 / 16.0 + 7.0 / 16.0);
    }

    #[test]
    fn nearest_keeps_pixels_as_they_are() {
        for format in [Format::RGB8, Format::RGBA8, Format::GAM] {
            let image = noise_image(Rect::new(-2, 3, 5, 4), format);
            let result = check(&ScaleSizeKeepaspect, &[("x", "10"), ("sampler", "nearest")], &[Some(&image)]);
            assert_eq!((result.format(), result.rect()), (format, Rect::new(-4, 6, 10, 8)));
            assert_eq!(pixel(&result, -4, 6), pixel(&image, -2, 3));
            assert_eq!(pixel(&result, 5, 13), pixel(&image, 2, 6));
        }
    }

    #[test]
    fn a_flat_picture_stays_flat_at_any_size() {
        let color = [0.25, 0.5, 0.75, 1.0];
        for (width, height) in [(1, 1), (1, 40), (40, 1), (7, 5)] {
            let rect = Rect::new(3, -2, width, height);
            let image = Image::from_float(rect, Format::LINP, vec![color; rect.area() as usize]);
            for sampler in ["nearest", "linear", "cubic", "nohalo", "lohalo"] {
                for (x, y) in [("1", "1"), ("1", "-1"), ("13", "2"), ("2", "-1"), ("9", "11")] {
                    let given = [("x", x), ("y", y), ("sampler", sampler)];
                    let result = check(&ScaleSizeKeepaspect, &given, &[Some(&image)]);
                    let rect = result.rect();
                    assert_pixel(&result, rect.x, rect.y, color, 1e-5);
                    assert_pixel(&result, (rect.right() - 1) as i32, (rect.bottom() - 1) as i32, color, 1e-5);
                }
            }
        }
    }

    #[test]
    fn any_tiling_gives_the_same_pixels() {
        for format in [Format::RGB8, Format::RGBA8, Format::LIN, Format::GAMP] {
            let image = noise_image(Rect::new(-20, 9, 41, 33), format);
            for sampler in ["linear", "cubic", "nohalo", "lohalo"] {
                for policy in ["none", "loop", "black"] {
                    for x in ["3", "17", "50"] {
                        let given = [("x", x), ("sampler", sampler), ("abyss-policy", policy), ("origin-x", "4.5")];
                        check(&ScaleSizeKeepaspect, &given, &[Some(&image)]);
                    }
                }
            }
        }
    }

    #[test]
    fn huge_ratios_work() {
        let tall = noise_image(Rect::sized(2, 3000), Format::RGB8);
        for sampler in ["linear", "lohalo"] {
            let given = [("x", "40"), ("y", "1"), ("sampler", sampler)];
            let result = check(&ScaleSizeKeepaspect, &given, &[Some(&tall)]);
            assert_eq!(result.rect(), Rect::sized(40, 1));
        }
        let result = render(&ScaleSizeKeepaspect, &[("y", "9000")], &[Some(&tall)]).unwrap();
        assert_eq!(result.rect(), Rect::sized(6, 9000));
    }

    #[test]
    fn no_size_and_the_same_size_hand_the_picture_on() {
        let image = noise_image(Rect::new(1, 2, 4, 3), Format::GAM);
        for given in [&[][..], &[("x", "4")], &[("y", "3")], &[("x", "4"), ("y", "3")]] {
            assert_eq!(render(&ScaleSizeKeepaspect, given, &[Some(&image)]).unwrap(), image);
        }
        assert_eq!(Properties::defaults(INFO.properties).number("x"), -1.0);
    }

    #[test]
    fn a_cancelled_render_stops() {
        let image = noise_image(Rect::sized(9, 9), Format::RGB8);
        for sampler in ["nearest", "linear", "lohalo"] {
            assert!(stops_when_cancelled(&ScaleSizeKeepaspect, &[("x", "5"), ("sampler", sampler)], &image));
        }
    }
}
