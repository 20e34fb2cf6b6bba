//! `gegl/translate`: moves the picture.
//!
//! Whole pixels move as they are. A part of a pixel is read between pixels, and the box grows by
//! the one that the edge then lies in. `nearest` moves by the nearest number of whole pixels, halves
//! away from 0, in that larger box. See `transform`.

use super::sampler::Sampler;
use super::transform::{IDENTITY, around, coordinate, properties};
use crate::{Info, OpError, Operation, Pad, Pass, Properties};

const INFO: Info = Info {
    name: "gegl/translate",
    aliases: &[],
    categories: &["transform"],
    title: "Translate",
    description: "Moves the picture; by whole pixels without reading between them.",
    inputs: &[Pad::INPUT],
    properties: &properties([coordinate("x", "How far to the right, pixels"), coordinate("y", "How far down, pixels")]),
    revision: 2,
};

/// The operation `gegl/translate`.
#[derive(Debug)]
pub struct Translate;

impl Operation for Translate {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn lengths(&self) -> &'static [&'static str] {
        &["x", "y"]
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let sampler = Sampler::from_choice(properties.choice("sampler"));
        let shift = ["x", "y"].map(|name| properties.number(name));
        Ok(around(IDENTITY, [0.0; 2], shift, sampler).into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::testing::{all_pixels, assert_pixel, check, noise_image, render, stops_when_cancelled};
    use crate::{Format, Image, Rect};

    #[test]
    fn whole_pixels_move_as_they_are() {
        for format in [Format::RGB8, Format::RGBA8, Format::LINP] {
            let image = noise_image(Rect::new(-7, 5, 23, 17), format);
            let moved = check(&Translate, &[("x", "3"), ("y", "-40")], &[Some(&image)]);
            assert_eq!((moved.rect(), moved.format()), (Rect::new(-4, -35, 23, 17), format));
            assert_eq!(all_pixels(&moved), all_pixels(&image));
        }
        let image = noise_image(Rect::sized(3, 3), Format::RGB8);
        assert_eq!(check(&Translate, &[], &[Some(&image)]), image);
    }

    #[test]
    fn a_part_of_a_pixel_is_shared_by_two() {
        let image = Image::from_float(Rect::sized(1, 1), Format::LINP, vec![[0.8, 0.4, 0.2, 1.0]]);
        let moved = check(&Translate, &[("x", "2.25")], &[Some(&image)]);
        assert_eq!(moved.rect(), Rect::new(2, 0, 2, 1));
        assert_pixel(&moved, 2, 0, [0.6, 0.3, 0.15, 0.75], 1e-6);
        assert_pixel(&moved, 3, 0, [0.2, 0.1, 0.05, 0.25], 1e-6);
        for rect in [Rect::new(-7, 5, 23, 17), Rect::sized(1, 12)] {
            for sampler in ["nearest", "linear", "cubic"] {
                let given = [("x", "-0.3"), ("y", "7.7"), ("sampler", sampler)];
                check(&Translate, &given, &[Some(&noise_image(rect, Format::RGBA8))]);
            }
        }
    }

    /// As GEGL 0.4.42 does it: the box is that of the true shift, and what is outside of an opaque picture is black.
    #[test]
    fn nearest_moves_by_whole_pixels() {
        let image = Image::from_rgb8(Rect::sized(2, 1), vec![[10; 3], [50; 3]]);
        for (x, left, expected) in [
            ("0.5", 0, [0, 10, 50]),
            ("-0.5", -1, [10, 50, 0]),
            ("1.5", 1, [0, 10, 50]),
            ("0.3", 0, [10, 50, 0]),
            ("0.7", 0, [0, 10, 50]),
        ] {
            let moved = check(&Translate, &[("x", x), ("sampler", "nearest")], &[Some(&image)]);
            let pixels = expected.map(|value| [value; 3]).to_vec();
            assert_eq!(moved, Image::from_rgb8(Rect::new(left, 0, 3, 1), pixels), "{x}");
        }
        let image = Image::from_float(Rect::sized(1, 1), Format::LIN_OPAQUE, vec![[0.5, 0.5, 0.5, 1.0]]);
        let moved = check(&Translate, &[("y", "0.5"), ("sampler", "nearest")], &[Some(&image)]);
        assert_pixel(&moved, 0, 0, [0.0, 0.0, 0.0, 1.0], 0.0);
        assert_pixel(&moved, 0, 1, [0.5, 0.5, 0.5, 1.0], 0.0);
    }

    #[test]
    fn far_away_is_no_fault_and_no_work() {
        let image = noise_image(Rect::sized(2, 2), Format::RGB8);
        let moved = render(&Translate, &[("x", "1e300")], &[Some(&image)]).unwrap();
        assert!(moved.rect().is_empty());
        assert!(stops_when_cancelled(&Translate, &[("x", "1")], &image));
    }
}
