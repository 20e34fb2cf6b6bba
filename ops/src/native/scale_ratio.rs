//! `gegl/scale-ratio`: scales by a factor along each axis.
//!
//! A negative factor mirrors at the origin. One that is not given is 1; in GEGL 0.4.42 it is 0, which
//! leaves nothing. The filter, the edges and the rounding of sides are those
//! of `gegl/scale-size-keepaspect`.

use super::scale::{Extent, LARGEST, Scale, properties};
use super::transform::ORIGIN_NAMES;
use crate::{Info, Kind, OpError, Operation, Pad, Pass, Properties, Property, Reduced, Reducible};

const fn side(name: &'static str, description: &'static str) -> Property {
    Property { name, description, kind: Kind::Number { default: 1.0, minimum: -LARGEST, maximum: LARGEST } }
}

const INFO: Info = Info {
    name: "gegl/scale-ratio",
    aliases: &[],
    categories: &["transform"],
    title: "Scale ratio",
    description: "Scales by a factor along each axis.",
    inputs: &[Pad::INPUT],
    properties: &properties([side("x", "Factor across; not 0"), side("y", "Factor down; not 0")]),
    revision: 3,
};

/// The operation `gegl/scale-ratio`.
#[derive(Debug)]
pub struct ScaleRatio;

fn given(properties: &Properties) -> [f64; 2] {
    ["x", "y"].map(|name| properties.number(name))
}

impl Operation for ScaleRatio {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn lengths(&self) -> &'static [&'static str] {
        &ORIGIN_NAMES
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let ratio = given(properties);
        Ok(Scale::of(properties, Extent::Ratio(ratio.map(f64::abs))).mirrored(ratio))
    }

    fn prepare_reduced(&self, properties: &Properties, input: Reducible) -> Option<(Reduced, Vec<Pass>)> {
        let ratio = given(properties);
        let forwards = ratio.iter().all(|ratio| *ratio > 0.0);
        forwards.then(|| Scale::of(properties, Extent::Ratio(ratio)).reduced(input)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::scale_size_keepaspect::ScaleSizeKeepaspect;
    use crate::native::testing::{all_pixels, check, noise_image, render};
    use crate::{Format, Image, Rect};

    #[test]
    fn a_ratio_is_a_size() {
        let image = noise_image(Rect::sized(30, 20), Format::RGB8);
        for (ratio, size) in [(["0.5", "0.25"], ["15", "5"]), (["2", "3"], ["60", "60"]), (["1", "1"], ["30", "20"])] {
            let by_ratio = check(&ScaleRatio, &[("x", ratio[0]), ("y", ratio[1])], &[Some(&image)]);
            let by_size = render(&ScaleSizeKeepaspect, &[("x", size[0]), ("y", size[1])], &[Some(&image)]).unwrap();
            assert_eq!(by_ratio, by_size);
        }
    }

    #[test]
    fn a_negative_ratio_mirrors() {
        let (red, green) = ([255, 0, 0], [0, 255, 0]);
        let pair = Image::from_rgb8(Rect::sized(2, 1), vec![red, green]);
        let given = [("x", "-1"), ("y", "1")];
        let mirrored = check(&ScaleRatio, &given, &[Some(&pair)]);
        // With alpha: nothing is beside a mirrored picture.
        let opaque = |[r, g, b]: [u8; 3]| [r, g, b, 255];
        assert_eq!(mirrored, Image::from_rgba8(Rect::new(-2, 0, 2, 1), vec![opaque(green), opaque(red)]));
        let given = [("x", "-2"), ("y", "3"), ("sampler", "nearest"), ("origin-x", "1")];
        let mirrored = check(&ScaleRatio, &given, &[Some(&pair)]);
        assert_eq!(mirrored.rect(), Rect::new(-1, 0, 4, 3));
        assert_eq!(
            all_pixels(&mirrored)[..4],
            [[0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0]]
        );
    }

    #[test]
    fn a_mirror_between_pixels_covers_no_pixel_more() {
        let image = noise_image(Rect::sized(3, 2), Format::RGB8);
        let given = [("x", "-10"), ("y", "-7.5"), ("origin-x", "0.3"), ("origin-y", "-4.2")];
        let rect = check(&ScaleRatio, &given, &[Some(&image)]).rect();
        assert_eq!((rect.width, rect.height), (30, 15));
    }

    #[test]
    fn nothing_is_left_of_a_ratio_of_nothing() {
        let image = noise_image(Rect::sized(3, 2), Format::RGB8);
        for given in [[("x", "2"), ("y", "0")], [("x", "0"), ("y", "-2")]] {
            let error = render(&ScaleRatio, &given, &[Some(&image)]).unwrap_err();
            assert!(matches!(&error, OpError::Invalid(text) if text.contains("ratio of 0")), "{error:?}");
        }
    }
}
