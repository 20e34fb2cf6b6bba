//! `gegl/dropshadow`: lays the picture over its own shadow.
//!
//! The shadow is the picture's alpha in one colour: grown, moved, blurred, with nothing
//! beyond its edges, and made more or less opaque. The picture goes over it in premultiplied linear
//! light, and the box holds both (GEGL 0.4, `dropshadow.c`). The radius ends where that of
//! `gegl/gaussian-blur` does.
//!
//! A negative `grow-radius` changes nothing, as in GEGL 0.4.42, whose description says that it shrinks
//! the shadow. Unlike there, the shadow of an opaque picture grows by the shape, too.

use super::compound::Compound;
use super::gaussian_blur::{Beyond, Gaussian};
use super::median_blur::{Percentile, Shape};
use super::sampler::Sampler;
use super::src_over;
use super::transform::{IDENTITY, around, coordinate};
use crate::{Color, Format, Info, Kind, OpError, Operand, Operation, Pad, Pass, Point, Properties, Property, Rect};

static INFO: Info = Info {
    name: "gegl/dropshadow",
    aliases: &[],
    categories: &["light"],
    title: "Dropshadow",
    description: "Lays a blurred shadow below the picture; what is opaque casts it.",
    inputs: &[Pad::INPUT],
    properties: &[
        Property { kind: OFFSET, ..coordinate("x", "How far to the right the shadow falls, pixels") },
        Property { kind: OFFSET, ..coordinate("y", "How far down the shadow falls, pixels") },
        Property {
            name: "radius",
            description: "Standard deviation of its blur, pixels",
            kind: Kind::Number { default: 10.0, minimum: 0.0, maximum: 1500.0 },
        },
        Property {
            name: "grow-shape",
            description: "The shape by which the shadow grows",
            kind: Kind::Enum { default: "circle", values: &["square", "circle", "diamond"] },
        },
        Property {
            name: "grow-radius",
            description: "Pixels that the shadow grows by before it is blurred; below 0 it stays as it is",
            kind: Kind::Number { default: 0.0, minimum: -100.0, maximum: 100.0 },
        },
        Property { name: "color", description: "Colour of the shadow", kind: Kind::Color { default: Color::BLACK } },
        Property {
            name: "opacity",
            description: "How opaque the shadow is, as a factor",
            kind: Kind::Number { default: 0.5, minimum: 0.0, maximum: 2.0 },
        },
    ],
    revision: 2,
};

const OFFSET: Kind = Kind::Number { default: 20.0, minimum: -f64::MAX, maximum: f64::MAX };

/// The operation `gegl/dropshadow`.
#[derive(Debug)]
pub struct Dropshadow;

impl Operation for Dropshadow {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn lengths(&self) -> &'static [&'static str] {
        &["x", "y", "radius", "grow-radius"]
    }

    fn prepare(&self, properties: &Properties) -> Result<Vec<Pass>, OpError> {
        let mut passes = Compound::default();
        let grow = properties.number("grow-radius") as u32;
        if grow > 0 {
            passes.then(Percentile::alpha(Shape::from_choice(properties.choice("grow-shape")), grow).pass());
        }
        let [r, g, b, a] = properties.color("color").linear();
        let alpha = a * properties.number("opacity") as f32;
        let mut shadow = passes.then(Pass::Point(Box::new(Shadow([r * alpha, g * alpha, b * alpha, alpha]))));
        let shift = ["x", "y"].map(|name| properties.number(name));
        if let Some(pass) = around(IDENTITY, [0.0; 2], shift, Sampler::Linear) {
            shadow = passes.then(pass);
        }
        let blur = Gaussian::new(properties.number("radius"));
        let shadow = passes.blur(Gaussian { beyond: Beyond::Nothing, grow: true, ..blur }, shadow);
        passes.apply(src_over::compositor(Format::LINP), &[shadow, Operand::Input(0)]);
        Ok(passes.passes())
    }
}

/// A premultiplied colour, times alpha.
#[derive(Debug)]
struct Shadow([f32; 4]);

impl Point for Shadow {
    fn format(&self, _input: Format) -> Format {
        Format::LINP
    }

    fn apply(&self, row: &mut [[f32; 4]], _x: i32, _y: i32, _bounds: Rect) {
        for pixel in row {
            let alpha = pixel[3];
            *pixel = self.0.map(|component| component * alpha);
        }
    }

    fn weight(&self) -> f32 {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::native::testing::{assert_pixel, check, noise_image, pixel, stops_when_cancelled};

    #[test]
    fn a_sharp_shadow_by_hand() {
        let image =
            Image::from_float(Rect::sized(2, 1), Format::LINP, vec![[0.5, 0.5, 0.5, 0.5], [0.1, 0.2, 0.3, 1.0]]);
        let given = [("x", "1"), ("y", "0"), ("radius", "0"), ("color", "#ff0000"), ("opacity", "0.8")];
        let out = check(&Dropshadow, &given, &[Some(&image)]);
        assert_eq!((out.rect(), out.format()), (Rect::sized(3, 1), Format::LINP));
        assert_pixel(&out, 0, 0, [0.5, 0.5, 0.5, 0.5], 1e-6);
        assert_pixel(&out, 1, 0, [0.1, 0.2, 0.3, 1.0], 1e-6);
        assert_pixel(&out, 2, 0, [0.8, 0.0, 0.0, 0.8], 1e-6);
    }

    #[test]
    fn the_box_holds_the_picture_and_the_blur() {
        let image = noise_image(Rect::sized(24, 20), Format::RGB8);
        // 33 weights for a deviation of 5: 16 on each side.
        let out = check(&Dropshadow, &[("radius", "5"), ("x", "-40"), ("y", "3")], &[Some(&image)]);
        assert_eq!(out.rect(), Rect::new(-56, -13, 80, 52));
        let shadow = pixel(&out, -28, 13);
        assert!((shadow[3] - 0.5).abs() < 0.05 && shadow[0] == 0.0, "{shadow:?}");
        assert_pixel(&out, -56, -13, [0.0; 4], 1e-4);
    }

    #[test]
    fn a_shadow_grows_and_does_not_shrink() {
        let image = Image::from_rgba8(Rect::sized(5, 5), vec![[9, 9, 9, 255]; 25]);
        let sharp = |grow| [("x", "0"), ("y", "0"), ("radius", "0"), ("opacity", "1"), ("grow-radius", grow)];
        let out = check(&Dropshadow, &sharp("2.9"), &[Some(&image)]);
        assert_eq!(out.rect(), Rect::new(-2, -2, 9, 9));
        // A circle of radius 2 lacks the corners of its square.
        assert_eq!((pixel(&out, -2, -1)[3], pixel(&out, -2, 0)[3], pixel(&out, -2, -2)[3]), (1.0, 1.0, 0.0));
        let given = [("x", "20"), ("y", "0"), ("radius", "0"), ("opacity", "1"), ("grow-radius", "-9")];
        let out = check(&Dropshadow, &given, &[Some(&image)]);
        assert_eq!([19, 20, 24].map(|x| pixel(&out, x, 2)[3]), [0.0, 1.0, 1.0]);
    }

    #[test]
    fn any_tiling() {
        let image = noise_image(Rect::new(-7, 5, 23, 17), Format::RGBA8);
        check(&Dropshadow, &[("x", "-3.5"), ("grow-radius", "3"), ("radius", "0.7")], &[Some(&image)]);
        check(&Dropshadow, &[("grow-radius", "2"), ("grow-shape", "diamond")], &[Some(&image)]);
        assert!(stops_when_cancelled(&Dropshadow, &[], &image));
    }
}
