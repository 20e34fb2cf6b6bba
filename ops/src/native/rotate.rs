//! `gegl/rotate`: turns the picture around a point.
//!
//! x' = x cos + y sin, y' = -x sin + y cos, from the origin. See `transform`.

use super::sampler::{self, Sampler};
use super::transform::{NEAR_Z, ORIGIN, ORIGIN_NAMES, around, origin, rotation};
use crate::{Info, Kind, OpError, Operation, Pad, Pass, Properties, Property};

const INFO: Info = Info {
    name: "gegl/rotate",
    aliases: &[],
    categories: &["transform"],
    title: "Rotate",
    description: "Rotates the picture around a point.",
    inputs: &[Pad::INPUT],
    properties: &[
        ORIGIN[0],
        ORIGIN[1],
        NEAR_Z,
        sampler::PROPERTY,
        Property {
            name: "degrees",
            description: "Angle, counter-clockwise, in degrees",
            kind: Kind::Number { default: 0.0, minimum: -720.0, maximum: 720.0 },
        },
    ],
    revision: 2,
};

/// The operation `gegl/rotate`.
#[derive(Debug)]
pub struct Rotate;

impl Operation for Rotate {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn lengths(&self) -> &'static [&'static str] {
        &ORIGIN_NAMES
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let sampler = Sampler::from_choice(properties.choice("sampler"));
        let matrix = rotation(properties.number("degrees"));
        Ok(around(matrix, origin(properties), [0.0; 2], sampler).into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::rotate_on_center::RotateOnCenter;
    use crate::native::testing::{all_pixels, check, noise_image};
    use crate::{Format, Image, Rect};

    #[test]
    fn a_quarter_turn_goes_around_the_origin() {
        let pair = Image::from_rgb8(Rect::sized(2, 1), vec![[255, 0, 0], [0, 255, 0]]);
        let turned = check(&Rotate, &[("degrees", "90")], &[Some(&pair)]);
        assert_eq!(turned, Image::from_rgba8(Rect::new(0, -2, 1, 2), vec![[0, 255, 0, 255], [255, 0, 0, 255]]));
        // Around the lower right corner: (x, y) goes to (2 + y - 1, 1 - x + 2).
        let given = [("degrees", "-270"), ("origin-x", "2"), ("origin-y", "1")];
        let turned = check(&Rotate, &given, &[Some(&pair)]);
        assert_eq!(turned, Image::from_rgba8(Rect::new(1, 1, 1, 2), vec![[0, 255, 0, 255], [255, 0, 0, 255]]));
        assert_eq!(check(&Rotate, &[("degrees", "720")], &[Some(&pair)]), pair);
    }

    #[test]
    fn it_is_rotate_on_center_elsewhere() {
        // A turn by 30 degrees brings the least corner of 40 x 30 to (0, -40 / 2).
        let image = noise_image(Rect::sized(40, 30), Format::LINP);
        let turned = check(&Rotate, &[("degrees", "30")], &[Some(&image)]);
        let centred = check(&RotateOnCenter, &[("degrees", "30")], &[Some(&image)]);
        assert_eq!(turned.rect(), Rect { y: -20, ..centred.rect() });
        for (a, b) in all_pixels(&turned).into_iter().flatten().zip(all_pixels(&centred).into_iter().flatten()) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
    }
}
