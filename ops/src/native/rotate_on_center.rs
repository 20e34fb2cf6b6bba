//! `gegl/rotate-on-center`: turns the picture, and its box with it.
//!
//! `x' = x cos + y sin, y' = -x sin + y cos` (counter-clockwise on the screen, y down), then a
//! shift that brings the least corner of the turned picture to (0, 0). See `transform`.

use super::sampler::{self, Sampler};
use super::transform::{NEAR_Z, coordinate, rotation, to_corner};
use crate::{Info, OpError, Operation, Pad, Pass, Properties};

const INFO: Info = Info {
    name: "gegl/rotate-on-center",
    aliases: &[],
    categories: &["transform"],
    title: "Rotate on center",
    description: "Rotates the picture around its centre; the result is as large as the turned picture.",
    inputs: &[Pad::INPUT],
    properties: &[
        coordinate("origin-x", "X coordinate of the origin, pixels; the centre is used whatever it is"),
        coordinate("origin-y", "Y coordinate of the origin, pixels; the centre is used whatever it is"),
        NEAR_Z,
        sampler::PROPERTY,
        coordinate("degrees", "Angle, counter-clockwise, in degrees"),
    ],
    revision: 2,
};

/// The operation `gegl/rotate-on-center`.
#[derive(Debug)]
pub struct RotateOnCenter;

impl Operation for RotateOnCenter {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let sampler = Sampler::from_choice(properties.choice("sampler"));
        Ok(to_corner(rotation(properties.number("degrees")), sampler).into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::testing::{assert_pixel, check, noise_image, stops_when_cancelled};
    use crate::{Format, Image, Rect};

    /// 2 × 1: red, green.
    fn pair() -> Image {
        Image::from_rgb8(Rect::sized(2, 1), vec![[255, 0, 0], [0, 255, 0]])
    }

    #[test]
    fn quarter_turns_move_pixels() {
        let pair = pair();
        // Counter-clockwise: what was on the right is on top.
        let turned = check(&RotateOnCenter, &[("degrees", "90")], &[Some(&pair)]);
        assert_eq!(turned, Image::from_rgba8(Rect::sized(1, 2), vec![[0, 255, 0, 255], [255, 0, 0, 255]]));
        let turned = check(&RotateOnCenter, &[("degrees", "180")], &[Some(&pair)]);
        assert_eq!(turned, Image::from_rgba8(Rect::sized(2, 1), vec![[0, 255, 0, 255], [255, 0, 0, 255]]));
        let turned = check(&RotateOnCenter, &[("degrees", "-90")], &[Some(&pair)]);
        assert_eq!(turned, Image::from_rgba8(Rect::sized(1, 2), vec![[255, 0, 0, 255], [0, 255, 0, 255]]));
        assert_eq!(check(&RotateOnCenter, &[("degrees", "720")], &[Some(&pair)]), pair);
    }

    #[test]
    fn the_box_grows_with_the_turned_picture() {
        // 160 cos 30 + 120 sin 30 = 198.56; 160 sin 30 + 120 cos 30 = 183.92.
        let image = noise_image(Rect::sized(160, 120), Format::RGBA8);
        let turned = check(&RotateOnCenter, &[("degrees", "30")], &[Some(&image)]);
        assert_eq!(turned.rect(), Rect::sized(199, 184));
    }

    #[test]
    fn a_plane_keeps_its_value_inside_and_is_clear_outside() {
        let plane = Image::from_float(Rect::sized(40, 40), Format::LINP, vec![[0.25, 0.5, 0.75, 1.0]; 1600]);
        for sampler in ["nearest", "linear", "cubic", "nohalo", "lohalo"] {
            let turned = check(&RotateOnCenter, &[("degrees", "45"), ("sampler", sampler)], &[Some(&plane)]);
            // 40 √2 = 56.57.
            assert_eq!(turned.rect(), Rect::sized(57, 57));
            assert_pixel(&turned, 28, 28, [0.25, 0.5, 0.75, 1.0], 1e-5);
            assert_pixel(&turned, 0, 0, [0.0; 4], 0.0);
            assert_pixel(&turned, 56, 56, [0.0; 4], 0.0);
        }
    }

    #[test]
    fn half_between_two_pixels_is_their_mean() {
        // A turn by 45 degrees of 2 x 2 brings its middle to the middle of 3 x 3 (2 √2 = 2.83,
        // shift √2): output (1.5, 1.5) comes from (1.0607, 1), 0.0607 right of the crossing.
        let pixels = vec![[0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0]];
        let image = Image::from_float(Rect::sized(2, 2), Format::LINP, pixels);
        let turned = check(&RotateOnCenter, &[("degrees", "45")], &[Some(&image)]);
        let (x, y) = (1.5, 1.5 - 2f64.sqrt());
        let u = (x - y) * 0.5f64.sqrt();
        assert_pixel(&turned, 1, 1, [(u - 0.5) as f32, 0.0, 0.0, 1.0], 1e-6);
    }

    #[test]
    fn nearest_keeps_bytes_and_gains_alpha() {
        let image = Image::from_rgb8(Rect::sized(9, 9), vec![[7, 8, 9]; 81]);
        let turned = check(&RotateOnCenter, &[("degrees", "20"), ("sampler", "nearest")], &[Some(&image)]);
        assert_eq!(turned.format(), Format::RGBA8);
        assert_pixel(&turned, 5, 5, [7.0 / 255.0, 8.0 / 255.0, 9.0 / 255.0, 1.0], 1e-6);
        assert_pixel(&turned, 0, 0, [0.0; 4], 0.0);
    }

    #[test]
    fn any_tiling_and_any_corner() {
        for rect in [Rect::new(-7, 5, 23, 17), Rect::sized(1, 1), Rect::new(3, -9, 1, 12)] {
            let image = noise_image(rect, Format::LINP);
            for degrees in ["13", "90", "200.5", "-45"] {
                check(&RotateOnCenter, &[("degrees", degrees)], &[Some(&image)]);
                check(&RotateOnCenter, &[("degrees", degrees), ("sampler", "cubic")], &[Some(&image)]);
            }
        }
    }

    #[test]
    fn it_stops_when_cancelled() {
        let image = noise_image(Rect::sized(64, 64), Format::RGBA8);
        assert!(stops_when_cancelled(&RotateOnCenter, &[("degrees", "30")], &image));
    }
}
