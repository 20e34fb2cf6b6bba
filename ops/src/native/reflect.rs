//! `gegl/reflect`: mirrors the picture at a line.
//!
//! With u the unit vector along the line, p' = 2 (p · u) u - p, from the origin. The vector (0, 0)
//! leaves the picture as it is. See `transform`.

use super::sampler::Sampler;
use super::transform::{Matrix, ORIGIN_NAMES, around, coordinate, origin, properties};
use crate::{Info, OpError, Operation, Pad, Pass, Properties};

const INFO: Info = Info {
    name: "gegl/reflect",
    aliases: &[],
    categories: &["transform"],
    title: "Reflect",
    description: "Mirrors the picture at a line through the origin.",
    inputs: &[Pad::INPUT],
    properties: &properties([
        coordinate("x", "Direction of the line: x component; 1 beside y = 0 turns the picture upside down"),
        coordinate("y", "Direction of the line: y component; 1 beside x = 0 swaps left and right"),
    ]),
    revision: 2,
};

/// The operation `gegl/reflect`.
#[derive(Debug)]
pub struct Reflect;

impl Operation for Reflect {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn lengths(&self) -> &'static [&'static str] {
        &ORIGIN_NAMES
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let sampler = Sampler::from_choice(properties.choice("sampler"));
        let [x, y] = ["x", "y"].map(|name| properties.number(name));
        Ok(mirror(x, y).and_then(|matrix| around(matrix, origin(properties), [0.0; 2], sampler)).into_iter().collect())
    }
}

/// The matrix of a mirror along (x, y); `None` for no direction.
fn mirror(x: f64, y: f64) -> Option<Matrix> {
    let (x, y) = (x / f64::hypot(x, y), y / f64::hypot(x, y));
    (x.is_finite() && y.is_finite()).then_some([[x * x - y * y, 2.0 * x * y], [2.0 * x * y, y * y - x * x]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::testing::{check, noise_image};
    use crate::{Format, Image, Rect};

    #[test]
    fn mirrors_move_whole_pixels() {
        let (red, green) = ([255, 0, 0], [0, 255, 0]);
        let pair = Image::from_rgb8(Rect::sized(2, 1), vec![red, green]);
        let [red, green] = [red, green].map(|[r, g, b]| [r, g, b, 255]);
        let swapped = check(&Reflect, &[("y", "2.5")], &[Some(&pair)]);
        assert_eq!(swapped, Image::from_rgba8(Rect::new(-2, 0, 2, 1), vec![green, red]));
        // At its own middle it stays where it is.
        let swapped = check(&Reflect, &[("y", "1"), ("origin-x", "1")], &[Some(&pair)]);
        assert_eq!(swapped, Image::from_rgba8(Rect::sized(2, 1), vec![green, red]));
        let below = check(&Reflect, &[("x", "1"), ("origin-y", "1")], &[Some(&pair)]);
        assert_eq!(below, Image::from_rgba8(Rect::new(0, 1, 2, 1), vec![red, green]));
        // Along the diagonal x and y change places.
        let turned = check(&Reflect, &[("x", "1e200"), ("y", "1e200")], &[Some(&pair)]);
        assert_eq!(turned, Image::from_rgba8(Rect::sized(1, 2), vec![red, green]));
        assert_eq!(check(&Reflect, &[], &[Some(&pair)]), pair);
    }

    #[test]
    fn any_tiling_of_any_mirror() {
        let image = noise_image(Rect::new(-3, 4, 14, 10), Format::RGBA8);
        // 10 rows under 14 columns along (1, 2): the box that GEGL has.
        let still = image.clone().moved_to(0, 0);
        assert_eq!(check(&Reflect, &[("x", "1"), ("y", "2")], &[Some(&still)]).rect(), Rect::new(-9, 0, 17, 18));
        for sampler in ["nearest", "linear", "lohalo"] {
            check(&Reflect, &[("x", "-1"), ("y", "2"), ("sampler", sampler)], &[Some(&image)]);
        }
    }
}
