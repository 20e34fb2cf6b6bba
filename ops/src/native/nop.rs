//! `gegl/nop`: hands its input on unchanged.

use crate::{Info, OpError, Operation, Pad, Pass, Properties};

static INFO: Info = Info {
    name: "gegl/nop",
    aliases: &[],
    categories: &["core"],
    title: "No Operation",
    description: "Hands the picture on unchanged.",
    inputs: &[Pad::INPUT],
    properties: &[],
    revision: 1,
};

/// The operation `gegl/nop`.
#[derive(Debug)]
pub struct Nop;

impl Operation for Nop {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, _properties: &Properties) -> Result<Vec<Pass>, OpError> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::testing::{assert_same, check, noise_image};
    use crate::{Format, Rect};

    #[test]
    fn nothing_changes() {
        for format in [Format::RGB8, Format::RGBA8, Format::LINP] {
            let image = noise_image(Rect::new(-3, 2, 9, 4), format);
            assert_same(&check(&Nop, &[], &[Some(&image)]), &image, "nop");
        }
    }
}
