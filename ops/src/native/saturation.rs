//! `gegl/saturation`: strengthens or weakens colour.
//!
//! The distance from gray of the same luminance times `scale`: of linear light from its luminance
//! (`Native`), of a* and b* from 0 (`CIE-Lab`), or of u' and v' from those of white (`CIE-Yuv`).
//! Alpha stays and nothing is clamped (GEGL 0.4, `saturation.c`).

use multiversion::multiversion;

use super::cie::{ToLight, WHITE_UV, change, to_lab, to_yuv};
use super::matrix::Matrix;
use crate::format::luminance;
use crate::{Encoding, Format, Info, Kind, OpError, Operation, Pad, Pass, Point, Properties, Property, Rect};

static INFO: Info = Info {
    name: "gegl/saturation",
    aliases: &[],
    categories: &["color"],
    title: "Saturation",
    description: "Strengthens or weakens colour.",
    inputs: &[Pad::INPUT],
    properties: &[
        Property {
            name: "scale",
            description: "Factor of the distance from gray: 0 is gray, 1 changes nothing.",
            kind: Kind::Number { default: 1.0, minimum: 0.0, maximum: 10.0 },
        },
        Property {
            name: "colorspace",
            description: "Colour space in which the distance is taken.",
            kind: Kind::Enum { default: "Native", values: &["Native", "CIE-Lab", "CIE-Yuv"] },
        },
    ],
    revision: 1,
};

/// The operation `gegl/saturation`.
#[derive(Debug)]
pub struct Saturation;

impl Operation for Saturation {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let scale = properties.number("scale");
        if scale == 1.0 {
            return Ok(Vec::new());
        }
        let space = match properties.choice("colorspace") {
            "CIE-Lab" => Space::Lab,
            "CIE-Yuv" => Space::Yuv,
            _ => return Ok(around_luminance(scale).passes()),
        };
        Ok(vec![Pass::Point(Box::new(Scale { scale: scale as f32, space }))])
    }
}

/// Y + scale (c - Y) for each channel c of light, with luminance Y.
fn around_luminance(scale: f64) -> Matrix {
    let weights = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]].map(|primary| f64::from(luminance(primary)));
    let mut rows = [weights.map(|weight| weight * (1.0 - scale)); 3];
    for (channel, row) in rows.iter_mut().enumerate() {
        row[channel] += scale;
    }
    Matrix::new(Encoding::Linear, rows)
}

/// Scaling in a CIE colour space.
#[derive(Debug)]
struct Scale {
    scale: f32,
    space: Space,
}

#[derive(Debug)]
enum Space {
    Lab,
    Yuv,
}

impl Point for Scale {
    fn format(&self, input: Format) -> Format {
        Format::LIN.opaque_like(input)
    }

    fn apply(&self, row: &mut [[f32; 4]], _x: i32, _y: i32, _bounds: Rect) {
        match self.space {
            Space::Lab => scale_lab(row, self.scale, ToLight::new()),
            Space::Yuv => scale_yuv(row, self.scale, ToLight::new()),
        }
    }

    fn weight(&self) -> f32 {
        match self.space {
            Space::Lab => 12.0,
            Space::Yuv => 4.0,
        }
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn scale_lab(row: &mut [[f32; 4]], scale: f32, to_light: ToLight) {
    change(row, |rgb| {
        let [l, a, b] = to_lab(rgb);
        to_light.lab([l, a * scale, b * scale])
    });
}

#[multiversion(targets("x86_64+avx2"))]
fn scale_yuv(row: &mut [[f32; 4]], scale: f32, to_light: ToLight) {
    let [white_u, white_v] = WHITE_UV;
    change(row, |rgb| {
        let [y, u, v] = to_yuv(rgb);
        to_light.yuv([y, white_u + (u - white_u) * scale, white_v + (v - white_v) * scale])
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::native::testing::{assert_pixel, assert_same, check, noise_image};

    const SPACES: [&str; 3] = ["Native", "CIE-Lab", "CIE-Yuv"];

    #[test]
    fn without_colour_luminance_is_left() {
        let image = Image::from_float(Rect::new(-1, 0, 1, 1), Format::LIN, vec![[1.0, 0.0, 0.0, 0.4]]);
        for space in SPACES {
            let out = check(&Saturation, &[("scale", "0"), ("colorspace", space)], &[Some(&image)]);
            assert_pixel(&out, -1, 0, [0.222_488_4, 0.222_488_4, 0.222_488_4, 0.4], 2e-6);
        }
    }

    #[test]
    fn colours_by_hand() {
        let image = Image::from_float(Rect::new(-1, 0, 1, 1), Format::LIN, vec![[0.0, 1.0, 0.0, 0.4]]);
        let out = check(&Saturation, &[("scale", "2")], &[Some(&image)]);
        assert_pixel(&out, -1, 0, [-0.716_903_7, 1.283_096_3, -0.716_903_7, 0.4], 1e-6);
        // Half of Lab (87.82, -79.27, 80.99) and of its u'v', as GEGL gives them.
        let out = check(&Saturation, &[("scale", "0.5"), ("colorspace", "CIE-Lab")], &[Some(&image)]);
        assert_pixel(&out, -1, 0, LAB, 1e-4);
        let out = check(&Saturation, &[("scale", "0.5"), ("colorspace", "CIE-Yuv")], &[Some(&image)]);
        assert_pixel(&out, -1, 0, YUV, 1e-4);
    }

    const LAB: [f32; 4] = [0.346457, 0.870615, 0.258610, 0.4];
    const YUV: [f32; 4] = [0.328277, 0.870368, 0.328278, 0.4];

    #[test]
    fn black_stays_black_and_one_changes_nothing() {
        let black = Image::from_rgb8(Rect::sized(1, 1), vec![[0; 3]]);
        let noise = noise_image(Rect::new(-3, 2, 9, 4), Format::RGBA8);
        for space in SPACES {
            let out = check(&Saturation, &[("scale", "10"), ("colorspace", space)], &[Some(&black)]);
            assert_pixel(&out, 0, 0, [0.0, 0.0, 0.0, 1.0], 1e-6);
            assert_same(&check(&Saturation, &[("colorspace", space)], &[Some(&noise)]), &noise, space);
        }
    }
}
