//! `imgflo/example`: the original's example of a custom operation, kept because the shipped graph
//! `customgrey` uses it.
//!
//! It copies in `YA`, so it gives the same picture as `gegl/gray`, except that the result always
//! has alpha.

use super::gray::ToGray;
use crate::{Info, OpError, Operation, Pad, Pass, Properties};

static INFO: Info = Info {
    name: "imgflo/example",
    aliases: &[],
    categories: &["example"],
    title: "Example",
    description: "Turns the picture gray: the smallest useful operation, an example to copy.",
    inputs: &[Pad::INPUT],
    properties: &[],
    revision: 1,
};

/// The operation `imgflo/example`.
#[derive(Debug)]
pub struct Example;

impl Operation for Example {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, _properties: &Properties) -> Result<Vec<Pass>, OpError> {
        Ok(vec![Pass::Point(Box::new(ToGray { keeps_opaque: false }))])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::gray::Gray;
    use crate::native::testing::{all_pixels, check, noise_image};
    use crate::{Format, Rect};

    #[test]
    fn the_picture_of_gray_with_alpha() {
        for format in [Format::RGB8, Format::RGBA8, Format::LINP, Format::GAM_OPAQUE] {
            let image = noise_image(Rect::new(-2, 5, 11, 3), format);
            let example = check(&Example, &[], &[Some(&image)]);
            assert_eq!((example.rect(), example.format()), (image.rect(), Format::LIN));
            assert_eq!(all_pixels(&example), all_pixels(&check(&Gray, &[], &[Some(&image)])));
        }
    }
}
