//! `gegl/scale-size`: scales to a width and a height.
//!
//! A negative size mirrors at the origin. The filter, the edges and the rounding of sides are those
//! of `gegl/scale-size-keepaspect`.

use super::scale::{Extent, LARGEST, Scale, properties};
use crate::{Info, Kind, OpError, Operation, Pad, Pass, Properties, Property, Reduced, Reducible};

const fn side(name: &'static str, description: &'static str) -> Property {
    Property { name, description, kind: Kind::Number { default: 100.0, minimum: -LARGEST, maximum: LARGEST } }
}

const INFO: Info = Info {
    name: "gegl/scale-size",
    aliases: &[],
    categories: &["transform"],
    title: "Scale size",
    description: "Scales to a width and a height.",
    inputs: &[Pad::INPUT],
    properties: &properties([
        side("x", "Width to scale to, pixels; 0 leaves no picture"),
        side("y", "Height to scale to, pixels; 0 leaves no picture"),
    ]),
    revision: 2,
};

/// The operation `gegl/scale-size`.
#[derive(Debug)]
pub struct ScaleSize;

fn given(properties: &Properties) -> [f64; 2] {
    ["x", "y"].map(|name| properties.number(name))
}

impl Operation for ScaleSize {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn lengths(&self) -> &'static [&'static str] {
        &["x", "y"]
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let size = given(properties);
        if size.contains(&0.0) {
            return Err(OpError::Invalid("a size of 0 leaves no picture: x and y must not be 0".into()));
        }
        Ok(Scale::of(properties, Extent::Size(size.map(f64::abs))).mirrored(size))
    }

    fn prepare_reduced(&self, properties: &Properties, input: Reducible) -> Option<(Reduced, Vec<Pass>)> {
        let size = given(properties);
        let forwards = size.iter().all(|side| *side > 0.0);
        forwards.then(|| Scale::of(properties, Extent::Size(size)).reduced(input)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::testing::{all_pixels, check, noise_image, render};
    use crate::{Format, Rect};

    #[test]
    fn both_sides_are_as_asked_for() {
        let image = noise_image(Rect::sized(30, 20), Format::RGB8);
        assert_eq!(check(&ScaleSize, &[], &[Some(&image)]).rect(), Rect::sized(100, 100));
        let there = check(&ScaleSize, &[("x", "7"), ("y", "9")], &[Some(&image)]);
        assert_eq!(there.rect(), Rect::sized(7, 9));
        let mirrored = check(&ScaleSize, &[("x", "-7"), ("y", "-9")], &[Some(&image)]);
        assert_eq!(mirrored.rect(), Rect::new(-7, -9, 7, 9));
        let turned = all_pixels(&there).into_iter().rev().flatten();
        for (a, b) in all_pixels(&mirrored).into_iter().flatten().zip(turned) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
        for given in [[("x", "0"), ("y", "9")], [("x", "9"), ("y", "0")]] {
            let error = render(&ScaleSize, &given, &[Some(&image)]).unwrap_err();
            assert!(matches!(&error, OpError::Invalid(text) if text.contains("must not be 0")), "{error:?}");
        }
    }
}
