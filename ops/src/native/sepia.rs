//! `gegl/sepia`: the brown of old photographs.
//!
//! Each of R, G, B becomes a weighted sum of the three, of sRGB-coded values or with `srgb` false of
//! light; the weights go from those of no change to the known ones of the Windows Imaging guide by
//! `scale`. Alpha stays and nothing is clamped (GEGL 0.4, `sepia.c`).

use super::matrix::Matrix;
use crate::{Encoding, Info, Kind, OpError, Operation, Pad, Pass, Properties, Property};

/// Weights of R, G, B in R, then in G, then in B.
const SEPIA: [[f64; 3]; 3] = [[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]];

static INFO: Info = Info {
    name: "gegl/sepia",
    aliases: &[],
    categories: &["color"],
    title: "Sepia",
    description: "Tones the picture brown, as old photographs are.",
    inputs: &[Pad::INPUT],
    properties: &[
        Property {
            name: "scale",
            description: "Strength of the effect, from 0, none, to 1.",
            kind: Kind::Number { default: 1.0, minimum: 0.0, maximum: 1.0 },
        },
        Property {
            name: "srgb",
            description: "Weigh sRGB-coded values instead of light.",
            kind: Kind::Boolean { default: true },
        },
    ],
    revision: 1,
};

/// The operation `gegl/sepia`.
#[derive(Debug)]
pub struct Sepia;

impl Operation for Sepia {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let scale = properties.number("scale");
        let encoding = if properties.boolean("srgb") { Encoding::Coded } else { Encoding::Linear };
        let mut rows = SEPIA.map(|row| row.map(|weight| scale * weight));
        for (channel, row) in rows.iter_mut().enumerate() {
            row[channel] += 1.0 - scale;
        }
        Ok(Matrix::new(encoding, rows).passes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::testing::{assert_pixel, assert_same, check, noise_image};
    use crate::{Format, Image, Rect};

    #[test]
    fn tones_by_hand() {
        let pixels = vec![[1.0, 0.0, 0.0, 0.4], [0.0, 0.5, 1.0, 1.0]];
        let coded = Image::from_float(Rect::new(-1, 0, 2, 1), Format::GAM, pixels.clone());
        let out = check(&Sepia, &[], &[Some(&coded)]);
        assert_pixel(&out, -1, 0, [0.393, 0.349, 0.272, 0.4], 1e-6);
        assert_pixel(&out, 0, 0, [0.5735, 0.511, 0.398, 1.0], 1e-6);
        let light = Image::from_float(Rect::new(-1, 0, 2, 1), Format::LIN, pixels);
        let out = check(&Sepia, &[("srgb", "false"), ("scale", "0.5")], &[Some(&light)]);
        assert_pixel(&out, -1, 0, [0.6965, 0.1745, 0.136, 0.4], 1e-6);
    }

    #[test]
    fn no_strength_changes_nothing() {
        let image = noise_image(Rect::new(-3, 2, 9, 4), Format::RGBA8);
        assert_same(&check(&Sepia, &[("scale", "0")], &[Some(&image)]), &image, "scale 0");
    }
}
